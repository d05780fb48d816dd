/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/self/mountinfo as rows (proc_pid_mountinfo(5)). Paths are any bytes but NUL, unescaped. */
#ifndef LIB_MOUNTINFO_H
#define LIB_MOUNTINFO_H

#include "lib/err.h"

struct mountinfo_row {
	uint64_t id, parent;
	uint64_t dev; /* of its file system, as makedev(3) has it */
	const char *root; /* of the file system, what is mounted */
	const char *at;   /* where */
	uint64_t flags;   /* MS_* of the mount, those a mount can have by itself */
	const char *type;
};

struct mountinfo {
	struct mountinfo_row *rows;
	size_t n;
	char *text; /* owner of the strings */
};

/* Takes over @text (heap). A line that is not as documented is passed over. -ENOMEM. */
int mountinfo_parse(struct mountinfo *m, char *text);
/* Of this process. */
int mountinfo_load(struct mountinfo *m, struct err *e);
/* @fd: the file, open; whole, from its beginning. */
int mountinfo_read(struct mountinfo *m, int fd, struct err *e);
void mountinfo_free(struct mountinfo *m);
/* NULL when there is none. */
const struct mountinfo_row *mountinfo_by_id(const struct mountinfo *m, uint64_t id);
/* Where @row is, seen from the folder @path: "sub/dir"; NULL when it is not below it. */
const char *mountinfo_below(const struct mountinfo_row *row, const char *path);

/* One that shows a kernel rather than files. @type: of a row. */
bool mountinfo_is_kernel_fs(const char *type);

#endif
