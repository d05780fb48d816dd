/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every device must pass. A device's test fills in a struct vdev_suite and adds
 * VDEV_SUITE_TESTS(&suite) to its list of cmocka tests.
 */
#ifndef TESTS_LIB_VDEV_SUITE_H
#define TESTS_LIB_VDEV_SUITE_H

#include "tests/lib/fakedrv.h"

struct vdev_suite {
	const struct vdev_class *cls;
	/* A configuration for one create(), with new descriptors where it has any; and what to do when
	 * the device made of it is gone (close the test's own ends). Either may be NULL. */
	const void *(*cfg)(void);
	void (*cfg_done)(void);
	uint64_t later; /* fdv_opts.later */
	/* What a device needs beyond create() to be at work. May be NULL. */
	void (*created)(struct fakedrv *f);
	/* Does what drivers typically do with a started device and asserts the outcome. Rings may be
	 * in use already (after a resume or load). */
	void (*work)(struct fakedrv *f);
	/* Leaves requests unanswered, if the device can be made to. May be NULL. */
	void (*pend)(struct fakedrv *f);
	/* Queues that the device pops from on a kick even if it has nothing to say. */
	uint64_t pops;
	/* Whether its activate/load/kick may be called with garbage that a flipped bit made: true for
	 * all but devices whose test double cannot take it. */
	bool no_flips;
	/* A chain that the device serves without anybody's help, again and again: how many bytes of it the device
	 * reads (zeros) and may write. */
	struct {
		unsigned q;
		uint32_t out, in;
		bool threads; /* others than the loop's serve it */
	} endless;
};

void vdev_suite_quiesce_twice(void **state);
void vdev_suite_save_created(void **state);
void vdev_suite_save_load_save(void **state);
void vdev_suite_bad_state(void **state);
void vdev_suite_early_kick(void **state);
void vdev_suite_reset_in_flight(void **state);
void vdev_suite_config_bounds(void **state);
void vdev_suite_bad_ring(void **state);
void vdev_suite_kicks_armed(void **state);
void vdev_suite_wrong_chain(void **state);
/* All but config_bounds again, through the registers of the PCI transport. */
void vdev_suite_transport(void **state);
/* Features that are not offered are refused, those that are one by one accepted. */
void vdev_suite_features(void **state);

/* vdev_hostile.c: another CPU of the guest works against the device. */
/* Started and reset over and over, with requests in flight. */
void vdev_suite_reset_storm(void **state);
/* Rings, tables and buffers change while the device looks at them. */
void vdev_suite_flips(void **state);
/* What comes back is made available again at once: a turn ends all the same. */
void vdev_suite_endless(void **state);
/* The smallest ring that there can be. */
void vdev_suite_ring_of_one(void **state);

#define VDEV_SUITE_TEST(fn, s) cmocka_unit_test_prestate(fn, (void *)(uintptr_t)(s))
#define VDEV_SUITE_TESTS(s)                                   \
	VDEV_SUITE_TEST(vdev_suite_quiesce_twice, s),         \
	VDEV_SUITE_TEST(vdev_suite_save_created, s),          \
	VDEV_SUITE_TEST(vdev_suite_save_load_save, s),        \
	VDEV_SUITE_TEST(vdev_suite_bad_state, s),             \
	VDEV_SUITE_TEST(vdev_suite_early_kick, s),            \
	VDEV_SUITE_TEST(vdev_suite_reset_in_flight, s),       \
	VDEV_SUITE_TEST(vdev_suite_config_bounds, s),         \
	VDEV_SUITE_TEST(vdev_suite_bad_ring, s),              \
	VDEV_SUITE_TEST(vdev_suite_kicks_armed, s),           \
	VDEV_SUITE_TEST(vdev_suite_wrong_chain, s),           \
	VDEV_SUITE_TEST(vdev_suite_transport, s),             \
	VDEV_SUITE_TEST(vdev_suite_features, s),              \
	VDEV_SUITE_TEST(vdev_suite_reset_storm, s),           \
	VDEV_SUITE_TEST(vdev_suite_flips, s),                 \
	VDEV_SUITE_TEST(vdev_suite_endless, s),               \
	VDEV_SUITE_TEST(vdev_suite_ring_of_one, s)

#endif
