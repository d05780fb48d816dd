// SPDX-License-Identifier: Apache-2.0
/* The host's end against an agent that lies: checked answers, dead connections, freeing in callbacks. */
#include <stdio.h>
#include <unistd.h>

#include "agent-proto/client/client.h"
#include "agent-proto/client/decode.h"
#include "agent-proto/client/text.h"
#include "agent-proto/proto/agent.pb-c.h"
#include "tests/lib/agentliar.h"
#include "tests/unit/check.h"

/* ---- answers ---------------------------------------------------------------------------------- */

#define BYTES(...) { __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ })

static void answers(void **state)
{
	static const struct {
		const char *why;
		enum agent_method m;
		uint8_t bytes[60];
		size_t len;
		const char *text; /* NULL: good */
	} cases[] = {
		{ "an end", AGENT_WAIT, BYTES(0x08, 3, 0x10, 5, 0x18, 7), NULL },
		{ "status 255", AGENT_WAIT, BYTES(0x08, 0xff, 0x01), NULL },
		{ "status 256", AGENT_WAIT, BYTES(0x08, 0x80, 0x02), "exit status 256" },
		{ "a time before time", AGENT_WAIT,
		  BYTES(0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01), "time of exit" },
		{ "a second of 1e9 ns", AGENT_WAIT, BYTES(0x18, 0x80, 0x94, 0xeb, 0xdc, 0x03),
		  "time of exit" },
		{ "1e9 - 1 ns", AGENT_WAIT, BYTES(0x18, 0xff, 0x93, 0xeb, 0xdc, 0x03), NULL },
		{ "a pid", AGENT_CREATE, BYTES(0x08, 1), NULL },
		{ "pid 0", AGENT_CREATE, BYTES(0x08, 0), "pid 0" },
		{ "pid 2^22", AGENT_EXEC, BYTES(0x08, 0x80, 0x80, 0x80, 0x02), NULL },
		{ "pid 2^22 + 1", AGENT_EXEC, BYTES(0x08, 0x81, 0x80, 0x80, 0x02), "pid 4194305" },
		{ "version 1", AGENT_HELLO, BYTES(0x08, 1), NULL },
		{ "version 2, the next", AGENT_HELLO, BYTES(0x08, 2), NULL },
		{ "version 3", AGENT_HELLO, BYTES(0x08, 3), "speaks version 3" },
		{ "version 2^32 - 1", AGENT_HELLO, BYTES(0x08, 0xff, 0xff, 0xff, 0xff, 0x0f),
		  "speaks version" },
		{ "no version", AGENT_HELLO, BYTES(0x10, 1), "speaks version 0" },
		{ "a process", AGENT_LIST, BYTES(0x0a, 2, 0x08, 1), NULL },
		{ "a process without a pid", AGENT_LIST, BYTES(0x0a, 2, 0x10, 1), "pid 0" },
		{ "a good and a bad one", AGENT_LIST, BYTES(0x0a, 2, 0x08, 1, 0x0a, 0), "pid 0" },
		{ "cut off", AGENT_LIST, BYTES(0x0a, 3, 0x08, 1), "malformed" },
		{ "an empty answer with something in it", AGENT_START, BYTES(0x08, 1), NULL },
		{ "a counter", AGENT_STATS, BYTES(0x52, 3, 0x0a, 1, 'a'), NULL },
		{ "a counter without a name", AGENT_STATS, BYTES(0x52, 0), "name of a counter" },
		{ "a counter with a quote", AGENT_STATS, BYTES(0x52, 3, 0x0a, 1, '"'), "name of a counter" },
		{ "a name of 47", AGENT_STATS,
		  BYTES(0x52, 49, 0x0a, 47, 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a',
			'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a',
			'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a'), NULL },
		{ "a name of 48", AGENT_STATS,
		  BYTES(0x52, 50, 0x0a, 48, 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a',
			'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a',
			'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a'),
		  "name of a counter" },
		{ "huge pages", AGENT_STATS, BYTES(0x62, 5, 0x0a, 3, '2', 'M', 'B'), NULL },
		{ "huge pages of a small size", AGENT_STATS, BYTES(0x62, 5, 0x0a, 3, '2', 'm', 'B'),
		  "name of a counter" },
		{ "no figures at all", AGENT_STATS, BYTES(0x08, 0), NULL },
		{ "kills", AGENT_WAIT_OOM, BYTES(0x08, 3), NULL },
		{ "a socket", AGENT_ACCEPT_SOCKET, BYTES(0x08, AGENT_MAX_SOCKETS - 1, 0x10, 0xe8, 7), NULL },
		{ "one by a member of groups", AGENT_ACCEPT_SOCKET, BYTES(0x08, 1, 0x22, 3, 5, 0xe8, 7), NULL },
		{ "one socket too far", AGENT_ACCEPT_SOCKET, BYTES(0x08, AGENT_MAX_SOCKETS), "socket" },
		{ "garbage", AGENT_DELETE, BYTES(0xff), "malformed" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err e = ERR_INIT;
		struct agent_reply r;
		int rc = agent_decode(cases[i].m, cases[i].bytes, cases[i].len, NULL, NULL, &r, &e);

		check_row(cases[i].why, rc == (cases[i].text ? -EPROTO : 0));
		if (cases[i].text && !strstr(e.msg, cases[i].text))
			fail_msg("%s: %s", cases[i].why, e.msg);
	}
}

/* Of who connects to a socket: as many as there is room for, and one more. */
static void groups(void **state)
{
	uint8_t packed[2 * (AGENT_MAX_PEER_GROUPS + 1)];

	(void)state;
	for (size_t i = 0; i < sizeof(packed); i += 2) {
		packed[i] = 0x20;
		packed[i + 1] = (uint8_t)(i / 2 % 100);
	}
	for (size_t more = 0; more < 2; more++) {
		struct err e = ERR_INIT;
		struct agent_reply r;
		int rc = agent_decode(AGENT_ACCEPT_SOCKET, packed, 2 * (AGENT_MAX_PEER_GROUPS + more), NULL, NULL, &r, &e);

		assert_int_equal(rc, more ? -EPROTO : 0);
		if (rc < 0)
			continue;
		assert_int_equal(r.socket.ngroups, AGENT_MAX_PEER_GROUPS);
		assert_int_equal(r.socket.groups[AGENT_MAX_PEER_GROUPS - 1], (AGENT_MAX_PEER_GROUPS - 1) % 100);
	}
}

/* Lists of figures: as many as there is room for, and one more. */
static void figures(void **state)
{
	static const struct {
		const char *why;
		uint8_t row[8];
		size_t len, n;
	} lists[] = {
		{ "counters", BYTES(0x52, 3, 0x0a, 1, 'a'), AGENT_MAX_COUNTERS },
		{ "block devices", BYTES(0x5a, 2, 0x08, 8), AGENT_MAX_BLOCK_STATS },
		{ "sizes of pages", BYTES(0x62, 3, 0x0a, 1, '2'), AGENT_MAX_HUGE_SIZES },
		{ "interfaces", BYTES(0xc2, 0x0c, 3, 0x0a, 1, 'e'), AGENT_MAX_INTERFACE_STATS },
	};
	uint8_t packed[1024];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		for (size_t more = 0; more < 2; more++) {
			struct err e = ERR_INIT;
			struct agent_reply r;
			size_t len = 0;

			for (size_t n = 0; n < lists[i].n + more; n++, len += lists[i].len)
				memcpy(packed + len, lists[i].row, lists[i].len);
			check_row(lists[i].why, agent_decode(AGENT_STATS, packed, len, NULL, NULL, &r, &e) ==
				  (more ? -EPROTO : 0));
			if (!more)
				check_row(lists[i].why, r.stats.n_memory_stat + r.stats.n_block +
					  r.stats.n_huge + r.stats.n_interfaces == lists[i].n);
		}
}

static void count(void *arg, const struct agent_ps_info *p)
{
	(void)p;
	++*(unsigned *)arg;
}

/* Limits of a listing: as many as allowed, one more, and a message that would unpack to far more than its
 * size. */
static void long_lists(void **state)
{
	const struct {
		const char *why;
		unsigned n;
		bool empty; /* two bytes each on the wire */
		bool good;
	} cases[] = {
		{ "as many as there may be", AGENT_MAX_PROCESSES, false, true },
		{ "one more", AGENT_MAX_PROCESSES + 1, false, false },
		{ "a frame full of nothing", AGENT_MAX_FRAME / 2, true, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t *p = malloc(cases[i].n * 4), *at = p;
		struct err e = ERR_INIT;
		struct agent_reply r;
		unsigned seen = 0;
		int rc;

		for (unsigned k = 0; k < cases[i].n; k++) {
			memcpy(at, "\x0a\x02\x08\x07", 4);
			if (cases[i].empty)
				at[1] = 0;
			at += cases[i].empty ? 2 : 4;
		}
		rc = agent_decode(AGENT_LIST, p, (size_t)(at - p), count, &seen, &r, &e);
		check_row(cases[i].why, rc == (cases[i].good ? 0 : -EPROTO));
		check_row(cases[i].why, seen == (cases[i].good ? cases[i].n : 0));
		free(p);
	}
}

static void clean_text(void **state)
{
	char out[16];
	struct agent_reply r;
	struct err e;
	char longtext[AGENT_MAX_ERROR_TEXT + 2];

	(void)state;
	text_printable(out, sizeof(out), "a\x1b[1m\n\\\xff", 8);
	assert_string_equal(out, "a\\x1b[1m\\x0a");
	text_printable(out, 5, "\n\n", 2);
	assert_string_equal(out, "\\x0a");
	text_printable(out, 4, "ab\n", 3);
	assert_string_equal(out, "ab");
	text_printable(out, 1, "ab", 2);
	assert_string_equal(out, "");
	memset(longtext, '%', sizeof(longtext) - 1);
	longtext[sizeof(longtext) - 1] = 0;
	assert_int_equal(agent_decode_refusal(-ENOENT, longtext, &r, &e), -EPROTO);
	longtext[AGENT_MAX_ERROR_TEXT] = 0;
	assert_int_equal(agent_decode_refusal(-ENOENT, longtext, &r, &e), 0);
	assert_int_equal(r.rc, -ENOENT);
	assert_string_equal(r.err.msg, longtext);
}

/* ---- the connection --------------------------------------------------------------------------- */

static void good_and_no(void **state)
{
	struct agentliar w;

	(void)state;
	liar_new(&w);
	assert_int_equal(agent_create(w.c, "", 0, 0, liar_reply, &w, NULL), 0);
	assert_int_equal(agent_wait(w.c, "c", NULL, liar_reply, &w, NULL), 0);
	liar_say(&w, 1, 5, "no\n", "", 0);
	liar_turn(&w);
	assert_int_equal(w.replies, 1);
	assert_int_equal(w.last.rc, -ENOENT);
	assert_string_equal(w.last.err.msg, "no\\x0a");
	liar_say(&w, 3, 0, "", "\x08\x2a", 2);
	liar_turn(&w);
	assert_int_equal(w.replies, 2);
	assert_int_equal(w.last.exit.status, 42);
	assert_int_equal(w.dead, 0);
	liar_free(&w);
}

static void lies(void **state)
{
	static const struct {
		const char *why;
		uint32_t stream;
		const char *payload;
		size_t len;
		const char *text;
	} cases[] = {
		{ "unasked", 5, "\x08\x01", 2, "agent broke the protocol: response to stream 5" },
		{ "a bad value", 1, "\x08\x00", 2, "agent broke the protocol: CreateContainer: pid 0" },
		{ "no message", 1, "\xff", 1, "agent broke the protocol: CreateContainer: malformed" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct agentliar w;
		struct err e = ERR_INIT;

		liar_new(&w);
		assert_int_equal(agent_create(w.c, "", 0, 0, liar_reply, &w, NULL), 0);
		assert_int_equal(agent_wait(w.c, "c", NULL, liar_reply, &w, NULL), 0);
		liar_say(&w, cases[i].stream, 0, "", cases[i].payload, cases[i].len);
		liar_turn(&w);
		/* Both calls are told, then the owner, each once; later calls at once. */
		check_row(cases[i].why, w.replies == 2 && w.dead == 1);
		check_row(cases[i].why, w.last.rc == -EPROTO);
		check_row(cases[i].why, strstr(w.last.err.msg, cases[i].text));
		check_row(cases[i].why, strstr(w.why.msg, cases[i].text));
		check_row(cases[i].why, agent_start(w.c, "c", "", 0, liar_reply, &w, &e) == -EPROTO);
		check_row(cases[i].why, strstr(e.msg, cases[i].text));
		liar_free(&w);
	}
}

static void closed_and_late(void **state)
{
	struct agentliar w;

	(void)state;
	liar_new(&w);
	assert_int_equal(agent_wait(w.c, "c", NULL, liar_reply, &w, NULL), 0);
	close(w.guest);
	w.guest = -1;
	liar_turn(&w);
	assert_true(w.replies == 1 && w.dead == 1 && w.last.rc == -EPIPE);
	liar_free(&w);
	liar_new(&w);
	assert_int_equal(agent_wait(w.c, "c", NULL, liar_reply, &w, NULL), 0);
	assert_int_equal(agent_create(w.c, "", 0, 20, liar_reply, &w, NULL), 0);
	for (int i = 0; i < 20 && !w.dead; i++)
		evloop_turn(w.l, 10);
	assert_true(w.replies == 2 && w.dead == 1 && w.last.rc == -ETIMEDOUT);
	assert_string_equal(w.why.msg, "agent: CreateContainer: no answer in time");
	liar_free(&w);
}

static void freed_in_callback(void **state)
{
	struct agentliar w;

	(void)state;
	liar_new(&w);
	w.free_in_reply = true;
	assert_int_equal(agent_create(w.c, "", 0, 0, liar_reply, &w, NULL), 0);
	assert_int_equal(agent_wait(w.c, "c", NULL, liar_reply, &w, NULL), 0);
	liar_say(&w, 1, 0, "", "\x08\x05", 2);
	liar_say(&w, 3, 0, "", "\x08\x05", 2);
	liar_turn(&w);
	assert_true(w.replies == 1 && w.dead == 0 && !w.c);
	liar_free(&w);
}

static void names(void **state)
{
	char id[AGENT_MAX_ID + 2];
	struct agentliar w;

	(void)state;
	liar_new(&w);
	memset(id, 'x', sizeof(id));
	id[sizeof(id) - 1] = 0;
	assert_int_equal(agent_start(w.c, id, "", 0, liar_reply, &w, NULL), -EINVAL);
	assert_int_equal(agent_signal(w.c, "c", id, 9, true, liar_reply, &w, NULL), -EINVAL);
	id[AGENT_MAX_ID] = 0;
	assert_int_equal(agent_signal(w.c, id, id, 9, true, liar_reply, &w, NULL), 0);
	for (int i = 1; i < AGENT_CLIENT_MAX_CALLS; i++)
		assert_int_equal(agent_hello(w.c, 0, liar_reply, &w, NULL), 0);
	assert_int_equal(agent_hello(w.c, 0, liar_reply, &w, NULL), -ENOSPC);
	liar_free(&w);
	assert_int_equal(w.replies, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers), cmocka_unit_test(groups), cmocka_unit_test(figures),	   cmocka_unit_test(long_lists),
		cmocka_unit_test(clean_text),	   cmocka_unit_test(good_and_no),
		cmocka_unit_test(lies),		   cmocka_unit_test(closed_and_late),
		cmocka_unit_test(freed_in_callback), cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
