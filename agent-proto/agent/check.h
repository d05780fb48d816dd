/* SPDX-License-Identifier: Apache-2.0 */
/* Requests against agent-proto/proto/limits.h and the ranges of their fields, before anything is done. */
#ifndef AGENT_PROTO_AGENT_CHECK_H
#define AGENT_PROTO_AGENT_CHECK_H

#include "agent-proto/proto/agent.pb-c.h"
#include "lib/err.h"

/* 0; -EINVAL; -ENOSPC for a limit. The text names the field. */
int check_create(const Husk__Agent__V1__CreateContainerRequest *req, struct err *e);
int check_exec(const Husk__Agent__V1__ExecRequest *req, struct err *e);
int check_update(const Husk__Agent__V1__UpdateRequest *req, struct err *e);
int check_disks(const Husk__Agent__V1__UpdateDisksRequest *req, struct err *e);
int check_change_mount(const Husk__Agent__V1__ChangeMountRequest *req, struct err *e);
/* A container's or an exec's id; only the latter may be empty. */
int check_ids(const char *container_id, const char *exec_id, struct err *e);

#endif
