// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/ttrpc/frame.h"

#include <endian.h>
#include <string.h>

/* A buffer larger than this is not kept for the next frame. */
#define KEEP_SIZE 65536u

void ttrpc_reader_init(struct ttrpc_reader *r, size_t max_frame)
{
	*r = (struct ttrpc_reader){ .max = max_frame, .buf = BUF_INIT(max_frame) };
}

void ttrpc_reader_done(struct ttrpc_reader *r)
{
	buf_free(&r->buf);
}

bool ttrpc_reader_idle(const struct ttrpc_reader *r)
{
	return r->head_len == 0 && r->skip == 0;
}

void ttrpc_put_header(uint8_t head[TTRPC_HEADER], uint32_t len, uint32_t stream, uint8_t type,
		      uint8_t flags)
{
	uint32_t be_len = htobe32(len), be_stream = htobe32(stream);

	memcpy(head, &be_len, 4);
	memcpy(head + 4, &be_stream, 4);
	head[8] = type;
	head[9] = flags;
}

static void get_header(const struct ttrpc_reader *r, struct ttrpc_frame *f)
{
	uint32_t len, stream;

	memcpy(&len, r->head, 4);
	memcpy(&stream, r->head + 4, 4);
	*f = (struct ttrpc_frame){ .stream = be32toh(stream),
				   .type = r->head[8],
				   .flags = r->head[9],
				   .len = be32toh(len) };
	f->oversized = f->len > r->max;
}

static int check_header(struct ttrpc_reader *r, struct err *e)
{
	struct ttrpc_frame f;

	get_header(r, &f);
	if (f.type < TTRPC_REQUEST || f.type > TTRPC_DATA)
		return err_set(e, EPROTO, "frame of unknown type %u", f.type);
	if (f.stream == 0)
		return err_set(e, EPROTO, "frame with stream id 0");
	r->want = f.oversized ? 0 : f.len;
	r->skip = f.oversized ? f.len : 0;
	return 0;
}

/* The frame is there: @data, or what was gathered. */
static int deliver(struct ttrpc_reader *r, const uint8_t *data, ttrpc_frame_fn *fn, void *arg)
{
	struct ttrpc_frame f;
	int rc;

	get_header(r, &f);
	f.data = f.oversized ? NULL : data;
	rc = fn(arg, &f);
	if (rc)
		return rc;
	r->head_len = 0;
	r->want = 0;
	if (r->buf.size > KEEP_SIZE)
		buf_free(&r->buf);
	r->buf.len = 0;
	return 0;
}

static size_t take_header(struct ttrpc_reader *r, const uint8_t *p, size_t len)
{
	size_t n = min_t(size_t, len, TTRPC_HEADER - r->head_len);

	memcpy(r->head + r->head_len, p, n);
	r->head_len += n;
	return n;
}

/* Takes what belongs to the payload; *ret_data is set when it is complete. */
static int take_payload(struct ttrpc_reader *r, const uint8_t *p, size_t len, size_t *ret_n,
			const uint8_t **ret_data)
{
	size_t n = min_t(size_t, len, r->want - r->buf.len);
	int rc;

	*ret_n = n;
	*ret_data = NULL;
	if (n == r->want) { /* all of it in one piece: no copy */
		*ret_data = p;
		return 0;
	}
	rc = buf_append(&r->buf, p, n);
	if (rc == 0 && r->buf.len == r->want)
		*ret_data = r->buf.data;
	return rc;
}

int ttrpc_reader_feed(struct ttrpc_reader *r, const void *src, size_t len, ttrpc_frame_fn *fn,
		      void *arg, struct err *e)
{
	const uint8_t *p = src, *data;
	size_t n;
	int rc;

	while (len) {
		if (r->skip) {
			n = min_t(size_t, len, r->skip);
			r->skip -= n;
			p += n;
			len -= n;
			continue;
		}
		if (r->head_len < TTRPC_HEADER) {
			n = take_header(r, p, len);
			p += n;
			len -= n;
			if (r->head_len < TTRPC_HEADER)
				return 0;
			rc = check_header(r, e);
			if (rc < 0)
				return rc;
			if (r->want && !len)
				return 0;
		}
		rc = take_payload(r, p, len, &n, &data);
		if (rc < 0)
			return err_set(e, -rc, "no memory for a frame of %zu bytes", r->want);
		p += n;
		len -= n;
		if (!data)
			return 0;
		rc = deliver(r, data, fn, arg);
		if (rc)
			return rc;
	}
	return 0;
}
