/* SPDX-License-Identifier: Apache-2.0 */
/*
 * husk-machine without its jail, on a fake hypervisor: a client drives it over the native socket, the
 * guest is a script of exits.
 */
#ifndef TESTS_UNIT_MACHINE_SETUP_H
#define TESTS_UNIT_MACHINE_SETUP_H

#include <elf.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/evloop.h"
#include "lib/io.h"
#include "tests/unit/check.h"
#include "vmm/control/native_client.h"
#include "vmm/core/commands.h"
#include "vmm/hv/fake/fake.h"

#define CALL_MS 5000

/* --- the fake hypervisor, with its vCPUs where a test finds them ------------------------------------------ */

static struct hv_ops ops;
static int (*fake_vcpu_new_op)(struct hv_vm *vm, unsigned index, struct hv_vcpu **ret,
			       struct err *e);
static struct hv_vcpu *vcpus[8];
static const char *fail_op; /* the next machine's creation fails here */

static inline int keep_vcpu(struct hv_vm *vm, unsigned index, struct hv_vcpu **ret, struct err *e)
{
	int rc = fake_vcpu_new_op(vm, index, ret, e);

	if (rc == 0 && index < 8)
		vcpus[index] = *ret;
	return rc;
}

static inline int open_fake(struct hv **ret, int kvm_fd, struct err *e)
{
	int rc = hv_fake_open(ret, e);

	assert_int_equal(rc, 0);
	close(kvm_fd);
	ops = *(*ret)->ops;
	fake_vcpu_new_op = ops.vcpu_new;
	ops.vcpu_new = keep_vcpu;
	(*ret)->ops = &ops;
	if (fail_op)
		fake_fail_next(*ret, fail_op, EIO);
	return 0;
}

/* --- a kernel: the smallest that the PVH loader takes ------------------------------------------------------- */

struct kernel {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[2];
	struct {
		Elf64_Nhdr nh;
		char name[4];
		uint32_t entry;
	} note;
	uint8_t code[16];
};

static inline int make_kernel(void)
{
	static const struct kernel k = {
		.eh = { .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
				     EV_CURRENT },
			.e_type = ET_EXEC,
			.e_machine = EM_X86_64,
			.e_version = EV_CURRENT,
			.e_entry = 0x1000000,
			.e_phoff = offsetof(struct kernel, ph),
			.e_ehsize = sizeof(Elf64_Ehdr),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 2 },
		.ph = { { .p_type = PT_LOAD, .p_offset = offsetof(struct kernel, code),
			  .p_vaddr = 0x1000000, .p_paddr = 0x1000000, .p_filesz = 16, .p_memsz = 4096 },
			{ .p_type = PT_NOTE, .p_offset = offsetof(struct kernel, note),
			  .p_filesz = 20, .p_memsz = 20, .p_align = 4 } },
		.note = { .nh = { .n_namesz = 4, .n_descsz = 4, .n_type = 18 }, .name = "Xen",
			  .entry = 0x1000000 },
		.code = { 0xf4 },
	};
	int fd = memfd_create("kernel", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(io_write_full(fd, &k, sizeof(k)), 0);
	return fd;
}

/* --- the process -------------------------------------------------------------------------------------------- */

struct fix {
	struct evloop *loop;
	struct commands *cmds;
	struct ncl *c;
	pthread_t thread;
	bool joined;
	struct ncl_desc *d;
	int kernel;
	unsigned fds_before;
};

static inline unsigned open_fds(void)
{
	unsigned n = 0;

	for (int i = 0; i < 512; i++)
		n += fcntl(i, F_GETFD) >= 0;
	return n;
}

static inline void *serve(void *arg)
{
	struct fix *f = arg;

	evloop_run(f->loop);
	return NULL;
}

static inline int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	struct commands_setup s = { .proc_fd = -1, .jail = false, .open_hv = open_fake };
	int pair[2];

	f->fds_before = open_fds();
	fail_op = NULL;
	memset(vcpus, 0, sizeof(vcpus));
	assert_int_equal(evloop_new(&f->loop, NULL), 0);
	s.loop = f->loop;
	assert_int_equal(commands_new(&f->cmds, &s, NULL), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(commands_add_first(f->cmds, pair[1], NULL), 0);
	assert_int_equal(ncl_new(&f->c, pair[0], NULL), 0);
	pthread_create(&f->thread, NULL, serve, f);
	f->kernel = make_kernel();
	f->d = malloc(sizeof(*f->d));
	*state = f;
	return 0;
}

static inline void join(struct fix *f)
{
	if (!f->joined)
		pthread_join(f->thread, NULL);
	f->joined = true;
}

static inline int teardown(void **state)
{
	struct fix *f = *state;

	if (!f->joined)
		evloop_stop(f->loop);
	join(f);
	if (f->c)
		ncl_free(f->c);
	commands_free(f->cmds);
	evloop_free(f->loop);
	close(f->kernel);
	free(f->d);
	assert_int_equal(open_fds(), f->fds_before);
	free(f);
	return 0;
}

/* A description with @n vCPUs and one of each device but fs, which needs more of the world. */
static inline struct nc_create *describe(struct fix *f, unsigned n)
{
	struct nc_create *m = &f->d->m;
	struct nc_device *dev;

	ncl_desc_init(f->d);
	m->vcpus = m->max_vcpus = n;
	m->memory = MIB(64);
	m->flags = NC_CREATE_PVPANIC;
	assert_int_equal(ncl_desc_fd(f->d, STDERR_FILENO, &m->kvm, NULL), 0);
	assert_int_equal(ncl_desc_fd(f->d, f->kernel, &m->kernel, NULL), 0);
	ncl_desc_device(f->d, NC_DEV_CONSOLE, "console");
	ncl_desc_device(f->d, NC_DEV_RNG, "rng");
	dev = ncl_desc_device(f->d, NC_DEV_VSOCK, "vsock");
	dev->vsock.cid = 3;
	return m;
}

static inline void bring_up(struct fix *f, unsigned n)
{
	struct err e = ERR_INIT;

	describe(f, n);
	if (ncl_create(f->c, f->d, CALL_MS, &e) < 0)
		fail_msg("create: %s", e.msg);
	assert_int_equal(ncl_command(f->c, NC_SUBSCRIBE, CALL_MS, &e), 0);
	if (ncl_boot(f->c, CALL_MS, &e) < 0)
		fail_msg("boot: %s", e.msg);
}

static inline uint32_t state_of(struct fix *f)
{
	struct nc_info_reply info;

	assert_int_equal(ncl_info(f->c, &info, CALL_MS, NULL), 0);
	return info.state;
}

/* Reads events up to the end. */
static inline void await_end(struct fix *f, struct nc_event *ev)
{
	struct err e = ERR_INIT;
	int rc;

	do {
		rc = ncl_event(f->c, ev, CALL_MS, &e);
		if (rc != 1)
			fail_msg("no end: %d %s", rc, e.msg);
	} while (ev->kind != NC_EV_END);
	join(f);
}

#endif
