/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ttrpc client without I/O and without a clock: the owner moves bytes between it and a connection
 * and tells it the time. What comes in is hostile.
 *
 * After an error from ttrpc_client_input() or ttrpc_client_tick() the owner calls ttrpc_client_fail() and
 * closes the connection. Callbacks may make calls; they must not free the client.
 */
#ifndef AGENT_PROTO_TTRPC_CLIENT_H
#define AGENT_PROTO_TTRPC_CLIENT_H

#include "agent-proto/ttrpc/arena.h"
#include "agent-proto/ttrpc/frame.h"

struct ttrpc_client;

struct ttrpc_client_limits {
	size_t max_frame;  /* of a response */
	size_t max_out;    /* bytes not yet sent */
	size_t max_unpack; /* memory for one response's message */
	unsigned max_calls;
};

struct ttrpc_result {
	int rc;              /* 0 or -errno: the status, see status.h, or how the connection died */
	const char *message; /* rc < 0: NUL-terminated, unchecked bytes of the other end's */
	bool is_local;       /* the message is ours, the other end did not answer */
	const uint8_t *payload;
	size_t len;
};

/* Everything in @res lives until it returns. A payload that the caller finds malformed: return a
 * negative errno with *e, and ttrpc_client_input() returns it. */
typedef int ttrpc_result_fn(void *arg, const struct ttrpc_result *res, struct err *e);

int ttrpc_client_new(struct ttrpc_client **ret, const struct ttrpc_client_limits *lim,
		     struct err *e);
void ttrpc_client_free(struct ttrpc_client *c);

/* @deadline_ns: on the owner's clock, 0: none. 0, -ENOSPC, -ENOMEM. */
int ttrpc_client_call(struct ttrpc_client *c, const char *service, const char *method,
		      const void *payload, size_t len, uint64_t deadline_ns, ttrpc_result_fn *fn,
		      void *arg, struct err *e);
/* 0, -EPROTO, -ENOMEM. */
int ttrpc_client_input(struct ttrpc_client *c, const void *src, size_t len, struct err *e);
/* What is to be sent; the owner consumes it with buf_consume(). */
struct buf *ttrpc_client_output(struct ttrpc_client *c);
/* The earliest, 0 when there is none. */
uint64_t ttrpc_client_deadline(const struct ttrpc_client *c);
/* -ETIMEDOUT when a deadline is at or before @now_ns; the text names the method. */
int ttrpc_client_tick(struct ttrpc_client *c, uint64_t now_ns, struct err *e);
/* Gives every call in flight this result. */
void ttrpc_client_fail(struct ttrpc_client *c, int rc, const char *message);
unsigned ttrpc_client_in_flight(const struct ttrpc_client *c);

#endif
