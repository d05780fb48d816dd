// SPDX-License-Identifier: Apache-2.0
#include "vmm/core/config.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "vmm/arch/arch.h"

#define KNOWN_FLAGS (NC_CREATE_MERGEABLE | NC_CREATE_THP | NC_CREATE_PVPANIC | NC_CREATE_MAP_FILES | \
		     NC_CREATE_CFG_MEMORY | NC_CREATE_DISKS_COME)

/* The descriptors of the message, and which of them somebody has claimed. */
struct fd_set_in {
	const int *fds;
	size_t n;
	bool used[NC_MAX_FDS];
};

static int take_fd(struct fd_set_in *in, nc_fd ref, const char *what, int *ret, struct err *e)
{
	*ret = -1;
	if (ref == -1)
		return 0;
	if (ref < 0 || (size_t)ref >= in->n)
		return err_set(e, EBADMSG, "%s: descriptor %d of %zu", what, ref, in->n);
	if (in->used[ref])
		return err_set(e, EBADMSG, "%s: descriptor %d is used twice", what, ref);
	in->used[ref] = true;
	*ret = in->fds[ref];
	return 0;
}

static bool terminated(const char *s, size_t size)
{
	return memchr(s, 0, size) != NULL;
}

/* Names go into log lines, thread names and snapshots. */
static bool plain_name(const char *s, size_t size)
{
	if (!terminated(s, size) || !s[0])
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("_-.+", *s))
			return false;
	return true;
}

static int parse_console(const struct nc_device *d, struct fd_set_in *in,
			 struct machine_device *ret, struct err *e)
{
	int rc = take_fd(in, d->console.in, "console input", &ret->console.in, e);

	if (rc == 0)
		rc = take_fd(in, d->console.out, "console output", &ret->console.out, e);
	return rc;
}

static int parse_rng(const struct nc_device *d, struct fd_set_in *in, struct machine_device *ret,
		     struct err *e)
{
	return take_fd(in, d->rng.src, "rng source", &ret->rng.src, e);
}

static int parse_vsock(const struct nc_device *d, struct fd_set_in *in,
		       struct machine_device *ret, struct err *e)
{
	if (d->vsock.cid < 3 || d->vsock.cid > UINT32_MAX - 1)
		return err_set(e, EINVAL, "vsock: cid %llu is not 3 to 4294967294",
			       (unsigned long long)d->vsock.cid);
	if (d->vsock.host_ports > 1)
		return err_set(e, EBADMSG, "vsock: host_ports %u", d->vsock.host_ports);
	ret->vsock.cid = d->vsock.cid;
	ret->vsock.host_ports = d->vsock.host_ports;
	return take_fd(in, d->vsock.ready, "vsock ready socket", &ret->vsock.ready, e);
}

static int parse_fs(const struct nc_device *d, struct fd_set_in *in, struct machine_device *ret,
		    struct err *e)
{
	size_t n = strnlen(d->fs.tag, sizeof(d->fs.tag)); /* 36 bytes and no NUL is allowed */

	(void)in;
	memcpy(ret->fs.tag, d->fs.tag, n);
	ret->fs.tag[n] = 0;
	if (!ret->fs.tag[0])
		return err_set(e, EINVAL, "fs: the tag is empty");
	if (d->fs.queues < 1 || d->fs.queues > 64)
		return err_set(e, EINVAL, "fs: %u queues are not 1 to 64", d->fs.queues);
	ret->fs.queues = d->fs.queues;
	return 0;
}

/* What the numbers may be is the device's to say. */
static int parse_net(const struct nc_device *d, struct fd_set_in *in, struct machine_device *ret,
		     struct err *e)
{
	(void)in;
	if (d->net.queue_size > UINT16_MAX || d->net.pad)
		return err_set(e, EINVAL, "net: queue size %u", d->net.queue_size);
	ret->net = d->net;
	return 0;
}

/* The numbers are the device's to check. */
static int parse_disk(const struct nc_device *d, struct fd_set_in *in, struct machine_device *ret,
		      struct err *e)
{
	const uint32_t known = NC_DISK_READONLY | NC_DISK_DIRECT | NC_DISK_DISCARD | NC_DISK_NO_URING;
	int rc = take_fd(in, d->disk.file, "disk", &ret->disk.fd, e);

	if (rc < 0)
		return rc;
	if (ret->disk.fd < 0)
		return err_set(e, EINVAL, "disk: no descriptor was given");
	if (d->disk.flags & ~known)
		return err_set(e, ENOTSUP, "disk: flags %#x are unknown", d->disk.flags & ~known);
	ret->disk.d = d->disk;
	memcpy(ret->disk.serial, d->disk.serial, sizeof(d->disk.serial));
	ret->disk.serial[sizeof(d->disk.serial)] = 0;
	return 0;
}

static int parse_balloon(const struct nc_device *d, struct fd_set_in *in, struct machine_device *ret,
			 struct err *e)
{
	const uint32_t known = NC_BALLOON_OOM | NC_BALLOON_REPORT | NC_BALLOON_STATS;

