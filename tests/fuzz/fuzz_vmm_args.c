// SPDX-License-Identifier: Apache-2.0
/* husk-vmm's command line: words separated by newlines. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/front/options.h"

#define MAX_ARGS 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size), *rest = text, *word;
	char *argv[MAX_ARGS + 2] = { "husk-vmm" };
	struct err e = ERR_INIT;
	struct options o;
	int argc = 1;

	while ((word = strsep(&rest, "\n")) && argc <= MAX_ARGS)
		argv[argc++] = word;
	if (options_parse(&o, argc, argv, &e) == 0)
		options_free(&o);
	else
		bug_on(!e.msg[0] || strchr(e.msg, '\n'));
	free(text);
	return 0;
}
