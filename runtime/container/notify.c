// SPDX-License-Identifier: Apache-2.0
#include "runtime/container/notify.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"

#define NAME "NOTIFY_SOCKET="

/* The last one counts, as it does for the process. NULL: none that is a path. */
static const char *named(const struct oci_spec *s)
{
	const char *path = NULL;

	for (size_t i = 0; i < s->process.env.n; i++)
		if (strncmp(s->process.env.v[i], NAME, strlen(NAME)) == 0)
			path = s->process.env.v[i] + strlen(NAME);
	return path && *path == '/' ? path : NULL;
}

/* What of @path lies below @m; NULL: it does not. */
static const char *below(const struct oci_mount *m, const char *path)
{
	size_t len = strlen(m->destination);

	while (len > 1 && m->destination[len - 1] == '/')
		len--;
	if (len == 1)
		return path + 1;
	if (strncmp(path, m->destination, len) != 0 || (path[len] && path[len] != '/'))
		return NULL;
	return path + len + (path[len] == '/');
}

static int open_socket(int bundle, const char *source, const char *rest)
{
	_cleanup_close_ int dir = openat(bundle, source, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct open_how how = { .flags = O_PATH | O_NOFOLLOW | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
	_cleanup_close_ int fd = dir < 0 ? -1 : (int)syscall(SYS_openat2, dir, rest, &how, sizeof(how));
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISSOCK(st.st_mode))
		return -1;
	return steal_fd(&fd);
}

int notify_add(struct notify *n, struct oci_spec *s, int bundle, struct err *e)
{
	const char *path = named(s), *rest = NULL;
	const struct oci_mount *m = NULL;

	/* The last mount above it is what the process sees. */
	for (size_t i = 0; path && i < s->n_mounts; i++)
		if (below(&s->mounts[i], path)) {
			m = &s->mounts[i];
			rest = below(m, path);
		}
	if (!m || !m->bind || !*rest)
		return 0;
	n->fd = open_socket(bundle, m->source, rest);
	if (n->fd < 0)
		return 0;
	n->rows = calloc(s->n_mounts + 1, sizeof(*n->rows));
	if (!n->rows)
		return err_set(e, ENOMEM, "out of memory");
	memcpy(n->rows, s->mounts, s->n_mounts * sizeof(*n->rows));
	/* By its descriptor: the one that was looked at, whatever is there by then. */
	snprintf(n->source, sizeof(n->source), "/proc/self/fd/%d", n->fd);
	n->rows[s->n_mounts] = (struct oci_mount){ .destination = path,
						   .type = "bind",
						   .source = n->source,
						   .bind = true,
						   .flags = m->flags,
						   .flags_clear = m->flags_clear,
						   .data = "" };
	s->mounts = n->rows;
	s->n_mounts++;
	return 0;
}

void notify_done(struct notify *n)
{
	close_and_reset(&n->fd);
	free(n->rows);
	n->rows = NULL;
}
