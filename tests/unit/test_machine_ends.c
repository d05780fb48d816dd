// SPDX-License-Identifier: Apache-2.0
/* A whole machine: ends that nobody announced. */
#include <stdatomic.h>
#include <stdio.h>

#include "tests/unit/machine_setup.h"

static atomic_bool kicked_by_io;
static void (*fake_kick)(struct hv_vcpu *vcpu);

static void see_who_kicks(struct hv_vcpu *vcpu)
{
	char name[16] = "";

	pthread_getname_np(pthread_self(), name, sizeof(name));
	if (strcmp(name, "io") == 0)
		atomic_store(&kicked_by_io, true);
	fake_kick(vcpu);
}

/* The loop of the devices fails, as where the kernel has no memory for its wait. Its thread may not signal another. */
static void ends_with_its_devices(void **state)
{
	struct fix *f = *state;
	struct nc_event *ev = malloc(sizeof(*ev));
	int epolls[4], n = 0, null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	char link[32], what[64];

	bring_up(f, 2);
	fake_kick = ops.vcpu_kick;
	ops.vcpu_kick = see_who_kicks;
	for (int fd = 0; fd < 512 && n < 4; fd++) {
		ssize_t len;

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		len = readlink(link, what, sizeof(what) - 1);
		if (len > 0 && strncmp(what, "anon_inode:[eventpoll]", (size_t)len) == 0)
			epolls[n++] = fd;
	}
	assert_int_equal(n, 2); /* the control thread's came first */
	assert_int_equal(dup3(null, epolls[1], O_CLOEXEC), epolls[1]);
	close(null);
	assert_int_equal(ncl_host_port(f->c, 99, -1, -ECONNREFUSED, CALL_MS, NULL), 0); /* wakes it */
	await_end(f, ev);
	assert_int_equal(ev->value, NC_END_HOST_ERROR);
	assert_non_null(strstr(ev->text, "io thread: "));
	assert_false(atomic_load(&kicked_by_io));
	free(ev);
}

/* A guest that panicked early can say so in its memory alone; one that said it by its device has its console for more. */
static void words_in_memory(void **state)
{
	static const struct hv_exit x = { .kind = HV_EXIT_SHUTDOWN };
	static const char words[] = "Kernel panic - not syncing: x and y";
	struct nc_event *ev = malloc(sizeof(*ev));
	struct fix *f = *state;
	struct fake_slot slot;

	bring_up(f, 1);
	fake_slot_at(vcpus[0]->vm, 0, &slot);
	assert_true(slot.used && slot.size > 0x20000);
	memset((char *)slot.host + 0x10000, 0, 256);
	memcpy((char *)slot.host + 0x10008, words, sizeof(words));
	assert_int_equal(fake_exit(vcpus[0], &x), 0);
	await_end(f, ev);
	assert_int_equal(ev->value, NC_END_TRIPLE_FAULT);
	assert_non_null(strstr(ev->text, "triple fault"));
	assert_non_null(strstr(ev->text, words));
	free(ev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(ends_with_its_devices, setup, teardown),
		cmocka_unit_test_setup_teardown(words_in_memory, setup, teardown),
	};

	return cmocka_run_group_tests_name("machine_ends", tests, NULL, NULL);
}
