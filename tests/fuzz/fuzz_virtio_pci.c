// SPDX-License-Identifier: Apache-2.0
/* A list of what a driver may do to the transport, in any order: {action, offset, size, value}. */
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/fuzz/bytes.h"
#include "tests/lib/echodev.h"
#include "tests/lib/fakedrv_pci.h"

#define MAX_ACTIONS 200

enum action {
	A_COMMON_WRITE, A_BAR_WRITE, A_BAR_READ, A_CFG_WRITE, A_CFG_READ, A_KICK, A_RAM, A_RUN,
	A_BRING_UP, A_REQUEST, A_QUIESCE, A_RESUME, A_SAVE_LOAD, A_RESET, A_COUNT,
};

static struct fdv_pci p;

static void bring_up(uint64_t features)
{
	fdv_layout(&p.f);
	fdv_pci_negotiate(&p, features | VIRTIO_F_BIT(VIRTIO_F_VERSION_1));
	fdv_pci_queues(&p);
	fdv_reg_write(&p, FDV_R_STATUS, 15);
}

static void request(unsigned q)
{
	struct fdv_seg seg[2] = { { gpa(KIB(4)), 32, false }, { gpa(KIB(8)), 32, true } };

	if (p.f.q[q].size)
		fdv_add(&p.f, q, seg, 2);
	fdv_kick(&p.f, q);
}

/* The state goes to a new device of the same kind in the same place, as a clone's. */
static void save_load(void)
{
	struct buf b = BUF_INIT(65536);
	struct snap_w w = { .b = &b };
	struct snap_r r;

	if (fdv_quiesce(&p.f, NULL) == 0) {
		bug_on(fdv_save(&p.f, &w, NULL) < 0);
		fdv_destroy(&p.f);
		bug_on(fdv_create(&p.f, &echo_class, NULL, NULL) < 0);
		bug_on(snap_r_init(&r, b.data, b.len, NULL) < 0);
		bug_on(fdv_load(&p.f, &r, NULL) < 0);
		fdv_resume(&p.f);
	}
	buf_free(&b);
}

static void act(enum action a, uint32_t off, unsigned size, uint64_t v)
{
	static const uint8_t sizes[] = { 1, 2, 4, 8, 3 };

	size = sizes[size % sizeof(sizes)];
	switch (a) {
	case A_COMMON_WRITE:
		fdv_pci_write(&p, p.common + off % 0x40, size, v);
		break;
	case A_BAR_WRITE:
		fdv_pci_write(&p, p.bar + off % 0x8008, size, v);
		break;
	case A_BAR_READ:
		fdv_pci_read(&p, p.bar + off % 0x8008, size);
		break;
	case A_CFG_WRITE:
		fdv_pci_cfg_write(&p, FDV_SLOT, off % 0x108, size, (uint32_t)v);
		break;
	case A_CFG_READ:
		fdv_pci_cfg_read(&p, FDV_SLOT, off % 0x108, size < 4 ? size : 4);
		break;
	case A_KICK:
		fdv_kick(&p.f, off % (ECHO_QUEUES + 1));
		break;
	case A_RAM:
		gmem_write(p.f.mem, gpa(KIB(64) + off % KIB(16)), &v, size);
		break;
	case A_RUN:
		evloop_turn(p.f.loop, 0);
		break;
	case A_BRING_UP:
		bring_up(v);
		break;
	case A_REQUEST:
		request(off % ECHO_QUEUES);
		break;
	case A_QUIESCE:
		fdv_quiesce(&p.f, NULL);
		break;
	case A_RESUME:
		fdv_resume(&p.f);
		break;
	case A_SAVE_LOAD:
		save_load();
		break;
	case A_RESET:
		fdv_reg_write(&p, FDV_R_STATUS, 0);
		break;
	case A_COUNT:
		break;
	}
}

static void taken_back(void *arg)
{
	(void)arg;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct fdv_opts opts = { .ram_low = KIB(256), .no_decoy = true, .queue_size = 16 };
	struct bytes in = { data, size };

	const bool lend = take(&in, 1) & 1;
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	bug_on(fd < 0);
	fdv_pci_init(&p, &opts);
	bug_on(fdv_create(&p.f, &echo_class, NULL, NULL) < 0);
	if (lend)
		bug_on(p.f.d->transport->lend_irq(p.f.d, 0, fd, taken_back, NULL) < 0);
	for (unsigned i = 0; in.len && i < MAX_ACTIONS; i++) {
		enum action a = (enum action)(take(&in, 1) % A_COUNT);
		uint32_t off = (uint32_t)take(&in, 2);
		unsigned width = (unsigned)take(&in, 1);

		act(a, off, width, take(&in, 4) | (uint64_t)(width & 0xf0) << 28);
		while (fake_take_msis(p.vm, &(struct hv_msi){ 0 }, 1))
			;
	}
	fdv_pci_done(&p);
	close(fd);
	return 0;
}
