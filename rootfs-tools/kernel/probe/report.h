/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the probe's guest reports: it fills pages that start with a mark, and the host finds them in the guest's memory
 * after it has stopped. So reporting needs no device and changes nothing of what is measured.
 */
#ifndef PROBE_REPORT_H
#define PROBE_REPORT_H

#include <stdint.h>

#define REPORT_MARK_A 0x746f6f626b737568ULL
#define REPORT_MARK_B 0x1f83d9abfb41bd6bULL
#define REPORT_PAGES 128

struct report_page {
	uint64_t mark_a, mark_b; /* each alone may stand in the program's own text */
	uint32_t seq;            /* place of this page in the report */
	uint32_t len;            /* bytes of text that count */
	uint64_t tsc;            /* page 0: time stamp counter at the first instruction of main() */
	char text[4096 - 32];
};

#endif
