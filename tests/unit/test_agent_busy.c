// SPDX-License-Identifier: Apache-2.0
/* The agent has one thread, and many ask it: what takes long keeps nobody else waiting. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lib/agenthost.h"
#include "tests/unit/check.h"

AGENTHOST_FIXTURE

/* An answer that comes ahead of another one's, by the same connection. */
struct ahead {
	struct reply r;
	const struct reply *of;
};

static void ahead_fn(void *arg, const struct agent_reply *r)
{
	struct ahead *a = arg;

	assert_false(a->of->done);
	reply_fn(&a->r, r);
}

/* What its file systems hold may take long to be let go of: others are answered meanwhile. */
static void a_delete_that_takes_long(void **state)
{
	struct ct_request q;
	struct reply r = { 0 }, gone = { 0 };
	struct ahead other = { .of = &gone };
	int rc;

	(void)state;
	if (!h)
		return;
	request_init(&q, "full");
	request_sh(&q, "cd /dev && seq 30000 | xargs touch");
	request_create(h, &q, &r);
	assert_int_equal(r.r.rc, 0);
	assert_int_equal(agenthost_start(h, "full"), 0);
	agenthost_wait_for(h, "full", "", &r);
	assert_int_equal(r.r.exit.status, 0);
	/* It has both before it looks at the first. */
	assert_int_equal(kill(h->pid, SIGSTOP), 0);
	assert_int_equal(agent_delete(h->c, "full", "", reply_fn, &gone, NULL), 0);
	rc = agent_signal(h->c, "full", "", 1, false, ahead_fn, &other, NULL);
	assert_int_equal(kill(h->pid, SIGCONT), 0);
	reply_wait(h, &other.r, rc);
	assert_int_equal(other.r.r.rc, -ESRCH);
	reply_wait(h, &gone, 0);
	assert_int_equal(gone.r.rc, 0);
}

/* A process that comes to nothing yet holds what it was born with: the streams of others end all the same. */
static void streams_end_beside_one_that_is_made(void **state)
{
	Husk__Agent__V1__Container__CgroupValuesEntry v, *values = &v;
	struct agent_client *second;
	struct ct_request q, slow;
	struct reply r = { 0 }, never = { 0 };
	struct timeval patience = { .tv_sec = 60 };
	char file[] = "cgroup.freeze", one[] = "1", c;
	size_t len;
	void *p;
	int out;

	(void)state;
	if (!h)
		return;
	agenthost_sleeper(h, &q, "quick");
	request_init(&q, "quick");
	request_args(&q, "sleep", "1000", NULL);
	q.streams.stdout = agenthost_token();
	out = agenthost_stream(h, q.streams.stdout);
	assert_int_equal(request_exec(h, &q, "one", &r)->rc, 0);

	second = agenthost_connect(h, NULL, NULL);
	request_init(&slow, "slow");
	request_args(&slow, "true", NULL);
	husk__agent__v1__container__cgroup_values_entry__init(&v);
	v.key = file;
	v.value = one;
	slow.ct.cgroup_values = &values;
	slow.ct.n_cgroup_values = 1;
	p = request_pack(&slow, &len);
	assert_int_equal(agent_create(second, p, len, 0, reply_fn, &never, NULL), 0);
	free(p);
	agenthost_turn(h, 300);
	assert_false(never.done);

	assert_int_equal(agenthost_send_signal(h, "quick", "one", SIGKILL, false), 0);
	assert_int_equal(setsockopt(out, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	assert_int_equal(recv(out, &c, 1, 0), 0);
	assert_false(never.done);
	close(out);
	agent_client_free(second);
	assert_int_equal(agenthost_delete(h, "quick", ""), 0);
}

/* Of many execs at a time: the streams may come long before the processes are asked for. */
static void many_streams(void **state)
{
	struct ct_request q, x;
	struct reply r = { 0 };
	static int fd[600];
	char *out;

	(void)state;
	if (!h)
		return;
	agenthost_sleeper(h, &q, "many");
	request_init(&x, "many");
	request_args(&x, "echo", "word", NULL);
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++) {
		x.streams.stdout = agenthost_token();
		fd[i] = agenthost_stream(h, x.streams.stdout);
	}
	agenthost_turn(h, 500);
	assert_int_equal(request_exec(h, &x, "last", &r)->rc, 0);
	out = agenthost_read_all(fd[ARRAY_SIZE(fd) - 1], NULL);
	assert_string_equal(out, "word\n");
	free(out);
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++)
		close(fd[i]);
	assert_int_equal(agenthost_delete(h, "many", ""), 0);
}

