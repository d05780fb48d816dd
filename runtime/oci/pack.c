// SPDX-License-Identifier: Apache-2.0
/*
 * The guest's half of a spec as the agent's messages. Everything is built in a pool that ends here; strings
 * stay the spec's.
 */
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include "agent-proto/proto/limits.h"
#include "runtime/oci/limits.h"
#include "runtime/oci/pack_internal.h"

typedef Husk__Agent__V1__Container pb_container;
typedef Husk__Agent__V1__Process pb_process;

static ProtobufCBinaryData *byte_strings(struct packer *p, const struct oci_strv *v)
{
	ProtobufCBinaryData *list = take(p, v->n, sizeof(*list));

	for (size_t i = 0; list && i < v->n; i++) {
		list[i].len = strlen(v->v[i]);
		list[i].data = (uint8_t *)str(v->v[i]);
	}
	return list;
}

static char **strings(struct packer *p, const struct oci_strv *v)
{
	char **list = take(p, v->n, sizeof(*list));

	for (size_t i = 0; list && i < v->n; i++)
		list[i] = str(v->v[i]);
	return list;
}

static void fill_user(Husk__Agent__V1__User *u, const struct oci_user *from)
{
	husk__agent__v1__user__init(u);
	u->uid = from->uid;
	u->gid = from->gid;
	u->n_additional_gids = from->n_additional_gids;
	u->additional_gids = from->additional_gids;
	u->has_umask = from->has_umask;
	u->umask = from->umask;
}

static void fill_caps(Husk__Agent__V1__Capabilities *m, const struct oci_caps *from)
{
	husk__agent__v1__capabilities__init(m);
	m->bounding = from->bounding;
	m->effective = from->effective;
	m->inheritable = from->inheritable;
	m->permitted = from->permitted;
	m->ambient = from->ambient;
}

static Husk__Agent__V1__Capabilities *no_caps(struct packer *p)
{
	Husk__Agent__V1__Capabilities *caps = take(p, 1, sizeof(*caps));

	if (caps)
		husk__agent__v1__capabilities__init(caps);
	return caps;
}

/* Limits that are not named are those of the runtime's caller under runc. All but this one are the guest's. */
static bool own_files(const struct oci_process *from, struct rlimit *ret)
{
	for (size_t i = 0; i < from->n_rlimits; i++)
		if (strcmp(from->rlimits[i].type, "RLIMIT_NOFILE") == 0)
			return false;
	return getrlimit(RLIMIT_NOFILE, ret) == 0;
}

static void fill_rlimits(struct packer *p, pb_process *m, const struct oci_process *from, bool inherit)
{
	struct rlimit own;
	bool add = inherit && own_files(from, &own);
	size_t n = from->n_rlimits;

	m->n_rlimits = n + add;
	m->rlimits = MESSAGES(p, m->n_rlimits, Husk__Agent__V1__Rlimit, husk__agent__v1__rlimit);
	for (size_t i = 0; m->rlimits && i < n; i++) {
		m->rlimits[i]->type = str(from->rlimits[i].type);
		m->rlimits[i]->soft = from->rlimits[i].soft;
		m->rlimits[i]->hard = from->rlimits[i].hard;
	}
	if (m->rlimits && add) {
		m->rlimits[n]->type = str("RLIMIT_NOFILE");
		m->rlimits[n]->soft = min_t(uint64_t, own.rlim_cur, AGENT_MAX_FILES);
		m->rlimits[n]->hard = min_t(uint64_t, own.rlim_max, AGENT_MAX_FILES);
	}
}

static void add_extra(struct packer *p, pb_process *m, const struct oci_pack_streams *streams)
{
	m->n_extra_streams = streams->n_extra;
	m->extra_streams = MESSAGES(p, streams->n_extra, Husk__Agent__V1__ExtraStream,
				    husk__agent__v1__extra_stream);
	for (size_t i = 0; m->extra_streams && i < streams->n_extra; i++) {
		m->extra_streams[i]->token = streams->extra[i].token;
		m->extra_streams[i]->kind = (Husk__Agent__V1__StreamKind)streams->extra[i].kind;
		m->extra_streams[i]->family = streams->extra[i].family;
		m->extra_streams[i]->port = streams->extra[i].port;
	}
}

