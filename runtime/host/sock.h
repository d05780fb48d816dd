/* SPDX-License-Identifier: Apache-2.0 */
/* Named Unix sockets in folders that are open already: a path's length does not matter, nor what happens to
 * the names above. */
#ifndef RUNTIME_HOST_SOCK_H
#define RUNTIME_HOST_SOCK_H

#include "lib/err.h"

/* A listening SEQPACKET socket @dir/@name, mode 0600; one of that name is replaced. */
int sock_listen(int dir, const char *name, int *ret_fd, struct err *e);
/* A connected one; a plain negative errno (-ENOENT, -ECONNREFUSED …). */
int sock_connect(int dir, const char *name, int *ret_fd);

#endif
