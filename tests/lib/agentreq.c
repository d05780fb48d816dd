// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "tests/lib/agenthost.h"
#include "tests/unit/check.h"

/* protobuf-c's strings are not const, and nothing here writes to them. */
static char *text(const char *s)
{
	union {
		const char *in;
		char *out;
	} u = { .in = s };

	return u.out;
}

static void add(ProtobufCBinaryData *v, size_t *n, const char *s)
{
	assert_true(*n < 16);
	v[*n].data = (uint8_t *)text(s);
	v[(*n)++].len = strlen(s);
}

void request_args(struct ct_request *q, ...)
{
	const char *s;
	va_list ap;

	q->proc.n_args = 0;
	va_start(ap, q);
	while ((s = va_arg(ap, const char *)))
		add(q->args, &q->proc.n_args, s);
	va_end(ap);
}

void request_sh(struct ct_request *q, const char *script)
{
	request_args(q, "sh", "-c", script, NULL);
}

void request_env(struct ct_request *q, const char *assignment)
{
	add(q->env, &q->proc.n_env, assignment);
}

Husk__Agent__V1__Mount *request_mount(struct ct_request *q, const char *dst, const char *type,
				      const char *source, uint64_t flags, const char *data)
{
	Husk__Agent__V1__Mount *m = &q->mounts[q->ct.n_mounts];

	assert_true(q->ct.n_mounts < 16);
	husk__agent__v1__mount__init(m);
	m->destination = text(dst);
	m->type = text(type);
	m->source = text(source);
	m->flags = flags;
	m->data = text(data);
	q->mount_ptrs[q->ct.n_mounts++] = m;
	return m;
}

void request_init(struct ct_request *q, const char *id)
{
	memset(q, 0, sizeof(*q));
	husk__agent__v1__create_container_request__init(&q->req);
	husk__agent__v1__exec_request__init(&q->exec);
	husk__agent__v1__container__init(&q->ct);
	husk__agent__v1__process__init(&q->proc);
	husk__agent__v1__user__init(&q->user);
	husk__agent__v1__streams__init(&q->streams);
	snprintf(q->id, sizeof(q->id), "%s", id);
	q->req.container_id = q->exec.container_id = q->id;
	q->req.container = &q->ct;
	q->ct.rootfs_share = text("root");
	q->ct.process = q->exec.process = &q->proc;
	q->ct.new_namespaces = q->ns;
	for (unsigned i = 1; i <= 6; i++)
		q->ns[q->ct.n_new_namespaces++] = (Husk__Agent__V1__Namespace)i;
	q->ct.mounts = q->mount_ptrs;
	request_mount(q, "/proc", "proc", "proc", MS_NOSUID | MS_NOEXEC | MS_NODEV, "");
	request_mount(q, "/dev", "tmpfs", "tmpfs", MS_NOSUID | MS_STRICTATIME,
		      "mode=755,size=65536k");
	request_mount(q, "/dev/pts", "devpts", "devpts", MS_NOSUID | MS_NOEXEC,
		      "newinstance,ptmxmode=0666,mode=0620,gid=5");
	request_mount(q, "/sys", "sysfs", "sysfs", MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RDONLY, "");
	q->proc.user = &q->user;
	q->proc.streams = &q->streams;
	q->proc.args = q->args;
	q->proc.env = q->env;
	q->proc.cwd = text("/");
	request_env(q, "PATH=/usr/bin:/bin");
}

static void *packed(const ProtobufCMessage *m, size_t *len)
{
	uint8_t *p = malloc(protobuf_c_message_get_packed_size(m) + 1);

	assert_non_null(p);
	*len = protobuf_c_message_pack(m, p);
	return p;
}

void *request_pack(const struct ct_request *q, size_t *ret_len)
{
	return packed(&q->req.base, ret_len);
}

const struct agent_reply *request_create(struct agenthost *h, struct ct_request *q,
					 struct reply *r)
{
	size_t len;
	void *p = packed(&q->req.base, &len);
	int rc = agent_create(h->c, p, len, 0, reply_fn, r, NULL);

	free(p);
	return reply_wait(h, r, rc);
}

const struct agent_reply *request_exec(struct agenthost *h, struct ct_request *q,
				       const char *exec_id, struct reply *r)
{
	size_t len;
	void *p;
	int rc;

	snprintf(q->exec_id, sizeof(q->exec_id), "%s", exec_id);
	q->exec.exec_id = q->exec_id;
	p = packed(&q->exec.base, &len);
	rc = agent_exec(h->c, p, len, 0, reply_fn, r, NULL);
	free(p);
	return reply_wait(h, r, rc);
}

int agenthost_start(struct agenthost *h, const char *id)
{
	struct reply r = { 0 };

	return reply_wait(h, &r, agent_start(h->c, id, "", 0, reply_fn, &r, NULL))->rc;
}

const struct agent_reply *agenthost_wait_for(struct agenthost *h, const char *id,
					     const char *exec_id, struct reply *r)
{
	memset(r, 0, sizeof(*r));
	return reply_wait(h, r, agent_wait(h->c, id, exec_id, reply_fn, r, NULL));
}

int agenthost_delete(struct agenthost *h, const char *id, const char *exec_id)
{
	struct reply r = { 0 };

	return reply_wait(h, &r, agent_delete(h->c, id, exec_id, reply_fn, &r, NULL))->rc;
}

int agenthost_send_signal(struct agenthost *h, const char *id, const char *exec_id, int sig,
			  bool all)
{
	struct reply r = { 0 };

	return reply_wait(h, &r, agent_signal(h->c, id, exec_id, (uint32_t)sig, all, reply_fn, &r, NULL))
		->rc;
}

void agenthost_sleeper(struct agenthost *h, struct ct_request *q, const char *id)
{
	struct reply r = { 0 };

	request_init(q, id);
	request_args(q, "sleep", "1000", NULL);
	request_create(h, q, &r);
	if (r.r.rc < 0)
		fail_msg("create: %s", r.r.err.msg);
	assert_int_equal(agenthost_start(h, id), 0);
}

uint32_t agenthost_run(struct agenthost *h, struct ct_request *q, char **ret_out)
{
	struct reply made = { 0 }, started = { 0 }, ended = { 0 }, gone = { 0 };
	const struct agent_reply *r;
	int out;

	q->streams.stdout = agenthost_token();
	out = agenthost_stream(h, q->streams.stdout);
	r = request_create(h, q, &made);
	if (r->rc < 0)
		fail_msg("create: %s", r->err.msg);
	r = reply_wait(h, &started, agent_start(h->c, q->id, "", 0, reply_fn, &started, NULL));
	if (r->rc < 0)
		fail_msg("start: %s", r->err.msg);
	*ret_out = agenthost_read_all(out, NULL);
	r = reply_wait(h, &ended, agent_wait(h->c, q->id, "", reply_fn, &ended, NULL));
	assert_int_equal(r->rc, 0);
	r = reply_wait(h, &gone, agent_delete(h->c, q->id, "", reply_fn, &gone, NULL));
	assert_int_equal(r->rc, 0);
	return ended.r.exit.status;
}