static pb_process *make_process(struct packer *p, const struct oci_process *from,
				const struct oci_pack_streams *streams, bool inherit)
{
	pb_process *m = take(p, 1, sizeof(*m));
	Husk__Agent__V1__User *user = take(p, 1, sizeof(*user));
	Husk__Agent__V1__Capabilities *caps = take(p, 1, sizeof(*caps));
	Husk__Agent__V1__Streams *st = take(p, 1, sizeof(*st));

	if (p->failed)
		return NULL;
	husk__agent__v1__process__init(m);
	husk__agent__v1__streams__init(st);
	fill_user(user, &from->user);
	fill_caps(caps, &from->caps);
	fill_rlimits(p, m, from, inherit);
	st->stdin = streams->in;
	st->stdout = streams->out;
	st->stderr = streams->err;
	m->terminal = from->terminal;
	m->rows = from->rows;
	m->columns = from->columns;
	m->user = user;
	m->n_args = from->args.n;
	m->args = byte_strings(p, &from->args);
	m->n_env = from->env.n;
	m->env = byte_strings(p, &from->env);
	m->cwd = str(from->cwd);
	m->capabilities = from->caps.present ? caps : NULL;
	m->no_new_privileges = from->no_new_privileges;
	m->has_oom_score_adj = from->has_oom_score_adj;
	m->oom_score_adj = from->oom_score_adj;
	m->streams = st;
	pack_sched(p, m, from);
	add_extra(p, m, streams);
	return m;
}

static void add_namespaces(struct packer *p, pb_container *m, const struct oci_spec *s)
{
	static const Husk__Agent__V1__Namespace names[OCI_NS_COUNT] = {
		[OCI_NS_PID] = HUSK__AGENT__V1__NAMESPACE__NS_PID,
		[OCI_NS_NETWORK] = HUSK__AGENT__V1__NAMESPACE__NS_NETWORK,
		[OCI_NS_MOUNT] = HUSK__AGENT__V1__NAMESPACE__NS_MOUNT,
		[OCI_NS_IPC] = HUSK__AGENT__V1__NAMESPACE__NS_IPC,
		[OCI_NS_UTS] = HUSK__AGENT__V1__NAMESPACE__NS_UTS,
		[OCI_NS_CGROUP] = HUSK__AGENT__V1__NAMESPACE__NS_CGROUP,
		[OCI_NS_USER] = HUSK__AGENT__V1__NAMESPACE__NS_USER,
		[OCI_NS_TIME] = HUSK__AGENT__V1__NAMESPACE__NS_TIME,
	};

	m->new_namespaces = take(p, OCI_NS_COUNT, sizeof(*m->new_namespaces));
	m->join_namespaces = MESSAGES(p, OCI_NS_COUNT, Husk__Agent__V1__JoinNamespace, husk__agent__v1__join_namespace);
	for (unsigned t = 0; m->new_namespaces && m->join_namespaces && t < OCI_NS_COUNT; t++) {
		if (s->ns[t].container) {
			m->join_namespaces[m->n_join_namespaces]->namespace_ = names[t];
			m->join_namespaces[m->n_join_namespaces++]->container_id = str(s->ns[t].container);
		} else if (s->ns[t].wanted) {
			m->new_namespaces[m->n_new_namespaces++] = names[t];
		}
	}
}

static Husk__Agent__V1__Mount__Submount **submounts(struct packer *p, const struct oci_pack_source *src)
{
	Husk__Agent__V1__Mount__Submount **list =
		MESSAGES(p, src->n_below, Husk__Agent__V1__Mount__Submount, husk__agent__v1__mount__submount);

	for (size_t i = 0; list && i < src->n_below; i++) {
		list[i]->path = str(src->below[i].path);
		list[i]->flags = src->below[i].flags;
		list[i]->share = str(src->below[i].share ? src->below[i].share : "");
		list[i]->slot = src->below[i].slot;
		list[i]->parent = src->below[i].parent;
	}
	return list;
}

