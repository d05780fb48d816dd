// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/procs.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent-proto/agent/agent.h"
#include "agent-proto/agent/container.h"
#include "agent-proto/agent/fork.h"
#include "agent-proto/proto/agent.pb-c.h"
#include "agent-proto/proto/limits.h"
#include "agent-proto/ttrpc/arena.h"
#include "lib/cleanup.h"

/* AGENT_MAX_PROCESSES of these fit in a frame with room to spare. */
#define MAX_COMMAND 800
#define MAX_NAME    64

#define COMMANDS_NS  UINT64_C(3000000000) /* for the command lines; what has not come by then is told by its name */
#define MAX_LISTINGS 16                   /* that wait for theirs at a time; of more, likewise */

/* In memory that the agent and its fork have in common. */
struct command {
	atomic_uint len; /* written last; 0: not there (yet) */
	char text[MAX_COMMAND];
};

struct listing {
	struct container *ct;
	struct ttrpc_call *call;
	struct command *commands; /* of each in the list */
	struct evsrc done; /* the fork's end */
	struct evtimer late;
	pid_t pid;
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

/* As ps(1) shows one without a command line: a zombie, and whose is not known. */
static int take_name(struct listing *l, Husk__Agent__V1__ProcessInfo *m)
{
	size_t len = strlen(m->name) + 2;
	char *p = arena_alloc(&l->arena, len + 1);

	if (!p)
		return -ENOMEM;
	snprintf(p, len + 1, "[%s]", m->name);
	m->command.data = (uint8_t *)p;
	m->command.len = len;
	return 0;
}

static int take_host(struct listing *l, Husk__Agent__V1__ProcessInfo *m)
{
	const struct process *p = &l->ct->init;

	if ((uint32_t)p->pid != m->pid)
		for (p = l->ct->execs; p && (uint32_t)p->pid != m->pid;)
			p = p->next;
	if (!p || p->state == PROC_ENDED)
		return 0;
	m->is_host_started = true;
	/* It may have been forgotten by the time of the answer. */
	m->exec_id = arena_alloc(&l->arena, strlen(p->exec_id) + 1);
	if (!m->exec_id)
		return -ENOMEM;
	strcpy(m->exec_id, p->exec_id);
	return 0;
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
		rc = take_name(l, m);
	if (rc == 0)
		rc = take_host(l, m);
	if (rc < 0)
		return rc == -ESRCH ? 0 : rc;
	take_uid(dir, m);
	l->list[l->n++] = m;
	return 0;
}

/* ---- command lines: by a fork, as each is read from the process's own memory, which others may keep busy ------------ */

static void read_command(pid_t pid, struct command *to)
{
	char path[32], buf[MAX_COMMAND + 1];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	n = read_some(AT_FDCWD, path, buf, sizeof(buf));
	while (n > 0 && !buf[n - 1])
		n--;
	for (ssize_t i = 0; i < n; i++)
		to->text[i] = buf[i] ? buf[i] : ' ';
	if (n > 0)
		atomic_store(&to->len, (unsigned)n);
}

static _Noreturn void run(const struct listing *l, int end)
{
	fork_enter(&end, 1);
	for (size_t i = 0; i < l->n; i++)
		read_command((pid_t)l->list[i]->pid, &l->commands[i]);
	_exit(0);
}

static unsigned under_way;

static void listing_free(struct listing *l)
{
	if (l->pid > 0) {
		under_way--;
		kill(l->pid, SIGKILL);
	}
	evloop_del(&l->done);
	close_and_reset(&l->done.fd);
	evtimer_done(&l->late);
	if (l->commands)
		munmap(l->commands, l->n * sizeof(*l->commands));
	arena_free(&l->arena);
	free(l);
}

static void answer(struct listing *l)
{
	Husk__Agent__V1__ListProcessesResponse m;

	for (size_t i = 0; l->commands && i < l->n; i++) {
		unsigned len = atomic_load(&l->commands[i].len);

		if (!len)
			continue;
		l->list[i]->command.data = (uint8_t *)l->commands[i].text;
		l->list[i]->command.len = min_t(unsigned, len, MAX_COMMAND);
	}
	husk__agent__v1__list_processes_response__init(&m);
	m.n_processes = l->n;
	m.processes = l->list;
	ttrpc_reply(l->call, &m.base);
	listing_free(l);
}

static void on_done(struct evsrc *src, uint32_t events)
{
	struct listing *l = container_of(src, struct listing, done);

	(void)events;
	l->pid = 0; /* ends by itself, and is reaped with all others */
	under_way--;
	answer(l);
}

static void on_late(struct evtimer *t)
{
	answer(container_of(t, struct listing, late));
}

/* The connection has ended. */
static void cancelled(struct ttrpc_call *call)
{
	struct listing *l = call->arg;

	ttrpc_reply(call, NULL);
	listing_free(l);
}

/* False: names will have to do. */
static bool begin(struct listing *l)
{
	struct evloop *loop = l->ct->agent->loop;
	void *mem;
	int end[2];

	if (under_way == MAX_LISTINGS || !l->n || pipe2(end, O_CLOEXEC) < 0)
		return false;
	l->done = (struct evsrc){ .fd = end[0], .fn = on_done, .name = "command lines" };
	mem = mmap(NULL, l->n * sizeof(*l->commands), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (mem != MAP_FAILED)
		l->commands = mem;
	if (l->commands && evloop_add(loop, &l->done, EPOLLIN) == 0 && evtimer_init(loop, &l->late, "ps", on_late) == 0 &&
	    evtimer_set_ns(&l->late, COMMANDS_NS) == 0)
		l->pid = fork();
	if (l->pid == 0)
		run(l, end[1]);
	close(end[1]);
	under_way += l->pid > 0;
	return l->pid > 0;
}

void procs_list(struct container *ct, struct ttrpc_call *call)
{
	struct listing *l = calloc(1, sizeof(*l));
	int rc = -ENOMEM;

	if (!l) {
		ttrpc_reply_err(call, rc, "out of memory");
		return;
	}
	l->ct = ct;
	l->call = call;
	l->tick_ns = UINT64_C(1000000000) / (uint64_t)sysconf(_SC_CLK_TCK);
	l->page = (uint64_t)sysconf(_SC_PAGESIZE);
	l->memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * l->page;
	l->done.fd = l->late.src.fd = l->pid = -1;
	arena_init(&l->arena, AGENT_MAX_FRAME * 2);
	l->list = arena_alloc(&l->arena, AGENT_MAX_PROCESSES * sizeof(*l->list));
	if (l->list)
		rc = cgroup_each(&ct->cgroup, add, l);
	if (rc < 0 && rc != -ENOSPC) { /* too many: the first ones are told */
		ttrpc_reply_err(call, rc == -ENOMEM ? rc : -EIO, "processes cannot be read");
		listing_free(l);
		return;
	}
	call->arg = l;
	call->cancel = cancelled;
	if (!begin(l))
		answer(l);
}
