// SPDX-License-Identifier: Apache-2.0
/* A block device whose disk answers when the test wants it to: at once, late, or never. */
#include "tests/unit/check.h"

#include "tests/lib/fakedrv.h"
#include "vmm/backend/disk.h"
#include "vmm/virtio/blk.h"

/* ---- the disk ---------------------------------------------------------------------------------------- */

struct disk {
	void (*done)(void *arg, struct disk_io *io);
	void *arg;
	struct disk_io *io[DISK_DEPTH_MAX];
	unsigned n;
	void *left; /* the requests' memory, which is the disk's now */
	bool drain_answers; /* once: what is in flight comes back when it is waited for */
	bool at_once; /* what is pushed is over by then; the end of a batch follows */
	void (*at_push)(void); /* once */
};
static struct disk fake;

static void answer(int rc);
static void answer_each(int rc);

int disk_new(struct disk **ret, struct evloop *loop, const struct disk_cfg *cfg,
	     void (*done)(void *arg, struct disk_io *io), void *arg, struct err *e)
{
	(void)loop;
	(void)cfg;
	(void)e;
	fake = (struct disk){ .done = done, .arg = arg };
	*ret = &fake;
	return 0;
}

void disk_free(struct disk *d)
{
	(void)d;
}

void disk_leave(struct disk *d, void *memory)
{
	d->left = memory;
}

void disk_submit(struct disk *d, struct disk_io *io)
{
	d->io[d->n++] = io;
}

void disk_push(struct disk *d)
{
	void (*fn)(void) = d->at_push;

	d->at_push = NULL;
	if (fn)
		fn();
	if (d->at_once)
		answer_each(0);
}

int disk_drain(struct disk *d, unsigned ms)
{
	(void)ms;
	if (d->drain_answers) {
		d->drain_answers = false;
		answer(0);
	}
	return d->n ? -ETIMEDOUT : 0;
}

static void answer_each(int rc)
{
	struct disk_io *io[DISK_DEPTH_MAX];
	unsigned n = fake.n;

	memcpy(io, fake.io, sizeof(io));
	fake.n = 0;
	for (unsigned i = 0; i < n; i++) {
		io[i]->rc = rc;
		fake.done(fake.arg, io[i]);
	}
}

static void answer(int rc)
{
	answer_each(rc);
	fake.done(fake.arg, NULL);
}

/* ---- the tests --------------------------------------------------------------------------------------- */

static gpa_t begin(struct fakedrv *f)
{
	const struct blk_cfg c = {
		.fd = -1, .size = MIB(1), .block_size = 512, .queues = 1, .queue_size = 16
	};

	fdv_init(f, NULL);
	assert_int_equal(fdv_create(f, &blk_class, &c, NULL), 0);
	fdv_start(f, ~0ull);
	return fdv_alloc(f, 4097, 8);
}

static void add(struct fakedrv *f, uint8_t type, gpa_t in)
{
	const uint8_t header[16] = { type };
	struct fdv_seg s[2] = { { fdv_put(f, header, 16), 16, false }, { in, 513, true } };

	if (type == 1)
		s[0] = (struct fdv_seg){ fdv_put(f, (uint8_t[528]){ 1 }, 528), 528, false };
	if (type == 1 || type == 4)
		s[1].len = 1;
	assert_true(fdv_add(f, 0, s, 2) >= 0);
}

static void add_many(struct fakedrv *f, unsigned n, gpa_t in)
{
	for (unsigned i = 0; i < n; i++)
		add(f, 0, in);
	fdv_kick(f, 0);
}

/* All jobs are with a disk that does not answer, of two drivers before this one, and four requests of this one wait. */
static void begin_all_lost(struct fakedrv *f)
{
	gpa_t in = begin(f);

	for (unsigned epoch = 0; epoch < 2; epoch++) {
		add_many(f, 8, in);
		fdv_reset(f);
		fdv_start(f, ~0ull);
		in = fdv_alloc(f, 513, 8);
	}
	add_many(f, 4, in);
	assert_int_equal(fake.n, 16); /* no more than there are */
}

static struct fakedrv *adding;
static gpa_t adding_at;

static void add_one_more(void)
{
	add(adding, 0, adding_at);
}

/* What the driver adds while the host works needs no kick, and what the host did at once takes one interrupt. */
static void at_once(void **state)
{
	struct fakedrv f;
	uint16_t head;
	uint32_t len;

	(void)state;
	adding_at = begin(&f);
	adding = &f;
	fake.at_once = true;
	fake.at_push = add_one_more;
	add(&f, 0, adding_at);
	fdv_kick(&f, 0);
	assert_true(fdv_used(&f, 0, &head, &len));
	assert_true(fdv_used(&f, 0, &head, &len));
	assert_false(fdv_used(&f, 0, &head, &len));
	assert_int_equal(f.irqs[0], 1);
	fdv_done(&f);
}

/* Requests of before a reset come back after it: they touch neither the new rings nor the status. */
static void late_after_reset(void **state)
{
	struct fakedrv f;
	uint16_t head;
	uint32_t len;
	gpa_t in;

	(void)state;
	in = begin(&f);
	add_many(&f, 4, in);
	assert_int_equal(fake.n, 4);
	fdv_reset(&f);
	fdv_start(&f, ~0ull);
	memset(fdv_ptr(&f, in, 513), 0x77, 513);
	answer(0);
	assert_false(fdv_used(&f, 0, &head, &len));
	assert_int_equal(*((uint8_t *)fdv_ptr(&f, in, 513) + 512), 0x77);
	/* And it works on. */
	add(&f, 0, in);
	fdv_kick(&f, 0);
	answer(0);
	assert_true(fdv_used(&f, 0, &head, &len));
	assert_int_equal(len, 513);
	fdv_done(&f);
}

