/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of CPUs and memory nodes as the kernel writes them: "0-3,8". */
#ifndef RUNTIME_OCI_CPUSET_H
#define RUNTIME_OCI_CPUSET_H

#include "lib/util.h"

#define CPUSET_MAX 8192 /* more than any kernel is built for */

struct cpuset {
	uint8_t bits[CPUSET_MAX / 8]; /* CPU n: bit n % 8 of byte n / 8 */
	unsigned top; /* the highest member and 1; 0: empty */
	unsigned count;
};

/* White space between entries is fine, "" is the empty set. -EINVAL, -ERANGE beyond CPUSET_MAX. */
int cpuset_parse(const char *text, struct cpuset *ret);

#endif
