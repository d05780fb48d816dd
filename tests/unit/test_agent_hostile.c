// SPDX-License-Identifier: Apache-2.0
/*
 * What an agent that was taken over may send to the host: frames of any length at any pace, answers to others' questions,
 * messages that unpack to more than they are, text that is meant for a terminal. Each ends in an answer that is checked or in
 * the end of the connection, in bounded time and memory.
 */
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent-proto/client/client.h"
#include "agent-proto/client/decode.h"
#include "agent-proto/ttrpc/frame.h"
#include "lib/io.h"
#include "tests/lib/agentliar.h"
#include "tests/lib/until.h"
#include "tests/unit/check.h"

static long resident_kib(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_maxrss;
}

/* --- frames ------------------------------------------------------------------------------------------------ */

/* A length is believed only as far as bytes come; one that is too large ends it before they do. */
static void frame_lengths(void **state)
{
	static const struct {
		const char *why;
		uint32_t len;
		bool start; /* asked: Start, whose answer is empty; else Create */
		int rc; /* of the answer; 1: none yet */
	} rows[] = {
		{ "nothing at all is a yes where nothing is to be said", 0, true, 0 },
		{ "and no answer where a pid is", 0, false, -EPROTO },
		{ "the longest, which then does not come", AGENT_MAX_FRAME, false, 1 },
		{ "one byte longer", AGENT_MAX_FRAME + 1, false, -EPROTO },
		{ "2^31", UINT32_C(1) << 31, false, -EPROTO },
		{ "2^32 - 1", UINT32_MAX, false, -EPROTO },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		long before = resident_kib();
		struct agentliar w;

		liar_new(&w);
		if (rows[i].start)
			assert_int_equal(agent_start(w.c, "c", "", 0, liar_reply, &w, NULL), 0);
		else
			assert_int_equal(agent_create(w.c, "", 0, 0, liar_reply, &w, NULL), 0);
		liar_head(&w, rows[i].len, 1, TTRPC_RESPONSE);
		liar_turn(&w);
		check_row(rows[i].why, w.replies == (rows[i].rc <= 0));
		if (rows[i].rc <= 0)
			check_row(rows[i].why, w.last.rc == rows[i].rc);
		check_row(rows[i].why, w.dead == (rows[i].rc < 0));
		check_row(rows[i].why, resident_kib() - before < 1024);
		liar_free(&w);
	}
}

/* Every byte is welcome, none of them buys time. */
static void trickled_past_the_deadline(void **state)
{
	struct agentliar w;
	uint64_t begin;
	unsigned sent = 0;

	(void)state;
	liar_new(&w);
	assert_int_equal(agent_create(w.c, "", 0, 1000, liar_reply, &w, NULL), 0);
	begin = io_now_ns();
	liar_head(&w, 100000, 1, TTRPC_RESPONSE);
	while (!w.dead && io_now_ns() - begin < 60000000000u) {
		if (send(w.guest, "\n", 1, MSG_NOSIGNAL) == 1)
			sent++;
		evloop_turn(w.l, 5);
		usleep(1000); /* however quick this machine is, it does not come to the end */
	}
	assert_true(w.dead == 1 && w.replies == 1 && w.last.rc == -ETIMEDOUT);
	assert_true(io_now_ns() - begin >= 1000000000u);
	assert_true(sent > 5);
	liar_free(&w);
}

static void trickled_to_its_end(void **state)
{
	uint8_t frame[64];
	size_t len = liar_frame(frame, 1, 0, "", "\x08\x05", 2);
	struct agentliar w;

	(void)state;
	liar_new(&w);
	assert_int_equal(agent_create(w.c, "", 0, 0, liar_reply, &w, NULL), 0);
	for (size_t i = 0; i < len; i++) {
		assert_int_equal(w.replies, 0);
		assert_int_equal(io_write_full(w.guest, frame + i, 1), 0);
		liar_turn(&w);
	}
	assert_true(w.replies == 1 && w.last.rc == 0 && w.last.pid == 5 && !w.dead);
	liar_free(&w);
}

