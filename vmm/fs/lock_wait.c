/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who waits for POSIX locks, so that a wait that would close a circle is refused, as a kernel does
 * within itself. The host cannot see it: to it, nobody waits. Found are circles of processes of this
 * server's guest; who else of the host holds a lock is nobody's that waits here. As in Linux, only
 * the first lock in the way of each is followed.
 */
#include "vmm/fs/fs_internal.h"

#include <unistd.h>

#define CHAIN_MAX   10
#define HOLDERS_MAX 32

struct holder {
	uint64_t owner;
	int fd;
};

/* Who has, or had, locks on a node: descriptors of our own, since theirs may be closed meanwhile. */
static unsigned holders_get(struct fs_server *s, uint64_t node, struct holder *h)
{
	const struct fs_posix_owner *o;
	const struct fs_node *n;
	unsigned count = 0;

	pthread_mutex_lock(&s->lock);
	n = fs_node_by_id(s, node);
	for (o = n ? n->locks : NULL; o && count < HOLDERS_MAX; o = o->next) {
		h[count] = (struct holder){ o->owner, fcntl(o->fd, F_DUPFD_CLOEXEC, 0) };
		count += h[count].fd >= 0;
	}
	pthread_mutex_unlock(&s->lock);
	return count;
}

/* Would the lock find another in its way? *fl is that one then. */
static bool conflicts(int fd, struct flock *fl)
{
	fl->l_pid = 0;
	return fcntl(fd, F_OFD_GETLK, fl) == 0 && fl->l_type != F_UNLCK;
}

/* The owner of the lock that @w waits for: the one whose own it is sees nothing in the way there. */
static bool blocker(struct fs_server *s, const struct fs_lock_wait *w, uint64_t *ret)
{
	struct holder h[HOLDERS_MAX];
	unsigned count = holders_get(s, w->node, h);
	struct flock held = w->want;
	bool blocked = false, found = false;

	for (unsigned i = 0; i < count; i++)
		if (h[i].owner == w->owner)
			blocked = conflicts(h[i].fd, &held);
	for (unsigned i = 0; i < count; i++) {
		struct flock try = held;

		try.l_type = F_WRLCK;
		if (blocked && !found && h[i].owner != w->owner && !conflicts(h[i].fd, &try)) {
			found = true;
			*ret = h[i].owner;
		}
		close(h[i].fd);
	}
	return found;
}

static const struct fs_lock_wait *wait_of(const struct fs_server *s, uint64_t owner)
{
	for (size_t i = 0; i < ARRAY_SIZE(s->waits); i++)
		if (s->waits[i].unique && s->waits[i].owner == owner)
			return &s->waits[i];
	return NULL;
}

static bool closes_circle(struct fs_server *s, const struct fs_lock_wait *first)
{
	const struct fs_lock_wait *w = first;
	uint64_t owner;

	for (unsigned i = 0; w && i < CHAIN_MAX; i++) {
		if (!blocker(s, w, &owner))
			return false;
		if (owner == first->owner)
			return true;
		w = wait_of(s, owner);
	}
	return false;
}

void fs_lock_wait_end(struct fs_server *s, uint64_t unique)
{
	for (size_t i = 0; i < ARRAY_SIZE(s->waits); i++)
		if (s->waits[i].unique == unique)
			s->waits[i].unique = 0;
}

int fs_lock_wait(struct fs_server *s, const struct fs_lock_wait *w)
{
	struct fs_lock_wait *free = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(s->waits); i++) {
		if (s->waits[i].unique == w->unique)
			return 0; /* it was looked at when it began to wait */
		if (!s->waits[i].unique && !free)
			free = &s->waits[i];
	}
	if (closes_circle(s, w))
		return -EDEADLK;
	if (free) /* with more than that, some circles are not seen */
		*free = *w;
	return 0;
}

void fs_request_dropped(struct fs_server *s, const void *in)
{
	struct fuse_in_header h;

	memcpy(&h, in, sizeof(h));
	pthread_mutex_lock(&s->posix_lock);
	fs_lock_wait_end(s, h.unique);
	pthread_mutex_unlock(&s->posix_lock);
}
