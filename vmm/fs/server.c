/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's life and its shares.
 */
#include "vmm/fs/fs_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/vfs.h>
#include <unistd.h>

#define HASH_FIRST 1024u

int fs_server_new(struct fs_server **ret, const struct fs_server_cfg *cfg, struct err *e)
{
	struct fs_server *s;

	if (!cfg->max_nodes || !cfg->max_handles || !cfg->max_fds || cfg->max_nodes > 1u << 28 ||
	    cfg->max_handles > 1u << 24)
		return err_set(e, EINVAL, "file server: limits out of range");
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(e, ENOMEM, "file server: no memory");
	s->cfg = *cfg;
	s->proc_fd = cfg->proc_fd;
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->posix_lock, NULL);
	pthread_cond_init(&s->idle, NULL);
	s->hash_size = HASH_FIRST;
	s->hash = calloc(HASH_FIRST, sizeof(*s->hash));
	if (!s->hash || fs_slots_init(&s->nodes, sizeof(struct fs_node), cfg->max_nodes) < 0 ||
	    fs_slots_init(&s->handles, sizeof(struct fs_handle), cfg->max_handles) < 0) {
		s->proc_fd = -1; /* still the caller's */
		fs_server_free(s);
		return err_set(e, ENOMEM, "file server: no memory");
	}
	if (getrandom(&s->hash_seed, sizeof(s->hash_seed), GRND_NONBLOCK) < 0)
		s->hash_seed = (uintptr_t)s;
	if (s->proc_fd < 0)
		s->proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (s->proc_fd < 0) {
		int rc = err_errno(e, errno, "file server: /proc/self/fd");

		fs_server_free(s);
		return rc;
	}
	/* Modes come from the guest complete; cred.c applies the caller's umask. */
	umask(0);
	*ret = s;
	return 0;
}

bool fs_share_has_name(const struct fs_share *share, const char *name)
{
	bool has = !strcmp(share->name, name);

	for (unsigned i = 0; !has && i < share->n_also; i++)
		has = !strcmp(share->also[i], name);
	return has;
}

static struct fs_share *share_find(struct fs_server *s, const char *name, unsigned *ret_slot)
{
	for (unsigned i = 0; i < FS_MAX_SHARES; i++) {
		if (s->share[i] && !s->share[i]->dying && fs_share_has_name(s->share[i], name)) {
			if (ret_slot)
				*ret_slot = i;
			return s->share[i];
		}
	}
	return NULL;
}

static bool name_ok(const char *name)
{
	size_t n = strnlen(name, FS_SHARE_NAME);

	return n > 0 && n < FS_SHARE_NAME && !strchr(name, '/') && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0;
}

uint32_t fs_share_serial(struct fs_server *s)
{
	if (++s->serial == 0)
		s->serial = 1;
	return s->serial;
}

/* The share and its root node; the table lock is held. */
static int add_locked(struct fs_server *s, struct fs_share *share, const struct statx *st, int fd)
{
	struct fs_node *n = &share->root;
	unsigned slot = 0;

	if (share_find(s, share->name, NULL))
		return -EEXIST;
	while (slot < FS_MAX_SHARES && s->share[slot])
		slot++;
	if (slot == FS_MAX_SHARES)
		return -ENOSPC;
	share->slot = slot;
	share->serial = fs_share_serial(s);
	n->share = share;
	n->type = st->stx_mode & S_IFMT;
	fs_ident_of(st, &n->id);
	n->is_root = true;
	n->cross = true;
	n->refs = 1;
	n->fd = fd;
	s->share[slot] = share;
	return 0;
}

static bool is_same(const struct fs_share *share, const struct fs_share *other, const struct statx *st)
{
	struct fs_ident id;

	fs_ident_of(st, &id);
	return share && !share->dying && share->common == other->common && share->flags == other->flags &&
	       share->root.id.dev == id.dev && share->root.id.ino == id.ino && share->root.type == (st->stx_mode & S_IFMT);
}

/* The table lock is held. 1: @share, which is the caller's still, is another name of one that is there. */
static int join_locked(struct fs_server *s, const struct fs_share *share, const struct statx *st)
{
	unsigned i = 0;
	void *also;

	if (!share->common)
		return 0;
	while (i < FS_MAX_SHARES && !is_same(s->share[i], share, st))
		i++;
	if (i == FS_MAX_SHARES)
		return 0;
	if (share_find(s, share->name, NULL))
		return -EEXIST;
	if (s->share[i]->n_also == FS_MAX_SHARES)
		return -ENOSPC;
	also = realloc(s->share[i]->also, (s->share[i]->n_also + 1) * sizeof(*share->also));
	if (!also)
		return -ENOMEM;
	s->share[i]->also = also;
	strcpy(s->share[i]->also[s->share[i]->n_also++], share->name);
	return 1;
}

/* One of several names. The table lock is held. */
static void drop_name(struct fs_share *share, const char *name)
{
	unsigned i = 0, last = share->n_also - 1;

	if (strcmp(share->name, name) == 0) {
		strcpy(share->name, share->also[last]);
	} else {
		while (strcmp(share->also[i], name) != 0)
			i++;
		memmove(share->also[i], share->also[last], FS_SHARE_NAME);
	}
	share->n_also--;
}

static void share_free(struct fs_share *share)
{
	pthread_rwlock_destroy(&share->names);
	free(share->also);
	free(share);
}

