// SPDX-License-Identifier: Apache-2.0
#include "runtime/container/group.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/json.h"
#include "lib/log.h"

void group_init(struct container_group *g)
{
	*g = (struct container_group){ .hold = SYSTEMD_HOLD_INIT, .limits = OCI_LIMITS_INIT, .fd = -1 };
}

static int plan_unit(struct container_group *g, const struct oci_spec *spec, const char *id, struct err *e)
{
	bool user = systemd_is_user();
	struct buf properties = BUF_INIT(SYSTEMD_REQUEST_MAX);
	int rc;

	if (!cgroup_is_v2())
		return err_set(e, ENOTSUP, "--systemd-cgroup: %s is not a cgroup version 2 hierarchy (boot with "
			       "systemd.unified_cgroup_hierarchy=1)",
			       CGROUP_ROOT);
	if (access("/run/systemd/system", F_OK) < 0)
		return err_set(e, ENOTSUP, "systemd cgroup flag passed, but systemd support for managing "
					   "cgroups is not available");
	rc = systemd_unit(spec->cgroups_path, id, user, &g->unit, e);
	if (rc == 0 && user)
		rc = systemd_user_bus(getenv("DBUS_SESSION_BUS_ADDRESS"), getenv("XDG_RUNTIME_DIR"),
				      g->bus, sizeof(g->bus), e);
	if (rc == 0 && !json_is_utf8(g->bus))
		return err_set(e, EINVAL, "the address of the user's bus is not UTF-8: %s", g->bus);
	/* Made again when they are needed; what is wrong with them is said now. */
	if (rc == 0)
		rc = systemd_properties(&g->unit, &g->limits, spec->annotations, spec->n_annotations,
					&properties, e);
	buf_free(&properties);
	return rc;
}

int group_plan(struct container_group *g, const struct oci_spec *spec, const char *id, bool systemd,
	       uint64_t machine_memory, struct err *e)
{
	struct oci_limits guest;
	int rc = oci_limits_guest(&spec->res, &guest, e);

	oci_limits_free(&guest);
	if (rc == 0)
		rc = oci_limits_host(&spec->res, machine_memory, &g->limits, e);
	if (rc < 0)
		return rc;
	if (systemd)
		return plan_unit(g, spec, id, e);
	rc = cgroup_find(spec, g->limits.n > 0, id, g->path, sizeof(g->path), e);
	if (rc == 0 && !json_is_utf8(g->path))
		return err_set(e, EINVAL, "the cgroup %s is not UTF-8", g->path);
	return rc;
}

int group_check_free(const struct container_group *g, struct err *e)
{
	return *g->path ? cgroup_check_empty(g->path, e) : 0;
}

static int make_scope(struct container_group *g, const struct oci_spec *spec, const char *id,
		      struct err *e)
{
	const struct systemd_target t = { .unit = g->unit.name, .bus = g->bus, .id = id };
	struct buf properties = BUF_INIT(SYSTEMD_REQUEST_MAX);
	int rc = systemd_properties(&g->unit, &g->limits, spec->annotations, spec->n_annotations,
				    &properties, e);

	if (rc == 0)
		rc = systemd_start(&t, &properties, &g->hold, e);
	buf_free(&properties);
	/* What became of it went with its only process, the helper; what has its name is somebody else's. */
	if (rc < 0)
		g->unit.name[0] = 0;
	g->reached = g->ours = rc == 0;
	if (rc == 0)
		rc = systemd_group(&g->hold, g->path, sizeof(g->path), e);
	if (rc < 0)
		return rc;
	rc = cgroup_open(g->path, &g->fd);
	return rc < 0 ? err_errno(e, -rc, "cannot open the cgroup %s", g->path) : 0;
}

/* A user without a manager of their own may write to no group. As under crun the processes then stay in the caller's: inside
 * of the machine the limits hold all the same, and nothing on the host can take more than the machine has. */
static int make_by_files(struct container_group *g, enum group_rootless rootless, struct err *e)
{
	struct err why = ERR_INIT;
	int rc = cgroup_make(g->path, &g->fd, &g->ours, &why);

	/* Others may have come into it since it was looked at. */
	if (rc == 0 && !g->ours)
		rc = cgroup_check_empty(g->path, &why);
	g->reached = rc == 0;
	if (rc == 0)
		return 0;
	if ((rc != -EACCES && rc != -EPERM && rc != -EROFS) || rootless == GROUP_ROOTLESS_FALSE ||
	    (rootless == GROUP_ROOTLESS_AUTO && !systemd_is_user()))
		return err_set(e, why.code, "%s", why.msg);
	log_info("%s: it stays in the caller's, limits hold inside of the machine alone", why.msg);
	g->path[0] = 0;
	return 0;
}

int group_make(struct container_group *g, const struct oci_spec *spec, const char *id, enum group_rootless rootless,
	       struct err *e)
{
	int rc = 0;

	if (*g->unit.name)
		rc = make_scope(g, spec, id, e);
	else if (*g->path)
		rc = make_by_files(g, rootless, e);
	if (rc < 0 || g->fd < 0)
		return rc;
	return cgroup_write(g->fd, &g->limits, e);
}

void group_release(struct container_group *g)
{
	systemd_release(&g->hold);
}

