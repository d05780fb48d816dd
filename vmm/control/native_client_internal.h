/* SPDX-License-Identifier: Apache-2.0 */
/* The connection, one request and its reply; shared by the files of the native client. */
#ifndef VMM_CONTROL_NATIVE_CLIENT_INTERNAL_H
#define VMM_CONTROL_NATIVE_CLIENT_INTERNAL_H

#include <sys/types.h>

#include "vmm/control/native_client.h"

/* More than a machine can send between two calls of a client that reads them at all. */
#define NCL_MAX_EVENTS 32

struct ncl_kept_event {
	struct ncl_kept_event *next;
	struct nc_event ev;
};

struct ncl {
	int sock;
	uint32_t next_id;
	struct ncl_kept_event *events, **last;
	unsigned nevents;
	struct ncl_connecting *connecting; /* in the order of their beginning */
	void (*kept)(void *arg);
	void *kept_arg;
	uint8_t packet[NC_MAX_MESSAGE] __attribute__((aligned(8)));
};

/* What a reply must look like, and where it goes. */
struct ncl_reply {
	void *data; /* starts with nc_hdr */
	size_t size;
	int *fd;    /* NULL: the reply carries no descriptor */
};

/* Fills in @req's header, sends it, and awaits the reply into @want. */
int ncl_transact(struct ncl *c, uint16_t cmd, struct nc_hdr *req, size_t size, const int *fds,
		 size_t nfds, const struct ncl_reply *want, int timeout_ms, struct err *e);
/* A command whose reply has no results. @req starts with a struct nc_hdr. */
int ncl_transact_simple(struct ncl *c, uint16_t cmd, void *req, size_t size, const int *fds,
			size_t nfds, int timeout_ms, struct err *e);
uint32_t ncl_next_id(struct ncl *c);
/* Receives one packet into c->packet: its length, with its header checked against it. -EAGAIN: not yet after all. */
ssize_t ncl_receive(struct ncl *c, uint64_t deadline, int *fds, size_t *nfds, struct err *e);
/* The packet as the reply to a request of ours; descriptors are taken. */
int ncl_take_reply(struct ncl *c, size_t len, const struct ncl_reply *want, const int *fds, size_t nfds, struct err *e);
/* The packet as anything else: an event, the end of a connecting, the reply to a request that was given up. */
int ncl_take_other(struct ncl *c, size_t len, const int *fds, size_t nfds, struct err *e);
/* -EINVAL: empty, or does not fit with its NUL. */
int ncl_copy_name(char *dst, size_t size, const char *src, const char *what, struct err *e);

/* native_connect.c */
/* The packet is the answer to one that is awaited, and the descriptors are its. */
bool ncl_connect_answered(struct ncl *c, size_t len, const int *fds, size_t nfds);
void ncl_connect_forget(struct ncl *c); /* all, without a word */

#endif
