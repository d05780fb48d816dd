// SPDX-License-Identifier: Apache-2.0
#include "vmm/backend/vhost.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <linux/vhost.h>

#include "lib/cleanup.h"

int vhost_prepare(int fd, uint64_t *ret_features, struct err *e)
{
	if (ioctl(fd, VHOST_GET_FEATURES, ret_features) < 0)
		return err_set(e, EINVAL, "the descriptor is no vhost-net");
	/* Ours already: it was handed over before. */
	if (ioctl(fd, VHOST_SET_OWNER) < 0 && errno != EBUSY)
		return err_errno(e, errno, "vhost-net: owner");
	return 0;
}

static int set_memory(int fd, const struct gmem *mem, struct err *e)
{
	size_t n = gmem_nregions(mem);
	_cleanup_free_ struct vhost_memory *m =
		calloc(1, sizeof(*m) + n * sizeof(struct vhost_memory_region));

	if (!m)
		return err_set(e, ENOMEM, "vhost-net: out of memory");
	m->nregions = (uint32_t)n;
	for (size_t i = 0; i < n; i++) {
		struct gmem_region r;
		uint64_t off;
		void *host;
		int backing;

		gmem_region_at(mem, i, &r, &host, &backing, &off);
		m->regions[i] = (struct vhost_memory_region){
			.guest_phys_addr = r.base.v, .memory_size = r.size,
			.userspace_addr = (uint64_t)(uintptr_t)host,
		};
	}
	if (ioctl(fd, VHOST_SET_MEM_TABLE, m) < 0)
		return err_errno(e, errno, "vhost-net: memory");
	return 0;
}

int vhost_setup(int fd, const struct gmem *mem, uint64_t features, struct err *e)
{
	if (ioctl(fd, VHOST_SET_FEATURES, &features) < 0)
		return err_errno(e, errno, "vhost-net: features %#llx", (unsigned long long)features);
	return set_memory(fd, mem, e);
}

int vhost_start(int fd, unsigned index, const struct vq *q, int kick, int call, int error, int tap,
		struct err *e)
{
	struct vhost_vring_state num = { index, q->at.size }, base = { index, q->next_avail };
	struct vhost_vring_addr at = {
		.index = index,
		.desc_user_addr = (uint64_t)(uintptr_t)q->desc,
		.avail_user_addr = (uint64_t)(uintptr_t)q->avail,
		.used_user_addr = (uint64_t)(uintptr_t)q->used,
	};
	struct vhost_vring_file k = { index, kick }, c = { index, call };
	struct vhost_vring_file bad = { index, error }, backend = { index, tap };

	if (ioctl(fd, VHOST_SET_VRING_NUM, &num) < 0 || ioctl(fd, VHOST_SET_VRING_BASE, &base) < 0 ||
	    ioctl(fd, VHOST_SET_VRING_ADDR, &at) < 0 || ioctl(fd, VHOST_SET_VRING_KICK, &k) < 0 ||
	    ioctl(fd, VHOST_SET_VRING_CALL, &c) < 0 || ioctl(fd, VHOST_SET_VRING_ERR, &bad) < 0)
		return err_errno(e, errno, "vhost-net: ring %u", index);
	if (ioctl(fd, VHOST_NET_SET_BACKEND, &backend) < 0)
		return err_errno(e, errno, "vhost-net: tap of ring %u", index);
	return 0;
}

int vhost_stop(int fd, unsigned index, uint16_t *ret_next)
{
	struct vhost_vring_file none = { index, -1 };
	struct vhost_vring_state base = { index, 0 };

	/* Waits for what is under way. */
	if (ioctl(fd, VHOST_NET_SET_BACKEND, &none) < 0 || ioctl(fd, VHOST_GET_VRING_BASE, &base) < 0)
		return -errno;
	*ret_next = (uint16_t)base.num;
	return 0;
}
