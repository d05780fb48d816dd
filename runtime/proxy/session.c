// SPDX-License-Identifier: Apache-2.0
#include "runtime/proxy/session.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/log.h"

#define MACHINE_TIMEOUT_MS 10000
/* How long the reason of a machine's end may follow the end of its connections. */
#define WHY_TIMEOUT_MS     1000

static bool is_exec(const struct session *s)
{
	return s->at.flags & PROXY_ATTACH_EXEC;
}

static bool is_terminal(const struct session *s)
{
	return s->at.flags & PROXY_ATTACH_TERMINAL;
}

static const char *exec_id(const struct session *s)
{
	return is_exec(s) ? s->at.exec_id : "";
}

static void stamp(struct session *s, enum proxy_stamp which)
{
	s->stamp[which] = io_now_ns();
}

static void set_state(struct session *s, enum proxy_state state)
{
	static const char *const comm[] = {
		[PROXY_ST_CREATED] = PROXY_COMM_NEW,
		[PROXY_ST_RUNNING] = PROXY_COMM_RUN,
		[PROXY_ST_ENDED] = PROXY_COMM_END,
	};

	s->state = state;
	prctl(PR_SET_NAME, comm[state], 0, 0, 0);
}

/* ---- the end ---------------------------------------------------------------------------------- */

static void tear_down_machine(struct session *s)
{
	char name[sizeof(s->at.share_prefix) + 12];
	struct err e = ERR_INIT;

	for (uint32_t i = 0; !is_exec(s) && i < s->at.nshares; i++) {
		snprintf(name, sizeof(name), "%s%u", s->at.share_prefix, i);
		if (ncl_share_remove(s->machine, s->at.fs_device, name, MACHINE_TIMEOUT_MS, &e) < 0) {
			/* The machine is on its way out, and takes them with it. */
			log_debug("share %s: %s", name, e.msg);
			break;
		}
	}
	if ((s->at.flags & PROXY_ATTACH_LAST) &&
	    ncl_command(s->machine, NC_QUIT, MACHINE_TIMEOUT_MS, &e) < 0)
		log_debug("quit: %s", e.msg);
}

static void finish(struct session *s)
{
	if (s->torn_down)
		return;
	s->torn_down = true;
	relay_stop(&s->in);
	relay_stop(&s->out);
	relay_stop(&s->err);
	agent_client_free(s->agent);
	s->agent = NULL;
	if (s->machine)
		tear_down_machine(s);
	stamp(s, PROXY_T_TORN_DOWN);
	if (s->first)
		serve_reply(s->first, PROXY_EXITED, s->why[0] ? -EIO : 0, s->why);
	else if (s->why[0])
		log_err("%s", s->why);
	evloop_stop(s->loop);
}

static void deleted(void *arg, const struct agent_reply *r)
{
	struct session *s = arg;

	if (r->rc < 0)
		log_debug("delete: %s", r->err.msg);
	finish(s);
}

void session_end(struct session *s)
{
	struct err e = ERR_INIT;

	if (s->deleting || s->torn_down)
		return;
	s->deleting = true;
	relay_stop(&s->in);
	if (!s->created || !s->agent ||
	    agent_delete(s->agent, s->at.container_id, exec_id(s), deleted, s, &e) < 0)
		finish(s);
}

static bool drained(const struct session *s)
{
	return s->give_up_output || ((!s->out.loop || s->out.done) && (!s->err.loop || s->err.done));
}

static void out_done(struct relay *r)
{
	struct session *s = container_of(r, struct session, out);

	if (s->state == PROXY_ST_ENDED && drained(s))
		session_end(s);
}

static void err_done(struct relay *r)
{
	struct session *s = container_of(r, struct session, err);

	if (s->state == PROXY_ST_ENDED && drained(s))
		session_end(s);
}

static void ended(struct session *s, int code)
{
	stamp(s, PROXY_T_EXITED);
	s->exit_code = code;
	set_state(s, PROXY_ST_ENDED);
	relay_stop(&s->in);
	if (drained(s))
		session_end(s);
}

static void waited(void *arg, const struct agent_reply *r)
{
	struct session *s = arg;

	/* A dead connection's callback follows, and knows more. */
	if (r->rc < 0)
		return;
	ended(s, (int)(r->exit.status & 0xff));
}

/* Looks at the machine's events for @timeout_ms each. True: it has ended, and says so in s->end, or its
 * connection has. */
static bool machine_ended(struct session *s, int timeout_ms)
{
	int rc;

	if (s->has_end)
		return true;
	do
		rc = ncl_event(s->machine, &s->end, timeout_ms, NULL);
	while (rc == 1 && s->end.kind != NC_EV_END);
	s->has_end = rc == 1;
	return rc != 0;
}

