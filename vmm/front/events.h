/* SPDX-License-Identifier: Apache-2.0 */
/* --event-monitor: what happens to the VM, as Cloud Hypervisor writes it: one JSON object each, with an
 * empty line behind it. Nothing waits for the reader: a full pipe loses events. */
#ifndef VMM_FRONT_EVENTS_H
#define VMM_FRONT_EVENTS_H

#include "vmm/front/options.h"

struct events;

/* *ret is NULL when the options ask for none. */
int events_open(struct events **ret, const struct options *o, struct err *e);
void events_close(struct events *ev);
/* @ev NULL: nothing. Sources and names as Cloud Hypervisor's: "vm", "booted". */
void events_send(struct events *ev, const char *source, const char *event);

#endif
