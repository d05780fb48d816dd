// SPDX-License-Identifier: Apache-2.0
/*
 * fs-random [-v] [-2] [-o LIST] DIR SEED STEPS: random operations in DIR, which is empty; prints a
 * checksum of each step and of its result, and the tree at the end. Runs of the same seed on two
 * file systems that behave alike print the same.
 *
 *   -v       each step in words
 *   -2       two processes take turns
 *   -o LIST  only these steps, in order: "0-99,120,130-140"
 *   -t       prints DIR's tree and does nothing
 */
#include "tests/fs/random.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static bool verbose, two;
static const char *only;

unsigned pick(struct step *s, unsigned n)
{
	s->state ^= s->state << 13;
	s->state ^= s->state >> 7;
	s->state ^= s->state << 17;
	return (unsigned)(s->state >> 24) % n;
}

void tell(struct step *s, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(s->line + s->used, sizeof(s->line) - s->used, fmt, ap);
	va_end(ap);
	s->used = min_t(size_t, s->used + (size_t)n, sizeof(s->line) - 1);
}

void result(struct step *s, long rc)
{
	if (rc < 0)
		tell(s, " %s", strerrorname_np(errno));
	else
		tell(s, " %ld", rc);
}

uint32_t sum_of(const void *p, size_t n)
{
	const uint8_t *b = p;
	uint32_t sum = 2166136261u;

	for (size_t i = 0; i < n; i++)
		sum = (sum ^ b[i]) * 16777619u;
	return sum;
}

static uint64_t seed_of(uint64_t seed, uint64_t step)
{
	uint64_t x = seed * 0x9e3779b97f4a7c15ull + step * 0xbf58476d1ce4e5b9ull + 1;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return (x ^ (x >> 31)) | 1;
}

static void die(const char *what)
{
	fprintf(stderr, "fs-random: %s: %s\n", what, strerror(errno));
	exit(2);
}

/* Is step @i in the list? Steps come in order. */
static bool wanted(unsigned long i)
{
	static const char *at;
	static unsigned long first, last;
	char *end;

	if (!only)
		return true;
	if (!at) {
		at = only;
		first = 1;
		last = 0;
	}
	while ((first > last || i > last) && *at) {
		first = strtoul(at, &end, 10);
		last = *end == '-' ? strtoul(end + 1, &end, 10) : first;
		at = *end == ',' ? end + 1 : end;
	}
	return i >= first && i <= last;
}

static void print(unsigned long i, const struct step *s)
{
	if (verbose)
		printf("%lu %s\n", i, s->line);
	else
		printf("%08x\n", sum_of(s->line, s->used));
}

/* Every second step is the other process's: its line comes over the socket, and the next step may
 * begin. */
static void run(uint64_t seed, unsigned long steps, bool child, int sock)
{
	static struct step s;

	for (unsigned long i = 0; i < steps; i++) {
		if (!wanted(i))
			continue;
		s = (struct step){ .state = seed_of(seed, i) };
		if (!two || child == (i % 2 != 0)) {
			random_step(&s);
			if (two && send(sock, s.line, s.used + 1, MSG_NOSIGNAL) < 0)
				die("the other process");
		} else {
			ssize_t n = recv(sock, s.line, sizeof(s.line), 0);

			if (n <= 0)
				die("the other process");
			s.used = (size_t)n - 1;
		}
		if (!child)
			print(i, &s);
	}
}

static int start(uint64_t seed, unsigned long steps)
{
	int pair[2] = { -1, -1 }, status = 0;
	pid_t pid = 0;

	if (two) {
		if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
			die("socketpair");
		pid = fork();
		if (pid < 0)
			die("fork");
		close(pair[pid == 0 ? 0 : 1]);
	}
	run(seed, steps, two && pid == 0, pair[pid == 0 ? 1 : 0]);
	if (two && pid == 0)
		_exit(0);
	if (two && (waitpid(pid, &status, 0) != pid || status != 0))
		die("the other process");
	puts("tree:");
	tree_print(stdout);
	return 0;
}

int main(int argc, char **argv)
{
	bool tree = false;
	int c;

	while ((c = getopt(argc, argv, "v2o:t")) != -1) {
		switch (c) {
		case 'v':
			verbose = true;
			break;
		case '2':
			two = true;
			break;
		case 'o':
			only = optarg;
			break;
		case 't':
			tree = true;
			break;
		default:
			return 2;
		}
	}
	if (argc - optind != (tree ? 1 : 3)) {
		fprintf(stderr, "usage: fs-random [-v] [-2] [-o LIST] DIR SEED STEPS | -t DIR\n");
		return 2;
	}
	umask(022);
	if (chdir(argv[optind]) < 0)
		die(argv[optind]);
	if (tree) {
		tree_print(stdout);
		return 0;
	}
	return start(strtoull(argv[optind + 1], NULL, 0), strtoul(argv[optind + 2], NULL, 0));
}
