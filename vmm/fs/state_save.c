/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saving what the guest holds. Files that have no name any more cannot be found again, and locks are
 * the host's: with those it is refused, by a line that says which file it is.
 */
#include "vmm/fs/state.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static size_t prepend(char *out, size_t at, const char *s)
{
	size_t n = strlen(s);

	if (n > at)
		return 0;
	for (size_t i = 0; i < n; i++)
		out[at - n + i] = isprint((unsigned char)s[i]) ? s[i] : '?';
	return at - n;
}

const char *fs_state_where(const struct fs_node *n, char out[FS_WHERE_MAX])
{
	const struct fs_node *a = n;
	size_t at = FS_WHERE_MAX - 1;

	out[at] = '\0';
	at = prepend(out, at, "'");
	for (; at && a && a->name; a = a->parent) {
		at = prepend(out, at, a->name);
		if (at && a->parent && a->parent->name)
			at = prepend(out, at, "/");
	}
	if (at)
		at = prepend(out, at, n->share ? "': '" : "'");
	if (at && n->share)
		at = prepend(out, at, n->share->name);
	if (at && n->share)
		at = prepend(out, at, "share '");
	return out + at;
}

/* --- what forbids it ------------------------------------------------------------------ */
static int refuse(struct fs_server *s, const struct fs_node *n, const char *why, struct err *e)
{
	char where[FS_WHERE_MAX];

	pthread_mutex_lock(&s->lock);
	fs_state_where(n, where);
	pthread_mutex_unlock(&s->lock);
	return err_set(e, EBUSY, "%s (inode %llu) %s", fs_state_where(n, where),
		       (unsigned long long)n->id.ino, why);
}

/* Has anybody a lock on @n? A process that had one and gave it back is still in the list. */
static bool locked(struct fs_server *s, struct fs_node *n)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd, rc;

	if (!n->locks)
		return false;
	fd = fs_node_open(s, n, O_RDONLY);
	if (fd < 0)
		return true;
	rc = fcntl(fd, F_OFD_GETLK, &fl);
	close(fd);
	return rc < 0 || fl.l_type != F_UNLCK;
}

/* Is the file where we believe it is? It will be looked for there. */
static bool findable(struct fs_server *s, struct fs_node *n)
{
	struct statx st;
	bool there;
	int dirfd;

	if (n->is_root)
		return true;
	if (!n->parent || !n->hashed)
		return false;
	dirfd = fs_node_fd(s, n->parent);
	if (dirfd < 0)
		return false;
	there = fs_stat_name(dirfd, n->name, &st) == 0 && fs_node_verify(n, &st);
	fs_node_fd_put(s, n->parent);
	return there;
}

static int check(struct fs_server *s, struct err *e)
{
	for (uint32_t i = 0; i < s->handles.made; i++) {
		const struct fs_handle *h = fs_slots_at(&s->handles, i);

		if (!h)
			continue;
		if (!findable(s, h->node))
			return refuse(s, h->node, "is open and has no name any more that we know",
				      e);
		if (h->flocked)
			return refuse(s, h->node, "is locked by flock()", e);
		if (locked(s, h->node))
			return refuse(s, h->node, "is locked", e);
	}
	return 0;
}

/* --- records -------------------------------------------------------------------------- */
static void put(struct buf *b, uint64_t v, unsigned bytes)
{
	uint8_t le[8];

	for (unsigned i = 0; i < bytes; i++)
		le[i] = (uint8_t)(v >> (8 * i));
	buf_append(b, le, bytes); /* b->failed says it at the end */
}

static void put_name(struct buf *b, const char *name)
{
	size_t n = strlen(name);

	put(b, n, 1);
	buf_append(b, name, n);
}

static void put_file(struct buf *b, const struct fs_node *n)
{
	put(b, n->nlookup, 8);
	put(b, n->id.ino, 8);
	put(b, n->id.btime_s, 8);
	put(b, n->id.btime_ns, 4);
	put(b, n->type >> 12, 2);
}

static void put_node(struct buf *b, const struct fs_node *n, bool cut)
{
	bool stale = cut || !n->share || !n->parent || !n->hashed;

	put(b, fs_node_id(n), 8);
	put(b, stale ? 0 : fs_node_id(n->parent), 8);
	put_file(b, n);
	put_name(b, stale ? "" : n->name);
}

/* @n and those above it that are not saved yet, from the top. @room: as many as there are nodes. */
static uint32_t put_chain(struct buf *b, struct fs_node *n, struct fs_node **chain, uint32_t room)
{
	uint32_t count = 0, left;
	bool ring = false;

	for (; n && !n->is_root && !n->saved; n = n->parent) {
		bug_on(count == room);
		n->saved = true;
		chain[count++] = n;
	}
	/* Renames by the host can have made us believe that a directory is below itself. */
	for (uint32_t i = 0; i < count; i++)
		ring = ring || chain[i] == n;
	for (left = count; left > 0; left--)
		put_node(b, chain[left - 1], ring && left == count);
	return count;
}

static uint32_t put_nodes(struct fs_server *s, struct buf *b, struct fs_node **chain)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->nodes.made; i++) {
		struct fs_node *p = fs_slots_at(&s->nodes, i);

		if (p)
			n += put_chain(b, p, chain, s->nodes.count);
	}
	for (uint32_t i = 0; i < s->nodes.made; i++) {
		struct fs_node *p = fs_slots_at(&s->nodes, i);

		if (p)
			p->saved = false;
	}
	return n;
}

static void put_handles(struct fs_server *s, struct buf *b)
{
	for (uint32_t i = 0; i < s->handles.made; i++) {
		const struct fs_handle *h = fs_slots_at(&s->handles, i);

		if (!h)
			continue;
		put(b, fs_slot_id(h), 8);
		put(b, fs_node_id(h->node), 8);
		put(b, (uint32_t)h->flags & FS_STATE_FLAGS, 4);
		put(b, h->dir, 1);
	}
}

static unsigned put_shares(struct fs_server *s, struct buf *b)
{
	unsigned n = 0;

	for (unsigned i = 0; i < FS_MAX_SHARES; i++) {
		const struct fs_share *share = s->share[i];

		if (!share)
			continue;
		n++;
		put(b, i, 1);
		put(b, share->serial, 4);
		put_file(b, &share->root);
		put_name(b, share->name);
	}
	return n;
}

static void put_all(struct fs_server *s, struct buf *b, struct fs_node **chain)
{
	unsigned shares = 0;

	for (unsigned i = 0; i < FS_MAX_SHARES; i++)
		shares += s->share[i] != NULL;
	put(b, fs_slots_gen(&s->nodes), 4);
	put(b, fs_slots_gen(&s->handles), 4);
	put(b, shares, 2);
	put(b, s->nodes.count, 4);
	put(b, s->handles.count, 4);
	bug_on(put_shares(s, b) != shares);
	bug_on(put_nodes(s, b, chain) != s->nodes.count);
	put_handles(s, b);
}

int fs_server_save(struct fs_server *s, struct buf *b, struct err *e)
{
	struct fs_node **chain;
	int rc = check(s, e);

	if (rc < 0)
		return rc;
	chain = calloc((size_t)s->nodes.count + 1, sizeof(struct fs_node *));
	if (!chain)
		return err_set(e, ENOMEM, "file server: no memory for its state");
	pthread_mutex_lock(&s->lock);
	put_all(s, b, chain);
	pthread_mutex_unlock(&s->lock);
	free(chain);
	return b->failed ? err_set(e, ENOSPC, "file server: no room for its state") : 0;
}
