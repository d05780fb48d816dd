/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carries bytes between a process (a pipe's end or a terminal's master, "local") and the host (a stream
 * connection, "conn"). What cannot be passed on stays where it is: at most RELAY_CHUNK bytes are in
 * memory each way, so a reader that stands still stops the writer, nothing else.
 *
 *	RELAY_IN   conn -> local   the host's end of file closes local; a local that nobody reads closes conn
 *	RELAY_OUT  local -> conn   end of file is passed on; a host that closes conn closes local (its
 *	                           write side must stay open while it listens)
 *	RELAY_TTY  both            the host's end of file ends that direction only; the terminal's other end is
 *	                           held open until relay_finish(), as those inside may all close it and open it again
 *	RELAY_SOCKET both          each end of file is passed on and ends its direction; local is a socket
 *
 * A relay is made with neither end; it runs from when it has both. It is over when there is nothing more to
 * pass on: it then has closed both ends and calls done() once. Not from inside relay_*() calls but
 * relay_set_*() and relay_finish(). The owner frees it, in done() too.
 */
#ifndef AGENT_PROTO_AGENT_RELAY_H
#define AGENT_PROTO_AGENT_RELAY_H

#include "lib/evloop.h"

#define RELAY_CHUNK 32768

enum relay_kind { RELAY_IN, RELAY_OUT, RELAY_TTY, RELAY_SOCKET };

struct relay_pump {
	uint8_t *carry; /* read, not yet written */
	size_t off, len;
	bool open; /* more may come from its source */
};

struct relay {
	struct evloop *loop;
	enum relay_kind kind;
	struct evsrc local, conn; /* fd -1: not there (yet) */
	struct relay_pump in, out;
	int peer;       /* of a terminal: its other end, -1: none */
	bool no_conn;   /* none will come */
	bool finishing; /* the process has ended: what is there now is the last of it, */
	size_t left;    /* so many bytes at most, whoever else writes on */
	bool over;
	void (*done)(struct relay *r);
};

void relay_init(struct relay *r, struct evloop *l, enum relay_kind kind,
		void (*done)(struct relay *r));
/* Take ownership of the descriptors. */
void relay_set_local(struct relay *r, int fd);
void relay_set_conn(struct relay *r, int fd);
/* The host did not come: as if it had come and gone. */
void relay_no_conn(struct relay *r);
/* The process has ended: passes on what is there, then is over. */
void relay_finish(struct relay *r);
/* Closes everything at once, without done(). */
void relay_close(struct relay *r);

#endif
