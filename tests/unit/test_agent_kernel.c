// SPDX-License-Identifier: Apache-2.0
/* What a container asks of the kernel for all its processes: user and time namespaces, a filter of system calls,
 * scheduler and the like; and what its execs have of it. */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <time.h>

#include "tests/lib/agenthost.h"
#include "tests/unit/check.h"

static struct agenthost *h;

/* ---- a request with everything ------------------------------------------------------------------ */

static Husk__Agent__V1__IdMapping uids, gids, *uid_list[] = { &uids }, *gid_list[] = { &gids };
static Husk__Agent__V1__TimeOffset offset, *offsets[] = { &offset };
static Husk__Agent__V1__Device dev, fifo, *devs[] = { &dev, &fifo };
static Husk__Agent__V1__Seccomp filter;
static char dev_path[] = "/dev/mine", fifo_path[] = "/dev/pipe", type_c[] = "c", type_p[] = "p";

static void add_userns(struct ct_request *q)
{
	husk__agent__v1__id_mapping__init(&uids);
	uids.host_id = 100000;
	uids.size = 65536;
	gids = uids;
	gids.host_id = 200000;
	q->ns[q->ct.n_new_namespaces++] = HUSK__AGENT__V1__NAMESPACE__NS_USER;
	q->ct.uid_mappings = uid_list;
	q->ct.gid_mappings = gid_list;
	q->ct.n_uid_mappings = q->ct.n_gid_mappings = 1;
}

static void add_timens(struct ct_request *q)
{
	husk__agent__v1__time_offset__init(&offset);
	offset.clock = CLOCK_BOOTTIME;
	offset.secs = 3000000;
	q->ns[q->ct.n_new_namespaces++] = HUSK__AGENT__V1__NAMESPACE__NS_TIME;
	q->ct.time_offsets = offsets;
	q->ct.n_time_offsets = 1;
}

static void add_devices(struct ct_request *q)
{
	husk__agent__v1__device__init(&dev);
	dev.path = dev_path;
	dev.type = type_c;
	dev.major = 1;
	dev.minor = 5;
	dev.mode = 0640;
	dev.uid = 3;
	dev.gid = 4;
	fifo = dev;
	fifo.path = fifo_path;
	fifo.type = type_p;
	fifo.mode = 0600;
	q->ct.devices = devs;
	q->ct.n_devices = 2;
}

/* sethostname(2) fails with EXDEV, which it never does by itself. */
static struct sock_filter program[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sethostname, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 18),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

static void add_filter(struct ct_request *q)
{
	husk__agent__v1__seccomp__init(&filter);
	filter.filter.data = (uint8_t *)program;
	filter.filter.len = sizeof(program);
	filter.flags = SECCOMP_FILTER_FLAG_LOG;
	q->ct.seccomp = &filter;
}

/* ---- tests -------------------------------------------------------------------------------------- */

/* Each script's output as the container's own process, and then as an exec's. */
static void both(void (*prepare)(struct ct_request *q), const char *script, const char *want)
{
	struct reply made = { 0 }, r[4] = { 0 };
	struct ct_request q;
	char *out;
	int fd;

	if (!h)
		return;
	request_init(&q, "both");
	prepare(&q);
	request_sh(&q, script);
	assert_int_equal(agenthost_run(h, &q, &out), 0);
	if (strcmp(out, want) != 0)
		fail_msg("own process: %s, not %s", out, want);
	free(out);
	request_sh(&q, "sleep 1000");
	q.streams.stdout = 0;
	q.streams.stderr = 0;
	if (request_create(h, &q, &made)->rc < 0)
		fail_msg("%s", made.r.err.msg);
	assert_int_equal(reply_wait(h, &r[0], agent_start(h->c, q.id, "", 0, reply_fn, &r[0], NULL))->rc, 0);
	request_sh(&q, script);
	q.streams.stdout = agenthost_token();
	q.proc.capabilities = NULL;
	fd = agenthost_stream(h, q.streams.stdout);
	if (request_exec(h, &q, "e", &r[1])->rc < 0)
		fail_msg("%s", r[1].r.err.msg);
	out = agenthost_read_all(fd, NULL);
	if (strcmp(out, want) != 0)
		fail_msg("exec: %s, not %s", out, want);
	free(out);
	assert_int_equal(reply_wait(h, &r[3], agent_delete(h->c, q.id, "", reply_fn, &r[3], NULL))->rc, 0);
}

static void user(struct ct_request *q)
{
	add_userns(q);
	add_devices(q);
}
static void a_user_namespace(void **state)
{
	(void)state;
	both(user,
	     "id -u; cat /proc/self/setgroups; echo $(cat /proc/self/uid_map /proc/self/gid_map);"
	     "stat -c '%u:%g %a %t,%T' /dev/mine; stat -c '%u:%g %a %F' /dev/pipe; stat -c %t,%T /dev/null;"
	     ": >/made; stat -c %u:%g /made; echo again >/dev/stdout; grep -c sysfs /proc/self/mountinfo",
	     "0\nallow\n0 100000 65536 0 200000 65536\n3:4 640 1,5\n3:4 600 fifo\n1,3\n0:0\nagain\n1\n");
}

/* Nobody inside, as a device of the host's is. */
static void stranger(struct ct_request *q)
{
	user(q);
	dev.uid = 70000;
}
static void a_device_of_somebody_outside(void **state)
{
	(void)state;
	both(stranger, "stat -c '%u:%g %a %t,%T' /dev/mine", "65534:4 640 1,5\n");
}