/* What a bind mount takes over from the mount that it shows: all that its options do not name. */
static void add_flags(Husk__Agent__V1__Mount *to, const struct oci_mount *from, uint64_t inherited)
{
	uint64_t atime = MS_NOATIME | MS_RELATIME | MS_STRICTATIME;

	if ((from->flags | from->flags_clear) & atime)
		inherited &= ~atime;
	to->flags = from->flags | (inherited & ~from->flags_clear) | (from->recursive ? MS_REC : 0);
	to->flags_clear = from->flags_clear;
	to->rec_attr_set = from->rec_set;
	to->rec_attr_clear = from->rec_clear;
}

static Husk__Agent__V1__BlockNode *block_node(struct packer *p, const struct oci_mount *from)
{
	Husk__Agent__V1__BlockNode *n = take(p, 1, sizeof(*n));

	if (!n)
		return NULL;
	husk__agent__v1__block_node__init(n);
	n->disk = str(from->block.disk ? from->block.disk : "");
	n->major = from->block.major;
	n->minor = from->block.minor;
	n->mode = from->block.mode;
	n->uid = from->block.uid;
	n->gid = from->block.gid;
	return n;
}

static void add_mount(struct packer *p, Husk__Agent__V1__Mount *to, const struct oci_mount *from,
		      const struct oci_pack_source *src)
{
	to->destination = str(from->destination);
	to->type = str(src->type ? src->type : from->bind ? "bind" : from->type);
	to->source = str(src->name ? src->name : from->source);
	to->origin = str(from->source);
	to->subpath = str(src->subpath ? src->subpath : "");
	to->data = str(src->data ? src->data : from->data);
	to->source_is_file = src->is_file;
	add_flags(to, from, src->flags);
	if (from->n_propagation) {
		to->propagation = from->propagation[0];
		to->more_propagation = from->propagation + 1;
		to->n_more_propagation = from->n_propagation - 1;
	}
	to->copy_up = from->copy_up;
	to->follow = src->follow;
	to->common = str(src->common ? src->common : "");
	to->n_submounts = src->n_below;
	to->submounts = submounts(p, src);
	to->n_uid_mappings = from->n_uid_mappings;
	to->uid_mappings = pack_mappings(p, from->uid_mappings, from->n_uid_mappings);
	to->n_gid_mappings = from->n_gid_mappings;
	to->gid_mappings = pack_mappings(p, from->gid_mappings, from->n_gid_mappings);
	to->id_map_recursive = from->idmap_recursive;
	if (from->block.is)
		to->block_node = block_node(p, from);
}

static void add_mounts(struct packer *p, pb_container *m, const struct oci_spec *s,
		       const struct oci_pack_source *src)
{
	m->n_mounts = s->n_mounts;
	m->mounts = MESSAGES(p, s->n_mounts, Husk__Agent__V1__Mount, husk__agent__v1__mount);
	for (size_t i = 0; m->mounts && i < s->n_mounts; i++)
		add_mount(p, m->mounts[i], &s->mounts[i], &src[i]);
}

static void add_sockets(struct packer *p, pb_container *m, const struct oci_spec *s, const struct oci_pack_source *src)
{
	m->sockets = MESSAGES(p, s->n_mounts, Husk__Agent__V1__HostSocket, husk__agent__v1__host_socket);
	for (size_t i = 0; m->sockets && i < s->n_mounts; i++) {
		Husk__Agent__V1__HostSocket *to = m->sockets[m->n_sockets];

		if (!src[i].type || strcmp(src[i].type, "socket") != 0)
			continue;
		to->mode = src[i].sock.mode;
		to->uid = src[i].sock.uid;
		to->gid = src[i].sock.gid;
		to->datagram = src[i].sock.datagram;
		m->n_sockets++;
	}
}

