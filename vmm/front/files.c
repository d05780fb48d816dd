// SPDX-License-Identifier: Apache-2.0
#include "vmm/front/files.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/mounttree.h"

static int open_file(const char *option, const char *path, int flags, int *ret, struct err *e)
{
	int fd;

	if (!path)
		return 0;
	fd = open(path, flags | O_CLOEXEC | O_NOCTTY, 0666);
	if (fd < 0)
		return err_errno(e, errno, "%s: cannot open %s", option, path);
	*ret = fd;
	return 0;
}

/* The master side; the other one's name is told to the user. */
static int open_pty(const char *option, int *ret, struct err *e)
{
	_cleanup_close_ int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	char name[64];

	if (fd < 0 || grantpt(fd) < 0 || unlockpt(fd) < 0 || ptsname_r(fd, name, sizeof(name)))
		return err_errno(e, errno, "%s: cannot make a pseudo terminal", option);
	dprintf(STDERR_FILENO, "husk-vmm: %s is at %s\n", option, name);
	*ret = steal_fd(&fd);
	return 0;
}

static int open_port(const char *option, const struct port *p, int *ret, struct err *e)
{
	switch (p->mode) {
	case PORT_FILE:
		return open_file(option, p->path, O_WRONLY | O_CREAT | O_TRUNC, ret, e);
	case PORT_PTY:
		return open_pty(option, ret, e);
	case PORT_OFF:
	case PORT_NULL:
	case PORT_TTY:
		break;
	}
	return 0;
}

static int open_shares(struct files *f, const struct options *o, struct err *e)
{
	for (unsigned i = 0; i < o->nfs; i++) {
		unsigned flags = MOUNTTREE_ALL | (o->fs[i].readonly ? MOUNTTREE_READONLY_ALL : 0u);
		int rc = mounttree_open(AT_FDCWD, o->fs[i].path, flags, &f->fs[i],
					&f->fs_is_dir[i], e);

		if (rc < 0)
			return err_wrap(e, rc, "--fs path");
		if (!f->fs_is_dir[i])
			return err_set(e, ENOTDIR, "--fs path: %s is not a directory",
				       o->fs[i].path);
	}
	return 0;
}

static int open_nets(struct files *f, const struct options *o, struct err *e)
{
	for (; f->nnets < o->nnets; f->nnets++) {
		int rc = front_net_open(&f->net[f->nnets], &o->net[f->nnets], f->nnets, e);

		if (rc < 0)
			return rc;
	}
	return 0;
}

static int open_disks(struct files *f, const struct options *o, struct err *e)
{
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < o->ndisks; i++)
		rc = disk_option_open(&o->disks[i], &f->disks[i], e);
	return rc;
}

int files_open(struct files *f, const struct options *o, struct err *e)
{
	int rc;

	*f = (struct files){ .kvm = -1, .kernel = -1, .initramfs = -1, .rng = -1, .log = -1,
			    .console = -1, .serial = -1, .debug = -1 };
	for (unsigned i = 0; i < OPTIONS_MAX_FS; i++)
		f->fs[i] = -1;
	for (unsigned i = 0; i < OPTIONS_MAX_DISKS; i++)
		f->disks[i].fd = -1;
	rc = open_file("--kernel", o->kernel, O_RDONLY, &f->kernel, e);
	if (rc == 0)
		rc = open_file("--initramfs", o->initramfs, O_RDONLY, &f->initramfs, e);
	if (rc == 0)
		rc = open_file("--rng src", o->rng, O_RDONLY, &f->rng, e);
	if (rc == 0)
		rc = open_file("--log-file", o->log_file, O_WRONLY | O_CREAT | O_APPEND, &f->log,
			       e);
	if (rc == 0)
		rc = open_port("--console", &o->console, &f->console, e);
	if (rc == 0)
		rc = open_port("--serial", &o->serial, &f->serial, e);
	if (rc == 0 && o->serial.mode == PORT_NULL)
		rc = open_file("--serial", "/dev/null", O_WRONLY, &f->serial, e);
	if (rc == 0)
		rc = open_port("--debug-console", &o->debug, &f->debug, e);
	if (rc == 0)
		rc = open_file("KVM", "/dev/kvm", O_RDWR, &f->kvm, e);
	if (rc == 0)
		rc = open_shares(f, o, e);
	if (rc == 0)
		rc = open_nets(f, o, e);
	if (rc == 0)
		rc = open_disks(f, o, e);
	if (rc < 0)
		files_close(f);
	return rc;
}

void files_close(struct files *f)
{
	int *const all[] = { &f->kvm, &f->kernel, &f->initramfs, &f->rng, &f->log,
			     &f->console, &f->serial, &f->debug };

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		close_and_reset(all[i]);
	for (unsigned i = 0; i < OPTIONS_MAX_FS; i++)
		close_and_reset(&f->fs[i]);
	while (f->nnets)
		front_net_close(&f->net[--f->nnets]);
	for (unsigned i = 0; i < OPTIONS_MAX_DISKS; i++)
		close_and_reset(&f->disks[i].fd);
}

/* --- description ------------------------------------------------------------------------------------- */

struct ends {
	int in, out;
};

static struct ends port_ends(const struct port *p, int fd, int tty_in, int tty_out)
{
	switch (p->mode) {
	case PORT_TTY:
		return (struct ends){ tty_in, tty_out };
	case PORT_FILE:
		return (struct ends){ -1, fd };
	case PORT_PTY:
		return (struct ends){ fd, fd };
	case PORT_OFF:
	case PORT_NULL:
		break;
	}
	return (struct ends){ -1, -1 };
}

