/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking saved state up again. Everything in it is hostile: numbers, names and counts are checked as
 * a guest's are, and files are found as always, by names that cannot leave their directory. What is
 * not the file that it was is stale, as after a removal by the host; an open file that is not is an
 * error, since nothing could be done with it.
 */
#include "vmm/fs/state.h"

#include <stdlib.h>
#include <sys/vfs.h>
#include <unistd.h>

struct reader {
	const uint8_t *p;
	size_t left;
	bool bad;
};

static uint64_t get(struct reader *r, unsigned bytes)
{
	uint64_t v = 0;

	if (r->left < bytes) {
		r->bad = true;
		return 0;
	}
	for (unsigned i = 0; i < bytes; i++)
		v |= (uint64_t)r->p[i] << (8 * i);
	r->p += bytes;
	r->left -= bytes;
	return v;
}

/* A name, or an empty one. */
static void get_name(struct reader *r, char ret[NAME_MAX + 1])
{
	size_t n = get(r, 1);

	ret[0] = '\0';
	if (r->left < n) {
		r->bad = true;
		return;
	}
	memcpy(ret, r->p, n);
	ret[n] = '\0';
	if (strlen(ret) != n || (n && !fs_name_ok(ret, n)))
		r->bad = true;
	r->p += n;
	r->left -= n;
}

struct head {
	uint32_t node_gen, handle_gen, nodes, handles;
	unsigned shares;
};

struct record {
	uint64_t id, parent, nlookup;
	struct fs_ident ident;
	uint32_t type;
	char name[NAME_MAX + 1];
};

static void get_file(struct reader *r, struct record *rec)
{
	rec->nlookup = get(r, 8);
	rec->ident.ino = get(r, 8);
	rec->ident.btime_s = get(r, 8);
	rec->ident.btime_ns = (uint32_t)get(r, 4);
	rec->type = (uint32_t)get(r, 2) << 12;
	switch (rec->type) {
	case S_IFREG:
	case S_IFDIR:
	case S_IFLNK:
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		break;
	default:
		r->bad = true;
	}
	if (rec->nlookup > UINT64_MAX / 2)
		r->bad = true;
}

/* The device's number may differ: overlays and tmpfs get theirs by chance. */
static bool same(const struct record *rec, bool overlay, const struct statx *st)
{
	struct fs_ident id;

	fs_ident_of(st, &id);
	return rec->type == (st->stx_mode & S_IFMT) && rec->ident.ino == id.ino &&
	       (overlay ||
		(rec->ident.btime_s == id.btime_s && rec->ident.btime_ns == id.btime_ns));
}

static int malformed(const struct reader *r, const char *what, struct err *e)
{
	return err_set(e, EBADMSG,
		       "file server: state of a %s is malformed, %zu bytes before its end", what,
		       r->left);
}

/* --- shares --------------------------------------------------------------------------- */
/* Puts the share of that name into @slot, in exchange for what was there. */
static struct fs_share *move_share(struct fs_server *s, const char *name, unsigned slot)
{
	for (unsigned i = 0; i < FS_MAX_SHARES; i++) {
		struct fs_share *share = s->share[i];

		if (!share || share->dying || strcmp(share->name, name) != 0)
			continue;
		s->share[i] = s->share[slot];
		if (s->share[i])
			s->share[i]->slot = i;
		s->share[slot] = share;
		share->slot = slot;
		return share;
	}
	return NULL;
}

