// SPDX-License-Identifier: Apache-2.0
/* ttrpc's two ends without I/O: frames in pieces, both ends against each other, and what either must refuse. */
#include <endian.h>
#include <stdio.h>

#include "agent-proto/proto/agent.pb-c.h"
#include "agent-proto/proto/ttrpc.pb-c.h"
#include "agent-proto/ttrpc/client.h"
#include "agent-proto/ttrpc/server.h"
#include "agent-proto/ttrpc/status.h"
#include "tests/unit/check.h"

/* ---- frames ----------------------------------------------------------------------------------- */

struct heard {
	unsigned n;
	uint32_t stream[8];
	size_t len[8];
	bool oversized[8];
	uint32_t sum;
};

static int hear(void *arg, const struct ttrpc_frame *f)
{
	struct heard *h = arg;

	assert_true(h->n < 8);
	h->stream[h->n] = f->stream;
	h->len[h->n] = f->len;
	h->oversized[h->n++] = f->oversized;
	for (size_t i = 0; !f->oversized && i < f->len; i++)
		h->sum = h->sum * 31 + f->data[i];
	return 0;
}

static size_t put(uint8_t *at, uint32_t len, uint32_t stream, uint8_t type)
{
	ttrpc_put_header(at, len, stream, type, 0);
	for (uint32_t i = 0; i < len; i++)
		at[TTRPC_HEADER + i] = (uint8_t)(stream + i);
	return TTRPC_HEADER + len;
}

/* The same frames, whatever pieces they come in. */
static void pieces(void **state)
{
	uint8_t bytes[512];
	struct heard whole = { 0 };
	size_t len = 0;

	(void)state;
	len += put(bytes + len, 0, 1, TTRPC_REQUEST);
	len += put(bytes + len, 100, 3, TTRPC_DATA);
	len += put(bytes + len, 64, 5, TTRPC_RESPONSE);
	len += put(bytes + len, 1, UINT32_MAX, TTRPC_REQUEST);
	for (size_t step = 1; step <= len; step++) {
		struct ttrpc_reader r;
		struct heard h = { 0 };

		ttrpc_reader_init(&r, 64);
		for (size_t at = 0; at < len; at += step) {
			size_t n = step < len - at ? step : len - at;

			assert_int_equal(ttrpc_reader_feed(&r, bytes + at, n, hear, &h, NULL), 0);
		}
		assert_true(ttrpc_reader_idle(&r));
		assert_int_equal(h.n, 4);
		/* 100 is beyond the limit and skipped, 64 is not. */
		assert_true(h.oversized[1] && !h.oversized[2]);
		assert_int_equal(h.len[1], 100);
		assert_int_equal(h.stream[3], UINT32_MAX);
		if (step == 1)
			whole = h;
		assert_int_equal(h.sum, whole.sum);
		ttrpc_reader_done(&r);
	}
}

