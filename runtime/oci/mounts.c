// SPDX-License-Identifier: Apache-2.0
/* "mounts": options become flags by runc's table; what no row knows is the file system's own. */
#include "runtime/oci/field.h"

#include <string.h>
#include <sys/mount.h>

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif
#ifndef MS_LAZYTIME
#define MS_LAZYTIME (1 << 25)
#endif

struct option {
	const char *name;
	bool clear;
	unsigned long flag;
};

static const struct option flag_options[] = {
	{ "acl", false, MS_POSIXACL },
	{ "async", true, MS_SYNCHRONOUS },
	{ "atime", true, MS_NOATIME },
	{ "defaults", false, 0 },
	{ "dev", true, MS_NODEV },
	{ "diratime", true, MS_NODIRATIME },
	{ "dirsync", false, MS_DIRSYNC },
	{ "exec", true, MS_NOEXEC },
	{ "iversion", false, MS_I_VERSION },
	{ "lazytime", false, MS_LAZYTIME },
	{ "loud", true, MS_SILENT },
	{ "mand", false, MS_MANDLOCK },
	{ "noacl", true, MS_POSIXACL },
	{ "noatime", false, MS_NOATIME },
	{ "nodev", false, MS_NODEV },
	{ "nodiratime", false, MS_NODIRATIME },
	{ "noexec", false, MS_NOEXEC },
	{ "noiversion", true, MS_I_VERSION },
	{ "nolazytime", true, MS_LAZYTIME },
	{ "nomand", true, MS_MANDLOCK },
	{ "norelatime", true, MS_RELATIME },
	{ "nostrictatime", true, MS_STRICTATIME },
	{ "nosuid", false, MS_NOSUID },
	{ "nosymfollow", false, MS_NOSYMFOLLOW },
	{ "relatime", false, MS_RELATIME },
	{ "remount", false, MS_REMOUNT },
	{ "ro", false, MS_RDONLY },
	{ "rw", true, MS_RDONLY },
	{ "silent", false, MS_SILENT },
	{ "strictatime", false, MS_STRICTATIME },
	{ "suid", true, MS_NOSUID },
	{ "symfollow", true, MS_NOSYMFOLLOW },
	{ "sync", false, MS_SYNCHRONOUS },
};

static const struct {
	const char *name;
	unsigned long flags;
} propagation_options[] = {
	{ "private", MS_PRIVATE },	   { "rprivate", MS_PRIVATE | MS_REC },
	{ "shared", MS_SHARED },	   { "rshared", MS_SHARED | MS_REC },
	{ "slave", MS_SLAVE },		   { "rslave", MS_SLAVE | MS_REC },
	{ "unbindable", MS_UNBINDABLE }, { "runbindable", MS_UNBINDABLE | MS_REC },
};

/* Options with a meaning of their own in runc that husk does not have yet. */
static const char *const refused_options[] = {
	"idmap", "ridmap", "tmpcopyup", "rro", "rrw", "rnosuid", "rsuid", "rnodev", "rdev", "rnoexec",
	"rexec", "rnodiratime", "rdiratime", "rrelatime", "rnorelatime", "rnoatime", "ratime",
	"rstrictatime", "rnostrictatime", "rnosymfollow", "rsymfollow",
};

uint64_t oci_propagation(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(propagation_options); i++)
		if (strcmp(name, propagation_options[i].name) == 0)
			return propagation_options[i].flags;
	return 0;
}

static bool take_flag(struct oci_mount *m, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(flag_options); i++) {
		const struct option *o = &flag_options[i];

		if (strcmp(name, o->name) != 0)
			continue;
		/* The last word wins, as in mount(8). */
		if (o->clear) {
			m->flags &= ~o->flag;
			m->flags_clear |= o->flag;
		} else {
			m->flags |= o->flag;
			m->flags_clear &= ~o->flag;
		}
		return true;
	}
	return false;
}

static int take_option(struct oci_ctx *c, const struct json *v, struct oci_mount *m, char *data)
{
	const char *name = v->str;
	uint64_t propagation = oci_propagation(name);

	for (size_t i = 0; i < ARRAY_SIZE(refused_options); i++)
		if (strcmp(name, refused_options[i]) == 0)
			return oci_fail(c, v, "mount option \"%s\" is not supported", name);
	if (propagation) {
		m->propagation = propagation;
	} else if (strcmp(name, "bind") == 0) {
		m->bind = true;
	} else if (strcmp(name, "rbind") == 0) {
		m->bind = m->recursive = true;
	} else if (!take_flag(m, name)) {
		if (*data)
			strcat(data, ",");
		strcat(data, name);
	}
	return 0;
}

static int read_options(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_mount *m = dst;
	struct oci_strv opts = { 0 };
	int rc = oci_read_strv(c, v, &opts);
	size_t len = 1;
	char *data;

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < opts.n; i++)
		len += strlen(opts.v[i]) + 1;
	data = oci_pool_alloc(c->pool, len, 1);
	if (!data)
		return err_set(c->e, ENOMEM, "%s: out of memory", c->file);
	for (size_t i = 0; rc == 0 && i < opts.n; i++)
		rc = take_option(c, v->items[i], m, data);
	m->data = data;
	return rc;
}

static int read_destination(struct oci_ctx *c, const struct json *v, void *dst)
{
	int rc = oci_read_str(c, v, dst);

	if (rc == 0 && !v->str_len)
		return oci_fail(c, v, "must not be empty");
	return rc;
}

const struct oci_field oci_mount_fields[] = {
	OCI_REQUIRED("destination", OCI_GUEST, struct oci_mount, destination, read_destination),
	OCI_FIELD("type", OCI_GUEST, struct oci_mount, type, oci_read_str),
	OCI_FIELD("source", OCI_HOST, struct oci_mount, source, oci_read_str),
	OCI_WHOLE("options", OCI_GUEST, read_options),
	OCI_REFUSE("uidMappings"),
	OCI_REFUSE("gidMappings"),
	OCI_END,
};

int oci_read_mount(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_mount *m = dst;
	int rc;

	m->type = m->source = m->data = "";
	rc = oci_read_object(c, v, oci_mount_fields, m);
	if (rc < 0)
		return rc;
	if (strcmp(m->type, "bind") == 0 && !m->bind)
		m->bind = m->recursive = true;
	if (m->bind && !m->source[0])
		return oci_fail(c, v, "a bind mount needs a source");
	if (!m->bind && !m->type[0])
		return oci_fail(c, v, "type is missing");
	return 0;
}
