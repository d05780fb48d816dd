// SPDX-License-Identifier: Apache-2.0
/*
 * New limits for a living container: in its group in the guest, exactly what is asked for, and in the host's group,
 * what bounds its machine (oci_limits_host()). The host's values first: they can be put back without asking
 * anybody, should the guest refuse its own.
 */
#include "runtime/container/update.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent-proto/proto/limits.h"
#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/log.h"
#include "runtime/container/create_internal.h"
#include "runtime/container/group.h"
#include "runtime/container/join.h"
#include "runtime/oci/update.h"
#include "runtime/proxy/client.h"

#define MAX_FILE 65536

/* Everything of one update. */
struct update {
	struct container_state s;
	int root, dir, sock, cgroup; /* cgroup -1: it has none on the host */
	int sandbox; /* its folder, locked: nobody joins or leaves meanwhile */
	struct nc_memory_reply machine; /* what it has and can have */
	bool shared; /* the machine has had other containers, too */
	struct oci_resources res;
	struct oci_limits guest, host;
	struct oci_limits was; /* what the host's group had before */
	char cpu_max[48]; /* the guest's, where the half that is not given is to stay */
	char *text[AGENT_MAX_VALUES]; /* of its files: owner of was.v's values … */
	char *none[AGENT_MAX_VALUES]; /* … with these, for what had none */
};

static int find(struct update *u, const struct container_host *h, const char *id, struct err *e)
{
	enum container_status status;
	struct ncl *machine;
	_cleanup_close_ int fd = -1;
	/* Two updates at a time would put back each other's values. */
	int rc = container_open(h->root, id, true, &u->dir, e);

	if (rc == 0)
		rc = container_state_load(u->dir, &u->s, e);
	if (rc < 0)
		return rc;
	rc = container_status(-1, &u->s, &status, e);
	if (rc < 0)
		return rc;
	if (!container_status_lives(status))
		return err_set(e, ESRCH, "container not running");
	rc = container_proxy(u->dir, &u->sock, e);
	if (rc == 0 && *u->s.cgroup && cgroup_open(u->s.cgroup, &u->cgroup) < 0)
		rc = err_set(e, ENOENT, "cannot open the cgroup %s", u->s.cgroup);
	if (rc == 0)
		rc = sandbox_connect(h->root, u->s.sandbox, &fd, e);
	if (rc == 0)
		rc = ncl_new(&machine, fd, e);
	if (rc < 0)
		return rc;
	fd = -1;
	rc = ncl_memory(machine, &u->machine, CALL_TIMEOUT_MS, e);
	ncl_free(machine);
	/* One that joins makes the group wider, which nothing of what was read before may undo. */
	if (rc == 0)
		rc = sandbox_open(h->root, u->s.sandbox, true, &u->sandbox, e);
	if (rc == 0)
		u->shared = sandbox_had_members(u->sandbox);
	return rc;
}

static int check_memory(const struct update *u, struct err *e)
{
	uint64_t room = sandbox_container_memory(u->machine.boot + u->machine.later);

	if (!u->res.has_memory_limit || u->res.memory_limit <= 0 ||
	    (uint64_t)u->res.memory_limit <= room)
		return 0;
	return err_set(e, EINVAL,
		       "memory limit %" PRId64 " is more than the %" PRIu64 " bytes that the container's "
		       "machine can have for it",
		       u->res.memory_limit, room);
}

/* What bounds the machine on the host: what the limit takes, and no less than it holds at this moment. The guest is to bring
 * its container below the limit, which gives memory back a little later; the host's kernel would kill the machine at once. */
static uint64_t machine_bound(const struct update *u)
{
	const struct oci_resources *r = &u->res;
	_cleanup_free_ char *held = NULL;
	uint64_t need = u->machine.boot;

	if (!r->has_memory_limit || r->memory_limit <= 0)
		return need;
	need = sandbox_machine_memory(need, (uint64_t)r->memory_limit);
	if (u->cgroup >= 0 && io_read_file(u->cgroup, "memory.current", MAX_FILE, &held, NULL) == 0)
		need = max_t(uint64_t, need, strtoull(held, NULL, 10));
	return need;
}

static bool has_quota(const struct oci_resources *r)
{
	return r->has_cpu_quota && r->cpu_quota;
}

static bool has_period(const struct oci_resources *r)
{
	return r->has_cpu_period && r->cpu_period;
}

/* Whether the host's group has the quota that the guest's has: not where it bounds others, too. */
static bool is_mirrored(const struct update *u)
{
	return u->cgroup >= 0 && !u->shared;
}

