/* SPDX-License-Identifier: Apache-2.0 */
/* What every unit test includes: cmocka, and a table row's reason printed when its case fails. */
#ifndef TESTS_UNIT_CHECK_H
#define TESTS_UNIT_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Use inside a loop over a table: the condition, and why this row is there. */
#define check_row(why, cond)                                                                \
	do {                                                                                \
		if (!(cond))                                                                \
			fail_msg("%s: %s", why, #cond);                                     \
	} while (0)

#endif
