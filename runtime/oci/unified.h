/* SPDX-License-Identifier: Apache-2.0 */
/* "linux.resources.unified": which file of a version 2 group is whose. */
#ifndef RUNTIME_OCI_UNIFIED_H
#define RUNTIME_OCI_UNIFIED_H

#include "lib/util.h"

enum oci_unified_place {
	OCI_UNIFIED_UNKNOWN,
	OCI_UNIFIED_GUEST = 1, /* the container's group in its machine */
	OCI_UNIFIED_HOST = 2,  /* that of the machine */
	OCI_UNIFIED_BOTH = 3,
	OCI_UNIFIED_NOWHERE = 4, /* kept without being written */
	OCI_UNIFIED_FIELD = 5, /* has a field of its own in struct oci_resources */
};

enum oci_unified_place oci_unified_place(const char *file);

#endif
