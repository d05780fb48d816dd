// SPDX-License-Identifier: Apache-2.0
/* From a device's description to the device on the bus. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/log.h"
#include "vmm/core/machine_internal.h"
#include "vmm/core/vsock_glue.h"
#include "vmm/virtio/balloon.h"
#include "vmm/virtio/blk.h"
#include "vmm/virtio/console.h"
#include "vmm/virtio/fs.h"
#include "vmm/virtio/mem.h"
#include "vmm/virtio/net.h"
#include "vmm/virtio/rng.h"
#include "vmm/virtio/vsock.h"

static int make_console(struct machine *m, struct machine_dev *d, struct machine_device *c,
			struct err *e)
{
	const struct console_cfg cfg = { .in_fd = c->console.in, .out_fd = c->console.out };
	int rc = vdev_new(&d->vdev, &console_class, c->id, &cfg, m->mem, m->io.loop, e);

	if (rc == 0)
		c->console.in = c->console.out = -1;
	return rc;
}

static int make_rng(struct machine *m, struct machine_dev *d, struct machine_device *c,
		    struct err *e)
{
	const struct rng_cfg cfg = { .src_fd = c->rng.src };
	int rc = vdev_new(&d->vdev, &rng_class, c->id, &cfg, m->mem, m->io.loop, e);

	if (rc == 0)
		c->rng.src = -1;
	return rc;
}

static int make_vsock(struct machine *m, struct machine_dev *d, struct machine_device *c,
		      struct err *e)
{
	const struct vsock_cfg cfg = { .cid = c->vsock.cid,
				       .ready_fd = c->vsock.ready,
				       .ops = c->vsock.host_ports ? &vsock_glue_open :
								    &vsock_glue_closed,
				       .ops_arg = m };
	int rc = vdev_new(&d->vdev, &vsock_class, c->id, &cfg, m->mem, m->io.loop, e);

	if (rc == 0)
		c->vsock.ready = -1;
	return rc;
}

/* What the open-files limit leaves when everything else has its share. */
static void fit_limits(struct fs_server_cfg *cfg)
{
	const long limit = sysconf(_SC_OPEN_MAX), others = 2048;

	if (limit <= 0)
		return;
	if (limit < (long)cfg->max_fds + (long)cfg->max_handles + others) {
		long room = limit > others + 128 ? limit - others : 128;

		cfg->max_fds = (unsigned)min_t(long, cfg->max_fds, room / 2);
		cfg->max_handles = (unsigned)min_t(long, cfg->max_handles, room - cfg->max_fds);
		log_debug("file server: %u descriptors and %u handles fit the limit of open files",
			  cfg->max_fds, cfg->max_handles);
	}
}

static int make_fs(struct machine *m, struct machine_dev *d, struct machine_device *c,
		   struct err *e)
{
	struct fs_server_cfg scfg = FS_SERVER_CFG_DEFAULT;
	struct fs_dev_cfg cfg = { .queues = c->fs.queues };
	int rc = 0;

	if (!m->fs.loop)
		rc = evloop_new(&m->fs.loop, e);
	if (rc < 0)
		return rc;
	fit_limits(&scfg);
	if (m->setup.proc_fd >= 0) {
		/* One each, should there ever be several servers. */
		scfg.proc_fd = dup(m->setup.proc_fd);
		if (scfg.proc_fd < 0)
			return err_errno(e, errno, "dup");
	}
	rc = fs_server_new(&d->fs, &scfg, e);
	if (rc < 0) {
		if (scfg.proc_fd >= 0)
			close(scfg.proc_fd);
		return rc;
	}
	memcpy(cfg.tag, c->fs.tag, sizeof(cfg.tag));
	cfg.server = d->fs;
	return vdev_new(&d->vdev, &fs_dev_class, c->id, &cfg, m->mem, m->fs.loop, e);
}

static struct rate_bucket_cfg bucket(const struct nc_bucket *b)
{
	return (struct rate_bucket_cfg){ .size = b->size, .burst = b->burst, .refill_ms = b->refill_ms };
}

static int make_net(struct machine *m, struct machine_dev *d, struct machine_device *c,
		    struct err *e)
{
	struct net_cfg cfg = { .mtu = c->net.mtu,
			       .pairs = c->net.pairs,
			       .queue_size = (uint16_t)c->net.queue_size,
			       .offloads = c->net.offloads,
			       .rate = { bucket(&c->net.bytes), bucket(&c->net.frames) } };

	_Static_assert(NET_CSUM == NC_NET_CSUM && NET_TSO == NC_NET_TSO && NET_UFO == NC_NET_UFO &&
			       NET_USO == NC_NET_USO, "one set of numbers");
	memcpy(cfg.mac, c->net.mac, sizeof(cfg.mac));
	return vdev_new(&d->vdev, &net_class, c->id, &cfg, m->mem, m->io.loop, e);
}

