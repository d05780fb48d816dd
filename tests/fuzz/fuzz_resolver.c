// SPDX-License-Identifier: Apache-2.0
/* Bytes of a guest's channel of questions, in pieces; nobody answers at 127.0.0.2. */
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/proxy/resolver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct evloop *loop;
	uint32_t addr[2] = { htonl(0x7f000002), htonl(0x7f000003) };
	struct resolver *r;
	int pair[2];

	if ((!loop && evloop_new(&loop, NULL) < 0) || size < 1 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		return 0;
	r = resolver_new(loop, pair[0], addr, 2);
	for (size_t at = 1, step = data[0] + 1u; r && at < size; at += step) {
		size_t n = size - at < step ? size - at : step;

		if (resolver_input(r, data + at, n) < 0)
			break;
	}
	evloop_turn(loop, 0);
	resolver_free(r);
	close(pair[1]);
	return 0;
}
