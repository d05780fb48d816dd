// SPDX-License-Identifier: Apache-2.0
/* A whole machine: its states, what it refuses, its devices. */
#include <stdio.h>

#include "lib/diskfile.h"
#include "tests/unit/machine_setup.h"
#include "vmm/core/runstate.h"

/* --- run states ----------------------------------------------------------------------------------------------- */

static void moves(void **state)
{
	static const char allowed[5][6] = {
		/* to:     NCRPE      from */
		[NC_STATE_NEW] = ".x..x",
		[NC_STATE_CREATED] = "..x.x",
		[NC_STATE_RUNNING] = "...xx",
		[NC_STATE_PAUSED] = "..x.x",
		[NC_STATE_ENDED] = ".....",
	};

	(void)state;
	for (unsigned from = 0; from < 5; from++)
		for (unsigned to = 0; to < 5; to++)
			if (runstate_allowed(from, to) != (allowed[from][to] == 'x'))
				fail_msg("%s to %s", runstate_name(from), runstate_name(to));
}

static void commands_in_each_state(void **state)
{
	static const enum nc_cmd all[] = { NC_BOOT, NC_PAUSE, NC_RESUME, NC_POWER_BUTTON };
	static const struct {
		const char *why;
		enum nc_state s;
		int want[4]; /* of all[] */
	} rows[] = {
		{ "new", NC_STATE_NEW, { -EINVAL, -EINVAL, -EINVAL, -EINVAL } },
		{ "created", NC_STATE_CREATED, { 1, -EINVAL, -EINVAL, -EINVAL } },
		{ "running", NC_STATE_RUNNING, { -EINVAL, 1, -EINVAL, 0 } },
		{ "paused", NC_STATE_PAUSED, { -EINVAL, -EINVAL, 1, -EINVAL } },
	};
	struct fix *f = *state;
	struct err e = ERR_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].s == NC_STATE_CREATED) {
			describe(f, 2);
			assert_int_equal(ncl_create(f->c, f->d, CALL_MS, &e), 0);
			assert_int_equal(ncl_create(f->c, f->d, CALL_MS, &e), -EEXIST);
		}
		assert_int_equal(state_of(f), rows[i].s);
		for (size_t k = 0; k < ARRAY_SIZE(all); k++)
			if (rows[i].want[k] != 1 &&
			    ncl_command(f->c, all[k], CALL_MS, &e) != rows[i].want[k])
				fail_msg("%s: command %u: %s", rows[i].why, all[k], e.msg);
		for (size_t k = 0; k < ARRAY_SIZE(all) && i; k++)
			if (rows[i].want[k] == 1)
				assert_int_equal(ncl_command(f->c, all[k], CALL_MS, &e), 0);
	}
	assert_int_equal(state_of(f), NC_STATE_RUNNING);
}

/* --- descriptions that are refused --------------------------------------------------------------------------- */

