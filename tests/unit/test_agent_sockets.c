// SPDX-License-Identifier: Apache-2.0
/* Sockets of the host in a container, the agent's half: what is connected to its socket comes out of a stream, as whom, and
 * when there will be no more. */
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lib/agenthost.h"
#include "tests/unit/check.h"

AGENTHOST_FIXTURE

struct with_socket {
	struct ct_request q;
	Husk__Agent__V1__HostSocket sock[2];
	Husk__Agent__V1__HostSocket *ptrs[2];
};

static void with_socket_init(struct with_socket *w, const char *id, const char *number)
{
	request_init(&w->q, id);
	for (int i = 0; i < 2; i++) {
		husk__agent__v1__host_socket__init(&w->sock[i]);
		w->sock[i].mode = 0620;
		w->sock[i].uid = 7;
		w->ptrs[i] = &w->sock[i];
	}
	w->q.ct.sockets = w->ptrs;
	w->q.ct.n_sockets = 2;
	request_mount(&w->q, "/run/x/s", "socket", number, 0, "");
}

static void accept_one(struct reply *r, const char *id, uint64_t token, struct err *e)
{
	*r = (struct reply){ .done = false };
	assert_int_equal(agent_accept_socket(h->c, id, token, reply_fn, r, e), 0);
}

/* The container's own path to it, from outside: through the root of its process. */
static int sh_in(const char *command)
{
	char script[400];

	snprintf(script, sizeof(script),
		 "p=$(grep -l '^sleep' /proc/[0-9]*/cmdline | head -n 1); p=${p%%/cmdline}; s=$p/root/run/x/s; %s", command);
	return agenthost_sh(h, script);
}

static void connections(void **state)
{
	struct with_socket w;
	struct reply r = { 0 }, second = { 0 };
	struct err e = ERR_INIT;
	uint64_t token = agenthost_token();
	char *text;
	int fd;

	(void)state;
	if (!h)
		return;
	with_socket_init(&w, "sock", "1");
	request_args(&w.q, "sleep", "1000", NULL);
	request_create(h, &w.q, &r);
	assert_int_equal(r.r.rc, 0);
	assert_int_equal(agenthost_start(h, "sock"), 0);
	check_row("owner and mode are the host's", sh_in("test \"$(stat -c '%F %a %u' $s)\" = 'socket 620 7'") == 0);

	accept_one(&r, "sock", token, &e);
	accept_one(&second, "sock", token + 2, &e);
	reply_wait(h, &second, 0);
	check_row("one asks at a time", second.r.rc == -EEXIST);
	/* A client that has gone by the time that the host comes. */
	check_row("a client", sh_in("echo words | setpriv --groups 5,6 socat -u - UNIX-CONNECT:$s") == 0);
	reply_wait(h, &r, 0);
	assert_int_equal(r.r.rc, 0);
	assert_int_equal(r.r.socket.socket, 1);
	assert_int_equal(r.r.socket.uid, 0);
	check_row("its groups", r.r.socket.ngroups == 2 && r.r.socket.groups[0] == 5 && r.r.socket.groups[1] == 6);
	fd = agenthost_stream(h, token);
	text = agenthost_read_all(fd, NULL);
	assert_string_equal(text, "words\n");
	free(text);
	close(fd);

	/* Why one cannot be told is said by its number: here, that the stream of the one before has not been come for. */
	token += 4;
	for (int i = 0; i < 2; i++) {
		accept_one(&r, "sock", token, &e);
		check_row("a client", sh_in(i ? "socat -u UNIX-CONNECT:$s -" : "echo more | socat -u - UNIX-CONNECT:$s") == 0);
		reply_wait(h, &r, 0);
		assert_int_equal(r.r.rc, i ? -EEXIST : 0);
	}
	fd = agenthost_stream(h, token);
	text = agenthost_read_all(fd, NULL);
	assert_string_equal(text, "more\n");
	free(text);
	close(fd);

	/* What was connected before anybody asked is told, too; and at the end that there is no more. */
	check_row("unasked", sh_in("echo last | socat -u - UNIX-CONNECT:$s") == 0);
	assert_int_equal(agenthost_send_signal(h, "sock", "", 9, false), 0);
	agenthost_wait_for(h, "sock", "", &second);
	token += 4;
	accept_one(&r, "sock", token, &e);
	reply_wait(h, &r, 0);
	assert_int_equal(r.r.rc, 0);
	fd = agenthost_stream(h, token);
	text = agenthost_read_all(fd, NULL);
	assert_string_equal(text, "last\n");
	free(text);
	close(fd);
	accept_one(&r, "sock", token + 2, &e);
	reply_wait(h, &r, 0);
	check_row("no more", r.r.rc == -ESRCH);
	assert_int_equal(agenthost_delete(h, "sock", ""), 0);
	check_row("nothing stays", agenthost_sh(h, "test -z \"$(ls $0/sockets)\"") == 0);
}