int fs_share_add(struct fs_server *s, const char *name, int fd, unsigned flags, struct err *e)
{
	return fs_share_add_common(s, name, fd, flags, 0, e);
}

int fs_share_add_common(struct fs_server *s, const char *name, int fd, unsigned flags, uint32_t common, struct err *e)
{
	struct fs_share *share;
	struct statfs sfs;
	struct statx st;
	bool joined;
	int rc;

	if (!name_ok(name))
		return err_set(e, EINVAL, "share name '%.64s' is not a file name", name);
	rc = fs_stat_fd(fd, &st);
	if (rc < 0 || fstatfs(fd, &sfs) < 0)
		return err_errno(e, rc < 0 ? -rc : errno, "share '%s'", name);
	if (S_ISLNK(st.stx_mode))
		return err_set(e, EINVAL, "share '%s' is a symbolic link", name);
	if (!S_ISDIR(st.stx_mode) != !!(flags & FS_SHARE_FILE))
		return err_set(e, EINVAL, "share '%s' is %sa directory", name,
			       S_ISDIR(st.stx_mode) ? "" : "not ");
	share = calloc(1, sizeof(*share));
	if (!share)
		return err_set(e, ENOMEM, "share '%s': no memory", name);
	strcpy(share->name, name);
	share->flags = flags;
	share->common = common;
	pthread_rwlock_init(&share->names, NULL);
	share->root.overlay = fs_is_overlay(&sfs);

	pthread_mutex_lock(&s->lock);
	rc = join_locked(s, share, &st);
	joined = rc > 0;
	if (rc == 0)
		rc = add_locked(s, share, &st, fd);
	pthread_mutex_unlock(&s->lock);
	if (joined)
		close(fd);
	if (joined || rc < 0)
		share_free(share);
	return rc < 0 ? err_errno(e, -rc, "share '%s'", name) : 0;
}

/* Everything below @share; the table lock is held and no request works there. */
static void kill_locked(struct fs_server *s, struct fs_share *share)
{
	for (uint32_t i = 0; i < s->handles.made; i++) {
		struct fs_handle *h = fs_slots_at(&s->handles, i);

		if (h && h->node->share == share)
			fs_handle_close_locked(s, h);
	}
	for (uint32_t i = 0; i < s->nodes.made; i++) {
		struct fs_node *n = fs_slots_at(&s->nodes, i);

		if (n && n->share == share)
			fs_node_kill_locked(s, n);
	}
	fs_node_kill_locked(s, &share->root);
	bug_on(share->root.refs != 1); /* what was below it is gone, and no request works there */
}

int fs_share_remove(struct fs_server *s, const char *name, struct err *e)
{
	struct fs_share *share;
	unsigned slot;

	pthread_mutex_lock(&s->lock);
	share = share_find(s, name, &slot);
	if (!share) {
		pthread_mutex_unlock(&s->lock);
		return err_set(e, ENOENT, "share '%.64s' does not exist", name);
	}
	if (share->n_also) {
		drop_name(share, name);
		pthread_mutex_unlock(&s->lock);
		return 0;
	}
	share->dying = true;
	while (share->users)
		pthread_cond_wait(&s->idle, &s->lock);
	kill_locked(s, share);
	s->share[slot] = NULL;
	pthread_mutex_unlock(&s->lock);
	share_free(share);
	return 0;
}

void fs_server_drop(struct fs_server *s)
{
	pthread_mutex_lock(&s->lock);
	for (uint32_t i = 0; i < s->handles.made; i++) {
		struct fs_handle *h = fs_slots_at(&s->handles, i);

		if (h)
			fs_handle_close_locked(s, h);
	}
	for (uint32_t i = 0; i < s->nodes.made; i++) {
		struct fs_node *n = fs_slots_at(&s->nodes, i);

		if (n)
			fs_node_forget_locked(s, n, UINT64_MAX);
	}
	for (unsigned i = 0; i < FS_MAX_SHARES; i++)
		if (s->share[i])
			s->share[i]->root.nlookup = 0;
	s->session = 0;
	pthread_mutex_unlock(&s->lock);
	pthread_mutex_lock(&s->posix_lock);
	memset(s->waits, 0, sizeof(s->waits));
	pthread_mutex_unlock(&s->posix_lock);
}

void fs_server_reset(struct fs_server *s)
{
	fs_server_drop(s);
}

bool fs_server_idle(struct fs_server *s)
{
	bool idle;

	pthread_mutex_lock(&s->lock);
	idle = s->handles.count == 0 && s->nodes.count == 0;
	for (unsigned i = 0; i < FS_MAX_SHARES; i++)
		if (s->share[i])
			idle = idle && s->share[i]->root.nlookup == 0;
	pthread_mutex_unlock(&s->lock);
	return idle;
}

unsigned fs_server_session(const struct fs_server *s)
{
	return s->session;
}

void fs_server_set_session(struct fs_server *s, unsigned session)
{
	s->session = session;
}

void fs_server_free(struct fs_server *s)
{
	if (!s)
		return;
	fs_server_drop(s);
	for (unsigned i = 0; i < FS_MAX_SHARES; i++)
		while (s->share[i])
			fs_share_remove(s, s->share[i]->name, NULL);
	fs_slots_done(&s->nodes);
	fs_slots_done(&s->handles);
	free(s->hash);
	if (s->proc_fd >= 0)
		close(s->proc_fd);
	pthread_cond_destroy(&s->idle);
	pthread_mutex_destroy(&s->posix_lock);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
