/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Debug port 0xe9: each byte written goes to a descriptor; reading gives 0xe9, by which a guest finds
 * it. It has no state.
 */
#ifndef VMM_BUS_DEBUGCON_H
#define VMM_BUS_DEBUGCON_H

#include "lib/evloop.h"
#include "vmm/bus/bus.h"

#define DEBUGCON_PORT 0xe9
#define DEBUGCON_LEN  1

struct debugcon;

/* @out_fd becomes its own on success. Threads as serial.h. */
int debugcon_new(struct debugcon **ret, int out_fd, struct evloop *loop, struct err *e);
void debugcon_free(struct debugcon *d);
extern const struct bus_ops debugcon_ops; /* DEBUGCON_LEN bytes, dev: struct debugcon */

#endif
