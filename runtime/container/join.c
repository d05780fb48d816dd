// SPDX-License-Identifier: Apache-2.0
#include "runtime/container/join.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/log.h"
#include "runtime/container/create_internal.h"
#include "runtime/container/device_update.h"
#include "runtime/container/group.h"
#include "runtime/container/id.h"
#include "runtime/oci/spec.h"
#include "runtime/proxy/client.h"

/* For a machine that closed its sockets to be gone. */
#define END_TIMEOUT_MS 2000

#define FIELD "config.json: linux.namespaces: "

static const enum oci_ns_type by_path[JOIN_KINDS] = { OCI_NS_PID, OCI_NS_IPC, OCI_NS_UTS };

/* A member of the sandbox whose namespace @path is. */
struct search {
	int root;
	const char *sandbox, *path, *kind;
	char *id; /* NAME_MAX + 1 bytes: the one found */
};

/* The process of "/proc/PID/ns/KIND"; 0: it is another path. */
static pid_t process_of(const char *path, const char *kind)
{
	char want[64];
	int pid;

	if (sscanf(path, "/proc/%d/", &pid) != 1 || pid <= 0)
		return 0;
	snprintf(want, sizeof(want), "/proc/%d/ns/%s", pid, kind);
	return strcmp(path, want) == 0 ? pid : 0;
}

static bool is_same(const char *path, pid_t pid, const char *kind)
{
	char its[64];
	struct stat a, b, own;

	snprintf(its, sizeof(its), "/proc/%d/ns/%s", pid, kind);
	if (stat(path, &a) < 0 || stat(its, &b) < 0 || a.st_ino != b.st_ino || a.st_dev != b.st_dev)
		return false;
	/* The host's own is everybody's whose engine asked for no other. */
	snprintf(its, sizeof(its), "/proc/self/ns/%s", kind);
	return stat(its, &own) == 0 && (own.st_ino != a.st_ino || own.st_dev != a.st_dev);
}

/* Proxies are in the host's pid namespace, so that one is told by the process alone. */
static int look_at(void *arg, const char *id)
{
	struct search *s = arg;
	struct container_state st;
	_cleanup_close_ int dir = -1;
	bool found;

	if (container_find(s->root, id, &dir, &st, NULL) < 0)
		return 0;
	found = container_status_lives(st.status) && strcmp(st.sandbox, s->sandbox) == 0 &&
		(process_of(s->path, s->kind) == st.proxy.pid || is_same(s->path, st.proxy.pid, s->kind));
	container_state_done(&st);
	if (found)
		snprintf(s->id, NAME_MAX + 1, "%s", id);
	return found;
}

/* *ret_id: "" for nobody's of the machine's. */
static void whose(const struct join *j, int root, const char *path, const char *kind, char ret_id[NAME_MAX + 1])
{
	struct search s = { .root = root, .sandbox = j->sandbox, .path = path, .kind = kind, .id = ret_id };
	struct sandbox_record r;
	_cleanup_close_ int dir = -1;

	*ret_id = 0;
	if (*j->sandbox && sandbox_open(root, j->sandbox, false, &dir, NULL) == 0 && sandbox_load(dir, &r, NULL) == 0)
		sandbox_members(dir, &r, look_at, &s);
}

/* One that is kept by a mount and has nobody of a machine's in it: an engine (CRI-O) made it for a pod that is still to
 * come. The pod's first container makes the guest's. */
static bool is_pinned(enum oci_ns_type type, const char *path)
{
	return type != OCI_NS_PID && strncmp(path, "/proc/", 6) != 0;
}

