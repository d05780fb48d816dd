// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/procs.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent-proto/agent/container.h"
#include "agent-proto/proto/agent.pb-c.h"
#include "agent-proto/proto/limits.h"
#include "agent-proto/ttrpc/arena.h"
#include "lib/cleanup.h"

/* AGENT_MAX_PROCESSES of these fit in a frame with room to spare. */
#define MAX_COMMAND 800
#define MAX_NAME    64

struct listing {
	struct container *ct;
	struct arena arena;
	Husk__Agent__V1__ProcessInfo **list;
	size_t n;
	uint64_t tick_ns, page, memory; /* memory: all of the guest's, bytes */
};

/* As much of a small file of /proc/PID as there is; -errno. NUL-terminated. */
static ssize_t read_some(int dir, const char *name, char *buf, size_t size)
{
	_cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

	if (n < 0)
		return -errno;
	buf[n] = 0;
	return n;
}

static char *tty_name(struct listing *l, unsigned nr)
{
	char *s = arena_alloc(&l->arena, 16);

	if (!s)
		return NULL;
	/* pts has the majors 136 to 143. */
	if (major(nr) >= 136 && major(nr) <= 143)
		snprintf(s, 16, "pts/%u", (major(nr) - 136) << 8 | minor(nr));
	else
		snprintf(s, 16, "?");
	return s;
}

/* "R", "Ss+", "Sl": the kernel's letter, and what ps(1) adds to it. */
static char *state_text(struct listing *l, char letter, bool leads, bool many, bool foreground)
{
	char *s = arena_alloc(&l->arena, 8);

	if (s)
		snprintf(s, 8, "%c%s%s%s", letter, leads ? "s" : "", many ? "l" : "",
			 foreground ? "+" : "");
	return s;
}

static char *process_name(struct listing *l, const char *stat, const char *end)
{
	const char *begin = strchr(stat, '(');
	char *s = arena_alloc(&l->arena, MAX_NAME + 1);

	if (s && begin && begin < end)
		snprintf(s, MAX_NAME + 1, "%.*s", (int)(end - begin - 1), begin + 1);
	return s;
}

static int take_stat(struct listing *l, int dir, Husk__Agent__V1__ProcessInfo *m)
{
	unsigned long long utime, stime, start, vsize, rss;
	int tty, group, session, foreground;
	unsigned ppid, threads;
	char buf[1024], *p, letter;

	if (read_some(dir, "stat", buf, sizeof(buf)) < 0)
		return -ESRCH;
	/* The name in parentheses may hold anything, parentheses too. */
	p = strrchr(buf, ')');
	if (!p || sscanf(p + 1,
			 " %c %u %d %d %d %d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %u %*d %llu "
			 "%llu %llu",
			 &letter, &ppid, &group, &session, &tty, &foreground, &utime, &stime, &threads,
			 &start, &vsize, &rss) != 12)
		return -ESRCH;
	m->ppid = ppid;
	m->cpu_ns = (utime + stime) * l->tick_ns;
	m->start_ns = start * l->tick_ns;
	m->virtual_bytes = vsize;
	m->resident_bytes = rss * l->page;
	/* A page counts as often as it is mapped: there may be more of them than there is memory. */
	m->resident_permille = l->memory ? (uint32_t)min_t(uint64_t, rss * l->page / (l->memory / 1000 + 1), 1000) : 0;
	m->threads = threads;
	m->tty = tty_name(l, (unsigned)tty);
	m->state = state_text(l, letter, (uint32_t)session == m->pid, threads > 1, group == foreground);
	m->name = process_name(l, buf, p);
	return m->tty && m->state && m->name ? 0 : -ENOMEM;
}

static void take_uid(int dir, Husk__Agent__V1__ProcessInfo *m)
{
	char buf[2048], *p;

	if (read_some(dir, "status", buf, sizeof(buf)) < 0)
		return;
	p = strstr(buf, "\nUid:");
	if (p)
		m->uid = (uint32_t)strtoul(p + 5, NULL, 10);
}

static int take_command(struct listing *l, int dir, Husk__Agent__V1__ProcessInfo *m)
{
	char buf[MAX_COMMAND + 1];
	ssize_t n = read_some(dir, "cmdline", buf, sizeof(buf));

	if (n <= 0) { /* a zombie: its name, as ps shows it */
		buf[0] = '[';
		n = read_some(dir, "comm", buf + 1, sizeof(buf) - 1);
		n = n > 0 ? n + 1 : 1;
		buf[n - (n > 1)] = ']';
	} else {
		while (n && !buf[n - 1])
			n--;
		for (ssize_t i = 0; i < n; i++)
			if (!buf[i])
				buf[i] = ' ';
	}
	m->command.data = arena_alloc(&l->arena, (size_t)n);
	if (!m->command.data)
		return -ENOMEM;
	memcpy(m->command.data, buf, (size_t)n);
	m->command.len = (size_t)n;
	return 0;
}

static void take_host(struct listing *l, Husk__Agent__V1__ProcessInfo *m)
{
	const struct process *p = &l->ct->init;

	if ((uint32_t)p->pid != m->pid)
		for (p = l->ct->execs; p && (uint32_t)p->pid != m->pid;)
			p = p->next;
	if (!p || p->state == PROC_ENDED)
		return;
	m->is_host_started = true;
	m->exec_id = p->exec_id;
}

static int add(pid_t pid, void *arg)
{
	struct listing *l = arg;
	Husk__Agent__V1__ProcessInfo *m;
	_cleanup_close_ int dir = -1;
	char path[32];
	int rc;

	if (l->n == AGENT_MAX_PROCESSES)
		return -ENOSPC;
	snprintf(path, sizeof(path), "/proc/%d", pid);
	dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0) /* gone in between */
		return 0;
	m = arena_alloc(&l->arena, sizeof(*m));
	if (!m)
		return -ENOMEM;
	husk__agent__v1__process_info__init(m);
	m->pid = (uint32_t)pid;
	rc = take_stat(l, dir, m);
	if (rc == 0)
		rc = take_command(l, dir, m);
	if (rc < 0)
		return rc == -ESRCH ? 0 : rc;
	take_uid(dir, m);
	take_host(l, m);
	l->list[l->n++] = m;
	return 0;
}

void procs_list(struct container *ct, struct ttrpc_call *call)
{
	struct listing l = { .ct = ct,
			     .tick_ns = UINT64_C(1000000000) / (uint64_t)sysconf(_SC_CLK_TCK),
			     .page = (uint64_t)sysconf(_SC_PAGESIZE),
			     .memory = (uint64_t)sysconf(_SC_PHYS_PAGES) *
				       (uint64_t)sysconf(_SC_PAGESIZE) };
	Husk__Agent__V1__ListProcessesResponse m;
	int rc;

	arena_init(&l.arena, AGENT_MAX_FRAME * 2);
	l.list = arena_alloc(&l.arena, AGENT_MAX_PROCESSES * sizeof(*l.list));
	rc = l.list ? cgroup_each(&ct->cgroup, add, &l) : -ENOMEM;
	if (rc < 0 && rc != -ENOSPC) { /* too many: the first ones are told */
		ttrpc_reply_err(call, rc == -ENOMEM ? rc : -EIO, "processes cannot be read");
	} else {
		husk__agent__v1__list_processes_response__init(&m);
		m.n_processes = l.n;
		m.processes = l.list;
		ttrpc_reply(call, &m.base);
	}
	arena_free(&l.arena);
}
