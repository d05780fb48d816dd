// SPDX-License-Identifier: Apache-2.0
/* The document as a whole: top-level fields, life of a spec, the list of all tables. */
#include "runtime/oci/field.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/io.h"

struct owned_spec {
	struct oci_spec spec;
	struct oci_pool pool;
};

struct owned_process {
	struct oci_process process;
	struct oci_pool pool;
};

static int read_version(struct oci_ctx *c, const struct json *v, void *dst)
{
	int rc = oci_read_str(c, v, dst);
	const char *p = v->str;

	if (rc < 0)
		return rc;
	/* MAJOR.MINOR.PATCH with an optional suffix; any 1.x is read. */
	if (strncmp(p, "1.", 2) != 0 || p[2] < '0' || p[2] > '9')
		return oci_fail(c, v, "version \"%.40s\" is not supported, 1.x is", v->str);
	return 0;
}

const struct oci_field oci_root_fields[] = {
	OCI_REQUIRED("path", OCI_HOST, struct oci_spec, root_path, oci_read_str),
	OCI_FIELD("readonly", OCI_GUEST, struct oci_spec, root_readonly, oci_read_bool),
	OCI_END,
};

static int read_root(struct oci_ctx *c, const struct json *v, void *dst)
{
	int rc = oci_read_object(c, v, oci_root_fields, dst);

	if (rc == 0 && !((struct oci_spec *)dst)->root_path[0])
		return oci_fail(c, v, "path must not be empty");
	return rc;
}

static int read_mounts(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_spec *s = dst;
	void *p;
	int rc = oci_read_array(c, v, sizeof(struct oci_mount), oci_read_mount, &p, &s->n_mounts);

	if (rc == 0)
		s->mounts = p;
	return rc;
}

static int read_annotations(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_spec *s = dst;

	return oci_read_pairs(c, v, &s->annotations, &s->n_annotations);
}

static int read_hostname(struct oci_ctx *c, const struct json *v, void *dst)
{
	int rc = oci_read_str(c, v, dst);

	if (rc == 0 && v->str_len > 64)
		return oci_fail(c, v, "longer than 64 bytes");
	return rc;
}

const struct oci_field oci_spec_fields[] = {
	OCI_REQUIRED("ociVersion", OCI_HOST, struct oci_spec, version, read_version),
	OCI_REQUIRED("process", OCI_GUEST, struct oci_spec, process, oci_read_process),
	OCI_REQUIRED_WHOLE("root", OCI_HOST, read_root),
	OCI_FIELD("hostname", OCI_GUEST, struct oci_spec, hostname, read_hostname),
	OCI_FIELD("domainname", OCI_GUEST, struct oci_spec, domainname, read_hostname),
	OCI_WHOLE("mounts", OCI_GUEST, read_mounts),
	OCI_WHOLE("annotations", OCI_HOST, read_annotations),
	OCI_FIELD("hooks", OCI_HOST, struct oci_spec, hooks, oci_read_hooks),
	OCI_REQUIRED_WHOLE("linux", OCI_GUEST, oci_read_linux),
	OCI_FIELD("vm", OCI_HOST, struct oci_spec, vm, oci_read_vm),
	OCI_REFUSE("windows"),
	OCI_REFUSE("solaris"),
	OCI_REFUSE("zos"),
	OCI_REFUSE("freebsd"),
	OCI_END,
};

const struct oci_table oci_tables[] = {
	{ "", oci_spec_fields },
	{ "root.", oci_root_fields },
	{ "process.", oci_process_fields },
	{ "process.user.", oci_user_fields },
	{ "mounts[].", oci_mount_fields },
	{ "linux.", oci_linux_fields },
	{ "linux.resources.", oci_resources_fields },
	{ "linux.resources.memory.", oci_memory_fields },
	{ "linux.resources.cpu.", oci_cpu_fields },
	{ "linux.resources.pids.", oci_pids_fields },
	{ "vm.", oci_vm_fields },
	{ "vm.hypervisor.", oci_vm_hypervisor_fields },
	{ "vm.kernel.", oci_vm_kernel_fields },
	{ "vm.hwConfig.", oci_vm_hw_fields },
	{ "vm.image.", oci_vm_image_fields },
	{ "hooks.", oci_hooks_fields },
	{ "hooks.*[].", oci_hook_fields },
	{ "linux.seccomp.", oci_seccomp_fields },
	{ "process.scheduler.", oci_scheduler_fields },
	{ "process.ioPriority.", oci_io_priority_fields },
	{ "process.execCPUAffinity.", oci_affinity_fields },
	{ "linux.memoryPolicy.", oci_memory_policy_fields },
	{ "linux.personality.", oci_personality_fields },
	{ "linux.timeOffsets.", oci_time_offset_fields },
	{ "linux.netDevices.NAME.", oci_net_device_fields },
	{ "linux.resources.blockIO.", oci_block_fields },
	{ "linux.resources.blockIO.weightDevice[].", oci_block_weight_fields },
	{ "linux.resources.blockIO.throttle*Device[].", oci_block_rate_fields },
	{ "linux.resources.hugepageLimits[].", oci_hugepages_fields },
	{ NULL, NULL },
};

