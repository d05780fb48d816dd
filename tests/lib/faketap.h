/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In a tap's place: a pair of sockets that keep frames apart, and a record of what the device asked for.
 * A frame that the test sends or gets has TAP_HEADER bytes in front.
 */
#ifndef TESTS_LIB_FAKETAP_H
#define TESTS_LIB_FAKETAP_H

#include "vmm/backend/tap.h"

struct faketap {
	unsigned can;         /* what set_offloads takes */
	unsigned offloads;    /* as last asked for */
	unsigned queues_off;  /* how many queues are switched off now */
	int attach_error;     /* a queue cannot be switched on: this negative errno */
	int write_error;      /* the next frames fail with this negative errno */
	int read_error;
	unsigned writes;      /* calls of writev */
};

extern struct faketap faketap;
extern const struct tap_ops faketap_ops;

void faketap_reset(void);
/* The device's end in *ret_tap. Returns the test's, non-blocking. */
int faketap_new(int *ret_tap);

#endif
