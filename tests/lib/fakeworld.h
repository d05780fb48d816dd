/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine and an agent in one thread, for what stands between husk and them: the native control
 * protocol on one side, ttrpc and streams behind NC_CONNECT, and knobs for what goes wrong.
 *
 * The one process of the fake guest: what comes on stdin is written to stdout; at the end of stdin, or when
 * signalled, it writes @last_words to stderr and ends.
 */
#ifndef TESTS_LIB_FAKEWORLD_H
#define TESTS_LIB_FAKEWORLD_H

#include <pthread.h>
#include <stdatomic.h>
#include "lib/evloop.h"

struct fakeworld;

struct fakeworld_plan {
	int create_rc; /* answer to create, 0 or -errno */
	const char *create_text;
	int start_rc;
	int pause_rc;
	bool names_end; /* the first channel of questions ends when the process runs */
	bool names; /* its network has a name server on the host's loopback */
	unsigned names_refused; /* so many first connections for its questions fail */
	int network_rc; /* UpdateNetwork is refused with this */
	unsigned exit_status; /* when stdin ends */
	size_t last_words; /* bytes */
	bool die_at_create; /* the machine closes everything instead of answering */
	bool die_at_start;
	bool lie_at_wait; /* an exit status that is none */
	const char *end_text; /* of NC_EV_END when dying; NULL: none is sent */
	unsigned processes; /* that ps shows */
	const char *mute, *mute_too; /* calls that the agent never answers */
	unsigned delete_ms; /* that a Delete takes */
	bool streams_stay; /* open, when the process has ended */
	bool wait_at_once; /* the end is told before the start */
	bool wait_twice; /* and by another status the second time */
	bool hang_up_at_start; /* the agent's connection ends, the machine and the streams go on */
	bool deaf; /* no connection to the guest is answered once the process runs */
	bool oom_storm; /* one more, as soon as one is asked */
	/* Somebody else's agent: a connection to that guest port; the calls above are not this world's then. */
	int (*connect)(void *arg, unsigned port);
	void *connect_arg;
	/* Connections to AGENT_PORT_FORWARD are written back, what they begin with, too. */
	uint64_t echo; /* the token of streams that are written back, whole, once they are read to their end */
	int mount_rc; /* ChangeMount is refused with this */
	size_t socket_words; /* bytes that it writes to a socket of the host, should the proxy have any */
	unsigned socket_conns; /* to sockets of the host: all but the last go to the first one, and say nothing; 0: one */
	int socket_rc; /* so the first two AcceptSocket are refused; each one is said then */
};

/* *ret_machine: the client's end of the machine's control socket. */
struct fakeworld *fakeworld_new(const struct fakeworld_plan *plan, int *ret_machine);
/* Joins the thread. What was asked of the machine, in words: "create start wait share-remove:s0 quit ". */
const char *fakeworld_end(struct fakeworld *w);
void fakeworld_free(struct fakeworld *w);

#endif
