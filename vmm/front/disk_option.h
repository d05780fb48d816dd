/* SPDX-License-Identifier: Apache-2.0 */
/* --disk of husk-vmm: its keys, and the disk as the machine is told of it. */
#ifndef VMM_FRONT_DISK_OPTION_H
#define VMM_FRONT_DISK_OPTION_H

#include "lib/diskfile.h"
#include "vmm/control/native.h"

struct disk_option {
	char *path, *id, *serial, *image_type, *lock_granularity;
	bool readonly, direct, sparse, no_uring, no_aio;
	uint64_t queues, queue_size;
	struct nc_bucket bytes, ops;
};

/* @o is set up here; what a failure leaves is freed by disk_option_done() too. */
int disk_option_parse(struct disk_option *o, const char *option, const char *value, struct err *e);
void disk_option_done(struct disk_option *o);

int disk_option_open(const struct disk_option *o, struct diskfile *ret, struct err *e);
/* All but the descriptor's place in the message. */
void disk_option_describe(const struct disk_option *o, const struct diskfile *f, struct nc_disk *ret);

#endif
