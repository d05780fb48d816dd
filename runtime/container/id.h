/* SPDX-License-Identifier: Apache-2.0 */
/* What may be the id of a container: letters, digits, '.', '_', '+', '-', at most 1024 of them, but
 * neither "." nor "..". The words of a refusal are runc's. */
#ifndef RUNTIME_CONTAINER_ID_H
#define RUNTIME_CONTAINER_ID_H

#include "lib/err.h"

#define CONTAINER_ID_MAX 1024

int container_id_check(const char *id, struct err *e); /* 0, -EINVAL */

#endif
