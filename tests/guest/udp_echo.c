// SPDX-License-Identifier: Apache-2.0
/* udp-echo PORT: a server that returns each datagram, of IPv4 and IPv6. socat's, which fork, lose some that come together. */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
	static char data[65536];
	struct sockaddr_in6 who, own = { .sin6_family = AF_INET6 };
	int fd = socket(AF_INET6, SOCK_DGRAM, 0), off = 0, on = 1;

	if (argc != 2)
		errx(2, "usage: udp-echo PORT");
	own.sin6_port = htons((uint16_t)atoi(argv[1]));
	/* Another one may have the port of an address of its own, as a name server does. */
	if (fd < 0 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&own, sizeof(own)) < 0)
		err(1, "port %s", argv[1]);
	for (;;) {
		socklen_t len = sizeof(who);
		ssize_t n = recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *)&who, &len);

		if (n >= 0)
			sendto(fd, data, (size_t)n, 0, (struct sockaddr *)&who, len);
	}
}
