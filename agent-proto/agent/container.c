// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/container.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "agent-proto/agent/agent.h"
#include "agent-proto/agent/common.h"
#include "agent-proto/agent/child.h"
#include "agent-proto/agent/devfilter.h"
#include "agent-proto/agent/disks.h"
#include "agent-proto/agent/inherit.h"
#include "agent-proto/agent/look.h"
#include "agent-proto/agent/update.h"
#include "agent-proto/agent/userns.h"
#include "lib/cleanup.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

#define ALIVE_NS  UINT64_C(10000000) /* look again at a group that still has processes, */
#define QUIET_NS  UINT64_C(100000)   /* at a file system that is not quiet yet, */
#define QUIET_MAX 20000              /* so many times */

struct container *container_find(struct agent *a, const char *id)
{
	struct container *ct = a->containers;

	while (ct && strcmp(ct->id, id) != 0)
		ct = ct->next;
	return ct;
}

struct process *container_process(struct container *ct, const char *exec_id)
{
	struct process *p = ct->execs;

	if (!*exec_id)
		return &ct->init;
	while (p && strcmp(p->exec_id, exec_id) != 0)
		p = p->next;
	return p;
}

static void forget_exec(struct process *p)
{
	struct process **at = &p->ct->execs;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	p->ct->nexecs--;
	process_done(p);
	free(p);
}

/* ---- the end ---------------------------------------------------------------------------------- */

static void unlink_container(struct container *ct)
{
	struct container **at = &ct->agent->containers;

	while (*at && *at != ct)
		at = &(*at)->next;
	if (*at) {
		*at = ct->next;
		ct->agent->ncontainers--;
	}
}

static void container_free(struct container *ct)
{
	unlink_container(ct);
	while (ct->execs)
		forget_exec(ct->execs);
	process_done(&ct->init);
	update_done(ct);
	follow_done(ct);
	evloop_del(&ct->events);
	close_and_reset(&ct->events.fd);
	evtimer_done(&ct->retry);
	letgo_done(&ct->letgo);
	close_and_reset(&ct->mntns);
	close_and_reset(&ct->netns);
	image_handed_over(&ct->image);
	diskplug_done(&ct->diskplug);
	close_and_reset(&ct->devices);
	freezer_done(&ct->freezer);
	oom_done(&ct->oom);
	sockets_done(&ct->sockets);
	common_leave(ct);
	cgroup_done(&ct->cgroup);
	if (ct->kept)
		husk__agent__v1__container__free_unpacked(ct->kept, NULL);
	free(ct->id);
	free(ct);
}

static bool all_ended(const struct container *ct)
{
	if (ct->init.state != PROC_ENDED)
		return false;
	for (const struct process *p = ct->execs; p; p = p->next)
		if (p->state != PROC_ENDED)
			return false;
	return true;
}

static bool is_quiet(struct container *ct)
{
	const struct agent_config *cfg = &ct->agent->cfg;

	if (ct->mntns < 0 || !cfg->is_quiet || cfg->is_quiet())
		return true;
	/* Others may never let it be quiet; by now it is not this container's doing. */
	return ct->retries++ >= QUIET_MAX;
}

/* Takes it away if nothing is left in it; else something will call again: a reaped child, the cgroup's
 * event, or the timer. */
static void try_remove(struct container *ct)
{
	struct ttrpc_call *call = ct->deleting;

	if (!ct->going || !all_ended(ct))
		return;
	if (cgroup_populated(&ct->cgroup) > 0 || follow_busy(ct)) {
		evtimer_set_ns(&ct->retry, ALIVE_NS);
		return;
	}
	if (!is_quiet(ct)) {
		evtimer_set_ns(&ct->retry, QUIET_NS);
		return;
	}
	/* Its fork holds the mounts, and its end calls again. */
	if (ct->mntns >= 0 && diskplug_busy(&ct->diskplug))
		return;
	if (!letgo_over(ct))
		return;
	common_leave(ct);
	if (!diskplug_let_go(&ct->diskplug))
		return;
	if (cgroup_remove(&ct->cgroup, ct->agent->cfg.cgroup_dir) < 0) {
		evtimer_set_ns(&ct->retry, ALIVE_NS);
		return;
	}
	ct->deleting = NULL;
	process_fail_make(&ct->init);
	container_free(ct);
	if (call)
		ttrpc_reply(call, NULL);
}

