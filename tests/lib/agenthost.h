/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real agent on this host instead of in a guest: a child in namespaces of its own (mount, pid, ipc, uts,
 * net) that serves Unix sockets, with folders of a tmpfs for shares; and the host's end of it as the proxy
 * has it. Needs root. For unit tests (cmocka): what must work is asserted.
 */
#ifndef TESTS_LIB_AGENTHOST_H
#define TESTS_LIB_AGENTHOST_H

#include <sys/types.h>

#include "agent-proto/client/client.h"
#include "agent-proto/client/pack.h"

struct agenthost {
	char dir[64];  /* rootfs is shares/root in it, as the agent's children see it too */
	pid_t pid;     /* the agent, seen from here */
	pid_t outer;   /* its parent, ours to reap */
	struct evloop *loop;
	struct agent_client *c;
	struct err dead;
	bool is_dead;
};

/* NULL (and why, printed) when this process may not. */
struct agenthost *agenthost_new(void);
void agenthost_free(struct agenthost *h); /* NULL is fine */
/* One more control connection. */
struct agent_client *agenthost_connect(struct agenthost *h, agent_dead_fn *dead, void *arg);
/* A group of tests with one agent, h (NULL when this process may not), which they find connected. */
#define AGENTHOST_FIXTURE                                        \
	static struct agenthost *h;                              \
	static int set_up(void **state)                          \
	{                                                        \
		(void)state;                                     \
		h = agenthost_new();                             \
		if (h)                                           \
			h->c = agenthost_connect(h, NULL, NULL); \
		return 0;                                        \
	}                                                        \
	static int tear_down(void **state)                       \
	{                                                        \
		(void)state;                                     \
		agenthost_free(h);                               \
		return 0;                                        \
	}
/* How many descriptors the agent has open. */
unsigned agenthost_fds(const struct agenthost *h);
/* A script for `sh -c`, run in the agent's mount namespace; its exit status. */
int agenthost_sh(const struct agenthost *h, const char *script);

/* A stream connection that has said its token. */
int agenthost_stream(const struct agenthost *h, uint64_t token);
/* "resolver", "forward" or "udp": a connection there. */
int agenthost_dial(const struct agenthost *h, const char *name);
uint64_t agenthost_token(void);
/* All until its end, NUL-terminated; fails the test after ten seconds. *ret_len may be NULL. */
char *agenthost_read_all(int fd, size_t *ret_len);

/* A call's answer; the loop turns until it is there. */
struct reply {
	bool done;
	struct agent_reply r;
};
void reply_fn(void *arg, const struct agent_reply *r);
/* reply_wait(h, &r, agent_x(..., reply_fn, &r, &e)) */
const struct agent_reply *reply_wait(struct agenthost *h, struct reply *r, int rc);
void agenthost_turn(struct agenthost *h, int ms);

/* A request to build on: namespaces, /proc, /dev, /dev/pts, /sys and /dev/shm mounted, root, cwd /, PATH.
 * Fields may be changed before it is packed. */
struct ct_request {
	Husk__Agent__V1__CreateContainerRequest req;
	Husk__Agent__V1__ExecRequest exec;
	Husk__Agent__V1__Container ct;
	Husk__Agent__V1__Process proc;
	Husk__Agent__V1__User user;
	Husk__Agent__V1__Streams streams;
	Husk__Agent__V1__Namespace ns[8];
	Husk__Agent__V1__Mount mounts[16];
	Husk__Agent__V1__Mount *mount_ptrs[16];
	ProtobufCBinaryData args[16], env[16];
	char id[64], exec_id[64];
};
void request_init(struct ct_request *q, const char *id);
void request_args(struct ct_request *q, ...) __attribute__((sentinel)); /* ends with NULL */
/* args: sh -c @script */
void request_sh(struct ct_request *q, const char *script);
void request_env(struct ct_request *q, const char *assignment);
Husk__Agent__V1__Mount *request_mount(struct ct_request *q, const char *dst, const char *type,
				      const char *source, uint64_t flags, const char *data);
/* The CreateContainerRequest, packed; the caller's to free. */
void *request_pack(const struct ct_request *q, size_t *ret_len);
const struct agent_reply *request_create(struct agenthost *h, struct ct_request *q,
					 struct reply *r);
const struct agent_reply *request_exec(struct agenthost *h, struct ct_request *q,
				       const char *exec_id, struct reply *r);

/* One call each, answered: its number. */
int agenthost_start(struct agenthost *h, const char *id);
int agenthost_delete(struct agenthost *h, const char *id, const char *exec_id);
int agenthost_send_signal(struct agenthost *h, const char *id, const char *exec_id, int sig,
			  bool all);
const struct agent_reply *agenthost_wait_for(struct agenthost *h, const char *id,
					     const char *exec_id, struct reply *r);
/* A container that sleeps, started. */
void agenthost_sleeper(struct agenthost *h, struct ct_request *q, const char *id);

/* Create, start, wait, delete of `sh -c @script`: what it wrote to both streams, in @out; the exit
 * status. */
uint32_t agenthost_run(struct agenthost *h, struct ct_request *q, char **ret_out);

#endif
