// SPDX-License-Identifier: Apache-2.0
#include "runtime/host/config.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "runtime/host/proc.h"
#include "runtime/oci/vm.h"

static int read_parameters(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_strv *list = dst;
	int rc = oci_read_strv(c, v, list);

	for (size_t i = 0; rc == 0 && i < list->n; i++)
		if (!oci_kernel_parameter_ok(list->v[i]))
			rc = oci_fail(c, v->items[i], "\"%.40s\" is not one kernel parameter", list->v[i]);
	return rc;
}

static int read_paths(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_strv *list = dst;
	int rc = oci_read_strv(c, v, list);

	for (size_t i = 0; rc == 0 && i < list->n; i++)
		if (list->v[i][0] != '/')
			rc = oci_fail(c, v->items[i], "must be an absolute path");
	return rc;
}

static int read_allowed(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_strv *list = dst;
	int rc = oci_read_strv(c, v, list);

	for (size_t i = 0; rc == 0 && i < list->n; i++)
		if (!oci_vm_annotation_known(list->v[i]))
			rc = oci_fail(c, v->items[i], "\"%.60s\" is not an annotation of husk's", list->v[i]);
	return rc;
}

static int read_memory(struct oci_ctx *c, const struct json *v, void *dst)
{
	const char *bad = "must be bytes, or a string such as \"512M\", from 128M up";

	if (v->type != JSON_STRING && v->type != JSON_NUMBER)
		return oci_fail(c, v, "%s", bad);
	return oci_vm_memory(v->str, dst) < 0 ? oci_fail(c, v, "%s", bad) : 0;
}

static int read_choice(struct oci_ctx *c, const struct json *v, void *dst)
{
	enum host_config_choice *choice = dst;
	bool yes = false;
	int rc = oci_read_bool(c, v, &yes);

	if (rc == 0)
		*choice = yes ? HOST_CONFIG_YES : HOST_CONFIG_NO;
	return rc;
}

static const struct oci_field vcpus_fields[] = {
	OCI_FIELD("default", OCI_HOST, struct host_config, vcpus, oci_read_vcpus),
	OCI_FIELD("max", OCI_HOST, struct host_config, vcpus_max, oci_read_vcpus),
	OCI_END,
};
static const struct oci_field memory_fields[] = {
	OCI_FIELD("default", OCI_HOST, struct host_config, memory, read_memory),
	OCI_FIELD("max", OCI_HOST, struct host_config, memory_max, read_memory),
	OCI_FIELD("grow", OCI_HOST, struct host_config, memory_grow, read_choice),
	OCI_END,
};

/* Unlike config.json's, an unknown field here is a mistake of the operator's: what was meant to limit would not. */
static int read_strict(struct oci_ctx *c, const struct json *v, const struct oci_field *table, void *dst)
{
	for (size_t i = 0; v->type == JSON_OBJECT && i < v->count; i++) {
		const struct oci_field *f = table;

		while (f->name && strcmp(f->name, v->items[i]->key))
			f++;
		if (!f->name)
			return oci_fail(c, v->items[i], "unknown field");
	}
	return oci_read_object(c, v, table, dst);
}

static int read_vcpus_object(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct host_config *cfg = dst;
	int rc = read_strict(c, v, vcpus_fields, dst);

	if (rc == 0 && cfg->vcpus_max && cfg->vcpus > cfg->vcpus_max)
		return oci_fail(c, v, "default is above max");
	return rc;
}

static int read_memory_object(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct host_config *cfg = dst;
	int rc = read_strict(c, v, memory_fields, dst);

	if (rc == 0 && cfg->memory_max && cfg->memory > cfg->memory_max)
		return oci_fail(c, v, "default is above max");
	return rc;
}

static const struct oci_field config_fields[] = {
	OCI_FIELD("kernel", OCI_HOST, struct host_config, kernel, oci_read_abspath),
	OCI_FIELD("initramfs", OCI_HOST, struct host_config, initramfs, oci_read_abspath),
	OCI_FIELD("hypervisor", OCI_HOST, struct host_config, hypervisor, oci_read_abspath),
	OCI_FIELD("kernelParameters", OCI_GUEST, struct host_config, kernel_parameters, read_parameters),
	OCI_WHOLE("vcpus", OCI_HOST, read_vcpus_object),
	OCI_WHOLE("memory", OCI_HOST, read_memory_object),
	OCI_FIELD("annotations", OCI_HOST, struct host_config, annotations, read_allowed),
	OCI_FIELD("paths", OCI_HOST, struct host_config, paths, read_paths),
	OCI_END,
};