static void on_cgroup_event(struct evsrc *src, uint32_t events)
{
	struct container *ct = container_of(src, struct container, events);
	char text[64];

	(void)events;
	/* Reading it arms the next event. */
	if (pread(src->fd, text, sizeof(text), 0) < 0)
		evloop_del(src);
	try_remove(ct);
}

static void on_retry(struct evtimer *t)
{
	struct container *ct = container_of(t, struct container, retry);

	if (cgroup_populated(&ct->cgroup) > 0)
		cgroup_kill(&ct->cgroup);
	try_remove(ct);
}

static void remove_when_empty(struct container *ct)
{
	ct->going = true;
	cgroup_kill(&ct->cgroup);
	if (ct->events.fd < 0) {
		ct->events.fd = cgroup_events(&ct->cgroup);
		if (ct->events.fd >= 0)
			evloop_add(ct->agent->loop, &ct->events, EPOLLPRI);
	}
	try_remove(ct);
}

/* ---- the beginning ---------------------------------------------------------------------------- */

static const int ns_flag[] = {
	[HUSK__AGENT__V1__NAMESPACE__NS_PID] = CLONE_NEWPID,
	[HUSK__AGENT__V1__NAMESPACE__NS_NETWORK] = CLONE_NEWNET,
	[HUSK__AGENT__V1__NAMESPACE__NS_MOUNT] = CLONE_NEWNS,
	[HUSK__AGENT__V1__NAMESPACE__NS_IPC] = CLONE_NEWIPC,
	[HUSK__AGENT__V1__NAMESPACE__NS_UTS] = CLONE_NEWUTS,
	[HUSK__AGENT__V1__NAMESPACE__NS_CGROUP] = CLONE_NEWCGROUP,
	[HUSK__AGENT__V1__NAMESPACE__NS_USER] = CLONE_NEWUSER,
	[HUSK__AGENT__V1__NAMESPACE__NS_TIME] = CLONE_NEWTIME,
};

int container_joins(const struct container *ct, const Husk__Agent__V1__Container *spec, struct child_job *job, struct err *e)
{
	for (size_t i = 0; i < spec->n_join_namespaces; i++) {
		const Husk__Agent__V1__JoinNamespace *j = spec->join_namespaces[i];
		const struct container *of = container_find(ct->agent, j->container_id);

		if (!of || of->init.pidfd < 0 || of->init.state == PROC_PREPARING)
			return err_set(e, ESRCH, "cannot join a namespace of container %s, which is not there any more",
				       j->container_id);
		bug_on(job->njoin == CHILD_MAX_JOIN);
		job->join[job->njoin++] = (struct child_join){ ns_flag[j->namespace_], of->init.pidfd };
	}
	return 0;
}

static struct container *new_container(struct agent *a, const char *id)
{
	struct container *ct = calloc(1, sizeof(*ct));

	if (!ct)
		return NULL;
	ct->agent = a;
	ct->cgroup = (struct cgroup)CGROUP_NONE;
	ct->devices = -1;
	diskplug_init(&ct->diskplug, ct);
	letgo_init(&ct->letgo);
	freezer_init(&ct->freezer, &ct->cgroup, a->loop);
	oom_init(&ct->oom, &ct->cgroup, a->loop);
	ct->init.pidfd = ct->init.sync.fd = ct->init.drain.src.fd = -1;
	ct->events = (struct evsrc){ .fd = -1, .fn = on_cgroup_event, .name = "cgroup" };
	ct->retry.src.fd = ct->mntns = ct->netns = -1;
	ct->image = (struct image)IMAGE_NONE;
	ct->id = strdup(id);
	if (!ct->id || evtimer_init(a->loop, &ct->retry, "container", on_retry) < 0) {
		container_free(ct);
		return NULL;
	}
	return ct;
}

