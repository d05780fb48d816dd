/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A 16550A UART, for debugging: eight ports, one edge interrupt, 16-byte receive FIFO, loopback.
 * Output goes at once to a bounded buffer (sink.h), so the transmitter is always empty; line speed
 * is kept and ignored. Input is read on the loop only while the FIFO has room.
 */
#ifndef VMM_BUS_SERIAL_H
#define VMM_BUS_SERIAL_H

#include "lib/evloop.h"
#include "vmm/bus/bus.h"
#include "vmm/snapshot/snap.h"

#define SERIAL_LEN 8

struct serial;

/* @in_fd and @out_fd (-1: none; may be the same number) become the port's on success and are made
 * non-blocking. @irq and @loop must outlive it. On the loop's thread or before it runs. */
int serial_new(struct serial **ret, int in_fd, int out_fd, struct evloop *loop,
	       struct irq_line *irq, struct err *e);
/* On the loop's thread or with the loop stopped, and no vCPU inside. */
void serial_free(struct serial *s);
extern const struct bus_ops serial_ops; /* SERIAL_LEN bytes, dev: struct serial */

/* Bytes as if they came from in_fd; returns how many fitted. Any thread. */
size_t serial_feed(struct serial *s, const void *p, size_t len);

/* Tags @tag … @tag + 7. */
void serial_save(struct serial *s, struct snap_w *w, uint16_t tag);
int serial_load(struct serial *s, struct snap_r *r, uint16_t tag, struct err *e);

#endif
