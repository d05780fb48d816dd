/* SPDX-License-Identifier: Apache-2.0 */
/* Between process.c (birth, life, death) and process_io.c (its streams, and who waits for their end). */
#ifndef AGENT_PROTO_AGENT_PROCESS_INTERNAL_H
#define AGENT_PROTO_AGENT_PROCESS_INTERNAL_H

#include "agent-proto/agent/process.h"

/* Opens what @spec asks for; @stdio gets the process's ends of the pipes, the caller's to close. */
int process_make_streams(struct process *p, const Husk__Agent__V1__Process *spec, int stdio[3],
			 struct err *e);
/* The same for the streams beyond: one in @fds for each, from CHILD_HIGH_FD on; -1 for /dev/null. */
int process_make_extra(struct process *p, const Husk__Agent__V1__Process *spec,
		       int fds[AGENT_MAX_EXTRA], struct err *e);
void process_close_streams(struct process *p);
/* It has ended: what it wrote goes out, then those who wait are told. */
void process_drain(struct process *p);
/* Tells them, if it is time. */
void process_answer_waiters(struct process *p);
void process_forget_waiters(struct process *p);

#endif
