/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The proxy's state and what moves it: the agent's answers, husk's commands, signals, streams.
 *
 *	attach() --> PROXY_ST_CREATED --START--> PROXY_ST_RUNNING --agent: ended--> PROXY_ST_ENDED
 *	   |               \_______________________________________________/             |
 *	   | (an exec goes straight to RUNNING)                         streams at their end
 *	   v                                                                            v
 *	 failed: answered, torn down                       agent: delete, shares dropped, machine quits
 *
 * One thread. Everything after drop_privileges().
 */
#ifndef RUNTIME_PROXY_SESSION_H
#define RUNTIME_PROXY_SESSION_H

#include "agent-proto/client/client.h"
#include "lib/buf.h"
#include "lib/evloop.h"
#include "runtime/proxy/connector.h"
#include "runtime/proxy/follow.h"
#include "runtime/proxy/proxy.h"
#include "runtime/proxy/relay.h"
#include "vmm/control/native_client.h"

#define SESSION_MAX_CLIENTS 16
#define SESSION_MAX_SOCKET_CONNS 512 /* of the container to sockets of the host, at a time */
#define SESSION_MAX_SOCKET_TRIES 16 /* of those, that are being made; most of them wait for a listener whose queue is full */
#define SESSION_MAX_FORWARDS 1024 /* to the container's network namespace, at a time; the agent takes more */
#define SESSION_MAX_ACCEPTED     AGENT_MAX_ACCEPTED /* of the host, by all listening sockets of the process, at a time */
/* How long a server that does not read what the container wrote may keep the end waiting. */
#define SESSION_SOCKETS_DRAIN_NS UINT64_C(5000000000)
#define EXIT_LOST           255 /* the machine or the agent was lost */

/* The first words on a connection to the guest: whose it is. */
#define SESSION_DIAL_HEAD 32

/* A connection to the guest that the loop does not wait for (dial.c). Embedded in its owner; zeros, but for @done, until it is
 * begun. */
struct session_dial {
	struct ncl_connecting k;
	struct session *s;
	uint8_t head[SESSION_DIAL_HEAD];
	size_t head_len;
	/* From the loop, once; @fd is the callee's, -1 when @rc is not 0. May free this one. */
	void (*done)(struct session_dial *d, int rc, int fd);
};

/* A descriptor of the process's beyond the three. */
struct session_extra {
	struct session *s;
	enum proxy_stream_kind kind;
	uint64_t token;
	struct relay_end host; /* prepared before privileges were given up */
	struct relay *in, *out; /* host to guest, guest to host; NULL: not of this kind */
	struct evsrc listen; /* PROXY_STREAM_LISTEN */
	bool listens, was_blocking, failed /* the last accept() */;
};

/* One husk that is connected. Freed when its socket is closed and no call of it is in flight. */
struct session_client {
	struct session *s; /* NULL: slot free */
	struct evsrc src; /* fd -1: closed */
	unsigned in_flight;
	bool watches; /* is told when memory runs out */
	struct buf unsent; /* packets for a reader that is slower than we are */
	size_t sent; /* bytes of it */
};

/* network.c */
struct session_net {
	bool has; /* a husk-net was told of */
	struct evsrc src; /* it; fd -1: gone */
	bool told; /* the agent knows of an interface, or did */
	bool busy; /* the agent is making a state so; until then no other is read */
	uint64_t number, state_token; /* of that */
	uint64_t token, last_token; /* a state that is waited for, 0: none */
	struct session_client *starter; /* by whom, */
	void (*then)(struct session_client *c, int rc, const struct err *e); /* and what comes then */
	bool listens;
	struct evsrc listen[2]; /* forward.c: connections to the namespace itself */
	struct session_forward *forwards; /* those that are being dialled, too */
	unsigned n_forwards;
	bool full; /* once there were as many as there may be, which was logged */
	struct udp_relay *udp; /* likewise datagrams; NULL: none was told of */
	struct resolver *resolver; /* NULL: the container needs none */
	struct evtimer resolver_again; /* it is dialled anew, */
	bool resolver_dialled; /* which is under way */
	struct session_dial resolver_dial, udp_dial;
	struct agent_network_info info; /* while the first is under way */
};

/* A connection that the agent has told of, until both of its halves are there. */
struct session_socket_try {
	uint64_t token; /* of the guest's half; 0: this place is free */
	struct connector_ask ask;
	uint64_t at_ns; /* the connector is asked, */
	uint64_t step_ns, until_ns; /* where the listener's queue is full after so long anew, until then */
};