/* A period alone goes with the quota that there is, a quota with its period, as runc has it. */
static void complete_cpu(struct update *u)
{
	struct oci_resources *r = &u->res;
	bool quota = has_quota(r), period = has_period(r);
	_cleanup_free_ char *text = NULL;
	char *end;

	if (quota == period || !is_mirrored(u) || io_read_file(u->cgroup, "cpu.max", MAX_FILE, &text, NULL) < 0)
		return;
	if (!quota) {
		r->has_cpu_quota = true;
		r->cpu_quota = strncmp(text, "max", 3) == 0 ? -1 : strtoll(text, NULL, 10);
	}
	end = strchr(text, ' ');
	if (!period && end) {
		r->has_cpu_period = true;
		r->cpu_period = strtoull(end, NULL, 10);
	}
}

/* The same, where only the guest knows: to its kernel a quota alone is one, and a period alone is the agent's to complete. */
static void complete_cpu_inside(struct update *u)
{
	const struct oci_resources *r = &u->res;

	if (has_quota(r) == has_period(r) || is_mirrored(u))
		return;
	if (has_period(r))
		snprintf(u->cpu_max, sizeof(u->cpu_max), "- %" PRIu64, r->cpu_period);
	else if (r->cpu_quota > 0)
		snprintf(u->cpu_max, sizeof(u->cpu_max), "%" PRId64, r->cpu_quota);
	else
		snprintf(u->cpu_max, sizeof(u->cpu_max), "max");
	/* The first is that of the fields; in version 2's own words it is whole. */
	for (size_t i = 0; i < u->guest.n; i++)
		if (strcmp(u->guest.v[i].file, "cpu.max") == 0) {
			u->guest.v[i].value = u->cpu_max;
			break;
		}
}

/* ---- the host's group ---------------------------------------------------------------------------- */

static int remember(struct update *u, const char *file, const char *value, struct err *e)
{
	if (u->was.n == u->was.room) {
		size_t room = u->was.room ? 2 * u->was.room : 16;
		void *v = realloc(u->was.v, room * sizeof(*u->was.v));

		if (!v)
			return err_set(e, ENOMEM, "out of memory");
		u->was.v = v;
		u->was.room = room;
	}
	u->was.v[u->was.n++] = (struct oci_limit){ .file = file, .value = value, .optional = true };
	return 0;
}

/* A device that has no entry is not listed, and without one again when it is written so. */
static int remember_device(struct update *u, size_t i, struct err *e)
{
	const struct oci_limit *v = &u->host.v[i];
	size_t len = strcspn(v->value, " ");
	const char *none = strcmp(v->file, "io.max") == 0 ? "rbps=max wbps=max riops=max wiops=max" : "default";

	if (strncmp(v->file, "io.", 3) != 0 || (strcmp(none, "default") == 0 && !strstr(v->file, "weight")) ||
	    !memchr(v->value, ':', len))
		return 0;
	for (const char *line = u->text[i]; *line; line += strcspn(line, "\n"), line += *line == '\n')
		if (strncmp(line, v->value, len) == 0 && line[len] == ' ')
			return 0;
	if (asprintf(&u->none[i], "%.*s %s", (int)len, v->value, none) < 0) {
		u->none[i] = NULL;
		return err_set(e, ENOMEM, "out of memory");
	}
	return remember(u, v->file, u->none[i], e);
}

/* The set that is in effect where there is none of its own: while processes are in the group the kernel takes no empty one. */
static int remember_set(struct update *u, size_t i, struct err *e)
{
	char file[64];

	snprintf(file, sizeof(file), "%.40s.effective", u->host.v[i].file);
	if (io_read_file(u->cgroup, file, MAX_FILE, &u->none[i], NULL) < 0)
		return 0;
	u->none[i][strcspn(u->none[i], "\n")] = 0;
	return remember(u, u->host.v[i].file, u->none[i], e);
}

/* What stands in the files that are to be written, one entry a line, as the kernel (and systemd) takes it back. */
static int save_host(struct update *u, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < u->host.n; i++) {
		const char *file = u->host.v[i].file;
		char *line, *rest;

		if (io_read_file(u->cgroup, file, MAX_FILE, &u->text[i], NULL) < 0)
			continue;
		rc = remember_device(u, i, e);
		line = strtok_r(u->text[i], "\n", &rest);
		if (rc == 0 && !line && strncmp(file, "cpuset.", 7) == 0)
			rc = remember_set(u, i, e);
		for (; rc == 0 && line; line = strtok_r(NULL, "\n", &rest))
			rc = remember(u, file, strncmp(line, "default ", 8) == 0 ? line + 8 : line, e);
	}
	return rc;
}

static void put_back(struct update *u)
{
	struct err e = ERR_INIT;

	if (u->was.n && group_set_back(&u->s, &u->was, &e) < 0)
		log_warn("the cgroup %s has not all of its old limits back: %s", u->s.cgroup, e.msg);
}

