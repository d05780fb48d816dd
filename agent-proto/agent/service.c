// SPDX-License-Identifier: Apache-2.0
#include <signal.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "agent-proto/agent/agent.h"
#include "agent-proto/agent/check.h"
#include "agent-proto/agent/conn.h"
#include "agent-proto/agent/container.h"
#include "agent-proto/agent/procs.h"
#include "agent-proto/agent/stats.h"
#include "agent-proto/agent/update.h"
#include "agent-proto/ttrpc/arena.h"

#define MAX_UNPACK (4 * AGENT_MAX_FRAME)

/* A clock that is this far behind the host's is put right. The host's time has travelled, so the guest's
 * seems ahead by that: it is put back only when that cannot be the reason. */
#define CLOCK_BEHIND_NS INT64_C(10000000)
#define CLOCK_AHEAD_NS  INT64_C(1000000000)

typedef void handle_fn(struct conn *c, struct ttrpc_call *call, const void *msg);

/* Unpacks, runs @fn, and forgets the message: nothing in it may be kept. */
static void with(struct conn *c, struct ttrpc_call *call, const ProtobufCMessageDescriptor *d,
		 const uint8_t *payload, size_t len, handle_fn *fn)
{
	struct arena arena;
	ProtobufCMessage *msg;

	arena_init(&arena, MAX_UNPACK);
	msg = protobuf_c_message_unpack(d, &arena.pb, len, payload);
	if (msg)
		fn(c, call, msg);
	else
		ttrpc_reply_err(call, -EINVAL, "malformed message");
	arena_free(&arena);
}

/* The container, or NULL with @call answered. */
static struct container *find(struct conn *c, struct ttrpc_call *call, const char *id,
			      const char *exec_id)
{
	struct err e = ERR_INIT;
	struct container *ct;
	int rc = check_ids(id, exec_id, &e);

	if (rc < 0) {
		ttrpc_reply_err(call, rc, e.msg);
		return NULL;
	}
	ct = container_find(conn_agent(c), id);
	if (!ct)
		ttrpc_reply_err(call, -ENOENT, "container does not exist");
	return ct;
}

static struct process *find_process(struct conn *c, struct ttrpc_call *call, const char *id,
				    const char *exec_id)
{
	struct container *ct = find(c, call, id, exec_id);
	struct process *p = ct ? container_process(ct, exec_id) : NULL;

	if (ct && !p)
		ttrpc_reply_err(call, -ENOENT, "process does not exist");
	return p;
}

static void answer(struct ttrpc_call *call, int rc, const struct err *e)
{
	if (rc < 0)
		ttrpc_reply_err(call, rc, e->msg);
	else
		ttrpc_reply(call, NULL);
}

static void set_clock(const struct agent *a, int64_t sec, uint32_t nsec)
{
	struct timespec now, host = { .tv_sec = sec, .tv_nsec = (long)nsec };
	int64_t ahead;

	if (sec <= 0 || sec > INT64_C(253402300799) || nsec >= 1000000000u || !a->cfg.set_clock)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	ahead = (now.tv_sec - sec) * INT64_C(1000000000) + now.tv_nsec - (long)nsec;
	if (ahead < -CLOCK_BEHIND_NS || ahead > CLOCK_AHEAD_NS)
		a->cfg.set_clock(&host);
}

static void hello(struct conn *c, struct ttrpc_call *call, const void *msg)
{
	static char version[] = HUSK_VERSION;
	const Husk__Agent__V1__HelloRequest *req = msg;
	const struct agent *a = conn_agent(c);
	Husk__Agent__V1__HelloResponse m;
	struct utsname uts;

	if (req->version == 0 || req->version + 1 < AGENT_VERSION ||
	    req->version > AGENT_VERSION + 1) {
		ttrpc_reply_err(call, -EINVAL, "version of the protocol is not known here");
		return;
	}
	set_clock(a, req->time_sec, req->time_nsec);
	if (req->entropy.len && req->entropy.len <= 512 && a->cfg.add_entropy)
		a->cfg.add_entropy(req->entropy.data, req->entropy.len);
	uname(&uts);
	husk__agent__v1__hello_response__init(&m);
	m.version = AGENT_VERSION;
	m.agent_version = version;
	m.kernel_release = uts.release;
	m.kernel_to_agent_ns = a->born_ns;
	ttrpc_reply(call, &m.base);
}