static void one_vcpu_too_many(struct nc_create *m) { m->vcpus = m->max_vcpus = 255; }
static void no_vcpu(struct nc_create *m) { m->vcpus = m->max_vcpus = 0; }
static void hotplug(struct nc_create *m) { m->max_vcpus++; }
static void no_memory(struct nc_create *m) { m->memory = 0; }
static void odd_memory(struct nc_create *m) { m->memory += 4096; }
static void endless_memory(struct nc_create *m) { m->memory = ~0ull << 21; }
static void unknown_flag(struct nc_create *m) { m->flags |= 1u << 31; }
static void no_jail(struct nc_create *m) { m->flags |= NC_CREATE_NO_JAIL; }
static void no_kvm(struct nc_create *m) { m->kvm = -1; }
static void no_kernel(struct nc_create *m) { m->kernel = -1; }
static void fd_beyond(struct nc_create *m) { m->initramfs = 2; }
static void fd_below(struct nc_create *m) { m->initramfs = -2; }
static void fd_twice(struct nc_create *m) { m->initramfs = m->kernel; }
static void kernel_is_kvm(struct nc_create *m) { m->kernel = 0; m->kvm = 1; }
static void endless_cmdline(struct nc_create *m) { memset(m->cmdline, 'x', sizeof(m->cmdline)); }
static void odd_name(struct nc_create *m) { strcpy(m->name, "a b"); }
static void endless_name(struct nc_create *m) { memset(m->name, 'x', sizeof(m->name)); }
static void many_devices(struct nc_create *m) { m->ndevices = NC_MAX_DEVICES + 1; }
static void unknown_device(struct nc_create *m) { m->dev[0].type = 99; }
static void no_id(struct nc_create *m) { m->dev[0].id[0] = 0; }
static void endless_id(struct nc_create *m) { memset(m->dev[0].id, 'x', sizeof(m->dev[0].id)); }
static void same_id(struct nc_create *m) { strcpy(m->dev[1].id, m->dev[0].id); }
static void slot_0(struct nc_create *m) { m->dev[0].slot = 0; }
static void slot_32(struct nc_create *m) { m->dev[0].slot = 32; }
static void same_slot(struct nc_create *m) { m->dev[0].slot = m->dev[1].slot = 7; }
static void low_cid(struct nc_create *m) { m->dev[2].vsock.cid = 2; }
static void high_cid(struct nc_create *m) { m->dev[2].vsock.cid = UINT32_MAX; }
static void two_vsocks(struct nc_create *m) { m->dev[0].type = NC_DEV_VSOCK; m->dev[0].vsock.cid = 4; }
static void later(struct nc_device *d, uint64_t size, uint64_t requested)
{
	d->type = NC_DEV_MEM;
	d->mem.size = size;
	d->mem.requested = requested;
}
static void no_later(struct nc_create *m) { later(&m->dev[0], 0, 0); }
static void odd_later(struct nc_create *m) { later(&m->dev[0], MIB(192), 0); }
static void endless_later(struct nc_create *m) { later(&m->dev[0], 1ull << 62, 0); }
static void odd_request(struct nc_create *m) { later(&m->dev[0], MIB(256), MIB(64)); }
static void large_request(struct nc_create *m) { later(&m->dev[0], MIB(256), MIB(384)); }
static void two_laters(struct nc_create *m) { later(&m->dev[0], MIB(128), 0); later(&m->dev[1], MIB(128), 0); }

static void refused_descriptions(void **state)
{
	static const struct {
		const char *why;
		void (*spoil)(struct nc_create *m);
	} rows[] = {
		{ "one vCPU too many", one_vcpu_too_many }, { "no vCPU", no_vcpu },
		{ "vCPUs for later", hotplug },		    { "no memory", no_memory },
		{ "memory that is no multiple of 2 MiB", odd_memory },
		{ "more memory than addresses", endless_memory },
		{ "unknown flag", unknown_flag },	    { "no jail", no_jail },
		{ "no KVM", no_kvm },			    { "no kernel", no_kernel },
		{ "descriptor beyond the last", fd_beyond }, { "descriptor -2", fd_below },
		{ "descriptor used twice", fd_twice },	    { "a kernel that is none", kernel_is_kvm },
		{ "command line without end", endless_cmdline },
		{ "name with a blank", odd_name },	    { "name without end", endless_name },
		{ "too many devices", many_devices },	    { "unknown device", unknown_device },
		{ "device without id", no_id },		    { "id without end", endless_id },
		{ "an id twice", same_id },		    { "slot 0", slot_0 },
		{ "slot 32", slot_32 },			    { "a slot twice", same_slot },
		{ "the host's cid", low_cid },		    { "cid for any", high_cid },
		{ "two vsocks", two_vsocks },
		{ "no memory to come", no_later },	    { "half a granule to come", odd_later },
		{ "more to come than addresses", endless_later },
		{ "half a granule asked for", odd_request }, { "more asked for than can come", large_request },
		{ "two memory devices", two_laters },
	};
	struct fix *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned before = open_fds();
		struct err e = ERR_INIT;

		rows[i].spoil(describe(f, 1));
		check_row(rows[i].why, ncl_create(f->c, f->d, CALL_MS, &e) < 0 && e.msg[0]);
		check_row(rows[i].why, state_of(f) == NC_STATE_NEW);
		check_row(rows[i].why, open_fds() == before);
	}
	describe(f, 1); /* and what was not spoilt is taken after all that */
	assert_int_equal(ncl_create(f->c, f->d, CALL_MS, NULL), 0);
}

