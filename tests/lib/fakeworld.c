// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/fakeworld.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent-proto/proto/agent.pb-c.h"
#include "agent-proto/proto/limits.h"
#include "agent-proto/ttrpc/server.h"
#include "lib/cleanup.h"
#include "lib/io.h"
#include "vmm/control/server.h"

#define MAX_STREAMS 80
#define MAX_FORWARDS 1200
#define MAX_DROPPED 8

struct stream {
	struct fakeworld *w;
	struct evsrc src;
	bool has_token;
	uint64_t token;
};

struct fakeworld {
	struct fakeworld_plan plan;
	struct evloop *loop;
	pthread_t thread;
	struct control *ctl;
	struct ttrpc_server *agent;
	struct evsrc agent_src;
	struct stream streams[MAX_STREAMS];
	unsigned nstreams;
	struct stream forwards[MAX_FORWARDS];
	unsigned nforwards;
	int names; /* the channel of questions; 0: none */
	struct ttrpc_call *oom; /* unanswered */
	struct ttrpc_call *waiting;
	struct ttrpc_call *deleting;
	struct evtimer deleted;
	struct ttrpc_call *dropped[MAX_DROPPED]; /* never answered */
	unsigned ndropped;
	unsigned accepts; /* AcceptSocket that were asked */
	uint64_t socket_token; /* of the last connection to a socket of the host */
	unsigned n_sockets;
	struct ttrpc_call *accepting; /* it comes when the process runs: until then the call waits */
	bool running, ended;
	unsigned status;
	char said[4096];
};

static void say(struct fakeworld *w, const char *what, const char *more)
{
	size_t n = strlen(w->said);

	snprintf(w->said + n, sizeof(w->said) - n, "%s%s ", what, more);
}

static void drop(struct fakeworld *w, struct ttrpc_call *call)
{
	if (w->ndropped < MAX_DROPPED)
		w->dropped[w->ndropped++] = call;
}

static bool is_mute(struct fakeworld *w, struct ttrpc_call *call, const char *method)
{
	bool mute = (w->plan.mute && !strcmp(w->plan.mute, method)) || (w->plan.mute_too && !strcmp(w->plan.mute_too, method));

	if (mute)
		drop(w, call);
	return mute;
}

/* ---- the guest -------------------------------------------------------------------------------- */

/* Streams by the order of their connecting: stdin, stdout, stderr. */
static void close_stream(struct stream *s)
{
	if (s->src.fd < 0)
		return;
	evloop_del(&s->src);
	close(s->src.fd);
	s->src.fd = -1;
}

/* Another answer in front of the one that follows. */
static void answer_twice(struct fakeworld *w, const Husk__Agent__V1__WaitResponse *first)
{
	Husk__Agent__V1__WaitResponse r = *first;
	struct buf *out = ttrpc_server_output(w->agent);
	uint8_t status[8], frame[64];
	size_t len;

	r.exit_status++;
	len = husk__agent__v1__wait_response__pack(first, status);
	frame[TTRPC_HEADER] = 0x12; /* Response.payload */
	frame[TTRPC_HEADER + 1] = (uint8_t)len;
	memcpy(frame + TTRPC_HEADER + 2, status, len);
	ttrpc_put_header(frame, (uint32_t)len + 2, w->waiting->stream, TTRPC_RESPONSE, 0);
	buf_append(out, frame, TTRPC_HEADER + 2 + len);
}

static void answer_wait(struct fakeworld *w)
{
	Husk__Agent__V1__WaitResponse r = HUSK__AGENT__V1__WAIT_RESPONSE__INIT;

	if (!w->waiting || !w->ended)
		return;
	r.exit_status = w->plan.lie_at_wait ? 4711 : w->status;
	if (w->plan.wait_twice)
		answer_twice(w, &r);
	ttrpc_reply(w->waiting, &r.base);
	w->waiting = NULL;
}

static void end_process(struct fakeworld *w, unsigned status)
{
	static char words[65536];

	if (w->ended)
		return;
	w->ended = true;
	w->status = status;
	memset(words, 'e', sizeof(words));
	for (size_t n = w->plan.last_words; n && w->nstreams > 2;) {
		size_t piece = min_t(size_t, n, sizeof(words));

		if (io_write_full(w->streams[2].src.fd, words, piece) < 0)
			break;
		n -= piece;
	}
	/* One that has not told yet whose it is may be a socket's, that has been written to. */
	for (unsigned i = 0; i < w->nstreams && !w->plan.streams_stay; i++)
		if (w->streams[i].has_token)
			close_stream(&w->streams[i]);
	answer_wait(w);
}

