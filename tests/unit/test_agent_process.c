// SPDX-License-Identifier: Apache-2.0
/* Processes of a container through the real agent: streams, terminals, execs, signals, errors, ends. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/io.h"
#include "tests/lib/agenthost.h"
#include "tests/unit/check.h"

AGENTHOST_FIXTURE

/* An exec of `sh -c @script` with its output; its status. */
static uint32_t exec_sh(const char *id, const char *exec_id, const char *script, char **ret_out)
{
	struct ct_request q;
	struct reply r = { 0 };
	int out;

	request_init(&q, id);
	request_sh(&q, script);
	q.streams.stdout = agenthost_token();
	out = agenthost_stream(h, q.streams.stdout);
	request_exec(h, &q, exec_id, &r);
	if (r.r.rc < 0)
		fail_msg("exec: %s", r.r.err.msg);
	*ret_out = agenthost_read_all(out, NULL);
	agenthost_wait_for(h, id, exec_id, &r);
	assert_int_equal(r.r.rc, 0);
	assert_int_equal(agenthost_delete(h, id, exec_id), 0);
	return r.r.exit.status;
}

static void execs(void **state)
{
	struct ct_request q;
	struct reply r;
	char *out;

	(void)state;
	if (!h)
		return;
	agenthost_sleeper(h, &q, "execs");
	assert_int_equal(exec_sh("execs", "a", "echo $HOME; [ $$ -gt 1 ] && exit 3", &out), 3);
	assert_string_equal(out, "/root\n");
	free(out);
	/* The container's namespaces: its first process, its mounts, its group. */
	assert_int_equal(exec_sh("execs", "b",
				 "cat /proc/1/comm; tail -n 1 /proc/self/cgroup; "
				 "for n in mnt pid net ipc uts cgroup; do "
				 "[ $(readlink /proc/1/ns/$n) = $(readlink /proc/self/ns/$n) ] || "
				 "echo $n; done",
				 &out),
			 0);
	assert_string_equal(out, "sleep\n0::/\n");
	free(out);
	/* An id can be used again once it is deleted, not before; output is not lost to a background child. */
	assert_int_equal(exec_sh("execs", "b", "sleep 50 & echo last", &out), 0);
	assert_string_equal(out, "last\n");
	free(out);
	assert_int_equal(agenthost_send_signal(h, "execs", "", SIGKILL, false), 0);
	assert_int_equal(agenthost_wait_for(h, "execs", "", &r)->exit.status, 137);
	memset(&r, 0, sizeof(r));
	request_exec(h, &q, "late", &r);
	assert_int_equal(r.r.rc, -ESRCH);
	assert_string_equal(r.r.err.msg, "cannot exec in a stopped container");
	assert_int_equal(agenthost_delete(h, "execs", ""), 0);
}

/* Megabytes both ways, so that every buffer on the way fills. */
static void copy_through(void **state)
{
	const size_t len = 8u << 20;
	struct ct_request q;
	struct reply r = { 0 };
	uint8_t *data = malloc(len);
	size_t got = 0, sent = 0;
	int in, out;

	(void)state;
	if (!h) {
		free(data);
		return;
	}
	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(i * 2654435761u >> 13);
	request_init(&q, "copy");
	request_args(&q, "cat", NULL);
	q.streams.stdin = agenthost_token();
	q.streams.stdout = agenthost_token();
	request_create(h, &q, &r);
	assert_int_equal(r.r.rc, 0);
	/* These come after the container was made. */
	in = agenthost_stream(h, q.streams.stdin);
	out = agenthost_stream(h, q.streams.stdout);
	assert_int_equal(agenthost_start(h, "copy"), 0);
	io_set_nonblock(in, true);
	io_set_nonblock(out, true);
	for (uint64_t end = io_now_ns() + UINT64_C(120000000000); got < len && io_now_ns() < end;) {
		uint8_t buf[65536];
		ssize_t n = sent < len ? write(in, data + sent, len - sent) : 0;

		sent += n > 0 ? (size_t)n : 0;
		if (sent == len && n > 0)
			shutdown(in, SHUT_WR);
		n = read(out, buf, sizeof(buf));
		if (n > 0) {
			assert_memory_equal(buf, data + got, (size_t)n);
			got += (size_t)n;
		}
	}
	assert_int_equal(got, len);
	agenthost_wait_for(h, "copy", "", &r);
	assert_int_equal(r.r.exit.status, 0);
	assert_int_equal(read(out, data, 1), 0);
	close(in);
	close(out);
	free(data);
	assert_int_equal(agenthost_delete(h, "copy", ""), 0);
}

