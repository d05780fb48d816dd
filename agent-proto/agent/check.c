// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/check.h"

#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/utsname.h>
#include <time.h>

#include "agent-proto/agent/limits.h"
#include "agent-proto/proto/limits.h"

#define MAX_MAJOR  ((INT64_C(1) << 12) - 1)
#define MAX_MINOR  ((INT64_C(1) << 20) - 1)

static int invalid(struct err *e, const char *field)
{
	return err_set(e, EINVAL, "%s: invalid value", field);
}

static int many(struct err *e, const char *field)
{
	return err_set(e, ENOSPC, "%s: beyond the limit", field);
}

static int check_text(const char *s, const char *field, struct err *e)
{
	return strlen(s) > AGENT_MAX_STRING ? many(e, field) : 0;
}

static int check_path(const char *s, const char *field, struct err *e)
{
	if (!*s || strlen(s) >= PATH_MAX)
		return invalid(e, field);
	return 0;
}

/* A name below the shared folder, never a path. */
static int check_share(const char *s, const char *field, struct err *e)
{
	if (!*s || strlen(s) > NAME_MAX || strchr(s, '/') || strcmp(s, ".") == 0 ||
	    strcmp(s, "..") == 0)
		return invalid(e, field);
	return 0;
}

static int check_id(const char *s, const char *field, struct err *e)
{
	size_t len = strlen(s);

	if (len > AGENT_MAX_ID)
		return many(e, field);
	if (!len || strcmp(s, ".") == 0 || strcmp(s, "..") == 0 ||
	    strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.") != len)
		return invalid(e, field);
	return 0;
}

int check_ids(const char *container_id, const char *exec_id, struct err *e)
{
	int rc = check_id(container_id, "container_id", e);

	return rc == 0 && *exec_id ? check_id(exec_id, "exec_id", e) : rc;
}

static int check_strings(const ProtobufCBinaryData *v, size_t n, const char *field, struct err *e)
{
	size_t total = 0;

	if (n > AGENT_MAX_ARGS)
		return many(e, field);
	for (size_t i = 0; i < n; i++) {
		if (v[i].len && memchr(v[i].data, 0, v[i].len))
			return invalid(e, field);
		total += v[i].len;
	}
	return total > AGENT_MAX_ARG_BYTES ? many(e, field) : 0;
}

/* What is said of a listening socket is said of no other. */
static bool is_extra_sane(const Husk__Agent__V1__ExtraStream *s)
{
	const bool listens = s->kind == HUSK__AGENT__V1__STREAM_KIND__STREAM_LISTEN;

	if ((unsigned)s->kind > HUSK__AGENT__V1__STREAM_KIND__STREAM_LISTEN ||
	    !s->token != (s->kind == HUSK__AGENT__V1__STREAM_KIND__STREAM_NULL))
		return false;
	if (s->family != 0 && !(listens && (s->family == 4 || s->family == 6)))
		return false;
	return s->port <= UINT16_MAX && (s->family || !s->port);
}

static int check_extra(const Husk__Agent__V1__Process *p, struct err *e)
{
	if (p->n_extra_streams > AGENT_MAX_EXTRA)
		return many(e, "process.extra_streams");
	for (size_t i = 0; i < p->n_extra_streams; i++) {
		const Husk__Agent__V1__ExtraStream *s = p->extra_streams[i];

		if (!is_extra_sane(s))
			return invalid(e, "process.extra_streams");
		for (size_t k = 0; k < i; k++)
			if (s->token && s->token == p->extra_streams[k]->token)
				return invalid(e, "process.extra_streams");
	}
	return 0;
}

static int check_process(const Husk__Agent__V1__Process *p, struct err *e)
{
	const Husk__Agent__V1__Streams *s;
	int rc;

	if (!p || !p->n_args)
		return err_set(e, EINVAL, "process: no args");
	s = p->streams;
	rc = check_strings(p->args, p->n_args, "process.args", e);
	if (rc == 0)
		rc = check_strings(p->env, p->n_env, "process.env", e);
	if (rc < 0)
		return rc;
	if (*p->cwd != '/' || strlen(p->cwd) >= PATH_MAX)
		return invalid(e, "process.cwd");
	if (p->user && p->user->n_additional_gids > AGENT_MAX_GROUPS)
		return many(e, "process.user.additional_gids");
	if (p->n_rlimits > 64)
		return many(e, "process.rlimits");
	for (size_t i = 0; i < p->n_rlimits; i++)
		if (limits_rlimit_by_name(p->rlimits[i]->type) < 0)
			return invalid(e, "process.rlimits");
	if (p->rows > UINT16_MAX || p->columns > UINT16_MAX)
		return invalid(e, "process.rows");
	if (p->has_oom_score_adj && (p->oom_score_adj < -1000 || p->oom_score_adj > 1000))
		return invalid(e, "process.oom_score_adj");
	if (p->cpu_affinity && (p->cpu_affinity->initial.len > AGENT_MAX_CPU_BYTES ||
				p->cpu_affinity->final.len > AGENT_MAX_CPU_BYTES))
		return many(e, "process.cpu_affinity");
	if (p->io_priority && (p->io_priority->class_ < 1 || p->io_priority->class_ > 3 ||
			       p->io_priority->priority > 7))
		return invalid(e, "process.io_priority");
	if (p->terminal && (!s || !s->stdin || s->stdout || s->stderr))
		return invalid(e, "process.streams");
	if (s && s->stdin && (s->stdin == s->stdout || s->stdin == s->stderr))
		return invalid(e, "process.streams");
	if (s && s->stdout && s->stdout == s->stderr)
		return invalid(e, "process.streams");
	return check_extra(p, e);
}

/* What the guest has itself in the place of something of the host's. */
static bool is_own(const char *name)
{
	static const char *const names[] = { "bpf",	   "cgroup", "debugfs", "dev",	 "devpts",  "hugetlbfs",
					     "mqueue", "proc",   "securityfs", "sysfs", "tmpfs", "tracefs" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

static bool climbs(const char *path)
{
	for (const char *p = path; (p = strstr(p, "..")); p += 2)
		if ((p == path || p[-1] == '/') && (!p[2] || p[2] == '/'))
			return true;
	return false;
}

/* One that is a share of its own, in a mount that follows the host's. */
static int check_followed(const char *share, uint32_t slot, uint32_t parent, const char *path, struct err *e)
{
	int rc = check_share(share, "share", e);

	if (rc < 0)
		return rc;
	if (slot >= AGENT_MAX_FOLLOWED)
		return invalid(e, "slot");
	if (parent > AGENT_MAX_FOLLOWED || parent == slot + 1)
		return invalid(e, "parent");
	return *path == '/' || climbs(path) || strlen(path) > AGENT_MAX_STRING ? invalid(e, "path") : 0;
}

int check_change_mount(const Husk__Agent__V1__ChangeMountRequest *req, struct err *e)
{
	if (req->slot >= AGENT_MAX_FOLLOWED)
		return invalid(e, "slot");
	if (req->gone)
		return 0;
	if (req->bind >= AGENT_MAX_FOLLOWING)
		return invalid(e, "bind");
	if (req->flags > UINT32_MAX)
		return invalid(e, "flags");
	return check_followed(req->share, req->slot, req->parent, req->path, e);
}

static int check_submounts(Husk__Agent__V1__Mount__Submount *const *v, size_t n, bool follow, struct err *e)
{
	if (n > AGENT_MAX_SUBMOUNTS)
		return many(e, "submounts");
	for (size_t i = 0; i < n; i++) {
		int rc = follow && *v[i]->share ? check_followed(v[i]->share, v[i]->slot, v[i]->parent, v[i]->path, e) : 1;

		if (rc < 0)
			return err_wrap(e, rc, "submounts");
		if (rc > 0 && *v[i]->share)
			return invalid(e, "submounts.share");
		if (rc > 0 && (!*v[i]->path || *v[i]->path == '/' || strlen(v[i]->path) > AGENT_MAX_STRING))
			return invalid(e, "submounts.path");
	}
	return 0;
}

static int check_id_maps(const Husk__Agent__V1__Mount *m, struct err *e)
{
	if (m->n_uid_mappings > AGENT_MAX_ID_MAPPINGS || m->n_gid_mappings > AGENT_MAX_ID_MAPPINGS)
		return many(e, "mounts.uid_mappings");
	if (!m->n_uid_mappings != !m->n_gid_mappings)
		return invalid(e, "mounts.gid_mappings");
	return 0;
}

/* The number of one of the container's, as it is written. */
static int check_socket(const Husk__Agent__V1__Container *c, const char *s, struct err *e)
{
	char *end;
	unsigned long n = strtoul(s, &end, 10);

	return *s < '0' || *s > '9' || *end || strlen(s) > 2 || n >= c->n_sockets ? invalid(e, "mounts.source") : 0;
}

static int check_block_node(const Husk__Agent__V1__Mount *m, struct err *e)
{
	const Husk__Agent__V1__BlockNode *n = m->block_node;

	/* Without what it stands for such a mount would be the whole of /dev. */
	if (strcmp(m->type, "own") != 0 || strcmp(m->source, "dev") != 0 || *m->subpath)
		return invalid(e, "mounts.block_node");
	if (strlen(n->disk) > AGENT_MAX_SERIAL)
		return invalid(e, "mounts.block_node.disk");
	if (n->major < 0 || n->major > MAX_MAJOR || n->minor < 0 || n->minor > MAX_MINOR)
		return invalid(e, "mounts.block_node.major");
	return n->mode & ~0777u ? invalid(e, "mounts.block_node.mode") : 0;
}

static bool may_be_common(const Husk__Agent__V1__Mount *m)
{
	return strcmp(m->type, "bind") == 0 || (strcmp(m->type, "own") == 0 && strcmp(m->source, "tmpfs") == 0);
}

static int check_mount(const Husk__Agent__V1__Container *c, const Husk__Agent__V1__Mount *m, struct err *e)
{
	const struct {
		const char *text, *field;
	} texts[] = {
		{ m->data, "mounts.data" },	  { m->type, "mounts.type" },	  { m->source, "mounts.source" },
		{ m->subpath, "mounts.subpath" }, { m->origin, "mounts.origin" }, { m->common, "mounts.common" },
	};
	int rc = check_path(m->destination, "mounts.destination", e);

	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(texts); i++)
		rc = check_text(texts[i].text, texts[i].field, e);
	if (rc == 0 && !*m->type)
		rc = invalid(e, "mounts.type");
	if (rc == 0 && strcmp(m->type, "bind") == 0 && !(m->flags & MS_REMOUNT))
		rc = check_share(m->source, "mounts.source", e);
	if (rc == 0 && strcmp(m->type, "own") == 0 && !is_own(m->source))
		rc = invalid(e, "mounts.source");
	if (rc == 0 && strcmp(m->type, "socket") == 0)
		rc = check_socket(c, m->source, e);
	if (rc == 0 && m->block_node)
		rc = check_block_node(m, e);
	if (rc == 0 && m->n_more_propagation > AGENT_MAX_PROPAGATION)
		rc = many(e, "mounts.more_propagation");
	if (rc == 0 && (m->follow > AGENT_MAX_FOLLOWING || (m->follow && strcmp(m->type, "bind") != 0)))
		rc = invalid(e, "mounts.follow");
	if (rc == 0 && *m->common && (*m->subpath || m->n_submounts || m->follow || m->flags & MS_REMOUNT || !may_be_common(m)))
		rc = invalid(e, "mounts.common");
	if (rc == 0)
		rc = check_submounts(m->submounts, m->n_submounts, m->follow, e);
	return rc == 0 ? check_id_maps(m, e) : rc;
}

static int check_mounts(const Husk__Agent__V1__Container *c, struct err *e)
{
	int rc = check_submounts(c->rootfs_submounts, c->n_rootfs_submounts, false, e);
	size_t nodes = 0;

	if (c->n_mounts > AGENT_MAX_MOUNTS)
		return many(e, "mounts");
	if (c->n_sockets > AGENT_MAX_SOCKETS)
		return many(e, "sockets");
	for (size_t i = 0; rc == 0 && i < c->n_mounts; i++) {
		rc = check_mount(c, c->mounts[i], e);
		nodes += c->mounts[i]->block_node != NULL;
	}
	return rc == 0 && nodes > AGENT_MAX_BLOCK_NODES ? many(e, "mounts.block_node") : rc;
}

static int check_devices(const Husk__Agent__V1__Container *c, struct err *e)
{
	if (c->n_devices > AGENT_MAX_MOUNTS)
		return many(e, "devices");
	for (size_t i = 0; i < c->n_devices; i++) {
		const Husk__Agent__V1__Device *d = c->devices[i];
		int rc = check_path(d->path, "devices.path", e);

		if (rc < 0)
			return rc;
		if (strlen(d->type) != 1 || !strchr("cbpu", d->type[0]))
			return invalid(e, "devices.type");
		if (d->type[0] != 'p' && (d->major < 0 || d->major > MAX_MAJOR || d->minor < 0 ||
					  d->minor > MAX_MINOR))
			return invalid(e, "devices.major");
		if (strlen(d->disk) > AGENT_MAX_SERIAL || (*d->disk && d->type[0] != 'b'))
			return invalid(e, "devices.disk");
	}
	if (c->n_device_rules > AGENT_MAX_DEVICE_RULES)
		return many(e, "device_rules");
	for (size_t i = 0; i < c->n_device_rules; i++) {
		const Husk__Agent__V1__DeviceRule *r = c->device_rules[i];

		if (strlen(r->type) != 1 || !strchr("acb", r->type[0]))
			return invalid(e, "device_rules.type");
		if (r->major < -1 || r->major > MAX_MAJOR || r->minor < -1 || r->minor > MAX_MINOR)
			return invalid(e, "device_rules.major");
		if (strspn(r->access, "rwm") != strlen(r->access) || !*r->access)
			return invalid(e, "device_rules.access");
		if (strlen(r->disk) > AGENT_MAX_SERIAL || (*r->disk && r->type[0] != 'b'))
			return invalid(e, "device_rules.disk");
	}
	return 0;
}

static int check_cgroup(const Husk__Agent__V1__Container *c, struct err *e)
{
	if (strlen(c->cgroup) >= PATH_MAX / 2)
		return invalid(e, "cgroup");
	for (const char *p = c->cgroup; *p; p += strcspn(p, "/"), p += strspn(p, "/")) {
		size_t len = strcspn(p, "/");

		if ((len == 1 && p[0] == '.') || (len == 2 && p[0] == '.' && p[1] == '.'))
			return invalid(e, "cgroup");
	}
	if (c->n_cgroup_values > 256)
		return many(e, "cgroup_values");
	for (size_t i = 0; i < c->n_cgroup_values; i++) {
		const char *key = c->cgroup_values[i]->key;

		if (!*key || *key == '.' || strchr(key, '/') || strlen(key) > NAME_MAX ||
		    strlen(c->cgroup_values[i]->value) > AGENT_MAX_STRING)
			return invalid(e, "cgroup_values");
	}
	return 0;
}

static int check_hooks(const Husk__Agent__V1__Container *c, struct err *e)
{
	int rc = 0;

	if (c->n_start_hooks > AGENT_MAX_HOOKS)
		return many(e, "start_hooks");
	for (size_t i = 0; rc == 0 && i < c->n_start_hooks; i++) {
		const Husk__Agent__V1__Hook *h = c->start_hooks[i];

		rc = check_path(h->path, "start_hooks.path", e);
		if (rc == 0 && *h->path != '/')
			rc = invalid(e, "start_hooks.path");
		if (rc == 0)
			rc = check_strings(h->args, h->n_args, "start_hooks.args", e);
		if (rc == 0)
			rc = check_strings(h->env, h->n_env, "start_hooks.env", e);
	}
	return rc;
}

static int check_mappings(Husk__Agent__V1__IdMapping *const *m, size_t n, bool wanted, const char *field,
			  struct err *e)
{
	if (n > AGENT_MAX_ID_MAPPINGS)
		return many(e, field);
	if ((n != 0) != wanted)
		return err_set(e, EINVAL, "%s: must be there with a user namespace, and only then", field);
	for (size_t i = 0; i < n; i++)
		if (!m[i]->size || (uint64_t)m[i]->container_id + m[i]->size > UINT32_MAX ||
		    (uint64_t)m[i]->host_id + m[i]->size > UINT32_MAX)
			return invalid(e, field);
	return 0;
}

static int check_filter(const Husk__Agent__V1__Seccomp *s, struct err *e)
{
	if (s->filter.len > AGENT_MAX_SECCOMP * sizeof(struct sock_filter))
		return many(e, "seccomp.filter");
	if (!s->filter.len || s->filter.len % sizeof(struct sock_filter))
		return invalid(e, "seccomp.filter");
	if (s->flags & ~(uint32_t)(SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_LOG |
				   SECCOMP_FILTER_FLAG_SPEC_ALLOW))
		return invalid(e, "seccomp.flags");
	return 0;
}

/* What the container asks of the guest's kernel for all its processes. */
static int check_kernel(const Husk__Agent__V1__Container *c, bool user, bool time, struct err *e)
{
	int rc = check_mappings(c->uid_mappings, c->n_uid_mappings, user, "uid_mappings", e);

	if (rc == 0)
		rc = check_mappings(c->gid_mappings, c->n_gid_mappings, user, "gid_mappings", e);
	if (rc == 0 && c->seccomp)
		rc = check_filter(c->seccomp, e);
	if (rc < 0)
		return rc;
	if (c->n_time_offsets > (time ? 2 : 0))
		return invalid(e, "time_offsets");
	for (size_t i = 0; i < c->n_time_offsets; i++)
		if ((c->time_offsets[i]->clock != CLOCK_MONOTONIC &&
		     c->time_offsets[i]->clock != CLOCK_BOOTTIME) ||
		    c->time_offsets[i]->nanosecs >= 1000000000)
			return invalid(e, "time_offsets");
	if (c->memory_policy && c->memory_policy->nodes.len > AGENT_MAX_CPU_BYTES)
		return many(e, "memory_policy.nodes");
	return 0;
}

/* Each kind once, new or another's. */
static int check_joins(const Husk__Agent__V1__Container *c, unsigned *have, struct err *e)
{
	const unsigned may = 1u << HUSK__AGENT__V1__NAMESPACE__NS_PID | 1u << HUSK__AGENT__V1__NAMESPACE__NS_IPC |
			     1u << HUSK__AGENT__V1__NAMESPACE__NS_UTS;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < c->n_join_namespaces; i++) {
		unsigned ns = (unsigned)c->join_namespaces[i]->namespace_;

		if (ns > HUSK__AGENT__V1__NAMESPACE__NS_TIME || !(may & ~*have & 1u << ns))
			return invalid(e, "join_namespaces");
		*have |= 1u << ns;
		rc = check_id(c->join_namespaces[i]->container_id, "join_namespaces: container_id", e);
	}
	/* They are the machine's, and obey nobody but its root. */
	if (rc == 0 && c->n_join_namespaces && *have >> HUSK__AGENT__V1__NAMESPACE__NS_USER & 1)
		return err_set(e, EINVAL, "join_namespaces: not with a user namespace of its own");
	return rc;
}

static int check_namespaces(const Husk__Agent__V1__Container *c, struct err *e)
{
	unsigned have = 0;
	int rc;

	if (c->n_new_namespaces > HUSK__AGENT__V1__NAMESPACE__NS_TIME)
		return many(e, "new_namespaces");
	for (size_t i = 0; i < c->n_new_namespaces; i++) {
		unsigned ns = (unsigned)c->new_namespaces[i];

		if (!ns || ns > HUSK__AGENT__V1__NAMESPACE__NS_TIME || have >> ns & 1)
			return invalid(e, "new_namespaces");
		have |= 1u << ns;
	}
	rc = check_joins(c, &have, e);
	if (rc < 0)
		return rc;
	if (!(have >> HUSK__AGENT__V1__NAMESPACE__NS_MOUNT & 1))
		return err_set(e, EINVAL, "new_namespaces: a mount namespace is required");
	if ((*c->hostname || *c->domainname) && !(have >> HUSK__AGENT__V1__NAMESPACE__NS_UTS & 1))
		return err_set(e, EINVAL, "hostname: needs a uts namespace of its own");
	return check_kernel(c, have >> HUSK__AGENT__V1__NAMESPACE__NS_USER & 1,
			    have >> HUSK__AGENT__V1__NAMESPACE__NS_TIME & 1, e);
}

static int check_container(const Husk__Agent__V1__Container *c, struct err *e)
{
	int rc = 0;

	if (!*c->rootfs_disk)
		rc = check_share(c->rootfs_share, "rootfs_share", e);
	else if (*c->rootfs_share || strlen(c->rootfs_disk) > AGENT_MAX_SERIAL)
		rc = invalid(e, "rootfs_disk");
	if (rc == 0)
		rc = check_namespaces(c, e);
	if (rc == 0)
		rc = check_mounts(c, e);
	if (rc == 0)
		rc = check_devices(c, e);
	if (rc == 0)
		rc = check_cgroup(c, e);
	if (rc == 0)
		rc = check_hooks(c, e);
	if (rc < 0)
		return rc;
	if (strlen(c->hostname) >= sizeof(((struct utsname *)0)->nodename))
		return invalid(e, "hostname");
	if (strlen(c->domainname) >= sizeof(((struct utsname *)0)->domainname))
		return invalid(e, "domainname");
	if (c->n_masked_paths > AGENT_MAX_MOUNTS || c->n_readonly_paths > AGENT_MAX_MOUNTS ||
	    c->n_sysctl > AGENT_MAX_MOUNTS)
		return many(e, "masked_paths, readonly_paths, sysctl");
	for (size_t i = 0; rc == 0 && i < c->n_masked_paths; i++)
		rc = check_path(c->masked_paths[i], "masked_paths", e);
	for (size_t i = 0; rc == 0 && i < c->n_readonly_paths; i++)
		rc = check_path(c->readonly_paths[i], "readonly_paths", e);
	for (size_t i = 0; rc == 0 && i < c->n_sysctl; i++)
		if (!*c->sysctl[i]->key || strlen(c->sysctl[i]->key) > NAME_MAX)
			rc = invalid(e, "sysctl");
	return rc;
}

int check_create(const Husk__Agent__V1__CreateContainerRequest *req, struct err *e)
{
	int rc = check_id(req->container_id, "container_id", e);

	if (rc == 0 && !req->container)
		rc = invalid(e, "container");
	if (rc == 0)
		rc = check_container(req->container, e);
	return rc == 0 ? check_process(req->container->process, e) : rc;
}

int check_exec(const Husk__Agent__V1__ExecRequest *req, struct err *e)
{
	int rc = check_id(req->container_id, "container_id", e);

	if (rc == 0)
		rc = check_id(req->exec_id, "exec_id", e);
	if (rc == 0 && strlen(req->cgroup) >= PATH_MAX / 2)
		rc = invalid(e, "cgroup");
	return rc == 0 ? check_process(req->process, e) : rc;
}

int check_update(const Husk__Agent__V1__UpdateRequest *req, struct err *e)
{
	if (req->n_values > AGENT_MAX_VALUES)
		return many(e, "values");
	for (size_t i = 0; i < req->n_values; i++) {
		const Husk__Agent__V1__CgroupValue *v = req->values[i];

		/* Limits only: what moves, stops or kills processes has calls of its own. */
		if (!*v->file || *v->file == '.' || strchr(v->file, '/') || strlen(v->file) > NAME_MAX ||
		    strncmp(v->file, "cgroup.", 7) == 0 || !*v->value ||
		    strlen(v->value) > AGENT_MAX_STRING)
			return invalid(e, "values");
	}
	return 0;
}

int check_disks(const Husk__Agent__V1__UpdateDisksRequest *req, struct err *e)
{
	Husk__Agent__V1__DiskDevice *const *list = req->n_add ? req->add : req->remove;
	size_t n = req->n_add + req->n_remove;

	if (!n || (req->n_add && req->n_remove))
		return invalid(e, "add, remove");
	if (n > AGENT_MAX_DISKS)
		return many(e, "add, remove");
	for (size_t i = 0; i < n; i++) {
		const Husk__Agent__V1__DiskDevice *d = list[i];
		int rc = check_path(d->path, "disks.path", e);

		if (rc < 0)
			return rc;
		if (*d->path != '/' || d->path[strlen(d->path) - 1] == '/')
			return invalid(e, "disks.path");
		if (!*d->disk || strlen(d->disk) > AGENT_MAX_SERIAL)
			return invalid(e, "disks.disk");
		if (strspn(d->access, "rwm") != strlen(d->access) || strlen(d->access) > 3 || (req->n_add && !*d->access))
			return invalid(e, "disks.access");
		if (d->mode & ~0777u)
			return invalid(e, "disks.mode");
	}
	return 0;
}