static void memory_that_comes_later(void **state)
{
	const struct {
		const char *why;
		uint64_t size, got;
	} rows[] = {
		{ "none", 0, 0 },
		{ "a granule", MIB(128), MIB(128) },
		/* Of the fake's 40 bits, what RAM below 4 GiB and device windows leave. */
		{ "more than the guest's addresses hold", 1ull << 44, (1ull << 40) - GIB(8) },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct nc_memory_reply reply;
		struct nc_info_reply info;
		struct fix *f;

		setup((void **)&f);
		describe(f, 1);
		if (rows[i].size)
			later(ncl_desc_device(f->d, NC_DEV_MEM, "memory"), rows[i].size, rows[i].size);
		assert_int_equal(ncl_memory(f->c, &reply, CALL_MS, NULL), -EINVAL); /* no machine */
		assert_int_equal(ncl_create(f->c, f->d, CALL_MS, NULL), 0);
		assert_int_equal(ncl_memory(f->c, &reply, CALL_MS, NULL), 0);
		check_row(rows[i].why, reply.boot == MIB(64) && reply.later == rows[i].got && reply.plugged == 0);
		assert_int_equal(ncl_info(f->c, &info, CALL_MS, NULL), 0);
		assert_int_equal(info.memory, MIB(64));
		assert_int_equal(info.ndevices, rows[i].got ? 4 : 3);
		teardown((void **)&f);
	}
}

static void an_unused_descriptor_is_refused(void **state)
{
	struct fix *f = *state;
	struct err e = ERR_INIT;
	nc_fd ref;

	describe(f, 1);
	assert_int_equal(ncl_desc_fd(f->d, STDERR_FILENO, &ref, NULL), 0);
	assert_int_equal(ncl_create(f->c, f->d, CALL_MS, &e), -EBADMSG);
}

static void a_hypervisor_that_fails(void **state)
{
	static const char *const each[] = { "vm_new", "slot_set", "cpuid_supported", "vcpu_new",
					    "vcpu_set_cpuid", "vcpu_boot" };
	struct fix *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(each); i++) {
		unsigned before = open_fds();
		struct err e = ERR_INIT;

		fail_op = each[i];
		describe(f, 2);
		check_row(each[i], ncl_create(f->c, f->d, CALL_MS, &e) == -EIO);
		check_row(each[i], open_fds() == before);
	}
}

/* --- ends ------------------------------------------------------------------------------------------------------ */

static void each_end_is_told_apart(void **state)
{
	static const struct {
		const char *why;
		struct hv_exit x;
		enum nc_end end;
		int status;
	} rows[] = {
		{ "triple fault", { .kind = HV_EXIT_SHUTDOWN }, NC_END_TRIPLE_FAULT, 1 },
		{ "reset", { .kind = HV_EXIT_RESET }, NC_END_RESET, 0 },
		{ "power off", { .kind = HV_EXIT_POWEROFF }, NC_END_POWEROFF, 0 },
		{ "crash", { .kind = HV_EXIT_CRASH }, NC_END_PANIC, 1 },
		{ "error",
		  { .kind = HV_EXIT_ERROR, .error = { .code = 7, .text = "emulation failed" } },
		  NC_END_VCPU_ERROR, 1 },
	};
	struct nc_event *ev = malloc(sizeof(*ev));
	void *own;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (unsigned cpu = 0; cpu < 2; cpu++) {
			struct fix *f;

			setup(&own);
			f = own;
			bring_up(f, 2);
			assert_int_equal(fake_exit(vcpus[cpu], &rows[i].x), 0);
			await_end(f, ev);
			check_row(rows[i].why, ev->value == rows[i].end && ev->text[0]);
			check_row(rows[i].why, commands_status(f->cmds) == rows[i].status);
			if (rows[i].end == NC_END_VCPU_ERROR)
				assert_non_null(strstr(ev->text, "emulation failed"));
			teardown(&own);
		}
	free(ev);
}

