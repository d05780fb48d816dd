/* SPDX-License-Identifier: Apache-2.0 */
/* One request and its reply; shared by the files of the native client. */
#ifndef VMM_CONTROL_NATIVE_CLIENT_INTERNAL_H
#define VMM_CONTROL_NATIVE_CLIENT_INTERNAL_H

#include "vmm/control/native_client.h"

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
/* -EINVAL: empty, or does not fit with its NUL. */
int ncl_copy_name(char *dst, size_t size, const char *src, const char *what, struct err *e);

#endif
