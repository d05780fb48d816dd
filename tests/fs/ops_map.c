// SPDX-License-Identifier: Apache-2.0
/*
 * Files in memory. A case has one map at a time for each number 0 to 3.
 */
#include "tests/fs/conform.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#define MAPS 4

static const struct word prot_words[] = {
	{ "r", PROT_READ }, { "w", PROT_WRITE }, { "x", PROT_EXEC }, { 0 }
};

static const struct word map_words[] = {
	{ "shared", MAP_SHARED }, { "private", MAP_PRIVATE },   { "validate", MAP_SHARED_VALIDATE },
	{ "sync", MAP_SYNC },     { "populate", MAP_POPULATE }, { 0 },
};

static const struct word msync_words[] = {
	{ "sync", MS_SYNC }, { "async", MS_ASYNC }, { "invalidate", MS_INVALIDATE }, { 0 }
};

static struct {
	char *at;
	size_t len;
} maps[MAPS];

static sigjmp_buf fault;
static volatile sig_atomic_t fault_signal;

static void on_fault(int sig)
{
	fault_signal = sig;
	siglongjmp(fault, 1);
}

static char *map_of(const struct ctx *c, int64_t off, int64_t len)
{
	int64_t n = num(c, 1);

	if (n < 0 || n >= MAPS || !maps[n].at || off < 0 || len < 0 ||
	    !range_within((uint64_t)off, (uint64_t)len, maps[n].len))
		bad_case("%s: outside of map %lld", c->argv[0], (long long)n);
	return maps[n].at + off;
}

/* mmap MAP FILE PROT FLAGS OFF LEN */
static void op_mmap(struct ctx *c)
{
	size_t len = (size_t)num(c, 6);
	void *p = mmap(NULL, len, (int)words(c, 3, prot_words), (int)words(c, 4, map_words),
		       file(c, 2), num(c, 5));

	say_rc(c, p == MAP_FAILED ? -1 : 0);
	if (p == MAP_FAILED)
		return;
	maps[num(c, 1)].at = p;
	maps[num(c, 1)].len = len;
}

static void arm(void)
{
	struct sigaction sa = { .sa_handler = on_fault };

	sigaction(SIGBUS, &sa, NULL);
	sigaction(SIGSEGV, &sa, NULL);
}

static void say_fault(struct ctx *c)
{
	say(c, "%s", fault_signal == SIGBUS ? "SIGBUS" : "SIGSEGV");
}

/* True a second time when the access behind it ended in a fault. Where the access is: the jump
 * comes back to this very frame. */
#define faulted() (arm(), sigsetjmp(fault, 1) != 0)

/* mget MAP OFF LEN */
static void op_mget(struct ctx *c)
{
	static char copy[65536];
	size_t len = (size_t)num(c, 3);
	const char *p = map_of(c, num(c, 2), num(c, 3));

	if (len > sizeof(copy))
		bad_case("mget: too long");
	if (faulted()) {
		say_fault(c);
		return;
	}
	memcpy(copy, p, len);
	say_bytes(c, copy, len);
}

/* mset MAP OFF TEXT */
static void op_mset(struct ctx *c)
{
	char *p = map_of(c, num(c, 2), (int64_t)c->len[3]);

	if (faulted()) {
		say_fault(c);
		return;
	}
	memcpy(p, arg(c, 3), c->len[3]);
	say(c, "0");
}

/* msync MAP OFF LEN FLAGS */
static void op_msync(struct ctx *c)
{
	say_rc(c, msync(map_of(c, num(c, 2), num(c, 3)), (size_t)num(c, 3),
			(int)words(c, 4, msync_words)));
}

static void op_munmap(struct ctx *c)
{
	char *p = map_of(c, 0, 0);

	say_rc(c, munmap(p, maps[num(c, 1)].len));
	maps[num(c, 1)].at = NULL;
}

/* mprotect MAP PROT */
static void op_mprotect(struct ctx *c)
{
	char *p = map_of(c, 0, 0);

	say_rc(c, mprotect(p, maps[num(c, 1)].len, (int)words(c, 2, prot_words)));
}

/* madvise MAP NUMBER */
static void op_madvise(struct ctx *c)
{
	char *p = map_of(c, 0, 0);

	say_rc(c, madvise(p, maps[num(c, 1)].len, (int)num(c, 2)));
}

const struct op ops_map[] = {
	{ "mmap", 6, op_mmap },       { "mget", 3, op_mget },
	{ "mset", 3, op_mset },       { "msync", 4, op_msync },
	{ "munmap", 1, op_munmap },   { "mprotect", 2, op_mprotect },
	{ "madvise", 2, op_madvise }, { 0 },
};
