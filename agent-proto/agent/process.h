/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One process that the host asked for: a container's own or an exec.
 *
 *	PREPARING --READY--> CREATED --start--> STARTING --exec'ed--> RUNNING --> ENDED
 *	               (an exec goes from PREPARING to STARTING by itself)
 *
 * From every state it can come to ENDED by a death. One that dies in PREPARING, or an exec in STARTING whose
 * program could not be executed, never existed for the host: the call that made it gets the error
 * and the owner's lost() forgets it.
 */
#ifndef AGENT_PROTO_AGENT_PROCESS_H
#define AGENT_PROTO_AGENT_PROCESS_H

#include <sys/types.h>
#include <time.h>

#include "agent-proto/agent/rootfs.h"
#include "agent-proto/agent/stream.h"
#include "agent-proto/proto/agent.pb-c.h"
#include "agent-proto/ttrpc/server.h"

enum process_state { PROC_PREPARING, PROC_CREATED, PROC_STARTING, PROC_RUNNING, PROC_ENDED };

#define PROCESS_MAX_WAITERS 64

struct container;
struct conn;

struct process {
	struct process *next; /* of the container's execs */
	struct container *ct;
	char *exec_id; /* "" for the container's own */
	enum process_state state;
	pid_t pid;
	int pidfd;
	bool terminal;
	const struct conn *owner; /* the connection that made it; NULL once that has ended */
	struct evsrc sync;
	struct ttrpc_call *make;  /* CreateContainer or Exec, unanswered */
	struct ttrpc_call *start; /* Start, unanswered */
	struct waiter *waiters;
	unsigned nwaiters;
	struct stream io[3];
	struct devices_made nodes; /* until it is set up */
	struct stream *extra; /* descriptors 3 and on */
	unsigned nextra;
	struct listener *listeners; /* those of them that listen */
	struct evtimer drain;  /* from the end on: how long Wait waits for streams */
	bool drained;
	bool failed;           /* it never came to its program: */
	int fail_rc;
	struct err fail;
	uint32_t status;       /* from here: PROC_ENDED */
	struct timespec at;
	bool oom;
};

/* Forks. @ct_spec: NULL for an exec. On success @call is kept and answered later. */
/* @cgroup: below the container's, "" for its own. */
int process_spawn(struct process *p, struct container *ct, const char *exec_id, const char *cgroup,
		  const Husk__Agent__V1__Container *ct_spec, const Husk__Agent__V1__Process *spec,
		  struct ttrpc_call *call, const struct conn *owner, struct err *e);
/* Frees what it holds, without waiting for anything; its calls are answered with -ECANCELED. */
void process_done(struct process *p);

/* These keep or answer @call. */
void process_start(struct process *p, struct ttrpc_call *call);
void process_wait(struct process *p, struct ttrpc_call *call);

int process_signal(struct process *p, int sig, struct err *e);
int process_resize(struct process *p, uint32_t rows, uint32_t columns, struct err *e);
/* waitpid() said so. The owner looks at p->failed then. */
void process_reaped(struct process *p, int wait_status);
/* Answers the call that made it with its failure. */
void process_fail_make(struct process *p);

#endif
