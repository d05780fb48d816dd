// SPDX-License-Identifier: Apache-2.0
/*
 * The host's end for network figures: net_peer PORT. As tests/vm/net-server.py, but it costs next to nothing:
 * PORT swallows a stream and answers "ok", PORT + 1 sends one, PORT + 2 counts datagrams (one of a
 * single byte asks for the number since the last question), PORT + 3 answers them.
 */
#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BLOCK 65536

static char block[BLOCK], sink[1 << 18];

static int open_port(int type, int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((unsigned short)port) };
	int s = socket(AF_INET, type, 0), one = 1;

	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(s, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    (type == SOCK_STREAM && listen(s, 16) < 0)) {
		perror("net_peer");
		exit(1);
	}
	return s;
}

static void take(int c)
{
	while (read(c, sink, sizeof(sink)) > 0)
		;
	(void)!write(c, "ok", 2);
}

static void give(int c)
{
	while (send(c, block, BLOCK, MSG_NOSIGNAL) > 0)
		;
}

static void streams(int port, void (*serve)(int c))
{
	int s = open_port(SOCK_STREAM, port);

	if (fork())
		return;
	for (;;) {
		int c = accept(s, NULL, NULL);

		if (fork() == 0) {
			serve(c);
			_exit(0);
		}
		close(c);
	}
}

static void datagrams(int port, bool answer)
{
	int s = open_port(SOCK_DGRAM, port);

	if (fork())
		return;
	for (unsigned count = 0;;) {
		char text[16];
		struct sockaddr_in from;
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(s, sink, sizeof(sink), 0, (struct sockaddr *)&from, &len);

		if (n == 1 && !answer) {
			int len_text = snprintf(text, sizeof(text), "%u", count);

			sendto(s, text, (size_t)len_text, 0, (struct sockaddr *)&from, len);
			count = 0;
		} else {
			count++;
		}
		if (answer)
			sendto(s, sink, (size_t)n, 0, (struct sockaddr *)&from, len);
	}
}

int main(int argc, char **argv)
{
	int port = argc > 1 ? atoi(argv[1]) : 7000;

	for (unsigned i = 0; i < BLOCK; i++)
		block[i] = (char)(i * 7 + (i >> 8));
	streams(port, take);
	streams(port + 1, give);
	datagrams(port + 2, false);
	datagrams(port + 3, true);
	puts("ready");
	fflush(stdout);
	pause();
}