/* The fake container's connection to a socket of the host: it writes this much, and hears what comes back. */
static void say_to_socket(struct fakeworld *w, struct stream *s)
{
	static char words[65536];
	char back[5] = "";

	memset(words, 's', sizeof(words));
	for (size_t n = w->plan.socket_words; n;) {
		size_t piece = min_t(size_t, n, sizeof(words));

		if (io_write_full(s->src.fd, words, piece) < 0)
			break;
		n -= piece;
	}
	if (io_read_full(s->src.fd, back, 4) == 0)
		say(w, "socket:", back);
}

/* Until the other side is closed nothing comes of it. */
static void echo_event(struct evsrc *src, uint32_t events)
{
	char buf[4096];
	ssize_t n = recv(src->fd, buf, sizeof(buf), MSG_DONTWAIT);

	(void)events;
	if (n > 0)
		io_write_full(src->fd, buf, (size_t)n);
	else if (n == 0)
		evloop_del(src);
	if (n == 0)
		shutdown(src->fd, SHUT_WR);
}

static void echo(struct stream *s)
{
	s->src.fn = echo_event;
	evloop_add(s->w->loop, &s->src, EPOLLIN);
}

static void stream_event(struct evsrc *src, uint32_t events)
{
	struct stream *s = container_of(src, struct stream, src);
	struct fakeworld *w = s->w;
	char buf[65536];
	ssize_t n;

	(void)events;
	if (!s->has_token) {
		s->has_token = io_read_full(src->fd, &s->token, sizeof(s->token)) == 0;
		if (!s->has_token || s != &w->streams[0])
			evloop_del(src);
		if (s->has_token && s->token == w->socket_token)
			say_to_socket(w, s);
		if (s->has_token && s->token == w->plan.echo)
			echo(s);
		if (w->ended && !w->plan.streams_stay)
			close_stream(s);
		return;
	}
	n = recv(src->fd, buf, sizeof(buf), MSG_DONTWAIT);
	if (n < 0)
		return;
	if (n == 0) {
		if (w->running)
			end_process(w, w->plan.exit_status);
		else
			evloop_del(src);
		return;
	}
	if (w->nstreams > 1)
		io_write_full(w->streams[1].src.fd, buf, (size_t)n);
	else /* a terminal */
		io_write_full(src->fd, buf, (size_t)n);
}

static void die(struct fakeworld *w)
{
	static struct nc_event ev;

	if (w->plan.end_text) {
		memset(&ev, 0, sizeof(ev));
		ev.kind = NC_EV_END;
		ev.value = NC_END_PANIC;
		snprintf(ev.console, sizeof(ev.console), "%s", w->plan.end_text);
		control_event(w->ctl, &ev, 0);
	}
	evloop_stop(w->loop);
}

/* ---- the agent's calls ------------------------------------------------------------------------- */

static void on_hello(void *ctx, struct ttrpc_call *call, const uint8_t *p, size_t len)
{
	Husk__Agent__V1__HelloResponse r;
	static char version[] = "test", kernel[] = "6.12";

	(void)p;
	(void)len;
	if (is_mute(ctx, call, "Hello"))
		return;
	husk__agent__v1__hello_response__init(&r);
	r.version = AGENT_VERSION;
	r.agent_version = version;
	r.kernel_release = kernel;
	ttrpc_reply(call, &r.base);
}

static void on_create(void *ctx, struct ttrpc_call *call, const uint8_t *p, size_t len)
{
	Husk__Agent__V1__CreateContainerResponse r =
		HUSK__AGENT__V1__CREATE_CONTAINER_RESPONSE__INIT;
	struct fakeworld *w = ctx;

	(void)p;
	(void)len;
	say(w, "create", "");
	if (is_mute(w, call, "CreateContainer"))
		return;
	if (w->plan.die_at_create) {
		drop(w, call);
		die(w);
	} else if (w->plan.create_rc < 0) {
		ttrpc_reply_err(call, w->plan.create_rc, w->plan.create_text);
		return;
	}
	r.pid = 10;
	if (!w->plan.die_at_create)
		ttrpc_reply(call, &r.base);
}

