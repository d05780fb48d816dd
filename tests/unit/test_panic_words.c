// SPDX-License-Identifier: Apache-2.0
/* A guest's last words, looked for in its memory: the log's records, what resembles them, and what is made to. */
#include "tests/unit/check.h"

#include <stdio.h>

#include "vmm/core/panic_words.h"

#define LOG 0x200000u

static struct gmem *mem;

static int setup(void **state)
{
	const struct gmem_region r[] = { { .base = gpa(0), .size = MIB(4) }, { .base = gpa(GIB(4)), .size = GIB(3) } };

	(void)state;
	return gmem_new(&mem, r, 2, GMEM_ANON, NULL);
}

static int teardown(void **state)
{
	(void)state;
	gmem_free(mem);
	return 0;
}

static void put(uint64_t at, const void *p, size_t len)
{
	assert_int_equal(gmem_write(mem, gpa(at), p, len), 0);
}

/* As printk() leaves it; where the next one begins. */
static uint64_t record(uint64_t at, uint64_t number, const char *text)
{
	char raw[512];
	int n = snprintf(raw, sizeof(raw), "\001" "0%s\n", text);

	memmove(raw, raw + 2, (size_t)n - 3);
	put(at, &number, 8);
	put(at + 8, raw, (size_t)n + 1);
	return align_up64(at + 8 + (uint64_t)n + 1, 8);
}

static void check_words(const char *why, const char *want)
{
	char got[PANIC_WORDS_SIZE];

	if (panic_words(mem, got) != (want[0] != 0) || strcmp(got, want) != 0)
		fail_msg("%s: \"%s\", not \"%s\"", why, got, want);
}

/* What a kernel's image holds. */
static void put_strings(uint64_t at)
{
	static const char strings[] = "\0010Kernel panic - not syncing: %s\n\0\0\0\0\0\0\0"
				      "BUG: MAX_LOCKDEP_ENTRIES too low, it is said\0\0\0\0"
				      "Oops: a string of eight times n\0"
				      "Kernel panic - not syncing: %s\n\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

	put(at, strings, sizeof(strings));
}

