// SPDX-License-Identifier: Apache-2.0
/*
 * The first process of a guest that measures a share: mounts the virtiofs "data", goes to its folder
 * (kernel command line: "files=FOLDER"), says "figure: ready", and for each line "NAME JOBS" of its
 * console does that piece of work, by so many processes at once, and says "figure: NAME JOBS SECONDS";
 * any other line ends it. What it expects there it makes itself, when it is run on the host with that
 * folder as its argument: tree/ of many files and big.0 to big.3.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define JOBS_MAX      4u
#define BIG_SIZE      (8u << 20) /* bytes of each big file */
#define CHUNK         (128u << 10)
#define SMALL         4096u
#define SMALL_READS   300u
#define SYNCED        100u
#define TREE_DIRS     40u
#define TREE_FILES    500u /* in each */
#define ARCHIVE_DIRS  3u
#define ARCHIVE_FILES 20u /* in each directory */

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static char *buf;

static void check(bool ok, const char *what)
{
	if (ok)
		return;
	printf("figure: FAILED %s: %s\n", what, strerror(errno));
	fflush(stdout);
	if (getpid() == 1) /* else the kernel would panic, and start again */
		reboot(RB_POWER_OFF);
	_exit(1);
}

static uint32_t next(uint32_t *s)
{
	*s = *s * 1664525u + 1013904223u;
	return *s >> 8;
}

static int visit(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)path;
	(void)st;
	(void)f;
	return type == FTW_F || type == FTW_D ? 0 : 1;
}

/* All jobs walk the whole tree, as several programs would. */
static void walk(unsigned job)
{
	(void)job;
	check(nftw("tree", visit, 50, FTW_PHYS) == 0, "walk");
}

/* What tar does when it unpacks: files of 0 to 16 KiB. */
static void unpack(unsigned job)
{
	const struct timespec times[2] = { { .tv_sec = 1000000000 }, { .tv_sec = 1000000000 } };
	uint32_t rnd = job;
	char path[64];

	for (unsigned d = 0; d < ARCHIVE_DIRS; d++) {
		snprintf(path, sizeof(path), "out.%u.%u", job, d);
		check(mkdir(path, 0755) == 0, path);
		for (unsigned i = 0; i < ARCHIVE_FILES; i++) {
			size_t len = next(&rnd) % 16384;
			int fd;

			snprintf(path, sizeof(path), "out.%u.%u/some-file-%u", job, d, i);
			fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
			check(fd >= 0 && write(fd, buf, len) == (ssize_t)len, path);
			check(futimens(fd, times) == 0 && fchown(fd, 0, 0) == 0 &&
				      fchmod(fd, 0644) == 0 && close(fd) == 0,
			      path);
		}
	}
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)st;
	(void)type;
	(void)f;
	return remove(path);
}

static void clear(unsigned job)
{
	char path[64];

	for (unsigned d = 0; d < ARCHIVE_DIRS; d++) {
		snprintf(path, sizeof(path), "out.%u.%u", job, d);
		check(nftw(path, remove_one, 50, FTW_PHYS | FTW_DEPTH) == 0, "clear");
	}
}

static int open_big(unsigned job, int flags)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "big.%u", job);
	fd = open(path, flags);
	check(fd >= 0, path);
	return fd;
}

static void read_small(unsigned job)
{
	int fd = open_big(job, O_RDONLY);
	uint32_t rnd = job;

	posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	for (unsigned i = 0; i < SMALL_READS; i++)
		check(pread(fd, buf, SMALL, next(&rnd) % (BIG_SIZE / SMALL) * SMALL) == SMALL,
		      "pread");
	close(fd);
}

static void read_all(unsigned job)
{
	int fd = open_big(job, O_RDONLY);

	for (unsigned at = 0; at < BIG_SIZE; at += CHUNK)
		check(read(fd, buf, CHUNK) == CHUNK, "read");
	close(fd);
}

static void write_all(unsigned job)
{
	int fd = open_big(job, O_WRONLY);

	for (unsigned at = 0; at < BIG_SIZE; at += CHUNK)
		check(write(fd, buf, CHUNK) == CHUNK, "write");
	check(fsync(fd) == 0 && close(fd) == 0, "fsync");
}

static void write_synced(unsigned job)
{
	int fd = open_big(job, O_WRONLY);
	uint32_t rnd = job;

	for (unsigned i = 0; i < SYNCED; i++) {
		off_t at = next(&rnd) % (BIG_SIZE / SMALL) * SMALL;

		check(pwrite(fd, buf, SMALL, at) == SMALL && fsync(fd) == 0, "pwrite, fsync");
	}
	close(fd);
}