static void on_exec(void *ctx, struct ttrpc_call *call, const uint8_t *p, size_t len)
{
	struct fakeworld *w = ctx;

	on_create(ctx, call, p, len);
	w->running = true;
}

static void answer_accept(struct fakeworld *w)
{
	Husk__Agent__V1__AcceptSocketResponse r = HUSK__AGENT__V1__ACCEPT_SOCKET_RESPONSE__INIT;

	if (!w->accepting || !w->running)
		return;
	r.uid = r.gid = 4711;
	r.socket = w->n_sockets > 1 && w->n_sockets == w->plan.socket_conns;
	ttrpc_reply(w->accepting, &r.base);
	w->accepting = NULL;
}

static void on_start(void *ctx, struct ttrpc_call *call, const uint8_t *p, size_t len)
{
	struct fakeworld *w = ctx;

	(void)p;
	(void)len;
	say(w, "start", "");
	if (w->plan.die_at_start) {
		drop(w, call);
		die(w);
		return;
	}
	if (w->plan.hang_up_at_start) {
		drop(w, call);
		shutdown(w->agent_src.fd, SHUT_RDWR);
		return;
	}
	if (is_mute(w, call, "Start"))
		return;
	if (w->plan.start_rc < 0) {
		ttrpc_reply_err(call, w->plan.start_rc, "no such program");
		return;
	}
	w->running = true;
	ttrpc_reply(call, NULL);
	if (w->plan.names_end)
		shutdown(w->names, SHUT_RDWR);
	answer_accept(w);
	if (w->nstreams)
		evloop_add(w->loop, &w->streams[0].src, EPOLLIN);
	else
		end_process(w, w->plan.exit_status);
}

static void on_wait(void *ctx, struct ttrpc_call *call, const uint8_t *p, size_t len)
{
	struct fakeworld *w = ctx;

	(void)p;
	(void)len;
	say(w, "wait", "");
	w->waiting = call;
	w->ended = w->plan.wait_at_once;
	if (w->ended)
		w->status = w->plan.exit_status;
	answer_wait(w);
}

static void on_signal_heard(struct fakeworld *w, unsigned signo)
{
	if (signo == SIGTERM || signo == SIGKILL)
		end_process(w, 128 + signo);
}

static void on_signal(void *ctx, struct ttrpc_call *call, const uint8_t *p, size_t len)
{
	struct fakeworld *w = ctx;
	Husk__Agent__V1__SignalRequest *r = husk__agent__v1__signal_request__unpack(NULL, len, p);
	char n[24];

	snprintf(n, sizeof(n), "signal:%u%s", r->signal, r->all ? "a" : "");
	say(w, n, "");
	if (!is_mute(w, call, "Signal")) {
		ttrpc_reply(call, NULL);
		on_signal_heard(w, r->signal);
	}
	husk__agent__v1__signal_request__free_unpacked(r, NULL);
}

static void on_ok(void *ctx, struct ttrpc_call *call, const uint8_t *p, size_t len)
{
	(void)ctx;
	(void)p;
	(void)len;
	ttrpc_reply(call, NULL);
}

static void on_pause(void *ctx, struct ttrpc_call *call, const uint8_t *p, size_t len)
{
	struct fakeworld *w = ctx;

	say(w, "pause", "");
	if (is_mute(w, call, "Pause"))
		return;
	if (w->plan.pause_rc)
		ttrpc_reply_err(call, w->plan.pause_rc, "cannot");
	else
		on_ok(ctx, call, p, len);
}

static void on_resume(void *ctx, struct ttrpc_call *call, const uint8_t *p, size_t len)
{
	say(ctx, "resume", "");
	on_ok(ctx, call, p, len);
}

static void on_stats(void *ctx, struct ttrpc_call *call, const uint8_t *p, size_t len)
{
	Husk__Agent__V1__StatsResponse r = HUSK__AGENT__V1__STATS_RESPONSE__INIT;
	Husk__Agent__V1__Counter c, *list[] = { &c };
	static char name[] = "anon";

	if (is_mute(ctx, call, "Stats"))
		return;
	(void)p;
	(void)len;
	husk__agent__v1__counter__init(&c);
	c.name = name;
	c.value = 5;
	r.cpu_ns = 1234;
	r.memory_stat = list;
	r.n_memory_stat = 1;
	ttrpc_reply(call, &r.base);
}

