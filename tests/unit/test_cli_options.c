// SPDX-License-Identifier: Apache-2.0
/* Command line options, written in every way that runc takes them. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "runtime/cli/cli.h"

struct values {
	bool flag;
	const char *text;
	const char *word;
	int number;
	struct cli_list list;
	struct cli_duration time;
};

static const struct cli_option table[] = {
	{ "flag", "f", CLI_BOOL, offsetof(struct values, flag), "" },
	{ "text", "t", CLI_STRING, offsetof(struct values, text), "" },
	{ "word", NULL, CLI_WORD, offsetof(struct values, word), "" },
	{ "number", NULL, CLI_INT, offsetof(struct values, number), "" },
	{ "list", "l", CLI_LIST, offsetof(struct values, list), "" },
	{ "time", NULL, CLI_DURATION, offsetof(struct values, time), "" },
	{ .name = NULL },
};

static void test_durations(void **state)
{
	static char long_one[64] = "1000000000000000000000000000000001s";
	static const struct {
		const char *text;
		bool good;
		int64_t ns;
	} rows[] = {
		{ "0", true, 0 },
		{ "5s", true, INT64_C(5000000000) },
		{ "1m30.5s", true, INT64_C(90500000000) },
		{ "100ms", true, 100000000 },
		{ "1us", true, 1000 },
		{ "7ns", true, 7 },
		{ "2h", true, INT64_C(7200000000000) },
		{ "-1s", true, -INT64_C(1000000000) },
		{ "+1s", true, INT64_C(1000000000) },
		{ "", false, 0 },
		{ "-", false, 0 },
		{ "5", false, 0 },
		{ "s", false, 0 },
		{ "5d", false, 0 },
		{ "5 s", false, 0 },
		{ "1.2.3s", false, 0 },
		{ "1s2", false, 0 },
		{ "3000000h", false, 0 },
		{ long_one, false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char arg[96], *argv[] = { arg };
		struct values v = { .flag = false };
		struct err e = ERR_INIT;
		int at = 0, rc;

		snprintf(arg, sizeof(arg), "--time=%s", rows[i].text);
		rc = cli_parse(table, &v, argv, 1, &at, &e);
		if (rc != (rows[i].good ? 0 : -EINVAL) || v.time.given != rows[i].good ||
		    v.time.ns != rows[i].ns)
			fail_msg("%s: %d %lld %s", rows[i].text, rc, (long long)v.time.ns, e.msg);
		if (!rows[i].good)
			assert_non_null(strstr(e.msg, "for flag -time: parse error"));
	}
}

static void test_good(void **state)
{
	static const struct {
		const char *why;
		const char *argv[6];
		bool flag;
		const char *text;
		int number;
		size_t list;
		int rest; /* index of the first word that is no option */
	} rows[] = {
		{ "nothing", { NULL }, false, NULL, 0, 0, 0 },
		{ "no option first", { "id", "--flag" }, false, NULL, 0, 0, 0 },
		{ "long", { "--flag", "id" }, true, NULL, 0, 0, 1 },
		{ "one dash", { "-flag", "id" }, true, NULL, 0, 0, 1 },
		{ "letter", { "-f", "id" }, true, NULL, 0, 0, 1 },
		{ "letter with two dashes", { "--f", "id" }, true, NULL, 0, 0, 1 },
		{ "a flag's value", { "--flag=false" }, false, NULL, 0, 0, 1 },
		{ "a flag takes no next word", { "--flag", "false" }, true, NULL, 0, 0, 1 },
		{ "value behind =", { "--text=a=b" }, false, "a=b", 0, 0, 1 },
		{ "empty value", { "--text=" }, false, NULL, 0, 0, 1 },
		{ "an empty word", { "-t", "" }, false, NULL, 0, 0, 2 },
		{ "it takes back another", { "-t", "a", "--text=" }, false, NULL, 0, 0, 3 },
		{ "value in the next word", { "-t", "--flag" }, false, "--flag", 0, 0, 2 },
		{ "the last one counts", { "-t", "a", "-t", "b" }, false, "b", 0, 0, 4 },
		{ "number", { "--number", "-3" }, false, NULL, -3, 0, 2 },
		{ "hexadecimal", { "--number=0x10" }, false, NULL, 16, 0, 1 },
		{ "list", { "-l", "a", "--list=b" }, false, NULL, 0, 2, 3 },
		{ "end of options", { "--", "--flag" }, false, NULL, 0, 0, 1 },
		{ "a lone dash is a word", { "-", "--flag" }, false, NULL, 0, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct values v = { .flag = false };
		struct err e = ERR_INIT;
		int argc = 0, at = 0, rc;

		while (argc < 6 && rows[i].argv[argc])
			argc++;
		rc = cli_parse(table, &v, (char **)(uintptr_t)rows[i].argv, argc, &at, &e);
		if (rc || v.flag != rows[i].flag || v.number != rows[i].number ||
		    v.list.n != rows[i].list || at != rows[i].rest || !v.text != !rows[i].text ||
		    (v.text && strcmp(v.text, rows[i].text)))
			fail_msg("%s: %d %s, at %d", rows[i].why, rc, e.msg, at);
		cli_free(table, &v);
	}
}

static void test_bad(void **state)
{
	static const struct {
		const char *why;
		const char *argv[3];
		const char *text;
	} rows[] = {
		{ "unknown", { "--frob" }, "flag provided but not defined: -frob" },
		{ "unknown with a value", { "--frob=1" }, "flag provided but not defined: -frob" },
		{ "the beginning of a name", { "--fla" }, "flag provided but not defined: -fla" },
		{ "letters joined", { "-ft" }, "flag provided but not defined: -ft" },
		{ "value missing", { "--text" }, "flag needs an argument: -text" },
		{ "letter's value missing", { "-t" }, "flag needs an argument: -t" },
		{ "no boolean",
		  { "--flag=maybe" },
		  "invalid boolean value \"maybe\" for -flag: parse error" },
		{ "no number",
		  { "--number", "x" },
		  "invalid value \"x\" for flag -number: parse error" },
		{ "number with a tail",
		  { "--number=3x" },
		  "invalid value \"3x\" for flag -number: parse error" },
		{ "empty number",
		  { "--number=" },
		  "invalid value \"\" for flag -number: parse error" },
		{ "number too large",
		  { "--number=4294967296" },
		  "invalid value \"4294967296\" for flag -number: parse error" },
		{ "three dashes", { "---flag" }, "bad flag syntax: ---flag" },
		{ "no name", { "--=x" }, "bad flag syntax: --=x" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct values v = { .flag = false };
		struct err e = ERR_INIT;
		int argc = 0, at = 0, rc;

		while (argc < 3 && rows[i].argv[argc])
			argc++;
		rc = cli_parse(table, &v, (char **)(uintptr_t)rows[i].argv, argc, &at, &e);
		if (rc >= 0 || strcmp(e.msg, rows[i].text))
			fail_msg("%s: %d %s", rows[i].why, rc, e.msg);
		cli_free(table, &v);
	}
}

static void test_words(void **state)
{
	char name[] = "--word", none[] = "", *argv[] = { name, none };
	struct values v = { .flag = false };
	int at = 0;

	(void)state;
	assert_int_equal(cli_parse(table, &v, argv, 2, &at, NULL), 0);
	assert_non_null(v.word);
	assert_string_equal(v.word, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
