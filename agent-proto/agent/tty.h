/* SPDX-License-Identifier: Apache-2.0 */
/* A container's terminal, from its own devpts. Called inside its root. */
#ifndef AGENT_PROTO_AGENT_TTY_H
#define AGENT_PROTO_AGENT_TTY_H

#include "lib/err.h"

/* Opens a pair; refuses a /dev/pts/ptmx that is not devpts's own. */
int tty_open(int *ret_master, int *ret_slave, struct err *e);
int tty_resize(int fd, uint32_t rows, uint32_t columns);
/* Makes @slave the caller's controlling terminal. */
int tty_control(int slave, struct err *e);
/* Shows @slave as /dev/console. */
int tty_console(int slave, struct err *e);

#endif
