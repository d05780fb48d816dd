// SPDX-License-Identifier: Apache-2.0
/*
 * measure ROUNDS FILE [CGROUP]: runs the commands of FILE in turn, ROUNDS times round, and prints the median of each.
 *
 * A line of FILE is NAME<TAB>PREPARE<TAB>COMMAND<TAB>CLEANUP; PREPARE and CLEANUP may be empty and are not timed. Words are
 * separated by single spaces; there is no shell. "@N" inside a word is replaced by the round's number. Output: one line each,
 * NAME<TAB>median<TAB>least<TAB>most<TAB>CPU; all in µs, CPU being the median of the time of all processes below CGROUP (a
 * cgroup-v2 folder; without one: of the command and the children that it waited for).
 * A command that ends with another status than 0, or not within 10 s, ends the measurement with status 1: a fast failure is
 * no figure.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_CASES  64
#define MAX_ROUNDS 1000
#define MAX_WORDS  64
#define LIMIT_MS   10000

extern char **environ;

struct sample {
	double wall, cpu;
};

struct test_case {
	char *name, *prepare, *command, *cleanup;
	struct sample s[MAX_ROUNDS];
};

static struct test_case cases[MAX_CASES];
static const char *cgroup;

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

/* Of a cgroup: what has ended is counted too. */
static double cpu_us(void)
{
	char path[4096], line[256];
	struct rusage ru;
	double us = -1;
	FILE *f;

	if (!cgroup) {
		getrusage(RUSAGE_CHILDREN, &ru);
		return (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1e6 +
		       (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec);
	}
	snprintf(path, sizeof(path), "%s/cpu.stat", cgroup);
	f = fopen(path, "re");
	while (f && us < 0 && fgets(line, sizeof(line), f))
		if (sscanf(line, "usage_usec %lf", &us) != 1)
			us = -1;
	if (f)
		fclose(f);
	if (us < 0) {
		fprintf(stderr, "measure: no CPU time in %s\n", path);
		exit(2);
	}
	return us;
}

static void put_round(char *out, size_t size, const char *in, int round)
{
	const char *at = strstr(in, "@N");

	if (at)
		snprintf(out, size, "%.*s%d%s", (int)(at - in), in, round, at + 2);
	else
		snprintf(out, size, "%s", in);
}

/* Ends what takes too long. */
static int await(pid_t pid)
{
	struct pollfd p = { .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };
	int status;

	if (p.fd >= 0 && poll(&p, 1, LIMIT_MS) == 0) {
		fprintf(stderr, "measure: not through after %d ms\n", LIMIT_MS);
		kill(pid, SIGKILL);
	}
	if (p.fd >= 0)
		close(p.fd);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

/* Runs @line and waits; 0 or its status. Output goes to /dev/null. */
static int run(const char *line, int round, struct sample *ret)
{
	static char words[MAX_WORDS][512];
	char copy[4096], *save = NULL, *argv[MAX_WORDS + 1];
	posix_spawn_file_actions_t fa;
	double start, before;
	int n = 0, status, rc;
	pid_t pid;

	snprintf(copy, sizeof(copy), "%s", line);
	for (char *w = strtok_r(copy, " ", &save); w && n < MAX_WORDS; w = strtok_r(NULL, " ", &save)) {
		put_round(words[n], sizeof(words[n]), w, round);
		argv[n] = words[n];
		n++;
	}
	argv[n] = NULL;
	if (n == 0)
		return 0;
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&fa, 1, "/dev/null", O_WRONLY, 0);
	before = cpu_us();
	start = now_us();
	rc = posix_spawnp(&pid, argv[0], &fa, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	if (rc != 0) {
		fprintf(stderr, "measure: %s: %s\n", argv[0], strerror(rc));
		return 127;
	}
	status = await(pid);
	if (ret) {
		ret->wall = now_us() - start;
		ret->cpu = cpu_us() - before;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(struct test_case *c, int rounds, size_t off, double *lo, double *hi)
{
	double v[MAX_ROUNDS];

	for (int i = 0; i < rounds; i++)
		v[i] = *(double *)(void *)((char *)&c->s[i] + off);
	qsort(v, (size_t)rounds, sizeof(v[0]), by_value);
	*lo = v[0];
	*hi = v[rounds - 1];
	return v[rounds / 2];
}

static int read_cases(const char *path)
{
	FILE *f = fopen(path, "r");
	char line[8192];
	int n = 0;

	if (!f) {
		perror(path);
		exit(2);
	}
	while (n < MAX_CASES && fgets(line, sizeof(line), f)) {
		char *p = strdup(line), **field[] = { &cases[n].name, &cases[n].prepare,
						      &cases[n].command, &cases[n].cleanup };

		p[strcspn(p, "\n")] = 0;
		if (!*p || *p == '#')
			continue;
		for (int i = 0; i < 4; i++) {
			*field[i] = p ? strsep(&p, "\t") : "";
			if (!*field[i])
				*field[i] = "";
		}
		n++;
	}
	fclose(f);
	return n;
}

int main(int argc, char **argv)
{
	int rounds = argc == 3 || argc == 4 ? atoi(argv[1]) : 0, n;

	if (rounds < 1 || rounds > MAX_ROUNDS) {
		fprintf(stderr, "usage: measure ROUNDS FILE [CGROUP]\n");
		return 2;
	}
	cgroup = argv[3];
	n = read_cases(argv[2]);
	/* Round -1 warms caches and is not counted. */
	for (int r = -1; r < rounds; r++)
		for (int i = 0; i < n; i++) {
			struct test_case *c = &cases[i];
			struct sample s;
			int rc = run(c->prepare, r + 1, NULL);

			if (rc == 0)
				rc = run(c->command, r + 1, &s);
			if (rc != 0) {
				fprintf(stderr, "measure: %s: status %d in round %d\n", c->name, rc, r);
				return 1;
			}
			if (r >= 0)
				c->s[r] = s;
			if (run(c->cleanup, r + 1, NULL) != 0) {
				fprintf(stderr, "measure: %s: clean-up failed\n", c->name);
				return 1;
			}
		}
	for (int i = 0; i < n; i++) {
		double lo, hi, l2, h2;
		double wall = median(&cases[i], rounds, offsetof(struct sample, wall), &lo, &hi);

		printf("%s\t%.0f\t%.0f\t%.0f\t%.0f\n", cases[i].name, wall, lo, hi,
		       median(&cases[i], rounds, offsetof(struct sample, cpu), &l2, &h2));
	}
	return 0;
}
