/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of nodes: identity to node, references, where a node was last seen.
 */
#include "vmm/fs/fs_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#define HASH_MIN 1024u

int fs_stat_name(int dirfd, const char *name, struct statx *st)
{
	if (statx(dirfd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, FS_STATX_MASK, st) < 0)
		return -errno;
	return 0;
}

int fs_stat_fd(int fd, struct statx *st)
{
	if (statx(fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, FS_STATX_MASK, st) < 0)
		return -errno;
	return 0;
}

void fs_ident_of(const struct statx *st, struct fs_ident *ret)
{
	bool btime = st->stx_mask & STATX_BTIME;

	*ret = (struct fs_ident){
		.mnt_id = st->stx_mask & STATX_MNT_ID ? st->stx_mnt_id : 0,
		.ino = st->stx_ino,
		.dev = (uint64_t)st->stx_dev_major << 32 | st->stx_dev_minor,
		.btime_s = btime ? (uint64_t)st->stx_btime.tv_sec : 0,
		.btime_ns = btime ? st->stx_btime.tv_nsec : 0,
	};
}

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ull;
	return h ^ h >> 29;
}

static uint32_t bucket(const struct fs_server *s, const struct fs_share *share,
		       const struct fs_ident *id)
{
	uint64_t h = mix(s->hash_seed, id->ino);

	h = mix(h, id->dev);
	h = mix(h, id->mnt_id);
	h = mix(h, (uintptr_t)share);
	return (uint32_t)(h >> 32) & (s->hash_size - 1);
}

static bool same_key(const struct fs_node *n, const struct fs_share *share,
		     const struct fs_ident *id)
{
	return n->id.ino == id->ino && n->id.dev == id->dev && n->id.mnt_id == id->mnt_id &&
	       n->share == share;
}

static void hash_grow(struct fs_server *s)
{
	uint32_t size = s->hash_size ? s->hash_size * 2 : HASH_MIN;
	struct fs_node **old = s->hash, **fresh = calloc(size, sizeof(*fresh));
	uint32_t n = s->hash_size;

	if (!fresh)
		return; /* longer chains, until memory is there */
	s->hash = fresh;
	s->hash_size = size;
	for (uint32_t i = 0; i < n; i++) {
		struct fs_node *next;

		for (struct fs_node *p = old[i]; p; p = next) {
			uint32_t b = bucket(s, p->share, &p->id);

			next = p->hash_next;
			p->hash_next = fresh[b];
			fresh[b] = p;
		}
	}
	free(old);
}

static void hash_add(struct fs_server *s, struct fs_node *n)
{
	uint32_t b = bucket(s, n->share, &n->id);

	n->hash_next = s->hash[b];
	s->hash[b] = n;
	n->hashed = true;
}

static void hash_del(struct fs_server *s, struct fs_node *n)
{
	struct fs_node **p;

	if (!n->hashed)
		return;
	for (p = &s->hash[bucket(s, n->share, &n->id)]; *p != n; p = &(*p)->hash_next)
		bug_on(!*p);
	*p = n->hash_next;
	n->hashed = false;
}

/* A number may be given to another file once nothing holds the first: an open descriptor proves
 * that it was not, and else type and birth time must agree. */
static bool same_file(struct fs_node *n, const struct fs_ident *id, uint32_t type)
{
	if (n->type != type)
		return false;
	if (n->fd < 0 && !n->overlay &&
	    (n->id.btime_s != id->btime_s || n->id.btime_ns != id->btime_ns))
		return false;
	n->id.btime_s = id->btime_s;
	n->id.btime_ns = id->btime_ns;
	return true;
}

static struct fs_node *find_locked(struct fs_server *s, struct fs_share *share,
				   const struct statx *st)
{
	struct fs_ident id;
	struct fs_node *n;

	fs_ident_of(st, &id);
	for (n = s->hash[bucket(s, share, &id)]; n; n = n->hash_next)
		if (same_key(n, share, &id))
			break;
	if (n && !same_file(n, &id, st->stx_mode & S_IFMT)) {
		hash_del(s, n); /* the file it was is gone; the guest's number for it goes stale */
		n = NULL;
	}
	return n;
}

struct fs_node *fs_node_find(struct fs_server *s, struct fs_share *share, const struct statx *st)
{
	struct fs_node *n;

	pthread_mutex_lock(&s->lock);
	n = find_locked(s, share, st);
	if (n)
		fs_node_ref_locked(n);
	pthread_mutex_unlock(&s->lock);
	return n;
}

uint64_t fs_node_id(const struct fs_node *n)
{
	if (!n->is_root)
		return fs_slot_id(n);
	return (uint64_t)n->share->serial << 32 | FS_ROOT_BIT | n->share->slot;
}

