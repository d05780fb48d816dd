/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ttrpc's frames: a 10-byte header, big-endian (u32 payload length, u32 stream id, u8 type, u8
 * flags), then the payload. No I/O here: bytes go in as they come, frames come out.
 */
#ifndef AGENT_PROTO_TTRPC_FRAME_H
#define AGENT_PROTO_TTRPC_FRAME_H

#include "lib/buf.h"
#include "lib/err.h"

#define TTRPC_HEADER    10
#define TTRPC_MAX_FRAME (4u << 20) /* payload, by the protocol */

enum ttrpc_type { TTRPC_REQUEST = 1, TTRPC_RESPONSE = 2, TTRPC_DATA = 3 };

struct ttrpc_frame {
	uint32_t stream;
	uint8_t type;        /* enum ttrpc_type, nothing else */
	uint8_t flags;
	bool oversized;      /* longer than the reader's limit: data is NULL, the payload is skipped */
	const uint8_t *data; /* valid during the callback */
	size_t len;
};

struct ttrpc_reader {
	uint8_t head[TTRPC_HEADER];
	size_t head_len;
	size_t want;    /* payload bytes of the frame being read */
	size_t skip;    /* bytes of an oversized one still to come */
	size_t max;
	struct buf buf; /* what has come of it; grows with what came, not with what was announced */
};

/* Non-zero stops the reader at once: it may have been freed by the callback. */
typedef int ttrpc_frame_fn(void *arg, const struct ttrpc_frame *f);

void ttrpc_reader_init(struct ttrpc_reader *r, size_t max_frame);
void ttrpc_reader_done(struct ttrpc_reader *r);
/* 0; -EPROTO (type unknown, stream 0) or -ENOMEM, after which the connection can only be closed; or
 * what @fn returned. */
int ttrpc_reader_feed(struct ttrpc_reader *r, const void *src, size_t len, ttrpc_frame_fn *fn,
		      void *arg, struct err *e);
/* Nothing is begun: the end of the connection cuts no frame. */
bool ttrpc_reader_idle(const struct ttrpc_reader *r);

void ttrpc_put_header(uint8_t head[TTRPC_HEADER], uint32_t len, uint32_t stream, uint8_t type,
		      uint8_t flags);

#endif
