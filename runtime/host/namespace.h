/* SPDX-License-Identifier: Apache-2.0 */
/* Namespaces of the host that a configuration names by path. */
#ifndef RUNTIME_HOST_NAMESPACE_H
#define RUNTIME_HOST_NAMESPACE_H

#include "lib/err.h"

/* Opens the namespace @path of the kind @name ("network", "ipc", "uts") for setns(2); close-on-exec. -EINVAL: it is
 * something else, or the one that this process is in, which is the host's. The text names the path, not the field. */
int namespace_open(const char *path, const char *name, int *ret, struct err *e);

#endif
