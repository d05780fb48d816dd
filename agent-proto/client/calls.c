// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/client/client.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "agent-proto/client/internal.h"
#include "agent-proto/proto/agent.pb-c.h"

/* The request's parts that only a name is needed for; protobuf-c's strings are char *. */
struct names {
	char container[AGENT_MAX_ID + 1];
	char exec[AGENT_MAX_ID + 1];
};

static int put_names(struct names *n, const char *container_id, const char *exec_id, struct err *e)
{
	size_t clen = strlen(container_id), elen = exec_id ? strlen(exec_id) : 0;

	if (clen > AGENT_MAX_ID || elen > AGENT_MAX_ID)
		return err_set(e, EINVAL, "id is too long");
	memcpy(n->container, container_id, clen + 1);
	memcpy(n->exec, exec_id ? exec_id : "", elen + 1);
	return 0;
}

int agent_ask_message(struct agent_client *c, const struct agent_ask *ask,
		      const ProtobufCMessage *msg, struct err *e)
{
	/* The longest: two ids and a few numbers, or the entropy. */
	uint8_t packed[2 * AGENT_MAX_ID + 256];
	size_t len = protobuf_c_message_get_packed_size(msg);

	bug_on(len > sizeof(packed));
	protobuf_c_message_pack(msg, packed);
	return agent_ask_packed(c, ask, packed, len, e);
}

static int ask_process(struct agent_client *c, const struct agent_ask *ask,
		       const char *container_id, const char *exec_id, struct err *e)
{
	Husk__Agent__V1__ProcessRequest req;
	struct names n;
	int rc = put_names(&n, container_id, exec_id, e);

	if (rc < 0)
		return rc;
	husk__agent__v1__process_request__init(&req);
	req.container_id = n.container;
	req.exec_id = n.exec;
	return agent_ask_message(c, ask, &req.base, e);
}

int agent_hello(struct agent_client *c, unsigned timeout_ms, agent_reply_fn *fn, void *arg, struct err *e)
{
	struct agent_ask ask = { .method = AGENT_HELLO,
				 .timeout_ms = timeout_ms ? timeout_ms : AGENT_DEADLINE_MS,
				 .fn = fn,
				 .arg = arg };
	Husk__Agent__V1__HelloRequest req;
	uint8_t entropy[32];
	struct timespec now;

	/* Without blocking: a host that has just booted may have none yet; better none than late. */
	ssize_t n = getrandom(entropy, sizeof(entropy), GRND_NONBLOCK);

	husk__agent__v1__hello_request__init(&req);
	req.version = AGENT_VERSION;
	if (n == sizeof(entropy)) {
		req.entropy.data = entropy;
		req.entropy.len = sizeof(entropy);
	}
	clock_gettime(CLOCK_REALTIME, &now);
	req.time_sec = now.tv_sec;
	req.time_nsec = (uint32_t)now.tv_nsec;
	return agent_ask_message(c, &ask, &req.base, e);
}

int agent_create(struct agent_client *c, const void *req, size_t len, unsigned timeout_ms,
		 agent_reply_fn *fn, void *arg, struct err *e)
{
	struct agent_ask ask = { .method = AGENT_CREATE,
				 .timeout_ms = timeout_ms ? timeout_ms : AGENT_CREATE_DEADLINE_MS,
				 .fn = fn,
				 .arg = arg };

	return agent_ask_packed(c, &ask, req, len, e);
}

int agent_exec(struct agent_client *c, const void *req, size_t len, unsigned timeout_ms,
	       agent_reply_fn *fn, void *arg, struct err *e)
{
	struct agent_ask ask = { .method = AGENT_EXEC,
				 .timeout_ms = timeout_ms ? timeout_ms : AGENT_CREATE_DEADLINE_MS,
				 .fn = fn,
				 .arg = arg };

	return agent_ask_packed(c, &ask, req, len, e);
}

int agent_start(struct agent_client *c, const char *container_id, const char *exec_id,
		unsigned timeout_ms, agent_reply_fn *fn, void *arg, struct err *e)
{
	struct agent_ask ask = { .method = AGENT_START,
				 .timeout_ms = timeout_ms ? timeout_ms : AGENT_DEADLINE_MS,
				 .fn = fn,
				 .arg = arg };

	if (timeout_ms == UINT_MAX)
		ask.timeout_ms = 0;

	return ask_process(c, &ask, container_id, exec_id, e);
}

