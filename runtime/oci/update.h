/* SPDX-License-Identifier: Apache-2.0 */
/* What `update` reads and sends. */
#ifndef RUNTIME_OCI_UPDATE_H
#define RUNTIME_OCI_UPDATE_H

#include "runtime/oci/limits.h"

/* A "linux.resources" object by itself, as `update --resources` takes it; @name begins each message. */
int oci_resources_parse(struct oci_resources **ret, const char *text, size_t len, const char *name,
			struct err *e);
void oci_resources_free(struct oci_resources *r);

/* Appends a packed husk.agent.v1.UpdateRequest. */
int oci_pack_update(const struct oci_limits *l, const char *container_id, bool check_memory,
		    struct buf *out, struct err *e);

#endif