/* The first is told how many there were, the next of one more, and then there is silence. */
static void on_wait_oom(void *ctx, struct ttrpc_call *call, const uint8_t *p, size_t len)
{
	Husk__Agent__V1__WaitOomRequest *q = husk__agent__v1__wait_oom_request__unpack(NULL, len, p);
	Husk__Agent__V1__WaitOomResponse r = HUSK__AGENT__V1__WAIT_OOM_RESPONSE__INIT;
	struct fakeworld *w = ctx;
	char n[40];

	snprintf(n, sizeof(n), "oom:%lld", (long long)q->seen);
	say(w, n, "");
	r.oom_kills = q->seen == UINT64_MAX ? 2 : q->seen + 1;
	if (r.oom_kills <= 3 || w->plan.oom_storm)
		ttrpc_reply(call, &r.base);
	else
		w->oom = call;
	husk__agent__v1__wait_oom_request__free_unpacked(q, NULL);
}

/* One connection, as user 4711, then no more. */
static void on_accept_socket(void *ctx, struct ttrpc_call *call, const uint8_t *p, size_t len)
{
	Husk__Agent__V1__AcceptSocketRequest *q = husk__agent__v1__accept_socket_request__unpack(NULL, len, p);
	struct fakeworld *w = ctx;

	if (w->plan.socket_rc)
		say(w, "accept", "");
	if (w->plan.socket_rc && ++w->accepts <= 2) {
		ttrpc_reply_err(call, w->plan.socket_rc, "no accept");
	} else if (w->n_sockets >= (w->plan.socket_conns ?: 1)) {
		ttrpc_reply_err(call, -ESRCH, "container not running");
	} else {
		w->n_sockets++;
		w->socket_token = q->token;
		w->accepting = call;
		answer_accept(w);
	}
	husk__agent__v1__accept_socket_request__free_unpacked(q, NULL);
}

static void on_network(void *ctx, struct ttrpc_call *call, const uint8_t *p, size_t len)
{
	Husk__Agent__V1__UpdateNetworkResponse r = HUSK__AGENT__V1__UPDATE_NETWORK_RESPONSE__INIT;
	uint32_t server = htonl(0x7f000035);
	struct fakeworld *w = ctx;

	(void)p;
	(void)len;
	say(w, "network", "");
	r.resolvers = &server;
	r.n_resolvers = w->plan.names;
	if (w->plan.network_rc)
		ttrpc_reply_err(call, w->plan.network_rc, "interface eth0: cannot");
	else
		ttrpc_reply(call, &r.base);
}

static void delete_over(struct evtimer *t)
{
	struct fakeworld *w = container_of(t, struct fakeworld, deleted);

	evtimer_done(t);
	ttrpc_reply(steal_ptr(&w->deleting), NULL);
}

static void on_delete(void *ctx, struct ttrpc_call *call, const uint8_t *p, size_t len)
{
	struct fakeworld *w = ctx;

	say(w, "delete", "");
	if (is_mute(w, call, "Delete"))
		return;
	if (!w->plan.delete_ms) {
		on_ok(w, call, p, len);
		return;
	}
	w->deleting = call;
	if (evtimer_init(w->loop, &w->deleted, "delete", delete_over) < 0 ||
	    evtimer_set_ns(&w->deleted, w->plan.delete_ms * UINT64_C(1000000)) < 0)
		abort();
}

static void on_list(void *ctx, struct ttrpc_call *call, const uint8_t *p, size_t len)
{
	Husk__Agent__V1__ListProcessesResponse r = HUSK__AGENT__V1__LIST_PROCESSES_RESPONSE__INIT;
	struct fakeworld *w = ctx;
	static Husk__Agent__V1__ProcessInfo row[AGENT_MAX_PROCESSES + 1];
	static Husk__Agent__V1__ProcessInfo *rows[AGENT_MAX_PROCESSES + 1];
	static char tty[] = "pts/0";

	(void)p;
	(void)len;
	for (unsigned i = 0; i < w->plan.processes && i < ARRAY_SIZE(row); i++) {
		husk__agent__v1__process_info__init(&row[i]);
		row[i].pid = 100 + i;
		row[i].tty = tty;
		row[i].command.data = (uint8_t *)tty;
		row[i].command.len = 3;
		rows[r.n_processes++] = &row[i];
	}
	r.processes = rows;
	ttrpc_reply(call, &r.base);
}

