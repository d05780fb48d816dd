// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/common.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent-proto/agent/agent.h"
#include "agent-proto/agent/mounts.h"
#include "lib/cleanup.h"

struct common {
	struct common *next;
	char *words;
	char path[64]; /* where it is mounted */
	unsigned users;
};

static struct common *find(const struct common *list, const char *words)
{
	while (list && strcmp(list->words, words) != 0)
		list = list->next;
	return (struct common *)(uintptr_t)list;
}

int common_clone(const struct common *list, const char *words, struct err *e)
{
	const struct common *c = *words ? find(list, words) : NULL;
	_cleanup_close_ int fd = -1;
	int tree;

	if (!c)
		return -ENOENT;
	fd = open(c->path, O_PATH | O_CLOEXEC);
	tree = fd < 0 ? -errno : mount_clone(fd, false);
	return tree < 0 ? err_set(e, EIO, "%s: %s", c->path, strerror(-tree)) : tree;
}

/* Looking at a share makes it appear in the agent's own mount namespace; there it is moved from. */
static int open_share(const struct agent *a, const char *name, struct err *e)
{
	_cleanup_close_ int dir = open(a->cfg.shares_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = dir < 0 ? -1 : open_tree(dir, name, OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);

	return fd < 0 ? err_errno(e, errno, "share %s", name) : fd;
}

static int mount_at(const struct agent *a, const char *path, const Husk__Agent__V1__Mount *m, struct err *e)
{
	bool share = strcmp(m->type, "bind") == 0;
	_cleanup_close_ int tree = share ? open_share(a, m->source, e) : mount_new_fs("tmpfs", "tmpfs", m->data, 0, e);
	_cleanup_close_ int at = -1;
	int rc;

	if (tree < 0)
		return tree;
	if (mkdir(path, 0700) < 0)
		return err_errno(e, errno, "%s", path);
	at = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	rc = at < 0 ? -errno : mount_put(tree, at);
	if (rc < 0) {
		rmdir(path);
		return err_errno(e, -rc, "%s", path);
	}
	return 0;
}

static struct common *make(struct agent *a, const Husk__Agent__V1__Mount *m, struct err *e)
{
	struct common *c = calloc(1, sizeof(*c));

	if (c)
		c->words = strdup(m->common);
	if (!c || !c->words) {
		free(c);
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	snprintf(c->path, sizeof(c->path), "%s/%u", a->cfg.common_dir, a->common_made++);
	if (mount_at(a, c->path, m, e) < 0) {
		free(c->words);
		free(c);
		return NULL;
	}
	c->next = a->common;
	a->common = c;
	return c;
}

static int need_folder(struct agent *a, struct err *e)
{
	int rc = a->common_mounted || !a->cfg.mount_common ? 0 : a->cfg.mount_common(e);

	a->common_mounted = rc == 0;
	return rc;
}

int common_take(struct container *ct, const Husk__Agent__V1__Container *spec, struct err *e)
{
	struct agent *a = ct->agent;
	int rc = 0;

	/* A user namespace's mounts are copies that it may not take apart. */
	if (!a->cfg.common_dir || ct->ns_flags & CLONE_NEWUSER)
		return 0;
	for (size_t i = 0; rc == 0 && i < spec->n_mounts; i++) {
		const Husk__Agent__V1__Mount *m = spec->mounts[i];
		struct common *c;

		if (!*m->common)
			continue;
		if (!ct->common)
			ct->common = calloc(spec->n_mounts, sizeof(struct common *));
		if (!ct->common)
			return err_set(e, ENOMEM, "out of memory");
		rc = need_folder(a, e);
		if (rc < 0)
			return rc;
		c = find(a->common, m->common);
		if (!c)
			c = make(a, m, e);
		if (!c)
			return -EIO;
		c->users++;
		ct->common[ct->n_common++] = c;
	}
	return rc;
}

static void drop(struct agent *a, struct common *c)
{
	struct common **at = &a->common;

	if (--c->users)
		return;
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	umount2(c->path, MNT_DETACH | UMOUNT_NOFOLLOW);
	rmdir(c->path);
	free(c->words);
	free(c);
}

void common_write_back(const struct container *ct)
{
	for (size_t i = 0; i < ct->n_common; i++) {
		_cleanup_close_ int fd = ct->common[i]->users > 1 ? -1 : open(ct->common[i]->path, O_RDONLY | O_CLOEXEC);

		if (fd >= 0)
			syncfs(fd);
	}
}

void common_leave(struct container *ct)
{
	while (ct->n_common)
		drop(ct->agent, ct->common[--ct->n_common]);
	free(ct->common);
	ct->common = NULL;
}
