// SPDX-License-Identifier: Apache-2.0
#include "lib/mountinfo.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/io.h"

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif
#define MAX_TEXT (64u << 20) /* 100,000 mounts and long paths */

static const struct {
	const char *word;
	uint64_t flag;
} flags[] = {
	{ "ro", MS_RDONLY },		{ "nosuid", MS_NOSUID },	 { "nodev", MS_NODEV },
	{ "noexec", MS_NOEXEC },	{ "noatime", MS_NOATIME },	 { "nodiratime", MS_NODIRATIME },
	{ "relatime", MS_RELATIME }, { "nosymfollow", MS_NOSYMFOLLOW },
};

/* "\040" and its like, three octal digits, in place. */
static void unescape(char *s)
{
	char *to = s;

	while (*s) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
		    s[3] >= '0' && s[3] <= '7') {
			char c = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));

			if (c) {
				*to++ = c;
				s += 4;
				continue;
			}
		}
		*to++ = *s++;
	}
	*to = 0;
}

static uint64_t parse_flags(char *words)
{
	uint64_t all = 0;
	char *word;

	while ((word = strsep(&words, ",")))
		for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
			if (strcmp(word, flags[i].word) == 0)
				all |= flags[i].flag;
	return all;
}

/* ID PARENT MAJ:MIN ROOT AT OPTIONS [TAG…] - TYPE SOURCE SUPER */
static bool parse_line(char *line, struct mountinfo_row *row)
{
	char *field[6], *type;
	unsigned major, minor;
	int end = 0;

	for (unsigned i = 0; i < 6; i++) {
		field[i] = strsep(&line, " ");
		if (!field[i] || !line)
			return false;
	}
	if (sscanf(field[0], "%" SCNu64 "%n", &row->id, &end) != 1 || field[0][end] ||
	    sscanf(field[1], "%" SCNu64 "%n", &row->parent, &end) != 1 || field[1][end] ||
	    sscanf(field[2], "%u:%u%n", &major, &minor, &end) != 2 || field[2][end] || field[4][0] != '/')
		return false;
	do
		type = strsep(&line, " ");
	while (type && strcmp(type, "-") != 0);
	type = strsep(&line, " ");
	if (!type || !*type)
		return false;
	unescape(field[3]);
	unescape(field[4]);
	row->dev = makedev(major, minor);
	row->root = field[3];
	row->at = field[4];
	row->flags = parse_flags(field[5]);
	row->type = type;
	return true;
}

int mountinfo_parse(struct mountinfo *m, char *text)
{
	size_t lines = 1;
	char *rest = text, *line;

	for (const char *p = text; (p = strchr(p, '\n')); p++)
		lines++;
	*m = (struct mountinfo){ .text = text };
	m->rows = calloc(lines, sizeof(*m->rows));
	if (!m->rows) {
		mountinfo_free(m);
		return -ENOMEM;
	}
	while ((line = strsep(&rest, "\n")))
		m->n += parse_line(line, &m->rows[m->n]);
	return 0;
}

int mountinfo_load(struct mountinfo *m, struct err *e)
{
	char *text;
	int rc = io_read_file(AT_FDCWD, "/proc/self/mountinfo", MAX_TEXT, &text, NULL);

	if (rc == 0)
		rc = mountinfo_parse(m, text);
	return rc < 0 ? err_errno(e, -rc, "/proc/self/mountinfo") : 0;
}

int mountinfo_read(struct mountinfo *m, int fd, struct err *e)
{
	struct buf all = BUF_INIT(MAX_TEXT);
	char part[4096];
	ssize_t n = lseek(fd, 0, SEEK_SET);
	int rc = 0;

	while (n >= 0 && rc == 0 && (n = read(fd, part, sizeof(part))) > 0)
		rc = buf_append(&all, part, (size_t)n);
	if (n < 0)
		rc = -errno;
	if (rc == 0)
		rc = buf_append(&all, "", 1);
	if (rc < 0) {
		buf_free(&all);
		return err_errno(e, -rc, "mountinfo");
	}
	rc = mountinfo_parse(m, (char *)all.data);
	return rc < 0 ? err_errno(e, -rc, "mountinfo") : 0;
}

void mountinfo_free(struct mountinfo *m)
{
	free(m->rows);
	free(m->text);
	*m = (struct mountinfo){ .n = 0 };
}

const struct mountinfo_row *mountinfo_by_id(const struct mountinfo *m, uint64_t id)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->rows[i].id == id)
			return &m->rows[i];
	return NULL;
}

const char *mountinfo_below(const struct mountinfo_row *row, const char *path)
{
	size_t len = strlen(path);

	if (len && path[len - 1] == '/')
		len--;
	if (strncmp(row->at, path, len) != 0 || row->at[len] != '/' || !row->at[len + 1])
		return NULL;
	return row->at + len + 1;
}

bool mountinfo_is_kernel_fs(const char *type)
{
	static const char *const names[] = { "proc", "sysfs", "cgroup", "cgroup2", "devpts", "devtmpfs", "mqueue",
					     "bpf", "debugfs", "tracefs", "securityfs", "hugetlbfs", "nsfs",
					     "efivarfs", "pstore", "binfmt_misc", "configfs", "fusectl", "autofs" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(type, names[i]) == 0)
			return true;
	return false;
}