static int name_namespaces(struct join *j, int root, struct oci_spec *spec, struct err *e)
{
	for (size_t i = 0; i < JOIN_KINDS; i++) {
		struct oci_namespace *ns = &spec->ns[by_path[i]];
		const char *kind = oci_ns_name(by_path[i]);

		if (!ns->path)
			continue;
		whose(j, root, ns->path, kind, j->owner[i]);
		if (!*j->owner[i] && is_pinned(by_path[i], ns->path))
			continue;
		if (!*j->owner[i])
			return err_set(e, EINVAL, FIELD "joining a %s namespace by path is not supported unless it is of a "
				       "container whose network is shared, too, and %s is not", kind, ns->path);
		if (spec->ns[OCI_NS_USER].wanted)
			return err_set(e, EINVAL, FIELD "joining a %s namespace is not supported with a user namespace of its "
				       "own", kind);
		ns->container = j->owner[i];
	}
	return 0;
}

/* What comes with a machine, and another has made this one. */
static int check_wishes(const struct oci_spec *spec, const char *owner, struct err *e)
{
	const char *bad = spec->vm.image ? "vm.image" : spec->vm.kernel ? "vm.kernel" : spec->vm.hypervisor ? "vm.hypervisor" :
			  spec->n_net_devices ? "linux.netDevices" : NULL;

	if (!bad)
		return 0;
	return err_set(e, EINVAL, "config.json: %s: not in the virtual machine of %s, whose network the container is to share",
		       bad, owner);
}

int join_find(struct join *j, int root, int netns, struct oci_spec *spec, struct err *e)
{
	uint32_t mark;
	int rc;

	j->sandbox[0] = 0;
	snprintf(j->prefix, sizeof(j->prefix), "%s", SHARE_PREFIX);
	if (netns < 0 || sandbox_find(root, netns, j->sandbox) <= 0)
		j->sandbox[0] = 0;
	rc = name_namespaces(j, root, spec, e);
	if (rc < 0 || !*j->sandbox)
		return rc;
	if (getrandom(&mark, sizeof(mark), 0) != (ssize_t)sizeof(mark))
		return err_errno(e, errno, "getrandom");
	snprintf(j->prefix, sizeof(j->prefix), "j%08" PRIx32 "-", mark);
	return check_wishes(spec, j->sandbox, e);
}

/* ---- in ---------------------------------------------------------------------------------------------------- */

/* The group of the container @id bounds the machine, no more that one container. */
static void bound(int root, const char *id, const struct nc_memory_reply *m, uint64_t before, uint64_t now)
{
	struct container_state st;
	_cleanup_close_ int dir = -1;
	struct err e = ERR_INIT;

	if (!*id || container_find(root, id, &dir, &st, &e) < 0)
		return;
	if (group_share(&st, m->boot + m->later, before, now, &e) < 0)
		log_warn("the limits of %s hold for the whole machine: %s", id, e.msg);
	container_state_done(&st);
}

void join_bound(int root, int sandbox, const struct nc_memory_reply *machine, uint64_t before, uint64_t now)
{
	struct sandbox_record r;

	if (sandbox_load(sandbox, &r, NULL) == 0)
		bound(root, r.host, machine, before, now);
}

int join_enter(const struct join *j, int root, const char *id, uint64_t limit, struct sandbox *vm, struct err *e)
{
	struct nc_memory_reply memory;
	struct sandbox_record r;
	_cleanup_close_ int dir = -1;
	_cleanup_close_ int sock = -1;
	int rc = sandbox_open(root, j->sandbox, true, &dir, e);

	if (rc == 0)
		rc = sandbox_load(dir, &r, e);
	/* From here on the machine lives as long as we do. */
	if (rc == 0)
		rc = sandbox_join(root, j->sandbox, &sock, e);
	if (rc == 0)
		rc = ncl_new(&vm->ctl, sock, e);
	if (rc < 0)
		return err_wrap(e, rc, "cannot join the virtual machine of %s", j->sandbox);
	sock = -1;
	rc = ncl_memory(vm->ctl, &memory, CALL_TIMEOUT_MS, e);
	if (rc == 0)
		rc = sandbox_enroll(dir, id, e);
	if (rc == 0)
		bound(root, r.host, &memory, 0, limit);
	return rc;
}

/* ---- out --------------------------------------------------------------------------------------------------- */