/* An id may be longer than a folder's name. */
static void group_name(const Husk__Agent__V1__CreateContainerRequest *req, char *out, size_t size)
{
	const char *id = req->container_id;
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	if (strlen(id) <= 200) {
		snprintf(out, size, "%s", id);
		return;
	}
	for (const char *p = id; *p; p++)
		hash = (hash ^ (uint8_t)*p) * UINT64_C(0x100000001b3);
	snprintf(out, size, "%.180s-%016llx", id, (unsigned long long)hash);
}

static int mount_shares(struct agent *a, struct err *e)
{
	int rc = 0;

	if (!a->shares_mounted && a->cfg.mount_shares)
		rc = a->cfg.mount_shares(e);
	a->shares_mounted = rc == 0;
	return rc;
}

/* What users of the container need of the agent before there is a process. */
static int prepare_users(struct container *ct, const Husk__Agent__V1__Container *spec, struct err *e)
{
	int rc = ct->ns_flags & CLONE_NEWUSER ? agent_need_sysfs(ct->agent, e) : 0;

	return rc < 0 ? rc : userns_own_cgroup(ct->cgroup.fd, spec, e);
}

static int make_sockets(struct container *ct, const Husk__Agent__V1__Container *spec, struct err *e)
{
	struct agent *a = ct->agent;
	int rc = spec->n_sockets ? agent_need_sockets(a, e) : 0;

	if (!spec->n_sockets)
		return 0;
	return rc < 0 ? rc : sockets_make(&ct->sockets, a->loop, a->streams, a->cfg.sockets_dir, spec, e);
}

/* The machine's interfaces are in one network namespace, and a container's own obeys nobody else. */
static int check_network(const struct container *ct, struct err *e)
{
	for (const struct container *o = ct->agent->containers; o; o = o->next)
		if (o->netns >= 0 || ct->ns_flags & CLONE_NEWUSER)
			return err_set(e, EINVAL, "containers of one network cannot have user namespaces of their own");
	return 0;
}

static int make_container(struct container *ct, const Husk__Agent__V1__CreateContainerRequest *req,
			  struct ttrpc_call *call, const struct conn *owner, struct err *e)
{
	const Husk__Agent__V1__Container *spec = req->container;
	char name[256];
	int rc = mount_shares(ct->agent, e);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < spec->n_new_namespaces; i++)
		ct->ns_flags |= ns_flag[spec->new_namespaces[i]];
	for (size_t i = 0; i < spec->n_join_namespaces; i++)
		ct->joined |= ns_flag[spec->join_namespaces[i]->namespace_];
	ct->ns_flags |= ct->joined;
	/* The machine's network is nobody else's. Only root of a user namespace needs one that is its own to rule. */
	if (!(ct->ns_flags & CLONE_NEWUSER))
		ct->ns_flags &= ~CLONE_NEWNET;
	rc = check_network(ct, e);
	if (rc < 0)
		return rc;
	ct->kept = inherit_keep(spec);
	if (!ct->kept)
		return err_set(e, ENOMEM, "out of memory");
	group_name(req, name, sizeof(name));
	rc = cgroup_make(&ct->cgroup, ct->agent->cfg.cgroup_dir,
			 spec->cgroup[strspn(spec->cgroup, "/")] ? spec->cgroup : name,
			 spec->cgroup_values, spec->n_cgroup_values, e);
	if (rc < 0)
		return rc;
	rc = devfilter_attach(ct->cgroup.fd, spec->device_rules, spec->n_device_rules, spec->devices, spec->n_devices,
			      &ct->devices, e);
	if (rc == 0)
		rc = prepare_users(ct, spec, e);
	if (rc == 0)
		rc = make_sockets(ct, spec, e);
	if (rc == 0)
		rc = common_take(ct, spec, e);
	if (rc == 0)
		rc = image_mount(&ct->image, spec, e);
	if (rc == 0)
		rc = process_spawn(&ct->init, ct, "", "", spec, spec->process, call, owner, e);
	image_handed_over(&ct->image);
	if (rc < 0) {
		cgroup_remove(&ct->cgroup, ct->agent->cfg.cgroup_dir);
		return rc;
	}
	snprintf(name, sizeof(name), "/proc/%d/ns/mnt", ct->init.pid);
	ct->mntns = open(name, O_RDONLY | O_CLOEXEC);
	return 0;
}