static void add_devices(struct packer *p, pb_container *m, const struct oci_spec *s)
{
	static const char types[][2] = { "c", "b", "p", "u" };

	m->n_devices = s->n_devices;
	m->devices = MESSAGES(p, s->n_devices, Husk__Agent__V1__Device, husk__agent__v1__device);
	for (size_t i = 0; m->devices && i < s->n_devices; i++) {
		const struct oci_device *from = &s->devices[i];
		Husk__Agent__V1__Device *to = m->devices[i];

		to->path = str(from->path);
		for (size_t t = 0; t < ARRAY_SIZE(types); t++)
			if (types[t][0] == from->type)
				to->type = str(types[t]);
		to->major = from->major;
		to->minor = from->minor;
		to->mode = from->has_mode ? from->mode : 0666;
		to->uid = from->uid;
		to->gid = from->gid;
		to->disk = str(from->disk ? from->disk : "");
	}
}

static void add_device_rules(struct packer *p, pb_container *m, const struct oci_resources *r)
{
	static const char types[][2] = { "a", "c", "b" };

	m->n_device_rules = r->n_devices;
	m->device_rules = MESSAGES(p, r->n_devices, Husk__Agent__V1__DeviceRule,
				   husk__agent__v1__device_rule);
	for (size_t i = 0; m->device_rules && i < r->n_devices; i++) {
		const struct oci_device_rule *from = &r->devices[i];
		Husk__Agent__V1__DeviceRule *to = m->device_rules[i];

		to->allow = from->allow;
		for (size_t t = 0; t < ARRAY_SIZE(types); t++)
			if (types[t][0] == from->type)
				to->type = str(types[t]);
		to->major = from->major;
		to->minor = from->minor;
		to->access = str(from->access);
		to->disk = str(from->disk ? from->disk : "");
	}
}

static void add_sysctl(struct packer *p, pb_container *m, const struct oci_spec *s)
{
	m->n_sysctl = s->n_sysctl;
	m->sysctl = MESSAGES(p, s->n_sysctl, Husk__Agent__V1__Container__SysctlEntry,
			     husk__agent__v1__container__sysctl_entry);
	for (size_t i = 0; m->sysctl && i < s->n_sysctl; i++) {
		m->sysctl[i]->key = str(s->sysctl[i].key);
		m->sysctl[i]->value = str(s->sysctl[i].value);
	}
}

static void add_cgroup_values(struct packer *p, pb_container *m, const struct oci_limits *l)
{
	m->n_cgroup_values = l->n;
	m->cgroup_values = MESSAGES(p, l->n, Husk__Agent__V1__Container__CgroupValuesEntry,
				    husk__agent__v1__container__cgroup_values_entry);
	for (size_t i = 0; m->cgroup_values && i < l->n; i++) {
		m->cgroup_values[i]->key = str(l->v[i].file);
		m->cgroup_values[i]->value = str(l->v[i].value);
	}
}

static void add_hooks(struct packer *p, pb_container *m, const struct oci_hook_list *l,
		      const struct oci_pack_state *state)
{
	m->n_start_hooks = l->n;
	m->start_hooks = MESSAGES(p, l->n, Husk__Agent__V1__Hook, husk__agent__v1__hook);
	for (size_t i = 0; m->start_hooks && i < l->n; i++) {
		const struct oci_hook *from = &l->v[i];
		Husk__Agent__V1__Hook *to = m->start_hooks[i];

		to->path = str(from->path);
		to->n_args = from->args.n;
		to->args = byte_strings(p, &from->args);
		to->n_env = from->env.n;
		to->env = byte_strings(p, &from->env);
		to->env_of_process = !from->has_env;
		to->timeout = from->timeout;
	}
	if (!l->n)
		return;
	m->hook_state_head.len = strlen(state->head);
	m->hook_state_head.data = (uint8_t *)str(state->head);
	m->hook_state_tail.len = strlen(state->tail);
	m->hook_state_tail.data = (uint8_t *)str(state->tail);
}

