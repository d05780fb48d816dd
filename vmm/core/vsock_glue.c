// SPDX-License-Identifier: Apache-2.0
/* Between the vsock device on the `io` thread and the machine's owner on `control`. */
#include "vmm/core/vsock_glue.h"

#include <stdlib.h>
#include <unistd.h>

#include "lib/io.h"
#include "vmm/core/machine_internal.h"

#define ANSWER_NS (10ull * 1000000000ull)

/* --- guest to host ----------------------------------------------------------------------------------- */

static void tell_ready(void *arg)
{
	struct machine *m = arg;

	if (m->end_stage == END_NOT)
		m->setup.ops->ready(m->setup.arg);
}

static void on_ready(void *arg)
{
	struct machine *m = arg;

	machine_stamp(m, NC_T_READY);
	evloop_post(m->setup.control, tell_ready, m);
}

struct host_port {
	struct machine *m;
	uint32_t port;
	uint64_t token;
	int rc, fd; /* of the answer */
};

static void ask_host_port(void *arg)
{
	struct host_port *p = arg;

	p->m->setup.ops->host_port(p->m->setup.arg, p->port, p->token);
	free(p);
}

static struct asked_port *free_question(struct machine *m)
{
	uint64_t now = io_now_ns();

	for (unsigned i = 0; i < MAX_ASKED_PORTS; i++)
		if (m->asked[i].until_ns <= now)
			return &m->asked[i];
	return NULL;
}

/* Questions are the guest's to ask without end, and each is a packet for the front and work for both: a few at a time. */
static int on_host_port(void *arg, uint32_t port, uint64_t token, int *ret_fd)
{
	struct machine *m = arg;
	struct asked_port *asked = free_question(m);
	struct host_port *p;

	(void)ret_fd;
	if (!asked)
		return -ECONNREFUSED;
	p = malloc(sizeof(*p));
	if (!p)
		return -ENOMEM;
	*p = (struct host_port){ .m = m, .port = port, .token = token };
	if (evloop_post(m->setup.control, ask_host_port, p) < 0) {
		free(p);
		return -ENOMEM;
	}
	*asked = (struct asked_port){ .token = token, .until_ns = io_now_ns() + ANSWER_NS };
	return -EINPROGRESS;
}

const struct vsock_ops vsock_glue_open = { .open_host_port = on_host_port, .ready = on_ready };
const struct vsock_ops vsock_glue_closed = { .ready = on_ready };

static void give_host_port(void *arg)
{
	struct host_port *p = arg;
	struct machine_dev *d = machine_find(p->m, NC_DEV_VSOCK, NULL);

	for (unsigned i = 0; i < MAX_ASKED_PORTS; i++)
		if (p->m->asked[i].token == p->token)
			p->m->asked[i].until_ns = 0;
	vsock_host_opened(d->vdev, p->token, p->rc, p->fd);
	free(p);
}

int machine_host_port(struct machine *m, uint64_t token, int rc, int fd, struct err *e)
{
	struct host_port *p;

	if (!machine_find(m, NC_DEV_VSOCK, NULL))
		return err_set(e, ENODEV, "there is no vsock device");
	p = malloc(sizeof(*p));
	if (!p)
		return err_set(e, ENOMEM, "out of memory");
	*p = (struct host_port){ .m = m, .token = token, .rc = rc, .fd = rc == 0 ? fd : -1 };
	if (evloop_post(m->io.loop, give_host_port, p) < 0) {
		free(p);
		return err_set(e, ENOMEM, "out of memory");
	}
	return 0;
}

/* --- host to guest ----------------------------------------------------------------------------------- */

struct connecting {
	struct machine *m;
	void (*done)(void *arg, int rc, int fd);
	void *arg;
	int rc, fd;
};

static void tell_connected(void *arg)
{
	struct connecting *c = arg;

	c->done(c->arg, c->rc, c->fd);
	free(c);
}

static void on_connected(void *arg, int rc, int fd)
{
	struct connecting *c = arg;

	c->rc = rc;
	c->fd = fd;
	if (evloop_post(c->m->setup.control, tell_connected, c) < 0 && fd >= 0)
		close(fd); /* the client's own deadline tells it */
}

int machine_connect(struct machine *m, uint32_t port, uint64_t timeout_ns,
		    void (*done)(void *arg, int rc, int fd), void *arg, struct err *e)
{
	struct machine_dev *d = machine_find(m, NC_DEV_VSOCK, NULL);
	struct connecting *c;
	int rc;

	if (!d)
		return err_set(e, ENODEV, "there is no vsock device");
	if (m->state != NC_STATE_RUNNING)
		return err_set(e, EINVAL, "the machine is not running");
	c = malloc(sizeof(*c));
	if (!c)
		return err_set(e, ENOMEM, "out of memory");
	*c = (struct connecting){ .m = m, .done = done, .arg = arg };
	rc = vsock_connect(d->vdev, port, timeout_ns, on_connected, c);
	if (rc < 0) {
		free(c);
		return err_errno(e, -rc, "connecting to port %u", port);
	}
	return 0;
}