/* A message carries a descriptor once for each reference: one that is both ends goes twice. */
static int put_ends(struct ncl_desc *d, struct ends x, nc_fd *in, nc_fd *out, struct err *e)
{
	int rc = ncl_desc_fd(d, x.in, in, e);

	return rc < 0 ? rc : ncl_desc_fd(d, x.out, out, e);
}

const char *files_fs_id(const struct options *o, unsigned i, char *buf, size_t size)
{
	if (o->fs[i].id)
		snprintf(buf, size, "%s", o->fs[i].id);
	else
		snprintf(buf, size, "_fs%u", i);
	return buf;
}

static int describe_disks(const struct files *f, const struct options *o, struct ncl_desc *d,
			  struct err *e)
{
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < o->ndisks; i++) {
		struct nc_device *dev;
		char id[32];

		snprintf(id, sizeof(id), "_disk%u", i);
		dev = ncl_desc_device(d, NC_DEV_DISK, o->disks[i].id ? o->disks[i].id : id);
		disk_option_describe(&o->disks[i], &f->disks[i], &dev->disk);
		rc = ncl_desc_fd(d, f->disks[i].fd, &dev->disk.file, e);
	}
	return rc;
}

static int describe_devices(const struct files *f, const struct options *o, struct ends console,
			    struct ncl_desc *d, struct err *e)
{
	struct nc_device *dev;
	int rc = 0;

	if (o->console.mode != PORT_OFF) {
		dev = ncl_desc_device(d, NC_DEV_CONSOLE, "_console");
		rc = put_ends(d, console, &dev->console.in, &dev->console.out, e);
	}
	if (rc == 0) {
		dev = ncl_desc_device(d, NC_DEV_RNG, "_rng");
		rc = ncl_desc_fd(d, f->rng, &dev->rng.src, e);
	}
	if (o->vsock_socket) {
		dev = ncl_desc_device(d, NC_DEV_VSOCK, o->vsock_id ? o->vsock_id : "_vsock");
		dev->vsock.cid = o->vsock_cid;
		dev->vsock.host_ports = 1;
	}
	if (o->balloon) {
		dev = ncl_desc_device(d, NC_DEV_BALLOON, "_balloon");
		dev->balloon.size = o->balloon_size;
		dev->balloon.flags = NC_BALLOON_STATS | (o->balloon_oom ? NC_BALLOON_OOM : 0u) |
				     (o->balloon_report ? NC_BALLOON_REPORT : 0u);
	}
	for (unsigned i = 0; i < o->nfs; i++) {
		char id[32];

		if (strlen(o->fs[i].tag) > sizeof(dev->fs.tag))
			return err_set(e, EINVAL, "--fs tag: \"%s\" is longer than %zu bytes",
				       o->fs[i].tag, sizeof(dev->fs.tag));
		dev = ncl_desc_device(d, NC_DEV_FS, files_fs_id(o, i, id, sizeof(id)));
		memcpy(dev->fs.tag, o->fs[i].tag, strlen(o->fs[i].tag));
		dev->fs.queues = (uint32_t)o->fs[i].queues;
	}
	for (unsigned i = 0; rc == 0 && i < f->nnets; i++)
		rc = front_net_describe(&f->net[i], d, e);
	return rc < 0 ? rc : describe_disks(f, o, d, e);
}

static int describe_files(const struct files *f, struct ncl_desc *d, struct err *e)
{
	const struct {
		int fd;
		nc_fd *ref;
	} tab[] = {
		{ f->kvm, &d->m.kvm },
		{ f->kernel, &d->m.kernel },
		{ f->initramfs, &d->m.initramfs },
		{ f->log, &d->m.log },
	};

	for (size_t i = 0; i < ARRAY_SIZE(tab); i++) {
		int rc = ncl_desc_fd(d, tab[i].fd, tab[i].ref, e);

		if (rc < 0)
			return rc;
	}
	return 0;
}

static int describe_legacy(const struct files *f, const struct options *o, int tty_in,
			   int tty_out, struct ncl_desc *d, struct err *e)
{
	struct ends serial = port_ends(&o->serial, f->serial, tty_in, tty_out);
	struct ends debug = port_ends(&o->debug, f->debug, -1, tty_out);
	int rc;

	/* No descriptor would mean no serial port: one that leads nowhere still exists. */
	if (o->serial.mode == PORT_NULL)
		serial.out = f->serial;
	rc = put_ends(d, serial, &d->m.serial_in, &d->m.serial_out, e);
	if (rc == 0)
		rc = ncl_desc_fd(d, debug.out, &d->m.debug_out, e);
	return rc;
}

int files_describe(const struct files *f, const struct options *o, int tty_in, int tty_out,
		   struct ncl_desc *d, struct err *e)
{
	int rc;

	ncl_desc_init(d);
	d->m.vcpus = d->m.max_vcpus = (uint32_t)o->cpus;
	d->m.memory = o->memory;
	d->m.flags = (o->mergeable ? NC_CREATE_MERGEABLE : 0) | (o->thp ? NC_CREATE_THP : 0) |
		     (o->pvpanic ? NC_CREATE_PVPANIC : 0);
	d->m.log_level = o->verbose == 0 ? LOG_WARN : o->verbose == 1 ? LOG_DEBUG : LOG_TRACE;
	if (o->cmdline) {
		if (strlen(o->cmdline) >= sizeof(d->m.cmdline))
			return err_set(e, E2BIG, "--cmdline: longer than %zu bytes",
				       sizeof(d->m.cmdline) - 1);
		memcpy(d->m.cmdline, o->cmdline, strlen(o->cmdline) + 1);
	}
	rc = describe_files(f, d, e);
	if (rc == 0)
		rc = describe_legacy(f, o, tty_in, tty_out, d, e);
	if (rc == 0)
		rc = describe_devices(f, o, port_ends(&o->console, f->console, tty_in, tty_out), d,
				      e);
	return rc;
}
