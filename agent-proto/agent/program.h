/* SPDX-License-Identifier: Apache-2.0 */
/* The program of a container's process: arguments, environment, where it is. Called in the
 * process, inside its root and as its user. */
#ifndef AGENT_PROTO_AGENT_PROGRAM_H
#define AGENT_PROTO_AGENT_PROGRAM_H

#include <limits.h>

#include "agent-proto/proto/agent.pb-c.h"
#include "lib/err.h"

struct program {
	char **argv, **envp; /* NULL-terminated */
	char path[PATH_MAX]; /* what is executed */
};

/* Takes args and env; a HOME that is missing or empty comes from /etc/passwd, else "/". */
int program_prepare(struct program *prog, const Husk__Agent__V1__Process *p, struct err *e);
/* Finds the executable as runc does (its environment's PATH, nothing else) and says so in its words.
 * -ENOENT or -EACCES. */
int program_find(struct program *prog, struct err *e);
/* Returns on failure only: -ENOENT, -EACCES (also what is no program), or another errno. */
int program_exec(const struct program *prog, struct err *e);

#endif
