// SPDX-License-Identifier: Apache-2.0
/* The input is what a guest that reset itself left in its memory; what is told of it is one printable line. */
#include <stdlib.h>
#include <string.h>

#include "vmm/core/panic_words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* The last byte of memory is one of the input's, too. */
	const struct gmem_region r = { .base = gpa(MIB(1)), .size = 65536 };
	char words[PANIC_WORDS_SIZE];
	struct gmem *m;
	bool any;

	if (gmem_new(&m, &r, 1, GMEM_ANON, NULL) < 0)
		abort();
	size = min_t(size_t, size, 65536) / 8 * 8;
	if (size)
		memcpy(gmem_ptr(m, gpa(MIB(1) + 65536 - size), size), data, size);
	memset(words, '\n', sizeof(words));
	any = panic_words(m, words);
	bug_on(!memchr(words, 0, sizeof(words)) || any != (words[0] != 0));
	for (const char *c = words; *c; c++)
		bug_on(*c < ' ' || *c > '~');
	gmem_free(m);
	return 0;
}
