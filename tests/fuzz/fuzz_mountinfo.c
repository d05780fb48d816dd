// SPDX-License-Identifier: Apache-2.0
/* The kernel writes the lines, but whoever mounts something chooses the names in them. */
#include <stdlib.h>
#include <string.h>

#include "lib/mountinfo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct mountinfo m;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = 0;
	if (mountinfo_parse(&m, text) < 0)
		return 0;
	for (size_t i = 0; i < m.n; i++) {
		const struct mountinfo_row *r = &m.rows[i];
		const char *below = mountinfo_below(r, "/a");

		if (r->at[0] != '/' || !r->type[0] || (below && strncmp(r->at, "/a/", 3) != 0) ||
		    !mountinfo_by_id(&m, r->id))
			abort();
	}
	mountinfo_free(&m);
	return 0;
}
