/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_CONTAINER_UPDATE_H
#define RUNTIME_CONTAINER_UPDATE_H

#include "runtime/container/create.h"
#include "runtime/oci/spec.h"

/* Puts the limits that are set in @res (0 and absent: as it was) on the living container, in its guest and on the host.
 * A failure names what was refused, and everything is as before. */
int container_update(const struct container_host *h, const char *id, const struct oci_resources *res,
		     struct err *e);

#endif
