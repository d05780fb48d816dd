// SPDX-License-Identifier: Apache-2.0
/*
 * The input is the header of a bzImage (from 0x1f1 on) and the length of what follows it: all else of an
 * image does not matter to the loader.
 */
#include "tests/fuzz/fuzz_image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEADER_AT 0x1f1

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t image[256 << 10];
	uint32_t len;

	if (size < 8)
		return 0;
	memcpy(&len, data, 4);
	len %= sizeof(image);
	memset(image, 0, sizeof(image));
	if (size - 8 > sizeof(image) - HEADER_AT)
		size = sizeof(image) - HEADER_AT + 8;
	memcpy(image + HEADER_AT, data + 8, size - 8);
	fuzz_image(image, len, data[4] & 1, data[4] & 2);
	return 0;
}
