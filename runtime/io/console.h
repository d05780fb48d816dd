/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Terminals on the host. A container's terminal proper is in the guest, line discipline and all;
 * the host's half only carries bytes, so it is always in raw mode.
 */
#ifndef RUNTIME_IO_CONSOLE_H
#define RUNTIME_IO_CONSOLE_H

#include <stdint.h>
#include <termios.h>
#include "lib/err.h"

/* A pseudoterminal whose slave is raw. Both close-on-exec; 0 rows: the size is left alone. */
int console_pair(uint16_t rows, uint16_t columns, int *ret_master, int *ret_slave, struct err *e);
/* Connects to the engine's socket, before anything is made. */
int console_dial(const char *path, int *ret_sock, struct err *e);
/* Gives it the master, as runc does: one message with one descriptor. */
int console_give(int sock, int master, struct err *e);

struct console_saved {
	int fd; /* -1: none */
	struct termios mode;
};
/* Finds the caller's own terminal (standard streams, else /dev/tty) and makes it raw. */
int console_raw(struct console_saved *ret, struct err *e);
void console_restore(struct console_saved *s);

#endif
