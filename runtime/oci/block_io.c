// SPDX-License-Identifier: Apache-2.0
/* "linux.resources.blockIO". Whatever a container reads and writes, husk-machine does for it on the host: there are
 * the devices, and there the limits are kept. */
#include "runtime/oci/field.h"

#define MAX_DEVICES 1024

static int read_weight(struct oci_ctx *c, const struct json *v, void *dst)
{
	uint64_t n = 0;
	int rc = oci_read_count(c, v, &n);

	if (rc == 0 && n != 0 && (n < 10 || n > 1000))
		return oci_fail(c, v, "%llu is not from 10 to 1000", (unsigned long long)n);
	if (rc == 0)
		*(uint64_t *)dst = n;
	return rc;
}

/* As the kernel has them: 12 and 20 bits. */
static int read_number(struct oci_ctx *c, const struct json *v, void *dst)
{
	int rc = oci_read_i64(c, v, dst);

	if (rc == 0 && (*(int64_t *)dst < 0 || *(int64_t *)dst >= 1 << 20))
		return oci_fail(c, v, "%.40s is no number of a device", v->str);
	return rc;
}

const struct oci_field oci_block_weight_fields[] = {
	OCI_REQUIRED("major", OCI_HOST, struct oci_block_weight, major, read_number),
	OCI_REQUIRED("minor", OCI_HOST, struct oci_block_weight, minor, read_number),
	OCI_FIELD("weight", OCI_HOST, struct oci_block_weight, weight, read_weight),
	OCI_IGNORE("leafWeight"),
	OCI_END,
};

const struct oci_field oci_block_rate_fields[] = {
	OCI_REQUIRED("major", OCI_HOST, struct oci_block_rate, major, read_number),
	OCI_REQUIRED("minor", OCI_HOST, struct oci_block_rate, minor, read_number),
	OCI_REQUIRED("rate", OCI_HOST, struct oci_block_rate, rate, oci_read_count),
	OCI_END,
};

static int read_device_weight(struct oci_ctx *c, const struct json *v, void *dst)
{
	return oci_read_object(c, v, oci_block_weight_fields, dst);
}

static int read_rate(struct oci_ctx *c, const struct json *v, void *dst)
{
	return oci_read_object(c, v, oci_block_rate_fields, dst);
}

static int read_weights(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_resources *r = dst;
	void *p;
	int rc = oci_read_array(c, v, sizeof(struct oci_block_weight), read_device_weight, &p,
				&r->n_block_weights);

	if (rc == 0)
		r->block_weights = p;
	if (rc == 0 && r->n_block_weights > MAX_DEVICES)
		return oci_fail(c, v, "more than %d devices", MAX_DEVICES);
	return rc;
}

static int read_rates(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_block_rates *r = dst;
	void *p;
	int rc = oci_read_array(c, v, sizeof(struct oci_block_rate), read_rate, &p, &r->n);

	if (rc == 0)
		r->v = p;
	if (rc == 0 && r->n > MAX_DEVICES)
		return oci_fail(c, v, "more than %d devices", MAX_DEVICES);
	return rc;
}

const struct oci_field oci_block_fields[] = {
	OCI_FIELD("weight", OCI_HOST, struct oci_resources, block_weight, read_weight),
	OCI_WHOLE("weightDevice", OCI_HOST, read_weights),
	OCI_FIELD("throttleReadBpsDevice", OCI_HOST, struct oci_resources, block_rates[OCI_READ_BPS],
		  read_rates),
	OCI_FIELD("throttleWriteBpsDevice", OCI_HOST, struct oci_resources, block_rates[OCI_WRITE_BPS],
		  read_rates),
	OCI_FIELD("throttleReadIOPSDevice", OCI_HOST, struct oci_resources, block_rates[OCI_READ_IOPS],
		  read_rates),
	OCI_FIELD("throttleWriteIOPSDevice", OCI_HOST, struct oci_resources, block_rates[OCI_WRITE_IOPS],
		  read_rates),
	/* Version 1 only. */
	OCI_IGNORE("leafWeight"),
	OCI_END,
};

int oci_read_block_io(struct oci_ctx *c, const struct json *v, void *dst)
{
	return oci_read_object(c, v, oci_block_fields, dst);
}
