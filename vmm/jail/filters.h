/* SPDX-License-Identifier: Apache-2.0 */
/* The filter programs, by enum jail_role: built from policy_*.c by gen.c. */
#ifndef VMM_JAIL_FILTERS_H
#define VMM_JAIL_FILTERS_H

#include <linux/filter.h>

extern const struct sock_fprog jail_filters[];

#endif