static int pack_into(struct packer *p, const ProtobufCMessage *m, struct buf *out, struct err *e)
{
	size_t len;
	void *room;

	if (p->failed)
		return err_set(e, ENOMEM, "out of memory");
	len = protobuf_c_message_get_packed_size(m);
	room = buf_reserve(out, len);
	if (!room)
		return err_set(e, EFBIG, "the configuration is too large to send to the guest");
	protobuf_c_message_pack(m, room);
	buf_commit(out, len);
	return 0;
}

/* A new namespace begins with the names of the one that its maker is in: the host's. */
static const char *hostname_of(const struct oci_spec *s, struct utsname *host)
{
	const struct oci_namespace *uts = &s->ns[OCI_NS_UTS];

	return !*s->hostname && uts->wanted && !uts->container && uname(host) == 0 ? host->nodename : s->hostname;
}

int oci_pack_create(const struct oci_spec *s, const char *container_id,
		    const struct oci_pack_source *root, const struct oci_pack_disk *root_disk, const struct oci_pack_source *src,
		    const struct oci_pack_streams *streams, const struct oci_pack_state *state,
		    struct buf *out, struct err *e)
{
	Husk__Agent__V1__CreateContainerRequest req;
	pb_container c;
	struct packer p = { 0 };
	struct oci_limits limits;
	struct utsname host;
	int rc = oci_limits_guest(&s->res, &limits, e);

	if (rc < 0) {
		oci_limits_free(&limits);
		return rc;
	}
	husk__agent__v1__create_container_request__init(&req);
	husk__agent__v1__container__init(&c);
	req.container_id = str(container_id);
	req.container = &c;
	c.rootfs_share = str(root->name ? root->name : "");
	c.rootfs_disk = str(root_disk ? root_disk->serial : "");
	c.rootfs_disk_readonly = root_disk && root_disk->readonly;
	c.rootfs_flags = root->flags;
	c.n_rootfs_submounts = root->n_below;
	c.rootfs_submounts = submounts(&p, root);
	c.rootfs_readonly = s->root_readonly;
	c.rootfs_propagation = s->rootfs_propagation;
	c.hostname = str(hostname_of(s, &host));
	c.domainname = str(s->domainname);
	c.n_masked_paths = s->masked_paths.n;
	c.masked_paths = strings(&p, &s->masked_paths);
	c.n_readonly_paths = s->readonly_paths.n;
	c.readonly_paths = strings(&p, &s->readonly_paths);
	add_namespaces(&p, &c, s);
	add_mounts(&p, &c, s, src);
	add_sockets(&p, &c, s, src);
	add_devices(&p, &c, s);
	add_device_rules(&p, &c, &s->res);
	add_sysctl(&p, &c, s);
	add_cgroup_values(&p, &c, &limits);
	add_hooks(&p, &c, &s->hooks.of[OCI_START_CONTAINER], state);
	pack_kernel(&p, &c, s);
	c.process = make_process(&p, &s->process, streams, true);
	/* As runc: a configuration without a word of them gives none. */
	if (c.process && !c.process->capabilities)
		c.process->capabilities = no_caps(&p);
	rc = pack_into(&p, &req.base, out, e);
	oci_pool_free(&p.pool);
	oci_limits_free(&limits);
	return rc;
}

int oci_pack_exec(const struct oci_process *proc, const char *container_id, const char *exec_id, const char *cgroup,
		  const struct oci_pack_streams *streams, bool ignore_paused, struct buf *out,
		  struct err *e)
{
	Husk__Agent__V1__ExecRequest req;
	struct packer p = { 0 };
	int rc;

	husk__agent__v1__exec_request__init(&req);
	req.container_id = str(container_id);
	req.exec_id = str(exec_id);
	req.cgroup = str(cgroup);
	/* Without limits of its own it has the container's. */
	req.process = make_process(&p, proc, streams, proc->n_rlimits > 0);
	req.ignore_paused = ignore_paused;
	rc = pack_into(&p, &req.base, out, e);
	oci_pool_free(&p.pool);
	return rc;
}