struct fs_node *fs_node_by_id(struct fs_server *s, uint64_t id)
{
	uint32_t slot = (uint32_t)id & ~FS_ROOT_BIT;
	struct fs_share *share;

	if (!fs_node_id_of_root(id))
		return fs_slots_get(&s->nodes, id);
	share = slot < FS_MAX_SHARES ? s->share[slot] : NULL;
	return share && share->serial == id >> 32 ? &share->root : NULL;
}

static void set_mount(struct fs_node *n, const struct fs_node *parent)
{
	n->cross = n->id.mnt_id != parent->id.mnt_id;
	if (!n->cross)
		n->overlay = parent->overlay;
}

bool fs_node_revive_locked(struct fs_server *s, struct fs_node *n, struct fs_node *parent,
			   const char *name, const struct statx *st)
{
	if (find_locked(s, parent->share, st))
		return false;
	n->share = parent->share;
	fs_ident_of(st, &n->id);
	set_mount(n, parent);
	fs_node_place_locked(s, n, parent, name);
	if (s->nodes.count > s->hash_size)
		hash_grow(s);
	hash_add(s, n);
	return true;
}

void fs_node_ref_locked(struct fs_node *n)
{
	n->refs++;
	bug_on(n->refs == 0);
}

/* Frees the node when nobody holds it, and then its parent, and so on: a loop, since the guest
 * decides how long the chain is. */
static void reap(struct fs_server *s, struct fs_node *n)
{
	while (n && n->refs == 0 && n->nlookup == 0) {
		struct fs_node *p = n->parent;

		bug_on(n->fd_users);
		hash_del(s, n);
		fs_node_fd_close_locked(s, n);
		fs_locks_free_locked(s, n);
		free(n->name);
		n->name = NULL;
		n->parent = NULL;
		fs_slots_free(&s->nodes, n);
		if (p) {
			bug_on(p->refs == 0);
			p->refs--;
		}
		n = p;
	}
}

void fs_node_put_locked(struct fs_server *s, struct fs_node *n)
{
	bug_on(n->refs == 0);
	n->refs--;
	reap(s, n);
}

void fs_node_put(struct fs_server *s, struct fs_node *n)
{
	if (!n)
		return;
	pthread_mutex_lock(&s->lock);
	fs_node_put_locked(s, n);
	pthread_mutex_unlock(&s->lock);
}

void fs_node_forget_locked(struct fs_server *s, struct fs_node *n, uint64_t count)
{
	n->nlookup = count < n->nlookup ? n->nlookup - count : 0;
	reap(s, n);
}

void fs_node_forget(struct fs_server *s, uint64_t nodeid, uint64_t count)
{
	struct fs_node *n;

	pthread_mutex_lock(&s->lock);
	n = fs_node_by_id(s, nodeid);
	if (n)
		fs_node_forget_locked(s, n, count);
	pthread_mutex_unlock(&s->lock);
}

bool fs_nodes_full(struct fs_server *s)
{
	bool full;

	pthread_mutex_lock(&s->lock);
	full = s->nodes.count >= s->cfg.max_nodes;
	pthread_mutex_unlock(&s->lock);
	return full;
}

static struct fs_node *make_locked(struct fs_server *s, struct fs_share *share,
				   const struct statx *st)
{
	struct fs_node *n = fs_slots_alloc(&s->nodes);

	if (!n)
		return NULL;
	n->share = share;
	n->fd = -1;
	n->type = st->stx_mode & S_IFMT;
	fs_ident_of(st, &n->id);
	if (s->nodes.count > s->hash_size)
		hash_grow(s);
	hash_add(s, n);
	return n;
}

int fs_node_enter(struct fs_server *s, struct fs_node *parent, const char *name,
		  const struct statx *st, bool lookup, struct fs_node **ret)
{
	struct fs_share *share = parent->share;
	struct fs_node *n;
	int rc = -ENFILE;

	pthread_mutex_lock(&s->lock);
	n = find_locked(s, share, st);
	if (!n)
		n = make_locked(s, share, st);
	if (n) {
		fs_node_ref_locked(n);
		if (name)
			fs_node_place_locked(s, n, parent, name);
		if (!n->is_root)
			set_mount(n, parent);
		if (lookup && n->nlookup < UINT64_MAX / 2)
			n->nlookup++;
		*ret = n;
		rc = 0;
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}

void fs_node_kill_locked(struct fs_server *s, struct fs_node *n)
{
	hash_del(s, n);
	fs_node_fd_close_locked(s, n);
	fs_locks_free_locked(s, n);
	n->share = NULL;
	fs_node_lose_name_locked(s, n);
}