static int load_share(struct fs_server *s, struct reader *r, long *last, struct err *e)
{
	unsigned slot = (unsigned)get(r, 1);
	uint32_t serial = (uint32_t)get(r, 4);
	struct fs_share *share;
	struct record rec = { 0 };
	struct statx st;
	int rc;

	get_file(r, &rec);
	get_name(r, rec.name);
	if (r->bad || !rec.name[0] || (long)slot <= *last)
		return malformed(r, "share", e);
	*last = slot;
	pthread_mutex_lock(&s->lock);
	share = move_share(s, rec.name, slot);
	if (share) {
		share->serial = serial;
		share->root.nlookup = rec.nlookup;
		if (s->serial < serial)
			s->serial = serial;
	}
	pthread_mutex_unlock(&s->lock);
	if (!share)
		return err_set(e, ENOENT, "the guest has share '%s', which is not there", rec.name);
	rc = fs_stat_fd(share->root.fd, &st);
	if (rc < 0)
		return err_errno(e, -rc, "share '%s'", rec.name);
	if (!same(&rec, share->root.overlay, &st))
		return err_set(e, ESTALE, "share '%s' is not the %s that it was", rec.name,
			       rec.type == S_IFDIR ? "directory" : "file");
	rc = fs_special_maybe(&st) ? fs_special_show(s, share->root.fd, &st) : 0;
	share->root.special = rc > 0;
	return rc < 0 ? err_errno(e, -rc, "share '%s'", rec.name) : 0;
}

/* Shares that the state does not know get numbers that it does not use. */
static void renumber(struct fs_server *s, const bool known[FS_MAX_SHARES])
{
	for (unsigned i = 0; i < FS_MAX_SHARES; i++)
		if (s->share[i] && !known[i])
			s->share[i]->serial = fs_share_serial(s);
}

static int load_shares(struct fs_server *s, struct reader *r, unsigned count, struct err *e)
{
	bool known[FS_MAX_SHARES] = { false };
	long last = -1;
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < count; i++) {
		rc = load_share(s, r, &last, e);
		if (rc == 0)
			known[last] = true;
	}
	renumber(s, known);
	return rc;
}

/* --- nodes ---------------------------------------------------------------------------- */
/* @st is of @name in @parent, whose descriptor is @dirfd. */
static bool on_overlay(struct fs_server *s, const struct fs_node *parent, int dirfd, const char *name, const struct statx *st)
{
	struct fs_ident id;
	struct statfs sfs;
	bool is = false;
	int fd;

	fs_ident_of(st, &id);
	if (id.mnt_id == parent->id.mnt_id)
		return parent->overlay;
	fd = fs_open_beneath(s, dirfd, name, O_PATH, 0, true);
	if (fd >= 0) {
		is = fstatfs(fd, &sfs) == 0 && fs_is_overlay(&sfs);
		close(fd);
	}
	return is;
}

/* The file that @rec was, in @parent. False: it is not there any more. */
static bool find(struct fs_server *s, struct fs_node *parent, const struct record *rec,
		 struct statx *st, bool *ret_special)
{
	struct statx shown;
	bool there;
	int fd = fs_node_fd(s, parent);

	if (fd < 0)
		return false;
	there = fs_stat_shown(s, fd, rec->name, st, &shown) == 0 &&
		same(rec, on_overlay(s, parent, fd, rec->name, st), st);
	fs_node_fd_put(s, parent);
	*ret_special = there && S_ISREG(st->stx_mode) && !S_ISREG(shown.stx_mode);
	return there;
}

static int load_node(struct fs_server *s, struct reader *r, struct err *e)
{
	struct fs_node *parent = NULL, *n;
	struct record rec = { .id = get(r, 8), .parent = get(r, 8) };
	bool special = false, there;
	struct statx st;

	get_file(r, &rec);
	get_name(r, rec.name);
	if (r->bad || !rec.parent != !rec.name[0])
		return malformed(r, "node", e);
	pthread_mutex_lock(&s->lock);
	if (rec.parent)
		parent = fs_node_by_id(s, rec.parent);
	pthread_mutex_unlock(&s->lock);
	if (rec.parent && (!parent || parent->type != S_IFDIR))
		return malformed(r, "node", e);
	there = parent && parent->share && find(s, parent, &rec, &st, &special);
	pthread_mutex_lock(&s->lock);
	n = fs_slots_restore(&s->nodes, rec.id);
	if (n) {
		n->fd = -1;
		n->type = rec.type;
		n->nlookup = rec.nlookup;
		n->special = special;
		n->id = rec.ident;
		fs_node_ref_locked(n); /* let_go() */
		if (there && !fs_node_revive_locked(s, n, parent, rec.name, &st))
			n = NULL; /* two nodes are one file */
	}
	pthread_mutex_unlock(&s->lock);
	return n ? 0 : malformed(r, "node", e);
}