void group_done(struct container_group *g)
{
	systemd_release(&g->hold);
	oci_limits_free(&g->limits);
	close_and_reset(&g->fd);
}

int group_open_memory(const struct container_group *g)
{
	return g->fd < 0 ? -1 : openat(g->fd, "memory.max", O_WRONLY | O_CLOEXEC);
}

int group_born_in(const struct container_state *s, int fd)
{
	return *s->bus ? -1 : fd;
}

int group_enter(const struct container_state *s, int fd, pid_t pid, struct err *e)
{
	const struct systemd_target t = { .unit = s->unit, .bus = s->bus, .id = s->id };
	int rc = cgroup_add(fd, pid, e);

	return (rc == -EACCES || rc == -EPERM) && *s->unit ? systemd_attach(&t, pid, e) : rc;
}

static int set_properties(const struct container_state *s, const struct oci_limits *limits, struct err *e)
{
	const struct systemd_target t = { .unit = s->unit, .bus = s->bus, .id = s->id };
	struct buf properties = BUF_INIT(SYSTEMD_REQUEST_MAX);
	int rc = *s->unit ? systemd_limit_properties(limits, &properties, e) : 0;

	if (rc == 0 && properties.len)
		rc = systemd_set(&t, &properties, e);
	buf_free(&properties);
	return rc;
}

int group_set(const struct container_state *s, const struct oci_limits *limits, struct err *e)
{
	_cleanup_close_ int fd = -1;
	int rc;

	if (!*s->cgroup)
		return limits->n ? err_set(e, ENOTSUP, "the container has no cgroup") : 0;
	rc = set_properties(s, limits, e);
	if (rc < 0)
		return rc;
	rc = cgroup_open(s->cgroup, &fd);
	return rc < 0 ? err_errno(e, -rc, "cannot open the cgroup %s", s->cgroup) : cgroup_write(fd, limits, e);
}

int group_set_back(const struct container_state *s, const struct oci_limits *limits, struct err *e)
{
	_cleanup_close_ int fd = -1;
	int rc = set_properties(s, limits, e), files = cgroup_open(s->cgroup, &fd);

	e = rc == 0 ? e : NULL;
	files = files < 0 ? err_errno(e, -files, "cannot open the cgroup %s", s->cgroup) : cgroup_write_back(fd, limits, e);
	return rc == 0 ? files : rc;
}

/* Whether the group has such a limit at all. */
static bool is_limited(int fd, const char *file)
{
	_cleanup_free_ char *text = NULL;

	return io_read_file(fd, file, 4096, &text, NULL) == 0 && strncmp(text, "max", 3) != 0;
}

static uint64_t memory_of(int fd)
{
	_cleanup_free_ char *text = NULL;

	if (io_read_file(fd, "memory.max", 4096, &text, NULL) < 0 || strncmp(text, "max", 3) == 0)
		return UINT64_MAX;
	return strtoull(text, NULL, 10);
}

uint64_t group_memory(const struct container_state *s)
{
	_cleanup_close_ int fd = -1;

	return !*s->cgroup || cgroup_open(s->cgroup, &fd) < 0 ? UINT64_MAX : memory_of(fd);
}

static uint64_t shared_bound(int fd, uint64_t has, uint64_t all, uint64_t before, uint64_t now)
{
	_cleanup_free_ char *held = NULL;

	if (now >= before)
		return now - before < all && has < all - (now - before) ? has + (now - before) : all;
	/* How much more than that there would be is not known any more. */
	if (has >= all || before == UINT64_MAX)
		return has;
	has -= min_t(uint64_t, has, before - now);
	return io_read_file(fd, "memory.current", 4096, &held, NULL) < 0 ? has : max_t(uint64_t, has, strtoull(held, NULL, 10));
}

int group_share(const struct container_state *s, uint64_t memory, uint64_t before, uint64_t now, struct err *e)
{
	_cleanup_close_ int fd = -1;
	char bytes[24];
	struct oci_limit v[2];
	struct oci_limits l = OCI_LIMITS_INIT;
	uint64_t has, all = memory + OCI_LIMITS_MEMORY;

	if (!*s->cgroup || cgroup_open(s->cgroup, &fd) < 0)
		return 0;
	has = memory_of(fd);
	l.v = v;
	if (has != UINT64_MAX) {
		snprintf(bytes, sizeof(bytes), "%" PRIu64, shared_bound(fd, has, all, before, now));
		v[l.n++] = (struct oci_limit){ .file = "memory.max", .value = bytes };
	}
	if (is_limited(fd, "cpu.max"))
		v[l.n++] = (struct oci_limit){ .file = "cpu.max", .value = "max" };
	return l.n ? group_set(s, &l, e) : 0;
}

int group_remove(const struct container_state *s, const char *id, int timeout_ms, struct err *e)
{
	if (s->unit && *s->unit) {
		const struct systemd_target t = { .unit = s->unit, .bus = s->bus, .id = id };
		struct err why = ERR_INIT;

		/* A manager that has gone took its units with it; what is left is a group like
		 * any other. */
		if (systemd_stop(&t, &why) < 0)
			log_warn("%s", why.msg);
	}
	return s->cgroup && *s->cgroup ? cgroup_remove(s->cgroup, s->cgroup_ours, timeout_ms, e) : 0;
}