/* Two datagrams, the second of which comes when the stream is there, and one that comes before the end: framed. */
static void datagrams(void **state)
{
	static const char want[] = "\3\0\0\0one" "\5\0\0\0seven" "\0\0\0\0" "\4\0\0\0last";
	const char *send = "python3 -c 'import socket, sys\ns = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
			   "for w in sys.argv[2:]: s.sendto(w.encode(), sys.argv[1])' $s";
	struct with_socket w;
	struct reply r = { 0 }, ended = { 0 };
	struct err e = ERR_INIT;
	uint64_t token = agenthost_token() + 100;
	char script[300], *text;
	size_t len;
	int fd;

	(void)state;
	if (!h)
		return;
	with_socket_init(&w, "dgram", "0");
	w.sock[0].datagram = true;
	request_args(&w.q, "sleep", "1000", NULL);
	request_create(h, &w.q, &r);
	assert_int_equal(r.r.rc, 0);
	assert_int_equal(agenthost_start(h, "dgram"), 0);
	accept_one(&r, "dgram", token, &e);
	snprintf(script, sizeof(script), "%s one", send);
	check_row("a datagram", sh_in(script) == 0);
	reply_wait(h, &r, 0);
	assert_int_equal(r.r.rc, 0);
	assert_int_equal(r.r.socket.socket, 0);
	assert_int_equal(r.r.socket.uid, 0);
	fd = agenthost_stream(h, token);
	snprintf(script, sizeof(script), "%s seven ''", send);
	check_row("two more", sh_in(script) == 0);
	snprintf(script, sizeof(script), "%s last", send);
	check_row("the last", sh_in(script) == 0);
	assert_int_equal(agenthost_send_signal(h, "dgram", "", 9, false), 0);
	agenthost_wait_for(h, "dgram", "", &ended);
	text = agenthost_read_all(fd, &len);
	assert_int_equal(len, sizeof(want) - 1);
	assert_memory_equal(text, want, len);
	free(text);
	close(fd);
	accept_one(&r, "dgram", token + 2, &e);
	reply_wait(h, &r, 0);
	check_row("no more", r.r.rc == -ESRCH);
	assert_int_equal(agenthost_delete(h, "dgram", ""), 0);
}

/* Its server on the host ends and comes back: whoever has asked by then is told of what is sent from then on. */
static void datagrams_again(void **state)
{
	const char *send = "python3 -c 'import socket, sys\ns = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
			   "s.sendto(sys.argv[2].encode(), sys.argv[1])' $s";
	struct with_socket w;
	struct reply r = { 0 };
	struct err e = ERR_INIT;
	uint64_t token = agenthost_token() + 200;
	char script[300], got[16];

	(void)state;
	if (!h)
		return;
	with_socket_init(&w, "again", "0");
	w.sock[0].datagram = true;
	request_args(&w.q, "sleep", "1000", NULL);
	request_create(h, &w.q, &r);
	assert_int_equal(r.r.rc, 0);
	assert_int_equal(agenthost_start(h, "again"), 0);
	accept_one(&r, "again", token, &e);
	for (int i = 0; i < 3; i++) {
		int fd;

		snprintf(script, sizeof(script), "%s word%d", send, i);
		check_row("a datagram", sh_in(script) == 0);
		reply_wait(h, &r, 0);
		assert_int_equal(r.r.rc, 0);
		fd = agenthost_stream(h, token);
		/* The next one is asked for while this one lasts, as the proxy does. */
		token += 2;
		accept_one(&r, "again", token, &e);
		assert_int_equal(recv(fd, got, 9, MSG_WAITALL), 9);
		assert_int_equal(got[8], '0' + i);
		agenthost_turn(h, 50);
		close(fd);
		agenthost_turn(h, 200);
	}
	assert_int_equal(agenthost_delete(h, "again", ""), 0);
}

static void refusals(void **state)
{
	static const struct {
		const char *number, *text;
	} rows[] = {
		{ "2", "mounts.source" }, { "-1", "mounts.source" }, { "", "mounts.source" }, { "0x", "mounts.source" },
		{ "01 ", "mounts.source" }, { "../0", "mounts.source" },
	};

	(void)state;
	if (!h)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct with_socket w;
		struct reply r = { 0 };

		with_socket_init(&w, "no", rows[i].number);
		request_sh(&w.q, "true");
		request_create(h, &w.q, &r);
		if (r.r.rc != -EINVAL || !strstr(r.r.err.msg, rows[i].text))
			fail_msg("socket \"%s\": %d %s", rows[i].number, r.r.rc, r.r.err.msg);
	}
}

static void without_any(void **state)
{
	struct ct_request q;
	struct reply r = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	if (!h)
		return;
	agenthost_sleeper(h, &q, "none");
	accept_one(&r, "none", 5, &e);
	reply_wait(h, &r, 0);
	assert_int_equal(r.r.rc, -EINVAL);
	assert_int_equal(agenthost_delete(h, "none", ""), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connections),
		cmocka_unit_test(datagrams),
		cmocka_unit_test(datagrams_again),
		cmocka_unit_test(refusals),
		cmocka_unit_test(without_any),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