int agent_wait(struct agent_client *c, const char *container_id, const char *exec_id,
	       agent_reply_fn *fn, void *arg, struct err *e)
{
	struct agent_ask ask = { .method = AGENT_WAIT, .fn = fn, .arg = arg };

	return ask_process(c, &ask, container_id, exec_id, e);
}

int agent_delete(struct agent_client *c, const char *container_id, const char *exec_id,
		 agent_reply_fn *fn, void *arg, struct err *e)
{
	struct agent_ask ask = { .method = AGENT_DELETE,
				 .timeout_ms = exec_id && *exec_id ? AGENT_DEADLINE_MS : AGENT_DELETE_MS,
				 .fn = fn,
				 .arg = arg };

	return ask_process(c, &ask, container_id, exec_id, e);
}

int agent_signal(struct agent_client *c, const char *container_id, const char *exec_id,
		 uint32_t signo, bool all, agent_reply_fn *fn, void *arg, struct err *e)
{
	struct agent_ask ask = { .method = AGENT_SIGNAL,
				 .timeout_ms = AGENT_DEADLINE_MS,
				 .fn = fn,
				 .arg = arg };
	Husk__Agent__V1__SignalRequest req;
	struct names n;
	int rc = put_names(&n, container_id, exec_id, e);

	if (rc < 0)
		return rc;
	husk__agent__v1__signal_request__init(&req);
	req.container_id = n.container;
	req.exec_id = n.exec;
	req.signal = signo;
	req.all = all;
	return agent_ask_message(c, &ask, &req.base, e);
}

int agent_resize(struct agent_client *c, const char *container_id, const char *exec_id,
		 uint16_t rows, uint16_t columns, agent_reply_fn *fn, void *arg, struct err *e)
{
	struct agent_ask ask = { .method = AGENT_RESIZE,
				 .timeout_ms = AGENT_DEADLINE_MS,
				 .fn = fn,
				 .arg = arg };
	Husk__Agent__V1__ResizeRequest req;
	struct names n;
	int rc = put_names(&n, container_id, exec_id, e);

	if (rc < 0)
		return rc;
	husk__agent__v1__resize_request__init(&req);
	req.container_id = n.container;
	req.exec_id = n.exec;
	req.rows = rows;
	req.columns = columns;
	return agent_ask_message(c, &ask, &req.base, e);
}

static int ask_container(struct agent_client *c, const struct agent_ask *ask,
			 const char *container_id, struct err *e)
{
	Husk__Agent__V1__ContainerRequest req;
	struct names n;
	int rc = put_names(&n, container_id, NULL, e);

	if (rc < 0)
		return rc;
	husk__agent__v1__container_request__init(&req);
	req.container_id = n.container;
	return agent_ask_message(c, ask, &req.base, e);
}

int agent_list(struct agent_client *c, const char *container_id, agent_ps_fn *each,
	       agent_reply_fn *fn, void *arg, struct err *e)
{
	struct agent_ask ask = { .method = AGENT_LIST,
				 .timeout_ms = AGENT_DEADLINE_MS,
				 .fn = fn,
				 .each = each,
				 .arg = arg };

	return ask_container(c, &ask, container_id, e);
}

int agent_pause(struct agent_client *c, const char *container_id, agent_reply_fn *fn, void *arg,
		struct err *e)
{
	struct agent_ask ask = { .method = AGENT_PAUSE,
				 .timeout_ms = AGENT_DEADLINE_MS,
				 .fn = fn,
				 .arg = arg };

	return ask_container(c, &ask, container_id, e);
}

int agent_resume(struct agent_client *c, const char *container_id, agent_reply_fn *fn, void *arg,
		 struct err *e)
{
	struct agent_ask ask = { .method = AGENT_RESUME,
				 .timeout_ms = AGENT_DEADLINE_MS,
				 .fn = fn,
				 .arg = arg };

	return ask_container(c, &ask, container_id, e);
}