static void quit_in_each_state(void **state)
{
	struct nc_event *ev = malloc(sizeof(*ev));
	struct err e = ERR_INIT;
	void *own;

	(void)state;
	for (int s = NC_STATE_NEW; s <= NC_STATE_PAUSED; s++) {
		struct fix *f;

		setup(&own);
		f = own;
		assert_int_equal(ncl_command(f->c, NC_SUBSCRIBE, CALL_MS, &e), 0);
		if (s == NC_STATE_CREATED) {
			describe(f, 1);
			assert_int_equal(ncl_create(f->c, f->d, CALL_MS, &e), 0);
		} else if (s > NC_STATE_CREATED) {
			bring_up(f, 1);
		}
		if (s == NC_STATE_PAUSED)
			assert_int_equal(ncl_command(f->c, NC_PAUSE, CALL_MS, &e), 0);
		assert_int_equal(state_of(f), s);
		assert_int_equal(ncl_command(f->c, NC_QUIT, CALL_MS, &e), 0);
		if (s == NC_STATE_NEW)
			join(f);
		else
			await_end(f, ev);
		assert_int_equal(commands_status(f->cmds), 0);
		teardown(&own);
	}
	free(ev);
}

static void ends_with_its_last_lifeline(void **state)
{
	struct fix *f = *state;

	bring_up(f, 2);
	ncl_free(f->c);
	f->c = NULL;
	join(f);
	assert_int_equal(commands_status(f->cmds), 0);
}

/* --- the guest's accesses ------------------------------------------------------------------------------------- */

static void nobody_claims_it(void **state)
{
	static const struct hv_exit rows[] = {
		{ .kind = HV_EXIT_PIO, .pio = { .port = 0x5555, .size = 4, .count = 1 } },
		{ .kind = HV_EXIT_MMIO, .mmio = { .addr = { 0xd0000000 }, .size = 4 } },
	};
	struct fix *f = *state;
	struct nc_info_reply info;

	bring_up(f, 1);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(fake_exit(vcpus[0], &rows[i]), 0);
		assert_int_equal(fake_wait_idle(vcpus[0], CALL_MS), 0);
		assert_int_equal(fake_read_value(vcpus[0]), 0xffffffff);
	}
	assert_int_equal(ncl_info(f->c, &info, CALL_MS, NULL), 0);
	assert_true(info.exits >= 2);
	assert_int_equal(info.vcpus, 1);
	assert_int_equal(info.ndevices, 3);
	assert_int_equal(info.memory, MIB(64));
	assert_true(info.start_ns[NC_T_CREATED] && info.start_ns[NC_T_FIRST_RUN] &&
		    info.start_ns[NC_T_CREATED] <= info.start_ns[NC_T_FIRST_RUN]);
}

static void a_paused_guest_does_nothing(void **state)
{
	static const struct hv_exit off = { .kind = HV_EXIT_POWEROFF };
	struct fix *f = *state;
	struct nc_event *ev = malloc(sizeof(*ev));
	struct err e = ERR_INIT;

	bring_up(f, 2);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(ncl_command(f->c, NC_PAUSE, CALL_MS, &e), 0);
		if (i < 19)
			assert_int_equal(ncl_command(f->c, NC_RESUME, CALL_MS, &e), 0);
	}
	assert_int_equal(fake_exit(vcpus[1], &off), 0);
	usleep(20000);
	assert_int_equal(state_of(f), NC_STATE_PAUSED);
	assert_int_equal(ncl_command(f->c, NC_RESUME, CALL_MS, &e), 0);
	await_end(f, ev);
	assert_int_equal(ev->value, NC_END_POWEROFF);
	free(ev);
}