/* A frame that stops in the middle holds nothing up but what waits for it; its end is the connection's. */
static void never_completed(void **state)
{
	uint8_t frame[64];
	size_t len = liar_frame(frame, 1, 0, "", "\x08\x05", 2);
	struct agentliar w;

	(void)state;
	for (size_t cut = 1; cut < len; cut++) {
		liar_new(&w);
		assert_int_equal(agent_wait(w.c, "c", NULL, liar_reply, &w, NULL), 0);
		assert_int_equal(io_write_full(w.guest, frame, cut), 0);
		liar_turn(&w);
		assert_int_equal(w.replies, 0);
		close(w.guest);
		w.guest = -1;
		assert_true(until(w.l, w.dead));
		assert_true(w.replies == 1 && w.last.rc == -EPIPE);
		liar_free(&w);
	}
}

/* An agent that takes nothing: what waits for it has a bound, and asking never blocks. */
static void takes_nothing(void **state)
{
	static uint8_t req[AGENT_MAX_FRAME - 100];
	struct agentliar w;
	unsigned asked = 0;
	struct err e = ERR_INIT;

	(void)state;
	liar_new(&w);
	while (asked < 10 && agent_update(w.c, req, sizeof(req), liar_reply, &w, &e) == 0)
		asked++;
	assert_in_range(asked, 1, 3);
	assert_int_equal(e.code, ENOSPC);
	assert_int_equal(w.dead, 0);
	liar_free(&w);
}

/* --- answers ----------------------------------------------------------------------------------------------- */