static void set_defaults(struct oci_spec *s)
{
	s->hostname = s->domainname = s->cgroups_path = "";
	s->res.cpuset_cpus = s->res.cpuset_mems = "";
}

int oci_spec_parse(struct oci_spec **ret, const char *text, size_t len, const char *name,
		   struct err *e)
{
	struct owned_spec *o = calloc(1, sizeof(*o));
	struct oci_ctx c = { .file = name, .e = e };
	int rc;

	if (!o)
		return err_set(e, ENOMEM, "%s: out of memory", name);
	c.pool = &o->pool;
	set_defaults(&o->spec);
	rc = json_parse(&o->spec.doc, text, len, NULL, e);
	if (rc < 0)
		rc = err_wrap(e, rc, "%s", name);
	else
		rc = oci_check_counts(&c, o->spec.doc, false);
	if (rc == 0)
		rc = oci_read_object(&c, o->spec.doc, oci_spec_fields, &o->spec);
	if (rc == 0)
		oci_drop_mappings(&c, &o->spec);
	if (rc == 0)
		rc = oci_check_spec(&c, &o->spec);
	if (rc == 0)
		rc = oci_complete_mounts(&c, &o->spec);
	if (rc < 0) {
		oci_spec_free(&o->spec);
		return rc;
	}
	*ret = &o->spec;
	return 0;
}

void oci_spec_free(struct oci_spec *s)
{
	struct owned_spec *o;

	if (!s)
		return;
	o = container_of(s, struct owned_spec, spec);
	free(s->seccomp.filter);
	oci_pool_free(&o->pool);
	json_free(o->spec.doc);
	free(o);
}

static int read_text(int dirfd, const char *name, char **ret, size_t *ret_len, struct err *e)
{
	int rc = io_read_file(dirfd, name, OCI_MAX_CONFIG, ret, ret_len);

	if (rc == -EFBIG)
		return err_set(e, EFBIG, "%s: larger than %u MiB", name, OCI_MAX_CONFIG >> 20);
	if (rc < 0)
		return err_errno(e, -rc, "%s", name);
	return 0;
}

int oci_spec_load(struct oci_spec **ret, int dirfd, const char *name, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int rc = read_text(dirfd, name, &text, &len, e);

	return rc < 0 ? rc : oci_spec_parse(ret, text, len, name, e);
}

int oci_process_load(struct oci_process **ret, const char *path, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	struct owned_process *o;
	struct oci_ctx c = { .file = path, .e = e };
	size_t len;
	int rc = read_text(AT_FDCWD, path, &text, &len, e);

	if (rc < 0)
		return rc;
	o = calloc(1, sizeof(*o));
	if (!o)
		return err_set(e, ENOMEM, "%s: out of memory", path);
	c.pool = &o->pool;
	rc = json_parse(&o->process.doc, text, len, NULL, e);
	if (rc < 0)
		rc = err_wrap(e, rc, "%s", path);
	else
		rc = oci_check_counts(&c, o->process.doc, true);
	if (rc == 0)
		rc = oci_read_process(&c, o->process.doc, &o->process);
	if (rc < 0) {
		oci_process_free(&o->process);
		return rc;
	}
	*ret = &o->process;
	return 0;
}

void oci_process_free(struct oci_process *p)
{
	struct owned_process *o;

	if (!p)
		return;
	o = container_of(p, struct owned_process, process);
	oci_pool_free(&o->pool);
	json_free(o->process.doc);
	free(o);
}