static void bad_frames(void **state)
{
	static const struct {
		const char *why;
		uint32_t len, stream;
		uint8_t type;
		int rc;
	} cases[] = {
		{ "a frame one step from the next ones", 1, 1, TTRPC_RESPONSE, 0 },
		{ "type 0", 1, 1, 0, -EPROTO },
		{ "type 4", 1, 1, 4, -EPROTO },
		{ "stream 0", 1, 0, TTRPC_RESPONSE, -EPROTO },
		{ "the largest length there is", UINT32_MAX, 1, TTRPC_RESPONSE, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t bytes[TTRPC_HEADER + 1] = { 0 };
		struct ttrpc_reader r;
		struct heard h = { 0 };
		int rc;

		ttrpc_reader_init(&r, 64);
		ttrpc_put_header(bytes, cases[i].len, cases[i].stream, cases[i].type, 0xff);
		rc = ttrpc_reader_feed(&r, bytes, sizeof(bytes), hear, &h, NULL);
		check_row(cases[i].why, rc == cases[i].rc);
		check_row(cases[i].why, h.n == (rc == 0));
		/* Nothing is set aside for what was only announced. */
		check_row(cases[i].why, r.buf.size == 0);
		ttrpc_reader_done(&r);
	}
}

static void arena_cap(void **state)
{
	struct arena a;
	size_t n = 0;

	(void)state;
	arena_init(&a, 100000);
	assert_null(arena_alloc(&a, 100001));
	assert_null(arena_alloc(&a, SIZE_MAX));
	while (arena_alloc(&a, 1000))
		n++;
	assert_in_range(n, 60, 100);
	assert_true(a.used <= 100000);
	arena_free(&a);
	assert_non_null(arena_alloc(&a, 0));
	arena_free(&a);
}

/* ---- both ends -------------------------------------------------------------------------------- */

static struct ttrpc_call *kept[4];
static unsigned nkept, ncancelled;

static void cancelled(struct ttrpc_call *call)
{
	ncancelled++;
	ttrpc_reply(call, NULL);
}

static void keep(void *ctx, struct ttrpc_call *call, const uint8_t *payload, size_t len)
{
	(void)ctx;
	(void)payload;
	(void)len;
	call->cancel = cancelled;
	assert_true(nkept < 4);
	kept[nkept++] = call;
}

static void echo(void *ctx, struct ttrpc_call *call, const uint8_t *payload, size_t len)
{
	Husk__Agent__V1__ContainerRequest *m =
		husk__agent__v1__container_request__unpack(NULL, len, payload);

	(void)ctx;
	assert_non_null(m);
	ttrpc_reply(call, &m->base);
	husk__agent__v1__container_request__free_unpacked(m, NULL);
}

static void refuse(void *ctx, struct ttrpc_call *call, const uint8_t *payload, size_t len)
{
	(void)ctx;
	(void)payload;
	(void)len;
	ttrpc_reply_err(call, -ENOENT, "nothing there");
}

static const struct ttrpc_method methods[] = {
	{ "s", "keep", keep }, { "s", "echo", echo }, { "s", "refuse", refuse }, { NULL, NULL, NULL },
};

static struct ttrpc_server *new_server(void)
{
	struct ttrpc_server_config cfg = { .methods = methods,
					   .max_frame = 4096,
					   .max_out = 65536,
					   .max_unpack = 65536,
					   .max_calls = 3 };
	struct ttrpc_server *s;

	nkept = ncancelled = 0;
	assert_int_equal(ttrpc_server_new(&s, &cfg, NULL), 0);
	return s;
}

static struct ttrpc_client *new_client(void)
{
	struct ttrpc_client_limits lim = { .max_frame = 4096,
					   .max_out = 65536,
					   .max_unpack = 65536,
					   .max_calls = 5 };
	struct ttrpc_client *c;

	assert_int_equal(ttrpc_client_new(&c, &lim, NULL), 0);
	return c;
}

struct got {
	unsigned n;
	int rc;
	bool is_local;
	char text[64];
	size_t len;
};

static int got(void *arg, const struct ttrpc_result *res, struct err *e)
{
	struct got *g = arg;

	(void)e;
	g->n++;
	g->rc = res->rc;
	g->is_local = res->is_local;
	g->len = res->len;
	snprintf(g->text, sizeof(g->text), "%s", res->message ? res->message : "");
	return 0;
}

static int ask(struct ttrpc_client *c, const char *method, uint64_t deadline, struct got *g)
{
	static const uint8_t payload[] = { 0x0a, 3, 'a', 'b', 'c' };

	return ttrpc_client_call(c, "s", method, payload, sizeof(payload), deadline, got, g, NULL);
}

/* Moves everything both ways, @step bytes at a time. */
static int shuttle(struct ttrpc_client *c, struct ttrpc_server *s, size_t step, struct err *e)
{
	struct buf *out;
	int rc = 0;

	for (int way = 0; rc == 0 && way < 2; way++) {
		out = way ? ttrpc_server_output(s) : ttrpc_client_output(c);
		while (rc == 0 && out->len) {
			uint8_t piece[256];
			size_t n = step < out->len ? step : out->len;

			memcpy(piece, out->data, n);
			buf_consume(out, n);
			rc = way ? ttrpc_client_input(c, piece, n, e) :
				   ttrpc_server_input(s, piece, n, e);
		}
	}
	return rc;
}

static void both_ends(void **state)
{
	(void)state;
	for (size_t step = 1; step <= 256; step += 5) {
		struct ttrpc_client *c = new_client();
		struct ttrpc_server *s = new_server();
		struct got e = { 0 }, r = { 0 }, u = { 0 }, k = { 0 };

		assert_int_equal(ask(c, "keep", 0, &k), 0);
		assert_int_equal(ask(c, "echo", 0, &e), 0);
		assert_int_equal(ask(c, "refuse", 0, &r), 0);
		assert_int_equal(ask(c, "unknown", 0, &u), 0);
		assert_int_equal(shuttle(c, s, step, NULL), 0);
		assert_true(e.n == 1 && e.rc == 0 && e.len == 5);
		assert_true(r.n == 1 && r.rc == -ENOENT && !r.is_local);
		assert_string_equal(r.text, "nothing there");
		assert_true(u.n == 1 && u.rc == -ENOSYS);
		assert_int_equal(k.n, 0);
		/* The first asked is the last answered. */
		ttrpc_reply(kept[0], NULL);
		assert_int_equal(shuttle(c, s, step, NULL), 0);
		assert_true(k.n == 1 && k.rc == 0 && k.len == 0);
		assert_int_equal(ttrpc_client_in_flight(c), 0);
		ttrpc_client_free(c);
		ttrpc_server_free(s);
	}
}

static void server_limits(void **state)
{
	struct ttrpc_client *c = new_client();
	struct ttrpc_server *s = new_server();
	struct got g[4] = { 0 }, more = { 0 };
	static uint8_t big[5000];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(ask(c, "keep", 0, &g[i]), 0);
	assert_int_equal(shuttle(c, s, 256, NULL), 0);
	assert_int_equal(nkept, 3);
	assert_true(g[3].n == 1 && g[3].rc == -ENOSPC);
	assert_int_equal(ttrpc_client_call(c, "s", "echo", big, sizeof(big), 0, got, &more, NULL), 0);
	assert_int_equal(shuttle(c, s, 256, NULL), 0);
	assert_true(more.n == 1 && more.rc == -ENOSPC);
	/* The connection is good for more after that. */
	memset(&more, 0, sizeof(more));
	ttrpc_reply(kept[1], NULL);
	assert_int_equal(ask(c, "echo", 0, &more), 0);
	assert_int_equal(shuttle(c, s, 256, NULL), 0);
	assert_true(g[1].n == 1 && g[1].rc == 0);
	assert_true(more.n == 1 && more.rc == 0);
	ttrpc_server_free(s);
	assert_int_equal(ncancelled, 2);
	ttrpc_client_free(c);
}

static void server_bad_input(void **state)
{
	static const struct {
		const char *why;
		uint32_t stream;
		uint8_t type;
		int rc;
		int32_t code; /* of the answer; -1: none */
	} cases[] = {
		{ "what is asked properly", 3, TTRPC_REQUEST, 0, TTRPC_NOT_FOUND },
		{ "an even stream", 4, TTRPC_REQUEST, 0, TTRPC_INVALID_ARGUMENT },
		{ "a stream that was used", 1, TTRPC_REQUEST, 0, TTRPC_INVALID_ARGUMENT },
		{ "data of no stream", 3, TTRPC_DATA, 0, TTRPC_INVALID_ARGUMENT },
		{ "a response", 3, TTRPC_RESPONSE, -EPROTO, -1 },
	};
	static const uint8_t req[] = { 0x0a, 1, 's', 0x12, 6, 'r', 'e', 'f', 'u', 's', 'e' };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct ttrpc_server *s = new_server();
		struct buf *out = ttrpc_server_output(s);
		uint8_t frame[64];
		Ttrpc__Response *resp;

		memcpy(frame + TTRPC_HEADER, req, sizeof(req));
		ttrpc_put_header(frame, sizeof(req), 1, TTRPC_REQUEST, 0);
		assert_int_equal(ttrpc_server_input(s, frame, TTRPC_HEADER + sizeof(req), NULL), 0);
		buf_consume(out, out->len);
		ttrpc_put_header(frame, sizeof(req), cases[i].stream, cases[i].type, 0);
		check_row(cases[i].why, ttrpc_server_input(s, frame, TTRPC_HEADER + sizeof(req),
							   NULL) == cases[i].rc);
		if (cases[i].code >= 0) {
			check_row(cases[i].why, out->len > TTRPC_HEADER);
			resp = ttrpc__response__unpack(NULL, out->len - TTRPC_HEADER,
						       out->data + TTRPC_HEADER);
			check_row(cases[i].why, resp && resp->status->code == cases[i].code);
			ttrpc__response__free_unpacked(resp, NULL);
		} else {
			check_row(cases[i].why, out->len == 0);
		}
		ttrpc_server_free(s);
	}
}

