// SPDX-License-Identifier: Apache-2.0
/*
 * Sockets of the host in a container, from end to end but for the virtual machine: the agent, the proxy's session and the
 * connector are the real ones, in processes of their own; a fake machine brings the connections from one to the other.
 */
#include "tests/unit/check.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/io.h"
#include "runtime/proxy/client.h"
#include "runtime/proxy/connector.h"
#include "runtime/proxy/session.h"
#include "tests/lib/agenthost.h"
#include "tests/lib/fakeworld.h"

#define WAIT_MS 20000

static struct agenthost *h;
static struct session s;
static struct fakeworld *world;
static pthread_t proxy_thread, server_thread;
#define LISTEN_TOKEN 4711

static struct sockaddr_un stream_at, dgram_at, preserved_at;
static int stream_fd, dgram_fd, husk = -1;
static void *request;

static int to_agent(void *arg, unsigned port)
{
	return agenthost_dial(arg, port == AGENT_PORT_CONTROL ? "control" : "stream");
}

static int listen_at(struct sockaddr_un *at, const char *name, int type)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	at->sun_family = AF_UNIX;
	snprintf(at->sun_path, sizeof(at->sun_path), "/tmp/husk-sockets-%d-%s", getpid(), name);
	assert_int_equal(bind(fd, (struct sockaddr *)at, sizeof(*at)), 0);
	assert_int_equal(chmod(at->sun_path, 0666), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 64), 0);
	return fd;
}

/* One connection after the other: counts what comes, tells how much at its end. */
static void *serve(void *arg)
{
	int fd;

	(void)arg;
	while ((fd = accept(stream_fd, NULL, NULL)) >= 0) {
		char buf[65536], text[32];
		size_t sum = 0;
		ssize_t n;

		if (write(fd, "hello\n", 6) != 6)
			abort();
		while ((n = read(fd, buf, sizeof(buf))) > 0)
			sum += (size_t)n;
		n = snprintf(text, sizeof(text), "%zu bytes\n", sum);
		if (send(fd, text, (size_t)n, MSG_NOSIGNAL) < 0)
			n = 0;
		close(fd);
	}
	return NULL;
}

static void *proxy(void *arg)
{
	session_attach(&s, request, -1);
	if (!s.torn_down)
		evloop_run(s.loop);
	return arg;
}

static void make_request(void)
{
	static Husk__Agent__V1__HostSocket sock[2], *ptrs[2] = { &sock[0], &sock[1] };
	static Husk__Agent__V1__ExtraStream preserved, *preserved_ptr = &preserved;
	static struct ct_request q;
	size_t len;

	for (int i = 0; i < 2; i++) {
		husk__agent__v1__host_socket__init(&sock[i]);
		sock[i].mode = 0666;
	}
	sock[1].datagram = true;
	request_init(&q, "c");
	q.ct.sockets = ptrs;
	q.ct.n_sockets = 2;
	request_mount(&q, "/run/x/s", "socket", "0", 0, "");
	request_mount(&q, "/run/x/d", "socket", "1", 0, "");
	husk__agent__v1__extra_stream__init(&preserved);
	preserved.kind = HUSK__AGENT__V1__STREAM_KIND__STREAM_LISTEN;
	preserved.token = LISTEN_TOKEN;
	q.proc.extra_streams = &preserved_ptr;
	q.proc.n_extra_streams = 1;
	request_args(&q, "sleep", "1000", NULL);
	request = request_pack(&q, &len);
	s.at.request_len = (uint32_t)len;
}

static int set_up(void **state)
{
	struct fakeworld_plan plan = { .connect = to_agent };
	int machine, pair[2], fds[2];

	(void)state;
	h = agenthost_new();
	if (!h)
		return 0;
	signal(SIGPIPE, SIG_IGN);
	stream_fd = listen_at(&stream_at, "s", SOCK_STREAM);
	dgram_fd = listen_at(&dgram_at, "d", SOCK_DGRAM);
	fds[0] = open(stream_at.sun_path, O_PATH | O_CLOEXEC);
	fds[1] = open(dgram_at.sun_path, O_PATH | O_CLOEXEC);
	plan.connect_arg = h;
	world = fakeworld_new(&plan, &machine);
	assert_int_equal(evloop_new(&s.loop, NULL), 0);
	assert_int_equal(ncl_new(&s.machine, machine, NULL), 0);
	assert_int_equal(connector_start(open("/proc", O_PATH | O_CLOEXEC), fds, 2, &s.sockets.ids, &s.sockets.src.fd, NULL), 0);
	s.sockets.n = 2;
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	husk = pair[0];
	assert_int_equal(serve_add(&s, pair[1], &s.first), 0);
	s.at.flags = PROXY_ATTACH_LIFELINE;
	s.at.timeout_ms = 5000;
	strcpy(s.at.container_id, "c");
	s.exit_code = EXIT_LOST;
	extra_add(&s, &(struct proxy_stream){ .kind = PROXY_STREAM_LISTEN, .token = LISTEN_TOKEN },
		  listen_at(&preserved_at, "p", SOCK_STREAM), NULL);
	make_request();
	assert_int_equal(pthread_create(&server_thread, NULL, serve, NULL), 0);
	assert_int_equal(pthread_create(&proxy_thread, NULL, proxy, NULL), 0);
	assert_int_equal(proxy_wait(husk, PROXY_ATTACH, NULL, WAIT_MS, NULL), 0);
	assert_int_equal(proxy_call(husk, PROXY_START, NULL, WAIT_MS, NULL), 0);
	return 0;
}

