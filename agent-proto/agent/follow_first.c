// SPDX-License-Identifier: Apache-2.0
/* The mounts of the host that a new container begins with, where it follows them. */
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent-proto/agent/child.h"
#include "agent-proto/agent/mounts.h"
#include "lib/cleanup.h"
#include "lib/io.h"

int follow_mark(int fd, struct mount_mark *ret)
{
	struct statx st;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_MNT_ID, &st) < 0)
		return -errno;
	if (!(st.stx_mask & STATX_MNT_ID) || !(st.stx_attributes & STATX_ATTR_MOUNT_ROOT))
		return -EINVAL;
	*ret = (struct mount_mark){ .id = st.stx_mnt_id, .dev = makedev(st.stx_dev_major, st.stx_dev_minor) };
	return 0;
}

static int tell(int sync, bool is_bind, uint32_t number, int fd, uint64_t attrs, struct err *e)
{
	struct sync_msg m = { .kind = SYNC_FOLLOW, .is_bind = is_bind, .number = number, .attrs = attrs };
	int rc = follow_mark(fd, &m.mark);

	if (rc == 0)
		rc = io_send_fds(sync, &m, sizeof(m), NULL, 0);
	return rc < 0 ? err_errno(e, -rc, "mounts of the host") : 0;
}

/* *ret_tree: in place; -1: its place is not there any more. */
static int put_one(const struct mount_env *env, const Husk__Agent__V1__Mount__Submount *s, int parent, int *ret_tree,
		   struct err *e)
{
	_cleanup_close_ int tree = mount_clone_share(env, s->share, "", false, NULL, 0, e);
	_cleanup_close_ int target = -1;
	int rc = tree < 0 ? tree : mount_flags(tree, s->flags, MOUNT_ALL_FLAGS);

	*ret_tree = -1;
	if (tree < 0)
		return tree;
	if (rc < 0)
		return err_errno(e, -rc, "flags of %s", s->path);
	target = mount_open_below(parent, s->path, 0);
	if (target < 0)
		return 0;
	rc = mount_put(tree, target);
	if (rc < 0)
		return err_errno(e, -rc, "%s", s->path);
	*ret_tree = steal_fd(&tree);
	return 0;
}

int follow_first(const struct mount_env *env, const Husk__Agent__V1__Mount *m, int tree, struct err *e)
{
	int trees[AGENT_MAX_FOLLOWED];
	int rc = tell(env->sync, true, m->follow - 1, tree, m->rec_attr_set, e);

	for (size_t i = 0; i < ARRAY_SIZE(trees); i++)
		trees[i] = -1;
	for (size_t i = 0; rc == 0 && i < m->n_submounts; i++) {
		const Husk__Agent__V1__Mount__Submount *s = m->submounts[i];
		int parent = s->parent ? trees[s->parent - 1] : tree;

		if (!*s->share || parent < 0)
			continue;
		close_and_reset(&trees[s->slot]);
		rc = put_one(env, s, parent, &trees[s->slot], e);
		if (rc == 0 && trees[s->slot] >= 0)
			rc = tell(env->sync, false, s->slot, trees[s->slot], 0, e);
	}
	for (size_t i = 0; i < ARRAY_SIZE(trees); i++)
		close_and_reset(&trees[i]);
	return rc;
}
