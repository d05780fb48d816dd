// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/diskplug.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent-proto/agent/agent.h"
#include "agent-proto/agent/container.h"
#include "agent-proto/agent/devfilter.h"
#include "agent-proto/agent/fork.h"
#include "agent-proto/agent/userns.h"
#include "agent-proto/agent/message.h"
#include "lib/cleanup.h"

enum { FIND, PLACE, UNDO, UNPLACE, EJECT, STEPS };

static int (*const steps[STEPS])(const struct plug_step *s, struct plug_result *r, struct err *e) = {
	[FIND] = plug_find, [PLACE] = plug_place, [UNDO] = plug_unplace, [UNPLACE] = plug_unplace, [EJECT] = plug_eject,
};

static void on_result(struct evsrc *src, uint32_t events);
static void on_late(struct evtimer *t);

void diskplug_init(struct diskplug *p, struct container *ct)
{
	*p = (struct diskplug){ .ct = ct };
	p->result = (struct evsrc){ .fd = -1, .fn = on_result, .name = "disk step" };
	p->late.src.fd = -1;
}

/* A fork that hangs is left to its fate: the agent reaps it some time. */
static void end_step(struct diskplug *p)
{
	if (p->pid > 0)
		kill(p->pid, SIGKILL);
	p->pid = 0;
	evloop_del(&p->result);
	close_and_reset(&p->result.fd);
}

static void drop(pb_disks **m)
{
	if (*m)
		husk__agent__v1__update_disks_request__free_unpacked(*m, NULL);
	*m = NULL;
}

static void begin(struct diskplug *p);

static void answer(struct diskplug *p, int rc, const char *text)
{
	struct ttrpc_call *call = steal_ptr(&p->call);

	end_step(p);
	evtimer_done(&p->late);
	p->late.src.fd = -1;
	devices_made_done(&p->nodes);
	if (call && rc < 0)
		ttrpc_reply_err(call, rc == -EINVAL || rc == -EEXIST || rc == -ESRCH || rc == -ENOSPC ? rc : -EIO, text);
	else if (call)
		ttrpc_reply(call, NULL);
	drop(&p->req); /* @text may be of it */
	p->left |= p->leaving;
	p->leaving = false;
	if (p->ct->going)
		evtimer_set_ns(&p->ct->retry, 1);
	p->call = steal_ptr(&p->next_call);
	p->req = steal_ptr(&p->next_req);
	if (p->call)
		begin(p);
}

void diskplug_done(struct diskplug *p)
{
	struct ttrpc_call *next = steal_ptr(&p->next_call);

	drop(&p->next_req);
	answer(p, -ESRCH, "container has gone");
	if (next)
		ttrpc_reply_err(next, -ESRCH, "container has gone");
}

/* ---- the filter ---------------------------------------------------------------------------------------------- */

static bool leaves(const pb_disks *req, const char *disk)
{
	for (size_t i = 0; i < req->n_remove; i++)
		if (*disk && strcmp(req->remove[i]->disk, disk) == 0)
			return true;
	return false;
}

static Husk__Agent__V1__DeviceRule *rule_of(const Husk__Agent__V1__DiskDevice *d, uint32_t major, uint32_t minor)
{
	Husk__Agent__V1__DeviceRule m;
	uint8_t bytes[128];
	char block[] = "b";

	husk__agent__v1__device_rule__init(&m);
	m.allow = true;
	m.type = block;
	m.major = major;
	m.minor = minor;
	m.access = d->access;
	m.disk = d->disk;
	bug_on(husk__agent__v1__device_rule__get_packed_size(&m) > sizeof(bytes));
	return husk__agent__v1__device_rule__unpack(NULL, husk__agent__v1__device_rule__pack(&m, bytes), bytes);
}

/* The container's rules with those of the disks that have come, the last that count, and without those of disks that
 * leave. Nothing has changed when it fails. */
static int follow(struct diskplug *p, struct err *e)
{
	Husk__Agent__V1__Container *k = p->ct->kept;
	size_t room = k->n_device_rules + p->req->n_add, n = 0, old;
	Husk__Agent__V1__DeviceRule **list = calloc(room + 1, sizeof(*list));
	int rc = 0;

	if (!list)
		return err_set(e, ENOMEM, "out of memory");
	for (size_t i = 0; i < k->n_device_rules; i++)
		if (!leaves(p->req, k->device_rules[i]->disk))
			list[n++] = k->device_rules[i];
	old = n;
	for (size_t i = 0; rc == 0 && i < p->req->n_add; i++) {
		list[n] = rule_of(p->req->add[i], p->found.dev[i].major, p->found.dev[i].minor);
		rc = list[n] ? 0 : err_set(e, ENOMEM, "out of memory");
		n += rc == 0;
	}
	if (rc == 0)
		rc = devfilter_attach(p->ct->cgroup.fd, list, n, k->devices, k->n_devices, &p->ct->devices, e);
	if (rc < 0) {
		while (n > old)
			husk__agent__v1__device_rule__free_unpacked(list[--n], NULL);
		free(list);
		return rc;
	}
	for (size_t i = 0; i < k->n_device_rules; i++)
		if (leaves(p->req, k->device_rules[i]->disk))
			husk__agent__v1__device_rule__free_unpacked(k->device_rules[i], NULL);
	free(k->device_rules);
	k->device_rules = list;
	k->n_device_rules = n;
	return 0;
}