static void a_connection_needs_a_guest(void **state)
{
	struct fix *f = *state;
	struct err e = ERR_INIT;
	int fd;

	assert_int_equal(ncl_connect(f->c, 1, 10, &fd, &e), -EINVAL);
	bring_up(f, 1);
	/* The driver never comes: the machine keeps the time. */
	assert_int_equal(ncl_connect(f->c, 1, 50, &fd, &e), -ETIMEDOUT);
	assert_int_equal(ncl_share_add(f->c, "nofs", "x", STDERR_FILENO, 0, 0, CALL_MS, &e), -ENODEV);
	assert_int_equal(ncl_host_port(f->c, 99, -1, -ECONNREFUSED, CALL_MS, &e), 0);
}

/* --- devices that come and go ---------------------------------------------------------------------------------- */

static struct nc_device a_net(const char *id)
{
	struct nc_device d;

	ncl_device_init(&d, NC_DEV_NET, id);
	d.net = (struct nc_net){ .mac = { 2, 0, 0, 0, 0, 9 }, .pairs = 1, .queue_size = 256 };
	return d;
}

static void devices_come_and_go(void **state)
{
	struct fix *f = *state;
	struct nc_device d = a_net("net0");
	struct nc_info_reply info;
	unsigned slot[2];

	assert_int_equal(ncl_device_add(f->c, &d, NULL, 0, NULL, CALL_MS, NULL), -EINVAL); /* no machine */
	bring_up(f, 2);
	for (unsigned round = 0; round < 3; round++) {
		d = a_net("net0");
		assert_int_equal(ncl_device_add(f->c, &d, NULL, 0, &slot[0], CALL_MS, NULL), 0);
		assert_int_equal(ncl_device_add(f->c, &d, NULL, 0, NULL, CALL_MS, NULL), -EINVAL); /* its id */
		d = a_net("net1");
		assert_int_equal(ncl_device_add(f->c, &d, NULL, 0, &slot[1], CALL_MS, NULL), 0);
		assert_int_not_equal(slot[0], slot[1]);
		assert_int_equal(ncl_info(f->c, &info, CALL_MS, NULL), 0);
		assert_int_equal(info.ndevices, 5);
		assert_int_equal(ncl_device_remove(f->c, "net0", CALL_MS, NULL), 0);
		assert_int_equal(ncl_device_remove(f->c, "net0", CALL_MS, NULL), -ENODEV);
		/* With a hole where it was. */
		assert_int_equal(ncl_command(f->c, NC_PAUSE, CALL_MS, NULL), 0);
		assert_int_equal(ncl_command(f->c, NC_RESUME, CALL_MS, NULL), 0);
		assert_int_equal(ncl_device_remove(f->c, "net1", CALL_MS, NULL), 0);
		assert_int_equal(ncl_info(f->c, &info, CALL_MS, NULL), 0);
		assert_int_equal(info.ndevices, 3);
	}
}

static void devices_that_cannot(void **state)
{
	struct fix *f = *state;
	struct nc_device d;
	unsigned n = 0;
	struct err e = ERR_INIT;

	bring_up(f, 1);
	assert_int_equal(ncl_device_remove(f->c, "console", CALL_MS, NULL), -ENOTSUP);
	ncl_device_init(&d, NC_DEV_VSOCK, "v");
	assert_int_equal(ncl_device_add(f->c, &d, NULL, 0, NULL, CALL_MS, NULL), -ENOTSUP);
	d = a_net("net0");
	assert_int_equal(ncl_device_add(f->c, &d, &f->kernel, 1, NULL, CALL_MS, NULL), -EBADMSG); /* not used */
	d.net.pairs = 17;
	assert_int_equal(ncl_device_add(f->c, &d, NULL, 0, NULL, CALL_MS, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "device net0"));
	d = a_net("net0");
	d.slot = 1; /* the panic device's */
	assert_int_equal(ncl_device_add(f->c, &d, NULL, 0, NULL, CALL_MS, NULL), -EEXIST);
	/* Until the bus is full; then some go, and their places are good again. */
	for (;; n++) {
		char id[16];

		snprintf(id, sizeof(id), "n%u", n);
		d = a_net(id);
		if (ncl_device_add(f->c, &d, NULL, 0, NULL, CALL_MS, NULL) < 0)
			break;
	}
	assert_int_equal(n, 31 - 4);
	assert_int_equal(ncl_device_remove(f->c, "n3", CALL_MS, NULL), 0);
	d = a_net("again");
	assert_int_equal(ncl_device_add(f->c, &d, NULL, 0, NULL, CALL_MS, NULL), 0);
}