static void on_change_mount(void *ctx, struct ttrpc_call *call, const uint8_t *p, size_t len)
{
	Husk__Agent__V1__ChangeMountRequest *q = husk__agent__v1__change_mount_request__unpack(NULL, len, p);
	struct fakeworld *w = ctx;
	char words[96];

	snprintf(words, sizeof(words), "%u:%u:%u:%.20s:%.20s", q->slot, q->bind, q->parent, q->path, q->share);
	say(w, q->gone ? "unmount:" : "mount:", words);
	husk__agent__v1__change_mount_request__free_unpacked(q, NULL);
	if (is_mute(w, call, "ChangeMount"))
		return;
	if (w->plan.mount_rc < 0)
		ttrpc_reply_err(call, w->plan.mount_rc, "no such place");
	else
		ttrpc_reply(call, NULL);
}

#define METHOD(name, fn)                                                                           \
	{                                                                                          \
		"husk.agent.v1.Agent", name, fn                                                    \
	}
static const struct ttrpc_method methods[] = {
	METHOD("Hello", on_hello),   METHOD("CreateContainer", on_create),
	METHOD("Exec", on_exec),     METHOD("Start", on_start),
	METHOD("Wait", on_wait),     METHOD("Signal", on_signal),
	METHOD("Resize", on_ok),     METHOD("ListProcesses", on_list),
	METHOD("UpdateNetwork", on_network),
	METHOD("Delete", on_delete), METHOD("Pause", on_pause),
	METHOD("Resume", on_resume), METHOD("Stats", on_stats),
	METHOD("WaitOom", on_wait_oom), METHOD("AcceptSocket", on_accept_socket),
	METHOD("ChangeMount", on_change_mount), { NULL, NULL, NULL },
};

static void flush_agent(void *arg)
{
	struct fakeworld *w = arg;
	struct buf *out = ttrpc_server_output(w->agent);

	if (out->len && io_write_full(w->agent_src.fd, out->data, out->len) == 0)
		buf_consume(out, out->len);
}

static void agent_event(struct evsrc *src, uint32_t events)
{
	struct fakeworld *w = container_of(src, struct fakeworld, agent_src);
	uint8_t buf[65536];
	ssize_t n = recv(src->fd, buf, sizeof(buf), MSG_DONTWAIT);

	(void)events;
	if (n > 0)
		ttrpc_server_input(w->agent, buf, (size_t)n, NULL);
	else if (n == 0)
		evloop_del(src);
	flush_agent(w);
}

/* ---- the machine's commands -------------------------------------------------------------------- */

static void accept_control(struct fakeworld *w, int fd)
{
	const struct ttrpc_server_config cfg = { .methods = methods,
						 .ctx = w,
						 .max_frame = AGENT_MAX_FRAME,
						 .max_out = 2 * AGENT_MAX_FRAME,
						 .max_unpack = 16u << 20,
						 .max_calls = 64 };

	ttrpc_server_new(&w->agent, &cfg, NULL);
	ttrpc_server_on_output(w->agent, flush_agent, w);
	w->agent_src = (struct evsrc){ .fd = fd, .fn = agent_event, .name = "agent" };
	evloop_add(w->loop, &w->agent_src, EPOLLIN);
}