/* ---- the steps ----------------------------------------------------------------------------------------------- */

static bool is_in_mounts(unsigned step)
{
	return step == PLACE || step == UNPLACE || step == UNDO;
}

static _Noreturn void run_step(const struct diskplug *p, int sync)
{
	const struct plug_step s = { .ct = p->ct, .req = p->req, .found = &p->found, .trees = p->nodes.trees };
	struct plug_result r = { .rc = 0 };
	/* A step that needs no mounts must not be what keeps them when the container goes. */
	int keep[AGENT_MAX_DISKS + 3] = { sync, is_in_mounts(p->step) ? p->ct->mntns : -1, p->ct->init.pidfd };
	struct err e = ERR_INIT;

	if (p->nodes.n)
		memcpy(keep + 3, p->nodes.trees, p->nodes.n * sizeof(*keep));
	fork_enter(keep, 3 + p->nodes.n);
	r.rc = steps[p->step](&s, &r, &e);
	memcpy(r.text, e.msg, min_t(size_t, sizeof(e.msg), sizeof(r.text)));
	_exit(send(sync, &r, sizeof(r), MSG_NOSIGNAL) == sizeof(r) ? 0 : 1);
}

static int begin_step(struct diskplug *p, unsigned step, struct err *e)
{
	int pair[2], rc;

	p->step = step;
	/* What is done in its mounts: it goes, and they are let go of. */
	if (p->ct->mntns < 0 && is_in_mounts(step))
		return err_set(e, ESRCH, "container has gone");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(e, errno, "socketpair");
	p->result.fd = pair[0];
	rc = evloop_add(p->ct->agent->loop, &p->result, EPOLLIN);
	p->pid = rc < 0 ? -1 : fork();
	if (p->pid == 0)
		run_step(p, pair[1]);
	close(pair[1]);
	return p->pid < 0 ? err_errno(e, rc < 0 ? -rc : errno, "fork") : 0;
}

/* A node for each, of the agent's making; its owner, where the namespace has no such user, root in there. */
static int make_nodes(struct diskplug *p, struct err *e)
{
	Husk__Agent__V1__Device dev[AGENT_MAX_DISKS], *list[AGENT_MAX_DISKS];
	const Husk__Agent__V1__Container *k = p->ct->kept;
	Husk__Agent__V1__Container c;
	char block[] = "b";

	husk__agent__v1__container__init(&c);
	c.uid_mappings = k->uid_mappings;
	c.n_uid_mappings = k->n_uid_mappings;
	c.gid_mappings = k->gid_mappings;
	c.n_gid_mappings = k->n_gid_mappings;
	for (size_t i = 0; i < p->req->n_add; i++) {
		const Husk__Agent__V1__DiskDevice *d = p->req->add[i];

		husk__agent__v1__device__init(&dev[i]);
		dev[i].path = d->path;
		dev[i].type = block;
		dev[i].major = p->found.dev[i].major;
		dev[i].minor = p->found.dev[i].minor;
		dev[i].mode = d->mode & 0777;
		if (userns_outside(c.uid_mappings, c.n_uid_mappings, d->uid) != UINT32_MAX)
			dev[i].uid = d->uid;
		if (userns_outside(c.gid_mappings, c.n_gid_mappings, d->gid) != UINT32_MAX)
			dev[i].gid = d->gid;
		list[i] = &dev[i];
	}
	c.devices = list;
	c.n_devices = p->req->n_add;
	return devices_make(&p->nodes, &c, e);
}

static void undo(struct diskplug *p, int rc, const struct err *why)
{
	struct err e = ERR_INIT;

	p->failed.rc = rc;
	memcpy(p->failed.text, why->msg, sizeof(why->msg));
	if (begin_step(p, UNDO, &e) < 0)
		answer(p, rc, p->failed.text);
}

/* Where the file system of a path takes no nodes: one of the agent's making, as for a user namespace. */
static bool place_again(struct diskplug *p, int rc)
{
	struct err e = ERR_INIT;

	if (p->step != PLACE || p->nodes.trees || (rc != -EPERM && rc != -EACCES && rc != -EOPNOTSUPP))
		return false;
	return make_nodes(p, &e) == 0 && begin_step(p, PLACE, &e) == 0;
}

