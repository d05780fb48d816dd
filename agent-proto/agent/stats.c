// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/stats.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent-proto/agent/rtn.h"
#include "agent-proto/proto/limits.h"
#include "agent-proto/proto/stats.h"
#include "agent-proto/ttrpc/arena.h"
#include "lib/cleanup.h"
#include "lib/io.h"

#define MAX_FILE 65536
#define NS_OF_US UINT64_C(1000)

/* Everything of one answer. */
struct answer {
	int fd; /* the group's folder */
	struct arena arena;
	Husk__Agent__V1__StatsResponse m;
	Husk__Agent__V1__Usage memory, swap, pids;
	Husk__Agent__V1__Counter *counters[AGENT_MAX_COUNTERS];
	Husk__Agent__V1__BlockStat *block[AGENT_MAX_BLOCK_STATS];
	Husk__Agent__V1__HugePages *huge[AGENT_MAX_HUGE_SIZES];
	Husk__Agent__V1__InterfaceStat *interfaces[AGENT_MAX_INTERFACE_STATS];
};

/* A file of one number or "max"; 0 when it is not there. */
static uint64_t read_number(int fd, const char *file)
{
	_cleanup_free_ char *text = NULL;

	if (io_read_file(fd, file, MAX_FILE, &text, NULL) < 0)
		return 0;
	return strncmp(text, "max", 3) == 0 ? AGENT_NO_LIMIT : strtoull(text, NULL, 10);
}

/* Calls @fn for each line "name number" of @file. */
static void each_number(struct answer *a, const char *file,
			void (*fn)(struct answer *a, const char *name, uint64_t value))
{
	_cleanup_free_ char *text = NULL;
	char *line, *rest;

	if (io_read_file(a->fd, file, MAX_FILE, &text, NULL) < 0)
		return;
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char *space = strchr(line, ' ');

		if (!space)
			continue;
		*space = 0;
		fn(a, line, strtoull(space + 1, NULL, 10));
	}
}

static void take_cpu(struct answer *a, const char *name, uint64_t value)
{
	const struct {
		const char *name;
		uint64_t *to, unit;
	} keys[] = {
		{ "usage_usec", &a->m.cpu_ns, NS_OF_US },
		{ "user_usec", &a->m.cpu_user_ns, NS_OF_US },
		{ "system_usec", &a->m.cpu_system_ns, NS_OF_US },
		{ "nr_periods", &a->m.periods, 1 },
		{ "nr_throttled", &a->m.throttled_periods, 1 },
		{ "throttled_usec", &a->m.throttled_ns, NS_OF_US },
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (strcmp(keys[i].name, name) == 0)
			*keys[i].to = value * keys[i].unit;
}

static void take_counter(struct answer *a, const char *name, uint64_t value)
{
	Husk__Agent__V1__Counter *c;

	if (a->m.n_memory_stat == AGENT_MAX_COUNTERS || strlen(name) > AGENT_MAX_COUNTER_NAME)
		return;
	c = arena_alloc(&a->arena, sizeof(*c));
	if (!c)
		return;
	husk__agent__v1__counter__init(c);
	c->name = arena_alloc(&a->arena, AGENT_MAX_COUNTER_NAME + 1);
	if (!c->name)
		return;
	strcpy(c->name, name);
	c->value = value;
	a->counters[a->m.n_memory_stat++] = c;
}

static void take_memory_event(struct answer *a, const char *name, uint64_t value)
{
	if (strcmp(name, "max") == 0)
		a->memory.failures = value;
}

static void take_pids_event(struct answer *a, const char *name, uint64_t value)
{
	if (strcmp(name, "max") == 0)
		a->pids.failures = value;
}

/* @prefix: "memory", "memory.swap", "pids", "hugetlb.2MB". */
static void take_usage(struct answer *a, const char *prefix, Husk__Agent__V1__Usage *u)
{
	const struct {
		const char *name;
		uint64_t *to;
	} files[] = {
		{ "current", &u->current },
		{ "max", &u->limit },
		{ "peak", &u->peak },
	};
	char path[64];

	husk__agent__v1__usage__init(u);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), "%s.%s", prefix, files[i].name);
		*files[i].to = read_number(a->fd, path);
	}
}