static const struct {
	const char *name;
	void (*run)(unsigned job);
	bool cold; /* the guest's caches are emptied before */
} work[] = {
	{ "walk", walk, true },
	{ "walk-again", walk, false },
	{ "unpack", unpack, true },
	{ "remove", clear, false },
	{ "read-4k", read_small, true },
	{ "read-4k-cached", read_small, false },
	{ "read-sequential", read_all, true },
	{ "write-sequential", write_all, true },
	{ "write-4k-fsync", write_synced, true },
};

static void drop_caches(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

	sync();
	check(fd >= 0 && write(fd, "3", 1) == 1, "drop_caches");
	close(fd);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void measure(size_t w, unsigned jobs)
{
	double begin;
	int status;

	if (work[w].cold)
		drop_caches();
	begin = now();
	for (unsigned j = 0; j < jobs; j++) {
		pid_t pid = fork();

		if (pid == 0) {
			work[w].run(j);
			_exit(0);
		}
		check(pid > 0, "fork");
	}
	for (unsigned j = 0; j < jobs; j++)
		check(wait(&status) > 0 && status == 0, work[w].name);
	printf("figure: %s %u %.6f\n", work[w].name, jobs, now() - begin);
	fflush(stdout);
}

/* A word of the kernel's command line, behind its "NAME=". */
static const char *word(const char *name, const char *otherwise)
{
	static char line[2][4096];
	static unsigned n;
	int fd = open("/proc/cmdline", O_RDONLY);
	char *text = line[n++ % 2], *p;
	ssize_t len = read(fd, text, sizeof(line[0]) - 1);

	check(len > 0, "command line");
	close(fd);
	text[len] = '\0';
	p = strstr(text, name);
	if (!p)
		return otherwise;
	p += strlen(name);
	p[strcspn(p, " \n")] = '\0';
	return p;
}

static int make(const char *dir)
{
	char path[64];
	int fd;

	check(chdir(dir) == 0 && mkdir("tree", 0755) == 0, dir);
	for (unsigned d = 0; d < TREE_DIRS; d++) {
		snprintf(path, sizeof(path), "tree/dir%u", d);
		check(mkdir(path, 0755) == 0, path);
		for (unsigned i = 0; i < TREE_FILES; i++) {
			snprintf(path, sizeof(path), "tree/dir%u/a-file-%u", d, i);
			fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
			check(fd >= 0 && close(fd) == 0, path);
		}
	}
	for (unsigned job = 0; job < JOBS_MAX; job++) {
		snprintf(path, sizeof(path), "big.%u", job);
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
		check(fd >= 0, path);
		for (unsigned at = 0; at < BIG_SIZE; at += CHUNK)
			check(write(fd, buf, CHUNK) == CHUNK, path);
		close(fd);
	}
	printf("about tree %u\nabout archive %u\nabout big %u\nabout reads %u\nabout synced %u\n", TREE_DIRS * TREE_FILES,
	       ARCHIVE_DIRS * ARCHIVE_FILES, BIG_SIZE >> 20, SMALL_READS, SYNCED);
	return 0;
}

int main(int argc, char **argv)
{
	char line[80], name[32];
	unsigned jobs;
	int fd;

	buf = malloc(CHUNK);
	check(buf != NULL, "memory");
	memset(buf, 'x', CHUNK);
	if (getpid() != 1)
		return argc == 2 ? make(argv[1]) : 2;
	mount("dev", "/dev", "devtmpfs", 0, NULL);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("run", "/run", "tmpfs", 0, NULL);
	fd = open("/dev/console", O_RDWR);
	for (int i = 0; fd >= 0 && i < 3; i++)
		dup2(fd, i);
	mkdir("/run/mnt", 0755);
	check(mount("data", "/run/mnt", "virtiofs", 0, NULL) == 0, "mount");
	check(chdir("/run/mnt") == 0 && chdir(word(" files=", ".")) == 0, "folder");
	puts("figure: ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) && sscanf(line, "%31s %u", name, &jobs) == 2)
		for (size_t w = 0; w < ARRAY_SIZE(work); w++)
			if (!strcmp(name, work[w].name) && jobs >= 1 && jobs <= JOBS_MAX)
				measure(w, jobs);
	check(chdir("/") == 0 && umount("/run/mnt") == 0, "umount");
	printf("figure: end\n");
	fflush(stdout);
	reboot(RB_POWER_OFF);
	return 0;
}
