// SPDX-License-Identifier: Apache-2.0
#include "runtime/proxy/last_words.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/util.h"

/* No line of a report is longer: else one long line would leave no room for the others. */
#define LINE_MAX_LEN 110
#define PANIC        "Kernel panic - "

/* How the lines begin that say what happened and where: arch/{x86,arm64}/kernel/traps.c, mm/fault.c, kernel/panic.c. */
static const char *const telling[] = {
	"BUG: ", "kernel BUG at ", "Oops", "RIP: 0010:", "general protection fault", "divide error", "invalid opcode",
	"stack segment", "double fault", "int3: ", "Unable to handle ", "Internal error: ", "pc : ", "VFS: ",
	"Out of memory", PANIC,
};

/* Behind the time that printk puts before a line, "[    1.389980] ", and the thread or CPU, "[   T42] ". */
static const char *behind_time(const char *p, const char *end)
{
	while (p < end && *p == '[') {
		const char *q = p + 1;

		while (q < end && (isalnum((unsigned char)*q) || *q == ' ' || *q == '.'))
			q++;
		if (q == end || *q != ']')
			break;
		p = q + 1;
		while (p < end && *p == ' ')
			p++;
	}
	return p;
}

static bool tells(const char *p, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(telling); i++)
		if (len >= strlen(telling[i]) && memcmp(p, telling[i], strlen(telling[i])) == 0)
			return true;
	return false;
}

void last_words(char dst[LAST_WORDS_SIZE], const char *console)
{
	size_t len = strlen(console), used = 0;
	bool panicked = strstr(console, PANIC) != NULL;

	dst[0] = 0;
	for (const char *p = console, *end; panicked && *p; p = *end ? end + 1 : end) {
		size_t n;

		end = p + strcspn(p, "\n");
		p = behind_time(p, end);
		n = min_t(size_t, (size_t)(end - p), LINE_MAX_LEN);
		if (!tells(p, n) || used + 2 + n >= LAST_WORDS_SIZE)
			continue;
		used += (size_t)snprintf(dst + used, LAST_WORDS_SIZE - used, "%s%.*s", used ? "; " : "", (int)n, p);
	}
	if (used == 0)
		snprintf(dst, LAST_WORDS_SIZE, "%s", console + (len >= LAST_WORDS_SIZE ? len - LAST_WORDS_SIZE + 1 : 0));
}