/* --- handles -------------------------------------------------------------------------- */
static int load_handle(struct fs_server *s, struct reader *r, struct err *e)
{
	uint64_t id = get(r, 8), node = get(r, 8);
	uint32_t flags = (uint32_t)get(r, 4);
	unsigned dir = (unsigned)get(r, 1);
	char where[FS_WHERE_MAX];
	struct fs_node *n;
	int how, fd, rc;

	pthread_mutex_lock(&s->lock);
	n = fs_node_by_id(s, node);
	pthread_mutex_unlock(&s->lock);
	if (r->bad || !n || dir > 1 || (flags & ~FS_STATE_FLAGS) ||
	    (n->type == S_IFDIR) != (dir == 1))
		return malformed(r, "handle", e);
	if (!n->share)
		return err_set(e, ESTALE,
			       "inode %llu, which the guest has open, is not where it was",
			       (unsigned long long)n->id.ino);
	if ((n->share->flags & FS_SHARE_READONLY) && (flags & O_ACCMODE) != O_RDONLY)
		return malformed(r, "handle", e);
	how = (int)flags | (dir ? O_DIRECTORY : 0);
	fd = n->special ? -ENXIO : fs_node_open_as(s, n, &how);
	if (fd < 0)
		return err_errno(e, -fd, "%s, which the guest has open", fs_state_where(n, where));
	rc = fs_handle_restore(s, n, fd, how & ~O_DIRECTORY, dir, id);
	if (rc < 0) {
		close(fd);
		return rc == -ENFILE ? err_set(e, ENFILE, "file server: too many open files")
				     : malformed(r, "handle", e);
	}
	return 0;
}

static int load_all(struct fs_server *s, struct reader *r, const struct head *h, struct err *e)
{
	int rc = load_shares(s, r, h->shares, e);

	for (uint32_t i = 0; rc == 0 && i < h->nodes; i++)
		rc = load_node(s, r, e);
	for (uint32_t i = 0; rc == 0 && i < h->handles; i++)
		rc = load_handle(s, r, e);
	if (rc == 0 && r->left)
		rc = err_set(e, EBADMSG, "file server: %zu bytes behind the state", r->left);
	return rc;
}

/* Until now each was held: what is in it may come long after it. */
static void let_go(struct fs_server *s)
{
	for (uint32_t i = 0; i < s->nodes.made; i++) {
		struct fs_node *n = fs_slots_at(&s->nodes, i);

		if (n)
			fs_node_put_locked(s, n);
	}
}

int fs_server_load(struct fs_server *s, const void *data, size_t len, struct err *e)
{
	struct reader r = { .p = data, .left = len };
	struct head h;
	int rc;

	bug_on(s->nodes.count || s->handles.count);
	h.node_gen = (uint32_t)get(&r, 4);
	h.handle_gen = (uint32_t)get(&r, 4);
	h.shares = (unsigned)get(&r, 2);
	h.nodes = (uint32_t)get(&r, 4);
	h.handles = (uint32_t)get(&r, 4);
	if (r.bad || !h.node_gen || !h.handle_gen || h.shares > FS_MAX_SHARES)
		return err_set(e, EBADMSG, "file server: state is incomplete");
	if (h.nodes > s->cfg.max_nodes || h.handles > s->cfg.max_handles)
		return err_set(e, ENFILE,
			       "file server: state of %u files, %u of them open: too many", h.nodes,
			       h.handles);
	rc = load_all(s, &r, &h, e);
	pthread_mutex_lock(&s->lock);
	let_go(s);
	fs_slots_restored(&s->nodes, h.node_gen);
	fs_slots_restored(&s->handles, h.handle_gen);
	pthread_mutex_unlock(&s->lock);
	return rc;
}
