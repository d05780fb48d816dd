// SPDX-License-Identifier: Apache-2.0
/* "mounts"; the words of their options are in mount_options.c. */
#include "runtime/oci/field.h"

#include <limits.h>
#include <string.h>
#include <sys/mount.h>

/* Types whose source or options name something of the host's that is not in the guest. */
static const struct {
	const char *type, *why;
} refused_types[] = {
	{ "overlay", "its folders are the host's: mount it there and bind it" },
	{ "9p", "its server is the host's" },
	{ "virtiofs", "its device is the host's" },
	{ "btrfs", "its disk is the host's: mount it there and bind it" },
	{ "erofs", "its disk is the host's: mount it there and bind it" },
	{ "ext2", "its disk is the host's: mount it there and bind it" },
	{ "ext3", "its disk is the host's: mount it there and bind it" },
	{ "ext4", "its disk is the host's: mount it there and bind it" },
	{ "iso9660", "its disk is the host's: mount it there and bind it" },
	{ "squashfs", "its disk is the host's: mount it there and bind it" },
	{ "vfat", "its disk is the host's: mount it there and bind it" },
	{ "xfs", "its disk is the host's: mount it there and bind it" },
};

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
	m->propagation = oci_pool_alloc(c->pool, opts.n + 1, sizeof(*m->propagation));
	if (!data || !m->propagation)
		return err_set(c->e, ENOMEM, "%s: out of memory", c->file);
	for (size_t i = 0; i < opts.n; i++)
		oci_take_mount_option(m, opts.v[i], data);
	m->data = data;
	return 0;
}

static int read_destination(struct oci_ctx *c, const struct json *v, void *dst)
{
	const char **to = dst;
	int rc = oci_read_str(c, v, dst);
	char *full;

	if (rc < 0)
		return rc;
	if (!v->str_len)
		return oci_fail(c, v, "must not be empty");
	if (v->str_len >= PATH_MAX - 1)
		return oci_fail(c, v, "longer than %d bytes", PATH_MAX - 2);
	if (**to == '/')
		return 0;
	/* As runc, which warns: below the root. */
	full = oci_pool_alloc(c->pool, v->str_len + 2, 1);
	if (!full)
		return err_set(c->e, ENOMEM, "%s: out of memory", c->file);
	full[0] = '/';
	memcpy(full + 1, *to, v->str_len);
	*to = full;
	return 0;
}

static int read_uid_mappings(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_mount *m = dst;

	return oci_read_mappings(c, v, &m->uid_mappings, &m->n_uid_mappings);
}

static int read_gid_mappings(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_mount *m = dst;

	return oci_read_mappings(c, v, &m->gid_mappings, &m->n_gid_mappings);
}

const struct oci_field oci_mount_fields[] = {
	OCI_REQUIRED("destination", OCI_GUEST, struct oci_mount, destination, read_destination),
	OCI_FIELD("type", OCI_GUEST, struct oci_mount, type, oci_read_str),
	OCI_FIELD("source", OCI_HOST, struct oci_mount, source, oci_read_str),
	OCI_WHOLE("options", OCI_GUEST, read_options),
	OCI_WHOLE("uidMappings", OCI_GUEST, read_uid_mappings),
	OCI_WHOLE("gidMappings", OCI_GUEST, read_gid_mappings),
	OCI_END,
};

static int check_idmap(struct oci_ctx *c, const struct json *v, struct oci_mount *m)
{
	if (m->n_uid_mappings || m->n_gid_mappings)
		m->idmap = true;
	if (!m->idmap)
		return 0;
	/* None at all: the user namespace's, if there is one. */
	if (!m->n_uid_mappings != !m->n_gid_mappings)
		return oci_fail(c, v, OCI_IDMAP_BOTH);
	if (m->flags & MS_REMOUNT)
		return oci_fail(c, v, "a remount cannot be given id mappings");
	return 0;
}

static int check_type(struct oci_ctx *c, const struct json *v, const struct oci_mount *m)
{
	if (!m->type[0])
		return oci_fail(c, v, "type is missing");
	for (size_t i = 0; i < ARRAY_SIZE(refused_types); i++)
		if (strcmp(m->type, refused_types[i].type) == 0)
			return oci_fail(c, v, "type \"%s\" is not supported: %s", m->type, refused_types[i].why);
	return 0;
}

/* What one asks for who wants the container's mounts on the host. Silence would be a lie. */
static int check_propagation(struct oci_ctx *c, const struct json *v, const struct oci_mount *m)
{
	if (m->n_propagation > OCI_MAX_PROPAGATION)
		return oci_fail(c, v, "options: more than %d words of propagation", OCI_MAX_PROPAGATION);
	for (size_t i = 0; m->bind && i < m->n_propagation; i++)
		if (m->propagation[i] & MS_SHARED)
			return oci_fail(c, v, "options: \"%s\": what is mounted in a virtual machine cannot appear on the host",
					m->propagation[i] & MS_REC ? "rshared" : "shared");
	return 0;
}

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
	rc = m->bind ? 0 : check_type(c, v, m);
	if (rc < 0)
		return rc;
	if (m->copy_up && (m->bind || strcmp(m->type, "tmpfs") != 0))
		m->copy_up = false; /* as runc: without effect on what is no tmpfs */
	if (strlen(m->data) > OCI_MAX_MOUNT_DATA)
		return oci_fail(c, v, "options: more than %d bytes for the file system", OCI_MAX_MOUNT_DATA);
	rc = check_propagation(c, v, m);
	return rc < 0 ? rc : check_idmap(c, v, m);
}