void container_forked(struct container *ct, pid_t pid)
{
	char name[64];

	if (!(ct->ns_flags & CLONE_NEWNET))
		return;
	snprintf(name, sizeof(name), "/proc/%d/ns/net", pid);
	ct->netns = open(name, O_RDONLY | O_CLOEXEC);
	network_follow(&ct->agent->network, ct);
}

/* The codes of a missing executable are not for anything else to use. */
static int plain(int rc)
{
	return rc == -EINVAL || rc == -EEXIST || rc == -ENOSPC || rc == -ESRCH ? rc : -EIO;
}

/* @looked: what can be there by now is. */
static void create(struct agent *a, const Husk__Agent__V1__CreateContainerRequest *req, struct ttrpc_call *call,
		   const struct conn *owner, bool looked);

static void create_looked(struct agent *a, const Husk__Agent__V1__CreateContainerRequest *req, struct ttrpc_call *call,
			  const struct conn *owner)
{
	create(a, req, call, owner, true);
}

static void create(struct agent *a, const Husk__Agent__V1__CreateContainerRequest *req, struct ttrpc_call *call,
		   const struct conn *owner, bool looked)
{
	struct err e = ERR_INIT;
	struct container *ct = NULL;
	int rc;

	if (container_find(a, req->container_id)) {
		ttrpc_reply_err(call, -EEXIST, "container with given ID already exists");
		return;
	}
	if (a->ncontainers == AGENT_MAX_CONTAINERS) {
		ttrpc_reply_err(call, -ENOSPC, "too many containers");
		return;
	}
	rc = disks_resolve(req->container, &e);
	/* Of one that joins others, disks come with it. */
	if (rc == -ENOENT && !looked && look_begin(a, req, call, owner, create_looked))
		return;
	if (rc == 0)
		ct = new_container(a, req->container_id);
	if (rc == 0)
		rc = ct ? make_container(ct, req, call, owner, &e) : err_set(&e, ENOMEM, "out of memory");
	if (rc < 0) {
		if (ct)
			container_free(ct);
		ttrpc_reply_err(call, plain(rc), e.msg);
		return;
	}
	ct->next = a->containers;
	a->containers = ct;
	a->ncontainers++;
}

void container_create(struct agent *a, const Husk__Agent__V1__CreateContainerRequest *req,
		      struct ttrpc_call *call, const struct conn *owner)
{
	create(a, req, call, owner, false);
}

static int make_exec(struct container *ct, const Husk__Agent__V1__ExecRequest *req,
		     struct ttrpc_call *call, const struct conn *owner, struct err *e)
{
	Husk__Agent__V1__Process filled;
	Husk__Agent__V1__User user;
	struct process *p;
	int rc;

