// SPDX-License-Identifier: Apache-2.0
/* Each bad row is the good document with one replacement: one step from being accepted. */
#include "tests/unit/check.h"

#include <stdio.h>
#include <sys/mount.h>

#include "runtime/oci/field.h"

static const char good[] =
	"{\"ociVersion\": \"1.0.2\", \"process\": {\"terminal\": false, \"user\": {\"uid\": 1, \"gid\": 2,"
	" \"umask\": 18, \"additionalGids\": [5, 6]}, \"args\": [\"sh\", \"-c\", \"true\"], \"env\": [\"A=b\"],"
	" \"cwd\": \"/\", \"capabilities\": {\"bounding\": [\"CAP_KILL\"]}, \"rlimits\": [{\"type\":"
	" \"RLIMIT_NOFILE\", \"soft\": 10, \"hard\": 20}], \"oomScoreAdj\": 5,"
	" \"scheduler\": {\"policy\": \"SCHED_FIFO\", \"priority\": 3}, \"ioPriority\": {\"class\": \"IOPRIO_CLASS_BE\","
	" \"priority\": 2}, \"execCPUAffinity\": {\"initial\": \"0-2,9\", \"final\": \"1\"}},"
	" \"root\": {\"path\": \"rootfs\", \"readonly\": true}, \"hostname\": \"h\", \"mounts\": ["
	"{\"destination\": \"/proc\", \"type\": \"proc\", \"source\": \"proc\", \"options\": [\"nosuid\"]},"
	"{\"destination\": \"/data\", \"source\": \"/srv\", \"options\": [\"rbind\", \"ro\", \"rslave\", \"x=1\", \"y\"]}],"
	" \"linux\": {\"namespaces\": [{\"type\": \"pid\"}, {\"type\": \"network\"}, {\"type\": \"mount\"}, {\"type\": \"uts\"}],"
	" \"resources\": {\"devices\": [{\"allow\": false, \"access\": \"rwm\"}], \"memory\": {\"limit\": 1000},"
	" \"pids\": {\"limit\": -1}}, \"devices\": [{\"path\": \"/dev/x\", \"type\": \"c\", \"major\": 1,"
	" \"minor\": 3, \"fileMode\": 438}], \"seccomp\": null, \"sysctl\": {\"net.x\": \"1\"}}, \"hooks\": {},"
	" \"x-unknown\": [1, {\"a\": 2}]}";

#define MAP(which, inside, outside, size)                                                          \
	"\"" which "Mappings\": [{\"containerID\": " inside ", \"hostID\": " outside ", \"size\": " size "}]"
#define SECCOMP(action, more) "\"seccomp\": {\"defaultAction\": \"" action "\"" more "}"
#define RULE(action, more)                                                                         \
	SECCOMP("SCMP_ACT_ALLOW", ", \"syscalls\": [{\"names\": [\"read\"], \"action\": \"" action "\"" more "}]")

static void a_good_document_is_read_whole(void **state)
{
	struct err e = ERR_INIT;
	struct oci_spec *s;

	(void)state;
	if (oci_spec_parse(&s, good, strlen(good), "config.json", &e) < 0)
		fail_msg("%s", e.msg);
	assert_string_equal(s->version, "1.0.2");
	assert_string_equal(s->root_path, "rootfs");
	assert_true(s->root_readonly);
	assert_int_equal(s->process.args.n, 3);
	assert_string_equal(s->process.args.v[2], "true");
	assert_int_equal(s->process.user.uid, 1);
	assert_int_equal(s->process.user.umask, 18);
	assert_int_equal(s->process.user.additional_gids[1], 6);
	assert_true(s->process.caps.present);
	assert_int_equal(s->process.caps.bounding, 1u << 5);
	assert_int_equal(s->process.caps.effective, 0);
	assert_int_equal(s->process.rlimits[0].hard, 20);
	assert_int_equal(s->process.oom_score_adj, 5);
	assert_int_equal(s->process.scheduler.priority, 3);
	assert_int_equal(s->process.io_priority.class, 2);
	assert_int_equal(s->process.initial_cpus.len, 2);
	assert_int_equal(s->process.initial_cpus.bits[0], 7);
	assert_int_equal(s->process.initial_cpus.bits[1], 2);
	assert_int_equal(s->process.final_cpus.bits[0], 2);
	assert_false(s->seccomp.present);
	assert_int_equal(s->n_mounts, 2);
	assert_false(s->mounts[0].bind);
	assert_int_equal(s->mounts[0].flags, MS_NOSUID);
	assert_true(s->mounts[1].bind);
	assert_true(s->mounts[1].recursive);
	assert_int_equal(s->mounts[1].flags, MS_RDONLY);
	assert_int_equal(s->mounts[1].n_propagation, 1);
	assert_int_equal(s->mounts[1].propagation[0], MS_SLAVE | MS_REC);
	assert_string_equal(s->mounts[1].data, "x=1,y");
	assert_true(s->ns[OCI_NS_PID].wanted);
	assert_false(s->ns[OCI_NS_IPC].wanted);
	assert_int_equal(s->res.memory_limit, 1000);
	assert_int_equal(s->res.pids_limit, -1);
	assert_int_equal(s->res.devices[0].major, -1);
	assert_int_equal(s->devices[0].mode, 0666);
	assert_string_equal(s->sysctl[0].value, "1");
	oci_spec_free(s);
}

