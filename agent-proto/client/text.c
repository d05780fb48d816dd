// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/client/text.h"

#include <string.h>

void text_printable(char *dst, size_t size, const void *src, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *p = src;
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (p[i] >= 0x20 && p[i] < 0x7f && p[i] != '\\') {
			if (n + 1 >= size)
				break;
			dst[n++] = (char)p[i];
		} else {
			if (n + 4 >= size)
				break;
			memcpy(dst + n, "\\x", 2);
			dst[n + 2] = hex[p[i] >> 4];
			dst[n + 3] = hex[p[i] & 15];
			n += 4;
		}
	}
	dst[n] = 0;
}