/* All jobs are lost in a disk that does not answer: further requests wait, until they come back. */
static void all_lost(void **state)
{
	struct fakedrv f;
	uint16_t head;
	uint32_t len;

	(void)state;
	begin_all_lost(&f);
	answer(0); /* the lost ones; now the new ones are begun */
	assert_int_equal(fake.n, 4);
	assert_false(fdv_used(&f, 0, &head, &len));
	answer(0);
	for (unsigned i = 0; i < 4; i++)
		assert_true(fdv_used(&f, 0, &head, &len));
	fdv_done(&f);
}

/* What waits for a job is not begun while the device becomes quiet, but after. */
static void quiesce_begins_nothing(void **state)
{
	struct fakedrv f;
	uint16_t head;
	uint32_t len;

	(void)state;
	begin_all_lost(&f);
	fake.drain_answers = true;
	assert_int_equal(fdv_quiesce(&f, NULL), 0);
	assert_false(fdv_used(&f, 0, &head, &len));
	fdv_resume(&f);
	assert_int_equal(fake.n, 4);
	answer(0);
	assert_true(fdv_used(&f, 0, &head, &len));
	fdv_done(&f);
}

static void quiesce_has_a_deadline(void **state)
{
	struct err e = ERR_INIT;
	struct fakedrv f;
	uint16_t head;
	uint32_t len;
	gpa_t in;

	(void)state;
	in = begin(&f);
	add(&f, 0, in);
	fdv_kick(&f, 0);
	assert_int_equal(vdev_quiesce(f.d, &e), -EBUSY);
	assert_non_null(strstr(e.msg, "did not answer"));
	assert_false(f.d->quiesced);
	answer(0);
	assert_true(fdv_used(&f, 0, &head, &len));
	assert_int_equal(vdev_quiesce(f.d, NULL), 0);
	fdv_done(&f);
}

/* An error of one request is that one's; what it would have written is not told to be. */
static void errors_are_single(void **state)
{
	struct fakedrv f;
	uint16_t head;
	uint32_t len;
	gpa_t in;

	(void)state;
	in = begin(&f);
	add(&f, 0, in);
	fdv_kick(&f, 0);
	answer(-EIO);
	assert_true(fdv_used(&f, 0, &head, &len));
	assert_int_equal(len, 1);
	assert_int_equal(*((uint8_t *)fdv_ptr(&f, in, 513) + 512), 1);
	assert_false(fdv_needs_reset(&f));
	add(&f, 0, in);
	fdv_kick(&f, 0);
	answer(0);
	assert_true(fdv_used(&f, 0, &head, &len));
	assert_int_equal(len, 513);
	fdv_done(&f);
}

/* Which writes must be safe when they are done: by what the driver took, and by its switch. */
static void sync_writes(void **state)
{
	static const struct {
		const char *why;
		uint64_t without;
		int wce; /* -1: not written */
		bool sync;
	} rows[] = {
		{ "a cache by default", 0, -1, false },
		{ "switched off", 0, 0, true },
		{ "switched on", 0, 1, false },
		{ "no switch, but flushes", VIRTIO_F_BIT(11), -1, false },
		{ "no switch that could be used", VIRTIO_F_BIT(11), 0, false },
		{ "neither switch nor flushes", VIRTIO_F_BIT(11) | VIRTIO_F_BIT(9), -1, true },
		{ "no flushes, and the switch as it was", VIRTIO_F_BIT(9), 0, true },
	};
	struct fakedrv f;
	gpa_t in;

	(void)state;
	in = begin(&f);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint8_t wce = (uint8_t)rows[i].wce;

		fdv_reset(&f);
		fdv_start(&f, ~rows[i].without);
		in = fdv_alloc(&f, 513, 8);
		if (rows[i].wce >= 0)
			vdev_config_write(f.d, 32, &wce, 1);
		add(&f, 1, in);
		fdv_kick(&f, 0);
		assert_int_equal(fake.n, 1);
		assert_int_equal(fake.io[0]->op, DISK_WRITE);
		check_row(rows[i].why, fake.io[0]->sync == rows[i].sync);
		answer(0);
	}
	fdv_done(&f);
}

/* Whoever goes while the machine stays does not wait for ever, and leaves the requests their memory. */
static void leaves_what_is_stuck(void **state)
{
	struct fakedrv f;
	gpa_t in;

	(void)state;
	in = begin(&f);
	add(&f, 0, in);
	fdv_kick(&f, 0);
	blk_leave(f.d);
	assert_null(fake.left);
	fdv_done(&f);
	assert_non_null(fake.left);
	assert_int_equal(fake.n, 1);
	fake.io[0]->rc = -EIO; /* still there, says the sanitizer */
	free(fake.left);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(at_once),
		cmocka_unit_test(late_after_reset),
		cmocka_unit_test(all_lost),
		cmocka_unit_test(quiesce_begins_nothing),
		cmocka_unit_test(quiesce_has_a_deadline),
		cmocka_unit_test(errors_are_single),
		cmocka_unit_test(sync_writes),
		cmocka_unit_test(leaves_what_is_stuck),
	};

	return cmocka_run_group_tests_name("blk_stuck", tests, NULL, NULL);
}
