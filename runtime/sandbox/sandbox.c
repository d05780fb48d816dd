// SPDX-License-Identifier: Apache-2.0
#include "runtime/sandbox/sandbox.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "runtime/host/sock.h"
#include "runtime/host/spawn.h"
#include "runtime/oci/spec.h"
#include "runtime/sandbox/sandbox_internal.h"
#include "vmm/fs/fs_chan.h"

#define CALL_TIMEOUT_MS 20000
/* What the proxy of a container may ask of its machine. */
#define CONTAINER_MAY (NC_MAY_CONNECT | NC_MAY_SHARE | NC_MAY_WATCH | NC_MAY_QUIT | NC_LIFELINE)

/* The guest kernel's options, each for a reason. */
/* clang-format off */
static const char cmdline[] =
	"console=hvc0 "           /* the virtio console; its last lines are kept for a panic report */
	"quiet loglevel=3 "       /* every line printed costs an exit */
	"panic=-1 "               /* a panic ends the machine at once */
	"reboot=t "               /* a triple fault is the quickest exit of all */
	"tsc=reliable "           /* no watchdog on a clock that the host vouches for */
	"no_timer_check "         /* no loop against a PIT that is not there */
	"rcupdate.rcu_expedited=1 " /* namespaces and mounts without waiting for grace periods */
	"cryptomgr.notests "      /* self-tests at every boot find nothing new */
	"pci=lastbus=0,noearly "  /* one bus: no other need be probed, and none by ports */
	"random.trust_cpu=on "    /* the pool is ready before the first process */
	"virtio_mem.on_demand=1 " /* what can come later comes when what is there runs short … */
	"memory_hotplug.memmap_on_memory=1"; /* … and needs none of that to be described */
/* clang-format on */

static int open_data(const char *name, const char *env, int *ret_fd, struct err *e)
{
	char path[4096];
	int rc = spawn_find_data(name, env, path, sizeof(path), e);

	if (rc < 0)
		return rc;
	*ret_fd = open(path, O_RDONLY | O_CLOEXEC);
	return *ret_fd < 0 ? err_errno(e, errno, "cannot open the guest's %s at %s", name, path)
			   : 0;
}

int sandbox_open_files(struct sandbox *s, struct err *e)
{
	int rc;

	s->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (s->kvm < 0)
		return err_errno(e, errno, "cannot open /dev/kvm");
	rc = s->kernel >= 0 ? 0 : open_data("vmlinux", "HUSK_KERNEL", &s->kernel, e);
	if (rc == 0 && s->initramfs < 0)
		rc = open_data("initramfs", "HUSK_INITRAMFS", &s->initramfs, e);
	return rc;
}

int sandbox_begin(struct sandbox *s, int root, const char *name, struct err *e)
{
	struct spawn sp = { .program = "husk-machine", .cgroup = -1, .detached = true };
	int sock, rc = sandbox_make_dir(root, name, &s->dir, e);

	if (rc < 0)
		return rc;
	if (s->program && *s->program) {
		sp.path = s->program;
		if (access(sp.path, X_OK) < 0)
			return err_errno(e, errno, "%s", sp.path);
	}
	rc = spawn_start(&sp, &s->machine, &sock, e);
	if (rc < 0)
		return rc;
	rc = ncl_new(&s->ctl, sock, e);
	if (rc < 0)
		close(sock);
	return rc;
}

int sandbox_add_disk(struct sandbox *s, const struct diskfile *f, bool readonly, const char *serial,
		     const char **ret_serial, struct err *e)
{
	struct sandbox_disk *d = &s->disks[s->ndisks];

	if (s->ndisks == SANDBOX_MAX_DISKS)
		return err_set(e, E2BIG, "a machine can have %d disks, no more", SANDBOX_MAX_DISKS);
	*d = (struct sandbox_disk){ .file = *f, .readonly = readonly };
	if (serial)
		snprintf(d->serial, sizeof(d->serial), "%s", serial);
	else
		snprintf(d->serial, sizeof(d->serial), "%s%u", s->serials ? s->serials : "husk-disk-", s->ndisks);
	s->ndisks++;
	if (ret_serial)
		*ret_serial = d->serial;
	return 0;
}

