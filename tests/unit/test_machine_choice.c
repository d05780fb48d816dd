// SPDX-License-Identifier: Apache-2.0
/* What a container may ask of its machine, and what the operator's configuration makes of it. */
#include "tests/unit/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "runtime/oci/vm.h"
#include "runtime/sandbox/choice.h"

static char dir[] = "/tmp/husk-choice-XXXXXX";

/* %s: members after "linux", and the test's folder for each @ in them. */
static void fill(char *out, size_t size, const char *from)
{
	size_t n = 0;

	for (; *from && n + sizeof(dir) < size; from++)
		if (*from == '@')
			n += (size_t)snprintf(out + n, size - n, "%s", dir);
		else
			out[n++] = *from;
	out[n] = 0;
}

static int choose(const char *members, const char *config, struct machine_choice *c, struct err *e)
{
	char text[2048], more[1024], conf[1024];
	struct host_config cfg;
	struct oci_spec *s;
	int rc;

	fill(more, sizeof(more), members);
	fill(conf, sizeof(conf), config);
	snprintf(text, sizeof(text),
		 "{\"ociVersion\": \"1.0.0\", \"process\": {\"args\": [\"a\"], \"cwd\": \"/\"}, \"root\": {\"path\": \"/\"},"
		 "\"linux\": {\"namespaces\": [{\"type\": \"pid\"}, {\"type\": \"network\"}, {\"type\": \"mount\"}]%s", more);
	rc = oci_spec_parse(&s, text, strlen(text), "config.json", e);
	if (rc < 0)
		return rc;
	rc = host_config_parse(&cfg, conf, strlen(conf), "/etc/husk/config.json", e);
	if (rc == 0) {
		*c = (struct machine_choice)MACHINE_CHOICE_INIT;
		rc = machine_choose(c, s, &cfg, e);
		host_config_done(&cfg);
	}
	oci_spec_free(s);
	return rc;
}

#define NOTE(k, v) "}, \"annotations\": {\"dev.husk." k "\": \"" v "\"}}"
#define POD(type, memory) "}, \"annotations\": {\"io.kubernetes.cri.container-type\": \"" type "\", " \
	"\"io.kubernetes.cri.sandbox-memory\": \"" memory "\", \"io.kubernetes.cri.sandbox-cpu-quota\": \"50000\", " \
	"\"io.kubernetes.cri.sandbox-cpu-period\": \"100000\"}}"
#define VM(m)      "}, \"vm\": {\"kernel\": {\"path\": \"@/vmlinux\"}, " m "}}"
#define KERNEL(m)  "}, \"vm\": {\"kernel\": {\"path\": \"@/vmlinux\"" m "}}}"
#define PATHS      "{\"paths\": [\"/nowhere\", \"@/\"]}"