static Husk__Agent__V1__ExtraStream extra[AGENT_MAX_EXTRA], *extras[AGENT_MAX_EXTRA];

static uint64_t add_extra(struct ct_request *q, Husk__Agent__V1__StreamKind kind)
{
	size_t n = q->proc.n_extra_streams++;

	husk__agent__v1__extra_stream__init(&extra[n]);
	extra[n].kind = kind;
	extra[n].token = kind ? agenthost_token() : 0;
	extras[n] = &extra[n];
	q->proc.extra_streams = extras;
	return extra[n].token;
}

/* Descriptors beyond the three: as many as there may be, each of its kind, and a socket's two ends of file. */
static void extra_streams(void **state)
{
	struct ct_request q;
	struct reply r = { 0 };
	uint64_t in, out, sock;
	char *text;
	int fd[3];

	(void)state;
	if (!h)
		return;
	request_init(&q, "extra");
	in = add_extra(&q, HUSK__AGENT__V1__STREAM_KIND__STREAM_IN);
	out = add_extra(&q, HUSK__AGENT__V1__STREAM_KIND__STREAM_OUT);
	sock = add_extra(&q, HUSK__AGENT__V1__STREAM_KIND__STREAM_SOCKET);
	while (q.proc.n_extra_streams < AGENT_MAX_EXTRA)
		add_extra(&q, HUSK__AGENT__V1__STREAM_KIND__STREAM_NULL);
	request_sh(&q, "ls -l /proc/self/fd | grep -c '[0-9] -> /dev/null' >&4; [ -e "
		       "/proc/self/fd/18 ] && "
		       "readlink /proc/$$/fd/18 >&4; set -- /proc/self/fd/*; echo $# >&4; "
		       "cat <&3 >&4; cat <&5 >&5; exec 5>&-; sleep 0.2; echo last >&4");
	assert_int_equal(request_create(h, &q, &r)->rc, 0);
	fd[0] = agenthost_stream(h, in);
	fd[1] = agenthost_stream(h, out);
	fd[2] = agenthost_stream(h, sock);
	assert_int_equal(agenthost_start(h, "extra"), 0);
	assert_int_equal(write(fd[0], "one\n", 4), 4);
	shutdown(fd[0], SHUT_WR);
	assert_int_equal(write(fd[2], "two\n", 4), 4);
	shutdown(fd[2], SHUT_WR);
	text = agenthost_read_all(fd[2], NULL);
	assert_string_equal(text, "two\n");
	free(text);
	text = agenthost_read_all(fd[1], NULL);
	/* Those of ls: 13 of ours, standard input and error. Those of the shell: with the folder that it looks in. */
	if (strcmp(text, "15\n/dev/null\n20\none\nlast\n"))
		fail_msg("%s", text);
	free(text);
	assert_int_equal(agenthost_wait_for(h, "extra", "", &r)->exit.status, 0);
	assert_int_equal(agenthost_delete(h, "extra", ""), 0);
	for (int i = 0; i < 3; i++)
		close(fd[i]);
}

/* Takes a descriptor of the sleeping process's and serves it in its place: an echo for so many connections. */
#define SERVE                                                                                                   \
	"p=$(grep -l '^sleep' /proc/[0-9]*/cmdline | head -n 1); p=${p%%/cmdline}; p=${p#/proc/}; " \
	"nsenter --pid=/proc/1/ns/pid python3 -c '"                                                              \
	"import ctypes, os, socket, sys\n"                                                                      \
	"pid, fd, port, n = (int(w) for w in sys.argv[1:5]); family = sys.argv[5]\n"                            \
	"s = socket.socket(fileno=ctypes.CDLL(None).syscall(438, os.pidfd_open(pid), fd, 0))\n"                 \
	"assert s.family.name == family and s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN), s\n"         \
	"if port: assert (s.getsockname()[1] == port) == (port != 1), s\n"                                      \
	"for i in range(n):\n"                                                                                  \
	"    c, b = s.accept()[0], b\"\"\n"                                                                     \
	"    while True:\n"                                                                                     \
	"        d = c.recv(65536)\n"                                                                           \
	"        if not d: break\n"                                                                             \
	"        b += d\n"                                                                                      \
	"    c.sendall(b); c.close()\n' $p %d %u %d %s"

