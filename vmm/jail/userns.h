/* SPDX-License-Identifier: Apache-2.0 */
/* A user namespace in which every id is itself. For jail_root() alone. */
#ifndef VMM_JAIL_USERNS_H
#define VMM_JAIL_USERNS_H

#include "lib/err.h"

/* Single-threaded process. Enters a new user namespace and, in the same step, those of @flags
 * (CLONE_NEW…). Maps all ids of the parent namespace to themselves where the process has the right
 * to, else the own one alone (*ret_all_ids false). Leaves the process dumpable.
 * Returns 1, with the reason in @e, when the host does not allow it and nothing has changed. */
int userns_enter(int flags, bool *ret_all_ids, struct err *e);

#endif