/* With $s and $d, the container's paths to the two. */
static int sh(const char *command)
{
	char script[600];

	snprintf(script, sizeof(script),
		 "p=$(grep -l '^sleep' /proc/[0-9]*/cmdline | head -n 1); p=${p%%/cmdline}; s=$p/root/run/x/s; "
		 "d=$p/root/run/x/d; "
		 "exec 2>/dev/null; %s",
		 command);
	return agenthost_sh(h, script);
}

static void connections(void **state)
{
	(void)state;
	if (!h)
		return;
	check_row("one", sh("test \"$(echo four | timeout 20 socat -t 15 - UNIX:$s | tr '\\n' ' ')\" = 'hello 5 bytes '") == 0);
	check_row("much", sh("test \"$(head -c 3000000 /dev/zero | timeout 20 socat -t 15 - UNIX:$s | tail -n 1)\" = "
			     "'3000000 bytes'") == 0);
	check_row("many", sh("for i in 1 2 3 4 5 6 7 8 9; do (echo $i | timeout 20 socat -t 15 - UNIX:$s >$0/$i) & done; wait; "
			     "test \"$(cat $0/[1-9] | grep -c '^2 bytes$')\" = 9") == 0);
	check_row("as many one after the other as there may be at a time, and more",
		  sh("n=0; while [ $n -lt 70 ]; do echo | timeout 20 socat -t 15 - UNIX:$s >/dev/null || exit 1; "
		     "n=$((n + 1)); done") == 0);
}

static void datagrams(void **state)
{
	char got[16] = "";

	(void)state;
	if (!h)
		return;
	check_row("two", sh("echo one | socat -u - UNIX-SENDTO:$d; echo two | socat -u - UNIX-SENDTO:$d") == 0);
	assert_int_equal(recv(dgram_fd, got, sizeof(got), 0), 4);
	assert_memory_equal(got, "one\n", 4);
	assert_int_equal(recv(dgram_fd, got, sizeof(got), 0), 4);
	assert_memory_equal(got, "two\n", 4);
}

/* None more for this process, or as before. */
static void few_descriptors(bool few)
{
	static struct rlimit before;
	struct rlimit now;

	if (few)
		assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	now = (struct rlimit){ few ? 3 : before.rlim_cur, before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
}

/* The other way round: the process's own descriptor is taken and served in its place, an echo. */
static void preserved_listener(void **state)
{
	static char data[300000], back[300000];
	int fd;

	(void)state;
	if (!h)
		return;
	check_row("a server", sh("nsenter --pid=/proc/1/ns/pid python3 -c 'import ctypes, os, socket, sys\n"
				 "p = os.pidfd_open(int(sys.argv[1]))\n"
				 "s = socket.socket(fileno=ctypes.CDLL(None).syscall(438, p, 3, 0))\n"
				 "if os.fork(): sys.exit()\n"
				 "for i in range(3):\n"
				 "    c, b = s.accept()[0], b\"\"\n"
				 "    while len(b) < 300000: b += c.recv(65536)\n"
				 "    c.sendall(b + c.recv(1)); c.close()' ${p#/proc/} >/dev/null") == 0);
	memset(data, 'd', sizeof(data));
	for (int i = 0; i < 3; i++) {
		const struct timeval patience = { .tv_sec = 20 };

		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		/* One cannot be accepted at first, and no other ends meanwhile. */
		if (i == 1)
			few_descriptors(true);
		assert_int_equal(connect(fd, (struct sockaddr *)&preserved_at, sizeof(preserved_at)), 0);
		if (i == 1) {
			usleep(300000);
			few_descriptors(false);
		}
		assert_int_equal(io_write_full(fd, data, sizeof(data)), 0);
		shutdown(fd, SHUT_WR);
		assert_int_equal(io_read_full(fd, back, sizeof(back)), 0);
		assert_memory_equal(data, back, sizeof(back));
		assert_int_equal(read(fd, back, 1), 0);
		close(fd);
	}
}

static int tear_down(void **state)
{
	struct proxy_reply r;

	(void)state;
	if (!h)
		return 0;
	/* A connection that nobody ends keeps it, but not for long. */
	assert_int_equal(sh("(sleep 100 | socat -u - UNIX:$s) >/dev/null & sleep 0.3"), 0);
	assert_int_equal(proxy_signal(husk, SIGKILL, false, WAIT_MS, NULL), 0);
	assert_int_equal(proxy_wait(husk, PROXY_EXITED, &r, WAIT_MS, NULL), 0);
	assert_int_equal(r.exit_status, 137);
	pthread_join(proxy_thread, NULL);
	ncl_free(s.machine);
	for (size_t i = 0; i < SESSION_MAX_CLIENTS; i++)
		if (s.clients[i].s)
			serve_close(&s.clients[i]);
	evloop_free(s.loop);
	assert_non_null(strstr(fakeworld_end(world), "left"));
	fakeworld_free(world);
	shutdown(stream_fd, SHUT_RDWR);
	pthread_join(server_thread, NULL);
	close(stream_fd);
	close(dgram_fd);
	close(husk);
	unlink(stream_at.sun_path);
	unlink(dgram_at.sun_path);
	unlink(preserved_at.sun_path);
	free(request);
	agenthost_free(h);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(connections), cmocka_unit_test(datagrams),
					    cmocka_unit_test(preserved_listener) };

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
