// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/ttrpc/client.h"

#include <stdlib.h>
#include <string.h>

#include "agent-proto/proto/ttrpc.pb-c.h"
#include "agent-proto/ttrpc/status.h"

struct call {
	uint32_t stream;
	const char *method;
	uint64_t deadline_ns;
	ttrpc_result_fn *fn;
	void *arg;
};

struct ttrpc_client {
	struct ttrpc_client_limits lim;
	struct ttrpc_reader reader;
	struct buf out;
	uint32_t next_stream; /* odd; 0 when used up */
	struct err *input_err; /* of the ttrpc_client_input() that runs */
	unsigned ncalls;
	struct call calls[]; /* in the order of asking */
};

int ttrpc_client_new(struct ttrpc_client **ret, const struct ttrpc_client_limits *lim,
		     struct err *e)
{
	struct ttrpc_client *c = calloc(1, sizeof(*c) + lim->max_calls * sizeof(c->calls[0]));

	if (!c)
		return err_set(e, ENOMEM, "ttrpc client: out of memory");
	c->lim = *lim;
	c->out = (struct buf)BUF_INIT(lim->max_out);
	c->next_stream = 1;
	ttrpc_reader_init(&c->reader, lim->max_frame);
	*ret = c;
	return 0;
}

void ttrpc_client_free(struct ttrpc_client *c)
{
	if (!c)
		return;
	ttrpc_reader_done(&c->reader);
	buf_free(&c->out);
	free(c);
}

struct buf *ttrpc_client_output(struct ttrpc_client *c)
{
	return &c->out;
}

unsigned ttrpc_client_in_flight(const struct ttrpc_client *c)
{
	return c->ncalls;
}

/* protobuf-c's strings are char *, though it only reads them here. */
static char *unconst(const char *s)
{
	union {
		const char *in;
		char *out;
	} u = { .in = s };

	return u.out;
}

static int put_request(struct ttrpc_client *c, Ttrpc__Request *req, struct err *e)
{
	size_t len = ttrpc__request__get_packed_size(req);
	uint8_t *p;

	if (len > TTRPC_MAX_FRAME)
		return err_set(e, ENOSPC, "%s: request of %zu bytes is too long", req->method, len);
	p = buf_reserve(&c->out, TTRPC_HEADER + len);
	if (!p) {
		c->out.failed = false;
		return err_set(e, ENOSPC, "%s: too much is waiting to be sent", req->method);
	}
	ttrpc_put_header(p, (uint32_t)len, c->next_stream, TTRPC_REQUEST, 0);
	ttrpc__request__pack(req, p + TTRPC_HEADER);
	buf_commit(&c->out, TTRPC_HEADER + len);
	return 0;
}

int ttrpc_client_call(struct ttrpc_client *c, const char *service, const char *method,
		      const void *payload, size_t len, uint64_t deadline_ns, ttrpc_result_fn *fn,
		      void *arg, struct err *e)
{
	Ttrpc__Request req;
	int rc;

	if (c->ncalls == c->lim.max_calls || !c->next_stream)
		return err_set(e, ENOSPC, "%s: too many calls in flight", method);
	ttrpc__request__init(&req);
	req.service = unconst(service);
	req.method = unconst(method);
	req.payload.data = len ? (uint8_t *)unconst(payload) : NULL;
	req.payload.len = len;
	rc = put_request(c, &req, e);
	if (rc < 0)
		return rc;
	c->calls[c->ncalls++] = (struct call){ .stream = c->next_stream,
					       .method = method,
					       .deadline_ns = deadline_ns,
					       .fn = fn,
					       .arg = arg };
	/* After the last odd number comes 1, which is never used again. */
	c->next_stream = c->next_stream == UINT32_MAX ? 0 : c->next_stream + 2;
	return 0;
}

static unsigned find_call(const struct ttrpc_client *c, uint32_t stream)
{
	unsigned i = 0;

	while (i < c->ncalls && c->calls[i].stream != stream)
		i++;
	return i;
}

/* Out of the table first: the callback may make calls. */
static struct call take_call(struct ttrpc_client *c, unsigned i)
{
	struct call call = c->calls[i];

	c->ncalls--;
	memmove(&c->calls[i], &c->calls[i + 1], (c->ncalls - i) * sizeof(c->calls[0]));
	return call;
}

static int give_result(struct ttrpc_client *c, unsigned i, const Ttrpc__Response *resp)
{
	struct call call = take_call(c, i);
	struct ttrpc_result res = { .rc = 0, .message = "" };

	if (resp->status)
		res.rc = ttrpc_code_to_errno(resp->status->code);
	if (res.rc < 0) {
		res.message = resp->status->message;
	} else {
		res.payload = resp->payload.data;
		res.len = resp->payload.len;
	}
	return call.fn(call.arg, &res, c->input_err);
}

static int on_frame(void *arg, const struct ttrpc_frame *f)
{
	struct ttrpc_client *c = arg;
	struct err *e = c->input_err;
	Ttrpc__Response *resp;
	struct arena arena;
	unsigned i;
	int rc;

	if (f->type != TTRPC_RESPONSE)
		return err_set(e, EPROTO, "frame of type %u where only responses belong", f->type);
	i = find_call(c, f->stream);
	if (i == c->ncalls)
		return err_set(e, EPROTO, "response to stream %u, which nobody asked on",
			       f->stream);
	if (f->oversized)
		return err_set(e, EPROTO, "%s: response of %zu bytes is too long",
			       c->calls[i].method, f->len);
	arena_init(&arena, c->lim.max_unpack);
	resp = ttrpc__response__unpack(&arena.pb, f->len, f->data);
	if (resp)
		rc = give_result(c, i, resp);
	else
		rc = err_set(e, EPROTO, "%s: malformed response", c->calls[i].method);
	arena_free(&arena);
	return rc;
}

int ttrpc_client_input(struct ttrpc_client *c, const void *src, size_t len, struct err *e)
{
	int rc;

	c->input_err = e;
	rc = ttrpc_reader_feed(&c->reader, src, len, on_frame, c, e);
	c->input_err = NULL;
	return rc;
}

uint64_t ttrpc_client_deadline(const struct ttrpc_client *c)
{
	uint64_t first = 0;

	for (unsigned i = 0; i < c->ncalls; i++) {
		uint64_t d = c->calls[i].deadline_ns;

		if (d && (!first || d < first))
			first = d;
	}
	return first;
}

int ttrpc_client_tick(struct ttrpc_client *c, uint64_t now_ns, struct err *e)
{
	for (unsigned i = 0; i < c->ncalls; i++)
		if (c->calls[i].deadline_ns && c->calls[i].deadline_ns <= now_ns)
			return err_set(e, ETIMEDOUT, "%s: no answer in time", c->calls[i].method);
	return 0;
}

void ttrpc_client_fail(struct ttrpc_client *c, int rc, const char *message)
{
	struct ttrpc_result res = { .rc = rc, .message = message, .is_local = true };

	while (c->ncalls) {
		struct call call = take_call(c, 0);

		call.fn(call.arg, &res, NULL);
	}
}