int agent_stats(struct agent_client *c, const char *container_id, agent_reply_fn *fn, void *arg,
		struct err *e)
{
	struct agent_ask ask = { .method = AGENT_STATS,
				 .timeout_ms = AGENT_DEADLINE_MS,
				 .fn = fn,
				 .arg = arg };

	return ask_container(c, &ask, container_id, e);
}

int agent_wait_oom(struct agent_client *c, const char *container_id, uint64_t seen,
		   agent_reply_fn *fn, void *arg, struct err *e)
{
	struct agent_ask ask = { .method = AGENT_WAIT_OOM, .fn = fn, .arg = arg };
	Husk__Agent__V1__WaitOomRequest req;
	struct names n;
	int rc = put_names(&n, container_id, NULL, e);

	if (rc < 0)
		return rc;
	husk__agent__v1__wait_oom_request__init(&req);
	req.container_id = n.container;
	req.seen = seen;
	return agent_ask_message(c, &ask, &req.base, e);
}

int agent_update(struct agent_client *c, const void *req, size_t len, agent_reply_fn *fn, void *arg,
		 struct err *e)
{
	struct agent_ask ask = { .method = AGENT_UPDATE,
				 .timeout_ms = AGENT_DEADLINE_MS + AGENT_UPDATE_MS,
				 .fn = fn,
				 .arg = arg };

	return agent_ask_packed(c, &ask, req, len, e);
}

int agent_disks(struct agent_client *c, const void *req, size_t len, agent_reply_fn *fn, void *arg, struct err *e)
{
	struct agent_ask ask = { .method = AGENT_DISKS,
				 .timeout_ms = AGENT_DEADLINE_MS + AGENT_PLUG_MS,
				 .fn = fn,
				 .arg = arg };

	return agent_ask_packed(c, &ask, req, len, e);
}

int agent_network(struct agent_client *c, const void *req, size_t len, agent_reply_fn *fn, void *arg,
		  struct err *e)
{
	struct agent_ask ask = { .method = AGENT_NETWORK,
				 .timeout_ms = AGENT_DEADLINE_MS + AGENT_DEVICE_MS,
				 .fn = fn,
				 .arg = arg };

	return agent_ask_packed(c, &ask, req, len, e);
}

int agent_accept_socket(struct agent_client *c, const char *container_id, uint64_t token, agent_reply_fn *fn, void *arg,
			struct err *e)
{
	struct agent_ask ask = { .method = AGENT_ACCEPT_SOCKET, .fn = fn, .arg = arg };
	Husk__Agent__V1__AcceptSocketRequest req;
	struct names n;
	int rc = put_names(&n, container_id, NULL, e);

	if (rc < 0)
		return rc;
	husk__agent__v1__accept_socket_request__init(&req);
	req.container_id = n.container;
	req.token = token;
	return agent_ask_message(c, &ask, &req.base, e);
}

int agent_change_mount(struct agent_client *c, const char *container_id, const struct agent_mount *m, agent_reply_fn *fn,
		       void *arg, struct err *e)
{
	struct agent_ask ask = { .method = AGENT_CHANGE_MOUNT, .fn = fn, .arg = arg };
	uint8_t packed[AGENT_MAX_ID + AGENT_MAX_STRING + 512];
	char path[AGENT_MAX_STRING + 1], share[128];
	Husk__Agent__V1__ChangeMountRequest req;
	struct names n;
	int rc = put_names(&n, container_id, "", e);

	if (rc < 0)
		return rc;
	if ((size_t)snprintf(path, sizeof(path), "%s", m->path) >= sizeof(path) ||
	    (size_t)snprintf(share, sizeof(share), "%s", m->share) >= sizeof(share))
		return err_set(e, EINVAL, "path is too long");
	husk__agent__v1__change_mount_request__init(&req);
	req.container_id = n.container;
	req.slot = m->slot;
	req.gone = m->gone;
	req.bind = m->bind;
	req.through = m->through;
	req.parent = m->parent;
	req.path = path;
	req.share = share;
	req.flags = m->flags;
	return agent_ask_packed(c, &ask, packed, husk__agent__v1__change_mount_request__pack(&req, packed), e);
}