/* Why the machine ended, when it says so; true when it was told to quit, in good order. */
static bool machine_end(struct session *s, struct err *e)
{
	const struct nc_event *ev = &s->end;
	const char *tail;
	size_t len;

	machine_ended(s, WHY_TIMEOUT_MS);
	if (!s->has_end)
		return false;
	len = strlen(ev->console);
	tail = ev->console + (len > 300 ? len - 300 : 0);
	err_set(e, EIO, "the virtual machine has ended: %s%s%s%s%s", nc_end_name(ev->value),
		ev->text[0] ? ": " : "", ev->text, *tail ? "; last on its console: " : "", tail);
	return ev->value == NC_END_QUIT;
}

static void agent_dead(void *arg, int rc, const struct err *why)
{
	struct session *s = arg;
	struct err e = *why;
	bool quit = false;

	agent_client_free(s->agent);
	s->agent = NULL;
	if (s->torn_down)
		return;
	if (s->state == PROXY_ST_ENDED) {
		if (s->deleting)
			finish(s);
		return;
	}
	if (rc == -EPIPE)
		quit = machine_end(s, &e);
	if (s->state == PROXY_ST_NEW) {
		session_fail(s, rc == -EPIPE ? -EIO : rc, &e);
		return;
	}
	/* An exec goes when its container does, and that is no failure of the machine. */
	if (quit && is_exec(s)) {
		ended(s, 128 + SIGKILL);
		return;
	}
	snprintf(s->why, sizeof(s->why), "%s", e.msg);
	s->created = false;
	ended(s, EXIT_LOST);
}

void session_fail(struct session *s, int rc, const struct err *e)
{
	if (s->torn_down)
		return;
	s->exit_code = EXIT_LOST;
	s->torn_down = true;
	if (s->first)
		serve_reply(s->first, PROXY_ATTACH, rc, e->msg);
	evloop_stop(s->loop);
}

/* ---- the beginning ---------------------------------------------------------------------------- */

static void size_set(void *arg, const struct agent_reply *r)
{
	(void)arg;
	if (r->rc < 0)
		log_debug("resize: %s", r->err.msg);
}

void session_send_size(struct session *s, agent_reply_fn *fn, void *arg)
{
	struct winsize ws;

	if (!is_terminal(s) || !s->agent || s->stdio[0].fd < 0 ||
	    ioctl(STDIN_FILENO, TIOCGWINSZ, &ws) < 0 || !ws.ws_row || !ws.ws_col)
		return;
	agent_resize(s->agent, s->at.container_id, exec_id(s), ws.ws_row, ws.ws_col,
		     fn ? fn : size_set, arg, NULL);
}

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
	set_state(s, is_exec(s) ? PROXY_ST_RUNNING : PROXY_ST_CREATED);
	if (is_exec(s))
		stamp(s, PROXY_T_STARTED);
	session_send_size(s, NULL, s);
	if (agent_wait(s->agent, s->at.container_id, exec_id(s), waited, s, &e) < 0) {
		session_fail(s, -EIO, &e);
		return;
	}
	if (s->first)
		serve_reply(s->first, PROXY_ATTACH, 0, "");
}

void session_started(struct session *s)
{
	stamp(s, PROXY_T_STARTED);
	set_state(s, PROXY_ST_RUNNING);
}

static void greeted(void *arg, const struct agent_reply *r)
{
	struct session *s = arg;

	if (r->rc == 0) {
		stamp(s, PROXY_T_HELLO);
		s->guest_boot_ns = s->stamp[PROXY_T_READY] -
				   min_t(uint64_t, r->hello.kernel_to_agent_ns,
					 s->stamp[PROXY_T_READY]);
		log_debug("agent %s on Linux %s, up after %llu us", r->hello.agent_version,
			  r->hello.kernel_release,
			  (unsigned long long)(r->hello.kernel_to_agent_ns / 1000));
	}
}

/* Connects one stream and says by its token which it is. */
static int open_stream(struct session *s, uint64_t token, int *ret_fd, struct err *e)
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
	int fd = -1, both, rc = open_stream(s, s->at.token[0], &fd, e);

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
		    RELAY_END_NOTHING, out_done);
	return 0;
}

