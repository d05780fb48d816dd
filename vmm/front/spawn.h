/* SPDX-License-Identifier: Apache-2.0 */
/* Starting a husk-machine. For husk-vmm alone; the runtime has its own ways and needs. */
#ifndef VMM_FRONT_SPAWN_H
#define VMM_FRONT_SPAWN_H

#include <sys/types.h>
#include "lib/err.h"

/* Starts husk-machine with one end of a new control socket; *ret_sock is the other. The program is looked
 * for in $HUSK_LIBEXEC when that is set, else in ../libexec/husk beside this program, else beside it. */
int spawn_machine(pid_t *ret_pid, int *ret_sock, struct err *e);

#endif
