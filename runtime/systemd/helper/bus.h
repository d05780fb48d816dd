/* SPDX-License-Identifier: Apache-2.0 */
/* systemd's manager over D-Bus: what one request asks for. */
#ifndef RUNTIME_SYSTEMD_HELPER_BUS_H
#define RUNTIME_SYSTEMD_HELPER_BUS_H

#include "lib/err.h"
#include "runtime/systemd/wire.h"

/* Checks what the struct can hold wrongly: -EBADMSG. @props: r->len bytes, NUL-terminated. */
int request_check(const struct systemd_request *r, const char *props, struct err *e);
/* Does it. 0 or a negative errno: -ETIMEDOUT, -EEXIST for a unit that is there, -EACCES, -ENOTCONN … */
int bus_do(const struct systemd_request *r, const char *props, struct err *e);

struct sd_bus_message;
/* Appends each property as a (sv) of an open array. -EBADMSG for a line that is none. */
int props_append(struct sd_bus_message *m, const char *props);
/* The same walk without a message. */
int props_check(const char *props);

#endif
