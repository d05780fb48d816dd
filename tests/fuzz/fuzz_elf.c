// SPDX-License-Identifier: Apache-2.0
/* The input is a kernel image as a user may give it; by its first byte also an initramfs and mapping. */
#include <sys/mman.h>
#include <unistd.h>
#include "tests/fuzz/fuzz_image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size)
		fuzz_image(data + 1, size - 1, data[0] & 1, data[0] & 2);
	return 0;
}
