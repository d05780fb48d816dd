// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent-proto/agent/container.h"
#include "agent-proto/agent/resolve.h"
#include "agent-proto/agent/resolver.h"
#include "lib/cleanup.h"

#define MAX_FILE 65536

static bool is_relayed(const char *text, uint32_t *ret)
{
	struct in_addr a;

	if (inet_pton(AF_INET, text, &a) != 1 || ntohl(a.s_addr) >> 24 != 127 || a.s_addr == htonl(INADDR_LOOPBACK))
		return false;
	*ret = a.s_addr;
	return true;
}

static size_t parse(char *text, uint32_t ret[AGENT_MAX_RESOLVERS])
{
	size_t n = 0;
	char *rest;

	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char addr[64];

		if (n == AGENT_MAX_RESOLVERS || sscanf(line, " nameserver %63s", addr) != 1)
			continue;
		n += is_relayed(addr, &ret[n]);
	}
	return n;
}

size_t resolver_look(const struct container *ct, uint32_t ret[AGENT_MAX_RESOLVERS])
{
	_cleanup_close_ int root = -1;
	_cleanup_close_ int fd = -1;
	static char text[MAX_FILE];
	struct stat st;
	char path[64];
	ssize_t n;

	/* Before its start nobody but us and the image has a say in what is there. */
	if (!ct || ct->init.state != PROC_CREATED)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/root", ct->init.pid);
	root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return 0;
	fd = resolve_open(root, "/etc/resolv.conf", O_RDONLY | O_NONBLOCK | O_NOCTTY, false);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = 0;
	return parse(text, ret);
}
