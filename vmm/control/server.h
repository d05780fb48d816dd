/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine's side of the native control protocol (native.h). Knows packets, clients, masks and
 * descriptors; what a command does is its handler's business, so a test runs it without a machine.
 *
 * Everything runs on the thread of the loop that it was given and nothing blocks: a client that does
 * not read its replies is closed. Events it may leave unread: they stop, until it reads, when they fill half of
 * its socket, so that none of them takes a reply's place.
 */
#ifndef VMM_CONTROL_SERVER_H
#define VMM_CONTROL_SERVER_H

#include "lib/evloop.h"
#include "vmm/control/native.h"

#define CONTROL_MAX_CLIENTS   256 /* a proxy of each container and each exec is one */
#define CONTROL_MAX_LISTENERS 4

struct control;

/* Names a request for a reply that comes later; stays harmless when the client has gone. */
struct control_token {
	uint64_t client;
	uint32_t id;
	uint16_t cmd;
};

struct control_request {
	struct control *ctl;
	struct control_token token;
	const void *msg; /* of exactly the command's size; strings in it are not to be trusted */
	int *fds;        /* a handler sets to -1 what it keeps; the rest is closed after it */
	size_t nfds;
};

/* What a handler returns besides 0 (a reply without results is sent) and a negative errno (struct
 * nc_error is): the handler has called control_reply() or will do so. */
#define CONTROL_REPLIED 1

struct control_cmd {
	uint16_t cmd;
	uint32_t size;          /* of the whole packet */
	uint8_t min_fds, max_fds;
	uint32_t may;           /* enum nc_class: the client must hold one of these bits; 0: all may */
	int (*handle)(void *arg, struct control_request *r, struct err *e);
};

struct control_ops {
	const struct control_cmd *cmds; /* HELLO, CLIENT_ADD, SUBSCRIBE and LEAVE are built in */
	size_t ncmds;
	/* The last client that was a lifeline has gone; @left: by NC_LEAVE. */
	void (*lifeline_lost)(void *arg, bool left);
};

int control_new(struct control **ret, struct evloop *loop, const struct control_ops *ops, void *arg,
		struct err *e);
void control_free(struct control *c);
/* @sock: SEQPACKET, made non-blocking, the server's on success. */
int control_add_client(struct control *c, int sock, uint32_t mask, struct err *e);
int control_add_listener(struct control *c, int sock, uint32_t mask, struct err *e);

/* @reply starts with a struct nc_hdr that is filled in here. @fd (-1: none) stays the caller's. */
void control_reply(struct control *c, const struct control_token *t, void *reply, size_t size,
		   int fd);
void control_reply_error(struct control *c, const struct control_token *t, int rc,
			 const struct err *e);
/* To every subscriber that holds all of @mask and has room. Returns how many got it. */
unsigned control_event(struct control *c, struct nc_event *ev, uint32_t mask);

#endif
