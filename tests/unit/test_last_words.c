// SPDX-License-Identifier: Apache-2.0
/* What is told of a guest's console at its end: why a kernel panicked, not its registers; however long the lines are. */
#include "tests/unit/check.h"

#include <stdio.h>
#include <string.h>

#include "lib/util.h"
#include "runtime/proxy/last_words.h"

static const char oops[] =
	"[    1.380000] husk-agent: mounted\n"
	"[    1.389980] BUG: kernel NULL pointer dereference, address: 0000000000000008\n"
	"[    1.389980] #PF: supervisor read access in kernel mode\n"
	"[    1.389980] Oops: Oops: 0000 [#1] SMP NOPTI\n"
	"[    1.389980] CPU: 0 UID: 0 PID: 1 Comm: init Not tainted 6.12.90 #1\n"
	"[    1.389980] RIP: 0010:virtqueue_add_sgs+0x12/0x80\n"
	"[    1.389980] Code: 0f 1f 44 00 00 41 57\n"
	"[    1.389980] RSP: 0018:ffffc90000013e10 EFLAGS: 00010246\n"
	"[    1.389980] Call Trace:\n"
	"[    1.389980]  <TASK>\n"
	"[    1.389980] CR2: 0000000000000000 CR3: 0000000001c18000 CR4: 00000000003106b0\n"
	"[    1.389980] Kernel panic - not syncing: Fatal exception\n";

static void a_kernel_that_panicked(void **state)
{
	static const struct {
		const char *console, *words;
	} rows[] = {
		{ oops, "BUG: kernel NULL pointer dereference, address: 0000000000000008; Oops: Oops: 0000 [#1] SMP NOPTI; "
			"RIP: 0010:virtqueue_add_sgs+0x12/0x80; Kernel panic - not syncing: Fatal exception" },
		{ "[    0.900000][    T1] divide error: 0000 [#1] SMP\n[    0.900000][    T1] RIP: 0010:f+0x1/0x2\n"
		  "[    0.900000][    T1] Kernel panic - not syncing: Fatal exception\n",
		  "divide error: 0000 [#1] SMP; RIP: 0010:f+0x1/0x2; Kernel panic - not syncing: Fatal exception" },
		{ "Kernel panic - not syncing: sysrq triggered crash", "Kernel panic - not syncing: sysrq triggered crash" },
		{ "[ not a time\n[\n[]\nKernel panic - x\n", "Kernel panic - x" },
	};
	char got[LAST_WORDS_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		last_words(got, rows[i].console);
		assert_string_equal(got, rows[i].words);
	}
}

static void any_other_end(void **state)
{
	char big[5000], got[LAST_WORDS_SIZE];

	(void)state;
	last_words(got, "");
	assert_string_equal(got, "");
	last_words(got, "one\nOops: 0002");
	assert_string_equal(got, "one\nOops: 0002");
	memset(big, 'x', sizeof(big) - 1);
	strcpy(big + sizeof(big) - 8, "the end");
	last_words(got, big);
	assert_int_equal(strlen(got), LAST_WORDS_SIZE - 1);
	assert_string_equal(got + strlen(got) - 7, "the end");
	/* The word alone, in the middle of a line, is nobody's panic. */
	last_words(got, "a guest that prints Kernel panic - and goes on");
	assert_string_equal(got, "a guest that prints Kernel panic - and goes on");
}

/* However long the lines that look telling, and how many: what is written fits, the panic's reason among it. */
static void lines_that_do_not_fit(void **state)
{
	char big[4096], got[LAST_WORDS_SIZE];
	size_t at = 0;

	(void)state;
	while (at < sizeof(big) - 700)
		at += (size_t)snprintf(big + at, sizeof(big) - at, "BUG: %0300d\n", 1);
	snprintf(big + at, sizeof(big) - at, "Kernel panic - not syncing: at last\n");
	last_words(got, big);
	assert_memory_equal(got, "BUG: 000", 8);
	assert_true(strlen(got) < LAST_WORDS_SIZE);
	assert_non_null(strstr(got, "; Kernel panic - not syncing: at last"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kernel_that_panicked),
		cmocka_unit_test(any_other_end),
		cmocka_unit_test(lines_that_do_not_fit),
	};

	return cmocka_run_group_tests_name("last_words", tests, NULL, NULL);
}