static int make_disk(struct machine *m, struct machine_dev *d, struct machine_device *c,
		     struct err *e)
{
	const struct nc_disk *n = &c->disk.d;
	struct blk_cfg cfg = { .fd = c->disk.fd,
			       .size = n->size,
			       .block_size = n->block_size,
			       .phys_size = n->phys_size,
			       .readonly = n->flags & NC_DISK_READONLY,
			       .direct = n->flags & NC_DISK_DIRECT,
			       .discard = n->flags & NC_DISK_DISCARD,
			       .no_uring = n->flags & NC_DISK_NO_URING || m->disk.started,
			       .queues = n->queues,
			       .queue_size = n->queue_size,
			       .rate = { bucket(&n->bytes), bucket(&n->ops) } };
	int rc = m->disk.loop ? 0 : evloop_new(&m->disk.loop, e);

	memcpy(cfg.serial, c->disk.serial, sizeof(cfg.serial));
	if (rc == 0)
		rc = vdev_new(&d->vdev, &blk_class, c->id, &cfg, m->mem, m->disk.loop, e);
	if (rc == 0)
		c->disk.fd = -1;
	return rc;
}

static int make_balloon(struct machine *m, struct machine_dev *d, struct machine_device *c,
			struct err *e)
{
	const struct balloon_cfg cfg = { .size = c->balloon.size,
					 .deflate_on_oom = c->balloon.flags & NC_BALLOON_OOM,
					 .reporting = c->balloon.flags & NC_BALLOON_REPORT,
					 .stats = c->balloon.flags & NC_BALLOON_STATS };

	return vdev_new(&d->vdev, &balloon_class, c->id, &cfg, m->mem, m->io.loop, e);
}

static int make_mem(struct machine *m, struct machine_dev *d, struct machine_device *c, struct err *e)
{
	struct mem_cfg cfg = { .requested = c->mem.requested };
	struct gmem_region r;
	uint64_t off;
	void *host;
	int fd;

	/* The last region is what comes later: build.c has made it so. */
	gmem_region_at(m->mem, gmem_nregions(m->mem) - 1, &r, &host, &fd, &off);
	cfg.base = r.base;
	cfg.size = r.size;
	return vdev_new(&d->vdev, &mem_class, c->id, &cfg, m->mem, m->io.loop, e);
}

static const struct {
	enum nc_dev_type type;
	int (*make)(struct machine *m, struct machine_dev *d, struct machine_device *c,
		    struct err *e);
	bool hot; /* may come and go while the guest runs: needs no thread that is not there */
} makers[] = {
	{ NC_DEV_CONSOLE, make_console, false },
	{ NC_DEV_RNG, make_rng, false },
	{ NC_DEV_VSOCK, make_vsock, false },
	{ NC_DEV_FS, make_fs, false },
	{ NC_DEV_NET, make_net, true },
	{ NC_DEV_DISK, make_disk, true },
	{ NC_DEV_BALLOON, make_balloon, false },
	{ NC_DEV_MEM, make_mem, false },
};

static int add_device(struct machine *m, unsigned index, struct err *e)
{
	struct machine_device *c = &m->cfg->dev[index];
	struct machine_dev *d = &m->dev[index];
	int rc = -EINVAL;

	d->cfg = c;
	m->ndevs = max_t(unsigned, m->ndevs, index + 1);
	for (size_t i = 0; i < ARRAY_SIZE(makers); i++)
		if (makers[i].type == c->type)
			rc = makers[i].make(m, d, c, e);
	if (rc == 0)
		rc = virtio_pci_new(&d->transport, m->pci, c->slot, d->vdev, m->vm, e);
	return rc < 0 ? err_wrap(e, rc, "device %s", c->id) : 0;
}

int machine_add_devices(struct machine *m, struct err *e)
{
	int rc = m->cfg->flags & NC_CREATE_DISKS_COME ? evloop_new(&m->disk.loop, e) : 0;

	for (unsigned i = 0; rc == 0 && i < m->cfg->ndevices; i++)
		if (m->cfg->dev[i].type != NC_DEV_NONE)
			rc = add_device(m, i, e);
	return rc;
}

static void free_vdev(void *arg)
{
	vdev_free(arg);
}

static void remove_device(struct machine_dev *d)
{
	if (d->transport)
		virtio_pci_free(d->transport);
	else if (d->vdev)
		evloop_call(d->vdev->loop, free_vdev, d->vdev);
	if (d->fs)
		fs_server_free(d->fs);
	*d = (struct machine_dev){ .cfg = NULL };
}

void machine_remove_devices(struct machine *m)
{
	while (m->ndevs)
		remove_device(&m->dev[--m->ndevs]);
}

/* Whether there is room and a thread for one more disk. */
static int check_disk(const struct machine *m, struct err *e)
{
	unsigned n = 0;

	if (!m->disk.loop || (m->state != NC_STATE_CREATED && !m->disk.started))
		return err_set(e, ENOTSUP, "this machine was not made for disks to come");
	for (unsigned i = 0; i < m->ndevs; i++)
		n += m->dev[i].cfg && m->dev[i].cfg->type == NC_DEV_DISK;
	return n < NC_MAX_DISKS ? 0 : err_set(e, ENOSPC, "a machine can have %d disks, no more", NC_MAX_DISKS);
}