static int on_connect(void *arg, struct control_request *r, struct err *e)
{
	const struct nc_connect *m = r->msg;
	struct nc_simple reply;
	struct fakeworld *w = arg;
	int pair[2];

	if (w->plan.deaf && w->running) {
		say(w, "dial", "");
		return CONTROL_REPLIED; /* but it is not */
	}
	if (w->plan.connect) {
		pair[1] = w->plan.connect(w->plan.connect_arg, m->port);
		control_reply(w->ctl, &r->token, &reply, sizeof(reply), pair[1]);
		close(pair[1]);
		return CONTROL_REPLIED;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(e, errno, "socketpair");
	if (m->port == AGENT_PORT_CONTROL) {
		accept_control(w, pair[0]);
	} else if (m->port == AGENT_PORT_RESOLVER && w->plan.names_refused) {
		w->plan.names_refused--;
		close(pair[0]);
		close(pair[1]);
		return err_set(e, ECONNREFUSED, "nobody listens");
	} else if (m->port == AGENT_PORT_RESOLVER) {
		say(w, "names", "");
		if (w->names)
			close(w->names);
		w->names = pair[0];
	} else if (m->port == AGENT_PORT_FORWARD && w->nforwards < MAX_FORWARDS) {
		struct stream *s = &w->forwards[w->nforwards++];

		*s = (struct stream){ .w = w, .src = { .fd = pair[0] } };
		echo(s);
	} else {
		struct stream *s = &w->streams[w->nstreams++];

		*s = (struct stream){ .w = w, .src = { .fd = pair[0], .fn = stream_event } };
		evloop_add(w->loop, &s->src, EPOLLIN);
	}
	control_reply(w->ctl, &r->token, &reply, sizeof(reply), pair[1]);
	close(pair[1]);
	return CONTROL_REPLIED;
}

static int on_share_add(void *arg, struct control_request *r, struct err *e)
{
	const struct nc_share *m = r->msg;

	(void)e;
	say(arg, m->flags ? "file-add:" : "share-add:", m->name);
	return 0;
}

static int on_share_remove(void *arg, struct control_request *r, struct err *e)
{
	const struct nc_share *m = r->msg;

	(void)e;
	say(arg, "share-remove:", m->name);
	return 0;
}

static int on_quit(void *arg, struct control_request *r, struct err *e)
{
	struct fakeworld *w = arg;

	(void)r;
	(void)e;
	say(w, "quit", "");
	evloop_stop(w->loop);
	return 0;
}

static const struct control_cmd cmds[] = {
	{ NC_CONNECT, sizeof(struct nc_connect), 0, 0, NC_MAY_CONNECT, on_connect },
	{ NC_SHARE_ADD, sizeof(struct nc_share), 1, 1, NC_MAY_SHARE, on_share_add },
	{ NC_SHARE_REMOVE, sizeof(struct nc_share), 0, 0, NC_MAY_SHARE, on_share_remove },
	{ NC_QUIT, sizeof(struct nc_simple), 0, 0, NC_MAY_QUIT, on_quit },
};

static void lost(void *arg, bool left)
{
	struct fakeworld *w = arg;

	say(w, left ? "left" : "lost", "");
	evloop_stop(w->loop);
}

static void *world(void *arg)
{
	struct fakeworld *w = arg;

	evloop_run(w->loop);
	ttrpc_server_free(w->agent);
	/* An answer that goes nowhere frees the call. */
	if (w->waiting)
		ttrpc_reply(w->waiting, NULL);
	for (unsigned i = 0; i < w->ndropped; i++)
		ttrpc_reply(w->dropped[i], NULL);
	if (w->oom)
		ttrpc_reply(w->oom, NULL);
	if (w->accepting)
		ttrpc_reply(w->accepting, NULL);
	if (w->agent)
		close(w->agent_src.fd);
	for (unsigned i = 0; i < w->nstreams; i++)
		close_stream(&w->streams[i]);
	if (w->names)
		close(w->names);
	control_free(w->ctl);
	return NULL;
}

struct fakeworld *fakeworld_new(const struct fakeworld_plan *plan, int *ret_machine)
{
	static const struct control_ops ops = { .cmds = cmds,
						.ncmds = ARRAY_SIZE(cmds),
						.lifeline_lost = lost };
	struct fakeworld *w = calloc(1, sizeof(*w));
	int pair[2];

	w->plan = *plan;
	if (evloop_new(&w->loop, NULL) < 0 || control_new(&w->ctl, w->loop, &ops, w, NULL) < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0 ||
	    control_add_client(w->ctl, pair[0], NC_MAY_ALL | NC_LIFELINE, NULL) < 0 ||
	    pthread_create(&w->thread, NULL, world, w))
		abort();
	*ret_machine = pair[1];
	return w;
}

const char *fakeworld_end(struct fakeworld *w)
{
	pthread_join(w->thread, NULL);
	return w->said;
}

void fakeworld_free(struct fakeworld *w)
{
	evloop_free(w->loop);
	free(w);
}