/* Opened and locked as a container's is; the descriptor is the machine's alone afterwards. */
static int add_disk(struct fix *f, const char *path, const char *id)
{
	struct diskfile file;
	struct nc_device d;
	int rc = diskfile_open(&file, AT_FDCWD, path, strncmp(path, "/tmp", 4) ? DISKFILE_READONLY : 0, NULL);

	if (rc < 0)
		return rc;
	ncl_device_init(&d, NC_DEV_DISK, id);
	d.disk.size = file.size;
	d.disk.block_size = file.block_size;
	d.disk.phys_size = file.phys_size;
	d.disk.queues = 1;
	d.disk.queue_size = 16;
	d.disk.flags = NC_DISK_NO_URING; /* a ring lets go of its file in a while only */
	d.disk.file = 0;
	rc = ncl_device_add(f->c, &d, &file.fd, 1, NULL, CALL_MS, NULL);
	close(file.fd);
	return rc;
}

static void disks_come_and_go(void **state)
{
	struct fix *f = *state;
	char path[] = "/tmp/husk-disk-XXXXXX", id[16];
	int fd = mkstemp(path), nfds;

	assert_int_equal(ftruncate(fd, 65536), 0);
	describe(f, 1);
	f->d->m.flags |= NC_CREATE_DISKS_COME;
	assert_int_equal(ncl_create(f->c, f->d, CALL_MS, NULL), 0);
	/* Before the start, too. */
	assert_int_equal(add_disk(f, path, "early"), 0);
	assert_int_equal(ncl_boot(f->c, CALL_MS, NULL), 0);
	assert_int_equal(add_disk(f, path, "d"), -EBUSY);
	assert_int_equal(ncl_device_remove(f->c, "early", CALL_MS, NULL), 0);
	nfds = open_fds();
	for (unsigned round = 0; round < 3; round++) {
		assert_int_equal(add_disk(f, path, "d"), 0);
		assert_int_equal(add_disk(f, path, "d"), -EBUSY); /* it has the lock */
		assert_int_equal(ncl_command(f->c, NC_PAUSE, CALL_MS, NULL), 0);
		assert_int_equal(ncl_device_remove(f->c, "d", CALL_MS, NULL), 0);
		assert_int_equal(ncl_command(f->c, NC_RESUME, CALL_MS, NULL), 0);
		assert_int_equal(open_fds(), nfds);
	}
	for (unsigned i = 0; i < NC_MAX_DISKS; i++) {
		snprintf(id, sizeof(id), "n%u", i);
		assert_int_equal(add_disk(f, "/proc/self/exe", id), 0);
	}
	assert_int_equal(add_disk(f, path, "more"), -ENOSPC);
	assert_int_equal(ncl_device_remove(f->c, "n3", CALL_MS, NULL), 0);
	assert_int_equal(add_disk(f, path, "more"), 0);
	close(fd);
	unlink(path);
}

static void disks_that_cannot_come(void **state)
{
	struct fix *f = *state;
	char path[] = "/tmp/husk-disk-XXXXXX";
	int fd = mkstemp(path);

	assert_int_equal(ftruncate(fd, 65536), 0);
	bring_up(f, 1);
	assert_int_equal(add_disk(f, path, "d"), -ENOTSUP);
	assert_int_equal(add_disk(f, path, "d"), -ENOTSUP); /* and its lock is free */
	close(fd);
	unlink(path);
}