/* What the container may have until now, as its guest has it; 0 where that cannot be told, which bounds the machine the less. */
static uint64_t memory_before(const struct update *u)
{
	struct agent_stats *st = malloc(sizeof(*st));
	uint64_t before = st && proxy_stats(u->sock, st, CALL_TIMEOUT_MS, NULL) == 0 ? st->memory.limit : 0;

	free(st);
	return before;
}

/* What bounds a machine that several share is not one's alone: of that the guest's half counts. The rest goes into the group
 * that the machine is in; where that is another's, what only the host can do cannot be done. */
static int share_host(struct update *u, struct err *e)
{
	static const char *const bounds[] = { "memory.max", "memory.swap.max", "cpu.max", "cpu.max.burst", "pids.max" };
	struct sandbox_record r;
	size_t n = 0;
	bool host;
	int rc = sandbox_load(u->sandbox, &r, e);

	if (rc < 0)
		return rc;
	host = strcmp(*r.host ? r.host : u->s.sandbox, u->s.id) == 0;
	for (size_t i = 0; i < u->host.n; i++) {
		const struct oci_limit *v = &u->host.v[i];
		bool drop = !host;

		for (size_t k = 0; !drop && k < ARRAY_SIZE(bounds); k++)
			drop = strcmp(v->file, bounds[k]) == 0;
		if (!host && !oci_limits_get(&u->guest, v->file))
			return err_set(e, ENOTSUP, "%s: the container's machine is in the control group of container %s, and "
				       "what the host limits is that one's to change", v->file,
				       *r.host ? r.host : u->s.sandbox);
		if (!drop)
			u->host.v[n++] = *v;
	}
	u->host.n = n;
	return 0;
}

static int write_host(struct update *u, struct err *e)
{
	int rc = 0;

	if (u->host.n > AGENT_MAX_VALUES)
		return err_set(e, E2BIG, "more than %d limits", AGENT_MAX_VALUES);
	if (u->shared)
		rc = share_host(u, e);
	if (rc == 0 && u->cgroup >= 0 && u->host.n) {
		rc = save_host(u, e);
		if (rc == 0) {
			rc = group_set(&u->s, &u->host, e);
			if (rc < 0)
				put_back(u);
		}
	}
	/* Nothing of that is put back. */
	if (rc == 0 && u->shared && u->res.has_memory_limit)
		join_bound(u->root, u->sandbox, &u->machine, memory_before(u),
			   u->res.memory_limit > 0 ? (uint64_t)u->res.memory_limit : UINT64_MAX);
	/* The guest, which may take its time, delays nobody who joins. */
	if (u->shared)
		close_and_reset(&u->sandbox);
	return rc;
}

/* ---- the guest's --------------------------------------------------------------------------------- */

static int write_guest(struct update *u, const char *id, struct err *e)
{
	struct buf request = BUF_INIT(PROXY_MAX_UPDATE);
	int rc = 0;

	if (u->guest.n)
		rc = oci_pack_update(&u->guest, id, u->res.memory_check, &request, e);
	if (rc == 0 && u->guest.n)
		rc = proxy_update(u->sock, &request, CALL_TIMEOUT_MS + AGENT_UPDATE_MS, e);
	buf_free(&request);
	return rc == -EPIPE ? container_hung_up(&u->s.proxy, e) : rc;
}

int container_update(const struct container_host *h, const char *id, const struct oci_resources *res,
		     struct err *e)
{
	struct update *u = calloc(1, sizeof(*u));
	int rc;

	if (!u)
		return err_set(e, ENOMEM, "out of memory");
	u->dir = u->sock = u->cgroup = u->sandbox = -1;
	u->root = h->root;
	u->res = *res;
	rc = find(u, h, id, e);
	if (rc == 0)
		rc = check_memory(u, e);
	if (rc == 0) {
		complete_cpu(u);
		rc = oci_limits_guest(&u->res, &u->guest, e);
		complete_cpu_inside(u);
	}
	if (rc == 0)
		rc = oci_limits_host(&u->res, machine_bound(u), &u->host, e);
	if (rc == 0)
		rc = write_host(u, e);
	if (rc == 0) {
		rc = write_guest(u, id, e);
		if (rc < 0)
			put_back(u);
	}
	for (size_t i = 0; i < AGENT_MAX_VALUES; i++) {
		free(u->text[i]);
		free(u->none[i]);
	}
	free(u->was.v);
	oci_limits_free(&u->guest);
	oci_limits_free(&u->host);
	container_state_done(&u->s);
	close_and_reset(&u->dir);
	close_and_reset(&u->sock);
	close_and_reset(&u->cgroup);
	close_and_reset(&u->sandbox);
	free(u);
	return rc;
}