int host_config_parse(struct host_config *ret, const char *text, size_t len, const char *file, struct err *e)
{
	struct host_config cfg = { .file = file, .kernel = "", .initramfs = "", .hypervisor = "" };
	struct oci_ctx c = { .file = file, .pool = &cfg.pool, .e = e };
	int rc = json_parse(&cfg.doc, text, len, NULL, e);

	if (rc < 0)
		return err_wrap(e, rc, "%s", file);
	rc = read_strict(&c, cfg.doc, config_fields, &cfg);
	if (rc < 0)
		host_config_done(&cfg);
	else
		*ret = cfg;
	return rc;
}

void host_config_done(struct host_config *c)
{
	oci_pool_free(&c->pool);
	json_free(c->doc);
	*c = (struct host_config){ .doc = NULL };
}

/* ---- whose a file is ------------------------------------------------------------------------------ */

/* In a user namespace the host's root, as everybody without a number there, is this one. */
static bool is_roots(uid_t uid)
{
	/* Outside of one that is the user nobody. */
	return uid == 0 || (uid == 65534 && proc_in_userns());
}

static int check_owner(const struct stat *st, bool or_mine, const char *what, const char *path, struct err *e)
{
	if (!S_ISREG(st->st_mode))
		return err_set(e, EINVAL, "%s: %s is not a regular file", what, path);
	if (!is_roots(st->st_uid) && !(or_mine && st->st_uid == geteuid()))
		return err_set(e, EPERM, "%s: %s does not belong to root", what, path);
	if (st->st_mode & 022)
		return err_set(e, EPERM, "%s: %s can be written by others than its owner", what, path);
	return 0;
}

int host_config_load(struct host_config *ret, const char *path, struct err *e)
{
	const char *file = path ? path : HOST_CONFIG_PATH;
	_cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	_cleanup_free_ char *text = NULL;
	char self[32];
	struct stat st;
	size_t len;
	int rc;

	if (fd < 0 && errno == ENOENT && !path)
		return host_config_parse(ret, "{}", 2, file, e);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(e, errno, "%s", file);
	rc = check_owner(&st, path != NULL, "configuration", file, e);
	if (rc < 0)
		return rc;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	rc = io_read_file(AT_FDCWD, self, HOST_CONFIG_MAX, &text, &len);
	if (rc < 0)
		return err_errno(e, -rc, "%s", file);
	return host_config_parse(ret, text, len, file, e);
}

/* What of @path is behind the folder @prefix; NULL when it is not in it. */
static const char *below(const char *path, const char *prefix)
{
	size_t n = strlen(prefix);

	while (n > 1 && prefix[n - 1] == '/')
		n--;
	if (strncmp(path, prefix, n) != 0 || (path[n] != '/' && n > 1))
		return NULL;
	path += n;
	return path + strspn(path, "/");
}

int host_config_open(const struct host_config *c, const char *path, const char *what, int *ret_fd, struct err *e)
{
	struct open_how how = { .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
				.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };

	for (size_t i = 0; i < c->paths.n; i++) {
		const char *rest = below(path, c->paths.v[i]);
		_cleanup_close_ int dir = -1;
		_cleanup_close_ int fd = -1;
		struct stat st;
		int rc;

		if (!rest || !*rest)
			continue;
		dir = open(c->paths.v[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (dir >= 0)
			fd = (int)syscall(SYS_openat2, dir, rest, &how, sizeof(how));
		if (fd < 0 || fstat(fd, &st) < 0)
			return err_errno(e, errno, "%s: %s", what, path);
		rc = check_owner(&st, false, what, path, e);
		if (rc == 0)
			*ret_fd = steal_fd(&fd);
		return rc;
	}
	return err_set(e, EPERM, "%s: %s is in none of the folders that \"paths\" of %s lists", what, path, c->file);
}

bool host_config_allows(const struct host_config *c, const char *name)
{
	for (size_t i = 0; i < c->annotations.n; i++)
		if (!strcmp(c->annotations.v[i], name))
			return true;
	return false;
}
