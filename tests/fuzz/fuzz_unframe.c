// SPDX-License-Identifier: Apache-2.0
/* The guest's stream of datagrams: none that is sent on is longer than the limit, and its end is always reached. */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/proxy/unframe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void done(struct unframe *u)
{
	*(bool *)u->arg = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct unframe u;
	static uint8_t got[AGENT_MAX_DATAGRAM + 1];
	struct evloop *l;
	int a[2], b[2];
	bool over = false;

	if (size > 60000 || evloop_new(&l, NULL) < 0)
		return 0;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, a) < 0 || socketpair(AF_UNIX, SOCK_DGRAM, 0, b) < 0)
		abort();
	if (size && send(a[0], data, size, MSG_DONTWAIT) != (ssize_t)size)
		abort();
	shutdown(a[0], SHUT_WR);
	unframe_start(&u, l, a[1], b[1], done, &over);
	for (size_t i = 0; !over && i < size + 4; i++) {
		ssize_t n = recv(b[0], got, sizeof(got), MSG_DONTWAIT);

		if (n > AGENT_MAX_DATAGRAM)
			abort();
		evloop_turn(l, 0);
	}
	if (!over)
		abort();
	unframe_stop(&u);
	close(a[0]);
	close(b[0]);
	evloop_free(l);
	return 0;
}