static void create(struct conn *c, struct ttrpc_call *call, const void *msg)
{
	struct err e = ERR_INIT;
	int rc = check_create(msg, &e);

	if (rc < 0)
		ttrpc_reply_err(call, rc, e.msg);
	else
		container_create(conn_agent(c), msg, call, c);
}

static void start(struct conn *c, struct ttrpc_call *call, const void *msg)
{
	const Husk__Agent__V1__ProcessRequest *req = msg;
	struct process *p = find_process(c, call, req->container_id, req->exec_id);

	if (p)
		process_start(p, call);
}

static void exec(struct conn *c, struct ttrpc_call *call, const void *msg)
{
	const Husk__Agent__V1__ExecRequest *req = msg;
	struct err e = ERR_INIT;
	struct container *ct;
	int rc = check_exec(req, &e);

	if (rc < 0) {
		ttrpc_reply_err(call, rc, e.msg);
		return;
	}
	ct = find(c, call, req->container_id, req->exec_id);
	if (ct)
		container_exec(ct, req, call, c);
}

static void do_signal(struct conn *c, struct ttrpc_call *call, const void *msg)
{
	const Husk__Agent__V1__SignalRequest *req = msg;
	struct process *p = find_process(c, call, req->container_id, req->exec_id);
	struct err e = ERR_INIT;
	int rc;

	if (!p)
		return;
	if (req->signal < 1 || req->signal >= _NSIG)
		rc = err_set(&e, EINVAL, "signal: invalid value");
	else if (req->all)
		rc = container_signal_all(p->ct, (int)req->signal, &e);
	else
		rc = process_signal(p, (int)req->signal, &e);
	/* Whoever is killed does not stay paused, as with runc; those that are left of it go on. */
	if (rc == 0 && req->signal == SIGKILL && p == &p->ct->init && p->ct->freezer.frozen)
		freezer_thaw(&p->ct->freezer);
	answer(call, rc, &e);
}

static void do_wait(struct conn *c, struct ttrpc_call *call, const void *msg)
{
	const Husk__Agent__V1__ProcessRequest *req = msg;
	struct process *p = find_process(c, call, req->container_id, req->exec_id);

	if (p)
		process_wait(p, call);
}

static void resize(struct conn *c, struct ttrpc_call *call, const void *msg)
{
	const Husk__Agent__V1__ResizeRequest *req = msg;
	struct process *p = find_process(c, call, req->container_id, req->exec_id);
	struct err e = ERR_INIT;
	int rc;

	if (!p)
		return;
	if (req->rows > UINT16_MAX || req->columns > UINT16_MAX)
		rc = err_set(&e, EINVAL, "rows, columns: invalid value");
	else
		rc = process_resize(p, req->rows, req->columns, &e);
	answer(call, rc, &e);
}

static void list(struct conn *c, struct ttrpc_call *call, const void *msg)
{
	const Husk__Agent__V1__ContainerRequest *req = msg;
	struct container *ct = find(c, call, req->container_id, "");

	if (ct)
		procs_list(ct, call);
}

static void do_pause(struct conn *c, struct ttrpc_call *call, const void *msg)
{
	const Husk__Agent__V1__ContainerRequest *req = msg;
	struct container *ct = find(c, call, req->container_id, "");

	if (!ct)
		return;
	if (ct->going || ct->init.state == PROC_ENDED)
		ttrpc_reply_err(call, -ESRCH, "container not running");
	else
		freezer_pause(&ct->freezer, call);
}

static void resume(struct conn *c, struct ttrpc_call *call, const void *msg)
{
	const Husk__Agent__V1__ContainerRequest *req = msg;
	struct container *ct = find(c, call, req->container_id, "");

	if (ct)
		freezer_resume(&ct->freezer, call);
}

static void update(struct conn *c, struct ttrpc_call *call, const void *msg)
{
	const Husk__Agent__V1__UpdateRequest *req = msg;
	struct container *ct = find(c, call, req->container_id, "");
	struct err e = ERR_INIT;
	int rc;

	if (!ct)
		return;
	rc = check_update(req, &e);
	if (rc < 0)
		ttrpc_reply_err(call, rc, e.msg);
	else
		update_begin(ct, req, call);
}

static void update_disks(struct conn *c, struct ttrpc_call *call, const void *msg)
{
	const Husk__Agent__V1__UpdateDisksRequest *req = msg;
	struct container *ct = find(c, call, req->container_id, "");
	struct err e = ERR_INIT;
	int rc;

	if (!ct)
		return;
	rc = check_disks(req, &e);
	if (rc < 0)
		ttrpc_reply_err(call, rc, e.msg);
	else if (ct->going || ct->init.state == PROC_ENDED || ct->init.state == PROC_PREPARING)
		ttrpc_reply_err(call, -ESRCH, "container not running");
	else
		diskplug_update(&ct->diskplug, req, call);
}

