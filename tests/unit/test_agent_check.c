// SPDX-License-Identifier: Apache-2.0
/* What the agent refuses before it does anything: each row is one change to a request that is good. */
#include <linux/seccomp.h>
#include <stdio.h>
#include <sys/mount.h>
#include <time.h>

#include "agent-proto/agent/check.h"
#include "tests/lib/agenthost.h"
#include "tests/unit/check.h"

static char longtext[AGENT_MAX_STRING + 2], longid[AGENT_MAX_ID + 2], name256[257], host65[66];
static Husk__Agent__V1__Rlimit lim, *lims[65];
static Husk__Agent__V1__Device dev, *devs[1] = { &dev };
static Husk__Agent__V1__DeviceRule rule, *rules[1] = { &rule };
static Husk__Agent__V1__Container__CgroupValuesEntry val, *vals[1] = { &val };
static Husk__Agent__V1__Container__SysctlEntry sys, *sysctls[1] = { &sys };

static Husk__Agent__V1__IdMapping map, *maps[AGENT_MAX_ID_MAPPINGS + 1];
static Husk__Agent__V1__TimeOffset offset, *offsets[1] = { &offset };
static Husk__Agent__V1__Seccomp filter;
static Husk__Agent__V1__MemoryPolicy policy;
static Husk__Agent__V1__CpuAffinity cpus;
static Husk__Agent__V1__IoPriority io;
static uint8_t insns[(AGENT_MAX_SECCOMP + 1) * 8];

static char *text(const char *s)
{
	static char pool[32][64];
	static unsigned n;

	snprintf(pool[n % 32], sizeof(pool[0]), "%s", s);
	return pool[n++ % 32];
}

