// SPDX-License-Identifier: Apache-2.0
/* Which block devices of the host a container is given. */
#include "tests/unit/check.h"

#include <fcntl.h>
#include <sys/mount.h>

#include "runtime/container/disks.h"

int sandbox_add_disk(struct sandbox *s, const struct diskfile *f, bool readonly, const char *serial,
		     const char **ret_serial, struct err *e)
{
	(void)s;
	(void)f;
	(void)readonly;
	(void)serial;
	(void)ret_serial;
	return err_set(e, E2BIG, "none is wanted here");
}

#define RULES(...) (struct oci_device_rule[]){ __VA_ARGS__ }
#define ALL(a)	   { .allow = (a), .type = 'a', .major = -1, .minor = -1, .access = "rwm" }
#define B(a, maj, min, acc) { .allow = (a), .type = 'b', .major = (maj), .minor = (min), .access = (acc) }

static void access_by_rules(void **state)
{
	const struct {
		const char *why;
		struct oci_device_rule *rules;
		size_t n;
		const char *want, *meant; /* of a device by its numbers; of the source of a mount */
	} rows[] = {
		{ "none", NULL, 0, "", "" },
		{ "by its numbers", RULES(ALL(false), B(true, 8, 16, "rwm")), 2, "rw", "rw" },
		{ "to read", RULES(ALL(false), B(true, 8, 16, "r")), 2, "r", "r" },
		{ "to read, then to write", RULES(B(true, 8, 16, "r"), B(true, 8, 16, "w")), 2, "rw", "rw" },
		{ "to make a node alone", RULES(B(true, 8, 16, "m")), 1, "", "" },
		{ "everything, as privileged containers have it", RULES(ALL(true)), 1, "", "rw" },
		{ "all of its kind", RULES(B(true, 8, -1, "rwm")), 1, "", "rw" },
		{ "all block devices", RULES(B(true, -1, -1, "rwm")), 1, "", "rw" },
		{ "another", RULES(B(true, 8, 17, "rwm")), 1, "", "" },
		{ "a character device of these numbers",
		  RULES({ .allow = true, .type = 'c', .major = 8, .minor = 16, .access = "rwm" }), 1, "", "" },
		{ "taken away", RULES(B(true, 8, 16, "rwm"), B(false, 8, 16, "w")), 2, "r", "r" },
		{ "taken away by a rule for all", RULES(B(true, 8, 16, "rwm"), ALL(false)), 2, "", "" },
		{ "taken away by a rule for its kind", RULES(B(true, 8, 16, "rwm"), B(false, 8, -1, "w")), 2, "r", "r" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct oci_resources res = { .devices = rows[i].rules, .n_devices = rows[i].n };

		check_row(rows[i].why, strcmp(disks_access(&res, 8, 16, false), rows[i].want) == 0);
		check_row(rows[i].why, strcmp(disks_access(&res, 8, 16, true), rows[i].meant) == 0);
	}
}

/* One disk for all: whatever comes first. */
static void written_by_any(void **state)
{
	struct oci_device_rule all[] = { ALL(true) }, some[] = { ALL(true), B(true, 8, 16, "r") };
	struct oci_device_rule read[] = { B(true, 8, 16, "r") };
	const struct oci_mount ro = { .bind = true, .flags = MS_RDONLY, .block = { .is = true, .major = 8, .minor = 16 } },
			       rro = { .bind = true, .rec_set = MOUNT_ATTR_RDONLY, .block = ro.block },
			       rw = { .bind = true, .block = ro.block },
			       other = { .bind = true, .block = { .is = true, .major = 8, .minor = 17 } },
			       file = { .bind = true };
	struct oci_device dev = { .type = 'b', .major = 8, .minor = 16 };
	const struct {
		const char *why;
		struct oci_device_rule *rules;
		size_t n_rules, n_devices;
		struct oci_mount mounts[3];
		bool want;
	} rows[] = {
		{ "a mount", all, 1, 0, { rw }, true },
		{ "read-only", all, 1, 0, { ro }, false },
		{ "and what is below", all, 1, 0, { rro }, false },
		{ "the second mount", all, 1, 0, { ro, rw }, true },
		{ "the third", all, 1, 0, { rro, ro, rw }, true },
		{ "another device, and a file", all, 1, 0, { ro, other, file }, false },
		{ "no mount may", read, 1, 0, { rw, ro }, false },
		{ "no rule", NULL, 0, 0, { rw }, false },
		{ "an entry that may be read, and a mount", some, 2, 1, { ro, rw }, true },
		{ "an entry that may be read alone", some, 2, 1, { ro }, false },
		{ "an entry that no rule means", all, 1, 1, { ro }, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct oci_mount mounts[3];
		const struct oci_spec spec = { .devices = &dev, .n_devices = rows[i].n_devices, .mounts = mounts, .n_mounts = 3,
					       .res = { .devices = rows[i].rules, .n_devices = rows[i].n_rules } };

		memcpy(mounts, rows[i].mounts, sizeof(mounts));
		check_row(rows[i].why, disks_written(&spec, 8, 16) == rows[i].want);
	}
}

/* Numbers that this host has no device for: the container gets a node with nothing behind it. */
static void what_is_not_there(void **state)
{
	struct oci_device d = { .path = "/dev/x", .type = 'b', .major = 4095, .minor = 1048575 };
	struct oci_device_rule r = B(true, 4095, 1048575, "rwm");
	struct oci_spec spec = { .devices = &d, .n_devices = 1, .res = { .devices = &r, .n_devices = 1 } };
	struct oci_mount m = { .destination = "/x", .source = "/dev/null", .bind = true };
	struct oci_device_rule *rules;
	static struct sandbox s;

	(void)state;
	spec.mounts = &m;
	spec.n_mounts = 1;
	assert_int_equal(disks_open(&s, &spec, AT_FDCWD, &rules, NULL), 0);
	assert_null(d.disk);
	assert_null(r.disk);
	assert_null(rules);
	assert_false(m.block.is); /* a character device */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(access_by_rules),
		cmocka_unit_test(written_by_any),
		cmocka_unit_test(what_is_not_there),
	};

	return cmocka_run_group_tests_name("container_disks", tests, NULL, NULL);
}
