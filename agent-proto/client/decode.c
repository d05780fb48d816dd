// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/client/decode.h"

#include <arpa/inet.h>
#include <string.h>

#include "agent-proto/client/internal.h"
#include "agent-proto/client/text.h"
#include "agent-proto/proto/agent.pb-c.h"
#include "agent-proto/ttrpc/arena.h"

#define MAX_PID (1u << 22) /* PID_MAX_LIMIT of Linux */

static int bad(struct err *e, const char *what)
{
	return err_set(e, EPROTO, "%s", what);
}

/* A guest's string of at most @max bytes into a field. */
static int take_text(char *dst, size_t size, const char *src, size_t max, const char *what,
		     struct err *e)
{
	size_t len = strnlen(src, max + 1);

	if (len > max)
		return err_set(e, EPROTO, "%s is too long", what);
	text_printable(dst, size, src, len);
	return 0;
}

static int take_pid(uint32_t pid, uint32_t *ret, struct err *e)
{
	if (pid == 0 || pid > MAX_PID)
		return err_set(e, EPROTO, "pid %u", pid);
	*ret = pid;
	return 0;
}

static int take_hello(const Husk__Agent__V1__HelloResponse *m, struct agent_reply *ret,
		      struct err *e)
{
	struct agent_hello_info *h = &ret->hello;
	int rc;

	if (m->version == 0 || m->version + 1 < AGENT_VERSION || m->version > AGENT_VERSION + 1)
		return err_set(e, EPROTO, "agent speaks version %u", m->version);
	h->version = m->version;
	h->features = m->features;
	h->kernel_to_agent_ns = m->kernel_to_agent_ns;
	rc = take_text(h->agent_version, sizeof(h->agent_version), m->agent_version,
		       sizeof(h->agent_version) - 1, "agent version", e);
	if (rc == 0)
		rc = take_text(h->kernel_release, sizeof(h->kernel_release), m->kernel_release,
			       sizeof(h->kernel_release) - 1, "kernel release", e);
	return rc;
}

static int take_wait(const Husk__Agent__V1__WaitResponse *m, struct agent_reply *ret, struct err *e)
{
	if (m->exit_status > 255)
		return err_set(e, EPROTO, "exit status %u", m->exit_status);
	if (m->exited_at_sec < 0 || m->exited_at_nsec >= 1000000000u)
		return bad(e, "time of exit is none");
	ret->exit = (struct agent_exit_info){ .status = m->exit_status,
					      .oom = m->oom,
					      .at_sec = m->exited_at_sec,
					      .at_nsec = m->exited_at_nsec };
	return 0;
}

static int take_process(const Husk__Agent__V1__ProcessInfo *m, struct agent_ps_info *p,
			struct err *e)
{
	int rc = take_pid(m->pid, &p->pid, e);

	if (rc < 0)
		return rc;
	if (m->ppid > MAX_PID)
		return bad(e, "parent's pid");
	if (m->command.len > AGENT_MAX_STRING)
		return bad(e, "command is too long");
	p->ppid = m->ppid;
	p->uid = m->uid;
	p->is_host_started = m->is_host_started;
	p->start_ns = m->start_ns;
	p->cpu_ns = m->cpu_ns;
	p->virtual_bytes = m->virtual_bytes;
	p->resident_bytes = m->resident_bytes;
	/* Nobody's promise: an honest agent has said more, of a process that maps the same pages many times. */
	p->resident_permille = min_t(uint32_t, m->resident_permille, 1000);
	p->threads = m->threads;
	text_printable(p->command, sizeof(p->command), m->command.data, m->command.len);
	rc = take_text(p->exec_id, sizeof(p->exec_id), m->exec_id, AGENT_MAX_ID, "exec id", e);
	if (rc == 0)
		rc = take_text(p->tty, sizeof(p->tty), m->tty, AGENT_MAX_STRING, "tty", e);
	if (rc == 0)
		rc = take_text(p->state, sizeof(p->state), m->state, sizeof(p->state) - 1, "state", e);
	if (rc == 0)
		rc = take_text(p->name, sizeof(p->name), m->name, AGENT_MAX_STRING, "name", e);
	return rc;
}

static int take_socket(const Husk__Agent__V1__AcceptSocketResponse *m, struct agent_reply *ret, struct err *e)
{
	struct agent_socket_info *s = &ret->socket;

	if (m->socket >= AGENT_MAX_SOCKETS)
		return bad(e, "socket");
	if (m->n_groups > ARRAY_SIZE(s->groups))
		return err_set(e, EPROTO, "%zu groups", m->n_groups);
	s->socket = m->socket;
	s->uid = m->uid;
	s->gid = m->gid;
	s->ngroups = (uint32_t)m->n_groups;
	if (m->n_groups)
		memcpy(s->groups, m->groups, m->n_groups * sizeof(s->groups[0]));
	return 0;
}

/* Twice over: nothing is shown of an answer that is bad further on, and no array is made of a size
 * that the guest chose. */
static int take_list(const Husk__Agent__V1__ListProcessesResponse *m, agent_ps_fn *each, void *arg,
		     struct err *e)
{
	struct agent_ps_info p;