/* Asked are Create on stream 1 and Wait on stream 3. Each row but the first two breaks one rule. */
static void answers_to_others(void **state)
{
	static const struct {
		const char *why;
		struct {
			uint32_t stream;
			const char *payload;
		} say[3];
		unsigned good; /* answers before the end */
		const char *text; /* NULL: no end */
	} rows[] = {
		{ "one after the other", { { 1, "\x08\x05" }, { 3, "\x08\x07" } }, 2, NULL },
		{ "in the other order", { { 3, "\x08\x07" }, { 1, "\x08\x05" } }, 2, NULL },
		{ "the same answer twice", { { 1, "\x08\x05" }, { 1, "\x08\x05" } }, 1,
		  "response to stream 1, which nobody asked on" },
		{ "two ends of one process", { { 3, "\x08\x07" }, { 3, "\x08\x09" } }, 1,
		  "response to stream 3, which nobody asked on" },
		{ "a call that was not made yet", { { 5, "\x08\x05" } }, 0, "response to stream 5" },
		{ "an even stream, which no call has", { { 2, "\x08\x05" } }, 0, "response to stream 2" },
		{ "a stream of none", { { 0, "\x08\x05" } }, 0, "stream id 0" },
		{ "the last stream there is", { { UINT32_MAX, "\x08\x05" } }, 0, "response to stream 4294967295" },
		{ "the answer to another question", { { 3, "\x0a\x02\x08\x07" } }, 0, "Wait: malformed answer" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct agentliar w;

		liar_new(&w);
		assert_int_equal(agent_create(w.c, "", 0, 0, liar_reply, &w, NULL), 0);
		assert_int_equal(agent_wait(w.c, "c", NULL, liar_reply, &w, NULL), 0);
		for (size_t k = 0; k < 3 && rows[i].say[k].payload; k++)
			liar_say(&w, rows[i].say[k].stream, 0, "", rows[i].say[k].payload,
				 strlen(rows[i].say[k].payload));
		liar_turn(&w);
		check_row(rows[i].why, w.dead == (rows[i].text ? 1 : 0));
		/* Those that waited are told of the end, and nobody is told twice. */
		check_row(rows[i].why, w.replies == (rows[i].text ? 2 : rows[i].good));
		if (rows[i].text) {
			check_row(rows[i].why, w.why.code == EPROTO);
			check_row(rows[i].why, strstr(w.why.msg, "agent broke the protocol: "));
			check_row(rows[i].why, strstr(w.why.msg, rows[i].text));
		}
		liar_free(&w);
	}
}

#define BYTES(...) { __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ })

/* Ends that no process can have, and greetings that promise too much. */
static void claims(void **state)
{
	static const struct {
		const char *why;
		enum agent_method m;
		uint8_t bytes[24];
		size_t len;
		bool good;
	} rows[] = {
		{ "an end", AGENT_WAIT, BYTES(0x08, 0), true },
		{ "status 255", AGENT_WAIT, BYTES(0x08, 0xff, 0x01), true },
		{ "status 256", AGENT_WAIT, BYTES(0x08, 0x80, 0x02), false },
		{ "status -1", AGENT_WAIT, BYTES(0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01), false },
		{ "status 2^31", AGENT_WAIT, BYTES(0x08, 0x80, 0x80, 0x80, 0x80, 0x08), false },
		{ "in the farthest future", AGENT_WAIT,
		  BYTES(0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f), true },
		{ "every feature there may ever be", AGENT_HELLO,
		  BYTES(0x08, 1, 0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01), true },
		{ "up since before it was switched on", AGENT_HELLO,
		  BYTES(0x08, 1, 0x28, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01), true },
		{ "a path as its version", AGENT_HELLO, BYTES(0x08, 1, 0x1a, 5, '.', '.', '/', 'e', '%'), true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct agent_reply r;

		check_row(rows[i].why, agent_decode(rows[i].m, rows[i].bytes, rows[i].len, NULL, NULL, &r, NULL) ==
			  (rows[i].good ? 0 : -EPROTO));
	}
}

/* --- what unpacks to more than it is ------------------------------------------------------------------------ */

/* @n times the same bytes. */
static uint8_t *repeat(const char *bytes, size_t len, size_t n)
{
	uint8_t *p = malloc(len * n);

	assert_non_null(p);
	for (size_t i = 0; i < n; i++)
		memcpy(p + i * len, bytes, len);
	return p;
}

static void unpacks_to_much(void **state)
{
	static const struct {
		const char *why;
		enum agent_method m;
		const char *bytes;
		size_t len, n;
		int rc;
	} rows[] = {
		{ "a million processes", AGENT_LIST, "\x0a\x02\x08\x07", 4, 1000000, -EPROTO },
		{ "a million counters", AGENT_STATS, "\x52\x01\x0a", 3, 1000000, -EPROTO },
		{ "a million block devices", AGENT_STATS, "\x5a\x00", 2, 1000000, -EPROTO },
		{ "two million fields that nobody knows", AGENT_WAIT, "\x78\x01", 2, 2000000, -EPROTO },
		{ "four million open groups", AGENT_WAIT, "\x7b", 1, AGENT_MAX_FRAME, -EPROTO },
		{ "the same field a million times", AGENT_WAIT, "\x08\x07", 2, 1000000, -EPROTO },
		{ "the same field a thousand times: the last one", AGENT_WAIT, "\x08\x07", 2, 1000, 0 },
		{ "a length that is longer than the rest", AGENT_LIST, "\x0a\x7f\x08\x07", 4, 2, -EPROTO },
		{ "a length of 2^64 - 1", AGENT_LIST, "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, 1, -EPROTO },
		{ "a number that does not end", AGENT_WAIT, "\xff", 1, 100000, -EPROTO },
	};
	long before = resident_kib();
	uint64_t begin = cpu_now_ns();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint8_t *p = repeat(rows[i].bytes, rows[i].len, rows[i].n);
		struct agent_reply r;

		check_row(rows[i].why, agent_decode(rows[i].m, p, rows[i].len * rows[i].n, NULL, NULL, &r, NULL) ==
			  rows[i].rc);
		free(p);
	}
	/* The cap on unpacking and the messages themselves, whatever the sanitizers add. */
	assert_true(resident_kib() - before < 4 * (long)(AGENT_CLIENT_MAX_UNPACK + AGENT_MAX_FRAME) / 1024);
	assert_true(cpu_now_ns() - begin < 10000000000u);
}

/* --- text ---------------------------------------------------------------------------------------------------- */

/* Whatever an agent says is one line of printable ASCII when it is shown, and never a format. */
static void words(void **state)
{
	static char longest[AGENT_MAX_ERROR_TEXT + 1], longer[AGENT_MAX_ERROR_TEXT + 2];
	const struct {
		const char *why, *said, *shown; /* NULL: the connection ends */
	} rows[] = {
		{ "plain", "no such file", "no such file" },
		{ "a format", "%s%s%s%n%99999d", "%s%s%s%n%99999d" },
		{ "lines that look like others'", "x\nhusk: all is well\r", "x\\x0ahusk: all is well\\x0d" },
		{ "a terminal's commands", "\033[2J\033]0;t\007\x9b", "\\x1b[2J\\x1b]0;t\\x07\\x9b" },
		{ "no UTF-8", "\xff\xc0\x80\xed\xa0\x80", "\\xff\\xc0\\x80\\xed\\xa0\\x80" },
		{ "an object's quotes", "\"}\\", "\"}\\x5c" },
		{ "as long as may be", longest, NULL },
		{ "a byte longer", longer, NULL },
	};

	(void)state;
	memset(longest, '\n', sizeof(longest) - 1);
	memset(longer, '\n', sizeof(longer) - 1);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct agentliar w;

		liar_new(&w);
		assert_int_equal(agent_create(w.c, "", 0, 0, liar_reply, &w, NULL), 0);
		liar_say(&w, 1, 5, rows[i].said, "", 0);
		liar_turn(&w);
		check_row(rows[i].why, w.replies == 1);
		check_row(rows[i].why, w.dead == (rows[i].said == longer));
		if (rows[i].shown && strcmp(w.last.err.msg, rows[i].shown))
			fail_msg("%s: %s", rows[i].why, w.last.err.msg);
		check_row(rows[i].why, !strpbrk(w.last.err.msg, "\n\r\033"));
		liar_free(&w);
	}
}

/* A refusal is one, whatever code it has: the words for a connection's end are this side's. */
static void codes_of_refusals(void **state)
{
	(void)state;
	for (int32_t code = 1; code < 40; code++) {
		struct agentliar w;

		liar_new(&w);
		assert_int_equal(agent_create(w.c, "", 0, 0, liar_reply, &w, NULL), 0);
		liar_say(&w, 1, code, "no", "", 0);
		liar_turn(&w);
		if (w.replies != 1 || w.dead || w.last.rc >= 0 || w.last.rc == -ETIMEDOUT || w.last.rc == -EPIPE ||
		    w.last.rc == -EPROTO || w.last.rc == -ECANCELED)
			fail_msg("code %d: %d", code, w.last.rc);
		liar_free(&w);
	}
}

static void see(void *arg, const struct agent_ps_info *p)
{
	*(struct agent_ps_info *)arg = *p;
}

/* The same for the names of processes; a NUL inside ends a string and is shown in bytes. */
static void names_of_processes(void **state)
{
	static const struct {
		const char *why;
		uint8_t bytes[24];
		size_t len;
		const char *command, *name; /* NULL: refused */
	} rows[] = {
		{ "plain", BYTES(0x0a, 9, 0x08, 1, 0x4a, 1, 'a', 0x7a, 2, 'b', 'c'), "a", "bc" },
		{ "a line and a NUL", BYTES(0x0a, 11, 0x08, 1, 0x4a, 3, 'a', 0, '\n', 0x7a, 2, 'b', 0), "a\\x00\\x0a", "b" },
		{ "no UTF-8", BYTES(0x0a, 9, 0x08, 1, 0x4a, 1, 0xff, 0x7a, 2, 0xc0, 0x80), "\\xff", "\\xc0\\x80" },
		{ "a state of eight letters", BYTES(0x0a, 12, 0x08, 1, 0x72, 8, 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a'),
		  NULL, NULL },
		{ "more of the memory than there is", BYTES(0x0a, 5, 0x08, 1, 0x60, 0xe9, 0x07), "", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct agent_ps_info p = { .pid = 0 };
		struct agent_reply r;
		int rc = agent_decode(AGENT_LIST, rows[i].bytes, rows[i].len, see, &p, &r, NULL);

		check_row(rows[i].why, rc == (rows[i].command ? 0 : -EPROTO));
		check_row(rows[i].why, p.pid == (rows[i].command ? 1 : 0));
		check_row(rows[i].why, p.resident_permille <= 1000);
		if (rows[i].command) {
			check_row(rows[i].why, !strcmp(p.command, rows[i].command));
			check_row(rows[i].why, !strcmp(p.name, rows[i].name));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frame_lengths),    cmocka_unit_test(trickled_past_the_deadline),
		cmocka_unit_test(trickled_to_its_end), cmocka_unit_test(never_completed),
		cmocka_unit_test(takes_nothing),    cmocka_unit_test(answers_to_others),
		cmocka_unit_test(claims),	    cmocka_unit_test(unpacks_to_much),
		cmocka_unit_test(words),	    cmocka_unit_test(codes_of_refusals),
		cmocka_unit_test(names_of_processes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