static char *replaced(const char *from, const char *to)
{
	const char *at = strstr(good, from);
	char *text;

	if (!at)
		fail_msg("the good document has no %s", from);
	if (asprintf(&text, "%.*s%s%s", (int)(at - good), good, to, at + strlen(from)) < 0)
		abort();
	return text;
}

static void each_wrong_field_is_named(void **state)
{
	static const struct {
		const char *why, *from, *to, *msg;
	} rows[] = {
		{ "version 2", "1.0.2", "2.0.0", "ociVersion: version \"2.0.0\" is not supported" },
		{ "no version", "\"ociVersion\": \"1.0.2\",", "", "ociVersion is missing" },
		{ "null version", "\"1.0.2\"", "null", "ociVersion is missing" },
		{ "no process", "\"process\"", "\"other\"", "process is missing" },
		{ "no root", "\"root\"", "\"other\"", "root is missing" },
		{ "no linux", "\"linux\"", "\"other\"", "linux is missing" },
		{ "empty root path", "\"rootfs\"", "\"\"", "root: path must not be empty" },
		{ "args of a wrong type", "[\"sh\", \"-c\", \"true\"]", "\"sh\"",
		  "process.args: must be an array, not a string" },
		{ "no args", "[\"sh\", \"-c\", \"true\"]", "[]", "process.args: must not be empty" },
		{ "empty command", "[\"sh\",", "[\"\",", "process.args[0]: must not be empty" },
		{ "NUL in an argument", "\"-c\"", "\"a\\u0000b\"", "process.args[1]: holds a NUL byte" },
		{ "relative cwd", "\"cwd\": \"/\"", "\"cwd\": \"x\"", "process.cwd: must be an absolute path" },
		{ "no cwd", "\"cwd\"", "\"cwx\"", "process: cwd is missing" },
		{ "env without a value", "\"A=b\"", "\"A\"", "process.env[0]: must be NAME=value" },
		{ "env without a name", "\"A=b\"", "\"=b\"", "process.env[0]: must be NAME=value" },
		{ "negative uid", "\"uid\": 1", "\"uid\": -1", "process.user.uid: -1 is out of range" },
		{ "huge uid", "\"uid\": 1", "\"uid\": 4294967296", "is out of range" },
		{ "fraction", "\"uid\": 1", "\"uid\": 1.5", "is no whole number" },
		{ "umask", "18", "512", "process.user.umask: out of range" },
		{ "rlimit name", "RLIMIT_NOFILE", "RLIMIT_FOO", "unknown resource limit \"RLIMIT_FOO\"" },
		{ "rlimit order", "\"soft\": 10", "\"soft\": 30", "soft limit is above the hard limit" },
		{ "rlimit twice", "\"rlimits\": [",
		  "\"rlimits\": [{\"type\": \"RLIMIT_NOFILE\", \"soft\": 1, \"hard\": 2},",
		  "RLIMIT_NOFILE given twice" },
		{ "score", "\"oomScoreAdj\": 5", "\"oomScoreAdj\": 1001", "not between -1000 and 1000" },
		{ "namespace", "\"pid\"}", "\"pids\"}", "unknown namespace \"pids\"" },
		{ "namespace twice", "\"pid\"}", "\"mount\"}", "namespace \"mount\" given twice" },
		{ "policy", "SCHED_FIFO", "SCHED_FOO", "process.scheduler.policy: unknown scheduling policy \"SCHED_FOO\"" },
		{ "policy missing", "\"policy\": \"SCHED_FIFO\",", "", "process.scheduler: policy is missing" },
		{ "nice", "\"SCHED_FIFO\", \"priority\": 3", "\"SCHED_OTHER\", \"nice\": 20", "invalid scheduler.nice: 20" },
		{ "priority of a fair policy", "SCHED_FIFO", "SCHED_BATCH",
		  "scheduler.priority can only be specified for SchedFIFO or SchedRR policy" },
		{ "deadline of another", "\"priority\": 3", "\"deadline\": 3",
		  "can only be specified for SchedDeadline policy" },
		{ "scheduler flag", "\"priority\": 3", "\"flags\": [\"SCHED_FLAG_X\"]", "unknown scheduling flag" },
		{ "I/O class", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_NONE", "unknown ioPriority.class" },
		{ "I/O priority", "\"priority\": 2", "\"priority\": 8", "invalid ioPriority.priority: 8" },
		{ "CPUs backwards", "0-2,9", "2-0", "\"2-0\" is no list of numbers" },
		{ "CPUs with a gap", "0-2,9", "0-2,,9", "is no list of numbers" },
		{ "CPUs that end in a comma", "0-2,9", "0-2,", "is no list of numbers" },
		{ "CPUs of a large machine", "0-2,9", "1024", "is no list of numbers" },
		{ "no CPU", "0-2,9", "a", "is no list of numbers" },
		{ "user namespace without maps", "{\"type\": \"pid\"}", "{\"type\": \"pid\"}, {\"type\": \"user\"}",
		  "user namespaces enabled, but no namespace path to join or mappings to apply specified" },
		{ "a map of nothing", "\"seccomp\": null", MAP("uid", "0", "1000", "0"),
		  "linux.uidMappings[0]: size must not be 0" },
		{ "a map beyond the last id", "\"seccomp\": null", MAP("gid", "0", "4294967295", "1"),
		  "linux.gidMappings[0]: goes beyond the last id" },
		{ "maps of users alone", "{\"type\": \"uts\"}]",
		  "{\"type\": \"uts\"}, {\"type\": \"user\"}], "
		  MAP("uid", "0", "1000", "10"), "gidMappings is missing" },
		{ "maps without root", "{\"type\": \"uts\"}]",
		  "{\"type\": \"uts\"}, {\"type\": \"user\"}], "
		  MAP("uid", "0", "1000", "10") ", " MAP("gid", "1", "1000", "10"), "gidMappings: container id 0 is not mapped" },
		{ "offsets without a time namespace", "\"seccomp\": null", "\"timeOffsets\": {\"boottime\": {\"secs\": 1}}",
		  "time namespace offsets specified, but time namespace isn't enabled in the config" },
		{ "offset of another clock", "\"seccomp\": null", "\"timeOffsets\": {\"realtime\": {\"secs\": 1}}",
		  "linux.timeOffsets.realtime: no clock that has an offset" },
		{ "nanoseconds", "\"seccomp\": null", "\"timeOffsets\": {\"boottime\": {\"nanosecs\": 1000000000}}",
		  "out of range, 0 to 999999999" },
		{ "personality", "\"seccomp\": null", "\"personality\": {\"domain\": \"BSD\"}", "unknown domain \"BSD\"" },
		{ "memory policy", "\"seccomp\": null", "\"memoryPolicy\": {\"mode\": \"MPOL_X\", \"nodes\": \"0\"}",
		  "linux.memoryPolicy.mode: unknown memory policy \"MPOL_X\"" },
		{ "memory nodes", "\"seccomp\": null", "\"memoryPolicy\": {\"mode\": \"MPOL_BIND\", \"nodes\": \"x\"}",
		  "linux.memoryPolicy.nodes: \"x\" is no list of numbers" },
		{ "namespace by a relative path", "{\"type\": \"pid\"}", "{\"type\": \"pid\", \"path\": \"x\"}",
		  "linux.namespaces[0]: path: \"x\" is not absolute" },
		{ "network namespace by a relative path", "{\"type\": \"network\"}",
		  "{\"type\": \"network\", \"path\": \"x\"}",
		  "linux.namespaces[1]: path: \"x\" is not absolute" },
		{ "users of others", "{\"type\": \"uts\"}", "{\"type\": \"uts\"}, {\"type\": \"user\", \"path\": \"/x\"}",
		  "joining a user namespace by path is not supported" },
		{ "a device's name", "\"seccomp\": null", "\"netDevices\": {\"eth 0\": {}}",
		  "invalid network device name \"eth 0\"" },
		{ "a device's name inside", "\"seccomp\": null", "\"netDevices\": {\"eth0\": {\"name\": \"..\"}}",
		  "linux.netDevices.eth0: invalid network device name \"..\"" },
		{ "two devices for one name", "\"seccomp\": null", "\"netDevices\": {\"a\": {\"name\": \"b\"}, \"b\": {}}",
		  "linux.netDevices.b: another is named \"b\"" },
		{ "no devices", "\"seccomp\": null", "\"netDevices\": [\"eth0\"]", "linux.netDevices: must be an object" },
		{ "host network", "{\"type\": \"network\"}, ", "", "sharing the host's network" },
		{ "host processes", "{\"type\": \"pid\"}, ", "", "sharing the host's processes" },
		{ "a hostname for the whole machine", ", {\"type\": \"uts\"}", "",
		  "hostname: unable to set hostname without a private UTS namespace" },
		{ "no mount namespace", ", {\"type\": \"mount\"}", "", "\"mount\" is missing" },
		{ "overlay of host folders", "\"type\": \"proc\"", "\"type\": \"overlay\"",
		  "mounts[0]: type \"overlay\" is not supported: its folders are the host's" },
		{ "file system on a disk", "\"type\": \"proc\"", "\"type\": \"ext4\"",
		  "type \"ext4\" is not supported: its disk is the host's" },
		{ "idmap without mappings", "\"rslave\"", "\"idmap\"",
		  "mounts[1]: id-mapped mounts must have both uid and gid mappings specified" },
		{ "uid mappings alone", "\"source\": \"/srv\"",
		  "\"source\": \"/srv\", \"uidMappings\": [{\"containerID\": 0, \"hostID\": 1, \"size\": 1}]",
		  "id-mapped mounts must have both" },
		{ "gid mappings alone", "\"source\": \"/srv\"",
		  "\"source\": \"/srv\", \"gidMappings\": [{\"containerID\": 0, \"hostID\": 1, \"size\": 1}]",
		  "id-mapped mounts must have both" },
		{ "empty range", "\"source\": \"/srv\"",
		  "\"source\": \"/srv\", \"uidMappings\": [{\"containerID\": 0, \"hostID\": 1, \"size\": 0}]",
		  "mounts[1].uidMappings[0]: size must not be 0" },
		{ "range beyond the last id", "\"source\": \"/srv\"",
		  "\"source\": \"/srv\", \"gidMappings\": [{\"containerID\": 4294967295, \"hostID\": 1,"
		  " \"size\": 1}]",
		  "mounts[1].gidMappings[0]: goes beyond the last id" },
		{ "range without a size", "\"source\": \"/srv\"",
		  "\"source\": \"/srv\", \"uidMappings\": [{\"containerID\": 0, \"hostID\": 1}]",
		  "mounts[1].uidMappings[0]: size is missing" },
		{ "propagation of the root", "\"devices\": [{\"path\"",
		  "\"rootfsPropagation\": \"rfoo\", \"devices\": [{\"path\"",
		  "linux.rootfsPropagation: unknown propagation \"rfoo\"" },
		{ "a bind mount that is to reach the host", "\"rslave\", \"x=1\"", "\"rslave\", \"rshared\"",
		  "mounts[1]: options: \"rshared\": what is mounted in a virtual machine cannot appear on the host" },
		{ "the same without what is below", "\"rslave\", \"x=1\"", "\"shared\", \"x=1\"",
		  "mounts[1]: options: \"shared\": what is mounted" },
		{ "bind without source", "\"source\": \"/srv\",", "", "a bind mount needs a source" },
		{ "mount without type", "\"type\": \"proc\",", "", "mounts[0]: type is missing" },
		{ "mount without destination", "\"destination\": \"/proc\",", "", "destination is missing" },
		{ "seccomp action", "\"seccomp\": null", SECCOMP("SCMP_ACT_FOO", ""),
		  "linux.seccomp.defaultAction: unknown action \"SCMP_ACT_FOO\"" },
		{ "seccomp with an empty default", "\"seccomp\": null",
		  "\"seccomp\": {\"defaultAction\": \"\", \"syscalls\": [{\"names\": [\"read\"], \"action\": \"SCMP_ACT_LOG\"}]}",
		  "linux.seccomp.defaultAction: unknown action \"\"" },
		{ "seccomp without a default", "\"seccomp\": null",
		  "\"seccomp\": {\"syscalls\": [{\"names\": [\"read\"], \"action\": \"SCMP_ACT_LOG\"}]}",
		  "linux.seccomp: defaultAction is missing" },
		{ "seccomp notify", "\"seccomp\": null", SECCOMP("SCMP_ACT_NOTIFY", ""), "SCMP_ACT_NOTIFY is not supported" },
		{ "seccomp listener", "\"seccomp\": null", SECCOMP("SCMP_ACT_ALLOW", ", \"listenerPath\": \"/x\""),
		  "linux.seccomp.listenerPath: not supported" },
		{ "seccomp metadata", "\"seccomp\": null", SECCOMP("SCMP_ACT_ALLOW", ", \"listenerMetadata\": \"x\""),
		  "linux.seccomp.listenerMetadata: not supported" },
		{ "seccomp flag", "\"seccomp\": null", SECCOMP("SCMP_ACT_ALLOW", ", \"flags\": [\"SECCOMP_FILTER_FLAG_X\"]"),
		  "linux.seccomp.flags[0]: unknown flag" },
		{ "seccomp architecture", "\"seccomp\": null", SECCOMP("SCMP_ACT_ALLOW",
		  ", \"architectures\": [\"SCMP_ARCH_Z\"]"),
		  "linux.seccomp.architectures[0]: unknown architecture" },
		{ "seccomp huge errno", "\"seccomp\": null", RULE("SCMP_ACT_ERRNO", ", \"errnoRet\": 4096"),
		  "errnoRet: 4096 is out of range" },
		{ "seccomp index", "\"seccomp\": null",
		  RULE("SCMP_ACT_LOG", ", \"args\": [{\"index\": 6, \"value\": 1, \"op\": \"SCMP_CMP_EQ\"}]"),
		  "args[0].index: a system call has arguments 0 to 5" },
		{ "seccomp operator", "\"seccomp\": null",
		  RULE("SCMP_ACT_LOG", ", \"args\": [{\"index\": 5, \"value\": 1, \"op\": \"SCMP_CMP_X\"}]"),
		  "args[0].op: unknown operator" },
		{ "seccomp negative value", "\"seccomp\": null",
		  RULE("SCMP_ACT_LOG", ", \"args\": [{\"index\": 5, \"value\": -1, \"op\": \"SCMP_CMP_EQ\"}]"),
		  "args[0].value: must be a whole number" },
		{ "hooks of a wrong type", "\"hooks\": {}", "\"hooks\": []", "hooks: must be an object" },
		{ "hooks of one kind", "\"hooks\": {}", "\"hooks\": {\"poststop\": {\"path\": \"/x\"}}",
		  "hooks.poststop: must be an array" },
		{ "a hook without a path", "\"hooks\": {}", "\"hooks\": {\"prestart\": [{\"args\": [\"x\"]}]}",
		  "hooks.prestart[0]: path is missing" },
		{ "a hook to be searched for", "\"hooks\": {}",
		  "\"hooks\": {\"createRuntime\": [{\"path\": \"/x\"}, {\"path\": \"x\"}]}",
		  "hooks.createRuntime[1].path: must be an absolute path" },
		{ "no time for a hook", "\"hooks\": {}",
		  "\"hooks\": {\"poststart\": [{\"path\": \"/x\", \"timeout\": 0}]}",
		  "hooks.poststart[0].timeout: 0 is not between 1 and" },
		{ "vm", "\"hooks\": {}", "\"vm\": {\"kernel\": {\"path\": \"k\"}}", "vm.kernel.path: must be an absolute path" },
		{ "device type", "\"type\": \"c\"", "\"type\": \"q\"", "none of c, b, p, u" },
		{ "device path", "\"/dev/x\"", "\"dev/x\"", "must be an absolute path" },
		{ "device mode", "438", "65536", "is no file mode" },
		{ "sysctl of the whole kernel", "net.x", "vm.x", "sysctl \"vm.x\" is not in a separate kernel namespace" },
		{ "sysctl of an ipc namespace", "net.x", "kernel/shmmax",
		  "sysctl \"kernel/shmmax\" is not allowed in the hosts ipc namespace" },
		{ "sysctl that is a field", "net.x", "kernel.hostname",
		  "is not allowed as it conflicts with the OCI \"hostname\" field" },
		{ "device access", "\"access\": \"rwm\"", "\"access\": \"rwx\"", "more than r, w, m" },
		{ "memory limit", "\"limit\": 1000", "\"limit\": -2", "-2 is negative" },
		{ "cpuset", "\"memory\": {", "\"cpu\": {\"cpus\": \"0-\"}, \"memory\": {",
		  "linux.resources.cpu.cpus: \"0-\" is no list" },
		{ "sysctl type", "\"net.x\": \"1\"", "\"net.x\": 1", "must be a string, not a number" },
		{ "long hostname", "\"hostname\": \"h\"",
		  "\"hostname\": \"hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh\"",
		  "longer than 64 bytes" },
		{ "syntax", "\"hostname\":", "\"hostname\"", "config.json: line 1" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *text = replaced(rows[i].from, rows[i].to);
		struct oci_spec *s = NULL;
		struct err e = ERR_INIT;

		check_row(rows[i].why, oci_spec_parse(&s, text, strlen(text), "config.json", &e) < 0);
		check_row(rows[i].why, s == NULL);
		check_row(rows[i].why, strncmp(e.msg, "config.json: ", 13) == 0);
		if (!strstr(e.msg, rows[i].msg))
			fail_msg("%s: got \"%s\"", rows[i].why, e.msg);
		free(text);
	}
}

static void the_last_option_wins(void **state)
{
	char *text = replaced("\"nosuid\"", "\"ro\", \"nosuid\", \"rw\", \"noexec\", \"exec\"");
	struct oci_spec *s;

	(void)state;
	assert_int_equal(oci_spec_parse(&s, text, strlen(text), "c", NULL), 0);
	assert_int_equal(s->mounts[0].flags, MS_NOSUID);
	assert_int_equal(s->mounts[0].flags_clear, MS_RDONLY | MS_NOEXEC);
	oci_spec_free(s);
	free(text);
}

/* Each word in the place of "nosuid" of the first mount. */
static void option_words(void **state)
{
	const uint64_t at = MOUNT_ATTR__ATIME;
	const struct {
		const char *words;
		uint64_t flags, clear, rec_set, rec_clear;
		const char *data;
	} rows[] = {
		{ "\"rro\"", 0, 0, MOUNT_ATTR_RDONLY, 0, "" },
		{ "\"rro\", \"rrw\"", 0, 0, 0, MOUNT_ATTR_RDONLY, "" },
		{ "\"rrw\", \"rro\"", 0, 0, MOUNT_ATTR_RDONLY, 0, "" },
		{ "\"ro\", \"rrw\"", MS_RDONLY, 0, 0, MOUNT_ATTR_RDONLY, "" },
		{ "\"rnosuid\", \"rnodev\", \"rnoexec\"", 0, 0,
		  MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, 0, "" },
		{ "\"rsuid\", \"rdev\", \"rexec\"", 0, 0, 0,
		  MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, "" },
		{ "\"rnodiratime\", \"rnosymfollow\"", 0, 0, MOUNT_ATTR_NODIRATIME | MOUNT_ATTR_NOSYMFOLLOW, 0, "" },
		{ "\"rdiratime\", \"rsymfollow\"", 0, 0, 0, MOUNT_ATTR_NODIRATIME | MOUNT_ATTR_NOSYMFOLLOW, "" },
		{ "\"rnoatime\"", 0, 0, MOUNT_ATTR_NOATIME, at, "" },
		{ "\"rnoatime\", \"rrelatime\"", 0, 0, MOUNT_ATTR_RELATIME, at, "" },
		{ "\"rnoatime\", \"ratime\"", 0, 0, 0, at, "" },
		{ "\"rstrictatime\"", 0, 0, MOUNT_ATTR_STRICTATIME, at, "" },
		{ "\"rstrictatime\", \"rnostrictatime\"", 0, 0, 0, at, "" },
		{ "\"rnorelatime\"", 0, 0, 0, at, "" },
		{ "\"nosymfollow\", \"lazytime\", \"iversion\"", 256 | 1 << 25 | MS_I_VERSION, 0, 0, 0, "" },
		{ "\"sync\", \"dirsync\", \"mand\", \"silent\"",
		  MS_SYNCHRONOUS | MS_DIRSYNC | MS_MANDLOCK | MS_SILENT, 0, 0, 0, "" },
		{ "\"silent\", \"loud\"", 0, MS_SILENT, 0, 0, "" },
		{ "\"remount\", \"defaults\"", MS_REMOUNT, 0, 0, 0, "" },
		{ "\"size=1\", \"rx\", \"\", \"context=\\\"a:b:c0,c1\\\"\", \"mode=7\"", 0, 0, 0, 0,
		  "size=1,rx,mode=7" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *text = replaced("\"nosuid\"", rows[i].words);
		struct err e = ERR_INIT;
		struct oci_spec *s;

		if (oci_spec_parse(&s, text, strlen(text), "c", &e) < 0)
			fail_msg("%s: %s", rows[i].words, e.msg);
		check_row(rows[i].words, s->mounts[0].flags == rows[i].flags);
		check_row(rows[i].words, s->mounts[0].flags_clear == rows[i].clear);
		check_row(rows[i].words, s->mounts[0].rec_set == rows[i].rec_set);
		check_row(rows[i].words, s->mounts[0].rec_clear == rows[i].rec_clear);
		check_row(rows[i].words, strcmp(s->mounts[0].data, rows[i].data) == 0);
		oci_spec_free(s);
		free(text);
	}
}

static void mounts_with_more_to_say(void **state)
{
	static const char from[] = "\"destination\": \"/data\", \"source\": \"/srv\", \"options\": [";
	char *text = replaced(from, "\"destination\": \"data\", \"source\": \"/srv\", \"uidMappings\": [{\"containerID\": 0,"
				    "\"hostID\": 1000, \"size\": 10}], \"gidMappings\": [{\"containerID\": 5, \"hostID\": 6,"
				    "\"size\": 1}, {\"containerID\": 9, \"hostID\": 9, \"size\": 4294967286}], \"options\": ["
				    "\"ridmap\", \"private\", \"tmpcopyup\", ");
	struct err e = ERR_INIT;
	const struct oci_mount *m;
	struct oci_spec *s;

	(void)state;
	if (oci_spec_parse(&s, text, strlen(text), "c", &e) < 0)
		fail_msg("%s", e.msg);
	m = &s->mounts[1];
	assert_string_equal(m->destination, "/data");
	assert_int_equal(m->n_propagation, 2);
	assert_int_equal(m->propagation[0], MS_PRIVATE);
	assert_int_equal(m->propagation[1], MS_SLAVE | MS_REC);
	assert_true(m->idmap && m->idmap_recursive);
	assert_false(m->copy_up); /* no tmpfs */
	assert_int_equal(m->n_uid_mappings, 1);
	assert_int_equal(m->uid_mappings[0].host_id, 1000);
	assert_int_equal(m->n_gid_mappings, 2);
	assert_int_equal(m->gid_mappings[1].size, 4294967286u);
	oci_spec_free(s);
	free(text);
}

/* Things that are right by themselves: @more of a mount beside a user namespace, or none. */
static void id_mappings_and_user_namespaces(void **state)
{
#define MAPS(id) "\"uidMappings\": [{\"containerID\": 0, \"hostID\": " id ", \"size\": 9}]," \
		 "\"gidMappings\": [{\"containerID\": 0, \"hostID\": " id ", \"size\": 9}]"
	static const struct {
		const char *more;
		bool user;
		uint32_t host_id; /* of the mount's mappings; 0: none, */
		const char *says; /* or why it is refused */
	} rows[] = {
		{ "\"type\": \"tmpfs\"", true, 0, NULL },
		{ "\"type\": \"tmpfs\", " MAPS("2"), false, 2, NULL },
		{ "\"type\": \"tmpfs\", " MAPS("2"), true, 0,
		  "mounts[0]: in a user namespace only bind mounts can be id-mapped" },
		{ "\"type\": \"bind\", \"source\": \"/\", " MAPS("2"), true, 2, NULL },
		{ "\"type\": \"bind\", \"source\": \"/\", \"options\": [\"bind\", \"ridmap\"]", true, 1, NULL },
		{ "\"type\": \"bind\", \"source\": \"/\", \"options\": [\"bind\", \"idmap\"]", false, 0,
		  "mounts[0]: id-mapped mounts must have both" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err e = ERR_INIT;
		struct oci_spec *s = NULL;
		char *text;
		int rc;

		if (asprintf(&text,
			     "{\"ociVersion\": \"1.0.2\", \"process\": {\"args\": [\"sh\"], \"cwd\": \"/\"}, \"root\":"
			     " {\"path\": \"/\"}, \"mounts\": [{\"destination\": \"/t\", %s}],"
			     " \"linux\": {\"namespaces\": [{\"type\": \"pid\"}, {\"type\": \"network\"}, {\"type\":"
			     " \"mount\"}%s}}",
			     rows[i].more, rows[i].user ? ", {\"type\": \"user\"}], " MAPS("1") : "]") < 0)
			abort();
		rc = oci_spec_parse(&s, text, strlen(text), "c", &e);
		if (!rows[i].says && rc < 0)
			fail_msg("%s: %s", rows[i].more, e.msg);
		if (rows[i].says && (rc == 0 || !strstr(e.msg, rows[i].says)))
			fail_msg("%s: %d %s", rows[i].more, rc, e.msg);
		if (rc == 0) {
			assert_int_equal(s->mounts[0].n_uid_mappings, !!rows[i].host_id);
			if (rows[i].host_id) {
				assert_int_equal(s->mounts[0].uid_mappings[0].host_id, rows[i].host_id);
				assert_int_equal(s->mounts[0].gid_mappings[0].host_id, rows[i].host_id);
			}
		}
		oci_spec_free(s);
		free(text);
	}
#undef MAPS
}

static void limits_of_options(void **state)
{
	static const struct {
		const char *why, *word;
		int good, bad;
		const char *msg;
	} rows[] = {
		{ "propagation", "\"shared\"", 64, 65, "mounts[0]: options: more than 64 words of propagation" },
		{ "data", "\"0123456\"", 512, 513, "mounts[0]: options: more than 4096 bytes for the file system" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (int n = rows[i].good; n <= rows[i].bad; n++) {
			char *words = calloc((size_t)n, strlen(rows[i].word) + 2), *text;
			struct err e = ERR_INIT;
			struct oci_spec *s;
			int rc;

			for (int k = 0; k < n; k++)
				sprintf(words + strlen(words), "%s%s", k ? "," : "", rows[i].word);
			text = replaced("\"nosuid\"", words);
			rc = oci_spec_parse(&s, text, strlen(text), "c", &e);
			check_row(rows[i].why, (rc == 0) == (n == rows[i].good));
			if (rc < 0)
				check_row(rows[i].why, strstr(e.msg, rows[i].msg) != NULL);
			else
				oci_spec_free(s);
			free(text);
			free(words);
		}
	}
}

static void the_default_spec_is_accepted(void **state)
{
	(void)state;
	for (int rootless = 0; rootless < 2; rootless++) {
		struct buf b = BUF_INIT(1 << 20);
		struct err e = ERR_INIT;
		struct oci_spec *s;

		assert_int_equal(oci_default_spec(&b, rootless), 0);
		if (oci_spec_parse(&s, (char *)b.data, b.len, "default", &e) < 0)
			fail_msg("%s", e.msg);
		assert_string_equal(s->process.args.v[0], "sh");
		oci_spec_free(s);
		buf_free(&b);
	}
}

static void hooks_are_read(void **state)
{
	char *text = replaced("\"hooks\": {}",
			      "\"hooks\": {\"prestart\": [{\"path\": \"/a\"}, {\"path\": \"/b\", \"args\": [\"b\", \"c\"],"
			      " \"env\": [\"D=e\", \"F\"], \"timeout\": 7}], \"poststop\": []}");
	const struct oci_hook *h;
	struct oci_spec *s;

	(void)state;
	assert_int_equal(oci_spec_parse(&s, text, strlen(text), "c", NULL), 0);
	assert_int_equal(s->hooks.of[OCI_PRESTART].n, 2);
	assert_int_equal(s->hooks.of[OCI_POSTSTOP].n, 0);
	h = s->hooks.of[OCI_PRESTART].v;
	assert_string_equal(h[0].path, "/a");
	assert_int_equal(h[0].args.n + h[0].env.n + h[0].timeout, 0);
	assert_string_equal(h[1].args.v[1], "c");
	assert_string_equal(h[1].env.v[0], "D=e");
	assert_string_equal(h[1].env.v[1], "F");
	assert_int_equal(h[1].timeout, 7);
	oci_spec_free(s);
	free(text);
}

/* As runc, which reads them with a user namespace alone. */
static void maps_without_a_user_namespace_are_nothing(void **state)
{
	char *text = replaced("\"seccomp\": null", MAP("uid", "0", "1000", "10") ", " MAP("gid", "5", "1000", "10"));
	struct err e = ERR_INIT;
	struct oci_spec *s;

	(void)state;
	if (oci_spec_parse(&s, text, strlen(text), "c", &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(s->n_uid_mappings + s->n_gid_mappings, 0);
	oci_spec_free(s);
	free(text);
}

/* A row that is neither ignored nor refused must have somewhere to go. */
static void every_row_has_a_reader_or_a_verdict(void **state)
{
	(void)state;
	for (const struct oci_table *t = oci_tables; t->prefix; t++)
		for (const struct oci_field *f = t->rows; f->name; f++) {
			bool read = f->verdict == OCI_GUEST || f->verdict == OCI_HOST;

			check_row(f->name, read == (f->read != NULL));
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_document_is_read_whole),
		cmocka_unit_test(each_wrong_field_is_named),
		cmocka_unit_test(the_last_option_wins),
		cmocka_unit_test(option_words),
		cmocka_unit_test(mounts_with_more_to_say),
		cmocka_unit_test(limits_of_options),
		cmocka_unit_test(id_mappings_and_user_namespaces),
		cmocka_unit_test(the_default_spec_is_accepted),
		cmocka_unit_test(hooks_are_read),
		cmocka_unit_test(maps_without_a_user_namespace_are_nothing),
		cmocka_unit_test(every_row_has_a_reader_or_a_verdict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