	if (m->n_processes > AGENT_MAX_PROCESSES)
		return err_set(e, EPROTO, "%zu processes", m->n_processes);
	for (size_t i = 0; i < m->n_processes; i++) {
		int rc = take_process(m->processes[i], &p, e);

		if (rc < 0)
			return rc;
	}
	for (size_t i = 0; each && i < m->n_processes; i++) {
		memset(&p, 0, sizeof(p));
		take_process(m->processes[i], &p, NULL);
		each(arg, &p);
	}
	return 0;
}

static int take_network(const Husk__Agent__V1__UpdateNetworkResponse *m, struct agent_network_info *ret, struct err *e)
{
	if (m->n_resolvers > AGENT_MAX_RESOLVERS)
		return err_set(e, EPROTO, "%zu name servers", m->n_resolvers);
	for (size_t i = 0; i < m->n_resolvers; i++) {
		uint32_t a = ntohl(m->resolvers[i]);

		/* Others are reached by the container's own interfaces, or not at all. */
		if (a >> 24 != 127 || a == INADDR_LOOPBACK)
			return bad(e, "name server is not below 127.0.0.0/8");
		ret->resolver[ret->n++] = m->resolvers[i];
	}
	return 0;
}

static const ProtobufCMessageDescriptor *const reply_type[AGENT_METHODS] = {
	[AGENT_HELLO] = &husk__agent__v1__hello_response__descriptor,
	[AGENT_CREATE] = &husk__agent__v1__create_container_response__descriptor,
	[AGENT_START] = &husk__agent__v1__empty__descriptor,
	[AGENT_EXEC] = &husk__agent__v1__exec_response__descriptor,
	[AGENT_SIGNAL] = &husk__agent__v1__empty__descriptor,
	[AGENT_WAIT] = &husk__agent__v1__wait_response__descriptor,
	[AGENT_RESIZE] = &husk__agent__v1__empty__descriptor,
	[AGENT_LIST] = &husk__agent__v1__list_processes_response__descriptor,
	[AGENT_DELETE] = &husk__agent__v1__empty__descriptor,
	[AGENT_PAUSE] = &husk__agent__v1__empty__descriptor,
	[AGENT_RESUME] = &husk__agent__v1__empty__descriptor,
	[AGENT_STATS] = &husk__agent__v1__stats_response__descriptor,
	[AGENT_WAIT_OOM] = &husk__agent__v1__wait_oom_response__descriptor,
	[AGENT_UPDATE] = &husk__agent__v1__empty__descriptor,
	[AGENT_DISKS] = &husk__agent__v1__empty__descriptor,
	[AGENT_NETWORK] = &husk__agent__v1__update_network_response__descriptor,
	[AGENT_ACCEPT_SOCKET] = &husk__agent__v1__accept_socket_response__descriptor,
	[AGENT_CHANGE_MOUNT] = &husk__agent__v1__empty__descriptor,
};

static int take(enum agent_method m, const void *msg, agent_ps_fn *each, void *arg,
		struct agent_reply *ret, struct err *e)
{
	switch (m) {
	case AGENT_HELLO:
		return take_hello(msg, ret, e);
	case AGENT_CREATE:
		return take_pid(((const Husk__Agent__V1__CreateContainerResponse *)msg)->pid,
				&ret->pid, e);
	case AGENT_EXEC:
		return take_pid(((const Husk__Agent__V1__ExecResponse *)msg)->pid, &ret->pid, e);
	case AGENT_WAIT:
		return take_wait(msg, ret, e);
	case AGENT_STATS:
		return agent_take_stats(msg, &ret->stats, e);
	case AGENT_WAIT_OOM:
		ret->oom_kills = ((const Husk__Agent__V1__WaitOomResponse *)msg)->oom_kills;
		return 0;
	case AGENT_NETWORK:
		return take_network(msg, &ret->network, e);
	case AGENT_ACCEPT_SOCKET:
		return take_socket(msg, ret, e);
	case AGENT_LIST:
		return take_list(msg, each, arg, e);
	default: /* Empty */
		return 0;
	}
}

int agent_decode(enum agent_method m, const uint8_t *payload, size_t len, agent_ps_fn *each,
		 void *arg, struct agent_reply *ret, struct err *e)
{
	ProtobufCMessage *msg;
	struct arena arena;
	int rc;

	memset(ret, 0, sizeof(*ret));
	arena_init(&arena, AGENT_CLIENT_MAX_UNPACK);
	msg = protobuf_c_message_unpack(reply_type[m], &arena.pb, len, payload);
	rc = msg ? take(m, msg, each, arg, ret, e) : bad(e, "malformed answer");
	arena_free(&arena);
	return rc;
}

int agent_decode_refusal(int rc, const char *message, struct agent_reply *ret, struct err *e)
{
	size_t len = strnlen(message, AGENT_MAX_ERROR_TEXT + 1);

	memset(ret, 0, sizeof(*ret));
	if (len > AGENT_MAX_ERROR_TEXT)
		return bad(e, "error text is too long");
	/* What a connection ends with is not for the agent to say: that one goes on, and somebody would wait for its end. */
	if (rc == -ETIMEDOUT || rc == -EPIPE || rc == -EPROTO || rc == -ECANCELED)
		rc = -EIO;
	ret->rc = rc;
	ret->err.code = -rc;
	text_printable(ret->err.msg, sizeof(ret->err.msg), message, len);
	return 0;
}