struct other {
	int root;
	const char *sandbox, *except;
	struct container_state st; /* one that lives, which ends the search */
	int dir;
	char creating[NAME_MAX + 1]; /* one that is not there yet; "": none */
};

static int is_other(void *arg, const char *id)
{
	struct other *o = arg;
	int rc;

	if (strcmp(id, o->except) == 0 || container_id_check(id, NULL) < 0)
		return 0;
	/* One that cannot be looked at may live. */
	rc = container_find(o->root, id, &o->dir, &o->st, NULL);
	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	if (strcmp(o->st.sandbox, o->sandbox) == 0 && container_status_lives(o->st.status))
		return 1;
	if (strcmp(o->st.sandbox, o->sandbox) == 0 && o->st.status == CONTAINER_CREATING)
		snprintf(o->creating, sizeof(o->creating), "%s", id);
	container_state_done(&o->st);
	close_and_reset(&o->dir);
	return 0;
}

/* A proxy that ends in good order has done so itself. An error: the machine does not answer. */
static int drop_shares(struct ncl *machine, const struct container_state *s)
{
	char name[SHARE_NAME_MAX];
	unsigned i = 0;
	int rc;

	do {
		snprintf(name, sizeof(name), "%s%u", s->shares && *s->shares ? s->shares : SHARE_PREFIX, i);
		rc = ncl_share_remove(machine, SANDBOX_FS_DEVICE, name, CALL_TIMEOUT_MS, NULL);
	} while (rc == 0 && ++i <= PROXY_MAX_SHARES);
	/* Of these any may be there. */
	for (i = 0; i < FOLLOW_MAX_MOUNTS && rc != -ETIMEDOUT && rc != -EPIPE; i++) {
		snprintf(name, sizeof(name), "%s" FOLLOW_SHARE_MARK "%u", s->shares && *s->shares ? s->shares : SHARE_PREFIX, i);
		rc = ncl_share_remove(machine, SANDBOX_FS_DEVICE, name, CALL_TIMEOUT_MS, NULL);
	}
	return rc == -ETIMEDOUT || rc == -EPIPE ? rc : 0;
}

/* The machine's group, @from's, is to be removed: machine and husk-net go on in that of @to, bounded by no less than
 * before. */
static int move(const struct sandbox_record *r, const struct container_state *from, struct other *to,
		const struct nc_memory_reply *m, struct err *e)
{
	_cleanup_close_ int group = -1;
	_cleanup_close_ int proxy = -1;
	int rc = 0;

	if (!*to->st.cgroup)
		return err_set(e, ENOENT, "container %s has no cgroup", to->st.id);
	rc = cgroup_open(to->st.cgroup, &group);
	if (rc < 0)
		return err_errno(e, -rc, "cannot open the cgroup %s", to->st.cgroup);
	rc = group_share(&to->st, m->boot + m->later, 0, group_memory(from), e);
	if (rc == 0)
		rc = group_enter(&to->st, group, r->machine.pid, e);
	if (rc == 0 && r->net.pid)
		rc = group_enter(&to->st, group, r->net.pid, e);
	/* It is to know that its group is more than its own. */
	if (rc == 0)
		rc = container_proxy(to->dir, &proxy, e);
	return rc < 0 ? rc : proxy_call(proxy, PROXY_HOST, NULL, CALL_TIMEOUT_MS, e);
}

/* One that does not answer has ended, or ends, with whoever is in it. That it is only slow, or has as many clients as it takes,
 * is no reason to end the others: leaving can be repeated. */
static bool has_ended(const struct proc_id *machine)
{
	_cleanup_close_ int pidfd = proc_open(machine);

	return pidfd == -ESRCH || (pidfd >= 0 && proc_wait_end(pidfd, END_TIMEOUT_MS) == 0);
}

static int ask_machine(const struct container_host *h, const char *id, const char *name, const struct container_state *s,
		       struct nc_memory_reply *ret, struct err *e)
{
	struct ncl *machine;
	int sock, rc = sandbox_join(h->root, name, &sock, e);