static void accepted(void **state)
{
	static const struct {
		const char *why, *members, *config;
		uint32_t vcpus; /* 0: not looked at */
		uint64_t mib;
		const char *parameters;
	} rows[] = {
		{ "nothing asked for", "}}", "{}", 1, 256, "" },
		{ "vCPUs by annotation", NOTE("vcpus", "3"), "{}", 3, 256, "" },
		{ "memory by annotation", NOTE("memory", "300M"), "{}", 1, 300, "" },
		{ "memory in bytes, rounded up", NOTE("memory", "314572801"), "{}", 1, 302, "" },
		{ "as much as is allowed", NOTE("vcpus", "3"), "{\"vcpus\": {\"max\": 3}}", 3, 256, "" },
		{ "the operator's defaults", "}}",
		  "{\"vcpus\": {\"default\": 2}, \"memory\": {\"default\": \"1G\"}}", 2, 1024, "" },
		{ "an annotation below the default", NOTE("memory", "128M"), "{\"memory\": {\"default\": \"1G\"}}", 1, 128, "" },
		{ "a limit beyond the maximum", ", \"resources\": {\"memory\": {\"limit\": 400000000}}}}",
		  "{\"memory\": {\"max\": \"300M\"}}", 1, 300, "" },
		{ "a pod's first container: the limits of all", POD("sandbox", "400000000"), "{}", 1, 512, "" },
		{ "within what is allowed", POD("sandbox", "400000000"), "{\"memory\": {\"max\": \"300M\"}}", 1, 300, "" },
		{ "a pod without limits", POD("sandbox", "0"), "{}", 1, 256, "" },
		{ "no number", POD("sandbox", "4G"), "{}", 1, 256, "" },
		{ "another of the pod's", POD("container", "400000000"), "{}", 1, 256, "" },
		{ "vm", VM("\"hwConfig\": {\"vcpus\": 4, \"memory\": 536870912}"), PATHS, 4, 512, "" },
		{ "vm as Go writes it", VM("\"hwconfig\": {\"vcpus\": 4}"), PATHS, 4, 256, "" },
		{ "parameters, the operator's first", KERNEL(", \"parameters\": [\"a=b\", \"c\"]"),
		  "{\"paths\": [\"@\"], \"kernelParameters\": [\"o\"]}", 1, 256, " o a=b c" },
		{ "an annotation that is allowed", NOTE("kernel_parameters", "x y"),
		  "{\"annotations\": [\"dev.husk.kernel_parameters\"]}", 1, 256, " x y" },
		{ "disks that are allowed", NOTE("disks", "/a:/dev/a"), "{\"annotations\": [\"dev.husk.disks\"]}", 1, 256, "" },
		{ "somebody else's annotation", "}, \"annotations\": {\"dev.huskier.x\": \"1\", \"dev.husk\": \"2\"}}", "{}", 1,
		  256, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct machine_choice c;
		struct err e = ERR_INIT;

		if (choose(rows[i].members, rows[i].config, &c, &e) < 0)
			fail_msg("%s: %s", rows[i].why, e.msg);
		check_row(rows[i].why, c.shape.vcpus == rows[i].vcpus);
		check_row(rows[i].why, c.shape.memory == rows[i].mib << 20);
		check_row(rows[i].why, strcmp(c.parameters, rows[i].parameters) == 0);
		check_row(rows[i].why, (c.kernel >= 0) == (strstr(rows[i].members, "\"vm\"") != NULL));
		machine_choice_done(&c);
	}
}

/* What the machine can take beyond what it begins with. */
static void growth(void **state)
{
	static const struct {
		const char *why, *members, *config;
		uint64_t mib; /* at most; UINT64_MAX: what the host has */
	} rows[] = {
		{ "nothing asked for", "}}", "{}", UINT64_MAX },
		{ "beside a limit, for update", ", \"resources\": {\"memory\": {\"limit\": 400000000}}}}", "{}", UINT64_MAX },
		{ "a default is what it begins with", "}}", "{\"memory\": {\"default\": \"512M\"}}", UINT64_MAX },
		{ "a maximum holds for all of it", "}}", "{\"memory\": {\"max\": \"512M\"}}", 256 },
		{ "in whole blocks", "}}", "{\"memory\": {\"max\": \"500M\"}}", 128 },
		{ "a maximum that it begins with", "}}", "{\"memory\": {\"default\": \"1G\", \"max\": \"1G\"}}", 0 },
		{ "not by the operator", "}}", "{\"memory\": {\"grow\": false}}", 0 },
		{ "the operator's word", "}}", "{\"memory\": {\"grow\": true, \"max\": \"512M\"}}", 256 },
		{ "who says how much has that", NOTE("memory", "300M"), "{}", 0 },
		{ "in vm, too", VM("\"hwConfig\": {\"memory\": 536870912}"), PATHS, 0 },
		{ "a kernel that is not husk's", VM("\"hwConfig\": {\"vcpus\": 1}"), PATHS, 0 },
		{ "that is said to be good for it", VM("\"hwConfig\": {\"vcpus\": 1}"),
		  "{\"paths\": [\"/nowhere\", \"@/\"], \"memory\": {\"grow\": true}}", UINT64_MAX },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct oci_resources none = { .has_memory_limit = false };
		const struct sandbox_shape host = sandbox_shape(&none);
		struct machine_choice c;
		struct err e = ERR_INIT;
		uint64_t all;

		if (choose(rows[i].members, rows[i].config, &c, &e) < 0)
			fail_msg("%s: %s", rows[i].why, e.msg);
		all = host.memory + host.later;
		all = align_down64(all > c.shape.memory ? all - c.shape.memory : 0, MIB(128));
		if (!sandbox_may_reserve())
			all = 0;
		check_row(rows[i].why,
			  c.shape.later == (rows[i].mib == UINT64_MAX ? all : min_t(uint64_t, all, rows[i].mib << 20)));
		machine_choice_done(&c);
	}
}

#define ALLOW_KERNEL "{\"annotations\": [\"dev.husk.kernel\"], \"paths\": [\"@\"]}"

static void refused(void **state)
{
	static const struct {
		const char *why, *members, *config, *text;
	} rows[] = {
		{ "unknown", NOTE("frob", "1"), "{}", "config.json: annotations: dev.husk.frob: there is no such annotation" },
		{ "no vCPU", NOTE("vcpus", "0"), "{}", "annotations: dev.husk.vcpus: \"0\" is not a number from 1 to 64" },
		{ "65 vCPUs", NOTE("vcpus", "65"), "{}", "\"65\" is not a number from 1 to 64" },
		{ "vCPUs with more", NOTE("vcpus", "2 "), "{}", "is not a number from 1 to 64" },
		{ "too many", NOTE("vcpus", "4"), "{\"vcpus\": {\"max\": 3}}",
		  "config.json: annotations: dev.husk.vcpus: 4 are more than the 3 that /etc/husk/config.json allows" },
		{ "too little", NOTE("memory", "127M"), "{}", "annotations: dev.husk.memory: \"127M\" is not bytes" },
		{ "a unit", NOTE("memory", "1T"), "{}", "\"1T\" is not bytes" },
		{ "an overflow", NOTE("memory", "99999999999G"), "{}", "is not bytes" },
		{ "too much", NOTE("memory", "301M"), "{\"memory\": {\"max\": \"300M\"}}",
		  "dev.husk.memory: 302 MiB are more than the 300 MiB that" },
		{ "a kernel unasked", NOTE("kernel", "@/vmlinux"), PATHS,
		  "annotations: dev.husk.kernel: not among the \"annotations\" that /etc/husk/config.json allows" },
		{ "disks, which nobody allowed", NOTE("disks", "/a:/dev/a"), "{}",
		  "annotations: dev.husk.disks: not among the \"annotations\" that /etc/husk/config.json allows" },
		{ "disks, but none", NOTE("disks", " "), "{\"annotations\": [\"dev.husk.disks\"]}",
		  "annotations: dev.husk.disks: \" \" is not FILE:PATH[:ACCESS]" },
		{ "a kernel elsewhere", NOTE("kernel", "/etc/passwd"), ALLOW_KERNEL,
		  "annotations: dev.husk.kernel: /etc/passwd is in none of the folders" },
		{ "a folder with a longer name", NOTE("kernel", "@x/vmlinux"), ALLOW_KERNEL, "is in none of the folders" },
		{ "out of the folder by dots", NOTE("kernel", "@/../passwd"), ALLOW_KERNEL, "@/../passwd: " },
		{ "out of the folder by a link", NOTE("kernel", "@/link"), ALLOW_KERNEL, "@/link: " },
		{ "not root's", NOTE("kernel", "@/theirs"), ALLOW_KERNEL, "@/theirs does not belong to root" },
		{ "writable by others", NOTE("kernel", "@/open"), ALLOW_KERNEL, "@/open can be written by others" },
		{ "a folder", NOTE("kernel", "@/folder"), ALLOW_KERNEL, "@/folder is not a regular file" },
		{ "nothing there", NOTE("kernel", "@/none"), ALLOW_KERNEL, "@/none: No such file" },
		{ "a relative path", NOTE("kernel", "vmlinux"), ALLOW_KERNEL, "\"vmlinux\" is not an absolute path" },
		{ "no folder at all", VM("\"hwConfig\": {}"), "{}", "config.json: vm.kernel.path: " },
		{ "an initrd elsewhere", KERNEL(", \"initrd\": \"/etc/passwd\""), PATHS,
		  "config.json: vm.kernel.initrd: /etc/passwd is in none" },
		{ "husk's own parameter", KERNEL(", \"parameters\": [\"husk.shell\"]"), PATHS,
		  "vm.kernel.parameters[0]: \"husk.shell\" is not one kernel parameter" },
		{ "two in one", KERNEL(", \"parameters\": [\"a husk.shell\"]"), PATHS, "is not one kernel parameter" },
		{ "the agent's arguments", KERNEL(", \"parameters\": [\"--\"]"), PATHS, "is not one kernel parameter" },
		{ "husk's own by annotation", NOTE("kernel_parameters", "a husk.shell"),
		  "{\"annotations\": [\"dev.husk.kernel_parameters\"]}", "dev.husk.kernel_parameters: " },
		{ "another hypervisor", VM("\"hypervisor\": {\"path\": \"/bin/qemu\"}"),
		  "{\"paths\": [\"@\"], \"hypervisor\": \"/x/husk-machine\"}", "vm.hypervisor.path: /bin/qemu is not the" },
		{ "a hypervisor's parameters", VM("\"hypervisor\": {\"path\": \"/x\", \"parameters\": [\"a\"]}"), PATHS,
		  "vm.hypervisor.parameters: not supported" },
		{ "an image of another format", VM("\"image\": {\"path\": \"/i\", \"format\": \"qcow2\"}"), PATHS,
		  "vm.image.format: qcow2 is not supported, raw is" },
		{ "an image of no format", VM("\"image\": {\"path\": \"/i\", \"format\": \"Raw\"}"), PATHS,
		  "vm.image.format: \"Raw\" is not raw" },
		{ "an image without a format", VM("\"image\": {\"path\": \"/i\"}"), PATHS,
		  "vm.image: format is missing" },
		{ "an image by a relative path", VM("\"image\": {\"path\": \"i\", \"format\": \"raw\"}"), PATHS,
		  "vm.image.path: must be an absolute path" },
		{ "a device tree", VM("\"hwConfig\": {\"deviceTree\": \"/d\"}"), PATHS, "vm.hwConfig.deviceTree: not supported" },
		{ "vm without a kernel", "}, \"vm\": {\"hwConfig\": {\"vcpus\": 1}}}", "{}", "vm: kernel is missing" },
		{ "memory of vm in words", VM("\"hwConfig\": {\"memory\": \"1G\"}"), PATHS,
		  "vm.hwConfig.memory: must be a number" },
		{ "the configuration: unknown field", "}}", "{\"frob\": 1}", "/etc/husk/config.json: frob: unknown field" },
		{ "the configuration: misspelt maximum", "}}", "{\"vcpus\": {\"maximum\": 1}}",
		  "/etc/husk/config.json: vcpus.maximum: unknown field" },
		{ "the configuration: default above", "}}", "{\"vcpus\": {\"default\": 3, \"max\": 2}}",
		  "vcpus: default is above max" },
		{ "the configuration: unknown annotation", "}}", "{\"annotations\": [\"dev.husk.frob\"]}",
		  "annotations[0]: \"dev.husk.frob\" is not an annotation" },
		{ "the configuration: folder", "}}", "{\"paths\": [\"x\"]}", "paths[0]: must be an absolute path" },
		{ "the configuration: growth by a word", "}}", "{\"memory\": {\"grow\": \"no\"}}",
		  "/etc/husk/config.json: memory.grow: must be" },
		{ "the configuration: kind", "}}", "{\"vcpus\": 1}", "vcpus: must be an object" },
		{ "the configuration: its kernel", "}}", "{\"kernel\": \"@/none\"}", "/etc/husk/config.json: kernel: @/none: " },
		{ "the configuration: no object", "}}", "[]", "/etc/husk/config.json: must be an object" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct machine_choice c = MACHINE_CHOICE_INIT;
		struct err e = ERR_INIT;
		char want[400];

		fill(want, sizeof(want), rows[i].text);
		check_row(rows[i].why, choose(rows[i].members, rows[i].config, &c, &e) < 0);
		if (!strstr(e.msg, want))
			fail_msg("%s: \"%s\"", rows[i].why, e.msg);
		machine_choice_done(&c);
	}
}

static void load(void **state)
{
	struct host_config cfg;
	struct err e = ERR_INIT;
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "%s/vmlinux", dir);
	assert_int_equal(host_config_load(&cfg, path, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "/vmlinux: "));
	snprintf(path, sizeof(path), "%s/none", dir);
	assert_int_equal(host_config_load(&cfg, path, &e), -ENOENT);
	snprintf(path, sizeof(path), "%s/open", dir);
	assert_int_equal(host_config_load(&cfg, path, &e), -EPERM);
	snprintf(path, sizeof(path), "%s/theirs", dir);
	assert_int_equal(host_config_load(&cfg, path, &e), -EPERM);
	snprintf(path, sizeof(path), "%s/good", dir);
	assert_int_equal(host_config_load(&cfg, path, &e), 0);
	assert_int_equal(cfg.vcpus_max, 2);
	host_config_done(&cfg);
}

static void make(const char *name, const char *text, mode_t mode, uid_t owner)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(fchown(fd, owner, 0), 0);
	close(fd);
}

static int make_dir(void **state)
{
	char path[64];

	(void)state;
	unsetenv("HUSK_KERNEL");
	unsetenv("HUSK_INITRAMFS");
	assert_non_null(mkdtemp(dir));
	make("vmlinux", "x", 0644, 0);
	make("open", "{}", 0664, 0);
	make("theirs", "{}", 0644, 1000);
	make("good", "{\"vcpus\": {\"max\": 2}}", 0600, 0);
	snprintf(path, sizeof(path), "%s/folder", dir);
	assert_int_equal(mkdir(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/link", dir);
	return symlink("/etc/passwd", path);
}

static int remove_dir(void **state)
{
	static const char *const names[] = { "vmlinux", "open", "theirs", "good", "link" };
	char path[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	snprintf(path, sizeof(path), "%s/folder", dir);
	rmdir(path);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(accepted), cmocka_unit_test(growth),
					    cmocka_unit_test(refused), cmocka_unit_test(load) };

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
