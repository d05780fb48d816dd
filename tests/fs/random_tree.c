// SPDX-License-Identifier: Apache-2.0
/*
 * A directory tree in text, so that two can be compared.
 */
#include "tests/fs/random.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define EXPLICIT_BEFORE 1000000000 /* times that a step set: those of the clock are later */

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static uint32_t contents(const char *path)
{
	static char buf[1 << 20];
	int fd = open(path, O_RDONLY | O_NOFOLLOW);
	uint32_t sum = 0;
	ssize_t n;

	while (fd >= 0 && (n = read(fd, buf, sizeof(buf))) > 0)
		sum = sum * 31 + sum_of(buf, (size_t)n);
	if (fd >= 0)
		close(fd);
	return sum;
}

static void attributes(FILE *out, const char *path)
{
	const char *name[64];
	char list[4096], value[256];
	ssize_t n = llistxattr(path, list, sizeof(list)), len;
	size_t count = 0;

	for (char *p = list; n > 0 && p < list + n && count < ARRAY_SIZE(name); p += strlen(p) + 1)
		name[count++] = p;
	qsort(name, count, sizeof(name[0]), by_text);
	for (size_t i = 0; i < count; i++) {
		if (strncmp(name[i], "user.", 5) != 0 || !strncmp(name[i], "user.husk.", 10))
			continue;
		len = lgetxattr(path, name[i], value, sizeof(value));
		fprintf(out, " %s=%08x", name[i], len < 0 ? 0 : sum_of(value, (size_t)len));
	}
}

static void one(FILE *out, const char *path)
{
	char target[256];
	struct stat st;
	ssize_t n;

	if (lstat(path, &st) < 0) {
		fprintf(out, "%s is gone\n", path);
		return;
	}
	fprintf(out, "%s %o n%lu %u:%u", path, st.st_mode, (unsigned long)st.st_nlink, st.st_uid,
		st.st_gid);
	if (st.st_mtim.tv_sec < EXPLICIT_BEFORE)
		fprintf(out, " m%lld.%ld", (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	if (S_ISREG(st.st_mode))
		fprintf(out, " s%lld %08x", (long long)st.st_size, contents(path));
	if (S_ISLNK(st.st_mode)) {
		n = readlink(path, target, sizeof(target) - 1);
		fprintf(out, " -> %.*s", (int)max_t(ssize_t, n, 0), target);
	}
	attributes(out, path);
	fputc('\n', out);
}

static void below(FILE *out, const char *dir)
{
	struct dirent **list;
	int n = scandir(dir, &list, NULL, by_name);
	char path[1024];

	for (int i = 0; i < n; i++) {
		const char *name = list[i]->d_name;

		if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
			snprintf(path, sizeof(path), "%.700s/%s", dir, name);
			one(out, path);
			if (list[i]->d_type == DT_DIR)
				below(out, path);
		}
		free(list[i]);
	}
	if (n >= 0)
		free(list);
}

void tree_print(FILE *out)
{
	one(out, ".");
	below(out, ".");
}