static void good(struct ct_request *q) { (void)q; }
static void no_id(struct ct_request *q) { q->id[0] = 0; }
static void slash_id(struct ct_request *q) { strcpy(q->id, "a/b"); }
static void dots_id(struct ct_request *q) { strcpy(q->id, ".."); }
static void space_id(struct ct_request *q) { strcpy(q->id, "a b"); }
static void any_id(struct ct_request *q) { strcpy(q->id, "A-z_0.9+"); }
static void long_id(struct ct_request *q) { q->req.container_id = longid; }
static void no_container(struct ct_request *q) { q->req.container = NULL; }
static void no_process(struct ct_request *q) { q->ct.process = NULL; }
static void no_args(struct ct_request *q) { q->proc.n_args = 0; }
static void nul_arg(struct ct_request *q) { q->args[0].len++; }
static void relative_cwd(struct ct_request *q) { q->proc.cwd = text("tmp"); }
static void no_cwd(struct ct_request *q) { q->proc.cwd = text(""); }
static void no_share(struct ct_request *q) { q->ct.rootfs_share = text(""); }
static void path_share(struct ct_request *q) { q->ct.rootfs_share = text("a/../b"); }
static void up_share(struct ct_request *q) { q->ct.rootfs_share = text(".."); }
static void share_256(struct ct_request *q) { q->ct.rootfs_share = name256; }
static void user_ns(struct ct_request *q) { q->ns[5] = HUSK__AGENT__V1__NAMESPACE__NS_USER; }
static void time_ns(struct ct_request *q) { q->ns[5] = HUSK__AGENT__V1__NAMESPACE__NS_TIME; }
static void map_user(struct ct_request *q)
{
	user_ns(q);
	q->ct.uid_mappings = q->ct.gid_mappings = maps;
	q->ct.n_uid_mappings = q->ct.n_gid_mappings = 1;
	map.host_id = 100000;
	map.size = 65536;
}
static void map_no_gids(struct ct_request *q)
{
	map_user(q);
	q->ct.n_gid_mappings = 0;
}
static void map_no_ns(struct ct_request *q)
{
	map_user(q);
	q->ns[5] = HUSK__AGENT__V1__NAMESPACE__NS_TIME;
}
static void map_0(struct ct_request *q)
{
	map_user(q);
	map.size = 0;
}
static void map_end(struct ct_request *q)
{
	map_user(q);
	map.host_id = UINT32_MAX - 65535;
}
static void map_many(struct ct_request *q)
{
	map_user(q);
	q->ct.n_uid_mappings = AGENT_MAX_ID_MAPPINGS + 1;
}
static void offset_ok(struct ct_request *q)
{
	time_ns(q);
	q->ct.time_offsets = offsets;
	q->ct.n_time_offsets = 1;
	offset.clock = CLOCK_BOOTTIME;
	offset.nanosecs = 999999999;
}
static void offset_clock(struct ct_request *q)
{
	offset_ok(q);
	offset.clock = CLOCK_REALTIME;
}
static void offset_nanosecs(struct ct_request *q)
{
	offset_ok(q);
	offset.nanosecs++;
}
static void offset_no_ns(struct ct_request *q)
{
	offset_ok(q);
	q->ct.n_new_namespaces = 5;
}
static void filter_ok(struct ct_request *q)
{
	q->ct.seccomp = &filter;
	filter.filter.data = insns;
	filter.filter.len = sizeof(insns) - 8;
	filter.flags = SECCOMP_FILTER_FLAG_LOG;
}
static void filter_long(struct ct_request *q)
{
	filter_ok(q);
	filter.filter.len = sizeof(insns);
}
static void filter_odd(struct ct_request *q)
{
	filter_ok(q);
	filter.filter.len--;
}
static void filter_none(struct ct_request *q)
{
	filter_ok(q);
	filter.filter.len = 0;
}
static void filter_listener(struct ct_request *q)
{
	filter_ok(q);
	filter.flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
}
static void nodes_many(struct ct_request *q)
{
	q->ct.memory_policy = &policy;
	policy.nodes.data = insns;
	policy.nodes.len = AGENT_MAX_CPU_BYTES + 1;
}
static void cpus_many(struct ct_request *q)
{
	q->proc.cpu_affinity = &cpus;
	cpus.final.data = insns;
	cpus.final.len = AGENT_MAX_CPU_BYTES + 1;
}
static void io_ok(struct ct_request *q)
{
	q->proc.io_priority = &io;
	io.class_ = 2;
	io.priority = 7;
}
static void io_class(struct ct_request *q)
{
	io_ok(q);
	io.class_ = 4;
}
static void io_level(struct ct_request *q)
{
	io_ok(q);
	io.priority = 8;
}
static void ns_0(struct ct_request *q) { q->ns[5] = 0; }
static void ns_99(struct ct_request *q) { q->ns[5] = (Husk__Agent__V1__Namespace)99; }
static void ns_minus(struct ct_request *q) { q->ns[5] = (Husk__Agent__V1__Namespace)-1; }
static void ns_twice(struct ct_request *q) { q->ns[5] = q->ns[0]; }
static Husk__Agent__V1__JoinNamespace other, *others[2] = { &other, &other };
static void join_ok(struct ct_request *q) /* in place of the last new one, the cgroup's */
{
	husk__agent__v1__join_namespace__init(&other);
	other.namespace_ = HUSK__AGENT__V1__NAMESPACE__NS_IPC;
	other.container_id = text("x");
	q->ct.join_namespaces = others;
	q->ct.n_join_namespaces = 1;
	q->ns[3] = q->ns[--q->ct.n_new_namespaces];
}
static void join_twice(struct ct_request *q)
{
	join_ok(q);
	q->ct.n_join_namespaces = 2;
}
static void join_new(struct ct_request *q)
{
	join_ok(q);
	other.namespace_ = HUSK__AGENT__V1__NAMESPACE__NS_PID;
}
static void join_mounts(struct ct_request *q)
{
	join_ok(q);
	other.namespace_ = HUSK__AGENT__V1__NAMESPACE__NS_MOUNT;
}
static void join_99(struct ct_request *q)
{
	join_ok(q);
	other.namespace_ = (Husk__Agent__V1__Namespace)99;
}
static void join_nobody(struct ct_request *q)
{
	join_ok(q);
	other.container_id = text("");
}
static void join_userns(struct ct_request *q)
{
	map_user(q);
	q->ns[3] = q->ns[5]; /* a user namespace in the place of that for ipc */
	q->ct.n_new_namespaces = 5;
	husk__agent__v1__join_namespace__init(&other);
	other.namespace_ = HUSK__AGENT__V1__NAMESPACE__NS_IPC;
	other.container_id = text("x");
	q->ct.join_namespaces = others;
	q->ct.n_join_namespaces = 1;
}
static void no_mount_ns(struct ct_request *q) { q->ns[2] = q->ns[--q->ct.n_new_namespaces]; }
static void host_no_uts(struct ct_request *q)
{
	q->ct.hostname = text("h");
	q->ns[4] = q->ns[--q->ct.n_new_namespaces];
}
static void long_host(struct ct_request *q) { q->ct.hostname = host65; }
static void bad_rlimit(struct ct_request *q)
{
	lim.type = text("RLIMIT_NOFILES");
	q->proc.rlimits = lims;
	q->proc.n_rlimits = 1;
}
static void many_rlimits(struct ct_request *q)
{
	lim.type = text("RLIMIT_NOFILE");
	q->proc.rlimits = lims;
	q->proc.n_rlimits = 65;
}
static void oom_1001(struct ct_request *q)
{
	q->proc.has_oom_score_adj = true;
	q->proc.oom_score_adj = 1001;
}
static Husk__Agent__V1__ExtraStream extra[AGENT_MAX_EXTRA + 1], *extras[AGENT_MAX_EXTRA + 1];
static void extra_streams(struct ct_request *q, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		husk__agent__v1__extra_stream__init(&extra[i]);
		extra[i].kind = HUSK__AGENT__V1__STREAM_KIND__STREAM_SOCKET;
		extra[i].token = i + 1;
		extras[i] = &extra[i];
	}
	q->proc.extra_streams = extras;
	q->proc.n_extra_streams = n;
}
static void extra_16(struct ct_request *q) { extra_streams(q, AGENT_MAX_EXTRA); }
static void extra_17(struct ct_request *q) { extra_streams(q, AGENT_MAX_EXTRA + 1); }
static void extra_twice(struct ct_request *q)
{
	extra_streams(q, 3);
	extra[2].token = 1;
}
static void extra_no_token(struct ct_request *q)
{
	extra_streams(q, 1);
	extra[0].token = 0;
}
static void extra_null(struct ct_request *q)
{
	extra_streams(q, 2);
	extra[0].token = extra[1].token = 0;
	extra[0].kind = extra[1].kind = HUSK__AGENT__V1__STREAM_KIND__STREAM_NULL;
}
static void extra_null_token(struct ct_request *q)
{
	extra_streams(q, 1);
	extra[0].kind = HUSK__AGENT__V1__STREAM_KIND__STREAM_NULL;
}
static void extra_kind_5(struct ct_request *q)
{
	extra_streams(q, 1);
	extra[0].kind = (Husk__Agent__V1__StreamKind)5;
}
static void listener(struct ct_request *q, uint32_t family, uint32_t port)
{
	extra_streams(q, 1);
	extra[0].kind = HUSK__AGENT__V1__STREAM_KIND__STREAM_LISTEN;
	extra[0].family = family;
	extra[0].port = port;
}
static void listen_unix(struct ct_request *q) { listener(q, 0, 0); }
static void listen_unix_port(struct ct_request *q) { listener(q, 0, 1); }
static void listen_v4(struct ct_request *q) { listener(q, 4, 65535); }
static void listen_v6(struct ct_request *q) { listener(q, 6, 0); }
static void listen_v5(struct ct_request *q) { listener(q, 5, 80); }
static void listen_far(struct ct_request *q) { listener(q, 4, 65536); }
static void listen_not(struct ct_request *q)
{
	listener(q, 4, 0);
	extra[0].kind = HUSK__AGENT__V1__STREAM_KIND__STREAM_SOCKET;
}
static void listen_no_token(struct ct_request *q)
{
	listener(q, 4, 80);
	extra[0].token = 0;
}
static void extra_kind_minus(struct ct_request *q)
{
	extra_streams(q, 1);
	extra[0].kind = (Husk__Agent__V1__StreamKind)-1;
}
static void rows_65536(struct ct_request *q) { q->proc.rows = 65536; }
static void tty_without(struct ct_request *q) { q->proc.terminal = true; }
static void tty_stderr(struct ct_request *q)
{
	q->proc.terminal = true;
	q->streams.stdin = 1;
	q->streams.stderr = 2;
}
static void same_token(struct ct_request *q) { q->streams.stdout = q->streams.stderr = 7; }
static void no_type(struct ct_request *q) { request_mount(q, "/a", "", "s", 0, ""); }
static void no_dst(struct ct_request *q) { request_mount(q, "", "tmpfs", "s", 0, ""); }
static void bind_path(struct ct_request *q) { request_mount(q, "/a", "bind", "/etc", MS_BIND, ""); }
static void remount_path(struct ct_request *q) { request_mount(q, "/a", "bind", "/etc", MS_REMOUNT, ""); }
static void own_proc(struct ct_request *q) { request_mount(q, "/a", "own", "proc", 0, ""); }
static void own_other(struct ct_request *q) { request_mount(q, "/a", "own", "ext4", 0, ""); }
static Husk__Agent__V1__BlockNode *node(struct ct_request *q)
{
	static Husk__Agent__V1__BlockNode n;

	husk__agent__v1__block_node__init(&n);
	n.disk = text("12345678901234567890");
	n.mode = 0660;
	return request_mount(q, "/a", "own", "dev", 0, "")->block_node = &n;
}
static void node_good(struct ct_request *q) { node(q); }
static void node_numbers(struct ct_request *q)
{
	Husk__Agent__V1__BlockNode *n = node(q);

	n->disk = text("");
	n->major = 4095;
	n->minor = 1048575;
}
static void node_major(struct ct_request *q) { node(q)->major = 4096; }
static void node_minor(struct ct_request *q) { node(q)->minor = -1; }
static void node_mode(struct ct_request *q) { node(q)->mode = 01000; }
static void node_disk(struct ct_request *q) { node(q)->disk = text("123456789012345678901"); }
static void node_share(struct ct_request *q)
{
	Husk__Agent__V1__BlockNode *n = node(q);

	request_mount(q, "/b", "bind", "s", MS_BIND, "")->block_node = n;
}
static void node_other(struct ct_request *q)
{
	Husk__Agent__V1__BlockNode *n = node(q);

	request_mount(q, "/b", "own", "proc", 0, "")->block_node = n;
}
static void node_subpath(struct ct_request *q)
{
	Husk__Agent__V1__BlockNode *n = node(q);
	Husk__Agent__V1__Mount *m = request_mount(q, "/b", "own", "dev", 0, "");

	m->block_node = n;
	m->subpath = text("kmsg");
}
static void long_origin(struct ct_request *q) { request_mount(q, "/a", "tmpfs", "s", 0, "")->origin = longtext; }
static Husk__Agent__V1__Mount__Submount below, *belows[AGENT_MAX_SUBMOUNTS + 1];
static void with_below(struct ct_request *q, const char *path, size_t n)
{
	Husk__Agent__V1__Mount *m = request_mount(q, "/a", "bind", "s", 0, "");

	husk__agent__v1__mount__submount__init(&below);
	below.path = text(path);
	for (size_t i = 0; i < n; i++)
		belows[i] = &below;
	m->submounts = belows;
	m->n_submounts = n;
}
static void below_good(struct ct_request *q) { with_below(q, "a/b", AGENT_MAX_SUBMOUNTS); }
static void below_many(struct ct_request *q) { with_below(q, "a/b", AGENT_MAX_SUBMOUNTS + 1); }
static void below_absolute(struct ct_request *q) { with_below(q, "/a", 1); }
static void below_empty(struct ct_request *q) { with_below(q, "", 1); }
static void below_root(struct ct_request *q)
{
	with_below(q, "/a", 1);
	q->ct.n_mounts--;
	q->ct.rootfs_submounts = belows;
	q->ct.n_rootfs_submounts = 1;
}
static void follow_with(struct ct_request *q, uint32_t follow, const char *share, uint32_t slot, uint32_t parent,
			const char *path)
{
	with_below(q, path, 1);
	q->mounts[q->ct.n_mounts - 1].follow = follow;
	below.share = text(share);
	below.slot = slot;
	below.parent = parent;
}
static void follow_good(struct ct_request *q) { follow_with(q, AGENT_MAX_FOLLOWING, "m", AGENT_MAX_FOLLOWED - 1, 0, ""); }
static void follow_child(struct ct_request *q) { follow_with(q, 1, "m", 1, AGENT_MAX_FOLLOWED, "a/b"); }
static void follow_plain(struct ct_request *q) { follow_with(q, 1, "", 0, 0, "a"); }
static void follow_far(struct ct_request *q) { follow_with(q, AGENT_MAX_FOLLOWING + 1, "m", 0, 0, ""); }
static void follow_slot(struct ct_request *q) { follow_with(q, 1, "m", AGENT_MAX_FOLLOWED, 0, ""); }
static void follow_parent(struct ct_request *q) { follow_with(q, 1, "m", 0, AGENT_MAX_FOLLOWED + 1, ""); }
static void follow_itself(struct ct_request *q) { follow_with(q, 1, "m", 4, 5, ""); }
static void follow_share(struct ct_request *q) { follow_with(q, 1, "../m", 0, 0, "a"); }
static void follow_absolute(struct ct_request *q) { follow_with(q, 1, "m", 0, 0, "/a"); }
static void follow_not(struct ct_request *q) { follow_with(q, 0, "m", 0, 0, "a"); }
static void follow_type(struct ct_request *q) { request_mount(q, "/a", "tmpfs", "s", 0, "")->follow = 1; }
static Husk__Agent__V1__Mount *with_common(struct ct_request *q, const char *type, const char *source)
{
	Husk__Agent__V1__Mount *m = request_mount(q, "/a", type, source, 0, "");

	m->common = text("8:1:2:3:00");
	return m;
}
static void common_bind(struct ct_request *q) { with_common(q, "bind", "s"); }
static void common_tmpfs(struct ct_request *q) { with_common(q, "own", "tmpfs"); }
static void common_own(struct ct_request *q) { with_common(q, "own", "proc"); }
static void common_new(struct ct_request *q) { with_common(q, "tmpfs", "tmpfs"); }
static void common_part(struct ct_request *q) { with_common(q, "bind", "s")->subpath = text("d"); }
static void common_again(struct ct_request *q) { with_common(q, "bind", "s")->flags = MS_REMOUNT | MS_BIND; }
static void common_follow(struct ct_request *q) { with_common(q, "bind", "s")->follow = 1; }
static void common_long(struct ct_request *q) { with_common(q, "bind", "s")->common = longtext; }
static void common_below(struct ct_request *q)
{
	with_below(q, "a/b", 1);
	q->mounts[q->ct.n_mounts - 1].common = text("8:1:2:3:00");
}
static uint64_t steps[AGENT_MAX_PROPAGATION + 1];
static void with_steps(struct ct_request *q, size_t n)
{
	Husk__Agent__V1__Mount *m = request_mount(q, "/a", "tmpfs", "s", 0, "");

	m->more_propagation = steps;
	m->n_more_propagation = n;
}
static void steps_good(struct ct_request *q) { with_steps(q, AGENT_MAX_PROPAGATION); }
static void steps_many(struct ct_request *q) { with_steps(q, AGENT_MAX_PROPAGATION + 1); }
static Husk__Agent__V1__IdMapping range, *ranges[AGENT_MAX_ID_MAPPINGS + 1];
static void with_ids(struct ct_request *q, size_t uids, size_t gids)
{
	Husk__Agent__V1__Mount *m = request_mount(q, "/a", "tmpfs", "s", 0, "");

	husk__agent__v1__id_mapping__init(&range);
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++)
		ranges[i] = &range;
	m->uid_mappings = m->gid_mappings = ranges;
	m->n_uid_mappings = uids;
	m->n_gid_mappings = gids;
}
static void ids_good(struct ct_request *q) { with_ids(q, AGENT_MAX_ID_MAPPINGS, 1); }
static void ids_many(struct ct_request *q) { with_ids(q, 1, AGENT_MAX_ID_MAPPINGS + 1); }
static void ids_alone(struct ct_request *q) { with_ids(q, 1, 0); }
static void long_data(struct ct_request *q) { request_mount(q, "/a", "tmpfs", "s", 0, longtext); }
static void dev_type(struct ct_request *q)
{
	q->ct.devices = devs;
	q->ct.n_devices = 1;
	dev.path = text("/dev/x");
	dev.type = text("cc");
}
static void dev_minor(struct ct_request *q)
{
	dev_type(q);
	dev.type = text("c");
	dev.minor = 1 << 20;
}
static void rule_access(struct ct_request *q)
{
	q->ct.device_rules = rules;
	q->ct.n_device_rules = 1;
	rule.type = text("c");
	rule.access = text("rx");
}
static void group_up(struct ct_request *q) { q->ct.cgroup = text("/a/../../b"); }
static void group_ok(struct ct_request *q) { q->ct.cgroup = text("/a/..b/c"); }
static void value_path(struct ct_request *q)
{
	q->ct.cgroup_values = vals;
	q->ct.n_cgroup_values = 1;
	val.key = text("../cgroup.procs");
	val.value = text("1");
}
static void no_sysctl(struct ct_request *q)
{
	q->ct.sysctl = sysctls;
	q->ct.n_sysctl = 1;
	sys.key = text("");
}

