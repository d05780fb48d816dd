/* SPDX-License-Identifier: Apache-2.0 */
/* Disks that come into a living container and leave it. */
#ifndef RUNTIME_CONTAINER_DEVICE_UPDATE_H
#define RUNTIME_CONTAINER_DEVICE_UPDATE_H

#include "runtime/container/create.h"
#include "runtime/container/device_list.h"

struct ncl;

/* Adds @add, all or none; then takes away @remove, paths inside the container, whatever the guest says to that (a warning
 * is logged). -EEXIST: there is such a device; -ENOENT: there is none to remove; -EBUSY: the file is another
 * machine's. */
int container_devices(const struct container_host *h, const char *id, const struct device_wish *add, size_t n_add,
		      const char *const *remove, size_t n_remove, struct err *e);

/* Of a container that leaves a machine that stays: its disks are the host's again. Failures are passed over: what is not
 * there any more need not go. */
void container_devices_leave(struct ncl *machine, int root, const char *id);

#endif
