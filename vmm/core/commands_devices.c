// SPDX-License-Identifier: Apache-2.0
/* Commands about networks, and about devices that come and go. */
#include <string.h>

#include "vmm/core/commands_internal.h"

/* There is a machine, and @device names something. */
static int check(const struct commands *c, const char *device, size_t size, struct err *e)
{
	int rc = commands_need_machine(c, e);

	if (rc == 0 && !memchr(device, 0, size))
		rc = err_set(e, EBADMSG, "a name is not terminated");
	return rc;
}

/* The handler keeps all descriptors. */
static void keep_fds(struct control_request *r)
{
	for (size_t i = 0; i < r->nfds; i++)
		r->fds[i] = -1;
}

int do_net_attach(void *arg, struct control_request *r, struct err *e)
{
	const struct nc_net_attach *m = r->msg;
	struct commands *c = arg;
	int rc = check(c, m->device, sizeof(m->device), e);

	if (rc == 0)
		rc = machine_net_attach(c->machine, m, r->fds, r->nfds, e);
	if (rc == 0)
		keep_fds(r);
	return rc;
}

int do_net_detach(void *arg, struct control_request *r, struct err *e)
{
	const struct nc_named *m = r->msg;
	struct commands *c = arg;
	int rc = check(c, m->device, sizeof(m->device), e);

	return rc < 0 ? rc : machine_net_detach(c->machine, m->device, e);
}

int do_net_link(void *arg, struct control_request *r, struct err *e)
{
	const struct nc_net_link *m = r->msg;
	struct commands *c = arg;
	int rc = check(c, m->device, sizeof(m->device), e);

	if (rc == 0 && m->up > 1)
		rc = err_set(e, EBADMSG, "up is %u", m->up);
	return rc < 0 ? rc : machine_net_link(c->machine, m->device, m->up, e);
}

int do_net_info(void *arg, struct control_request *r, struct err *e)
{
	const struct nc_named *m = r->msg;
	struct nc_net_info reply;
	struct commands *c = arg;
	int rc = check(c, m->device, sizeof(m->device), e);

	if (rc == 0)
		rc = machine_net_info(c->machine, m->device, &reply, e);
	if (rc < 0)
		return rc;
	control_reply(r->ctl, &r->token, &reply, sizeof(reply), -1);
	return CONTROL_REPLIED;
}

int do_device_add(void *arg, struct control_request *r, struct err *e)
{
	const struct nc_device_add *m = r->msg;
	struct nc_device_place reply = { .segment = 0 };
	struct commands *c = arg;
	int rc = commands_need_machine(c, e);

	if (rc == 0)
		rc = machine_device_add(c->machine, &m->dev, r->fds, r->nfds, &reply.slot, e);
	if (rc < 0)
		return rc;
	control_reply(r->ctl, &r->token, &reply, sizeof(reply), -1);
	return CONTROL_REPLIED;
}

int do_device_remove(void *arg, struct control_request *r, struct err *e)
{
	const struct nc_named *m = r->msg;
	struct commands *c = arg;
	int rc = check(c, m->device, sizeof(m->device), e);

	return rc < 0 ? rc : machine_device_remove(c->machine, m->device, e);
}

int do_memory(void *arg, struct control_request *r, struct err *e)
{
	struct nc_memory_reply reply = { .boot = 0 };
	struct commands *c = arg;
	int rc = commands_need_machine(c, e);

	if (rc < 0)
		return rc;
	machine_memory(c->machine, &reply);
	control_reply(r->ctl, &r->token, &reply, sizeof(reply), -1);
	return CONTROL_REPLIED;
}

int do_balloon(void *arg, struct control_request *r, struct err *e)
{
	const struct nc_balloon *m = r->msg;
	struct nc_balloon_reply reply = { .target = 0 };
	struct commands *c = arg;
	int rc = commands_need_machine(c, e);

	if (rc == 0 && !memchr(m->device, 0, sizeof(m->device)))
		rc = err_set(e, EBADMSG, "a name is not terminated");
	if (rc == 0)
		rc = machine_balloon(c->machine, m->device, m->size, &reply, e);
	if (rc < 0)
		return rc;
	control_reply(r->ctl, &r->token, &reply, sizeof(reply), -1);
	return CONTROL_REPLIED;
}