static Husk__Agent__V1__Hook hook, *hooks[AGENT_MAX_HOOKS + 1];
static ProtobufCBinaryData hook_arg;
static void one_hook(struct ct_request *q)
{
	husk__agent__v1__hook__init(&hook);
	for (size_t i = 0; i < ARRAY_SIZE(hooks); i++)
		hooks[i] = &hook;
	hook.path = text("/bin/true");
	q->ct.start_hooks = hooks;
	q->ct.n_start_hooks = 1;
}
static void many_hooks(struct ct_request *q)
{
	one_hook(q);
	q->ct.n_start_hooks = AGENT_MAX_HOOKS + 1;
}
static void hook_relative(struct ct_request *q)
{
	one_hook(q);
	hook.path = text("bin/true");
}
static void hook_nul(struct ct_request *q)
{
	one_hook(q);
	hook_arg = (ProtobufCBinaryData){ .data = (uint8_t *)text("a"), .len = 2 };
	hook.args = &hook_arg;
	hook.n_args = 1;
}

static const struct {
	const char *why;
	void (*change)(struct ct_request *q);
	int rc;
} cases[] = {
	{ "the request that the others change", good, 0 },
	{ "no id", no_id, -EINVAL },
	{ "a path for an id", slash_id, -EINVAL },
	{ "the folder above for an id", dots_id, -EINVAL },
	{ "a space in an id", space_id, -EINVAL },
	{ "all that an id may have", any_id, 0 },
	{ "an id that is too long", long_id, -ENOSPC },
	{ "no container", no_container, -EINVAL },
	{ "no process", no_process, -EINVAL },
	{ "no arguments", no_args, -EINVAL },
	{ "NUL in an argument", nul_arg, -EINVAL },
	{ "a relative working directory", relative_cwd, -EINVAL },
	{ "no working directory", no_cwd, -EINVAL },
	{ "no share", no_share, -EINVAL },
	{ "a path for a share", path_share, -EINVAL },
	{ "the folder above for a share", up_share, -EINVAL },
	{ "a name longer than names are", share_256, -EINVAL },
	{ "a user namespace without maps", user_ns, -EINVAL },
	{ "a user namespace with maps", map_user, 0 },
	{ "maps of users alone", map_no_gids, -EINVAL },
	{ "maps without a namespace", map_no_ns, -EINVAL },
	{ "a map of nothing", map_0, -EINVAL },
	{ "a map beyond the last id", map_end, -EINVAL },
	{ "more maps than the kernel takes", map_many, -ENOSPC },
	{ "a time namespace", time_ns, 0 },
	{ "a time namespace with an offset", offset_ok, 0 },
	{ "an offset of a clock without one", offset_clock, -EINVAL },
	{ "a second of nanoseconds", offset_nanosecs, -EINVAL },
	{ "an offset without a namespace", offset_no_ns, -EINVAL },
	{ "the longest filter", filter_ok, 0 },
	{ "a filter too long", filter_long, -ENOSPC },
	{ "a filter with half an instruction", filter_odd, -EINVAL },
	{ "a filter of nothing", filter_none, -EINVAL },
	{ "a filter with a listener", filter_listener, -EINVAL },
	{ "memory nodes beyond the limit", nodes_many, -ENOSPC },
	{ "CPUs beyond the limit", cpus_many, -ENOSPC },
	{ "an I/O priority", io_ok, 0 },
	{ "an I/O class that is none", io_class, -EINVAL },
	{ "an I/O priority that is none", io_level, -EINVAL },
	{ "namespace 0", ns_0, -EINVAL },
	{ "a namespace from the future", ns_99, -EINVAL },
	{ "a negative namespace", ns_minus, -EINVAL },
	{ "a namespace twice", ns_twice, -EINVAL },
	{ "another container's namespace", join_ok, 0 },
	{ "another's twice", join_twice, -EINVAL },
	{ "another's and a new one", join_new, -EINVAL },
	{ "another's mounts", join_mounts, -EINVAL },
	{ "another's of no kind", join_99, -EINVAL },
	{ "nobody's namespace", join_nobody, -EINVAL },
	{ "another's, under a user namespace", join_userns, -EINVAL },
	{ "no mount namespace", no_mount_ns, -EINVAL },
	{ "a hostname for the whole guest", host_no_uts, -EINVAL },
	{ "a long hostname", long_host, -EINVAL },
	{ "an unknown limit", bad_rlimit, -EINVAL },
	{ "too many limits", many_rlimits, -ENOSPC },
	{ "oom_score_adj out of range", oom_1001, -EINVAL },
	{ "65536 rows", rows_65536, -EINVAL },
	{ "16 more descriptors", extra_16, 0 },
	{ "17 more descriptors", extra_17, -ENOSPC },
	{ "one token for two descriptors", extra_twice, -EINVAL },
	{ "a descriptor without a token", extra_no_token, -EINVAL },
	{ "the null device, twice", extra_null, 0 },
	{ "the null device with a token", extra_null_token, -EINVAL },
	{ "a descriptor of an unknown kind", extra_kind_5, -EINVAL },
	{ "a listening AF_UNIX socket", listen_unix, 0 },
	{ "a listening AF_UNIX socket with a port", listen_unix_port, -EINVAL },
	{ "a listening socket of IPv4, the last port", listen_v4, 0 },
	{ "a listening socket of IPv6, any port", listen_v6, 0 },
	{ "a listening socket of no family", listen_v5, -EINVAL },
	{ "a listening socket past the last port", listen_far, -EINVAL },
	{ "a connected socket with a family", listen_not, -EINVAL },
	{ "a listening socket without a token", listen_no_token, -EINVAL },
	{ "a descriptor of a negative kind", extra_kind_minus, -EINVAL },
	{ "a terminal without a stream", tty_without, -EINVAL },
	{ "a terminal with a stderr", tty_stderr, -EINVAL },
	{ "one token for two streams", same_token, -EINVAL },
	{ "a mount without a type", no_type, -EINVAL },
	{ "a mount without a destination", no_dst, -EINVAL },
	{ "a bind mount of a path", bind_path, -EINVAL },
	{ "long mount options", long_data, -ENOSPC },
	{ "a remount, which has no share", remount_path, 0 },
	{ "one of the guest's own", own_proc, 0 },
	{ "none of the guest's own", own_other, -EINVAL },
	{ "a block device's node", node_good, 0 },
	{ "one by its numbers", node_numbers, 0 },
	{ "a node's major number too large", node_major, -EINVAL },
	{ "a node's minor number negative", node_minor, -EINVAL },
	{ "a node's mode that is more", node_mode, -EINVAL },
	{ "a node's serial too long", node_disk, -EINVAL },
	{ "a node that is a share", node_share, -EINVAL },
	{ "a node that is no device", node_other, -EINVAL },
	{ "a node that is another device", node_subpath, -EINVAL },
	{ "long origin", long_origin, -ENOSPC },
	{ "mounts below a share", below_good, 0 },
	{ "too many of them", below_many, -ENOSPC },
	{ "one that is not below", below_absolute, -EINVAL },
	{ "one without a name", below_empty, -EINVAL },
	{ "one of the root that is not below", below_root, -EINVAL },
	{ "a mount that follows the host's, with one on all of it", follow_good, 0 },
	{ "one that is on another", follow_child, 0 },
	{ "one whose mounts are its share's", follow_plain, 0 },
	{ "too many that follow", follow_far, -EINVAL },
	{ "a slot too far", follow_slot, -EINVAL },
	{ "a parent too far", follow_parent, -EINVAL },
	{ "its own parent", follow_itself, -EINVAL },
	{ "a share that climbs", follow_share, -EINVAL },
	{ "a place that is not below", follow_absolute, -EINVAL },
	{ "a share of its own in a mount that does not follow", follow_not, -EINVAL },
	{ "a tmpfs that follows", follow_type, -EINVAL },
	{ "a share in common", common_bind, 0 },
	{ "a tmpfs in common", common_tmpfs, 0 },
	{ "something else in common", common_own, -EINVAL },
	{ "a new tmpfs in common", common_new, -EINVAL },
	{ "a part in common", common_part, -EINVAL },
	{ "a remount in common", common_again, -EINVAL },
	{ "a mount that follows in common", common_follow, -EINVAL },
	{ "with mounts below it in common", common_below, -EINVAL },
	{ "words in common too long", common_long, -ENOSPC },
	{ "steps of propagation", steps_good, 0 },
	{ "too many of them", steps_many, -ENOSPC },
	{ "id mappings", ids_good, 0 },
	{ "too many of them", ids_many, -ENOSPC },
	{ "of users alone", ids_alone, -EINVAL },
	{ "a device type of two letters", dev_type, -EINVAL },
	{ "a minor beyond the kernel's", dev_minor, -EINVAL },
	{ "a device access that is none", rule_access, -EINVAL },
	{ "a cgroup that climbs", group_up, -EINVAL },
	{ "a cgroup with a name of dots and more", group_ok, 0 },
	{ "a cgroup file elsewhere", value_path, -EINVAL },
	{ "a sysctl without a name", no_sysctl, -EINVAL },
	{ "a hook", one_hook, 0 },
	{ "too many hooks", many_hooks, -ENOSPC },
	{ "a hook with a relative path", hook_relative, -EINVAL },
	{ "NUL in a hook's argument", hook_nul, -EINVAL },
};

