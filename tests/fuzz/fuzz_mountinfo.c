// SPDX-License-Identifier: Apache-2.0
/* The kernel writes the lines, but whoever mounts something chooses the names in them. */
#include <stdlib.h>
#include <string.h>

#include "lib/mountinfo.h"
#include "runtime/proxy/follow_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is told once is not told again, and is there. */
static void follow(const struct mountinfo *m)
{
	struct follow_table t = { .n = 0 };
	struct follow_place p;
	size_t before;

	do {
		size_t from = 0;

		before = t.n;
		while (follow_next_new(&t, m, &from, &p)) {
			if (p.bind >= FOLLOW_MAX_BINDS || p.parent > FOLLOW_MAX_MOUNTS || p.path[0] == '/' ||
			    follow_table_add(&t, p.row, p.bind, follow_free_slot(&t)) < 0 || t.n > m->n)
				abort();
		}
	} while (t.n != before);
	for (ssize_t i; (i = follow_next_gone(&t, m)) >= 0;)
		follow_table_remove(&t, (size_t)i);
	follow_table_free(&t);
}

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
	follow(&m);
	mountinfo_free(&m);
	return 0;
}