	(void)in;
	if (d->balloon.flags & ~known)
		return err_set(e, ENOTSUP, "balloon: flags %#x are unknown", d->balloon.flags & ~known);
	ret->balloon.size = d->balloon.size;
	ret->balloon.flags = d->balloon.flags;
	return 0;
}

static int parse_mem(const struct nc_device *d, struct fd_set_in *in, struct machine_device *ret, struct err *e)
{
	(void)in;
	if (!d->mem.size || d->mem.size % NC_MEM_GRANULE || d->mem.size > (uint64_t)INT64_MAX / 4)
		return err_set(e, EINVAL, "memory: %llu bytes to come are not whole 128 MiB",
			       (unsigned long long)d->mem.size);
	if (d->mem.requested % NC_MEM_GRANULE || d->mem.requested > d->mem.size)
		return err_set(e, EINVAL, "memory: %llu bytes asked for are not whole 128 MiB up to %llu",
			       (unsigned long long)d->mem.requested, (unsigned long long)d->mem.size);
	ret->mem.size = d->mem.size;
	ret->mem.requested = d->mem.requested;
	return 0;
}

static const struct {
	enum nc_dev_type type;
	const char *name;
	int (*parse)(const struct nc_device *d, struct fd_set_in *in, struct machine_device *ret,
		     struct err *e);
} dev_types[] = {
	{ NC_DEV_CONSOLE, "console", parse_console },
	{ NC_DEV_RNG, "rng", parse_rng },
	{ NC_DEV_VSOCK, "vsock", parse_vsock },
	{ NC_DEV_FS, "fs", parse_fs },
	{ NC_DEV_NET, "net", parse_net },
	{ NC_DEV_DISK, "disk", parse_disk },
	{ NC_DEV_BALLOON, "balloon", parse_balloon },
	{ NC_DEV_MEM, "memory", parse_mem },
};

static int check_place(const struct machine_config *c, const struct nc_device *d, struct err *e)
{
	if (!plain_name(d->id, sizeof(d->id)))
		return err_set(e, EINVAL, "device %u: its id is not 1 to 31 of [A-Za-z0-9_.+-]",
			       c->ndevices);
	if (d->slot != -1 && (d->slot < 1 || d->slot > 31))
		return err_set(e, EINVAL, "device %s: PCI slot %d is not 1 to 31", d->id, d->slot);
	for (unsigned i = 0; i < c->ndevices; i++) {
		if (c->dev[i].type == NC_DEV_NONE)
			continue;
		if (!strcmp(c->dev[i].id, d->id))
			return err_set(e, EINVAL, "device id %s is used twice", d->id);
		/* Guests know one vsock device, and commands do not name it. */
		if (c->dev[i].type == NC_DEV_VSOCK && d->type == NC_DEV_VSOCK)
			return err_set(e, EINVAL, "there can be one vsock device");
		if (c->dev[i].type == NC_DEV_MEM && d->type == NC_DEV_MEM)
			return err_set(e, EINVAL, "there can be one memory device");
	}
	return 0;
}

static int parse_device(struct machine_config *c, const struct nc_device *d, struct fd_set_in *in,
			unsigned index, struct err *e)
{
	struct machine_device *ret = &c->dev[index];
	int rc = check_place(c, d, e);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < ARRAY_SIZE(dev_types); i++) {
		if (dev_types[i].type != d->type)
			continue;
		*ret = (struct machine_device){ .slot = d->slot };
		memcpy(ret->id, d->id, strlen(d->id) + 1);
		rc = dev_types[i].parse(d, in, ret, e);
		if (rc < 0)
			return err_wrap(e, rc, "device %s", d->id);
		ret->type = dev_types[i].type;
		c->ndevices = max_t(unsigned, c->ndevices, index + 1);
		return 0;
	}
	return err_set(e, ENOTSUP, "device %s: type %u is unknown", d->id, d->type);
}

static int check_numbers(const struct nc_create *m, struct err *e)
{
	if (m->vcpus < 1 || m->vcpus > ARCH_MAX_VCPUS)
		return err_set(e, EINVAL, "%u vCPUs are not 1 to %u", m->vcpus, ARCH_MAX_VCPUS);
	if (m->max_vcpus != m->vcpus)
		return err_set(e, ENOTSUP, "vCPUs cannot be added later: max must equal boot (%u)",
			       m->vcpus);
	if (m->flags & NC_CREATE_NO_JAIL)
		return err_set(e, ENOTSUP, "this build cannot run without its jail");
	if (m->flags & ~KNOWN_FLAGS)
		return err_set(e, ENOTSUP, "flags %#x are unknown", m->flags & ~KNOWN_FLAGS);
	if (m->ndevices > NC_MAX_DEVICES)
		return err_set(e, EINVAL, "%u devices are more than %u", m->ndevices,
			       NC_MAX_DEVICES);
	if (!terminated(m->cmdline, sizeof(m->cmdline)))
		return err_set(e, EINVAL, "the kernel command line is longer than %zu bytes",
			       sizeof(m->cmdline) - 1);
	if (m->name[0] && !plain_name(m->name, sizeof(m->name)))
		return err_set(e, EINVAL, "the machine's name is not 1 to 63 of [A-Za-z0-9_.+-]");
	return 0;
}