static void fill_disk(struct nc_device *to, const struct diskfile *file, bool readonly, const char *serial)
{
	to->disk.size = file->size;
	to->disk.block_size = file->block_size;
	to->disk.phys_size = file->phys_size;
	to->disk.queues = 1;
	to->disk.queue_size = 128;
	to->disk.flags = readonly ? NC_DISK_READONLY : NC_DISK_DISCARD;
	memcpy(to->disk.serial, serial, strlen(serial));
}

static int describe_disk(const struct sandbox_disk *from, struct ncl_desc *d, struct err *e)
{
	struct nc_device *to = ncl_desc_device(d, NC_DEV_DISK, from->serial);

	bug_on(!to);
	fill_disk(to, &from->file, from->readonly, from->serial);
	return ncl_desc_fd(d, from->file.fd, &to->disk.file, e);
}

int sandbox_plug_disk(struct ncl *machine, const struct diskfile *f, bool readonly, const char *serial, struct err *e)
{
	struct nc_device dev;

	bug_on(strlen(serial) > sizeof(dev.disk.serial));
	ncl_device_init(&dev, NC_DEV_DISK, serial);
	fill_disk(&dev, f, readonly, serial);
	dev.disk.file = 0;
	return ncl_device_add(machine, &dev, &f->fd, 1, NULL, CALL_TIMEOUT_MS, e);
}

static void close_disks(struct sandbox *s)
{
	for (unsigned i = 0; i < s->ndisks; i++)
		close_and_reset(&s->disks[i].file.fd);
}

int sandbox_plug_disks(struct sandbox *s, struct err *e)
{
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < s->ndisks; i++)
		rc = sandbox_plug_disk(s->ctl, &s->disks[i].file, s->disks[i].readonly, s->disks[i].serial, e);
	close_disks(s);
	return rc < 0 ? err_wrap(e, rc, "disks") : 0;
}

/* All that there is for later is offered: how much of it is taken is the guest's to know. */
static void describe_later(uint64_t later, struct ncl_desc *d)
{
	struct nc_device *mem = later ? ncl_desc_device(d, NC_DEV_MEM, "memory") : NULL;

	if (mem)
		mem->mem.size = mem->mem.requested = later;
}

static int describe(struct sandbox *s, struct ncl_desc *d, int ready, int log, struct err *e)
{
	struct nc_device *console = ncl_desc_device(d, NC_DEV_CONSOLE, "console");
	struct nc_device *rng = ncl_desc_device(d, NC_DEV_RNG, "rng");
	struct nc_device *vsock = ncl_desc_device(d, NC_DEV_VSOCK, "vsock");
	struct nc_device *fs = ncl_desc_device(d, NC_DEV_FS, SANDBOX_FS_DEVICE);
	struct nc_device *balloon = ncl_desc_device(d, NC_DEV_BALLOON, "balloon");
	int rc;

	bug_on(!console || !rng || !vsock || !fs || !balloon);
	/* Empty: what the guest does not use comes back by itself. Each queue more would cost the start some. */
	balloon->balloon.flags = NC_BALLOON_OOM | NC_BALLOON_REPORT;
	vsock->vsock.cid = SANDBOX_CID;
	snprintf(fs->fs.tag, sizeof(fs->fs.tag), "%s", SANDBOX_FS_TAG);
	fs->fs.queues = 1;
	rc = ncl_desc_fd(d, s->kvm, &d->m.kvm, e);
	if (rc == 0)
		rc = ncl_desc_fd(d, s->kernel, &d->m.kernel, e);
	if (rc == 0)
		rc = ncl_desc_fd(d, s->initramfs, &d->m.initramfs, e);
	if (rc == 0)
		rc = ncl_desc_fd(d, log, &d->m.log, e);
	if (rc == 0)
		rc = ncl_desc_fd(d, ready, &vsock->vsock.ready, e);
	for (unsigned i = 0; rc == 0 && i < s->ndisks; i++)
		rc = describe_disk(&s->disks[i], d, e);
	return rc;
}

