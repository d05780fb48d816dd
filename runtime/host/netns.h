/* SPDX-License-Identifier: Apache-2.0 */
/* Network namespaces of the host. */
#ifndef RUNTIME_HOST_NETNS_H
#define RUNTIME_HOST_NETNS_H

#include "lib/err.h"

/* Opens the network namespace @path for setns(2); close-on-exec. -EINVAL: it is something else, or the one that this
 * process is in, whose interfaces are the host's. The text names the path, not the field. */
int netns_open(const char *path, int *ret, struct err *e);

#endif