static int serve(int fd, const char *family, unsigned port, int n)
{
	char script[1500];

	snprintf(script, sizeof(script), SERVE, fd, port, n, family);
	return agenthost_sh(h, script);
}

/* Listening sockets: of their families, at their ports where these are free; every connection with the token is accepted, up
 * to the bound, and the end of the process ends them. */
static void listeners(void **state)
{
	static const struct {
		const char *family;
		uint32_t proto, port, seen; /* 1: another one */
	} rows[] = { { "AF_UNIX", 0, 0, 0 },
		     { "AF_INET", 4, 8080, 8080 },
		     { "AF_INET", 4, 8080, 1 },
		     { "AF_INET6", 6, 443, 443 } };
	struct ct_request q;
	struct reply r = { 0 };
	uint64_t token[ARRAY_SIZE(rows)];
	int fd[AGENT_MAX_ACCEPTED + 1];
	char *text;

	(void)state;
	if (!h)
		return;
	request_init(&q, "listen");
	request_args(&q, "sleep", "1000", NULL);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		token[i] = add_extra(&q, HUSK__AGENT__V1__STREAM_KIND__STREAM_LISTEN);
		extra[i].family = rows[i].proto;
		extra[i].port = rows[i].port;
	}
	assert_int_equal(request_create(h, &q, &r)->rc, 0);
	assert_int_equal(agenthost_start(h, "listen"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (int k = 0; k < 2; k++) {
			fd[k] = agenthost_stream(h, token[i]);
			assert_int_equal(write(fd[k], k ? "two" : "one", 3), 3);
			shutdown(fd[k], SHUT_WR);
		}
		check_row(rows[i].family, serve(3 + (int)i, rows[i].family, rows[i].seen, 2) == 0);
		for (int k = 0; k < 2; k++) {
			text = agenthost_read_all(fd[k], NULL);
			assert_string_equal(text, k ? "two" : "one");
			free(text);
			close(fd[k]);
		}
	}
	/* One more than may be. */
	for (int k = 0; k <= AGENT_MAX_ACCEPTED; k++)
		fd[k] = agenthost_stream(h, token[1]);
	text = agenthost_read_all(fd[AGENT_MAX_ACCEPTED], NULL);
	assert_string_equal(text, "");
	free(text);
	assert_int_equal(recv(fd[0], &r, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(agenthost_send_signal(h, "listen", "", 9, false), 0);
	assert_int_equal(agenthost_wait_for(h, "listen", "", &r)->exit.status, 128 + 9);
	for (int k = 0; k <= AGENT_MAX_ACCEPTED; k++) {
		free(agenthost_read_all(fd[k], NULL));
		close(fd[k]);
	}
	assert_int_equal(agenthost_delete(h, "listen", ""), 0);
	check_row("nothing stays", agenthost_sh(h, "test -z \"$(ls $0/sockets)\"") == 0);
}

/* The process ends while its reader stands still: nothing is lost, and Wait waits. */
static void late_reader(void **state)
{
	struct ct_request q;
	struct reply r = { 0 }, w = { 0 };
	size_t len;
	char *data;
	int out, small = 4096;

	(void)state;
	if (!h)
		return;
	request_init(&q, "late");
	/* More than the socket takes, less than that and a pipe. */
	request_sh(&q, "dd if=/dev/zero bs=1000 count=250 2>/dev/null; exec 1>&-; exit 5");
	q.streams.stdout = agenthost_token();
	out = agenthost_stream(h, q.streams.stdout);
	setsockopt(out, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	request_create(h, &q, &r);
	assert_int_equal(r.r.rc, 0);
	assert_int_equal(agenthost_start(h, "late"), 0);
	assert_int_equal(agent_wait(h->c, "late", "", reply_fn, &w, NULL), 0);
	for (int i = 0; i < 5; i++)
		agenthost_turn(h, 100);
	assert_false(w.done);
	data = agenthost_read_all(out, &len);
	free(data);
	assert_int_equal(len, 250000);
	reply_wait(h, &w, 0);
	assert_int_equal(w.r.exit.status, 5);
	assert_int_equal(agenthost_delete(h, "late", ""), 0);
}

/* Neither does a host that goes away leave a writer hanging. */
static void reader_gone(void **state)
{
	struct ct_request q;
	struct reply r = { 0 };
	int out;

	(void)state;
	if (!h)
		return;
	request_init(&q, "gone");
	request_args(&q, "yes", NULL);
	q.streams.stdout = agenthost_token();
	out = agenthost_stream(h, q.streams.stdout);
	request_create(h, &q, &r);
	assert_int_equal(agenthost_start(h, "gone"), 0);
	agenthost_turn(h, 50);
	close(out);
	/* SIGPIPE; busybox's yes may also just end with an error. */
	agenthost_wait_for(h, "gone", "", &r);
	assert_int_not_equal(r.r.exit.status, 0);
	assert_int_equal(agenthost_delete(h, "gone", ""), 0);
}

static void read_until(int fd, const char *what, char *buf, size_t size)
{
	size_t len = 0;

	do {
		ssize_t n = read(fd, buf + len, size - 1 - len);

		if (n <= 0)
			fail_msg("stream ended before %s", what);
		len += (size_t)n;
		buf[len] = 0;
	} while (!strstr(buf, what));
}

static void terminal(void **state)
{
	struct ct_request q;
	struct reply r = { 0 };
	char *text, first[256];
	int tty;

	(void)state;
	if (!h)
		return;
	request_init(&q, "tty");
	request_sh(&q, "tty; [ -c /dev/console ] && stty size; trap 'stty size; exit 4' WINCH; "
		       "echo ready; "
		       "read x; echo got $x; while :; do sleep 0.05; done");
	q.proc.terminal = true;
	q.proc.rows = 24;
	q.proc.columns = 80;
	q.user.uid = 1000;
	q.streams.stdin = agenthost_token();
	tty = agenthost_stream(h, q.streams.stdin);
	request_create(h, &q, &r);
	if (r.r.rc < 0)
		fail_msg("create: %s", r.r.err.msg);
	assert_int_equal(agenthost_start(h, "tty"), 0);
	read_until(tty, "ready\r\n", first, sizeof(first));
	assert_string_equal(first, "/dev/pts/0\r\n24 80\r\nready\r\n");
	assert_int_equal(io_write_full(tty, "line\n", 5), 0);
	read_until(tty, "got line\r\n", first, sizeof(first));
	memset(&r, 0, sizeof(r));
	reply_wait(h, &r, agent_resize(h->c, "tty", "", 40, 132, reply_fn, &r, NULL));
	assert_int_equal(r.r.rc, 0);
	text = agenthost_read_all(tty, NULL);
	agenthost_wait_for(h, "tty", "", &r);
	assert_int_equal(r.r.exit.status, 4);
	assert_string_equal(text, "40 132\r\n");
	free(text);
	assert_int_equal(agenthost_delete(h, "tty", ""), 0);
}

/* All inside may let go of it and open it again, as an init does with its console. */
static void terminal_that_nobody_holds(void **state)
{
	struct ct_request q;
	struct reply r = { 0 };
	char *text;
	int tty;

	(void)state;
	if (!h)
		return;
	request_init(&q, "console");
	request_sh(&q, "trap 'exit 9' HUP; exec </dev/null >/dev/null 2>&1; sleep 0.3;"
		       "exec >/dev/console 2>&1; echo again; exit 3");
	q.proc.terminal = true;
	q.streams.stdin = agenthost_token();
	tty = agenthost_stream(h, q.streams.stdin);
	assert_int_equal(request_create(h, &q, &r)->rc, 0);
	assert_int_equal(agenthost_start(h, "console"), 0);
	text = agenthost_read_all(tty, NULL);
	agenthost_wait_for(h, "console", "", &r);
	assert_int_equal(r.r.exit.status, 3);
	assert_string_equal(text, "again\r\n");
	free(text);
	assert_int_equal(agenthost_delete(h, "console", ""), 0);
}

static void missing_programs(void **state)
{
	static const struct {
		const char *why, *arg, *text;
		int rc;
		bool at_start; /* found, but it does not run */
	} cases[] = {
		{ "not in PATH", "nosuch", "exec: \"nosuch\": executable file not found in $PATH",
		  -ENOENT, false },
		{ "no such path", "/no/such",
		  "exec: \"/no/such\": stat /no/such: no such file or directory", -ENOENT, false },
		{ "not executable", "/etc/passwd", "exec: \"/etc/passwd\": permission denied",
		  -EACCES, false },
		{ "a folder", "/etc", "exec: \"/etc\": is a directory", -EACCES, false },
		{ "no format", "noformat", "exec /bin/noformat: exec format error", -EACCES, true },
		{ "interpreter missing", "badscript",
		  "exec /bin/badscript: no such file or directory", -ENOENT, true },
	};
	struct ct_request q, box;

	(void)state;
	if (!h)
		return;
	agenthost_sleeper(h, &box, "missing-exec");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct reply r = { 0 }, s = { 0 };

		request_init(&q, "missing");
		request_args(&q, cases[i].arg, NULL);
		request_create(h, &q, &r);
		if (cases[i].at_start) {
			check_row(cases[i].why, r.r.rc == 0);
			r = s;
			reply_wait(h, &r, agent_start(h->c, "missing", "", 0, reply_fn, &r, NULL));
			agenthost_wait_for(h, "missing", "", &s);
			check_row(cases[i].why,
				  s.r.exit.status == (cases[i].rc == -ENOENT ? 127 : 126));
			check_row(cases[i].why, agenthost_delete(h, "missing", "") == 0);
		}
		check_row(cases[i].why, r.r.rc == cases[i].rc);
		if (strcmp(r.r.err.msg, cases[i].text) != 0)
			fail_msg("%s: %s", cases[i].why, r.r.err.msg);
		check_row(cases[i].why, agenthost_delete(h, "missing", "") == -ENOENT);
		/* The same of an exec, which leaves nothing either. */
		memset(&r, 0, sizeof(r));
		request_init(&q, "missing-exec");
		request_args(&q, cases[i].arg, NULL);
		request_exec(h, &q, "e", &r);
		check_row(cases[i].why, r.r.rc == cases[i].rc);
		check_row(cases[i].why, strcmp(r.r.err.msg, cases[i].text) == 0);
		check_row(cases[i].why, agenthost_delete(h, "missing-exec", "e") == -ENOENT);
	}
	assert_int_equal(agenthost_delete(h, "missing-exec", ""), 0);
}

/* startContainer hooks: in the container, as its user, before its process, with its pid there. */
static void start_hooks(void **state)
{
	static const struct {
		const char *why, *script, *text;
		unsigned timeout;
		enum { LISTED, EMPTY, NOT_GIVEN } env;
	} cases[] = {
		{ "state and place",
		  "[ \"$(cat)\" = '{\"pid\":1}' ] && [ $$ != 1 ] && [ $(id -u) = 65534 ] && echo "
		  "$A >/tmp/hook",
		  "", 0, LISTED },
		{ "an empty environment", "[ \"${HOME-no}${A-no}${OF_PROCESS-no}\" = nonono ] && echo word >/tmp/hook",
		  "", 0, EMPTY },
		{ "the process's environment, with the home that was found",
		  "[ \"$HOME$OF_PROCESS\" = /word ] && echo word >/tmp/hook", "", 0, NOT_GIVEN },
		{ "fails", "echo why >&2; exit 3",
		  "error running startContainer hook #1: exit status 3, stdout: , stderr: why", 0, LISTED },
		{ "hangs", "sleep 100",
		  "error running startContainer hook #1: ran past its timeout of 1 seconds, "
		  "stdout: , stderr: ",
		  1, LISTED },
	};
	static char sh[] = "/bin/sh", none[] = "/bin/true", env[] = "A=word", process_env[] = "OF_PROCESS=word";

	(void)state;
	if (!h)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		ProtobufCBinaryData args[3] = { { 2, (uint8_t *)(uintptr_t) "sh" },
						{ 2, (uint8_t *)(uintptr_t) "-c" } };
		ProtobufCBinaryData envs[1] = { { sizeof(env) - 1, (uint8_t *)env } };
		ProtobufCBinaryData own[1] = { { sizeof(process_env) - 1, (uint8_t *)process_env } };
		Husk__Agent__V1__Hook hook[2], *hooks[2] = { &hook[0], &hook[1] };
		struct reply r = { 0 }, s = { 0 };
		struct ct_request q;

		husk__agent__v1__hook__init(&hook[0]);
		husk__agent__v1__hook__init(&hook[1]);
		hook[0].path = none;
		hook[1].path = sh;
		hook[1].args = args;
		hook[1].n_args = 3;
		hook[1].env = envs;
		hook[1].n_env = cases[i].env == LISTED;
		hook[1].env_of_process = cases[i].env == NOT_GIVEN;
		hook[1].timeout = cases[i].timeout;
		args[2].data = (uint8_t *)(uintptr_t)cases[i].script;
		args[2].len = strlen(cases[i].script);
		request_init(&q, "hooks");
		q.user.uid = q.user.gid = 65534;
		request_mount(&q, "/tmp", "tmpfs", "tmpfs", 0, "mode=1777");
		request_args(&q, "/bin/grep", "-q", "word", "/tmp/hook", NULL);
		q.proc.env = own;
		q.proc.n_env = 1;
		q.ct.start_hooks = hooks;
		q.ct.n_start_hooks = 2;
		q.ct.hook_state_head =
			(ProtobufCBinaryData){ 7, (uint8_t *)(uintptr_t) "{\"pid\":" };
		q.ct.hook_state_tail = (ProtobufCBinaryData){ 1, (uint8_t *)(uintptr_t) "}" };
		request_create(h, &q, &r);
		if (r.r.rc < 0)
			fail_msg("%s: %s", cases[i].why, r.r.err.msg);
		reply_wait(h, &s, agent_start(h->c, "hooks", "", 0, reply_fn, &s, NULL));
		if (strcmp(s.r.err.msg, cases[i].text) != 0)
			fail_msg("%s: %s", cases[i].why, s.r.err.msg);
		check_row(cases[i].why, s.r.rc == (*cases[i].text ? -EIO : 0));
		agenthost_wait_for(h, "hooks", "", &s);
		check_row(cases[i].why, s.r.exit.status == (*cases[i].text ? 126 : 0));
		check_row(cases[i].why, agenthost_delete(h, "hooks", "") == 0);
	}
}

static void wrong_order(void **state)
{
	struct ct_request q;
	struct reply r = { 0 };

	(void)state;
	if (!h)
		return;
	assert_int_equal(agenthost_start(h, "nobody"), -ENOENT);
	request_init(&q, "order");
	request_args(&q, "sleep", "1000", NULL);
	request_create(h, &q, &r);
	assert_int_equal(r.r.rc, 0);
	memset(&r, 0, sizeof(r));
	request_create(h, &q, &r);
	assert_int_equal(r.r.rc, -EEXIST);
	assert_int_equal(agenthost_start(h, "order"), 0);
	assert_int_equal(agenthost_start(h, "order"), -ESRCH);
	assert_int_equal(agenthost_send_signal(h, "order", "", 65, false), -EINVAL);
	assert_int_equal(agenthost_send_signal(h, "order", "", 0, false), -EINVAL);
	assert_int_equal(agenthost_send_signal(h, "order", "x", 9, false), -ENOENT);
	assert_int_equal(agenthost_delete(h, "order", "x"), -ENOENT);
	memset(&r, 0, sizeof(r));
	reply_wait(h, &r, agent_resize(h->c, "order", "", 1, 1, reply_fn, &r, NULL));
	assert_int_equal(r.r.rc, -EINVAL);
	/* The first of a pid namespace does not see what it has no handler for, as with runc. */
	assert_int_equal(agenthost_send_signal(h, "order", "", SIGTERM, false), 0);
	assert_int_equal(agenthost_send_signal(h, "order", "", SIGKILL, true), 0);
	assert_int_equal(agenthost_wait_for(h, "order", "", &r)->exit.status, 137);
	assert_int_equal(agenthost_send_signal(h, "order", "", SIGKILL, false), -ESRCH);
	assert_int_equal(agenthost_wait_for(h, "order", "", &r)->exit.status, 137);
	assert_int_equal(agenthost_delete(h, "order", ""), 0);
	/* Deleted without ever having been started, and while it runs. */
	memset(&r, 0, sizeof(r));
	request_create(h, &q, &r);
	assert_int_equal(agenthost_delete(h, "order", ""), 0);
	agenthost_sleeper(h, &q, "order");
	assert_int_equal(agenthost_delete(h, "order", ""), 0);
	assert_int_equal(agenthost_delete(h, "order", ""), -ENOENT);
}

/* An agent that told more than it may would lose its connection. */
static void long_errors(void **state)
{
	char name[256], dst[3000];
	struct ct_request q;
	struct reply r = { 0 };

	(void)state;
	if (!h)
		return;
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	memset(dst, 'd', sizeof(dst) - 1);
	dst[0] = '/';
	dst[sizeof(dst) - 1] = 0;
	request_init(&q, "longtext");
	request_mount(&q, dst, "bind", name, 0, "");
	request_args(&q, "true", NULL);
	request_create(h, &q, &r);
	assert_int_equal(r.r.rc, -EIO);
	r.r.err.msg[20] = 0; /* as a string, so that a failure shows what came */
	assert_string_equal(r.r.err.msg, "error mounting \"nnnn");
	assert_int_equal(agenthost_delete(h, "longtext", ""), -ENOENT);
}

struct seen {
	unsigned n, host, sleepers;
	bool done;
};

static void see(void *arg, const struct agent_ps_info *p)
{
	struct seen *s = arg;

	s->n++;
	s->host += p->is_host_started;
	s->sleepers += strcmp(p->command, "sleep 1000") == 0 && p->uid == 0 && p->pid > 1;
}

static void seen_all(void *arg, const struct agent_reply *r)
{
	struct seen *s = arg;

	assert_int_equal(r->rc, 0);
	s->done = true;
}

static void listing(void **state)
{
	struct ct_request q, x;
	struct seen seen = { 0 };
	struct reply r = { 0 };

	(void)state;
	if (!h)
		return;
	agenthost_sleeper(h, &q, "list");
	request_init(&x, "list");
	request_sh(&x, "sleep 1000 & wait");
	request_exec(h, &x, "e1", &r);
	assert_int_equal(r.r.rc, 0);
	/* Until the shell has come to its child. */
	for (int i = 0; i < 500 && seen.sleepers < 2; i++) {
		usleep(10000);
		memset(&seen, 0, sizeof(seen));
		assert_int_equal(agent_list(h->c, "list", see, seen_all, &seen, NULL), 0);
		while (!seen.done)
			agenthost_turn(h, 100);
	}
	assert_int_equal(seen.n, 3);
	assert_int_equal(seen.host, 2);
	assert_int_equal(seen.sleepers, 2);
	assert_int_equal(agenthost_delete(h, "list", "e1"), -ESRCH);
	assert_int_equal(agenthost_send_signal(h, "list", "e1", SIGKILL, false), 0);
	assert_int_equal(agenthost_wait_for(h, "list", "e1", &r)->exit.status, 137);
	assert_int_equal(agenthost_delete(h, "list", ""), 0);
}

/* Who made a process and goes away takes it along. */
static void owner_gone(void **state)
{
	struct agent_client *mine, *first;
	struct ct_request q, x;
	struct reply r = { 0 };

	(void)state;
	if (!h)
		return;
	first = h->c;
	agenthost_sleeper(h, &q, "owned");
	mine = h->c = agenthost_connect(h, NULL, NULL);
	request_init(&x, "owned");
	request_args(&x, "sleep", "1000", NULL);
	request_exec(h, &x, "e", &r);
	assert_int_equal(r.r.rc, 0);
	h->c = first;
	assert_int_equal(agent_wait(h->c, "owned", "e", reply_fn, memset(&r, 0, sizeof(r)), NULL),
			 0);
	agent_client_free(mine);
	reply_wait(h, &r, 0);
	assert_int_equal(r.r.exit.status, 137);
	/* The container itself, by the connection that made it. */
	h->c = agenthost_connect(h, NULL, NULL);
	assert_int_equal(agent_wait(h->c, "owned", "", reply_fn, memset(&r, 0, sizeof(r)), NULL),
			 0);
	agenthost_turn(h, 20);
	agent_client_free(first);
	reply_wait(h, &r, 0);
	assert_int_equal(r.r.exit.status, 137);
	/* And nothing of it is left, though nobody asked: the machine may go on with others. */
	for (int i = 0; i < 200 && agenthost_delete(h, "owned", "") != -ENOENT; i++)
		agenthost_turn(h, 10);
	assert_int_equal(agenthost_delete(h, "owned", ""), -ENOENT);
}

/* Takes @ns out of the new ones, and has it joined. */
static void join(struct ct_request *q, Husk__Agent__V1__JoinNamespace *j, Husk__Agent__V1__JoinNamespace **list,
		 Husk__Agent__V1__Namespace ns, char *id)
{
	size_t n = 0;

	husk__agent__v1__join_namespace__init(j);
	j->namespace_ = ns;
	j->container_id = id;
	q->ct.join_namespaces = list;
	list[q->ct.n_join_namespaces++] = j;
	for (size_t i = 0; i < q->ct.n_new_namespaces; i++)
		if (q->ns[i] != ns)
			q->ns[n++] = q->ns[i];
	q->ct.n_new_namespaces = n;
}

static void another_ones_namespaces(void **state)
{
	static const char script[] = "hostname; cat /proc/1/comm; "
				     "[ $(readlink /proc/1/ns/ipc) = $(readlink /proc/self/ns/ipc) ]";
	static const struct {
		const char *why, *id, *out;
		Husk__Agent__V1__Namespace ns[3];
		size_t n;
	} rows[] = {
		{ "its name", "host", "of-host\nsh\n", { HUSK__AGENT__V1__NAMESPACE__NS_UTS }, 1 },
		{ "all three", "host", "of-host\nsleep\n",
		  { HUSK__AGENT__V1__NAMESPACE__NS_UTS, HUSK__AGENT__V1__NAMESPACE__NS_PID,
		    HUSK__AGENT__V1__NAMESPACE__NS_IPC }, 3 },
		{ "of one that is not there", "gone", NULL, { HUSK__AGENT__V1__NAMESPACE__NS_IPC }, 1 },
	};
	char name[] = "of-host", *out;
	struct ct_request q, host;
	struct reply r = { 0 };

	(void)state;
	if (!h)
		return;
	request_init(&host, "host");
	request_args(&host, "sleep", "1000", NULL);
	host.ct.hostname = name;
	request_create(h, &host, &r);
	assert_int_equal(agenthost_start(h, "host"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		Husk__Agent__V1__JoinNamespace j[3], *list[3];

		request_init(&q, "guest");
		request_sh(&q, script);
		for (size_t k = 0; k < rows[i].n; k++)
			join(&q, &j[k], list, rows[i].ns[k], (char *)(uintptr_t)rows[i].id);
		if (!rows[i].out) {
			memset(&r, 0, sizeof(r));
			check_row(rows[i].why, request_create(h, &q, &r)->rc == -ESRCH);
			continue;
		}
		check_row(rows[i].why, agenthost_run(h, &q, &out) == 0);
		check_row(rows[i].why, strcmp(out, rows[i].out) == 0);
		free(out);
	}
	assert_int_equal(agenthost_send_signal(h, "host", "", SIGKILL, false), 0);
	assert_int_equal(agenthost_delete(h, "host", ""), 0);
}

/* Nothing of all that stays. */
static void no_leak(void **state)
{
	unsigned before = 0;

	(void)state;
	for (int i = 0; h && i < 30; i++) {
		struct ct_request q;
		char *out;

		request_init(&q, "cycle");
		request_sh(&q, "echo $0 >/dev/stderr; cat; echo $?");
		q.streams.stdin = 0;
		assert_int_equal(agenthost_run(h, &q, &out), 0);
		free(out);
		if (i == 5)
			before = agenthost_fds(h);
	}
	if (!h)
		return;
	assert_int_equal(agenthost_fds(h), before);
	assert_int_equal(agenthost_sh(h, "! ls -d $0/cg/${0##*/}/*/ 2>/dev/null"), 0);
	assert_int_equal(agenthost_sh(h, "[ $(grep -c shares /proc/1/mountinfo) = 0 ]"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(execs),         cmocka_unit_test(copy_through),
		cmocka_unit_test(late_reader),   cmocka_unit_test(reader_gone),
		cmocka_unit_test(terminal),      cmocka_unit_test(terminal_that_nobody_holds),
		cmocka_unit_test(missing_programs),
		cmocka_unit_test(wrong_order),   cmocka_unit_test(long_errors),
		cmocka_unit_test(listing),       cmocka_unit_test(start_hooks),
		cmocka_unit_test(extra_streams), cmocka_unit_test(listeners), cmocka_unit_test(owner_gone),
		cmocka_unit_test(another_ones_namespaces),
		cmocka_unit_test(no_leak),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
