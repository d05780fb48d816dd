// SPDX-License-Identifier: Apache-2.0
/* The "linux" object but its resources. */
#include "runtime/oci/field.h"

#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

static const char *const ns_names[OCI_NS_COUNT] = {
	[OCI_NS_PID] = "pid",	    [OCI_NS_NETWORK] = "network", [OCI_NS_MOUNT] = "mount",
	[OCI_NS_IPC] = "ipc",	    [OCI_NS_UTS] = "uts",	  [OCI_NS_CGROUP] = "cgroup",
	[OCI_NS_USER] = "user",	    [OCI_NS_TIME] = "time",
};

const char *oci_ns_name(enum oci_ns_type t)
{
	return ns_names[t];
}

struct ns_entry {
	const char *type, *path;
};

static const struct oci_field ns_fields[] = {
	OCI_REQUIRED("type", OCI_GUEST, struct ns_entry, type, oci_read_str),
	OCI_FIELD("path", OCI_HOST, struct ns_entry, path, oci_read_str),
	OCI_END,
};

static int read_ns_entry(struct oci_ctx *c, const struct json *v, void *dst)
{
	return oci_read_object(c, v, ns_fields, dst);
}

static int take_namespace(struct oci_ctx *c, const struct json *v, struct oci_spec *s,
			  const struct ns_entry *n)
{
	for (unsigned t = 0; t < OCI_NS_COUNT; t++) {
		if (strcmp(n->type, ns_names[t]) != 0)
			continue;
		if (s->ns[t].wanted)
			return oci_fail(c, v, "namespace \"%s\" given twice", n->type);
		s->ns[t].wanted = true;
		if (!n->path || !n->path[0])
			return 0;
		/* Interfaces can be carried into a machine; of the others only those of its own containers are in it. */
		if (t != OCI_NS_NETWORK && t != OCI_NS_PID && t != OCI_NS_IPC && t != OCI_NS_UTS)
			return oci_fail(c, v, "joining a %s namespace by path is not supported",
					n->type);
		if (*n->path != '/')
			return oci_fail(c, v, "path: \"%.100s\" is not absolute", n->path);
		s->ns[t].path = n->path;
		return 0;
	}
	return oci_fail(c, v, "unknown namespace \"%.40s\"", n->type);
}

static int read_namespaces(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_spec *s = dst;
	struct ns_entry *list;
	void *p;
	size_t n;
	int rc = oci_read_array(c, v, sizeof(struct ns_entry), read_ns_entry, &p, &n);

	if (rc < 0)
		return rc;
	list = p;
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = take_namespace(c, v->items[i], s, &list[i]);
	return rc;
}

static int read_device_type(struct oci_ctx *c, const struct json *v, void *dst)
{
	const char *str = "";
	int rc = oci_read_str(c, v, &str);

	if (rc < 0)
		return rc;
	if (!str[0] || str[1] || !strchr("cbpu", str[0]))
		return oci_fail(c, v, "\"%.20s\" is none of c, b, p, u", str);
	*(char *)dst = str[0];
	return 0;
}

static int read_device_mode(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_device *d = dst;
	int rc = oci_read_u32(c, v, &d->mode);

	/* The type may be in it, as stat(2) has it; what counts is the field of that name. */
	if (rc == 0 && (d->mode & ~(07777u | S_IFMT)))
		return oci_fail(c, v, "%.20s is no file mode", v->str);
	d->mode &= 07777;
	d->has_mode = rc == 0;
	return rc;
}

static const struct oci_field device_fields[] = {
	OCI_REQUIRED("path", OCI_GUEST, struct oci_device, path, oci_read_abspath),
	OCI_REQUIRED("type", OCI_GUEST, struct oci_device, type, read_device_type),
	OCI_FIELD("major", OCI_GUEST, struct oci_device, major, oci_read_i64),
	OCI_FIELD("minor", OCI_GUEST, struct oci_device, minor, oci_read_i64),
	OCI_WHOLE("fileMode", OCI_GUEST, read_device_mode),
	OCI_FIELD("uid", OCI_GUEST, struct oci_device, uid, oci_read_u32),
	OCI_FIELD("gid", OCI_GUEST, struct oci_device, gid, oci_read_u32),
	OCI_END,
};

static int read_device(struct oci_ctx *c, const struct json *v, void *dst)
{
	return oci_read_object(c, v, device_fields, dst);
}

static int read_devices(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_spec *s = dst;
	void *p;
	int rc = oci_read_array(c, v, sizeof(struct oci_device), read_device, &p, &s->n_devices);

	if (rc == 0)
		s->devices = p;
	return rc;
}

static int read_sysctl(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_spec *s = dst;

	return oci_read_pairs(c, v, &s->sysctl, &s->n_sysctl);
}

static int read_propagation(struct oci_ctx *c, const struct json *v, void *dst)
{
	const char *name = "";
	int rc = oci_read_str(c, v, &name);

	if (rc < 0 || !name[0])
		return rc;
	*(uint64_t *)dst = oci_propagation(name);
	return *(uint64_t *)dst ? 0 : oci_fail(c, v, "unknown propagation \"%.40s\"", name);
}

const struct oci_field oci_linux_fields[] = {
	OCI_WHOLE("namespaces", OCI_GUEST, read_namespaces),
	OCI_WHOLE("devices", OCI_GUEST, read_devices),
	OCI_FIELD("cgroupsPath", OCI_HOST, struct oci_spec, cgroups_path, oci_read_str),
	OCI_FIELD("resources", OCI_GUEST, struct oci_spec, res, oci_read_resources),
	OCI_WHOLE("sysctl", OCI_GUEST, read_sysctl),
	OCI_FIELD("rootfsPropagation", OCI_GUEST, struct oci_spec, rootfs_propagation,
		  read_propagation),
	OCI_FIELD("maskedPaths", OCI_GUEST, struct oci_spec, masked_paths, oci_read_strv),
	OCI_FIELD("readonlyPaths", OCI_GUEST, struct oci_spec, readonly_paths, oci_read_strv),
	OCI_WHOLE("personality", OCI_GUEST, oci_read_personality),
	OCI_IGNORE("mountLabel"),
	OCI_WHOLE("uidMappings", OCI_GUEST, oci_read_uid_mappings),
	OCI_WHOLE("gidMappings", OCI_GUEST, oci_read_gid_mappings),
	OCI_WHOLE("timeOffsets", OCI_GUEST, oci_read_time_offsets),
	OCI_FIELD("seccomp", OCI_GUEST, struct oci_spec, seccomp, oci_read_seccomp),
	OCI_REFUSE("intelRdt"),
	OCI_WHOLE("netDevices", OCI_HOST, oci_read_net_devices),
	OCI_WHOLE("memoryPolicy", OCI_GUEST, oci_read_memory_policy),
	OCI_END,
};

int oci_read_linux(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_spec *s = dst;
	int rc = oci_read_object(c, v, oci_linux_fields, s);

	if (rc < 0)
		return rc;
	/* Without one of its own the container would get the host's, which a VM cannot give. */
	if (!s->ns[OCI_NS_NETWORK].wanted)
		return oci_fail(c, v, "namespaces: sharing the host's network is not supported");
	if (!s->ns[OCI_NS_PID].wanted)
		return oci_fail(c, v, "namespaces: sharing the host's processes is not supported");
	if (!s->ns[OCI_NS_MOUNT].wanted)
		return oci_fail(c, v, "namespaces: \"mount\" is missing");
	return 0;
}
