/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files that carry out native commands; everything on the control thread. */
#ifndef VMM_CORE_COMMANDS_INTERNAL_H
#define VMM_CORE_COMMANDS_INTERNAL_H

#include "vmm/control/server.h"
#include "vmm/core/commands.h"
#include "vmm/core/machine.h"

struct commands {
	struct commands_setup setup;
	struct control *control;
	struct machine *machine; /* NULL in state NEW */
	enum nc_end end;
	bool over;
	struct nc_event ev;      /* too big for a small stack */
};

int commands_need_machine(const struct commands *c, struct err *e);

/* commands_devices.c: handlers, as struct control_cmd wants them. */
int do_net_attach(void *arg, struct control_request *r, struct err *e);
int do_net_detach(void *arg, struct control_request *r, struct err *e);
int do_net_link(void *arg, struct control_request *r, struct err *e);
int do_net_info(void *arg, struct control_request *r, struct err *e);
int do_device_add(void *arg, struct control_request *r, struct err *e);
int do_device_remove(void *arg, struct control_request *r, struct err *e);
int do_balloon(void *arg, struct control_request *r, struct err *e);
int do_memory(void *arg, struct control_request *r, struct err *e);

#endif