static void stats(struct conn *c, struct ttrpc_call *call, const void *msg)
{
	const Husk__Agent__V1__ContainerRequest *req = msg;
	struct container *ct = find(c, call, req->container_id, "");

	if (ct)
		stats_reply(&ct->cgroup, ct->netns, call);
}

static void wait_oom(struct conn *c, struct ttrpc_call *call, const void *msg)
{
	const Husk__Agent__V1__WaitOomRequest *req = msg;
	struct container *ct = find(c, call, req->container_id, "");

	if (ct)
		oom_wait(&ct->oom, req->seen, call);
}

static void update_network(struct conn *c, struct ttrpc_call *call, const void *msg)
{
	struct err e = ERR_INIT;
	int rc = network_check(msg, &e);

	if (rc < 0)
		ttrpc_reply_err(call, rc, e.msg);
	else
		network_update(&conn_agent(c)->network, msg, call);
}

static void accept_socket(struct conn *c, struct ttrpc_call *call, const void *msg)
{
	const Husk__Agent__V1__AcceptSocketRequest *req = msg;
	struct container *ct = find(c, call, req->container_id, "");

	if (ct)
		sockets_accept(&ct->sockets, req->token, call);
}

static void change_mount(struct conn *c, struct ttrpc_call *call, const void *msg)
{
	const Husk__Agent__V1__ChangeMountRequest *req = msg;
	struct err e = ERR_INIT;
	int rc = check_change_mount(req, &e);
	struct container *ct = rc < 0 ? NULL : find(c, call, req->container_id, "");

	if (rc < 0)
		ttrpc_reply_err(call, rc, e.msg);
	else if (ct)
		follow_change(ct, req, call);
}

static void delete(struct conn *c, struct ttrpc_call *call, const void *msg)
{
	const Husk__Agent__V1__ProcessRequest *req = msg;
	struct container *ct = find(c, call, req->container_id, req->exec_id);

	if (ct)
		container_delete(ct, req->exec_id, call);
}

#define METHOD(name, type, fn)                                                               \
	static void on_##name(void *ctx, struct ttrpc_call *call, const uint8_t *payload,    \
			      size_t len)                                                    \
	{                                                                                    \
		with(ctx, call, &husk__agent__v1__##type##__descriptor, payload, len, fn);   \
	}
METHOD(hello, hello_request, hello)
METHOD(create, create_container_request, create)
METHOD(start, process_request, start)
METHOD(exec, exec_request, exec)
METHOD(signal, signal_request, do_signal)
METHOD(wait, process_request, do_wait)
METHOD(resize, resize_request, resize)
METHOD(list, container_request, list)
METHOD(pause, container_request, do_pause)
METHOD(resume, container_request, resume)
METHOD(update, update_request, update)
METHOD(update_disks, update_disks_request, update_disks)
METHOD(stats, container_request, stats)
METHOD(wait_oom, wait_oom_request, wait_oom)
METHOD(update_network, update_network_request, update_network)
METHOD(accept_socket, accept_socket_request, accept_socket)
METHOD(change_mount, change_mount_request, change_mount)
METHOD(delete, process_request, delete)

#define AGENT "husk.agent.v1.Agent"
const struct ttrpc_method agent_methods[] = {
	{ AGENT, "Hello", on_hello },
	{ AGENT, "CreateContainer", on_create },
	{ AGENT, "Start", on_start },
	{ AGENT, "Exec", on_exec },
	{ AGENT, "Signal", on_signal },
	{ AGENT, "Wait", on_wait },
	{ AGENT, "Resize", on_resize },
	{ AGENT, "ListProcesses", on_list },
	{ AGENT, "Pause", on_pause },
	{ AGENT, "Resume", on_resume },
	{ AGENT, "Update", on_update },
	{ AGENT, "UpdateDisks", on_update_disks },
	{ AGENT, "Stats", on_stats },
	{ AGENT, "WaitOom", on_wait_oom },
	{ AGENT, "UpdateNetwork", on_update_network },
	{ AGENT, "AcceptSocket", on_accept_socket },
	{ AGENT, "ChangeMount", on_change_mount },
	{ AGENT, "Delete", on_delete },
	{ NULL, NULL, NULL },
};