/* Sockets of the host that are in the container (sockets.c). */
struct session_sockets {
	size_t n; /* 0: none, and nothing of this is used */
	int fds[PROXY_MAX_SOCKETS]; /* O_PATH, until the connector has them */
	struct connector_ids ids; /* as whom it may connect to them */
	struct evsrc src; /* the connector */
	uint64_t token; /* of the connection that is awaited */
	bool asked; /* the agent was: for the next connection */
	struct session_socket_try tries[SESSION_MAX_SOCKET_TRIES];
	struct session_socket_try *now; /* for which the connector was asked, or the guest's half is awaited: then */
	bool dialling;
	struct session_dial dial;
	int host; /* the host's half; -1: there is none */
	bool datagram; /* what that is */
	bool finished; /* there will be no more */
	struct evtimer full; /* a listener's queue was full: it is tried again */
	bool many; /* once there were as many connections as there may be, which was logged */
	bool failed; /* once the agent could not tell of one, which was logged */
	struct evtimer again; /* it is asked anew */
	struct evtimer late;
	struct socket_conn *conns; /* those that are over go when the next one comes */
};

#define SESSION_SHARE_NAME 40

/* Mounts that the host makes below the container's (follow.c). */
struct session_follow {
	struct session *s;
	struct evsrc src; /* it; fd -1: gone */
	int pidfd; /* of it; -1: unknown */
	struct follow_event ev; /* the last one */
	bool busy; /* the guest is being told of it */
	bool deaf; /* the guest has not answered in time */
	unsigned wait_ms; /* for the guest; 0: LET_GO_MS */
	bool full; /* that there are too many was said */
	bool live[FOLLOW_MAX_MOUNTS]; /* shares that there are */
	struct evtimer late;
};

struct session {
	struct evloop *loop;
	struct proxy_attach at;
	enum proxy_state state;
	bool committed; /* the end of the first connection means nothing any more */
	bool created; /* the agent knows the container or exec */
	bool starting; /* START was asked for */
	bool paused; /* frozen in the guest; while CREATED or RUNNING */
	bool pausing; /* PAUSE or RESUME was asked for */
	bool killed; /* by SIGKILL, as far as the proxy was asked for it */
	bool give_up_output; /* told to end while output was stuck */
	bool deleting, torn_down;
	bool unheard; /* torn down; the end is told when the first client is content, or has gone */
	struct evtimer alive; /* asks whether the agent lives, while it deletes (farewell.c) */
	bool alive_asked;
	unsigned stuck_ms; /* output that nothing comes of for so long has ended; 0: STUCK_MS */
	bool alone; /* nobody else was in the machine at the end */
	bool oom; /* the process was killed for want of memory, says the guest */
	int exit_code;
	uint64_t stamp[8];
	uint64_t guest_boot_ns; /* on our clock, about */
	struct evtimer oom_again; /* when the agent is asked anew */
	struct evtimer stuck; /* looks after output, once the process has ended */
	uint64_t oom_seen; /* kills that were told about, UINT64_MAX: the agent was not asked yet */
	bool oom_asked;
	char why[500]; /* exit_code EXIT_LOST: why */

	struct ncl *machine;
	bool has_end;
	struct nc_event end; /* the machine's last word */
	struct agent_client *agent;
	struct session_client *first; /* descriptor 3, NULL when gone */
	struct session_client clients[SESSION_MAX_CLIENTS];
	struct evsrc listen, signals;
	struct relay_end stdio[3]; /* prepared before privileges were given up */
	struct relay in, out, err;
	struct session_net net;
	struct session_extra extra[PROXY_MAX_EXTRA];
	unsigned nextra;
	struct evtimer listen_again; /* after an accept() that failed (listen.c) */
	struct session_accepted *accepted; /* by those, not connected to the guest yet */
	unsigned n_accepted;
	struct evsrc machine_src; /* in the loop while any is dialled (dial.c) */
	struct evtimer dial_late;
	struct session_sockets sockets;
	struct session_follow *follow; /* NULL: there is no follower */
};

/* Brings the container or the exec about, and answers on the first connection. @request: the packed
 * message. @ready: -1 for an exec. A failure is answered here and leads to the end of the loop. */
void session_attach(struct session *s, const void *request, int ready);
/* Every later event. */
void session_fail(struct session *s, int rc, const struct err *e);
void session_end(struct session *s); /* tears down what was made, and stops the loop */
void session_started(struct session *s); /* the agent has let the process go */
/* One that the proxy itself got. Behind the process's end, or a SIGKILL to it, SIGTERM and its like give its output up. */
void session_forward_signal(struct session *s, int signo);
/* At the very end. Engines learn of an OOM kill from the container's group on the host, where the kernel alone writes; so it
 * is asked to: a group whose limit falls to nothing has its members killed for want of memory, and counted. By
 * then the container is gone and its group's members are to end anyway; this process would with status 137, which
 * is what its death by that signal looks like. @memory: PROXY_SETUP_MEMORY's descriptor or -1. @unit: PROXY_SETUP_UNIT;
 * waits up to a tenth of a second then. */
