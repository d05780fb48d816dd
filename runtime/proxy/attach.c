// SPDX-License-Identifier: Apache-2.0
/* The beginning of a session: the agent comes up, is greeted, makes the container or the exec, and the
 * streams are connected. */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/log.h"
#include "runtime/proxy/session_internal.h"

static void created(void *arg, const struct agent_reply *r)
{
	struct session *s = arg;
	struct err e = ERR_INIT;

	if (r->rc < 0) {
		if (s->agent && r->rc != -EPIPE && r->rc != -EPROTO && r->rc != -ETIMEDOUT)
			session_fail(s, r->rc, &r->err);
		return; /* else the dead callback follows */
	}
	stamp(s, PROXY_T_CREATED);
	s->created = true;
	session_set_state(s, is_exec(s) ? PROXY_ST_RUNNING : PROXY_ST_CREATED);
	if (is_exec(s))
		stamp(s, PROXY_T_STARTED);
	session_send_size(s, NULL, s);
	if (agent_wait(s->agent, s->at.container_id, exec_id(s), session_waited, s, &e) < 0) {
		session_fail(s, -EIO, &e);
		return;
	}
	if (!is_exec(s)) {
		sockets_begin(s);
		follow_begin(s);
	} else {
		listen_begin(s);
	}
	if (s->first)
		serve_reply(s->first, PROXY_ATTACH, 0, "");
}

static void greeted(void *arg, const struct agent_reply *r)
{
	struct session *s = arg;

	if (r->rc == 0) {
		stamp(s, PROXY_T_HELLO);
		s->guest_boot_ns =
			s->stamp[PROXY_T_READY] -
			min_t(uint64_t, r->hello.kernel_to_agent_ns, s->stamp[PROXY_T_READY]);
		log_debug("agent %s on Linux %s, up after %llu us", r->hello.agent_version,
			  r->hello.kernel_release,
			  (unsigned long long)(r->hello.kernel_to_agent_ns / 1000));
	}
}

int session_open_stream(struct session *s, uint64_t token, int *ret_fd, struct err *e)
{
	_cleanup_close_ int fd = -1;
	uint8_t wire[8];
	int rc = ncl_connect(s->machine, AGENT_PORT_STREAM, AGENT_STREAM_DEADLINE_MS, &fd, e);

	if (rc < 0)
		return err_wrap(e, rc, "cannot connect a standard stream");
	for (unsigned i = 0; i < sizeof(wire); i++)
		wire[i] = (uint8_t)(token >> (8 * i));
	rc = io_write_full(fd, wire, sizeof(wire));
	if (rc < 0)
		return err_errno(e, -rc, "cannot connect a standard stream");
	*ret_fd = steal_fd(&fd);
	return 0;
}

static struct relay_end socket_end(int fd)
{
	return (struct relay_end){ .fd = fd, .kind = RELAY_SOCKET };
}

static struct relay_end steal_end(struct relay_end *end)
{
	struct relay_end v = *end;

	end->fd = -1;
	return v;
}

static void nothing_done(struct relay *r)
{
	(void)r;
}

static int open_terminal(struct session *s, struct err *e)
{
	int fd = -1, both, rc = session_open_stream(s, s->at.token[0], &fd, e);

	if (rc < 0)
		return rc;
	both = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (both < 0) {
		rc = err_errno(e, errno, "dup");
		close(fd);
		return rc;
	}
	/* Descriptor 0 stays open: the terminal's size is asked through it. */
	relay_start(&s->in, s->loop, "terminal in", s->stdio[0], socket_end(both),
		    RELAY_END_NOTHING, nothing_done);
	relay_start(&s->out, s->loop, "terminal out", socket_end(fd), steal_end(&s->stdio[1]),
		    RELAY_END_NOTHING, session_out_done);
	return 0;
}

static int open_extra(struct session *s, struct err *e)
{
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < s->nextra; i++) {
		int fd = -1;

		if (s->extra[i].kind == PROXY_STREAM_LISTEN)
			continue;
		rc = session_open_stream(s, s->extra[i].token, &fd, e);
		if (rc == 0)
			rc = extra_start(&s->extra[i], fd, e);
	}
	return rc;
}

static int open_standard(struct session *s, struct err *e)
{
	int fd = -1, rc = 0;

	if (is_terminal(s))
		return open_terminal(s, e);
	if (s->at.token[0]) {
		rc = session_open_stream(s, s->at.token[0], &fd, e);
		if (rc < 0)
			return rc;
		relay_start(&s->in, s->loop, "stdin", steal_end(&s->stdio[0]), socket_end(fd),
			    RELAY_END_SHUTDOWN, nothing_done);
	}
	if (s->at.token[1]) {
		rc = session_open_stream(s, s->at.token[1], &fd, e);
		if (rc < 0)
			return rc;
		relay_start(&s->out, s->loop, "stdout", socket_end(fd), steal_end(&s->stdio[1]),
			    RELAY_END_CLOSE, session_out_done);
	}
	if (s->at.token[2]) {
		rc = session_open_stream(s, s->at.token[2], &fd, e);
		if (rc < 0)
			return rc;
		relay_start(&s->err, s->loop, "stderr", socket_end(fd), steal_end(&s->stdio[2]),
			    RELAY_END_CLOSE, session_err_done);
	}
	return 0;
}

static int begin(struct session *s, const void *request, int ready, struct err *e)
{
	int fd = -1, rc;

	rc = ncl_command(s->machine, NC_SUBSCRIBE, MACHINE_TIMEOUT_MS, e);
	if (rc == 0 && ready >= 0)
		rc = ready_wait(s, ready, e);
	if (rc < 0)
		return rc;
	stamp(s, PROXY_T_READY);
	rc = ncl_connect(s->machine, AGENT_PORT_CONTROL, AGENT_DEADLINE_MS, &fd, e);
	if (rc < 0)
		return err_wrap(e, rc, "cannot reach the guest's agent");
	rc = agent_client_new(&s->agent, s->loop, fd, session_agent_dead, s, e);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	rc = agent_hello(s->agent, is_exec(s) ? 0 : s->at.timeout_ms, greeted, s, e);
	if (rc == 0)
		network_begin(s);
	if (rc == 0)
		rc = is_exec(s)
			     ? agent_exec(s->agent, request, s->at.request_len,
					  s->at.flags & PROXY_ATTACH_PATIENT ? INT_MAX : 0, created,
					  s, e)
			     : agent_create(s->agent, request, s->at.request_len, 0, created, s, e);
	if (rc == 0)
		rc = open_standard(s, e);
	return rc < 0 ? rc : open_extra(s, e);
}

void session_attach(struct session *s, const void *request, int ready)
{
	struct err e = ERR_INIT;
	int rc = begin(s, request, ready, &e);

	if (rc == -EPIPE) {
		err_set(&e, EIO, "the virtual machine has ended unexpectedly");
		session_machine_why(s, &e);
		rc = -EIO;
	}
	if (rc < 0)
		session_fail(s, rc, &e);
}
