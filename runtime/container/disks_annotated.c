// SPDX-License-Identifier: Apache-2.0
#include "runtime/container/disks_annotated.h"

#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "runtime/container/device_list.h"

#define FIELD "config.json: annotations: dev.husk.disks"

static int parse(struct device_wish **ret, size_t *ret_n, const char *text, struct err *e)
{
	_cleanup_free_ char *copy = strdup(text);
	char *rest = copy, *word;
	size_t n = 0;

	*ret = calloc(SANDBOX_MAX_DISKS, sizeof(**ret));
	if (!copy || !*ret)
		return err_set(e, ENOMEM, "out of memory");
	while ((word = strsep(&rest, " "))) {
		int rc;

		if (!*word)
			continue;
		if (n == SANDBOX_MAX_DISKS)
			return err_set(e, E2BIG, FIELD ": a machine can have %d disks, no more", SANDBOX_MAX_DISKS);
		rc = device_wish_parse(word, *ret + n++, e);
		if (rc < 0)
			return err_wrap(e, rc, FIELD);
	}
	*ret_n = n;
	return 0;
}

static int open_one(struct sandbox *s, const struct device_wish *w, const struct host_config *cfg, const char **ret_serial,
		    struct err *e)
{
	bool readonly = !strchr(w->access, 'w');
	struct diskfile f = { .fd = -1 };
	_cleanup_close_ int fd = -1;
	int rc = host_config_open(cfg, w->source, FIELD, &fd, e);

	if (rc < 0)
		return rc;
	rc = diskfile_reopen(&f, fd, w->source, readonly ? DISKFILE_READONLY : 0, e);
	if (rc == 0) {
		rc = sandbox_add_disk(s, &f, readonly, NULL, ret_serial, e);
		if (rc < 0)
			close_and_reset(&f.fd);
	}
	return rc < 0 ? err_wrap(e, rc, FIELD) : 0;
}

/* Room for @more behind what there is. */
static void *grow(const void *old, size_t n, size_t more, size_t size)
{
	void *p = calloc(n + more, size);

	if (p && n)
		memcpy(p, old, n * size);
	return p;
}

int disks_annotated(struct disks_annotated *ret, struct sandbox *s, struct oci_spec *spec, const char *text,
		    const struct host_config *cfg, struct err *e)
{
	size_t n = 0;
	int rc = parse(&ret->wishes, &n, text, e);

	if (rc < 0)
		return rc;
	ret->devices = grow(spec->devices, spec->n_devices, n, sizeof(*ret->devices));
	ret->rules = grow(spec->res.devices, spec->res.n_devices, n, sizeof(*ret->rules));
	if (!ret->devices || !ret->rules)
		return err_set(e, ENOMEM, "out of memory");
	spec->devices = ret->devices;
	spec->res.devices = ret->rules;
	for (size_t i = 0; rc == 0 && i < n; i++) {
		const struct device_wish *w = &ret->wishes[i];
		const char *serial = NULL;
		/* Numbers that no device of the host has tell one from another until the guest gives them others. */
		int64_t minor = (int64_t)i + 1;

		rc = open_one(s, w, cfg, &serial, e);
		if (rc < 0)
			break;
		spec->devices[spec->n_devices++] = (struct oci_device){
			.path = w->path, .type = 'b', .minor = minor, .has_mode = true, .mode = 0660, .disk = serial
		};
		spec->res.devices[spec->res.n_devices++] = (struct oci_device_rule){
			.allow = true, .type = 'b', .minor = minor, .access = w->access, .disk = serial
		};
	}
	return rc;
}

void disks_annotated_free(struct disks_annotated *d)
{
	free(d->wishes);
	free(d->devices);
	free(d->rules);
	*d = (struct disks_annotated){ .wishes = NULL };
}
