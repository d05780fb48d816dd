// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/network.h"

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent-proto/agent/agent.h"
#include "agent-proto/agent/container.h"
#include "agent-proto/agent/resolver.h"
#include "agent-proto/agent/message.h"
#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/log.h"

#define LOOK_NS UINT64_C(3000000) /* for a device that is on its way */

static void drop(pb_network **m)
{
	if (*m)
		husk__agent__v1__update_network_request__free_unpacked(*m, NULL);
	*m = NULL;
}

static int apply(const pb_network *was, const pb_network *next, int netns, struct network_gone *gone, struct err *e)
{
	struct rtn *n = calloc(2, sizeof(*n)), *there = netns >= 0 ? n + 1 : n;
	int rc;

	if (!n)
		return err_set(e, ENOMEM, "out of memory");
	n[1].fd = -1;
	rc = rtn_open(n, e);
	if (rc == 0 && netns >= 0)
		rc = rtn_open_in(there, netns, e);
	if (rc == 0)
		rc = network_set(there, netns >= 0 ? n : NULL, netns, was, next, gone, e);
	rtn_close(&n[0]);
	rtn_close(&n[1]);
	free(n);
	return rc;
}

static int netns_of(const struct network *n, const char *id)
{
	const struct container *ct = container_find(n->agent, id);

	return ct ? ct->netns : -1;
}

static void answer(struct network *n, int rc, const struct err *e)
{
	const struct container *ct = rc < 0 ? NULL : container_find(n->agent, n->now->container_id);
	struct ttrpc_call *call = n->call;
	Husk__Agent__V1__UpdateNetworkResponse m;
	uint32_t list[AGENT_MAX_RESOLVERS];

	n->call = NULL;
	if (!call)
		return;
	call->cancel = NULL;
	if (rc < 0) {
		ttrpc_reply_err(call, rc == -EINVAL || rc == -ENOSPC || rc == -EBUSY ? rc : -EIO, e->msg);
		return;
	}
	husk__agent__v1__update_network_response__init(&m);
	m.resolvers = list;
	/* Of a container that has gone they are served for those that are left. */
	m.n_resolvers = ct ? resolver_look(ct, list) : resolver_serving(&n->agent->resolver, list);
	/* Before the start they are those that will count; later nothing is looked at, and they stay. */
	if (ct && ct->init.state == PROC_CREATED)
		resolver_serve(&n->agent->resolver, ct->netns, list, m.n_resolvers);
	ttrpc_reply(call, &m.base);
}

/* By sysfs: the machine tells nobody that it has a device more, and takes none away before the guest has let go. */
static void look_for_devices(struct network *n)
{
	const struct agent_config *cfg = &n->agent->cfg;

	if (cfg->find_devices && agent_need_sysfs(n->agent, NULL) == 0)
		cfg->find_devices();
}

static void let_go(struct network *n, const struct network_gone *gone)
{
	const struct agent_config *cfg = &n->agent->cfg;

	for (size_t i = 0; i < gone->n; i++)
		if (cfg->remove_device && agent_need_sysfs(n->agent, NULL) == 0)
			cfg->remove_device(gone->name[i]);
}

static void begin(struct network *n, pb_network *m, struct ttrpc_call *call);

static void next_in_line(struct network *n)
{
	struct network_waiting *w = n->waiting;
	pb_network *m;
	struct ttrpc_call *call;

	if (!w)
		return;
	n->waiting = w->next;
	m = w->m;
	call = w->call;
	free(w);
	begin(n, m, call);
}

static void try(struct network *n)
{
	struct network_gone gone = { .n = 0 };
	struct err e = ERR_INIT;
	int rc = apply(n->now, n->next, netns_of(n, n->next->container_id), &gone, &e);

	if (rc == -EAGAIN && io_now_ns() < n->give_up_ns) {
		look_for_devices(n);
		evtimer_set_ns(&n->again, LOOK_NS);
		return;
	}
	let_go(n, &gone);
	/* Half done is not undone: what is told next is told as a whole. */
	if (rc == 0) {
		drop(&n->now);
		n->now = steal_ptr(&n->next);
	}
	drop(&n->next);
	answer(n, rc, &e);
	next_in_line(n);
}

static void on_again(struct evtimer *t)
{
	try(container_of(t, struct network, again));
}

static void canceled(struct ttrpc_call *call)
{
	struct network *n = call->arg;

	n->call = NULL;
	ttrpc_reply_err(call, -ECANCELED, "");
}

static void begin(struct network *n, pb_network *m, struct ttrpc_call *call)
{
	n->next = m;
	n->call = call;
	call->arg = n;
	call->cancel = canceled;
	n->give_up_ns = io_now_ns() + AGENT_DEVICE_MS * UINT64_C(1000000);
	try(n);
}

static void no_longer_waiting(struct ttrpc_call *call)
{
	struct network *n = call->arg;
	struct network_waiting **at = &n->waiting, *w;

	while (*at && (*at)->call != call)
		at = &(*at)->next;
	w = *at;
	if (w) {
		*at = w->next;
		drop(&w->m);
		free(w);
	}
	ttrpc_reply_err(call, -ECANCELED, "");
}

/* Each of several containers has somebody who tells it, and it is made so by one at a time. */
static int wait_in_line(struct network *n, pb_network *m, struct ttrpc_call *call)
{
	struct network_waiting **at = &n->waiting, *w;
	size_t len = 0;

	for (; *at; at = &(*at)->next)
		len++;
	w = len < NETWORK_MAX_WAITING ? malloc(sizeof(*w)) : NULL;
	if (!w)
		return -EBUSY;
	*w = (struct network_waiting){ .m = m, .call = call };
	*at = w;
	call->arg = n;
	call->cancel = no_longer_waiting;
	return 0;
}

void network_update(struct network *n, const pb_network *req, struct ttrpc_call *call)
{
	pb_network *m = message_copy(&req->base);

	if (!m) {
		ttrpc_reply_err(call, -EIO, "out of memory");
	} else if (!n->next) {
		begin(n, m, call);
	} else if (wait_in_line(n, m, call) < 0) {
		drop(&m);
		ttrpc_reply_err(call, -EBUSY, "the network is being changed");
	}
}

void network_follow(struct network *n, const struct container *ct)
{
	struct err e = ERR_INIT;

	/* The host tells all of it again before the start; what fails here fails there. */
	if (n->now && ct->netns >= 0 && strcmp(n->now->container_id, ct->id) == 0 &&
	    apply(NULL, n->now, ct->netns, NULL, &e) < 0)
		log_warn("%s", e.msg);
}

int network_init(struct network *n, struct agent *a, struct evloop *l)
{
	n->agent = a;
	n->again.src.fd = -1;
	return evtimer_init(l, &n->again, "network", on_again);
}

void network_done(struct network *n)
{
	struct err e = ERR_INIT;

	err_set(&e, ECANCELED, "the agent ends");
	while (n->waiting) {
		struct network_waiting *w = n->waiting;

		n->waiting = w->next;
		w->call->cancel = NULL;
		ttrpc_reply_err(w->call, -ECANCELED, e.msg);
		drop(&w->m);
		free(w);
	}
	if (n->call)
		answer(n, -ECANCELED, &e);
	evtimer_done(&n->again);
	drop(&n->now);
	drop(&n->next);
}
