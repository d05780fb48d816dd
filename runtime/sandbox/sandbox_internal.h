/* SPDX-License-Identifier: Apache-2.0 */
/* A sandbox's folder, for the files of runtime/sandbox. */
#ifndef RUNTIME_SANDBOX_SANDBOX_INTERNAL_H
#define RUNTIME_SANDBOX_SANDBOX_INTERNAL_H

#include "lib/err.h"

#define SANDBOX_MACHINE_SOCK "machine.sock"
#define SANDBOX_JOIN_SOCK    "join.sock"
#define SANDBOX_NET_SOCK     "net.sock"
#define SANDBOX_FOLDER       "@sandbox"
#define SANDBOX_MEMBERS      "containers"

/* The folder of all; a descriptor, or -errno. */
int sandbox_open_all(int root);
/* Makes @sandbox/<name> below @root. -EEXIST: it is there. */
int sandbox_make_dir(int root, const char *name, int *ret_dir, struct err *e);
#endif