	if (ct->going || ct->init.state == PROC_ENDED || ct->init.state == PROC_PREPARING)
		return err_set(e, ESRCH, "cannot exec in a stopped container");
	if (ct->freezer.frozen && !req->ignore_paused)
		return err_set(e, ESRCH, "cannot exec in a paused container "
					 "(use --ignore-paused to override)");
	if (container_process(ct, req->exec_id))
		return err_set(e, EEXIST, "process with given ID already exists");
	if (ct->nexecs == AGENT_MAX_EXECS)
		return err_set(e, ENOSPC, "too many processes");
	p = malloc(sizeof(*p));
	if (!p)
		return err_set(e, ENOMEM, "out of memory");
	inherit_fill(req->process, ct->kept, &filled, &user);
	rc = process_spawn(p, ct, req->exec_id, req->cgroup, NULL, &filled, call, owner, e);
	if (rc < 0) {
		free(p);
		return rc;
	}
	p->next = ct->execs;
	ct->execs = p;
	ct->nexecs++;
	return 0;
}

void container_exec(struct container *ct, const Husk__Agent__V1__ExecRequest *req,
		    struct ttrpc_call *call, const struct conn *owner)
{
	struct err e = ERR_INIT;
	int rc = make_exec(ct, req, call, owner, &e);

	if (rc < 0)
		ttrpc_reply_err(call, plain(rc), e.msg);
}

/* ---- in between ------------------------------------------------------------------------------- */

void container_delete(struct container *ct, const char *exec_id, struct ttrpc_call *call)
{
	struct process *p = container_process(ct, exec_id);

	if (!p) {
		ttrpc_reply_err(call, -ENOENT, "process does not exist");
	} else if (*exec_id && p->state != PROC_ENDED) {
		ttrpc_reply_err(call, -ESRCH, "process has not ended");
	} else if (*exec_id) {
		forget_exec(p);
		ttrpc_reply(call, NULL);
	} else if (ct->going) {
		ttrpc_reply_err(call, -ESRCH, "container is being removed");
	} else {
		ct->deleting = call;
		remove_when_empty(ct);
	}
}

int container_signal_all(struct container *ct, int sig, struct err *e)
{
	int rc = cgroup_signal(&ct->cgroup, sig);

	return rc < 0 ? err_errno(e, -rc, "signal %d to all", sig) : 0;
}

static void exec_ended(struct process *p)
{
	struct container *ct = p->ct;

	if (p->make) { /* its program never ran */
		process_fail_make(p);
		forget_exec(p);
	} else if (!p->owner) { /* nobody will ask */
		forget_exec(p);
	}
	try_remove(ct);
}

static void init_ended(struct container *ct)
{
	/* Without a pid namespace of its own nobody else ends the others. */
	if (!(ct->ns_flags & ~ct->joined & CLONE_NEWPID))
		cgroup_kill(&ct->cgroup);
	sockets_over(&ct->sockets);
	if (ct->init.make) /* it never was a container */
		remove_when_empty(ct);
	else
		try_remove(ct);
}

bool container_reaped(struct container *ct, pid_t pid, int wait_status)
{
	struct process *p = &ct->init;

	if (p->pid != pid || p->state == PROC_ENDED) {
		p = ct->execs;
		while (p && (p->pid != pid || p->state == PROC_ENDED))
			p = p->next;
	}
	if (!p)
		return false;
	process_reaped(p, wait_status);
	if (p == &ct->init)
		init_ended(ct);
	else
		exec_ended(p);
	return true;
}

void container_owner_gone(struct container *ct, const struct conn *owner)
{
	struct process *next;
	bool own = ct->init.owner == owner;

	if (own)
		ct->init.owner = NULL;
	for (struct process *p = ct->execs; p; p = next) {
		next = p->next;
		if (p->owner != owner)
			continue;
		p->owner = NULL;
		if (p->state == PROC_ENDED)
			forget_exec(p);
		else
			process_signal(p, SIGKILL, NULL);
	}
	/* Nobody will ask for its removal, and the machine may go on with others. */
	if (own && !ct->going)
		remove_when_empty(ct);
}

void container_abandon(struct container *ct)
{
	cgroup_kill(&ct->cgroup);
	container_free(ct);
}
