// SPDX-License-Identifier: Apache-2.0
#include "vmm/front/disk_option.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/front/keyval.h"

#define FIELD(f) offsetof(struct disk_option, f)
/* Of the rate limiter (vmm/backend/ratelimit.h). */
#define LIMIT_MAX  (1ull << 44)
#define REFILL_MAX 86400000u

static const struct kv_key keys[] = {
	{ "path", KV_STR, FIELD(path), 0, 0, true },
	{ "id", KV_STR, FIELD(id), 0, 0, false },
	{ "serial", KV_STR, FIELD(serial), 0, 0, false },
	{ "readonly", KV_BOOL, FIELD(readonly), 0, 0, false },
	{ "direct", KV_BOOL, FIELD(direct), 0, 0, false },
	{ "sparse", KV_BOOL, FIELD(sparse), 0, 0, false },
	{ "num_queues", KV_UINT, FIELD(queues), 1, 64, false },
	{ "queue_size", KV_UINT, FIELD(queue_size), 4, 1024, false },
	{ "image_type", KV_STR, FIELD(image_type), 0, 0, false },
	{ "lock_granularity", KV_STR, FIELD(lock_granularity), 0, 0, false },
	{ "disable_io_uring", KV_BOOL, FIELD(no_uring), 0, 0, false },
	{ "disable_aio", KV_BOOL, FIELD(no_aio), 0, 0, false }, /* there is none */
	{ "bw_size", KV_UINT, FIELD(bytes.size), 1, LIMIT_MAX, false },
	{ "bw_one_time_burst", KV_UINT, FIELD(bytes.burst), 0, LIMIT_MAX, false },
	{ "bw_refill_time", KV_UINT, FIELD(bytes.refill_ms), 1, REFILL_MAX, false },
	{ "ops_size", KV_UINT, FIELD(ops.size), 1, LIMIT_MAX, false },
	{ "ops_one_time_burst", KV_UINT, FIELD(ops.burst), 0, LIMIT_MAX, false },
	{ "ops_refill_time", KV_UINT, FIELD(ops.refill_ms), 1, REFILL_MAX, false },
	{ .name = "backing_files", .type = KV_UNSUPPORTED },
	{ .name = "iommu", .type = KV_UNSUPPORTED },
	{ .name = "pci_segment", .type = KV_UNSUPPORTED },
	{ .name = "queue_affinity", .type = KV_UNSUPPORTED },
	{ .name = "rate_limit_group", .type = KV_UNSUPPORTED },
	{ .name = "socket", .type = KV_UNSUPPORTED },
	{ .name = "vhost_mode", .type = KV_UNSUPPORTED },
	{ .name = "vhost_user", .type = KV_UNSUPPORTED },
	{ .name = NULL },
};

/* Half a bucket limits nothing. */
static int check_limit(const struct nc_bucket *b, const char *option, const char *what, struct err *e)
{
	if (b->size && !b->refill_ms)
		return err_set(e, EINVAL, "%s: %s_refill_time= is missing beside %s_size", option, what, what);
	if (!b->size && (b->refill_ms || b->burst))
		return err_set(e, EINVAL, "%s: %s_size= is missing beside its other limits", option, what);
	return 0;
}

static int check(const struct disk_option *o, const char *option, struct err *e)
{
	static const char *const others[] = { "qcow2", "vhd", "vhdx", "vmdk" };
	const size_t serial_max = sizeof(((struct nc_disk *)NULL)->serial);

	for (size_t i = 0; o->image_type && i < ARRAY_SIZE(others); i++)
		if (strcmp(o->image_type, others[i]) == 0)
			return err_set(e, ENOTSUP, "%s image_type: %s is not supported, only raw is",
				       option, others[i]);
	if (o->image_type && strcmp(o->image_type, "raw") != 0)
		return err_set(e, EINVAL, "%s image_type: \"%s\" is not raw", option, o->image_type);
	if (o->lock_granularity && strcmp(o->lock_granularity, "byte-range") != 0 &&
	    strcmp(o->lock_granularity, "full") != 0)
		return err_set(e, EINVAL, "%s lock_granularity: \"%s\" is not byte-range or full",
			       option, o->lock_granularity);
	if (!is_pow2_64(o->queue_size))
		return err_set(e, EINVAL, "%s queue_size: %llu is no power of two", option,
			       (unsigned long long)o->queue_size);
	if (o->serial && strlen(o->serial) > serial_max)
		return err_set(e, EINVAL, "%s serial: \"%s\" is longer than %zu bytes", option,
			       o->serial, serial_max);
	if (o->id && strlen(o->id) >= sizeof(((struct nc_device *)NULL)->id))
		return err_set(e, EINVAL, "%s id: \"%s\" is longer than 31 bytes", option, o->id);
	return 0;
}

int disk_option_parse(struct disk_option *o, const char *option, const char *value, struct err *e)
{
	int rc;

	*o = (struct disk_option){ .sparse = true, .queues = 1, .queue_size = 128 };
	rc = kv_parse(option, value, keys, o, e);
	if (rc == 0)
		rc = check_limit(&o->bytes, option, "bw", e);
	if (rc == 0)
		rc = check_limit(&o->ops, option, "ops", e);
	return rc < 0 ? rc : check(o, option, e);
}

void disk_option_done(struct disk_option *o)
{
	free(o->path);
	free(o->id);
	free(o->serial);
	free(o->image_type);
	free(o->lock_granularity);
}

int disk_option_open(const struct disk_option *o, struct diskfile *ret, struct err *e)
{
	bool whole = o->lock_granularity && strcmp(o->lock_granularity, "full") == 0;
	unsigned flags = (o->readonly ? DISKFILE_READONLY : 0u) | (o->direct ? DISKFILE_DIRECT : 0u) |
			 (whole ? 0u : DISKFILE_LOCK_RANGE);
	int rc = diskfile_open(ret, AT_FDCWD, o->path, flags, e);

	return rc < 0 ? err_wrap(e, rc, "--disk") : 0;
}

void disk_option_describe(const struct disk_option *o, const struct diskfile *f, struct nc_disk *ret)
{
	ret->size = f->size;
	ret->flags = (o->readonly ? NC_DISK_READONLY : 0u) | (o->direct ? NC_DISK_DIRECT : 0u) |
		     (o->sparse && !o->readonly ? NC_DISK_DISCARD : 0u) |
		     (o->no_uring ? NC_DISK_NO_URING : 0u);
	ret->block_size = f->block_size;
	ret->phys_size = f->phys_size;
	ret->queues = (uint32_t)o->queues;
	ret->queue_size = (uint32_t)o->queue_size;
	ret->bytes = o->bytes;
	ret->ops = o->ops;
	if (o->serial)
		memcpy(ret->serial, o->serial, strlen(o->serial));
}