static int open_streams(struct session *s, struct err *e)
{
	int fd = -1, rc = 0;

	if (is_terminal(s))
		return open_terminal(s, e);
	if (s->at.token[0]) {
		rc = open_stream(s, s->at.token[0], &fd, e);
		if (rc < 0)
			return rc;
		relay_start(&s->in, s->loop, "stdin", steal_end(&s->stdio[0]), socket_end(fd),
			    RELAY_END_SHUTDOWN, nothing_done);
	}
	if (s->at.token[1]) {
		rc = open_stream(s, s->at.token[1], &fd, e);
		if (rc < 0)
			return rc;
		relay_start(&s->out, s->loop, "stdout", socket_end(fd), steal_end(&s->stdio[1]),
			    RELAY_END_CLOSE, out_done);
	}
	if (s->at.token[2]) {
		rc = open_stream(s, s->at.token[2], &fd, e);
		if (rc < 0)
			return rc;
		relay_start(&s->err, s->loop, "stderr", socket_end(fd), steal_end(&s->stdio[2]),
			    RELAY_END_CLOSE, err_done);
	}
	return 0;
}

/* The agent has dialled; or the machine has ended; or husk is gone; or it takes too long. */
static int wait_ready(struct session *s, int ready, struct err *e)
{
	uint64_t end = io_now_ns() + (uint64_t)s->at.timeout_ms * 1000000u;

	for (;;) {
		struct pollfd p[] = {
			{ .fd = ready, .events = POLLIN },
			{ .fd = ncl_fd(s->machine), .events = POLLIN },
			{ .fd = s->first ? s->first->src.fd : -1, .events = POLLRDHUP },
		};
		uint64_t now = io_now_ns();
		int n = now >= end ? 0 : poll(p, 3, (int)((end - now) / 1000000u) + 1);

		if (n < 0 && errno != EINTR)
			return err_errno(e, errno, "poll");
		if (n == 0)
			return err_set(e, ETIMEDOUT, "the guest's agent did not come up in %u seconds",
				       s->at.timeout_ms / 1000);
		if (n > 0 && p[2].revents)
			return err_set(e, ECANCELED, "husk has gone");
		if (n > 0 && (p[0].revents & POLLIN))
			return 0;
		if (n > 0 && (p[0].revents || (p[1].revents && machine_ended(s, 0))))
			return -EPIPE;
	}
}

static int begin(struct session *s, const void *request, int ready, struct err *e)
{
	int fd = -1, rc;

	rc = ncl_command(s->machine, NC_SUBSCRIBE, MACHINE_TIMEOUT_MS, e);
	if (rc == 0 && ready >= 0)
		rc = wait_ready(s, ready, e);
	if (rc < 0)
		return rc;
	stamp(s, PROXY_T_READY);
	rc = ncl_connect(s->machine, AGENT_PORT_CONTROL, AGENT_DEADLINE_MS, &fd, e);
	if (rc < 0)
		return err_wrap(e, rc, "cannot reach the guest's agent");
	rc = agent_client_new(&s->agent, s->loop, fd, agent_dead, s, e);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	rc = agent_hello(s->agent, greeted, s, e);
	if (rc == 0)
		rc = is_exec(s) ? agent_exec(s->agent, request, s->at.request_len, 0, created, s, e) :
				  agent_create(s->agent, request, s->at.request_len, 0, created, s, e);
	return rc < 0 ? rc : open_streams(s, e);
}

void session_attach(struct session *s, const void *request, int ready)
{
	struct err e = ERR_INIT;
	int rc = begin(s, request, ready, &e);

	if (rc == -EPIPE) {
		err_set(&e, EIO, "the virtual machine has ended unexpectedly");
		machine_end(s, &e);
		rc = -EIO;
	}
	if (rc < 0)
		session_fail(s, rc, &e);
}

/* ---- signals ---------------------------------------------------------------------------------- */

static void signalled(void *arg, const struct agent_reply *r)
{
	(void)arg;
	if (r->rc < 0)
		log_debug("signal: %s", r->err.msg);
}

static bool ends_by_default(int signo)
{
	return signo == SIGTERM || signo == SIGINT || signo == SIGHUP || signo == SIGQUIT;
}

void session_forward_signal(struct session *s, int signo)
{
	switch (signo) {
	case SIGCHLD:
	case SIGPIPE:
	case SIGURG:
		return;
	case SIGWINCH:
		session_send_size(s, NULL, s);
		return;
	}
	if (s->state == PROXY_ST_ENDED) {
		/* Nobody reads the last output, and somebody wants an end of it. */
		if (ends_by_default(signo) && !s->give_up_output) {
			s->give_up_output = true;
			relay_stop(&s->out);
			relay_stop(&s->err);
			session_end(s);
		}
		return;
	}
	if (s->agent && s->created)
		agent_signal(s->agent, s->at.container_id, exec_id(s), (uint32_t)signo, false,
			     signalled, s, NULL);
}
