// SPDX-License-Identifier: Apache-2.0
/* Putting a machine's description together, and names of what the protocol's numbers mean. */
#include <stdio.h>
#include <string.h>

#include "vmm/control/native_client.h"

void ncl_desc_init(struct ncl_desc *d)
{
	memset(d, 0, sizeof(*d));
	d->m.kvm = d->m.kernel = d->m.initramfs = -1;
	d->m.log = -1;
	d->m.serial_in = d->m.serial_out = d->m.debug_out = -1;
	d->m.vcpus = d->m.max_vcpus = 1;
}

int ncl_desc_fd(struct ncl_desc *d, int fd, nc_fd *ret_ref, struct err *e)
{
	if (fd < 0) {
		*ret_ref = -1;
		return 0;
	}
	if (d->nfds == NC_MAX_FDS)
		return err_set(e, ENOSPC, "a machine can be given %d files at its start, no more",
			       NC_MAX_FDS);
	d->fds[d->nfds] = fd;
	*ret_ref = (nc_fd)d->nfds++;
	return 0;
}

void ncl_device_init(struct nc_device *dev, enum nc_dev_type type, const char *id)
{
	memset(dev, 0, sizeof(*dev));
	dev->type = type;
	dev->slot = -1;
	snprintf(dev->id, sizeof(dev->id), "%s", id);
	switch (type) {
	case NC_DEV_CONSOLE:
		dev->console.in = dev->console.out = -1;
		break;
	case NC_DEV_RNG:
		dev->rng.src = -1;
		break;
	case NC_DEV_VSOCK:
		dev->vsock.ready = -1;
		break;
	case NC_DEV_DISK:
		dev->disk.file = -1;
		break;
	case NC_DEV_FS:
	case NC_DEV_NET:
	case NC_DEV_BALLOON:
	case NC_DEV_MEM:
	case NC_DEV_NONE:
		break;
	}
}

struct nc_device *ncl_desc_device(struct ncl_desc *d, enum nc_dev_type type, const char *id)
{
	struct nc_device *dev;

	if (d->m.ndevices == NC_MAX_DEVICES)
		return NULL;
	dev = &d->m.dev[d->m.ndevices++];
	ncl_device_init(dev, type, id);
	return dev;
}

const char *nc_end_name(uint32_t end)
{
	static const char *const names[] = {
		[NC_END_NONE] = "still running",
		[NC_END_POWEROFF] = "guest powered off",
		[NC_END_RESET] = "guest reset itself",
		[NC_END_TRIPLE_FAULT] = "guest triple fault",
		[NC_END_PANIC] = "guest kernel panic",
		[NC_END_VCPU_ERROR] = "vCPU error",
		[NC_END_QUIT] = "stopped on request",
		[NC_END_HOST_ERROR] = "host error",
	};

	return end < ARRAY_SIZE(names) ? names[end] : "unknown end";
}
