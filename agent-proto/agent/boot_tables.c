// SPDX-License-Identifier: Apache-2.0
/*
 * The kernel bounds many of its tables by the memory that there is when it boots. A machine begins with little and grows, and
 * its container is to find what a host of that size has: they are only bounds, which cost nothing until they are used.
 * What they hold is charged to the container's group.
 */
#include "agent-proto/agent/boot.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "agent-proto/proto/limits.h"
#include "lib/io.h"

#define STR_(n) #n
#define STR(n)  STR_(n)

/* Those that the kernel bounds by a number at most, at that number. */
static const struct {
	const char *name, *value;
} fixed[] = {
	{ "kernel/threads-max", "4194304" }, /* no more have a pid */
	{ "kernel/pid_max", "4194304" },
	{ "fs/file-max", "9223372036854775807" },
	{ "fs/nr_open", STR(AGENT_MAX_FILES) }, /* not by memory, but by default less than others have */
	{ "fs/inotify/max_user_watches", "1048576" },
	{ "fs/fanotify/max_user_marks", "1048576" },
	/* Half as many as tasks. */
	{ "user/max_cgroup_namespaces", "2097152" },
	{ "user/max_ipc_namespaces", "2097152" },
	{ "user/max_mnt_namespaces", "2097152" },
	{ "user/max_net_namespaces", "2097152" },
	{ "user/max_pid_namespaces", "2097152" },
	{ "user/max_time_namespaces", "2097152" },
	{ "user/max_user_namespaces", "2097152" },
	{ "user/max_uts_namespaces", "2097152" },
};

/* One that is not there is fine: a kernel is not bound to have it. */
static void set(const char *name, const char *value)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/sys/%s", name);
	io_write_str(AT_FDCWD, path, value);
}

static void set_number(const char *name, uint64_t n)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
	set(name, text);
}

/* Pages below which sockets are not bothered, from which they are pressed, and which they never exceed. */
static void set_pages(const char *name, uint64_t pages)
{
	char text[72];

	snprintf(text, sizeof(text), "%llu %llu %llu", (unsigned long long)pages / 4 * 3, (unsigned long long)pages,
		 (unsigned long long)pages / 4 * 6);
	set(name, text);
}

static void set_buffers(const char *name, unsigned start, uint64_t most)
{
	char text[48];

	snprintf(text, sizeof(text), "4096 %u %llu", start, (unsigned long long)most);
	set(name, text);
}

/* The kernel's own formulas: net/ipv4/tcp.c, udp.c, fs/eventpoll.c, net/netfilter/nf_conntrack_core.c. */
static void set_by_memory(uint64_t bytes)
{
	const uint64_t pages = bytes / (uint64_t)sysconf(_SC_PAGESIZE), buckets = min_t(uint64_t, bytes >> 17, 1u << 19);
	const uint64_t conns = bytes >> 32 ? 262144 : bytes >> 30 ? 65536 : 0;

	set_pages("net/ipv4/tcp_mem", pages / 16);
	set_pages("net/ipv4/udp_mem", pages / 8);
	set_buffers("net/ipv4/tcp_wmem", 16384, min_t(uint64_t, bytes / 128, 4u << 20));
	set_buffers("net/ipv4/tcp_rmem", 131072, min_t(uint64_t, bytes / 128, 6u << 20));
	set_number("net/ipv4/tcp_max_orphans", buckets / 2);
	set_number("net/ipv4/tcp_max_tw_buckets", buckets / 2);
	set_number("net/ipv4/tcp_max_syn_backlog", max_t(uint64_t, buckets / 128, 128));
	set_number("fs/epoll/max_user_watches", bytes / 25 / 160);
	if (!conns)
		return;
	set_number("net/netfilter/nf_conntrack_max", conns);
	/* A connection whose chain has 50 others is dropped. With 32 in each this is an eighth of a MiB at most. */
	set_number("net/netfilter/nf_conntrack_buckets", conns / 16);
}

void boot_tables(void)
{
	struct sysinfo now;

	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		set(fixed[i].name, fixed[i].value);
	/* Counts what is still to come. */
	if (sysinfo(&now) == 0)
		set_by_memory((uint64_t)now.totalram * now.mem_unit);
}
