/* SPDX-License-Identifier: Apache-2.0 */
/* Between session.c (the middle and the end) and attach.c (the beginning). */
#ifndef RUNTIME_PROXY_SESSION_INTERNAL_H
#define RUNTIME_PROXY_SESSION_INTERNAL_H

#include <sys/types.h>
#include "lib/io.h"
#include "runtime/proxy/session.h"

#define MACHINE_TIMEOUT_MS 10000

static inline bool is_exec(const struct session *s)
{
	return s->at.flags & PROXY_ATTACH_EXEC;
}

static inline bool is_terminal(const struct session *s)
{
	return s->at.flags & PROXY_ATTACH_TERMINAL;
}

static inline const char *exec_id(const struct session *s)
{
	return is_exec(s) ? s->at.exec_id : "";
}

static inline void stamp(struct session *s, enum proxy_stamp which)
{
	s->stamp[which] = io_now_ns();
}

/* Also the process's name, by which a later husk knows it. */
void session_set_state(struct session *s, enum proxy_state state);
void session_set_paused(struct session *s, bool paused);
/* farewell.c: as agent_delete(), but an agent that lives has AGENT_DELETE_MS for it; and its end. */
int session_delete(struct session *s, agent_reply_fn *fn, struct err *e);
void session_deleted(struct session *s);
/* Looks at the machine's events for @timeout_ms each. True: it has ended, and says so in s->end, or its
 * connection has. */
bool session_machine_ended(struct session *s, int timeout_ms);
/* Why the machine ended, when it says so; true when it was told to quit, in good order. */
bool session_machine_why(struct session *s, struct err *e);

/* Connects one stream and says by its token which it is. Waits for the guest, AGENT_STREAM_DEADLINE_MS at most: for the beginning
 * alone, when whoever is to hear of it waits for us, too, and there is nothing else to serve. Later: session_dial_stream(). */
int session_open_stream(struct session *s, uint64_t token, int *ret_fd, struct err *e);

/* The agent's answers, and the ends of streams. */
void session_agent_dead(void *arg, int rc, const struct err *why);
void session_waited(void *arg, const struct agent_reply *r);

/* ready.c: 0 when the agent has dialled; -EPIPE: the machine has ended, -ECANCELED: husk has gone, -ETIMEDOUT: it takes too
 * long, for a machine that had its share of the processor. */
int ready_wait(struct session *s, int ready, struct err *e);

/* output.c */
void session_drained(struct session *s); /* one more stream has */
void session_out_done(struct relay *r);
void session_err_done(struct relay *r);
void session_last_word(struct session *s); /* tells the first client of the end, and stops the loop */
void output_await_end(struct session *s); /* the process has ended: session_end() when all is written */
/* SIGKILL was asked for, before the end or after: a reader that stands still from here on keeps nobody for long any more. */
void output_killed(struct session *s);
void output_stop(struct session *s); /* what is left is given up */

#endif
