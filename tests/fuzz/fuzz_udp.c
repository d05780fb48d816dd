// SPDX-License-Identifier: Apache-2.0
/* Bytes of a guest's channel of datagrams, in pieces. Of the flows that are to be answered there is none: no byte leaves. */
#include <sys/socket.h>
#include <unistd.h>

#include "lib/util.h"
#include "runtime/proxy/udp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int nobody(void *arg)
{
	(void)arg;
	return -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct evloop *loop;
	struct udp_relay *u;
	char byte;
	int pair[2];

	if ((!loop && evloop_new(&loop, NULL) < 0) || size < 1 || socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair) < 0)
		return 0;
	u = udp_new(loop, nobody, NULL);
	bug_on(!u || udp_add(u, 4, pair[0], dup(pair[0])) < 0);
	for (size_t at = 1, step = data[0] + 1u; at < size; at += step) {
		size_t n = size - at < step ? size - at : step;

		if (udp_input(u, data + at, n) < 0)
			break;
	}
	bug_on(recv(pair[1], &byte, 1, MSG_DONTWAIT) >= 0);
	udp_free(u);
	close(pair[1]);
	return 0;
}
