// SPDX-License-Identifier: Apache-2.0
/* A container's control group through the real agent: paused, counted, given new limits. */
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lib/agenthost.h"
#include "tests/unit/check.h"

AGENTHOST_FIXTURE

static int ask(const char *id, int (*fn)(struct agent_client *c, const char *id, agent_reply_fn *fn,
					 void *arg, struct err *e))
{
	struct reply r = { 0 };

	return reply_wait(h, &r, fn(h->c, id, reply_fn, &r, NULL))->rc;
}

/* How many bytes come within 300 ms. */
static size_t grown(int fd)
{
	char buf[65536];
	size_t sum = 0;
	ssize_t n;

	agenthost_turn(h, 300);
	while ((n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		sum += (size_t)n;
	return sum;
}

static void goes_on(int fd)
{
	for (unsigned i = 0; !grown(fd); i++)
		assert_true(i < 60);
}

static void frozen(void **state)
{
	struct ct_request q, x;
	struct reply r = { 0 }, late = { 0 };
	uint8_t packed[2048];
	int out;

	(void)state;
	if (!h)
		return;
	assert_int_equal(ask("nobody", agent_pause), -ENOENT);
	request_init(&q, "frozen");
	request_sh(&q, "while :; do echo .; sleep 0.01; done");
	q.streams.stdout = agenthost_token();
	out = agenthost_stream(h, q.streams.stdout);
	assert_int_equal(request_create(h, &q, &r)->rc, 0);
	assert_int_equal(agenthost_start(h, "frozen"), 0);
	goes_on(out);
	assert_int_equal(ask("frozen", agent_pause), 0);
	assert_int_equal(ask("frozen", agent_pause), 0);
	for (unsigned i = 0; grown(out); i++)
		assert_true(i < 60);
	/* Nothing can be started in it but by who is ready to wait. */
	request_init(&x, "frozen");
	request_args(&x, "true", NULL);
	memset(&r, 0, sizeof(r));
	assert_int_equal(request_exec(h, &x, "no", &r)->rc, -ESRCH);
	assert_non_null(strstr(r.r.err.msg, "cannot exec in a paused container"));
	snprintf(x.exec_id, sizeof(x.exec_id), "yes");
	x.exec.exec_id = x.exec_id;
	x.exec.ignore_paused = true;
	assert_true(husk__agent__v1__exec_request__get_packed_size(&x.exec) <= sizeof(packed));
	assert_int_equal(agent_exec(h->c, packed,
				    husk__agent__v1__exec_request__pack(&x.exec, packed), 0,
				    reply_fn, &late, NULL),
			 0);
	agenthost_turn(h, 200);
	assert_false(late.done);
	assert_int_equal(ask("frozen", agent_resume), 0);
	assert_int_equal(reply_wait(h, &late, 0)->rc, 0);
	assert_int_equal(ask("frozen", agent_resume), 0);
	goes_on(out);
	/* SIGKILL reaches frozen ones, and an exec's leaves the others as they are. */
	assert_int_equal(ask("frozen", agent_pause), 0);
	assert_int_equal(agenthost_send_signal(h, "frozen", "", SIGKILL, false), 0);
	assert_int_equal(agenthost_wait_for(h, "frozen", "", &r)->exit.status, 137);
	assert_int_equal(ask("frozen", agent_pause), -ESRCH);
	assert_int_equal(agenthost_delete(h, "frozen", ""), 0);
	close(out);
}

static void counted(void **state)
{
	struct reply r = { 0 }, oom = { 0 };
	struct ct_request q;
	uint64_t counters = 0;

	(void)state;
	if (!h)
		return;
	agenthost_sleeper(h, &q, "counted");
	assert_int_equal(reply_wait(h, &r, agent_stats(h->c, "counted", reply_fn, &r, NULL))->rc,
			 0);
	/* Those controllers that this host hands down. */
	if (agenthost_sh(h, "grep -q pids $0/cg/${0##*/}/cgroup.controllers") == 0) {
		assert_int_equal(r.r.stats.pids.current, 1);
		assert_true(r.r.stats.pids.limit == AGENT_NO_LIMIT);
	}
	assert_true(r.r.stats.cpu_ns > 0);
	if (agenthost_sh(h, "grep -q memory $0/cg/${0##*/}/cgroup.controllers") == 0) {
		for (uint32_t i = 0; i < r.r.stats.n_memory_stat; i++)
			counters += r.r.stats.memory_stat[i].value;
		assert_true(r.r.stats.memory.current > 0 && counters > 0);
		/* At once, for who knows nothing yet; else when there is news, or at its end. */
		assert_int_equal(reply_wait(h, &oom,
					    agent_wait_oom(h->c, "counted", UINT64_MAX, reply_fn,
							   &oom, NULL))
					 ->rc,
				 0);
		assert_int_equal(oom.r.oom_kills, 0);
		memset(&oom, 0, sizeof(oom));
		assert_int_equal(agent_wait_oom(h->c, "counted", 0, reply_fn, &oom, NULL), 0);
		agenthost_turn(h, 100);
		assert_false(oom.done);
		assert_int_equal(agenthost_delete(h, "counted", ""), 0);
		assert_int_equal(reply_wait(h, &oom, 0)->rc, -ESRCH);
	} else {
		assert_int_equal(agenthost_delete(h, "counted", ""), 0);
	}
	memset(&r, 0, sizeof(r));
	assert_int_equal(reply_wait(h, &r, agent_stats(h->c, "counted", reply_fn, &r, NULL))->rc,
			 -ENOENT);
}

/* A command in a frozen container has copies of nobody's pipes: what others read from ends. */
static void frozen_beside_another(void **state)
{
	struct ct_request q, x, other;
	struct reply r = { 0 }, late = { 0 }, end = { 0 };
	uint8_t packed[2048];
	int in;

	(void)state;
	if (!h)
		return;
	agenthost_sleeper(h, &q, "frozen");
	request_init(&other, "other");
	request_args(&other, "cat", NULL);
	other.streams.stdin = agenthost_token();
	in = agenthost_stream(h, other.streams.stdin);
	assert_int_equal(request_create(h, &other, &r)->rc, 0);
	assert_int_equal(agenthost_start(h, "other"), 0);
	assert_int_equal(ask("frozen", agent_pause), 0);
	request_init(&x, "frozen");
	request_sh(&x, "grep -qx 0::/ /proc/self/cgroup && exit 9"); /* the root of its namespace */
	snprintf(x.exec_id, sizeof(x.exec_id), "yes");
	x.exec.exec_id = x.exec_id;
	x.exec.ignore_paused = true;
	assert_int_equal(agent_exec(h->c, packed, husk__agent__v1__exec_request__pack(&x.exec, packed), 0, reply_fn,
				    &late, NULL),
			 0);
	agenthost_turn(h, 300);
	assert_false(late.done);
	close(in);
	assert_int_equal(agenthost_wait_for(h, "other", "", &end)->exit.status, 0);
	assert_false(late.done);
	assert_int_equal(ask("frozen", agent_resume), 0);
	assert_int_equal(reply_wait(h, &late, 0)->rc, 0);
	memset(&end, 0, sizeof(end));
	assert_int_equal(agenthost_wait_for(h, "frozen", "yes", &end)->exit.status, 9);
	assert_int_equal(agenthost_delete(h, "other", ""), 0);
	assert_int_equal(agenthost_delete(h, "frozen", ""), 0);
}

static const struct agent_reply *update(struct reply *r, const char *file, const char *value,
					const char *file2, const char *value2, bool check)
{
	Husk__Agent__V1__CgroupValue v[2], *list[] = { &v[0], &v[1] };
	const char *words[4] = { file, value, file2, value2 };
	Husk__Agent__V1__UpdateRequest m;
	char id[] = "updated", copy[4][64];
	uint8_t packed[1024];

	husk__agent__v1__update_request__init(&m);
	m.container_id = id;
	m.values = list;
	m.check_memory = check;
	for (int i = 0; i < 4; i++)
		snprintf(copy[i], sizeof(copy[i]), "%s", words[i] ? words[i] : "");
	for (int i = 0; i < 2 && words[2 * i]; i++) {
		husk__agent__v1__cgroup_value__init(&v[i]);
		v[i].file = copy[2 * i];
		v[i].value = copy[2 * i + 1];
		m.n_values++;
	}
	memset(r, 0, sizeof(*r));
	return reply_wait(h, r,
			  agent_update(h->c, packed,
				       husk__agent__v1__update_request__pack(&m, packed), reply_fn,
				       r, NULL));
}

static int group_has(const char *file, const char *value)
{
	char script[256];

	snprintf(script, sizeof(script), "[ \"$(cat $0/cg/${0##*/}/updated/%s)\" = '%s' ]", file,
		 value);
	return agenthost_sh(h, script);
}

static void updated(void **state)
{
	struct ct_request q;
	struct reply r;

	(void)state;
	if (!h)
		return;
	agenthost_sleeper(h, &q, "updated");
	assert_int_equal(update(&r, "cgroup.max.depth", "3", NULL, NULL, false)->rc, -EINVAL);
	assert_int_equal(update(&r, "../x", "3", NULL, NULL, false)->rc, -EINVAL);
	assert_int_equal(update(&r, "pids.max", "", NULL, NULL, false)->rc, -EINVAL);
	if (agenthost_sh(h, "grep -q pids $0/cg/${0##*/}/cgroup.controllers") == 0) {
		assert_int_equal(update(&r, "pids.max", "77", NULL, NULL, false)->rc, 0);
		assert_int_equal(group_has("pids.max", "77"), 0);
		/* One that fails takes those before it along. */
		assert_int_equal(update(&r, "pids.max", "50", "pids.max", "many", false)->rc,
				 -EINVAL);
		assert_non_null(strstr(r.r.err.msg, "cgroup: writing \"many\" to pids.max"));
		assert_int_equal(group_has("pids.max", "77"), 0);
		assert_int_equal(update(&r, "pids.max", "50", "nothing.max", "1", false)->rc, -EIO);
		assert_int_equal(group_has("pids.max", "77"), 0);
	}
	if (agenthost_sh(h, "grep -q memory $0/cg/${0##*/}/cgroup.controllers") == 0) {
		assert_int_equal(update(&r, "memory.max", "4096", NULL, NULL, true)->rc, -EINVAL);
		assert_non_null(strstr(r.r.err.msg, "because of memory usage"));
		assert_int_equal(group_has("memory.max", "max"), 0);
		assert_int_equal(update(&r, "memory.max", "67108864", NULL, NULL, true)->rc, 0);
		assert_int_equal(group_has("memory.max", "67108864"), 0);
	}
	if (agenthost_sh(h, "grep -qw cpu $0/cg/${0##*/}/cgroup.controllers") == 0) {
		assert_int_equal(update(&r, "cpu.max", "20000 50000", NULL, NULL, false)->rc, 0);
		assert_int_equal(update(&r, "cpu.max", "- 60000", NULL, NULL, false)->rc, 0);
		assert_int_equal(group_has("cpu.max", "20000 60000"), 0);
		assert_int_equal(update(&r, "cpu.max", "max", NULL, NULL, false)->rc, 0);
		assert_int_equal(update(&r, "cpu.max", "- 70000", NULL, NULL, false)->rc, 0);
		assert_int_equal(group_has("cpu.max", "max 70000"), 0);
	}
	assert_int_equal(agenthost_delete(h, "updated", ""), 0);
}

/* A value that is not written within the time: said so, and what was written before it has its old value. */
static void updated_for_too_long(void **state)
{
	struct ct_request q;
	struct reply r;

	(void)state;
	if (!h || access("/proc/pressure/cpu", F_OK) < 0)
		return;
	agenthost_sleeper(h, &q, "updated");
	assert_int_equal(agenthost_sh(h, "echo 77 >$0/file && mkfifo $0/slow && cd $0/cg/${0##*/}/updated && "
					 "mount --bind $0/file cpu.stat && mount --bind $0/slow cpu.pressure"), 0);
	assert_int_equal(update(&r, "cpu.stat", "50", NULL, NULL, false)->rc, 0);
	assert_int_equal(group_has("cpu.stat", "50"), 0);
	assert_int_equal(update(&r, "cpu.stat", "60", "cpu.pressure", "1", false)->rc, -EIO);
	assert_non_null(strstr(r.r.err.msg, "cgroup: writing \"1\" to cpu.pressure took more than 2 seconds"));
	assert_int_equal(group_has("cpu.stat", "50"), 0);
	assert_int_equal(agenthost_delete(h, "updated", ""), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frozen),
		cmocka_unit_test(counted),
		cmocka_unit_test(updated),
		cmocka_unit_test(updated_for_too_long),
		cmocka_unit_test(frozen_beside_another),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
