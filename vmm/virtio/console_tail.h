/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last CONSOLE_TAIL bytes of a console, and their reading as plain text. The device's part of
 * console.h's console_tail(); console.c and its tests include it. Any thread: it has its own lock,
 * since who reports a guest's end is not on the device's loop.
 */
#ifndef VMM_VIRTIO_CONSOLE_TAIL_H
#define VMM_VIRTIO_CONSOLE_TAIL_H

#include <pthread.h>

#include "vmm/virtio/console.h"

struct console_ring {
	pthread_mutex_t lock;
	uint64_t total; /* bytes ever put */
	uint8_t data[CONSOLE_TAIL];
	char text[CONSOLE_TAIL]; /* scratch of console_ring_text() */
};

void console_ring_init(struct console_ring *r); /* of zeroed memory */
void console_ring_done(struct console_ring *r);
void console_ring_put(struct console_ring *r, const void *src, size_t len);
/* Bytes from the place *@at on, at most @size; what the ring has dropped meanwhile is skipped (*@at is moved). 0: none yet. */
size_t console_ring_read(struct console_ring *r, uint64_t *at, void *dst, size_t size);
size_t console_ring_text(struct console_ring *r, char *dst, size_t size);

#endif