/* A step has done what it should. */
static void go_on(struct diskplug *p)
{
	struct err e = ERR_INIT;
	int rc = 0;

	switch (p->step) {
	case FIND:
		if (p->ct->ns_flags & CLONE_NEWUSER)
			rc = make_nodes(p, &e);
		if (rc == 0)
			rc = begin_step(p, PLACE, &e);
		break;
	case PLACE:
		rc = follow(p, &e);
		if (rc == 0)
			answer(p, 0, "");
		else
			undo(p, rc, &e);
		return;
	case UNDO:
		answer(p, p->failed.rc, p->failed.text);
		return;
	case UNPLACE:
		rc = begin_step(p, EJECT, &e);
		break;
	default:
		answer(p, 0, "");
		return;
	}
	if (rc < 0)
		answer(p, rc, e.msg);
}

static void on_result(struct evsrc *src, uint32_t events)
{
	struct diskplug *p = container_of(src, struct diskplug, result);
	struct plug_result r;
	ssize_t n = recv(src->fd, &r, sizeof(r), MSG_DONTWAIT);

	(void)events;
	if (n < 0 && errno == EAGAIN)
		return;
	if (n == sizeof(r))
		r.text[sizeof(r.text) - 1] = 0;
	else
		r = (struct plug_result){ .rc = -EIO, .text = "the guest's helper has ended" };
	p->pid = 0; /* ends by itself, and is reaped with all others */
	end_step(p);
	if (p->step == FIND)
		p->found = r;
	if (r.rc < 0 && place_again(p, r.rc))
		return;
	/* Nodes that stay lead nowhere when their disk has gone: what matters is that it goes. */
	if (r.rc < 0 && p->step != UNDO && p->step != UNPLACE)
		answer(p, r.rc, r.text);
	else
		go_on(p);
}

static void on_late(struct evtimer *t)
{
	struct diskplug *p = container_of(t, struct diskplug, late);

	answer(p, -ETIMEDOUT, p->req->n_remove ? "the guest's kernel has not let go of it in time" :
						   "the device did not come in time");
}

static void begin(struct diskplug *p)
{
	struct err e = ERR_INIT;
	int rc = 0;

	if (evtimer_init(p->ct->agent->loop, &p->late, "disk step", on_late) < 0 ||
	    evtimer_set_ns(&p->late, AGENT_PLUG_MS * UINT64_C(1000000)) < 0)
		rc = err_set(&e, ENOMEM, "out of memory");
	if (rc == 0)
		rc = agent_need_sysfs(p->ct->agent, &e);
	if (rc == 0 && p->req->n_remove)
		rc = follow(p, &e);
	if (rc == 0)
		rc = begin_step(p, p->leaving ? EJECT : p->req->n_remove ? UNPLACE : FIND, &e);
	if (rc < 0)
		answer(p, rc, e.msg);
}

void diskplug_update(struct diskplug *p, const pb_disks *req, struct ttrpc_call *call)
{
	pb_disks *copy = p->next_call ? NULL : message_copy(&req->base);

	if (!copy) {
		ttrpc_reply_err(call, -ENOSPC, p->next_call ? "too many updates of devices at a time" : "out of memory");
	} else if (p->call) {
		p->next_call = call;
		p->next_req = copy;
	} else {
		p->call = call;
		p->req = copy;
		begin(p);
	}
}

/* ---- with the container --------------------------------------------------------------------------------------- */

static bool has(const pb_disks *m, const char *disk)
{
	for (size_t i = 0; i < m->n_remove; i++)
		if (strcmp(m->remove[i]->disk, disk) == 0)
			return true;
	return false;
}

/* Its disks are those that its rules name. NULL: none, or no memory. */
static pb_disks *all_of(const Husk__Agent__V1__Container *k)
{
	Husk__Agent__V1__DiskDevice one[AGENT_MAX_DISKS], *list[AGENT_MAX_DISKS];
	pb_disks m;

	husk__agent__v1__update_disks_request__init(&m);
	m.remove = list;
	for (size_t i = 0; i < k->n_device_rules && m.n_remove < AGENT_MAX_DISKS; i++) {
		Husk__Agent__V1__DiskDevice *d = &one[m.n_remove];

		if (!*k->device_rules[i]->disk || has(&m, k->device_rules[i]->disk))
			continue;
		husk__agent__v1__disk_device__init(d);
		d->disk = k->device_rules[i]->disk;
		list[m.n_remove++] = d;
	}
	return m.n_remove ? message_copy(&m.base) : NULL;
}

bool diskplug_busy(const struct diskplug *p)
{
	return p->req;
}

bool diskplug_let_go(struct diskplug *p)
{
	/* With its last container the machine ends. */
	if (p->left || !p->ct->kept || p->ct->agent->ncontainers < 2)
		return true;
	if (p->req)
		return false; /* busy: later */
	p->req = all_of(p->ct->kept);
	if (!p->req)
		return true;
	p->leaving = true;
	begin(p);
	return p->left;
}
