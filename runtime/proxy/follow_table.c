// SPDX-License-Identifier: Apache-2.0
#include "runtime/proxy/follow_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int follow_free_slot(const struct follow_table *t)
{
	for (int i = 0; i < FOLLOW_MAX_MOUNTS; i++)
		if (!t->used[i])
			return i;
	return FOLLOW_NO_SLOT;
}

int follow_table_add(struct follow_table *t, const struct mountinfo_row *row, uint32_t bind, int slot)
{
	struct follow_mount m = { .id = row->id, .dev = row->dev, .at = strdup(row->at), .root = strdup(row->root),
				  .slot = slot, .bind = bind };
	struct follow_mount *more = realloc(t->v, (t->n + 1) * sizeof(*t->v));

	if (more)
		t->v = more;
	if (!more || !m.at || !m.root) {
		free(m.at);
		free(m.root);
		return -ENOMEM;
	}
	t->v[t->n++] = m;
	if (slot >= 0)
		t->used[slot] = true;
	return 0;
}

void follow_table_remove(struct follow_table *t, size_t i)
{
	struct follow_mount *m = &t->v[i];

	if (m->slot >= 0)
		t->used[m->slot] = false;
	free(m->at);
	free(m->root);
	memmove(m, m + 1, (t->n - i - 1) * sizeof(*m));
	t->n--;
}

void follow_table_uncover(struct follow_table *t)
{
	for (size_t i = t->n; i-- > 0;)
		if (t->v[i].covered)
			follow_table_remove(t, i);
}

void follow_table_free(struct follow_table *t)
{
	while (t->n)
		follow_table_remove(t, t->n - 1);
	free(t->v);
	*t = (struct follow_table){ .n = 0 };
}

/* A number is used again soon after its mount has gone; what is mounted there then is another file system. */
static bool is_row(const struct follow_mount *m, const struct mountinfo_row *row)
{
	return m->id == row->id && m->dev == row->dev && !strcmp(m->at, row->at) && !strcmp(m->root, row->root);
}

ssize_t follow_next_gone(const struct follow_table *t, const struct mountinfo *now)
{
	for (size_t i = t->n; i-- > 0;) {
		const struct mountinfo_row *row = mountinfo_by_id(now, t->v[i].id);

		if (!row || !is_row(&t->v[i], row))
			return (ssize_t)i;
	}
	return -1;
}

static const struct follow_mount *known(const struct follow_table *t, const struct mountinfo_row *row)
{
	for (size_t i = 0; i < t->n; i++)
		if (is_row(&t->v[i], row))
			return &t->v[i];
	return NULL;
}

/* Which source's own mount it is; -1: none's. */
static int own_mount(const struct mountinfo *now, const struct mountinfo_row *row)
{
	const struct mountinfo_row *on = mountinfo_by_id(now, row->parent);
	char *end;
	unsigned long n;

	if (!on || strcmp(on->at, "/") != 0 || row->at[1] < '0' || row->at[1] > '9')
		return -1;
	n = strtoul(row->at + 1, &end, 10);
	return *end || n >= FOLLOW_MAX_BINDS ? -1 : (int)n;
}

/* @at: where the mount is that @row is on. */
static const char *path_below(const struct mountinfo_row *row, const char *at)
{
	const char *below = mountinfo_below(row, at);

	return below ? below : strcmp(row->at, at) == 0 ? "" : NULL;
}

/* On which of those that were told of, or on which source's own, @row is: one that was not told of is passed through. */
static bool find_place(const struct follow_table *t, const struct mountinfo *now, const struct mountinfo_row *row,
		       struct follow_place *ret)
{
	const struct mountinfo_row *on = mountinfo_by_id(now, row->parent);

	*ret = (struct follow_place){ .row = row };
	for (size_t depth = 0; on && depth <= now->n; depth++) {
		const struct follow_mount *m = known(t, on);
		int bind = m ? (int)m->bind : own_mount(now, on);

		if (bind < 0)
			return false;
		if (!m || m->slot >= 0) {
			ret->bind = (uint32_t)bind;
			ret->parent = m ? (uint32_t)m->slot + 1 : 0;
			ret->path = path_below(row, on->at);
			return ret->path;
		}
		ret->through = true;
		on = mountinfo_by_id(now, on->parent);
	}
	return false;
}

/* By what is listed: what a name leads to may have changed since. */
static bool is_covered(const struct mountinfo *now, const struct mountinfo_row *row)
{
	for (size_t i = 0; i < now->n; i++)
		if (now->rows[i].parent == row->id && !strcmp(now->rows[i].at, row->at))
			return true;
	return false;
}

bool follow_next_new(const struct follow_table *t, const struct mountinfo *now, size_t *from, struct follow_place *ret)
{
	while (*from < now->n) {
		const struct mountinfo_row *row = &now->rows[(*from)++];

		if (own_mount(now, row) < 0 && !known(t, row) && find_place(t, now, row, ret)) {
			ret->covered = is_covered(now, row);
			return true;
		}
	}
	return false;
}