static void a_log(void **state)
{
	static const struct {
		const char *why, *text[4], *want;
	} rows[] = {
		{ "nothing", { "Linux version 6.12.90" }, "" },
		{ "a panic", { "Linux version", "Kernel panic - not syncing: VFS: no root" },
		  "Kernel panic - not syncing: VFS: no root" },
		{ "and more behind it", { "Kernel panic - not syncing: crash", "Kernel Offset: disabled" },
		  "Kernel panic - not syncing: crash" },
		{ "an end that is there twice", { "Kernel panic - not syncing: 0000" }, "Kernel panic - not syncing: 0000" },
		{ "the last one", { "Kernel panic - not syncing: one", "Kernel panic - not syncing: two" },
		  "Kernel panic - not syncing: two" },
		{ "with its cause",
		  { "BUG: kernel NULL pointer dereference, address: 0000000000000008", "Oops: Oops: 0000 [#1] SMP NOPTI",
		    "Kernel panic - not syncing: Fatal exception" },
		  "Oops: Oops: 0000 [#1] SMP NOPTI; Kernel panic - not syncing: Fatal exception" },
		{ "a cause alone", { "kernel BUG at mm/slub.c:4!" }, "kernel BUG at mm/slub.c:4!" },
		{ "of several lines", { "Kernel panic - not syncing: a\nb" }, "Kernel panic - not syncing: a" },
		{ "no reason", { "Kernel panic - not syncing: " }, "" },
		{ "in the middle of a line", { "someone said Kernel panic - not syncing: x" }, "" },
		{ "colours", { "Kernel panic - not syncing: \033[31mred" }, "" },
		{ "a format", { "Kernel panic - not syncing: %s" }, "" },
		{ "no ASCII", { "BUG: \303\274ber" }, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (unsigned begun = 0; begun < 2; begun++) {
			/* Numbers begin below the end of 62 bits. */
			uint64_t at = LOG, number = begun ? 3 : 0x3ffffffffffffffe;

			setup(NULL);
			put_strings(0x1000);
			put_strings(0x300000);
			for (unsigned k = 0; k < 4 && rows[i].text[k]; k++, number = (number + 1) & (UINT64_MAX >> 2))
				at = record(at, number, rows[i].text[k]);
			check_words(rows[i].why, rows[i].want);
			teardown(NULL);
		}
}

/* Long ones, and one at the end of memory. */
static void lengths(void **state)
{
	char text[300], want[300];
	size_t n;

	(void)state;
	for (n = 28; n < sizeof(text); n++) {
		setup(NULL);
		memset(text, 0, sizeof(text));
		strcpy(text, "Kernel panic - not syncing: ");
		for (size_t i = strlen(text); i < n; i++)
			text[i] = (char)('a' + i % 23);
		record(record(LOG, 7, text), 8, "next");
		snprintf(want, sizeof(want), "%.160s", n == 28 ? "" : text);
		check_words("a length", want);
		teardown(NULL);
		setup(NULL);
		put(MIB(4) - 8 - n, text, n);
		if (n % 8 == 0 && n > 28)
			check_words("at the end", want);
		teardown(NULL);
		/* Without what printk() leaves behind the end. */
		setup(NULL);
		memcpy(text, "kernel BUG at ", 14);
		put(LOG + 8, text, n);
		put(LOG + 8 + n, "\n", 1);
		snprintf(want, sizeof(want), "%.160s", text);
		check_words("one that ends at once", want);
		teardown(NULL);
	}
}

static uint32_t noise(uint32_t *s)
{
	*s = *s * 1664525 + 1013904223;
	return *s >> 8;
}

/* Whatever the bytes are: what comes is printable, and has an end. */
static void hostile(void **state)
{
	static uint8_t page[65536];
	char got[PANIC_WORDS_SIZE];
	uint32_t seed = 1;

	(void)state;
	for (unsigned round = 0; round < 200; round++) {
		setup(NULL);
		for (size_t i = 0; i < sizeof(page); i++)
			page[i] = (uint8_t)(round & 1 ? noise(&seed) : noise(&seed) % 4 ? 'x' : 0);
		for (size_t at = 8; at + 200 < sizeof(page); at += 200) {
			memset(page + at - 8, 0, 8);
			strcpy((char *)page + at, round & 2 ? "Kernel panic - not syncing: " : "BUG: ");
			page[at + 28] = (uint8_t)noise(&seed);
		}
		put(LOG, page, sizeof(page));
		put(MIB(4) - sizeof(page), page, sizeof(page));
		panic_words(mem, got);
		for (size_t i = 0; got[i]; i++)
			assert_true(i < PANIC_WORDS_SIZE - 1 && got[i] >= ' ' && got[i] <= '~');
		teardown(NULL);
	}
}

/* Each one step from a record. */
static void resembling(void **state)
{
	static const struct {
		const char *why;
		uint64_t number;
		unsigned shift;
		char end, behind;
		bool found;
	} rows[] = {
		{ "a record", 7, 0, 0, 0, true },
		{ "the same, with a newline", 7, 0, '\n', 0, true },
		{ "a number too large", 7ull << 32, 0, 0, 0, false },
		{ "at no multiple of 8", 7, 4, 0, 0, false },
		{ "an end that is none", 7, 0, '\t', 0, false },
		{ "followed by anything", 7, 0, 0, 'x', false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char text[] = "Kernel panic - not syncing: 1234567";

		setup(NULL);
		put(LOG + rows[i].shift, &rows[i].number, 8);
		put(LOG + rows[i].shift + 8, text, sizeof(text));
		put(LOG + rows[i].shift + 8 + strlen(text), &rows[i].end, 1);
		put(LOG + 8 + 40, &rows[i].behind, 1);
		check_words(rows[i].why, rows[i].found ? text : "");
		teardown(NULL);
	}
}

/* Memory that nobody touched is passed over, however much it is. */
static void untouched(void **state)
{
	(void)state;
	setup(NULL);
	check_words("nothing", "");
	record(GIB(7) - MIB(1), 1, "Kernel panic - not syncing: high up");
	check_words("behind three GiB", "Kernel panic - not syncing: high up");
	teardown(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_log),
		cmocka_unit_test(lengths),
		cmocka_unit_test(resembling),
		cmocka_unit_test(hostile),
		cmocka_unit_test(untouched),
	};

	return cmocka_run_group_tests_name("panic_words", tests, NULL, NULL);
}