static void requests(void **state)
{
	(void)state;
	memset(longtext, 'x', sizeof(longtext) - 1);
	memset(longid, 'x', sizeof(longid) - 1);
	memset(name256, 'x', sizeof(name256) - 1);
	memset(host65, 'x', sizeof(host65) - 1);
	for (size_t i = 0; i < ARRAY_SIZE(lims); i++)
		lims[i] = &lim;
	for (size_t i = 0; i < ARRAY_SIZE(maps); i++)
		maps[i] = &map;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err e = ERR_INIT;
		struct ct_request q;
		int rc;

		husk__agent__v1__rlimit__init(&lim);
		husk__agent__v1__device__init(&dev);
		husk__agent__v1__device_rule__init(&rule);
		husk__agent__v1__container__cgroup_values_entry__init(&val);
		husk__agent__v1__container__sysctl_entry__init(&sys);
		husk__agent__v1__id_mapping__init(&map);
		husk__agent__v1__time_offset__init(&offset);
		husk__agent__v1__seccomp__init(&filter);
		husk__agent__v1__memory_policy__init(&policy);
		husk__agent__v1__cpu_affinity__init(&cpus);
		husk__agent__v1__io_priority__init(&io);
		request_init(&q, "id");
		request_args(&q, "true", NULL);
		cases[i].change(&q);
		rc = check_create(&q.req, &e);
		if (rc != cases[i].rc)
			fail_msg("%s: %d %s", cases[i].why, rc, e.msg);
		check_row(cases[i].why, (rc < 0) == (e.msg[0] != 0));
	}
}