int sandbox_build(struct sandbox *s, const char *name, const struct sandbox_shape *shape, int log,
		  int log_level, bool log_json, struct err *e)
{
	_cleanup_free_ struct ncl_desc *d = malloc(sizeof(*d));
	_cleanup_close_ int theirs = -1;
	int pair[2], rc;

	if (!d)
		return err_set(e, ENOMEM, "out of memory");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(e, errno, "socketpair");
	s->ready = pair[0];
	theirs = pair[1];
	ncl_desc_init(d);
	d->m.vcpus = d->m.max_vcpus = shape->vcpus;
	d->m.memory = shape->memory;
	d->m.flags = NC_CREATE_PVPANIC | NC_CREATE_CFG_MEMORY | NC_CREATE_DISKS_COME;
	d->m.log_level = (uint32_t)log_level;
	d->m.log_json = log_json;
	snprintf(d->m.name, sizeof(d->m.name), "%s", name);
	snprintf(d->m.cmdline, sizeof(d->m.cmdline), "%s%s", cmdline, s->parameters ? s->parameters : "");
	describe_later(shape->later, d);
	rc = describe(s, d, theirs, log, e);
	if (rc == 0)
		rc = ncl_create(s->ctl, d, CALL_TIMEOUT_MS, e);
	close_and_reset(&s->kvm);
	close_and_reset(&s->kernel);
	close_and_reset(&s->initramfs);
	close_disks(s);
	return rc;
}

static int listen_as(struct sandbox *s, const char *name, uint32_t mask, struct err *e)
{
	_cleanup_close_ int sock = -1;
	int rc = sock_listen(s->dir, name, &sock, e);

	return rc < 0 ? rc : ncl_client_add(s->ctl, sock, mask, true, CALL_TIMEOUT_MS, e);
}

int sandbox_listen(struct sandbox *s, struct err *e)
{
	int rc = listen_as(s, SANDBOX_MACHINE_SOCK, NC_MAY_CONNECT | NC_MAY_WATCH, e);

	return rc < 0 ? rc : listen_as(s, SANDBOX_JOIN_SOCK, CONTAINER_MAY | NC_MAY_DELEGATE | NC_MAY_DEVICES, e);
}

int sandbox_listen_net(struct sandbox *s, int *ret_fd, struct err *e)
{
	return sock_listen(s->dir, SANDBOX_NET_SOCK, ret_fd, e);
}

int sandbox_lifeline(struct sandbox *s, int *ret_fd, struct err *e)
{
	int pair[2], rc;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(e, errno, "socketpair");
	rc = ncl_client_add(s->ctl, pair[1], CONTAINER_MAY, false, CALL_TIMEOUT_MS, e);
	close(pair[1]);
	if (rc < 0)
		close(pair[0]);
	else
		*ret_fd = pair[0];
	return rc;
}

int sandbox_devices(struct sandbox *s, int *ret_fd, struct err *e)
{
	int pair[2], rc;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(e, errno, "socketpair");
	rc = ncl_client_add(s->ctl, pair[1], NC_MAY_DEVICES, false, CALL_TIMEOUT_MS, e);
	close(pair[1]);
	if (rc < 0)
		close(pair[0]);
	else
		*ret_fd = pair[0];
	return rc;
}

int sandbox_share(struct sandbox *s, const char *name, int fd, bool readonly, bool is_file,
		  bool nocache, uint32_t common, struct err *e)
{
	uint32_t flags = (readonly ? FS_SHARE_READONLY : 0u) | (is_file ? FS_SHARE_FILE : 0u) |
			 (nocache ? FS_SHARE_NOCACHE : 0u);

	return ncl_share_add(s->ctl, SANDBOX_FS_DEVICE, name, fd, flags, common, CALL_TIMEOUT_MS, e);
}

int sandbox_boot(struct sandbox *s, struct err *e)
{
	return ncl_boot(s->ctl, CALL_TIMEOUT_MS, e);
}

void sandbox_close(struct sandbox *s)
{
	ncl_free(s->ctl);
	s->ctl = NULL;
	close_and_reset(&s->ready);
	close_and_reset(&s->kvm);
	close_and_reset(&s->kernel);
	close_and_reset(&s->initramfs);
	close_disks(s);
	close_and_reset(&s->dir);
}
