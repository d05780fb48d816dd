// SPDX-License-Identifier: Apache-2.0
/*
 * Locks of the three kinds, leases.
 */
#include "tests/fs/conform.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

static const struct word lock_words[] = {
	{ "r", F_RDLCK }, { "w", F_WRLCK }, { "un", F_UNLCK }, { "bad", 77 }, { 0 }
};

static const struct word flock_words[] = {
	{ "sh", LOCK_SH }, { "ex", LOCK_EX }, { "un", LOCK_UN },
	{ "nb", LOCK_NB }, { "bad", 64 },     { 0 },
};

/* OP N TYPE START LEN [WHENCE] */
static struct flock region(const struct ctx *c)
{
	return (struct flock){
		.l_type = (short)words(c, 2, lock_words),
		.l_whence = (short)(has(c, 5) ? num(c, 5) : SEEK_SET),
		.l_start = num(c, 3),
		.l_len = num(c, 4),
	};
}

static void set(struct ctx *c, int how)
{
	struct flock fl = region(c);

	say_rc(c, fcntl(file(c, 1), how, &fl));
}

static void get(struct ctx *c, int how)
{
	struct flock fl = region(c);

	if (fcntl(file(c, 1), how, &fl) < 0)
		say_rc(c, -1);
	else if (fl.l_type == F_UNLCK)
		say(c, "free");
	else
		say(c, "%s@%lld+%lld", fl.l_type == F_RDLCK ? "r" : "w", (long long)fl.l_start,
		    (long long)fl.l_len);
}

static void op_lock(struct ctx *c)
{
	set(c, F_SETLK);
}

static void op_lockw(struct ctx *c)
{
	set(c, F_SETLKW);
}

static void op_getlk(struct ctx *c)
{
	get(c, F_GETLK);
}

static void op_olock(struct ctx *c)
{
	set(c, F_OFD_SETLK);
}

static void op_olockw(struct ctx *c)
{
	set(c, F_OFD_SETLKW);
}

static void op_ogetlk(struct ctx *c)
{
	get(c, F_OFD_GETLK);
}

/* flock N HOW */
static void op_flock(struct ctx *c)
{
	say_rc(c, flock(file(c, 1), (int)words(c, 2, flock_words)));
}

/* lease N TYPE */
static void op_lease(struct ctx *c)
{
	say_rc(c, fcntl(file(c, 1), F_SETLEASE, words(c, 2, lock_words)));
}

const struct op ops_lock[] = {
	{ "lock", 4, op_lock },   { "lockw", 4, op_lockw },   { "getlk", 4, op_getlk },
	{ "olock", 4, op_olock }, { "olockw", 4, op_olockw }, { "ogetlk", 4, op_ogetlk },
	{ "flock", 2, op_flock }, { "lease", 2, op_lease },   { 0 },
};
