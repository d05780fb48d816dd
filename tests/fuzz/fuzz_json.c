// SPDX-License-Identifier: Apache-2.0
/* Any bytes: no crash, and what was accepted is written and read back the same. */
#include <stdlib.h>

#include "lib/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct json_limits lim = { .max_depth = 32, .max_values = 10000, .max_memory = 4 << 20 };
	struct buf b = BUF_INIT(8 << 20);
	struct json *v, *again;
	struct json_w w;

	if (json_parse(&v, (const char *)data, size, &lim, NULL) < 0)
		return 0;
	jw_init(&w, &b, true);
	jw_value(&w, NULL, v);
	if (jw_done(&w)) {
		if (json_parse(&again, (const char *)b.data, b.len, NULL, NULL) < 0)
			abort();
		json_free(again);
	}
	buf_free(&b);
	json_free(v);
	return 0;
}