struct waited {
	struct reply r; /* first: the answer's */
	char command[64];
};

static void see_command(void *arg, const struct agent_ps_info *p)
{
	struct waited *w = arg;

	snprintf(w->command, sizeof(w->command), "%.60s", p->command);
}

/* A command line that cannot be read now: others are answered meanwhile, and the rest of it is told after a while. */
static void listing_that_waits(void **state)
{
	struct ct_request q;
	struct waited all = { .command = "" };
	struct ahead other = { .of = &all.r };
	int rc;

	(void)state;
	if (!h)
		return;
	agenthost_sleeper(h, &q, "waits");
	assert_int_equal(agenthost_sh(h, "mkfifo $0/fifo && p=$(pgrep -f '^sleep 1000') && "
					 "mount --bind $0/fifo /proc/$p/cmdline"), 0);
	assert_int_equal(kill(h->pid, SIGSTOP), 0);
	assert_int_equal(agent_list(h->c, "waits", see_command, reply_fn, &all, NULL), 0);
	rc = agent_signal(h->c, "waits", "", 0, false, ahead_fn, &other, NULL);
	assert_int_equal(kill(h->pid, SIGCONT), 0);
	reply_wait(h, &other.r, rc);
	assert_int_equal(other.r.r.rc, -EINVAL);
	reply_wait(h, &all.r, 0);
	assert_int_equal(all.r.r.rc, 0);
	assert_string_equal(all.command, "[sleep]");
	assert_int_equal(agenthost_delete(h, "waits", ""), 0);
}

/* A container with a disk that is not there, while the bus does not answer. */
static void a_disk_that_does_not_answer(void **state)
{
	Husk__Agent__V1__DeviceRule rule, *rules = &rule;
	struct ct_request q;
	struct reply made = { 0 };
	struct ahead other = { .of = &made };
	char access[] = "rwm", type[] = "b", disk[] = "nowhere";
	size_t len;
	void *p;

	(void)state;
	if (!h)
		return;
	assert_int_equal(agenthost_sh(h, "mkdir -p $0/disks && touch $0/disks/hang"), 0);
	request_init(&q, "waits");
	request_args(&q, "true", NULL);
	husk__agent__v1__device_rule__init(&rule);
	rule.allow = true;
	rule.type = type;
	rule.access = access;
	rule.disk = disk;
	q.ct.device_rules = &rules;
	q.ct.n_device_rules = 1;
	p = request_pack(&q, &len);
	assert_int_equal(agent_create(h->c, p, len, 0, reply_fn, &made, NULL), 0);
	free(p);
	reply_wait(h, &other.r, agent_signal(h->c, "nobody", "", 1, false, ahead_fn, &other, NULL));
	assert_int_equal(other.r.r.rc, -ENOENT);
	assert_int_equal(agenthost_sh(h, "rm $0/disks/hang"), 0);
	reply_wait(h, &made, 0);
	assert_int_equal(made.r.rc, -EIO);
	assert_non_null(strstr(made.r.err.msg, "no disk has the serial nowhere"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_delete_that_takes_long),
		cmocka_unit_test(streams_end_beside_one_that_is_made),
		cmocka_unit_test(a_disk_that_does_not_answer),
		cmocka_unit_test(many_streams),
		cmocka_unit_test(listing_that_waits),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
