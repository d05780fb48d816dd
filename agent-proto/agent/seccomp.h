/* SPDX-License-Identifier: Apache-2.0 */
/* The container's own filter of system calls, made on the host. */
#ifndef AGENT_PROTO_AGENT_SECCOMP_H
#define AGENT_PROTO_AGENT_SECCOMP_H

#include "agent-proto/proto/agent.pb-c.h"
#include "lib/err.h"

/* Installs it for this process; it needs no_new_privs or creds_admin(). Only execve(2) comes after it. */
int seccomp_install(const Husk__Agent__V1__Seccomp *s, struct err *e);

#endif
