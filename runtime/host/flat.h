/* SPDX-License-Identifier: Apache-2.0 */
/* Folders of ours that hold files only, never folders. */
#ifndef RUNTIME_HOST_FLAT_H
#define RUNTIME_HOST_FLAT_H

#include "lib/err.h"

/* Removes every file in @dir, then @parent/@name, which @dir is the folder of. One that is gone is fine. */
int flat_remove(int parent, const char *name, int dir, struct err *e);

#endif