static int take_platform_fds(struct machine_config *c, const struct nc_create *m,
			     struct fd_set_in *in, struct err *e)
{
	const struct {
		nc_fd ref;
		const char *what;
		int *ret;
		bool required;
	} tab[] = {
		{ m->kvm, "KVM", &c->kvm, true },
		{ m->kernel, "kernel", &c->kernel, true },
		{ m->initramfs, "initramfs", &c->initramfs, false },
		{ m->log, "log", &c->log, false },
		{ m->serial_in, "serial input", &c->serial_in, false },
		{ m->serial_out, "serial output", &c->serial_out, false },
		{ m->debug_out, "debug console", &c->debug_out, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(tab); i++) {
		int rc = take_fd(in, tab[i].ref, tab[i].what, tab[i].ret, e);

		if (rc < 0)
			return rc;
		if (tab[i].required && *tab[i].ret < 0)
			return err_set(e, EINVAL, "no descriptor for %s was given", tab[i].what);
	}
	return 0;
}

static int check_all_used(const struct fd_set_in *in, struct err *e)
{
	for (size_t i = 0; i < in->n; i++)
		if (!in->used[i])
			return err_set(e, EBADMSG, "descriptor %zu is used nowhere", i);
	return 0;
}

static int fill(struct machine_config *c, const struct nc_create *m, struct fd_set_in *in,
		struct err *e)
{
	int rc = check_numbers(m, e);

	if (rc == 0)
		rc = take_platform_fds(c, m, in, e);
	for (unsigned i = 0; rc == 0 && i < m->ndevices; i++)
		rc = parse_device(c, &m->dev[i], in, i, e);
	if (rc == 0)
		rc = check_all_used(in, e);
	if (rc < 0)
		return rc;
	c->vcpus = m->vcpus;
	c->memory = m->memory;
	c->flags = m->flags;
	c->log_level = m->log_level;
	c->log_json = m->log_json;
	memcpy(c->cmdline, m->cmdline, strlen(m->cmdline) + 1);
	memcpy(c->name, m->name, strlen(m->name) + 1);
	return 0;
}

int machine_config_parse(struct machine_config **ret, const struct nc_create *m, const int *fds,
			 size_t nfds, struct err *e)
{
	struct fd_set_in in = { .fds = fds, .n = nfds };
	struct machine_config *c;
	int rc;

	if (nfds > NC_MAX_FDS)
		return err_set(e, EBADMSG, "%zu descriptors are more than %d", nfds, NC_MAX_FDS);
	c = calloc(1, sizeof(*c));
	if (!c)
		return err_set(e, ENOMEM, "machine: out of memory");
	rc = fill(c, m, &in, e);
	if (rc < 0) {
		free(c);
		return rc;
	}
	*ret = c;
	return 0;
}

static void close_device(struct machine_device *d)
{
	switch (d->type) {
	case NC_DEV_CONSOLE:
		close_and_reset(&d->console.in);
		close_and_reset(&d->console.out);
		break;
	case NC_DEV_RNG:
		close_and_reset(&d->rng.src);
		break;
	case NC_DEV_VSOCK:
		close_and_reset(&d->vsock.ready);
		break;
	case NC_DEV_DISK:
		close_and_reset(&d->disk.fd);
		break;
	case NC_DEV_FS:
	case NC_DEV_NET:
	case NC_DEV_BALLOON:
	case NC_DEV_MEM:
	case NC_DEV_NONE:
		break;
	}
}

int machine_config_add(struct machine_config *c, const struct nc_device *d, const int *fds, size_t nfds,
		       unsigned *ret_index, struct err *e)
{
	struct fd_set_in in = { .fds = fds, .n = nfds };
	unsigned index = 0;
	int rc;

	while (index < c->ndevices && c->dev[index].type != NC_DEV_NONE)
		index++;
	if (index == NC_MAX_DEVICES)
		return err_set(e, ENOSPC, "device: there are %d already", NC_MAX_DEVICES);
	if (nfds > NC_MAX_FDS)
		return err_set(e, EBADMSG, "%zu descriptors are more than %d", nfds, NC_MAX_FDS);
	rc = parse_device(c, d, &in, index, e);
	if (rc < 0)
		return rc;
	rc = check_all_used(&in, e);
	if (rc < 0)
		c->dev[index].type = NC_DEV_NONE; /* its descriptors stay the caller's */
	else
		*ret_index = index;
	return rc;
}

void machine_config_remove(struct machine_config *c, unsigned index)
{
	close_device(&c->dev[index]);
	c->dev[index] = (struct machine_device){ .type = NC_DEV_NONE };
}

void machine_config_free(struct machine_config *c)
{
	if (!c)
		return;
	for (unsigned i = 0; i < c->ndevices; i++)
		close_device(&c->dev[i]);
	close_and_reset(&c->kvm);
	close_and_reset(&c->kernel);
	close_and_reset(&c->initramfs);
	close_and_reset(&c->log);
	close_and_reset(&c->serial_in);
	close_and_reset(&c->serial_out);
	close_and_reset(&c->debug_out);
	free(c);
}
