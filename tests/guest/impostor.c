// SPDX-License-Identifier: Apache-2.0
/*
 * A process in a container that would like to be the agent: takes the agent's ports by every address, dials the host and the
 * agent. Says on standard output what it got, "posing" when it is in place, and at the end of its standard input how
 * many came to it.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <linux/vm_sockets.h>
#include <sys/time.h>
#include <unistd.h>

#define OWN_CID 3

static int fds[16];
static unsigned n;

static struct sockaddr_vm address(unsigned cid, unsigned port)
{
	return (struct sockaddr_vm){ .svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port };
}

static void take(unsigned cid, unsigned port)
{
	struct sockaddr_vm at = address(cid, port);
	int fd = socket(AF_VSOCK, SOCK_STREAM, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 8) < 0) {
		printf("take %u:%u: %s\n", cid, port, strerror(errno));
		close(fd);
		return;
	}
	printf("take %u:%u: TAKEN\n", cid, port);
	fds[n++] = fd;
}

/* The agent may accept to see who it is, but says nothing. */
static void dial(unsigned cid, unsigned port)
{
	static const char hello[] = "\0\0\0\4\0\0\0\1\1\0abcd";
	struct sockaddr_vm at = address(cid, port);
	struct timeval t = { .tv_sec = 60 };
	int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
	char c;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	if (connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		printf("dial %u:%u: refused\n", cid, port);
	else if (send(fd, hello, sizeof(hello) - 1, MSG_NOSIGNAL) < 0 || recv(fd, &c, 1, 0) == 0 ||
		 (errno != EAGAIN && errno))
		printf("dial %u:%u: refused\n", cid, port);
	else
		printf("dial %u:%u: HEARD\n", cid, port);
	close(fd);
}

int main(void)
{
	static const unsigned cids[] = { VMADDR_CID_ANY, OWN_CID, VMADDR_CID_LOCAL, VMADDR_CID_HOST };
	unsigned came = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (unsigned port = 1024; port <= 1025; port++) {
		for (unsigned i = 0; i < sizeof(cids) / sizeof(cids[0]); i++)
			take(cids[i], port);
		dial(OWN_CID, port);
		dial(VMADDR_CID_LOCAL, port);
	}
	for (unsigned port = 1; port <= 3; port++)
		dial(VMADDR_CID_HOST, port);
	dial(VMADDR_CID_HOST, 1024);
	dial(VMADDR_CID_HOST, 0xfffffffe);
	printf("posing\n");
	for (;;) {
		struct pollfd p[17] = { { .fd = 0, .events = POLLIN } };

		for (unsigned i = 0; i < n; i++)
			p[i + 1] = (struct pollfd){ .fd = fds[i], .events = POLLIN };
		poll(p, n + 1, -1);
		for (unsigned i = 0; i < n; i++)
			if (p[i + 1].revents) {
				int fd = accept(fds[i], NULL, NULL);

				came += fd >= 0;
				close(fd);
			}
		if (p[0].revents)
			break;
	}
	printf("came: %u\n", came);
	return 0;
}
