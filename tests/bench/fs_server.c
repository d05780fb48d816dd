// SPDX-License-Identifier: Apache-2.0
/*
 * Requests per second of the file server alone, by one thread, without rings or a guest: what a
 * request costs beside the carrier. Seconds are of this thread's CPU time, so that a busy machine
 * does not matter much. Usage: bench-fs-server [SECONDS]
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/lib/fsfix.h"

#define FILES 1000

static struct fsfix fix;
static uint64_t dir, node, fh, dir_fh;
static char data[4096];

static void do_lookup(unsigned i)
{
	struct fuse_entry_out e;
	char name[16];

	snprintf(name, sizeof(name), "f%u", i % FILES);
	bug_on(fc_lookup(&fix.c, dir, name, &e) < 0);
}

static void do_getattr(unsigned i)
{
	struct fuse_attr a;

	(void)i;
	bug_on(fc_getattr(&fix.c, node, &a) < 0);
}

static void do_read(unsigned i)
{
	bug_on(fc_read(&fix.c, node, fh, i % 16 * 4096, data, 4096) < 0);
}

static void do_write(unsigned i)
{
	bug_on(fc_write(&fix.c, node, fh, i % 16 * 4096, data, 4096, 0, 0) < 0);
}

static void do_open(unsigned i)
{
	uint64_t h;

	(void)i;
	bug_on(fc_open(&fix.c, node, O_RDONLY, &h) < 0);
	bug_on(fc_release(&fix.c, node, h, false) < 0);
}

static void do_create(unsigned i)
{
	struct fuse_entry_out e;
	uint64_t h;

	(void)i;
	bug_on(fc_create(&fix.c, dir, "new", O_RDWR, 0644, &e, &h) < 0);
	bug_on(fc_release(&fix.c, e.nodeid, h, false) < 0);
	bug_on(fc_named(&fix.c, FUSE_UNLINK, dir, NULL, 0, "new") < 0);
	fc_forget(&fix.c, e.nodeid, 1);
}

static void nothing(void *arg, const struct fuse_dirent *d, const char *name,
		    const struct fuse_entry_out *plus)
{
	(void)arg;
	(void)d;
	(void)name;
	(void)plus;
}

static void do_readdirplus(unsigned i)
{
	(void)i;
	bug_on(fc_readdir(&fix.c, dir, dir_fh, true, 4096, nothing, NULL) < 0);
}

static const struct {
	const char *name;
	void (*fn)(unsigned i);
} cases[] = {
	{ "lookup", do_lookup },
	{ "getattr", do_getattr },
	{ "read 4 KiB", do_read },
	{ "write 4 KiB", do_write },
	{ "open + release", do_open },
	{ "create + release + unlink + forget", do_create },
	{ "readdirplus of 1000", do_readdirplus },
};

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

int main(int argc, char **argv)
{
	uint64_t span = (argc > 1 ? strtoull(argv[1], NULL, 10) : 1) * 1000000000ull;
	struct fuse_entry_out e;

	fsfix_init(&fix, NULL, NULL, 0);
	bug_on(fc_mkdir(&fix.c, fix.root, "dir", 0755, &e) < 0);
	dir = e.nodeid;
	for (unsigned i = 0; i < FILES; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%u", i);
		bug_on(fc_create(&fix.c, dir, name, O_RDWR, 0644, &e, &fh) < 0);
		if (i + 1 < FILES)
			bug_on(fc_release(&fix.c, e.nodeid, fh, false) < 0);
	}
	node = e.nodeid;
	bug_on(fc_opendir(&fix.c, dir, &dir_fh) < 0);
	for (size_t c = 0; c < ARRAY_SIZE(cases); c++) {
		uint64_t start = cpu_ns(), took;
		unsigned n = 0;

		do
			for (unsigned i = 0; i < 16; i++)
				cases[c].fn(n++);
		while ((took = cpu_ns() - start) < span);
		printf("%-36s %10.0f /s %8.2f us\n", cases[c].name, n * 1e9 / (double)took,
		       (double)took / 1e3 / n);
	}
	fsfix_done(&fix);
	return 0;
}
