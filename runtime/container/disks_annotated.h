/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raw files of the host that an annotation makes devices of a container: "dev.husk.disks", where the operator's configuration
 * lists it, and files that lie in its folders, belong to root and can be written by nobody else.
 */
#ifndef RUNTIME_CONTAINER_DISKS_ANNOTATED_H
#define RUNTIME_CONTAINER_DISKS_ANNOTATED_H

#include "runtime/host/config.h"
#include "runtime/oci/spec.h"
#include "runtime/sandbox/sandbox.h"

/* What the spec refers to from then on. */
struct disks_annotated {
	struct device_wish *wishes;
	struct oci_device *devices;
	struct oci_device_rule *rules;
};

/* @text: FILE:PATH[:ACCESS], several separated by spaces. Opens each for @s, and adds a device and a rule for it to @spec, which
 * are @ret's: to be freed after @spec's last use, whatever comes of this. */
int disks_annotated(struct disks_annotated *ret, struct sandbox *s, struct oci_spec *spec, const char *text,
		    const struct host_config *cfg, struct err *e);
void disks_annotated_free(struct disks_annotated *d);

#endif