static void ids(void **state)
{
	(void)state;
	assert_int_equal(check_ids("c", "", NULL), 0);
	assert_int_equal(check_ids("c", "e", NULL), 0);
	assert_int_equal(check_ids("", "e", NULL), -EINVAL);
	assert_int_equal(check_ids("c", "../e", NULL), -EINVAL);
}

static void changes_of_mounts(void **state)
{
	static const struct {
		const char *why;
		bool gone;
		uint32_t slot, bind, parent;
		uint64_t flags;
		const char *share, *path;
		int rc;
	} rows[] = {
		{ "one that comes", false, AGENT_MAX_FOLLOWED - 1, AGENT_MAX_FOLLOWING - 1, AGENT_MAX_FOLLOWED - 1, 15, "sm1",
		  "a/b", 0 },
		{ "on all of the bind mount", false, 0, 0, 0, 0, "sm1", "", 0 },
		{ "one that goes", true, AGENT_MAX_FOLLOWED - 1, 0, 0, 0, "", "", 0 },
		{ "goes, and is none", true, AGENT_MAX_FOLLOWED, 0, 0, 0, "", "", -EINVAL },
		{ "comes, and is none", false, AGENT_MAX_FOLLOWED, 0, 0, 0, "sm1", "a", -EINVAL },
		{ "of no bind mount", false, 0, AGENT_MAX_FOLLOWING, 0, 0, "sm1", "a", -EINVAL },
		{ "on no mount", false, 0, 0, AGENT_MAX_FOLLOWED + 1, 0, "sm1", "a", -EINVAL },
		{ "on itself", false, 3, 0, 4, 0, "sm1", "a", -EINVAL },
		{ "no share", false, 0, 0, 0, 0, "", "a", -EINVAL },
		{ "a share that climbs", false, 0, 0, 0, 0, "..", "a", -EINVAL },
		{ "an absolute path", false, 0, 0, 0, 0, "sm1", "/a", -EINVAL },
		{ "a path that climbs", false, 0, 0, 0, 0, "sm1", "a/../b", -EINVAL },
		{ "one that climbs first", false, 0, 0, 0, 0, "sm1", "../b", -EINVAL },
		{ "one that climbs last", false, 0, 0, 0, 0, "sm1", "a/..", -EINVAL },
		{ "names with dots", false, 0, 0, 0, 0, "sm1", "..a/b../c..d/...", 0 },
		{ "flags beyond mount(2)'s", false, 0, 0, 0, UINT64_C(1) << 32, "sm1", "a", -EINVAL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		Husk__Agent__V1__ChangeMountRequest q;

		husk__agent__v1__change_mount_request__init(&q);
		q.gone = rows[i].gone;
		q.slot = rows[i].slot;
		q.bind = rows[i].bind;
		q.parent = rows[i].parent;
		q.flags = rows[i].flags;
		q.share = text(rows[i].share);
		q.path = text(rows[i].path);
		check_row(rows[i].why, check_change_mount(&q, NULL) == rows[i].rc);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(requests), cmocka_unit_test(ids),
					    cmocka_unit_test(changes_of_mounts) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