static int check_hot(const struct machine *m, enum nc_dev_type type, struct err *e)
{
	if (m->state == NC_STATE_ENDED)
		return err_set(e, EINVAL, "the machine has ended");
	for (size_t i = 0; i < ARRAY_SIZE(makers); i++)
		if (makers[i].type == type && makers[i].hot)
			return 0;
	return err_set(e, ENOTSUP, "devices of type %d cannot come and go", (int)type);
}

int machine_device_add(struct machine *m, const struct nc_device *dev, int *fds, size_t nfds,
		       unsigned *ret_slot, struct err *e)
{
	unsigned index;
	int rc = check_hot(m, dev->type, e);

	if (rc == 0 && dev->type == NC_DEV_DISK)
		rc = check_disk(m, e);
	if (rc == 0)
		rc = machine_config_add(m->cfg, dev, fds, nfds, &index, e);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < nfds; i++)
		fds[i] = -1;
	rc = add_device(m, index, e);
	if (rc < 0) {
		remove_device(&m->dev[index]);
		machine_config_remove(m->cfg, index);
		return rc;
	}
	*ret_slot = virtio_pci_slot(m->dev[index].transport);
	return 0;
}

int machine_device_remove(struct machine *m, const char *id, struct err *e)
{
	for (unsigned i = 0; i < m->ndevs; i++) {
		int rc;

		if (!m->dev[i].cfg || strcmp(m->dev[i].cfg->id, id))
			continue;
		rc = check_hot(m, m->dev[i].cfg->type, e);
		if (rc < 0)
			return err_wrap(e, rc, "device %s", id);
		if (m->dev[i].cfg->type == NC_DEV_DISK)
			blk_leave(m->dev[i].vdev);
		remove_device(&m->dev[i]);
		machine_config_remove(m->cfg, i);
		return 0;
	}
	return err_set(e, ENODEV, "there is no device %s", id);
}

struct machine_dev *machine_find(struct machine *m, enum nc_dev_type type, const char *id)
{
	for (unsigned i = 0; i < m->ndevs; i++)
		if (m->dev[i].cfg && m->dev[i].cfg->type == type && (!id || !strcmp(m->dev[i].cfg->id, id)))
			return &m->dev[i];
	return NULL;
}

int machine_share_add(struct machine *m, const char *device, const char *name, int fd,
		      unsigned flags, uint32_t common, struct err *e)
{
	struct machine_dev *d = machine_find(m, NC_DEV_FS, device);

	if (!d)
		return err_set(e, ENODEV, "there is no file system device %s", device);
	return fs_share_add_common(d->fs, name, fd, flags, common, e);
}

int machine_share_remove(struct machine *m, const char *device, const char *name, struct err *e)
{
	struct machine_dev *d = machine_find(m, NC_DEV_FS, device);

	if (!d)
		return err_set(e, ENODEV, "there is no file system device %s", device);
	return fs_share_remove(d->fs, name, e);
}

int machine_balloon(struct machine *m, const char *device, uint64_t size, struct nc_balloon_reply *ret,
		    struct err *e)
{
	struct machine_dev *d = machine_find(m, NC_DEV_BALLOON, device);
	struct balloon_info info;
	int rc;

	if (!d)
		return err_set(e, ENODEV, "there is no balloon %s", device);
	rc = size == NC_BALLOON_KEEP ? 0 : balloon_resize(d->vdev, size, e);
	if (rc < 0)
		return rc;
	_Static_assert(sizeof(info.stat) == sizeof(ret->stat), "statistics");
	balloon_info(d->vdev, &info);
	ret->target = info.target;
	ret->actual = info.actual;
	ret->inflated = info.inflated;
	ret->reported = info.reported;
	ret->stat_set = info.stat_set;
	memcpy(ret->stat, info.stat, sizeof(ret->stat));
	return 0;
}

void machine_memory(struct machine *m, struct nc_memory_reply *ret)
{
	const struct machine_dev *d = machine_find(m, NC_DEV_MEM, NULL);

	ret->boot = gmem_total(m->mem);
	ret->later = d ? d->cfg->mem.size : 0;
	ret->plugged = d ? mem_plugged(d->vdev) : 0;
}

/* The first console: where a kernel's messages go. */
static struct vdev *first_console(const struct machine *m)
{
	for (unsigned i = 0; i < m->ndevs; i++)
		if (m->dev[i].transport && m->dev[i].cfg->type == NC_DEV_CONSOLE)
			return m->dev[i].vdev;
	return NULL;
}

size_t machine_console_tail(const struct machine *m, char *dst, size_t size)
{
	struct vdev *d = first_console(m);

	dst[0] = 0;
	return d ? console_tail(d, dst, size) : 0;
}

int machine_console_attach(struct machine *m, int out, int in, bool once, struct err *e)
{
	struct vdev *d = first_console(m);

	return d ? console_attach(d, out, in, once, e) : err_set(e, ENODEV, "the machine has no console");
}