	if (rc < 0)
		return rc;
	rc = ncl_new(&machine, sock, e);
	if (rc < 0) {
		close(sock);
		return rc;
	}
	rc = ncl_memory(machine, ret, CALL_TIMEOUT_MS, e);
	if (rc == 0) {
		rc = drop_shares(machine, s);
		if (rc < 0)
			err_errno(e, -rc, "cannot drop its files");
	}
	if (rc == 0)
		container_devices_leave(machine, h->root, id);
	ncl_free(machine);
	return rc;
}

static int leave_to(const struct container_host *h, const char *id, const char *name, const struct container_state *s, int dir,
		    struct sandbox_record *r, struct other *to, struct err *e)
{
	bool moves = strcmp(r->host, id) == 0 && s->cgroup && *s->cgroup;
	struct nc_memory_reply memory;
	int rc;

	/* It may have no group yet, and may come to nothing. */
	if (moves && !to->st.id)
		return err_set(e, EAGAIN, "container %s is being created in the virtual machine, which cannot leave the control "
			       "group of %s before that is done: try again", to->creating, id);
	rc = ask_machine(h, id, name, s, &memory, e);
	if (rc < 0)
		return has_ended(&r->machine) ? 0 : err_wrap(e, rc, "cannot leave the virtual machine to container %s",
							     to->st.id ?: to->creating);
	if (moves) {
		rc = move(r, s, to, &memory, e);
		if (rc < 0)
			return err_wrap(e, rc, "the virtual machine cannot leave the control group");
		snprintf(r->host, sizeof(r->host), "%s", to->st.id);
		rc = sandbox_save(dir, r, e);
	}
	if (rc == 0)
		rc = sandbox_strike(dir, r, id, e);
	return rc < 0 ? rc : 1;
}

/* Who was the last in it may have been struck off already by a delete that was killed. What its maker still has, or is only
 * making, is the maker's: it says so before there is a folder. */
static bool is_left_behind(int root, const char *name, int dir)
{
	struct container_state st;
	_cleanup_close_ int its = -1;
	char maker[NAME_MAX + 1];
	bool other;
	int rc;

	if (!sandbox_is_bare(dir))
		return false;
	snprintf(maker, sizeof(maker), "%.*s", (int)strcspn(name, "@"), name);
	rc = container_open(root, maker, false, &its, NULL);
	if (rc == 0)
		rc = container_state_load(its, &st, NULL);
	if (rc < 0)
		return rc == -ENOENT;
	other = strcmp(st.sandbox, name) != 0;
	container_state_done(&st);
	return other;
}

int join_leave(const struct container_host *h, const char *id, const char *name, const struct container_state *s, int *ret_lock,
	       struct err *e)
{
	struct other to = { .root = h->root, .sandbox = name, .except = id, .dir = -1 };
	_cleanup_close_ int dir = -1;
	struct sandbox_record r;
	int rc;

	*ret_lock = -1;
	rc = sandbox_open(h->root, name, true, &dir, e);
	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	if (!sandbox_is_of(dir, name, id) && !is_left_behind(h->root, name, dir))
		return 1;
	rc = sandbox_load(dir, &r, e);
	if (rc < 0 && io_may_work_later(rc))
		return rc;
	if (rc < 0) {
		*ret_lock = steal_fd(&dir);
		return 0;
	}
	/* When it has ended, nobody is in it, whatever of them can be read. */
	rc = proc_alive(&r.machine, NULL) == 0 ? 0 : sandbox_members(dir, &r, is_other, &to);
	if (rc < 0)
		return err_errno(e, -rc, "cannot tell who else is in sandbox %s", name);
	if (rc == 1 || *to.creating) {
		rc = leave_to(h, id, name, s, dir, &r, &to, e);
		container_state_done(&to.st);
		close_and_reset(&to.dir);
	}
	*ret_lock = steal_fd(&dir);
	return rc;
}
