// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/resolve.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"

#define MAX_LINKS 40 /* as the kernel's own */

int resolve_open(int root, const char *path, uint64_t flags, bool nofollow)
{
	struct open_how how = { .flags = flags | O_CLOEXEC,
				.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
	long fd;

	if (nofollow)
		how.resolve |= RESOLVE_NO_SYMLINKS;
	/* IN_ROOT gives EAGAIN when something was renamed during a "..". */
	for (int i = 0; i < 32; i++) {
		fd = syscall(SYS_openat2, root, *path ? path : ".", &how, sizeof(how));
		if (fd >= 0)
			return (int)fd;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
	}
	return -EAGAIN;
}

/* A walk: @done has been resolved and holds no link, @rest is still to do. */
struct walk {
	int root;
	enum resolve_kind kind;
	unsigned links;
	char done[PATH_MAX];
	char rest[PATH_MAX];
};

static void drop_last(char *path)
{
	char *slash = strrchr(path, '/');

	*(slash ? slash : path) = 0;
}

/* The next component of @rest into @name; 0 when there is none. */
static int next_component(struct walk *w, char name[NAME_MAX + 1])
{
	char *p = w->rest + strspn(w->rest, "/");
	size_t len = strcspn(p, "/");

	if (len > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(name, p, len);
	name[len] = 0;
	p += len;
	memmove(w->rest, p, strlen(p) + 1);
	return len > 0;
}

static bool at_end(const struct walk *w)
{
	return w->rest[strspn(w->rest, "/")] == 0;
}

static int push(struct walk *w, const char *name)
{
	size_t len = strlen(w->done);

	if ((size_t)snprintf(w->done + len, sizeof(w->done) - len, "%s%s", len ? "/" : "", name) >=
	    sizeof(w->done) - len)
		return -ENAMETOOLONG;
	return 0;
}

static int follow(struct walk *w, int parent, const char *name)
{
	char target[PATH_MAX], rest[PATH_MAX];
	ssize_t n = readlinkat(parent, name, target, sizeof(target) - 1);

	if (n < 0)
		return -errno;
	if (++w->links > MAX_LINKS)
		return -ELOOP;
	target[n] = 0;
	memcpy(rest, w->rest, strlen(w->rest) + 1);
	if ((size_t)snprintf(w->rest, sizeof(w->rest), "%s/%s", target, rest) >= sizeof(w->rest))
		return -ENAMETOOLONG;
	if (target[0] == '/')
		w->done[0] = 0;
	return 0;
}

static int make(const struct walk *w, int parent, const char *name)
{
	_cleanup_close_ int fd = -1;

	if (!at_end(w) || w->kind == RESOLVE_DIR)
		return mkdirat(parent, name, 0755) < 0 && errno != EEXIST ? -errno : 0;
	fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0755);
	return fd < 0 && errno != EEXIST ? -errno : 0;
}

static int step(struct walk *w, const char *name)
{
	_cleanup_close_ int parent = -1;
	struct stat st;
	int rc;

	if (strcmp(name, ".") == 0)
		return 0;
	if (strcmp(name, "..") == 0) {
		drop_last(w->done);
		return 0;
	}
	parent = resolve_open(w->root, w->done, O_PATH | O_DIRECTORY, true);
	if (parent < 0)
		return parent;
	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		if (S_ISLNK(st.st_mode))
			return follow(w, parent, name);
		return push(w, name);
	}
	if (errno != ENOENT)
		return -errno;
	rc = make(w, parent, name);
	return rc < 0 ? rc : push(w, name);
}

static int walk(struct walk *w)
{
	char name[NAME_MAX + 1];
	int rc;

	while ((rc = next_component(w, name)) > 0) {
		rc = step(w, name);
		if (rc < 0)
			return rc;
	}
	if (rc < 0)
		return rc;
	return resolve_open(w->root, w->done, O_PATH, true);
}

int resolve_make(int root, const char *path, enum resolve_kind kind, int *ret_fd, struct err *e)
{
	struct walk w = { .root = root, .kind = kind };
	int fd = resolve_open(root, path, O_PATH, false);

	if (fd == -ENOENT) {
		if (strlen(path) >= sizeof(w.rest))
			return err_set(e, ENAMETOOLONG, "%.64s…: path is too long", path);
		memcpy(w.rest, path, strlen(path) + 1);
		fd = walk(&w);
	}
	if (fd < 0)
		return err_errno(e, -fd, "%s", path);
	*ret_fd = fd;
	return 0;
}

int resolve_parent(int root, const char *path, int *ret_fd, const char **ret_name, struct err *e)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	char dir[PATH_MAX];
	size_t len = (size_t)(name - path);

	if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || len >= sizeof(dir))
		return err_set(e, EINVAL, "%s: no name of a file", path);
	memcpy(dir, path, len);
	dir[len] = 0;
	*ret_name = name;
	return resolve_make(root, len ? dir : "/", RESOLVE_DIR, ret_fd, e);
}
