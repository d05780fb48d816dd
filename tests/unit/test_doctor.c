// SPDX-License-Identifier: Apache-2.0
/* What husk doctor says of a bundle. The host's lines are looked at by tests/cli/doctor.bats. */
#include "tests/unit/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/io.h"
#include "runtime/doctor/doctor.h"

/* The host's checks are not under test here. */
#define NO_CHECK(name)                                               \
	void name(struct doctor_line *l, const char *config)         \
	{                                                            \
		doctor_say(l, DOCTOR_OK, NULL, "%s", config ? config : ""); \
	}
NO_CHECK(doctor_kvm)
NO_CHECK(doctor_nx_huge_pages)
NO_CHECK(doctor_calls)
NO_CHECK(doctor_namespaces)
NO_CHECK(doctor_cgroup)
NO_CHECK(doctor_favordynmods)
NO_CHECK(doctor_limits)
NO_CHECK(doctor_memory)
NO_CHECK(doctor_tun)
NO_CHECK(doctor_vhost_net)
NO_CHECK(doctor_programs)
NO_CHECK(doctor_guest)
NO_CHECK(doctor_config)

static char dir[] = "/tmp/husk-doctor-XXXXXX";
static char said[4096];

static void collect(void *arg, const struct doctor_line *l)
{
	size_t n = strlen(said);

	(void)arg;
	snprintf(said + n, sizeof(said) - n, "%d %s: %s\n", (int)l->verdict, l->name, l->found);
}

static void bundles(void **state)
{
	static const struct {
		const char *why, *process, *rest, *text; /* text: all that is said */
	} rows[] = {
		{ "a good one", "", "", "0 config.json: would be accepted\n" },
		{ "a label", ", \"selinuxLabel\": \"x\"", "",
		  "1 process.selinuxLabel: accepted without effect\n0 config.json: would be accepted\n" },
		{ "an empty one", ", \"selinuxLabel\": \"\"", "", "0 config.json: would be accepted\n" },
		{ "unknown", ", \"frob\": 1", "", "1 process.frob: not of the specification: passed over\n"
						"0 config.json: would be accepted\n" },
		{ "refused deep down", "", ", \"vm\": {\"kernel\": {\"path\": \"/k\"}, \"hwConfig\": {\"deviceTree\": \"/d\"}}",
		  "2 vm.hwConfig.deviceTree: refused: not supported\n" },
		{ "refused in an array", "",
		  ", \"mounts\": [{\"destination\": \"/a\", \"type\": \"tmpfs\", \"x-y\": true}]",
		  "1 mounts[0].x-y: not of the specification: passed over\n0 config.json: would be accepted\n" },
		{ "unknown in a hook", "", ", \"hooks\": {\"prestart\": [{\"path\": \"/a\", \"wait\": 1}]}",
		  "1 hooks.prestart[0].wait: not of the specification: passed over\n0 config.json: would be accepted\n" },
		{ "a value", ", \"umask\": 5", ", \"hooks\": {\"prestart\": [{\"path\": \"a\"}]}",
		  "1 process.umask: not of the specification: passed over\n"
		  "2 config.json: refused: config.json: hooks.prestart[0].path: must be an absolute path\n" },
		{ "an annotation", "", ", \"annotations\": {\"dev.husk.frob\": \"1\"}",
		  "2 config.json: refused: config.json: annotations: dev.husk.frob: there is no such annotation of husk's\n" },
		{ "no JSON", "", "}", "2 config.json: line 1: " },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char text[2048], path[64];
		int n = snprintf(text, sizeof(text),
				 "{\"ociVersion\": \"1.0.0\", \"process\": {\"args\": [\"a\"], \"cwd\": \"/\"%s}, \"root\":"
				 " {\"path\":"
				 " \"/\"}, \"linux\": {\"namespaces\": [{\"type\": \"pid\"}, {\"type\": \"network\"}, {\"type\":"
				 " \"mount\"}]}%s}", rows[i].process, rows[i].rest);

		snprintf(path, sizeof(path), "%s/config.json", dir);
		assert_int_equal(io_write_file(AT_FDCWD, path, text, (size_t)n, 0600), 0);
		said[0] = 0;
		doctor_bundle(dir, collect, NULL);
		if (strncmp(said, rows[i].text, strlen(rows[i].text)) != 0 ||
		    (rows[i].text[strlen(rows[i].text) - 1] == '\n' && strlen(said) != strlen(rows[i].text)))
			fail_msg("%s: %s", rows[i].why, said);
	}
	said[0] = 0;
	doctor_bundle("/nonexistent", collect, NULL);
	assert_string_equal(said, "2 config.json: /nonexistent/config.json: No such file or directory\n");
}

static void every_check_has_a_line(void **state)
{
	(void)state;
	said[0] = 0;
	doctor_host("here", collect, NULL);
	assert_non_null(strstr(said, "0 kvm: here\n"));
	assert_non_null(strstr(said, "0 configuration: here\n"));
}

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "%s/config.json", dir);
	unlink(path);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(bundles), cmocka_unit_test(every_check_has_a_line) };

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
