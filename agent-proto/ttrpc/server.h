/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ttrpc server's half of one connection, without I/O: bytes in, handlers called, bytes out. Unary
 * calls only; what a client asks that is malformed, oversized or unknown is answered with a status, not
 * with the end of the connection.
 */
#ifndef AGENT_PROTO_TTRPC_SERVER_H
#define AGENT_PROTO_TTRPC_SERVER_H

#include <protobuf-c/protobuf-c.h>

#include "agent-proto/ttrpc/frame.h"
#include "agent-proto/ttrpc/status.h"

struct ttrpc_server;

/* One request. Answered exactly once, now or later, with ttrpc_reply() or ttrpc_reply_err(), which
 * free it. */
struct ttrpc_call {
	struct ttrpc_server *server; /* NULL: the connection has ended, a reply goes nowhere */
	struct ttrpc_call *next;
	uint32_t stream;
	/* Set by who keeps the call for later: called when the connection ends first, with the call still
	 * good for ttrpc_reply(); NULL: nobody is told, the reply just goes nowhere. */
	void (*cancel)(struct ttrpc_call *call);
	void *arg; /* the keeper's */
};

typedef void ttrpc_handler(void *ctx, struct ttrpc_call *call, const uint8_t *payload, size_t len);

struct ttrpc_method {
	const char *service, *method;
	ttrpc_handler *fn;
};

struct ttrpc_server_config {
	const struct ttrpc_method *methods; /* ended by one without a service */
	void *ctx;          /* for the handlers */
	size_t max_frame;   /* of a request */
	size_t max_out;     /* bytes not yet sent; beyond, the connection fails */
	size_t max_unpack;  /* memory for a request's message */
	unsigned max_calls; /* unanswered; beyond, RESOURCE_EXHAUSTED */
	size_t max_text;    /* of an error's text, which is cut; 0: 500 */
};

int ttrpc_server_new(struct ttrpc_server **ret, const struct ttrpc_server_config *cfg,
		     struct err *e);
/* Cancels the calls that are not answered yet. Not from a handler. */
void ttrpc_server_free(struct ttrpc_server *s);
/* The configuration's ctx. */
void *ttrpc_server_ctx(const struct ttrpc_server *s);

/* 0, -EPROTO, -ENOMEM, -ENOSPC (output cap): close the connection. */
int ttrpc_server_input(struct ttrpc_server *s, const void *src, size_t len, struct err *e);
struct buf *ttrpc_server_output(struct ttrpc_server *s);
/* Called when there is output that was not there before. */
void ttrpc_server_on_output(struct ttrpc_server *s, void (*fn)(void *arg), void *arg);

/* @msg: the reply's message, packed here; NULL for an empty one. */
void ttrpc_reply(struct ttrpc_call *call, const ProtobufCMessage *msg);
/* @rc: negative errno (status.h); @text: what the caller is told. */
void ttrpc_reply_err(struct ttrpc_call *call, int rc, const char *text);

#endif
