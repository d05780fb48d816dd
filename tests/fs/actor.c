// SPDX-License-Identifier: Apache-2.0
/*
 * Other processes and other users that take part in a case. Each is a child with a socket: a packet
 * in is an operation, a packet out its answer.
 */
#include "tests/fs/conform.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAITS_MS  60 /* what sleeps for so long in an operation that it has begun is said to wait */
#define ANSWER_MS 20000

static struct actor {
	char name;
	unsigned uid, gid, ngroups;
	gid_t groups[2];
	pid_t pid;
	int sock;
	atomic_bool *busy; /* it has begun the operation that it was told last; shared with it */
} actors[] = {
	{ .name = 'u', .uid = 1001, .gid = 1001 },
	{ .name = 'v', .uid = 1002, .gid = 1002, .ngroups = 2, .groups = { 1001, 2000 } },
	{ .name = 'w', .uid = 1003, .gid = 2000 },
	{ .name = 'p' },
	{ .name = 'q' },
	{ .name = 'r' },
};

static struct actor *find(const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(actors); i++)
		if (text[0] == actors[i].name && text[1] == '>')
			return &actors[i];
	return NULL;
}

bool actor_named(const char *text)
{
	return find(text) != NULL;
}

static void on_signal(int sig)
{
	(void)sig;
}

static void become(const struct actor *a)
{
	/* No SA_RESTART: an interrupted call says so. */
	struct sigaction sa = { .sa_handler = on_signal };

	sigaction(SIGUSR1, &sa, NULL);
	if (!a->uid)
		return;
	if (setgroups(a->ngroups, a->groups) < 0 || setresgid(a->gid, a->gid, a->gid) < 0 ||
	    setresuid(a->uid, a->uid, a->uid) < 0)
		bad_case("cannot be user %u: %s", a->uid, strerror(errno));
}

__attribute__((noreturn)) static void serve(struct ctx *c, const struct actor *a, int sock)
{
	static char text[8192];
	ssize_t n;

	become(a);
	while ((n = recv(sock, text, sizeof(text) - 1, 0)) > 0 || (n < 0 && errno == EINTR)) {
		if (n < 0)
			continue;
		text[n] = '\0';
		atomic_store(a->busy, true);
		run_op(c, text);
		atomic_store(a->busy, false);
		if (send(sock, c->used ? c->answer : "-", c->used ? c->used : 1, MSG_NOSIGNAL) < 0)
			break;
	}
	_exit(0);
}

static void start(struct ctx *c, struct actor *a)
{
	int pair[2];

	if (a->pid)
		return;
	fflush(stdout);
	if (!a->busy)
		a->busy = mmap(NULL, sizeof(*a->busy), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (a->busy == MAP_FAILED)
		bad_case("mmap: %s", strerror(errno));
	*a->busy = false;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		bad_case("socketpair: %s", strerror(errno));
	a->pid = fork();
	if (a->pid < 0)
		bad_case("fork: %s", strerror(errno));
	if (a->pid == 0) {
		close(pair[0]);
		for (size_t i = 0; i < ARRAY_SIZE(actors); i++)
			if (&actors[i] != a && actors[i].pid)
				close(actors[i].sock);
		serve(c, a, pair[1]);
	}
	close(pair[1]);
	a->sock = pair[0];
}

static bool answered(const struct actor *a, int ms)
{
	struct pollfd p = { .fd = a->sock, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

/* Its state as proc(5) says it: the letter after the name. */
static bool sleeps(const struct actor *a)
{
	char path[40], line[200] = "", *state;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)a->pid);
	f = fopen(path, "re");
	if (!f || !fgets(line, sizeof(line), f))
		bad_case("%s: %s", path, strerror(errno));
	fclose(f);
	state = strrchr(line, ')');
	return state && strchr("SD", state[2]);
}

/* Does it wait? On a busy machine one that has not answered may as well not have run yet. */
static bool waits(const struct actor *a)
{
	int asleep = 0;

	for (int ms = 0; asleep < WAITS_MS && ms < ANSWER_MS; ms += WAITS_MS / 6) {
		if (answered(a, WAITS_MS / 6))
			return false;
		asleep = atomic_load(a->busy) && sleeps(a) ? asleep + WAITS_MS / 6 : 0;
	}
	return true;
}

static void take(struct ctx *c, const struct actor *a)
{
	ssize_t n =
		answered(a, ANSWER_MS) ? recv(a->sock, c->answer, sizeof(c->answer) - 1, 0) : -1;

	if (n <= 0) { /* and nothing more from this one */
		say(c, "%s", n == 0 ? "gone" : "no-answer");
		kill(a->pid, SIGKILL);
		return;
	}
	c->answer[n] = '\0';
	c->used = (size_t)n;
}

void actor_op(struct ctx *c, const char *text)
{
	struct actor *a = find(text);
	bool later = text[2] == '&';

	c->used = 0;
	c->answer[0] = '\0';
	switch (text[2]) {
	case '?':
		say(c, "%s", waits(a) ? "waits" : "done");
		return;
	case '=':
		take(c, a);
		return;
	case '!':
		say_rc(c, kill(a->pid, SIGUSR1));
		return;
	default:
		break;
	}
	start(c, a);
	text += 2 + later;
	if (send(a->sock, text, strlen(text), MSG_NOSIGNAL) < 0)
		say(c, "gone");
	else if (!later)
		take(c, a);
}

void actors_end(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(actors); i++) {
		struct actor *a = &actors[i];

		if (!a->pid)
			continue;
		close(a->sock);
		kill(a->pid, SIGKILL);
		waitpid(a->pid, NULL, 0);
		a->pid = 0;
	}
}
