// SPDX-License-Identifier: Apache-2.0
/* ps's options and tables. The expected text is that of procps 4.0 for the same figures. */
#include "tests/unit/check.h"

#include <stdio.h>
#include <time.h>

#include "runtime/cli/ps_format.h"

static const struct proxy_ps row = {
	.pid = 354,
	.ppid = 1,
	.uid = 1000,
	.start_ns = 1000000000,
	.now_ns = UINT64_C(91000000000), /* 90 s old */
	.cpu_ns = UINT64_C(9900000000), /* 11 % */
	.virtual_bytes = 2260 << 10,
	.resident_bytes = 900 << 10,
	.resident_permille = 35,
	.threads = 2,
	.state = "Ssl",
	.name = "sleep",
	.tty = "pts/0",
	.command = "sleep 1000",
};

/* The time of day 90 s ago. */
static void began(char clock[8])
{
	time_t then = time(NULL) - 90;

	strftime(clock, 8, "%H:%M", localtime(&then));
}

static void tables(void **state)
{
	static const struct {
		const char *why;
		const char *args[4];
		const char *want; /* "@": the time of day when it began */
	} rows[] = {
		{ "nothing is -ef",
		  { NULL },
		  "UID          PID    PPID  C STIME TTY          TIME CMD\n"
		  "1000         354       1 11 @ pts/0    00:00:09 sleep 1000\n" },
		{ "-ef",
		  { "-ef" },
		  "UID          PID    PPID  C STIME TTY          TIME CMD\n"
		  "1000         354       1 11 @ pts/0    00:00:09 sleep 1000\n" },
		{ "aux",
		  { "aux" },
		  "USER         PID %CPU %MEM    VSZ   RSS TTY      STAT  START   TIME COMMAND\n"
		  "1000         354 11.0  3.5   2260   900 pts/0    Ssl   @   0:09 sleep 1000\n" },
		{ "-aux", { "-aux" }, NULL },
		{ "-e alone",
		  { "-e" },
		  "    PID TTY          TIME CMD\n    354 pts/0    00:00:09 sleep\n" },
		{ "ax",
		  { "ax" },
		  "    PID TTY      STAT   TIME COMMAND\n    354 pts/0    Ssl    0:09 sleep 1000\n" },
		{ "columns", { "-o", "pid,comm" }, "    PID COMMAND\n    354 sleep\n" },
		{ "in one word", { "-opid,comm" }, "    PID COMMAND\n    354 sleep\n" },
		{ "behind another letter", { "-eo", "pid comm" }, "    PID COMMAND\n    354 sleep\n" },
		{ "twice", { "-o", "pid", "-o", "comm" }, "    PID COMMAND\n    354 sleep\n" },
		{ "the last to the right", { "-o", "comm,pid" }, "COMMAND             PID\nsleep               354\n" },
		{ "a heading of one's own",
		  { "-o", "pid", "-o", "comm=Name, of it" },
		  "    PID Name, of it\n    354 sleep\n" },
		{ "a wide heading", { "-o", "pid", "-o", "uid=Number" }, "    PID Number\n    354   1000\n" },
		{ "elapsed", { "-o", "pid,etime,etimes,nlwp,s" }, "    PID     ELAPSED ELAPSED NLWP S\n"
		  "    354       01:30      90    2 S\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char clock[8], later[8], want[512] = "", *got = NULL;
		struct err e = ERR_INIT;
		char *args[4];
		struct ps_format f;
		size_t len;
		int n = 0;
		FILE *out;

		while (n < 4 && rows[i].args[n]) {
			args[n] = strdup(rows[i].args[n]);
			n++;
		}
		if (ps_format_parse(&f, args, n, &e) < 0)
			fail_msg("%s: %s", rows[i].why, e.msg);
		/* Once more if the minute turned meanwhile. */
		do {
			free(got);
			began(clock);
			out = open_memstream(&got, &len);
			ps_format_header(&f, out);
			ps_format_row(&f, &row, out);
			fclose(out);
			began(later);
		} while (strcmp(clock, later));
		for (const char *p = rows[i].want; p && *p; p++)
			snprintf(want + strlen(want), sizeof(want) - strlen(want), *p == '@' ? "%s" : "%.1s",
				 *p == '@' ? clock : p);
		if (rows[i].want && strcmp(got, want))
			fail_msg("%s:\n%swant:\n%s", rows[i].why, got, want);
		free(got);
		while (n)
			free(args[--n]);
	}
}

static void refused(void **state)
{
	static const struct {
		const char *args[3];
		const char *text;
	} rows[] = {
		{ { "-zz" }, "ps option \"-zz\" is not supported" },
		{ { "-" }, "ps option \"-\" is not supported" },
		{ { "" }, "ps: empty option" },
		{ { "--forest" }, "ps option \"--forest\" is not supported" },
		{ { "-u", "root" }, "ps option \"-u\" is not supported" },
		{ { "aux", "-C" }, "ps option \"-C\" is not supported" },
		{ { "-o" }, "ps: -o needs a list of columns" },
		{ { "-o", "" }, "ps: empty list of columns" },
		{ { "-o", "pid,frob" }, "ps: column \"frob\" is not supported" },
		{ { "-o", "pid,,comm" }, NULL },
		{ { "-o", ",pid" }, "ps: column \"\" is not supported" },
		{ { "-o", "comm" }, "couldn't find PID field in ps output" },
		{ { "-o", "pid=Number" }, "couldn't find PID field in ps output" },
		{ { "-o", "pid,pid,pid,pid,pid,pid,pid,pid,pid,pid,pid,pid,pid,pid,pid,pid,"
			  "pid,pid,pid,pid,pid,pid,pid,pid,pid,pid,pid,pid,pid,pid,pid,pid" }, NULL },
		{ { "-o", "pid,pid,pid,pid,pid,pid,pid,pid,pid,pid,pid,pid,pid,pid,pid,pid,pid,"
			  "pid,pid,pid,pid,pid,pid,pid,pid,pid,pid,pid,pid,pid,pid,pid,pid" },
		  "ps: more than 32 columns" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err e = ERR_INIT;
		struct ps_format f;
		char *args[3];
		int n = 0, rc;

		while (n < 3 && rows[i].args[n]) {
			args[n] = strdup(rows[i].args[n]);
			n++;
		}
		rc = ps_format_parse(&f, args, n, &e);
		if ((rows[i].text != NULL) != (rc < 0) || (rc < 0 && !strstr(e.msg, rows[i].text)))
			fail_msg("row %zu: %d %s", i, rc, e.msg);
		while (n)
			free(args[--n]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables),
		cmocka_unit_test(refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
