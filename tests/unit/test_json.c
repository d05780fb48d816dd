// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/check.h"

#include <errno.h>
#include <stdio.h>

#include "lib/json.h"

static void bad_documents_are_refused_with_their_line(void **state)
{
	static const struct {
		const char *why, *text, *msg;
	} rows[] = {
		{ "empty", "", "line 1" },
		{ "cut", "{\"a\": ", "line 1" },
		{ "trailing text", "{} x", "line 1" },
		{ "two documents", "{}{}", "line 1" },
		{ "second line", "{\n\"a\": ]\n}", "line 2" },
		{ "duplicate key", "{\"a\": 1,\n\"b\": 2,\n\"a\": 3}", "line 3: key \"a\" given twice" },
		{ "bad UTF-8", "\"\xff\"", "line 1" },
		{ "NUL in a key", "{\"a\\u0000b\": 1}", "a key holds a NUL" },
		{ "single quotes", "{'a': 1}", "line 1" },
		{ "comment", "/* x */ {}", "line 1" },
		{ "too deep", "[[[[[[[[[]]]]]]]]]", "nested too deeply" },
		{ "too many", "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21]",
		  "too many values" },
	};
	const struct json_limits lim = { .max_depth = 8, .max_values = 21, .max_memory = 1 << 20 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err e = ERR_INIT;
		struct json *v = NULL;

		check_row(rows[i].why,
			  json_parse(&v, rows[i].text, strlen(rows[i].text), &lim, &e) < 0);
		check_row(rows[i].why, v == NULL);
		if (!strstr(e.msg, rows[i].msg))
			fail_msg("%s: got \"%s\"", rows[i].why, e.msg);
	}
}

static void memory_is_capped(void **state)
{
	const struct json_limits lim = { .max_depth = 8, .max_values = 1000000, .max_memory = 1 << 20 };
	size_t len = 4u << 20;
	char *text = malloc(len);
	struct err e = ERR_INIT;
	struct json *v;

	(void)state;
	memset(text, 'a', len);
	text[0] = text[len - 1] = '"';
	assert_true(json_parse(&v, text, len, &lim, &e) < 0);
	assert_non_null(strstr(e.msg, "too large"));
	free(text);
}

static void numbers_are_whole_and_in_range(void **state)
{
	static const struct {
		const char *why, *text;
		int rc_i, rc_u;
		int64_t i;
		uint64_t u;
	} rows[] = {
		{ "zero", "0", 0, 0, 0, 0 },
		{ "negative", "-7", 0, -ERANGE, -7, 0 },
		{ "largest signed", "9223372036854775807", 0, 0, INT64_MAX, INT64_MAX },
		{ "beyond signed", "9223372036854775808", -ERANGE, 0, 0, 9223372036854775808ull },
		{ "beyond unsigned", "18446744073709551616", -ERANGE, -ERANGE, 0, 0 },
		{ "fraction", "1.0", -EINVAL, -EINVAL, 0, 0 },
		{ "exponent", "1e3", -EINVAL, -EINVAL, 0, 0 },
		{ "a string", "\"1\"", -EINVAL, -EINVAL, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct json *v;
		int64_t n = 0;
		uint64_t u = 0;

		check_row(rows[i].why,
			  json_parse(&v, rows[i].text, strlen(rows[i].text), NULL, NULL) == 0);
		check_row(rows[i].why, json_int64(v, &n) == rows[i].rc_i && n == rows[i].i);
		check_row(rows[i].why, json_uint64(v, &u) == rows[i].rc_u && u == rows[i].u);
		json_free(v);
	}
}

static void a_value_knows_its_path(void **state)
{
	static const char text[] = "{\"process\": {\"args\": [\"a\", {\"x\": 1}]}}";
	const struct json *x;
	struct json *v;
	char path[100];

	(void)state;
	assert_int_equal(json_parse(&v, text, strlen(text), NULL, NULL), 0);
	x = json_get(json_get(v, "process"), "args");
	assert_int_equal(x->count, 2);
	x = json_get(x->items[1], "x");
	assert_string_equal(json_path(x, path, sizeof(path)), "process.args[1].x");
	json_path(x, path, 5);
	assert_true(strlen(path) < 5);
	assert_null(json_get(v, "none"));
	json_free(v);
	json_free(NULL);
}

static void what_is_written_reads_back(void **state)
{
	static const char text[] = "{\"a\\\"\\n\\u0001\": [1, -2, true, null, \"x\\\\\\u00e9\", {}, []]}";
	struct buf one = BUF_INIT(10000), two = BUF_INIT(10000);
	struct json *v, *again;
	struct json_w w;

	(void)state;
	assert_int_equal(json_parse(&v, text, strlen(text), NULL, NULL), 0);
	jw_init(&w, &one, true);
	jw_value(&w, NULL, v);
	assert_true(jw_done(&w));
	assert_int_equal(json_parse(&again, (char *)one.data, one.len, NULL, NULL), 0);
	jw_init(&w, &two, true);
	jw_value(&w, NULL, again);
	assert_true(jw_done(&w));
	assert_string_equal(buf_cstr(&one), buf_cstr(&two));
	json_free(v);
	json_free(again);
	buf_free(&one);
	buf_free(&two);
}

static void only_utf8_is_written(void **state)
{
	static const struct {
		const char *text, *want; /* want NULL: the text itself */
	} rows[] = {
		{ "", NULL },
		{ "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z", NULL },
		{ "\xf4\x8f\xbf\xbf\xed\x9f\xbf", NULL },
		{ "a\xff z", "a\xef\xbf\xbd z" },
		{ "\xe9", "\xef\xbf\xbd" },
		{ "\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xc3\"", "\xef\xbf\xbd\"" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct buf b = BUF_INIT(1000);
		struct json *v;
		struct json_w w;

		assert_int_equal(json_is_utf8(rows[i].text), !rows[i].want);
		jw_init(&w, &b, false);
		jw_str(&w, NULL, rows[i].text);
		assert_true(jw_done(&w));
		assert_int_equal(json_parse(&v, (char *)b.data, b.len, NULL, NULL), 0);
		assert_string_equal(v->str, rows[i].want ?: rows[i].text);
		json_free(v);
		buf_free(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_documents_are_refused_with_their_line),
		cmocka_unit_test(memory_is_capped),
		cmocka_unit_test(numbers_are_whole_and_in_range),
		cmocka_unit_test(a_value_knows_its_path),
		cmocka_unit_test(only_utf8_is_written),
		cmocka_unit_test(what_is_written_reads_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
