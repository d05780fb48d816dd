/* SPDX-License-Identifier: Apache-2.0 */
/* What the vsock device asks the machine; arg: struct machine. For vmm/core alone. */
#ifndef VMM_CORE_VSOCK_GLUE_H
#define VMM_CORE_VSOCK_GLUE_H

#include "vmm/virtio/vsock.h"

extern const struct vsock_ops vsock_glue_open;   /* host ports are asked for by an event */
extern const struct vsock_ops vsock_glue_closed; /* the ready port alone */

#endif
