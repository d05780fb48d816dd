/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a node was last seen: its parent and name.
 */
#include "vmm/fs/fs_internal.h"

#include <stdlib.h>
#include <string.h>

/* Ancestors looked at before a directory is hung below another. Deeper trees may keep a stale
 * ring of parents, which costs memory until the guest resets, never more. */
#define RING_DEPTH 4096u

void fs_node_lose_name_locked(struct fs_server *s, struct fs_node *n)
{
	struct fs_node *p = n->parent;

	n->parent = NULL;
	free(n->name);
	n->name = NULL;
	if (p)
		fs_node_put_locked(s, p);
}

/* Host renames can leave us believing that a directory is below itself: cut the older belief. */
static void cut_ring(struct fs_server *s, struct fs_node *n, struct fs_node *parent)
{
	unsigned depth = 0;

	for (struct fs_node *a = parent; a && depth < RING_DEPTH; a = a->parent, depth++) {
		if (a == n)
			return; /* parent == n itself is refused by the caller */
		if (a->parent == n) {
			fs_node_lose_name_locked(s, a);
			return;
		}
	}
}

/* Where @n is: a name that does not fit in memory leaves it where it was. */
void fs_node_place_locked(struct fs_server *s, struct fs_node *n, struct fs_node *parent,
			  const char *name)
{
	char *copy;

	if (n->is_root || n == parent || n->share != parent->share)
		return;
	if (n->parent == parent && n->name && !strcmp(n->name, name))
		return;
	copy = strdup(name);
	if (!copy)
		return;
	if (n->parent != parent && n->type == S_IFDIR)
		cut_ring(s, n, parent);
	fs_node_ref_locked(parent);
	fs_node_lose_name_locked(s, n);
	n->parent = parent;
	n->name = copy;
	fs_node_unpin_locked(s, n); /* linked again: the LRU may have it back */
}

void fs_node_moved(struct fs_server *s, struct fs_node *n, struct fs_node *parent, const char *name)
{
	pthread_mutex_lock(&s->lock);
	if (n->share)
		fs_node_place_locked(s, n, parent, name);
	pthread_mutex_unlock(&s->lock);
}

static bool is_at(const struct fs_node *n, const struct fs_node *parent, const char *name)
{
	return n->parent == parent && n->name && !strcmp(n->name, name);
}

bool fs_node_is_at(struct fs_server *s, struct fs_node *n, struct fs_node *parent, const char *name)
{
	bool at;

	pthread_mutex_lock(&s->lock);
	at = is_at(n, parent, name);
	pthread_mutex_unlock(&s->lock);
	return at;
}

void fs_node_unlinked(struct fs_server *s, struct fs_node *n, struct fs_node *parent,
		      const char *name)
{
	pthread_mutex_lock(&s->lock);
	if (is_at(n, parent, name))
		fs_node_lose_name_locked(s, n);
	pthread_mutex_unlock(&s->lock);
}
