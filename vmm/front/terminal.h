/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user's terminal, or whatever standard input and output are, relayed to a port of the guest. The
 * machine gets a socket, not the terminal: it neither can change its modes nor push input into it,
 * and our non-blocking writes are not the shell's.
 */
#ifndef VMM_FRONT_TERMINAL_H
#define VMM_FRONT_TERMINAL_H

#include "lib/evloop.h"

struct terminal;

int terminal_new(struct terminal **ret, struct evloop *loop, struct err *e);
/* Restores the terminal's modes. NULL is fine. */
void terminal_free(struct terminal *t);
/* A fresh socket for a machine: *ret_fd is its end, the caller's to close. What the last machine still
 * had sent is read first. */
int terminal_connect(struct terminal *t, int *ret_fd, struct err *e);
/* Nothing more will come from the machine: writes out what it has sent. */
void terminal_drain(struct terminal *t);

#endif