/* What a guest may do to the host. Each row but the first breaks one thing. */
static void client_bad_input(void **state)
{
	static const struct {
		const char *why;
		uint32_t stream;
		uint8_t type, payload0;
		unsigned times;
		uint32_t len; /* 0: what is sent */
		const char *text; /* NULL: good */
	} cases[] = {
		{ "an answer", 1, TTRPC_RESPONSE, 0x12, 1, 0, NULL },
		{ "an answer twice", 1, TTRPC_RESPONSE, 0x12, 2, 0, "stream 1, which nobody asked on" },
		{ "an answer to nothing", 3, TTRPC_RESPONSE, 0x12, 1, 0, "stream 3, which nobody" },
		{ "a request", 1, TTRPC_REQUEST, 0x12, 1, 0, "where only responses belong" },
		{ "data", 1, TTRPC_DATA, 0x12, 1, 0, "where only responses belong" },
		{ "no protobuf", 1, TTRPC_RESPONSE, 0x17, 1, 0, "malformed response" },
		{ "too long", 1, TTRPC_RESPONSE, 0x12, 1, 4097, "too long" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct ttrpc_client *c = new_client();
		uint8_t frame[TTRPC_HEADER + 3] = { 0 };
		struct err e = ERR_INIT;
		struct got g = { 0 };
		int rc = 0;

		assert_int_equal(ask(c, "echo", 0, &g), 0);
		ttrpc_put_header(frame, cases[i].len ? cases[i].len : 3, cases[i].stream,
				 cases[i].type, 0);
		frame[TTRPC_HEADER] = cases[i].payload0;
		frame[TTRPC_HEADER + 1] = 1;
		for (unsigned n = 0; rc == 0 && n < cases[i].times; n++)
			rc = ttrpc_client_input(c, frame, sizeof(frame), &e);
		check_row(cases[i].why, rc == (cases[i].text ? -EPROTO : 0));
		if (cases[i].text)
			check_row(cases[i].why, strstr(e.msg, cases[i].text));
		ttrpc_client_fail(c, rc, e.msg);
		check_row(cases[i].why, g.n == 1);
		ttrpc_client_free(c);
	}
}

static void deadlines(void **state)
{
	struct ttrpc_client *c = new_client();
	struct got a = { 0 }, b = { 0 }, n = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(ttrpc_client_deadline(c), 0);
	assert_int_equal(ask(c, "keep", 0, &n), 0);
	assert_int_equal(ttrpc_client_deadline(c), 0);
	assert_int_equal(ask(c, "keep", 2000, &a), 0);
	assert_int_equal(ask(c, "echo", 1000, &b), 0);
	assert_int_equal(ttrpc_client_deadline(c), 1000);
	assert_int_equal(ttrpc_client_tick(c, 999, &e), 0);
	assert_int_equal(ttrpc_client_tick(c, 1000, &e), -ETIMEDOUT);
	assert_string_equal(e.msg, "echo: no answer in time");
	ttrpc_client_fail(c, -ETIMEDOUT, e.msg);
	assert_true(a.n == 1 && b.n == 1 && n.n == 1 && n.rc == -ETIMEDOUT && n.is_local);
	for (int i = 0; i < 5; i++)
		assert_int_equal(ask(c, "keep", 0, &n), 0);
	assert_int_equal(ask(c, "keep", 0, &n), -ENOSPC);
	ttrpc_client_fail(c, -EPIPE, "");
	ttrpc_client_free(c);
}

static void status_codes(void **state)
{
	(void)state;
	assert_int_equal(ttrpc_code_to_errno(0), 0);
	assert_int_equal(ttrpc_code_to_errno(-1), -EIO);
	assert_int_equal(ttrpc_code_to_errno(INT32_MAX), -EIO);
	assert_int_equal(ttrpc_code_from_errno(-EXDEV), TTRPC_INTERNAL);
	/* What the runtime tells apart comes back as what it was. */
	for (int i = 0; i < 5; i++) {
		static const int rc[] = { -ENOENT, -EACCES, -EEXIST, -ESRCH, -EINVAL };

		assert_int_equal(ttrpc_code_to_errno((int32_t)ttrpc_code_from_errno(rc[i])), rc[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces),	   cmocka_unit_test(bad_frames),
		cmocka_unit_test(arena_cap),	   cmocka_unit_test(both_ends),
		cmocka_unit_test(server_limits),   cmocka_unit_test(server_bad_input),
		cmocka_unit_test(client_bad_input), cmocka_unit_test(deadlines),
		cmocka_unit_test(status_codes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
