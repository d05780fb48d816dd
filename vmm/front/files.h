/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every file, terminal and socket that the command line names, opened once by husk-vmm and handed on as
 * descriptors: to the first machine, and to the next when the guest resets itself.
 */
#ifndef VMM_FRONT_FILES_H
#define VMM_FRONT_FILES_H

#include "vmm/control/native_client.h"
#include "vmm/front/net.h"
#include "vmm/front/options.h"

struct files {
	int kvm, kernel, initramfs, rng, log;
	int console, serial, debug; /* of PORT_FILE and PORT_PTY */
	int fs[OPTIONS_MAX_FS];     /* dissolved mounts */
	bool fs_is_dir[OPTIONS_MAX_FS];
	unsigned nnets;
	struct front_net net[OPTIONS_MAX_NET];
	struct diskfile disks[OPTIONS_MAX_DISKS];
};

/* On failure nothing stays open. */
int files_open(struct files *f, const struct options *o, struct err *e);
void files_close(struct files *f);

/* Describes the machine. @tty_in, @tty_out: the machine's ends of the terminal's relay, -1 if no port is
 * a terminal. */
int files_describe(const struct files *f, const struct options *o, int tty_in, int tty_out,
		   struct ncl_desc *d, struct err *e);
/* "_fs0" or the id that was given. */
const char *files_fs_id(const struct options *o, unsigned i, char *buf, size_t size);

#endif
