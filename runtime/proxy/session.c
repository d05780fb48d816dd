// SPDX-License-Identifier: Apache-2.0
#include "runtime/proxy/session_internal.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "lib/io.h"
#include "lib/log.h"
#include "runtime/proxy/last_words.h"

/* How long the reason of a machine's end may follow the end of its connections. */
#define WHY_TIMEOUT_MS 1000

static void tell_stage(const struct session *s)
{
	static const char *const comm[] = {
		[PROXY_ST_CREATED] = PROXY_COMM_NEW,
		[PROXY_ST_RUNNING] = PROXY_COMM_RUN,
		[PROXY_ST_ENDED] = PROXY_COMM_END,
	};
	const char *name = s->paused && s->state != PROXY_ST_ENDED ? PROXY_COMM_HELD : comm[s->state];

	prctl(PR_SET_NAME, s->deleting && !is_exec(s) ? PROXY_COMM_AWAY : name, 0, 0, 0);
}

void session_set_state(struct session *s, enum proxy_state state)
{
	s->state = state;
	tell_stage(s);
}

void session_set_paused(struct session *s, bool paused)
{
	s->paused = paused;
	tell_stage(s);
}

/* ---- the end ---------------------------------------------------------------------------------- */

static void tear_down_machine(struct session *s)
{
	char name[sizeof(s->at.share_prefix) + 12];
	struct err e = ERR_INIT;
	unsigned others = 0;

	for (uint32_t i = 0; !is_exec(s) && i < s->at.nshares; i++) {
		snprintf(name, sizeof(name), "%s%u", s->at.share_prefix, i);
		if (ncl_share_remove(s->machine, s->at.fs_device, name, MACHINE_TIMEOUT_MS, &e) <
		    0) {
			/* The machine is on its way out, and takes them with it. */
			log_debug("share %s: %s", name, e.msg);
			break;
		}
	}
	if (!(s->at.flags & PROXY_ATTACH_LIFELINE))
		return;
	/* Ends it, unless others live in it. */
	if (ncl_leave(s->machine, &others, MACHINE_TIMEOUT_MS, &e) < 0)
		log_debug("leave: %s", e.msg);
	s->alone = !others;
}

static void finish(struct session *s)
{
	if (s->torn_down)
		return;
	s->torn_down = true;
	session_deleted(s);
	relay_stop(&s->in);
	output_stop(s);
	if (s->oom_again.fn)
		evtimer_done(&s->oom_again);
	agent_client_free(s->agent);
	s->agent = NULL;
	follow_stop(s, s->machine);
	if (s->machine)
		tear_down_machine(s);
	network_stop(s);
	session_dial_stop(s);
	stamp(s, PROXY_T_TORN_DOWN);
	/* A short command has ended before the husk that started it has asked for anything more: it is waited for. */
	if (is_exec(s) && s->first && !s->committed && !s->why[0])
		s->unheard = true;
	else
		session_last_word(s);
}

void session_last_word(struct session *s)
{
	if (s->first)
		serve_reply(s->first, PROXY_EXITED, s->why[0] ? -EIO : 0, s->why);
	else if (s->why[0])
		log_err("%s", s->why);
	evloop_stop(s->loop);
}

static void deleted(void *arg, const struct agent_reply *r)
{
	struct session *s = arg;

	/* Nobody is told otherwise that what its programs wrote, and were told is written, may be lost. */
	if (r->rc == -ETIMEDOUT)
		log_err("the guest has not written back in time what files on disks held: %s", r->err.msg);
	else if (r->rc < 0)
		log_debug("delete: %s", r->err.msg);
	finish(s);
}

void session_end(struct session *s)
{
	struct err e = ERR_INIT;

	if (s->deleting || s->torn_down)
		return;
	s->deleting = true;
	tell_stage(s);
	relay_stop(&s->in);
	if (!s->created || !s->agent ||
	    session_delete(s, deleted, &e) < 0)
		finish(s);
}

static void ended(struct session *s, int code)
{
	stamp(s, PROXY_T_EXITED);
	s->exit_code = code;
	session_set_state(s, PROXY_ST_ENDED);
	relay_stop(&s->in);
	extra_stop_input(s);
	listen_stop(s);
	follow_idle(s);
	sockets_ending(s);
	network_ending(s);
	output_await_end(s);
}

void session_waited(void *arg, const struct agent_reply *r)
{
	struct session *s = arg;

	/* A dead connection's callback follows, and knows more. */
	if (r->rc < 0)
		return;
	s->oom = r->exit.oom && r->exit.status == 128 + SIGKILL;
	ended(s, (int)(r->exit.status & 0xff));
}

bool session_machine_ended(struct session *s, int timeout_ms)
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

bool session_machine_why(struct session *s, struct err *e)
{
	const struct nc_event *ev = &s->end;
	char words[LAST_WORDS_SIZE];

	session_machine_ended(s, WHY_TIMEOUT_MS);
	if (!s->has_end)
		return false;
	last_words(words, ev->console);
	err_set(e, EIO, "the virtual machine has ended: %s%s%s%s%s", nc_end_name(ev->value),
		ev->text[0] ? ": " : "", ev->text, words[0] ? "; last on its console: " : "", words);
	return ev->value == NC_END_QUIT;
}

/* A machine whose agent is lost has nobody who ends what is in it, or its streams. */
static void abandon(struct session *s)
{
	struct err e = ERR_INIT;

	if (session_machine_ended(s, 0))
		return;
	if (!is_exec(s) && (s->at.flags & PROXY_ATTACH_LIFELINE) &&
	    ncl_command(s->machine, NC_QUIT, MACHINE_TIMEOUT_MS, &e) == 0)
		return; /* its streams' ends follow */
	s->give_up_output = true;
}

void session_agent_dead(void *arg, int rc, const struct err *why)
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
		quit = session_machine_why(s, &e);
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
	abandon(s);
	ended(s, EXIT_LOST);
}

void session_fail(struct session *s, int rc, const struct err *e)
{
	if (s->torn_down)
		return;
	s->exit_code = EXIT_LOST;
	s->torn_down = true;
	follow_stop(s, false);
	network_stop(s);
	session_dial_stop(s);
	if (s->first)
		serve_reply(s->first, PROXY_ATTACH, rc, e->msg);
	evloop_stop(s->loop);
}

void session_started(struct session *s)
{
	stamp(s, PROXY_T_STARTED);
	session_set_state(s, PROXY_ST_RUNNING);
	listen_begin(s);
}

/* ---- signals ---------------------------------------------------------------------------------- */

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
	/* Nobody reads the last output, or not fast enough, and somebody wants an end of it. */
	if (ends_by_default(signo) && (s->killed || s->state == PROXY_ST_ENDED) && !s->give_up_output) {
		s->give_up_output = true;
		output_stop(s);
		session_drained(s);
	}
	if (s->state == PROXY_ST_ENDED)
		return;
	if (signo == SIGKILL)
		output_killed(s);
	if (s->agent && s->created)
		agent_signal(s->agent, s->at.container_id, exec_id(s), (uint32_t)signo, false,
			     signalled, s, NULL);
}