void session_tell_oom(const struct session *s, int memory, bool unit);
void session_send_size(struct session *s, agent_reply_fn *fn, void *arg);

/* dial.c: connections to the guest while the container lives. Whether the guest answers is its own affair: until it does, or
 * @timeout_ms have passed, the loop goes on. 0: @d->done is called, not from within; or -errno. The first bytes are @head. */
int session_dial(struct session *s, struct session_dial *d, uint32_t port, uint32_t timeout_ms, const void *head, size_t len,
		 struct err *e);
/* A stream of the container's, by its token. */
int session_dial_stream(struct session *s, struct session_dial *d, uint64_t token, struct err *e);
/* @d->done is not called any more. No-op for one that is not under way. */
void session_dial_cancel(struct session_dial *d);
void session_dial_stop(struct session *s); /* after the last one's end */

/* extra.c: descriptors beyond the three. */
/* Takes the host's end; before privileges are given up. */
int extra_add(struct session *s, const struct proxy_stream *m, int fd, struct err *e);
/* @stream: connected, its token said; taken on success. */
int extra_start(struct session_extra *x, int stream, struct err *e);
/* All that the process wrote to them is written. */
bool extra_drained(const struct session *s);
/* Each that carries what the process writes, started or not. */
void extra_each_output(struct session *s, void (*fn)(struct session *s, struct relay *r));
void extra_stop_input(struct session *s);
void extra_stop(struct session *s);

/* sockets.c: sockets of the host in the container. */
/* Takes the descriptor. */
int sockets_add(struct session *s, int fd, struct err *e);
int sockets_add_ids(struct session *s, const struct proxy_ids *m, struct err *e);
/* All have been added. @proc: the host's /proc. Before privileges are given up. */
int sockets_prepare(struct session *s, int proc, struct err *e);
void sockets_begin(struct session *s); /* the container exists */
/* A connection both ways between the two, which are taken on success; one that a listening socket of the host's has
 * accepted counts among those, not among the container's own. */
int sockets_carry(struct session *s, int host, int guest, bool accepted);
unsigned sockets_live(const struct session *s, bool accepted);
/* The container's processes have ended; session_drained() is called within SESSION_SOCKETS_DRAIN_NS, unless all is drained. */
void sockets_ending(struct session *s);
/* All that it wrote to them is written, and it will write no more. */
bool sockets_drained(const struct session *s);
void sockets_stop(struct session *s);

/* listen.c: listening sockets of the host's that the process has (extra_add()): their connections become it. */
void listen_begin(struct session *s); /* the process runs */
void listen_look(struct session *s); /* their number has changed */
void listen_stop(struct session *s);

/* follow.c: mounts of the host that come and go. */
/* The end of the follower's connection, its @pidfd (-1: unknown), and how many shares of its there were at the beginning. */
int follow_take(struct session *s, int fd, int pidfd, uint32_t initial, struct err *e);
void follow_begin(struct session *s); /* the container exists */
void follow_idle(struct session *s); /* its processes have ended */
/* Removes what shares there are from the machine; waits for the follower to be gone. */
void follow_stop(struct session *s, bool machine);

/* serve.c: husk's commands. */
int serve_add(struct session *s, int sock, struct session_client **ret);
int serve_listen(struct session *s, int sock);

/* serve_client.c: a connection. Never waits for its reader. */
void serve_reply(struct session_client *c, uint32_t cmd, int rc, const char *text);
void serve_send(struct session_client *c, const void *packet, size_t len);
/* Sends what waits; false: some of it still does, or the connection is closed. */
bool serve_flush(struct session_client *c);
/* A command's answer has come; afterwards the client may be gone. */
void serve_done(struct session_client *c);
void serve_close(struct session_client *c);

/* network.c: the container's network. @fd: the connection to husk-net, from before privileges were given up. */
void network_take(struct session *s, int fd);
/* The agent is greeted: it is told what is known. */
void network_begin(struct session *s);
/* Has the namespace listed again and the guest's made so: 1, and @then is called later; 0: there is nothing to do; -errno. */
int network_sync(struct session_client *c, void (*then)(struct session_client *c, int rc, const struct err *e), struct err *e);
/* The container's process has ended: nobody new reaches it by the namespace. husk-net's end takes the host's kernel a while,
 * where this was its last container, so it begins now. */
void network_ending(struct session *s);
/* Waits for husk-net to have taken away what it made. */
void network_stop(struct session *s);

/* forward.c: connections to the network namespace itself. Takes the listening sockets. */
void forward_listen(struct session *s, const int *fds, size_t n);
void forward_stop(struct session *s);

/* figures.c: PROXY_PS, PROXY_STATS and PROXY_WATCH. */
int figures_ps(struct session_client *c, struct err *e);
int figures_stats(struct session_client *c, struct err *e);
/* 0: answered by the caller. */
int figures_watch(struct session_client *c, struct err *e);

#endif
