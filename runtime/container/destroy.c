// SPDX-License-Identifier: Apache-2.0
#include "lib/cleanup.h"
#include "lib/io.h"
#include "runtime/container/create_internal.h"
#include "runtime/container/group.h"
#include "runtime/container/hooks.h"
#include "runtime/container/id.h"
#include "runtime/container/join.h"

#define KILL_TIMEOUT_MS 10000

int container_program_status(int rc)
{
	return rc == -ENOENT ? 127 : rc == -EACCES ? 126 : 0;
}

int container_destroy(const struct container_host *h, int dir, const char *id,
		      const struct container_state *s, struct err *e)
{
	const char *name = s->sandbox ? s->sandbox : id;
	_cleanup_close_ int lock = -1;
	int rc = proc_kill(&s->proxy, KILL_TIMEOUT_MS);

	if (rc < 0)
		return err_errno(e, -rc, "husk-proxy (process %d) does not end", s->proxy.pid);
	rc = sandbox_end_net(&s->net, e);
	if (rc == 0)
		rc = join_leave(h, id, name, s, &lock, e);
	if (rc == 0)
		rc = sandbox_remove(h->root, name, lock, KILL_TIMEOUT_MS, e);
	/* Two may have one group, or one below the other's. It goes with the last of them. */
	if (rc >= 0)
		rc = group_is_used(h->root, s, id, e);
	if (rc == 0)
		rc = group_remove(s, id, KILL_TIMEOUT_MS, e);
	return rc < 0 ? rc : container_remove_dir(h->root, id, dir, e);
}

int container_delete(const struct container_host *h, const char *id, bool force, struct err *e)
{
	struct container_state s = { .doc = NULL };
	_cleanup_close_ int dir = -1;
	enum container_status status;
	int rc = container_id_check(id, e);

	if (rc == 0)
		rc = container_open(h->root, id, true, &dir, e);
	if (rc == -ENOENT && force)
		return 0;
	if (rc < 0)
		return rc;
	rc = container_state_load(dir, &s, e);
	/* As with runc, a folder in which nothing was noted yet goes, and is no container all the same. */
	if (rc == -ENOENT && !force) {
		rc = container_destroy(h, dir, id, &s, e);
		return rc < 0 ? rc : err_set(e, ENOENT, "container does not exist");
	}
	/* A killed command left a folder without a state, or something else wrote into it. Without it a container's group and
	 * machine are not found: only where there is none to be had. */
	if (rc < 0 && (!force || io_may_work_later(rc)))
		return rc;
	rc = container_status(-1, &s, &status, e);
	if (rc < 0) /* what cannot be told lives, and is ended where that is wanted */
		status = CONTAINER_RUNNING;
	else if ((status == CONTAINER_RUNNING || status == CONTAINER_PAUSED) && !force)
		rc = err_set(e, EBUSY, "cannot delete container %s that is not stopped: %s", id,
			     container_status_name(status));
	if (rc == 0 || force) {
		container_end_in_order(dir, &s, status);
		rc = container_destroy(h, dir, id, &s, e);
		if (rc == 0)
			hooks_poststop(&s);
	}
	container_state_done(&s);
	return rc;
}
