/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a container is to systemd: a transient scope, its slice, its properties. Pure text, runc's rules; the
 * talking is client.h's.
 */
#ifndef RUNTIME_SYSTEMD_UNIT_H
#define RUNTIME_SYSTEMD_UNIT_H

#include "lib/buf.h"
#include "runtime/oci/limits.h"

#define SYSTEMD_UNIT_MAX 256 /* with its NUL: systemd's own limit on names */

struct systemd_unit {
	char name[SYSTEMD_UNIT_MAX];  /* "libpod-1234.scope" */
	char slice[SYSTEMD_UNIT_MAX]; /* "machine.slice" */
};

/* @cgroups_path: "slice:prefix:name" makes prefix-name.scope in slice; "" makes husk-@id.scope. An empty
 * slice is system.slice, or user.slice of the user's manager. */
int systemd_unit(const char *cgroups_path, const char *id, bool user, struct systemd_unit *ret,
		 struct err *e);
/* "a-b.slice" to "/a.slice/a-b.slice", "-.slice" to "". -EINVAL, -ENAMETOOLONG. */
int systemd_expand_slice(const char *slice, char *out, size_t size);

/* Lines for struct systemd_request (wire.h), in the order in which runc gives them, the annotations'
 * last. */
int systemd_properties(const struct systemd_unit *u, const struct oci_limits *limits,
		       const struct oci_pair *annotations, size_t n, struct buf *out, struct err *e);
/* Those of the limits alone. Files for which systemd has no property are left out: they are written to the
 * group itself, as all are. */
int systemd_limit_properties(const struct oci_limits *limits, struct buf *out, struct err *e);

/* The line for annotation @key, which begins with SYSTEMD_ANNOTATION; @value is a GVariant in text form. */
#define SYSTEMD_ANNOTATION "org.systemd.property."
int systemd_annotation(const char *key, const char *value, struct buf *out, struct err *e);

/* Whether the user's own manager is asked: without the host's root, in a user namespace too. */
bool systemd_is_user(void);
/* The bus of that manager, by the environment's DBUS_SESSION_BUS_ADDRESS, else XDG_RUNTIME_DIR. */
int systemd_user_bus(const char *address, const char *runtime_dir, char *out, size_t size,
		     struct err *e);

#endif
