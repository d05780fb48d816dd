/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operator's configuration, /etc/husk/config.json or what --config names: husk-config.json(5). It says what containers
 * may ask of their machines. Only root (or, with --config, the caller) may be able to write it. Strings belong to it.
 */
#ifndef RUNTIME_HOST_CONFIG_H
#define RUNTIME_HOST_CONFIG_H

#include "runtime/oci/field.h"

#define HOST_CONFIG_PATH "/etc/husk/config.json"
#define HOST_CONFIG_MAX  (1u << 20) /* bytes */

struct host_config {
	struct json *doc;
	struct oci_pool pool;
	const char *file; /* for messages; where it was read or would have been */
	const char *kernel, *initramfs, *hypervisor; /* "": those of the installation */
	struct oci_strv kernel_parameters; /* added to husk's own */
	uint32_t vcpus, vcpus_max; /* 0: not given */
	uint64_t memory, memory_max; /* bytes, 0: not given */
	enum host_config_choice { HOST_CONFIG_UNSAID, HOST_CONFIG_NO, HOST_CONFIG_YES } memory_grow;
	struct oci_strv annotations; /* of dev.husk.*, that containers may use beyond vcpus and memory */
	struct oci_strv paths; /* folders in which files that they name must lie */
};

/* @path NULL: HOST_CONFIG_PATH, and when there is none the defaults. Messages name file and field. */
int host_config_load(struct host_config *ret, const char *path, struct err *e);
int host_config_parse(struct host_config *ret, const char *text, size_t len, const char *file, struct err *e);
void host_config_done(struct host_config *c);

/* Opens @path for reading if it lies in one of the configured folders (links do not lead out of it), is a regular file,
 * belongs to root and can be written by nobody else. @what begins the message. */
int host_config_open(const struct host_config *c, const char *path, const char *what, int *ret_fd, struct err *e);
/* Whether @name is listed in "annotations". */
bool host_config_allows(const struct host_config *c, const char *name);

#endif
