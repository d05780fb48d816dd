/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The states of a machine, and which may follow which:
 *
 *   NEW --create--> CREATED --boot--> RUNNING <--pause/resume--> PAUSED
 *    |                 |                 |                         |
 *    +-----------------+-------end-------+-------------------------+----> ENDED
 *
 * Nothing leaves ENDED: a reset makes a new process.
 */
#ifndef VMM_CORE_RUNSTATE_H
#define VMM_CORE_RUNSTATE_H

#include "lib/err.h"
#include "vmm/control/native.h"

const char *runstate_name(enum nc_state s);
bool runstate_allowed(enum nc_state from, enum nc_state to);
/* 0, or -EINVAL with "a machine that is X cannot Y"; @verb: "boot", "pause". */
int runstate_check(enum nc_state from, enum nc_state to, const char *verb, struct err *e);

#endif
