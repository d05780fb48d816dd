// SPDX-License-Identifier: Apache-2.0
/* Who else of the same folder of containers is in a container's group. */
#include "runtime/container/group.h"

#include <string.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/log.h"
#include "runtime/sandbox/record.h"

/* A unit's group is known once the unit is there, its name before. */
static bool is_within(const struct container_state *s, const struct container_state *other)
{
	size_t n = s->cgroup ? strlen(s->cgroup) : 0;

	if (n && strncmp(other->cgroup, s->cgroup, n) == 0 && (!other->cgroup[n] || other->cgroup[n] == '/'))
		return true;
	return s->unit && *s->unit && strcmp(s->unit, other->unit) == 0 && strcmp(s->bus, other->bus) == 0;
}

/* A pod's machine stays in the group of the container that made it when that one ends. */
static bool hosts_machine(int root, const struct container_state *other)
{
	struct sandbox_record r;
	_cleanup_close_ int dir = -1;

	return sandbox_open(root, other->sandbox, false, &dir, NULL) == 0 && sandbox_load(dir, &r, NULL) == 0 &&
	       strcmp(r.host, other->id) == 0 && proc_alive(&r.machine, NULL) != 0;
}

/* One that cannot be told to have ended is in it, and so is one whose guest still writes back. */
static bool is_used_by(int root, int dir, const struct container_state *other)
{
	enum container_status status;

	if (other->proxy.pid ? proc_alive(&other->proxy, NULL) != 0 :
			       container_status(dir, other, &status, NULL) < 0 || status == CONTAINER_CREATING)
		return true;
	return hosts_machine(root, other);
}

struct asked {
	const struct container_state *s;
	const char *id;
};

static int look_at(void *arg, int root, const char *id, struct err *e)
{
	const struct asked *a = arg;
	struct container_state other = { .doc = NULL };
	_cleanup_close_ int dir = -1;
	int rc;

	if (strcmp(id, a->id) == 0)
		return 0;
	rc = container_open(root, id, false, &dir, e);
	if (rc == 0)
		rc = container_state_load(dir, &other, e);
	/* It is being made or deleted, or is no container. */
	if (rc < 0)
		return io_may_work_later(rc) ? rc : 0;
	rc = is_within(a->s, &other) && is_used_by(root, dir, &other);
	if (rc)
		log_debug("the control group is left to container %s", id);
	container_state_done(&other);
	return rc;
}

int group_is_used(int root, const struct container_state *s, const char *id, struct err *e)
{
	struct asked a = { .s = s, .id = id };
	int rc;

	if (!(s->cgroup && *s->cgroup) && !(s->unit && *s->unit))
		return 0;
	rc = container_each(root, look_at, &a, e);
	return rc < 0 ? err_wrap(e, rc, "cannot tell who else is in the control group") : rc;
}