static void take_block_pair(Husk__Agent__V1__BlockStat *s, const char *pair)
{
	const struct {
		const char *name;
		uint64_t *to;
	} keys[] = {
		{ "rbytes=", &s->read_bytes },
		{ "wbytes=", &s->written_bytes },
		{ "rios=", &s->reads },
		{ "wios=", &s->writes },
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (strncmp(pair, keys[i].name, strlen(keys[i].name)) == 0)
			*keys[i].to = strtoull(pair + strlen(keys[i].name), NULL, 10);
}

/* Lines "8:0 rbytes=1 wbytes=2 rios=3 wios=4 …". */
static void take_block(struct answer *a)
{
	_cleanup_free_ char *text = NULL;
	char *line, *rest;

	if (io_read_file(a->fd, "io.stat", MAX_FILE, &text, NULL) < 0)
		return;
	for (line = strtok_r(text, "\n", &rest); line && a->m.n_block < AGENT_MAX_BLOCK_STATS;
	     line = strtok_r(NULL, "\n", &rest)) {
		Husk__Agent__V1__BlockStat *s = arena_alloc(&a->arena, sizeof(*s));
		char *more, *pair = strtok_r(line, " ", &more);

		if (!s)
			return;
		husk__agent__v1__block_stat__init(s);
		if (!pair || sscanf(pair, "%" SCNu32 ":%" SCNu32, &s->major, &s->minor) != 2)
			continue;
		while ((pair = strtok_r(NULL, " ", &more)))
			take_block_pair(s, pair);
		a->block[a->m.n_block++] = s;
	}
}

/* One for each size of huge pages that the kernel has: hugetlb.SIZE.current. */
static void take_huge(struct answer *a)
{
	int copy = openat(a->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *de;

	while (d && a->m.n_huge < AGENT_MAX_HUGE_SIZES && (de = readdir(d))) {
		Husk__Agent__V1__HugePages *h;
		char size[AGENT_MAX_HUGE_NAME + 1], prefix[32];
		int end = 0;

		if (sscanf(de->d_name, "hugetlb.%15[A-Z0-9].current%n", size, &end) != 1 || !end ||
		    de->d_name[end])
			continue;
		h = arena_alloc(&a->arena, sizeof(*h));
		if (!h)
			return;
		husk__agent__v1__huge_pages__init(h);
		h->size = arena_alloc(&a->arena, sizeof(size));
		h->usage = arena_alloc(&a->arena, sizeof(*h->usage));
		if (!h->size || !h->usage)
			return;
		strcpy(h->size, size);
		snprintf(prefix, sizeof(prefix), "hugetlb.%s", size);
		take_usage(a, prefix, h->usage);
		a->huge[a->m.n_huge++] = h;
	}
}

static void take_interface(void *arg, const struct rtn_link *l)
{
	struct answer *a = arg;
	Husk__Agent__V1__InterfaceStat *s;

	/* A name that would have to be escaped is the container's own making. */
	if (l->flags & IFF_LOOPBACK || !*l->name || strspn(l->name, AGENT_INTERFACE_CHARS) != strlen(l->name) ||
	    a->m.n_interfaces == AGENT_MAX_INTERFACE_STATS)
		return;
	s = arena_alloc(&a->arena, sizeof(*s));
	if (!s)
		return;
	husk__agent__v1__interface_stat__init(s);
	s->name = arena_alloc(&a->arena, sizeof(l->name));
	if (!s->name)
		return;
	memcpy(s->name, l->name, sizeof(l->name));
	s->rx_bytes = l->rx_bytes;
	s->rx_packets = l->rx_packets;
	s->rx_errors = l->rx_errors;
	s->rx_dropped = l->rx_dropped;
	s->tx_bytes = l->tx_bytes;
	s->tx_packets = l->tx_packets;
	s->tx_errors = l->tx_errors;
	s->tx_dropped = l->tx_dropped;
	a->interfaces[a->m.n_interfaces++] = s;
}

static void take_interfaces(struct answer *a, int netns)
{
	struct rtn *n = calloc(1, sizeof(*n));

	if (n && (netns < 0 ? rtn_open(n, NULL) : rtn_open_in(n, netns, NULL)) == 0) {
		rtn_links(n, take_interface, a);
		rtn_close(n);
	}
	free(n);
}

void stats_reply(const struct cgroup *cg, int netns, struct ttrpc_call *call)
{
	struct answer a = { .fd = cg->fd };

	arena_init(&a.arena, AGENT_MAX_FRAME);
	husk__agent__v1__stats_response__init(&a.m);
	a.m.memory_stat = a.counters;
	a.m.block = a.block;
	a.m.huge = a.huge;
	a.m.interfaces = a.interfaces;
	a.m.memory = &a.memory;
	a.m.swap = &a.swap;
	a.m.pids = &a.pids;
	take_usage(&a, "memory", &a.memory);
	take_usage(&a, "memory.swap", &a.swap);
	take_usage(&a, "pids", &a.pids);
	each_number(&a, "cpu.stat", take_cpu);
	each_number(&a, "memory.stat", take_counter);
	each_number(&a, "memory.events", take_memory_event);
	each_number(&a, "pids.events", take_pids_event);
	take_block(&a);
	take_huge(&a);
	take_interfaces(&a, netns);
	ttrpc_reply(call, &a.m.base);
	arena_free(&a.arena);
}