/* A group that may be written to is the process's user's, with a user namespace and without. */
static void writable_group(struct ct_request *q)
{
	request_mount(q, "/sys/fs/cgroup", "cgroup", "cgroup", 0, "");
	q->user.uid = 7;
}
static void writable_group_inside(struct ct_request *q)
{
	add_userns(q);
	writable_group(q);
}
static void the_group_is_the_users(void **state)
{
	static const char script[] = "cd /sys/fs/cgroup; stat -c %u . cgroup.procs cgroup.subtree_control cgroup.type;"
				     "mkdir s && rmdir s";

	(void)state;
	both(writable_group, script, "7\n7\n7\n0\n");
	both(writable_group_inside, script, "7\n7\n7\n65534\n");
}

static void user7(struct ct_request *q)
{
	add_userns(q);
	q->user.uid = 7;
}
static void a_user_in_it_owns_its_streams(void **state)
{
	(void)state;
	both(user7, "id -u; echo again >/dev/stdout", "7\nagain\n");
}

/* The group is what the devpts was mounted with. */
static void a_terminal_in_it_is_its_users(void **state)
{
	struct reply made = { 0 }, started = { 0 }, gone = { 0 };
	struct ct_request q;
	char *out;
	int fd;

	(void)state;
	if (!h)
		return;
	request_init(&q, "tty");
	user7(&q);
	request_sh(&q, "stat -c '%u:%g' $(tty); stat -c %t /dev/console");
	q.proc.terminal = true;
	q.streams.stdin = agenthost_token();
	fd = agenthost_stream(h, q.streams.stdin);
	if (request_create(h, &q, &made)->rc < 0)
		fail_msg("%s", made.r.err.msg);
	assert_int_equal(reply_wait(h, &started, agent_start(h->c, q.id, "", 0, reply_fn, &started, NULL))->rc, 0);
	out = agenthost_read_all(fd, NULL);
	assert_string_equal(out, "7:5\r\n88\r\n");
	free(out);
	assert_int_equal(reply_wait(h, &gone, agent_delete(h->c, q.id, "", reply_fn, &gone, NULL))->rc, 0);
}

static void timens(struct ct_request *q)
{
	add_userns(q);
	add_timens(q);
}
static void a_time_namespace(void **state)
{
	(void)state;
	both(timens, "[ $(cut -d. -f1 /proc/uptime) -ge 3000000 ] && echo later", "later\n");
}

static void filtered(struct ct_request *q)
{
	static Husk__Agent__V1__Capabilities none;

	husk__agent__v1__capabilities__init(&none);
	add_filter(q);
	q->user.uid = 7;
	q->proc.capabilities = &none;
}
static void a_filter_needs_no_rights_of_the_process(void **state)
{
	(void)state;
	both(filtered,
	     "hostname x 2>&1 | sed 's/.*: //'; grep -E '^(Seccomp|NoNewPrivs|CapPrm|CapEff):' /proc/self/status | cut -f2",
	     "Invalid cross-device link\n0000000000000000\n0000000000000000\n0\n2\n");
}

static int set_up(void **state)
{
	char script[256];

	(void)state;
	h = agenthost_new();
	if (!h)
		return 0;
	h->c = agenthost_connect(h, NULL, NULL);
	snprintf(script, sizeof(script), "chown -R 100000:200000 %s/shares/root", h->dir);
	return agenthost_sh(h, script);
}

static int tear_down(void **state)
{
	(void)state;
	agenthost_free(h);
	return 0;
}

/* startContainer hooks are the container's programs as any other: the filter holds for them. */
static void hooks_are_filtered(void **state)
{
	static char sh[] = "/bin/sh", flag[] = "-c", script[] = "exec grep -q 'Seccomp:.2' /proc/self/status";
	ProtobufCBinaryData args[] = { { sizeof(sh) - 1, (uint8_t *)sh }, { sizeof(flag) - 1, (uint8_t *)flag },
				       { sizeof(script) - 1, (uint8_t *)script } };
	Husk__Agent__V1__Hook hook, *hooks[] = { &hook };

	(void)state;
	for (int nnp = 0; h && nnp < 2; nnp++) {
		struct ct_request q;
		char *out;

		husk__agent__v1__hook__init(&hook);
		hook.path = sh;
		hook.args = args;
		hook.n_args = ARRAY_SIZE(args);
		hook.env_of_process = true;
		request_init(&q, "filtered");
		add_filter(&q);
		q.user.uid = q.user.gid = 65534;
		q.proc.no_new_privileges = nnp;
		q.ct.start_hooks = hooks;
		q.ct.n_start_hooks = 1;
		request_sh(&q, "grep Seccomp: /proc/self/status");
		assert_int_equal(agenthost_run(h, &q, &out), 0);
		assert_string_equal(out, "Seccomp:\t2\n");
		free(out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_user_namespace),
		cmocka_unit_test(a_device_of_somebody_outside),
		cmocka_unit_test(the_group_is_the_users),
		cmocka_unit_test(a_user_in_it_owns_its_streams),
		cmocka_unit_test(a_terminal_in_it_is_its_users),
		cmocka_unit_test(a_time_namespace),
		cmocka_unit_test(a_filter_needs_no_rights_of_the_process),
		cmocka_unit_test(hooks_are_filtered),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
