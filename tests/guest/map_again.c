// SPDX-License-Identifier: Apache-2.0
/* map-again: maps the same megabytes until it uses more memory, by its own count, than the machine has. */
#include <err.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE (16u << 20)

int main(void)
{
	size_t memory = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
	int fd = memfd_create("again", 0);

	if (fd < 0 || ftruncate(fd, SIZE) < 0)
		err(1, "memfd");
	for (size_t n = 0; n <= memory + SIZE; n += SIZE)
		if (mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0) == MAP_FAILED)
			err(1, "mmap");
	puts("mapped");
	fflush(stdout);
	pause();
	return 0;
}
