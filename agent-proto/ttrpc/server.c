// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/ttrpc/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent-proto/proto/ttrpc.pb-c.h"
#include "agent-proto/ttrpc/arena.h"

#define MAX_TEXT 500

struct ttrpc_server {
	struct ttrpc_server_config cfg;
	struct ttrpc_reader reader;
	struct buf out;
	struct ttrpc_call *calls; /* unanswered */
	unsigned ncalls;
	uint32_t last_stream;
	struct err *input_err; /* of the ttrpc_server_input() that runs */
	void (*on_output)(void *arg);
	void *on_output_arg;
};

int ttrpc_server_new(struct ttrpc_server **ret, const struct ttrpc_server_config *cfg,
		     struct err *e)
{
	struct ttrpc_server *s = calloc(1, sizeof(*s));

	if (!s)
		return err_set(e, ENOMEM, "ttrpc server: out of memory");
	s->cfg = *cfg;
	s->out = (struct buf)BUF_INIT(cfg->max_out);
	ttrpc_reader_init(&s->reader, cfg->max_frame);
	*ret = s;
	return 0;
}

void ttrpc_server_free(struct ttrpc_server *s)
{
	struct ttrpc_call *call;

	if (!s)
		return;
	while ((call = s->calls)) {
		s->calls = call->next;
		call->server = NULL;
		if (call->cancel)
			call->cancel(call);
	}
	ttrpc_reader_done(&s->reader);
	buf_free(&s->out);
	free(s);
}

void *ttrpc_server_ctx(const struct ttrpc_server *s)
{
	return s->cfg.ctx;
}

struct buf *ttrpc_server_output(struct ttrpc_server *s)
{
	return &s->out;
}

void ttrpc_server_on_output(struct ttrpc_server *s, void (*fn)(void *arg), void *arg)
{
	s->on_output = fn;
	s->on_output_arg = arg;
}

/* A reply that does not fit sets out.failed, which ends the connection at its next input or output. */
static void put_response(struct ttrpc_server *s, uint32_t stream, const Ttrpc__Response *resp)
{
	size_t len = ttrpc__response__get_packed_size(resp);
	uint8_t *p = len <= TTRPC_MAX_FRAME ? buf_reserve(&s->out, TTRPC_HEADER + len) : NULL;

	if (p) {
		ttrpc_put_header(p, (uint32_t)len, stream, TTRPC_RESPONSE, 0);
		ttrpc__response__pack(resp, p + TTRPC_HEADER);
		buf_commit(&s->out, TTRPC_HEADER + len);
	} else {
		s->out.failed = true;
	}
	if (s->on_output)
		s->on_output(s->on_output_arg);
}

static void put_status(struct ttrpc_server *s, uint32_t stream, enum ttrpc_code code,
		       const char *text)
{
	Ttrpc__Response resp;
	Ttrpc__Status status;
	size_t max = s->cfg.max_text ? s->cfg.max_text : MAX_TEXT;
	char copy[MAX_TEXT + 1];

	snprintf(copy, min_t(size_t, max + 1, sizeof(copy)), "%s", text);
	ttrpc__response__init(&resp);
	ttrpc__status__init(&status);
	status.code = (int32_t)code;
	status.message = copy;
	resp.status = &status;
	put_response(s, stream, &resp);
}

static void forget_call(struct ttrpc_call *call)
{
	struct ttrpc_call **p;

	if (call->server) {
		for (p = &call->server->calls; *p != call; p = &(*p)->next)
			;
		*p = call->next;
		call->server->ncalls--;
	}
	free(call);
}

void ttrpc_reply_err(struct ttrpc_call *call, int rc, const char *text)
{
	if (call->server)
		put_status(call->server, call->stream, ttrpc_code_from_errno(rc), text);
	forget_call(call);
}

void ttrpc_reply(struct ttrpc_call *call, const ProtobufCMessage *msg)
{
	Ttrpc__Response resp;
	Ttrpc__Status status;
	size_t len = msg ? protobuf_c_message_get_packed_size(msg) : 0;
	uint8_t *packed = NULL;

	if (!call->server) {
		forget_call(call);
		return;
	}
	if (len && !(packed = malloc(len))) {
		ttrpc_reply_err(call, -ENOMEM, "out of memory");
		return;
	}
	if (len)
		protobuf_c_message_pack(msg, packed);
	ttrpc__response__init(&resp);
	ttrpc__status__init(&status);
	resp.status = &status;
	resp.payload.data = packed;
	resp.payload.len = len;
	put_response(call->server, call->stream, &resp);
	free(packed);
	forget_call(call);
}

static void dispatch(struct ttrpc_server *s, uint32_t stream, const Ttrpc__Request *req)
{
	const struct ttrpc_method *m = s->cfg.methods;
	struct ttrpc_call *call;

	while (m->service &&
	       (strcmp(m->service, req->service) != 0 || strcmp(m->method, req->method) != 0))
		m++;
	if (!m->service) {
		put_status(s, stream, TTRPC_UNIMPLEMENTED, "no such service or method");
		return;
	}
	if (s->ncalls >= s->cfg.max_calls) {
		put_status(s, stream, TTRPC_RESOURCE_EXHAUSTED, "too many unanswered calls");
		return;
	}
	call = calloc(1, sizeof(*call));
	if (!call) {
		put_status(s, stream, TTRPC_RESOURCE_EXHAUSTED, "out of memory");
		return;
	}
	call->server = s;
	call->stream = stream;
	call->next = s->calls;
	s->calls = call;
	s->ncalls++;
	m->fn(s->cfg.ctx, call, req->payload.data, req->payload.len);
}

static int on_frame(void *arg, const struct ttrpc_frame *f)
{
	struct ttrpc_server *s = arg;
	Ttrpc__Request *req;
	struct arena arena;

	if (f->type == TTRPC_RESPONSE)
		return err_set(s->input_err, EPROTO, "response where only requests belong");
	if (f->stream % 2 == 0) {
		put_status(s, f->stream, TTRPC_INVALID_ARGUMENT, "stream id must be odd");
	} else if (f->type == TTRPC_DATA) {
		put_status(s, f->stream, TTRPC_INVALID_ARGUMENT, "no stream with this id");
	} else if (f->stream <= s->last_stream) {
		put_status(s, f->stream, TTRPC_INVALID_ARGUMENT, "stream id was used before");
	} else if (f->oversized) {
		put_status(s, f->stream, TTRPC_RESOURCE_EXHAUSTED, "request is too long");
	} else {
		s->last_stream = f->stream;
		arena_init(&arena, s->cfg.max_unpack);
		req = ttrpc__request__unpack(&arena.pb, f->len, f->data);
		if (req)
			dispatch(s, f->stream, req);
		else
			put_status(s, f->stream, TTRPC_INVALID_ARGUMENT, "malformed request");
		arena_free(&arena);
	}
	if (s->out.failed)
		return err_set(s->input_err, ENOSPC, "too much is waiting to be sent");
	return 0;
}

int ttrpc_server_input(struct ttrpc_server *s, const void *src, size_t len, struct err *e)
{
	int rc;

	s->input_err = e;
	rc = ttrpc_reader_feed(&s->reader, src, len, on_frame, s, e);
	s->input_err = NULL;
	return rc;
}