static void networks(void **state)
{
	static const uint8_t group[6] = { 3 };
	struct fix *f = *state;
	struct nc_net_info info;
	struct nc_device d = a_net("net0");
	int fds[17];

	assert_int_equal(ncl_net_detach(f->c, "net0", CALL_MS, NULL), -EINVAL); /* no machine */
	bring_up(f, 1);
	assert_int_equal(ncl_device_add(f->c, &d, NULL, 0, NULL, CALL_MS, NULL), 0);
	for (unsigned i = 0; i < 17; i++)
		fds[i] = f->kernel;
	assert_int_equal(ncl_net_attach(f->c, "net1", fds, 1, NULL, 0, 0, CALL_MS, NULL), -ENODEV);
	assert_int_equal(ncl_net_attach(f->c, "console", fds, 1, NULL, 0, 0, CALL_MS, NULL), -ENODEV);
	assert_int_equal(ncl_net_attach(f->c, "net0", fds, 1, NULL, 0, 0, CALL_MS, NULL), -EINVAL); /* a file */
	assert_int_equal(ncl_net_attach(f->c, "net0", fds, 2, NULL, 0, 0, CALL_MS, NULL), -EINVAL);
	assert_int_equal(ncl_net_attach(f->c, "net0", fds, 17, NULL, 0, 0, CALL_MS, NULL), -EINVAL);
	assert_int_equal(ncl_net_attach(f->c, "net0", fds, 1, group, 0, 0, CALL_MS, NULL), -EINVAL);
	assert_int_equal(ncl_net_attach(f->c, "net0", fds, 1, NULL, 67, 0, CALL_MS, NULL), -EINVAL);
	assert_int_equal(ncl_net_attach(f->c, "net0", fds, 1, NULL, 0, 4, CALL_MS, NULL), -ENOTSUP);
	assert_int_equal(ncl_net_attach(f->c, "net0", fds, 1, NULL, 0, NC_NET_ATTACH_VHOST, CALL_MS, NULL), -EINVAL);
	assert_int_equal(ncl_net_attach(f->c, "net0", fds, 2, NULL, 0, NC_NET_ATTACH_VHOST, CALL_MS, NULL), -EINVAL);
	assert_int_equal(ncl_net_detach(f->c, "net0", CALL_MS, NULL), -ENOTCONN);
	assert_int_equal(ncl_net_link(f->c, "net0", true, CALL_MS, NULL), 0);
	assert_int_equal(ncl_net_info(f->c, "net0", &info, CALL_MS, NULL), 0);
	assert_int_equal(info.attached | info.link, 0);
	assert_memory_equal(info.mac, d.net.mac, 6);
	assert_int_equal(ncl_net_info(f->c, "net1", &info, CALL_MS, NULL), -ENODEV);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(moves),
		cmocka_unit_test_setup_teardown(commands_in_each_state, setup, teardown),
		cmocka_unit_test_setup_teardown(refused_descriptions, setup, teardown),
		cmocka_unit_test(memory_that_comes_later),
		cmocka_unit_test_setup_teardown(an_unused_descriptor_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_hypervisor_that_fails, setup, teardown),
		cmocka_unit_test(each_end_is_told_apart),
		cmocka_unit_test(quit_in_each_state),
		cmocka_unit_test_setup_teardown(ends_with_its_last_lifeline, setup, teardown),
		cmocka_unit_test_setup_teardown(nobody_claims_it, setup, teardown),
		cmocka_unit_test_setup_teardown(a_paused_guest_does_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(a_connection_needs_a_guest, setup, teardown),
		cmocka_unit_test_setup_teardown(devices_come_and_go, setup, teardown),
		cmocka_unit_test_setup_teardown(devices_that_cannot, setup, teardown),
		cmocka_unit_test_setup_teardown(disks_come_and_go, setup, teardown),
		cmocka_unit_test_setup_teardown(disks_that_cannot_come, setup, teardown),
		cmocka_unit_test_setup_teardown(networks, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
