/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conformance suite of file systems: cases are lines of text (tests/fs/cases), each a list of
 * operations in a fresh directory; what every operation answers is printed. Nothing here says what
 * is right: the same cases run in a guest on a share and on the host beside it, and the two outputs
 * must be the same.
 *
 *   NAME: OPERATION ARGUMENT…; OPERATION …
 *
 * An operation may begin with who does it (actor.c): "u>open 1 f rw".
 *   u v w    users 1001, 1002 (supplementary groups 1001, 2000), 1003 (group 2000)
 *   p q r    further processes of the same user
 *   p>&OP    starts it and goes on; "p>?" says whether it still waits, "p>=" its answer, "p>!"
 *            interrupts it by a signal
 * Files are numbered: "open 1 f rw" makes number 1. A process made by its first operation inherits
 * what is open then. In arguments, \xNN is a byte, {abc*9} repeats, '' is nothing, and numbers may
 * end in k, m or g.
 */
#ifndef TESTS_FS_CONFORM_H
#define TESTS_FS_CONFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "lib/util.h"

#define ANSWER_MAX  4096
#define ARGS_MAX    12
#define ARG_MAX_LEN 70000
#define FILES_MAX   10

/* What operations see: their arguments, and where the answer goes. */
struct ctx {
	int argc;
	char *argv[ARGS_MAX];
	size_t len[ARGS_MAX]; /* bytes of each, which may hold zeros */
	char answer[ANSWER_MAX];
	size_t used;
	int file[FILES_MAX]; /* -1: none */
};

struct op {
	const char *name;
	int min_args; /* beside the name */
	void (*run)(struct ctx *c);
};

struct word {
	const char *name;
	uint64_t value;
};

/* Tables of operations, one for each file; each ends with an entry without name. */
extern const struct op ops_file[], ops_data[], ops_name[], ops_attr[], ops_xattr[], ops_lock[],
	ops_map[], ops_dir[], ops_event[];

/* Adds to the answer. */
void say(struct ctx *c, const char *fmt, ...) __printf_like(2, 3);
/* "0", a number, or errno's name when @rc is negative. */
void say_rc(struct ctx *c, long rc);
/* Bytes as text; long ones as length and checksum. */
void say_bytes(struct ctx *c, const void *p, size_t n);

/* Argument @i; a case that has none ends the program. */
const char *arg(const struct ctx *c, int i);
bool has(const struct ctx *c, int i);
int64_t num(const struct ctx *c, int i);
mode_t octal(const struct ctx *c, int i);
/* Words of argument @i, separated by commas, ored. "-": none. */
uint64_t words(const struct ctx *c, int i, const struct word *table);
/* The descriptor of the file numbered by argument @i; "-": AT_FDCWD. */
int file(const struct ctx *c, int i);
void file_set(struct ctx *c, int i, int fd);
__attribute__((noreturn)) void bad_case(const char *fmt, ...) __printf_like(1, 2);

/* Splits and decodes one operation and does it in this process; the answer is in @c. */
void run_op(struct ctx *c, const char *text);

/* Before the first case: a file beside the cases' directories tells how far time stamps are. */
void mark_prepare(const char *base);

/* Does "WHO>OP" (actor.c). */
bool actor_named(const char *text);
void actor_op(struct ctx *c, const char *text);
void actors_end(void);

#endif
