// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/check.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/io.h"
#include "tests/lib/vdev_suite.h"
#include "vmm/virtio/blk.h"

#define SECTORS 64u
#define SIZE	(SECTORS * 512)

enum { IN, OUT, FLUSH = 4, GET_ID = 8, DISCARD = 11, ZEROES = 13, SECURE_ERASE = 14 };
enum { S_OK, S_IOERR, S_UNSUPP, S_NONE = 0xee };
enum { F_RO = 5, F_FLUSH = 9, F_CONFIG_WCE = 11, F_MQ = 12, F_DISCARD = 13, F_WRITE_ZEROES = 14 };
#define CFG_WRITEBACK 32

static atomic_uint syncs;

/* In the C library's place; any thread. */
int fdatasync(int fd)
{
	atomic_fetch_add(&syncs, 1);
	return (int)syscall(SYS_fdatasync, fd);
}

static int memory_file(size_t size)
{
	int fd = memfd_create("disk", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static struct blk_cfg plain(int fd)
{
	return (struct blk_cfg){ .fd = fd, .size = SIZE, .block_size = 512, .discard = true,
				 .queues = 2, .queue_size = 64, .serial = "serial-of-20-bytes-x" };
}

/* One request; its status. */
static unsigned ask(struct fakedrv *f, unsigned q, uint32_t type, uint64_t sector, const void *out,
		    size_t out_len, void *in, size_t in_len)
{
	uint8_t a[16 + 8192], b[8192 + 1];
	int rc;

	memset(a, 0, 16);
	memcpy(a, &type, 4);
	memcpy(a + 8, &sector, 8);
	if (out_len)
		memcpy(a + 16, out, out_len);
	memset(b, S_NONE, sizeof(b));
	rc = fdv_request(f, q, a, 16 + out_len, b, in_len + 1);
	assert_true(rc > 0);
	if (in_len)
		memcpy(in, b, in_len);
	/* The length covers what was written, and at least the status is. */
	assert_true(b[in_len] != S_OK || (size_t)rc == in_len + 1);
	return b[in_len];
}

struct range {
	uint64_t sector;
	uint32_t sectors, flags;
};

/* ---- what every device must pass ----------------------------------------------------------------- */

static const void *suite_cfg(void)
{
	static struct blk_cfg c;

	c = plain(memory_file(SIZE));
	return &c;
}

static void suite_work(struct fakedrv *f)
{
	uint8_t a[1024], b[1024] = { 0 };

	memset(a, 0x5a, sizeof(a));
	for (unsigned q = 0; q < 2; q++) {
		a[3] = (uint8_t)q;
		assert_int_equal(ask(f, q, OUT, 3, a, sizeof(a), NULL, 0), S_OK);
		assert_int_equal(ask(f, q, IN, 3, NULL, 0, b, sizeof(b)), S_OK);
		assert_memory_equal(a, b, sizeof(a));
	}
}

static void suite_pend(struct fakedrv *f)
{
	uint8_t header[16] = { IN };

	for (unsigned i = 0; i < 8; i++) {
		struct fdv_seg s[2] = { { fdv_put(f, header, 16), 16, false },
					{ fdv_alloc(f, 4097, 8), 4097, true } };

		assert_true(fdv_add(f, 0, s, 2) >= 0);
	}
	fdv_kick(f, 0);
}

static const struct vdev_suite suite = {
	.cls = &blk_class,
	.cfg = suite_cfg,
	.work = suite_work,
	.pend = suite_pend,
	.pops = 3,
	.endless = { .q = 0, .out = 16, .in = 513, .threads = true },
};

static void begin_with(struct fakedrv *f, const struct blk_cfg *c, uint64_t features)
{
	fdv_init(f, NULL);
	assert_int_equal(fdv_create(f, &blk_class, c, NULL), 0);
	fdv_start(f, features);
}

/* ---- making one ------------------------------------------------------------------------------------- */

static void test_create(void **state)
{
	static const struct {
		const char *why;
		uint64_t size;
		uint32_t block, phys;
		unsigned queues, queue_size;
		int rc;
	} rows[] = {
		{ "one sector", 512, 512, 0, 1, 4, 0 },
		{ "less than one sector", 511, 512, 0, 1, 4, -EINVAL },
		{ "one block of 4096", 4096, 4096, 0, 1, 4, 0 },
		{ "less than one block", 4095, 4096, 0, 1, 4, -EINVAL },
		{ "small blocks", SIZE, 256, 0, 1, 4, -EINVAL },
		{ "odd blocks", SIZE, 513, 0, 1, 4, -EINVAL },
		{ "large blocks", SIZE, 8192, 0, 1, 4, -EINVAL },
		{ "physical ones below", SIZE, 4096, 512, 1, 4, -EINVAL },
		{ "physical ones above", SIZE, 512, 4096, 1, 4, 0 },
		{ "no queue", SIZE, 512, 0, 0, 4, -EINVAL },
		{ "all queues", SIZE, 512, 0, 64, 4, 0 },
		{ "more queues", SIZE, 512, 0, 65, 4, -EINVAL },
		{ "short queues", SIZE, 512, 0, 1, 2, -EINVAL },
		{ "queue size of no power of two", SIZE, 512, 0, 1, 24, -EINVAL },
		{ "long queues", SIZE, 512, 0, 1, 1024, 0 },
		{ "longer queues", SIZE, 512, 0, 1, 2048, -EINVAL },
		{ "a size that is none", 1ull << 63, 512, 0, 1, 4, -EINVAL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct blk_cfg c = { .fd = memory_file(SIZE), .size = rows[i].size,
				     .block_size = rows[i].block, .phys_size = rows[i].phys,
				     .queues = rows[i].queues, .queue_size = rows[i].queue_size };
		struct fakedrv f;

		fdv_init(&f, NULL);
		check_row(rows[i].why, fdv_create(&f, &blk_class, &c, NULL) == rows[i].rc);
		if (rows[i].rc < 0)
			assert_int_equal(close(c.fd), 0); /* it stayed ours */
		fdv_done(&f);
	}
}

static uint64_t config(struct fakedrv *f, uint32_t off, unsigned len)
{
	uint64_t v = 0;

	vdev_config_read(f->d, off, &v, len);
	return v;
}

static void test_config(void **state)
{
	struct blk_cfg c = plain(memory_file(SIZE));
	struct fakedrv f;

	(void)state;
	c.size = SIZE + 511;
	c.phys_size = 4096;
	begin_with(&f, &c, ~0ull);
	assert_int_equal(config(&f, 0, 8), SECTORS);
	assert_int_equal(config(&f, 12, 4), 62);  /* seg_max: header and status have room too */
	assert_int_equal(config(&f, 20, 4), 512); /* blk_size */
	assert_int_equal(config(&f, 24, 1), 3);	  /* physical_block_exp */
	assert_int_equal(config(&f, CFG_WRITEBACK, 1), 1);
	assert_int_equal(config(&f, 34, 2), 2);
	assert_int_equal(config(&f, 40, 4), 1);
	fdv_done(&f);
}

/* Whole blocks are shown, not the sectors behind the last one. */
static void test_whole_blocks(void **state)
{
	struct blk_cfg c = plain(memory_file(SIZE));
	struct fakedrv f;

	(void)state;
	c.block_size = 4096;
	c.size = 4096 * 3 + 2048;
	begin_with(&f, &c, ~0ull);
	assert_int_equal(config(&f, 0, 8), 24);
	fdv_done(&f);
}

/* ---- requests ------------------------------------------------------------------------------------------ */

static void test_bounds(void **state)
{
	static const struct {
		const char *why;
		uint32_t type;
		uint64_t sector;
		size_t len;
		unsigned want;
	} rows[] = {
		{ "the first", IN, 0, 512, S_OK },
		{ "the last", IN, SECTORS - 1, 512, S_OK },
		{ "across the end", IN, SECTORS - 1, 1024, S_IOERR },
		{ "behind the end", IN, SECTORS, 512, S_IOERR },
		{ "behind the end, nothing", IN, SECTORS + 1, 0, S_IOERR },
		{ "sector * 512 is 0 again", IN, 1ull << 55, 512, S_IOERR },
		{ "sector + 1 is 0", IN, UINT64_MAX, 512, S_IOERR },
		{ "no whole sector", IN, 0, 511, S_IOERR },
		{ "write the last", OUT, SECTORS - 1, 512, S_OK },
		{ "write across the end", OUT, SECTORS - 1, 1024, S_IOERR },
		{ "write at sector * 512 that is 0 again", OUT, 1ull << 55, 512, S_IOERR },
		{ "write no whole sector", OUT, 0, 513, S_IOERR },
		{ "secure erase", SECURE_ERASE, 0, 16, S_UNSUPP },
		{ "unknown", 77, 0, 0, S_UNSUPP },
		{ "flush", FLUSH, UINT64_MAX, 0, S_OK },
	};
	struct blk_cfg c = plain(memory_file(SIZE));
	uint8_t data[1024] = { 1 };
	struct fakedrv f;

	(void)state;
	begin_with(&f, &c, ~0ull);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bool in = rows[i].type == IN;
		unsigned got = ask(&f, 0, rows[i].type, rows[i].sector, data, in ? 0 : rows[i].len, data,
				   in ? rows[i].len : 0);

		check_row(rows[i].why, got == rows[i].want);
		assert_false(fdv_needs_reset(&f));
	}
	fdv_done(&f);
}

static void test_ranges(void **state)
{
	static const struct {
		const char *why;
		uint32_t type;
		struct range r;
		size_t len;
		unsigned want;
	} rows[] = {
		{ "discard all", DISCARD, { 0, SECTORS, 0 }, 16, S_OK },
		{ "discard one more", DISCARD, { 1, SECTORS, 0 }, 16, S_IOERR },
		{ "discard that wraps", DISCARD, { UINT64_MAX, 2, 0 }, 16, S_IOERR },
		{ "discard at sector * 512 = 0", DISCARD, { 1ull << 55, 1, 0 }, 16, S_IOERR },
		{ "discard with unmap", DISCARD, { 0, 1, 1 }, 16, S_UNSUPP },
		{ "discard of nothing", DISCARD, { 0, 0, 0 }, 16, S_OK },
		{ "no range", DISCARD, { 0, 1, 0 }, 0, S_IOERR },
		{ "half a range", DISCARD, { 0, 1, 0 }, 15, S_IOERR },
		{ "more ranges than told", DISCARD, { 0, 1, 0 }, 32, S_IOERR },
		{ "zero all", ZEROES, { 0, SECTORS, 0 }, 16, S_OK },
		{ "zero with unmap", ZEROES, { 0, SECTORS, 1 }, 16, S_OK },
		{ "zero with an unknown flag", ZEROES, { 0, 1, 2 }, 16, S_UNSUPP },
		{ "zero one more", ZEROES, { 0, SECTORS + 1, 0 }, 16, S_IOERR },
		{ "zero beyond what was told", ZEROES, { 0, UINT32_MAX, 0 }, 16, S_IOERR },
	};
	struct blk_cfg c = plain(memory_file(SIZE));
	uint8_t ones[4096], back[4096];
	struct fakedrv f;
	struct stat st;
	int fd = dup(c.fd);

	(void)state;
	memset(ones, 1, sizeof(ones));
	begin_with(&f, &c, ~0ull);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint8_t buf[32] = { 0 };
		bool zero = rows[i].type == ZEROES && rows[i].want == S_OK;

		memcpy(buf, &rows[i].r, 16);
		memcpy(buf + 16, &rows[i].r, 16);
		assert_int_equal(ask(&f, 0, OUT, 8, ones, sizeof(ones), NULL, 0), S_OK);
		check_row(rows[i].why,
			  ask(&f, 0, rows[i].type, 0, buf, rows[i].len, NULL, 0) == rows[i].want);
		assert_int_equal(ask(&f, 0, IN, 8, NULL, 0, back, sizeof(back)), S_OK);
		if (rows[i].want != S_OK)
			check_row(rows[i].why, memcmp(ones, back, sizeof(back)) == 0);
		for (size_t k = 0; zero && k < sizeof(back); k++)
			assert_int_equal(back[k], 0);
	}
	/* Given back: the file takes no room. */
	assert_int_equal(ask(&f, 0, OUT, 8, ones, sizeof(ones), NULL, 0), S_OK);
	assert_int_equal(ask(&f, 0, DISCARD, 0, &rows[0].r, 16, NULL, 0), S_OK);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_blocks, 0);
	assert_int_equal(st.st_size, SIZE);
	close(fd);
	fdv_done(&f);
}

/* The most that one request may cover, on a disk that has more. */
static void test_long_range(void **state)
{
	struct blk_cfg c = plain(memory_file(3ul << 30));
	struct range r = { 0, 1u << 22, 0 };
	struct fakedrv f;

	(void)state;
	c.size = 3ul << 30;
	begin_with(&f, &c, ~0ull);
	assert_int_equal(config(&f, 36, 4), r.sectors);
	assert_int_equal(config(&f, 48, 4), r.sectors);
	assert_int_equal(ask(&f, 0, DISCARD, 0, &r, 16, NULL, 0), S_OK);
	r.sectors++;
	assert_int_equal(ask(&f, 0, DISCARD, 0, &r, 16, NULL, 0), S_IOERR);
	assert_int_equal(ask(&f, 0, ZEROES, 0, &r, 16, NULL, 0), S_IOERR);
	fdv_done(&f);
}

/* Features that the driver did not take. */
static void test_without(void **state)
{
	const struct range r = { 0, 8, 0 };
	struct blk_cfg c = plain(memory_file(SIZE));
	struct fakedrv f;
	uint8_t b[512];

	(void)state;
	begin_with(&f, &c, 0);
	assert_int_equal(ask(&f, 0, FLUSH, 0, NULL, 0, NULL, 0), S_UNSUPP);
	assert_int_equal(ask(&f, 0, DISCARD, 0, &r, 16, NULL, 0), S_UNSUPP);
	assert_int_equal(ask(&f, 0, ZEROES, 0, &r, 16, NULL, 0), S_UNSUPP);
	assert_int_equal(ask(&f, 0, IN, 0, NULL, 0, b, 512), S_OK);
	fdv_done(&f);
}

static void test_readonly(void **state)
{
	struct blk_cfg c = plain(memory_file(SIZE));
	const struct range r = { 0, 8, 0 };
	uint8_t b[512] = { 7 }, z[512] = { 0 };
	struct fakedrv f;

	(void)state;
	c.readonly = true;
	/* Whether the driver takes the feature or not; the descriptor itself can be written to. */
	for (unsigned i = 0; i < 2; i++) {
		c.fd = i ? memory_file(SIZE) : c.fd;
		begin_with(&f, &c, i ? 0 : ~0ull);
		assert_true(f.d->offered & VIRTIO_F_BIT(F_RO));
		assert_false(f.d->offered & VIRTIO_F_BIT(F_DISCARD));
		assert_int_equal(ask(&f, 0, OUT, 0, b, 512, NULL, 0), S_IOERR);
		assert_int_equal(ask(&f, 0, DISCARD, 0, &r, 16, NULL, 0), S_UNSUPP);
		assert_int_equal(ask(&f, 0, IN, 0, NULL, 0, b, 512), S_OK);
		assert_memory_equal(b, z, 512);
		b[0] = 7;
		fdv_done(&f);
	}
}

static void test_id(void **state)
{
	struct blk_cfg c = plain(memory_file(SIZE));
	char id[24] = "";
	struct fakedrv f;

	(void)state;
	begin_with(&f, &c, ~0ull);
	assert_int_equal(ask(&f, 0, GET_ID, 0, NULL, 0, id, 20), S_OK);
	assert_string_equal(id, "serial-of-20-bytes-x");
	memset(id, 0, sizeof(id));
	assert_int_equal(ask(&f, 0, GET_ID, 0, NULL, 0, id, 4), S_OK);
	assert_string_equal(id, "seri");
	fdv_done(&f);
}

/* Shapes of chains that break the specification but leave room for a status, and those that do not. */
static void test_shapes(void **state)
{
	static const struct {
		const char *why;
		uint32_t out, in; /* bytes that the device may read and write */
		uint32_t type;
		int want; /* -1: the device needs a reset */
	} rows[] = {
		{ "half a header", 15, 1, IN, S_IOERR },
		{ "no header", 0, 513, IN, S_IOERR },
		{ "no status", 16, 0, FLUSH, -1 },
		{ "no status behind data", 16 + 512, 0, OUT, -1 },
		{ "a write with room to read into", 16 + 512, 513, OUT, S_IOERR },
		{ "a read with data", 16 + 512, 513, IN, S_IOERR },
		{ "a status alone", 0, 1, IN, S_IOERR },
	};
	struct fakedrv f;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct blk_cfg c = plain(memory_file(SIZE));
		struct fdv_seg s[2];
		uint8_t out[1024] = { (uint8_t)rows[i].type };
		uint16_t head;
		uint32_t len;
		gpa_t in;
		unsigned n = 0;

		begin_with(&f, &c, ~0ull);
		in = fdv_alloc(&f, 2048, 8);
		memset(fdv_ptr(&f, in, 2048), S_NONE, 2048);
		if (rows[i].out)
			s[n++] = (struct fdv_seg){ fdv_put(&f, out, rows[i].out), rows[i].out, false };
		if (rows[i].in)
			s[n++] = (struct fdv_seg){ in, rows[i].in, true };
		assert_true(fdv_add(&f, 0, s, n) >= 0);
		fdv_kick(&f, 0);
		if (rows[i].want >= 0)
			check_row(rows[i].why, fdv_wait_used(&f, 0, &head, &len, 20000));
		fdv_run(&f, 200);
		check_row(rows[i].why, fdv_needs_reset(&f) == (rows[i].want < 0));
		if (rows[i].want >= 0)
			check_row(rows[i].why,
				  ((uint8_t *)fdv_ptr(&f, in, 2048))[rows[i].in - 1] == rows[i].want);
		fdv_done(&f);
	}
}

/* Data in many pieces, by an indirect table: as many as told are fine, one more is that request's error. */
static void test_pieces(void **state)
{
	struct blk_cfg c = plain(memory_file(SECTORS * 512 * 8));
	uint8_t header[16] = { IN };
	struct fakedrv f;
	uint16_t head;
	uint32_t len;

	(void)state;
	c.size = SECTORS * 512 * 8;
	c.queue_size = 1024;
	begin_with(&f, &c, ~0ull);
	for (unsigned n = 254; n <= 255; n++) {
		struct fdv_seg s[257] = { { fdv_put(&f, header, 16), 16, false } };
		gpa_t status = fdv_alloc(&f, 1, 1);

		for (unsigned i = 1; i <= n; i++)
			s[i] = (struct fdv_seg){ fdv_alloc(&f, 512, 8), 512, true };
		s[n + 1] = (struct fdv_seg){ status, 1, true };
		assert_true(fdv_add_indirect(&f, 0, s, n + 2) >= 0);
		fdv_kick(&f, 0);
		assert_true(fdv_wait_used(&f, 0, &head, &len, 1000));
		assert_int_equal(*(uint8_t *)fdv_ptr(&f, status, 1), n == 254 ? S_OK : S_IOERR);
	}
	fdv_done(&f);
}

/* ---- the host ------------------------------------------------------------------------------------------ */

static void host_errors(bool no_uring)
{
	struct blk_cfg c = plain(open("/dev/full", O_RDWR | O_CLOEXEC));
	struct blk_counters n;
	struct fakedrv f;
	uint8_t b[512] = { 0 };

	assert_true(c.fd >= 0);
	c.no_uring = no_uring;
	begin_with(&f, &c, ~0ull);
	assert_int_equal(ask(&f, 0, OUT, 0, b, 512, NULL, 0), S_IOERR); /* ENOSPC */
	assert_int_equal(ask(&f, 0, IN, 0, NULL, 0, b, 512), S_OK);
	assert_int_equal(ask(&f, 0, FLUSH, 0, NULL, 0, NULL, 0), S_IOERR); /* EINVAL */
	assert_false(fdv_needs_reset(&f));
	blk_counters(f.d, &n);
	assert_int_equal(n.errors, 2);
	assert_int_equal(n.read_bytes, 512);
	fdv_done(&f);
}

static void test_host_errors(void **state)
{
	(void)state;
	host_errors(false);
	host_errors(true);
}

/* The file became shorter: what is gone is an error, what is there is not. */
static void test_truncated(void **state)
{
	(void)state;
	for (unsigned no_uring = 0; no_uring < 2; no_uring++) {
		struct blk_cfg c = plain(memory_file(SIZE));
		int fd = dup(c.fd);
		struct fakedrv f;
		uint8_t b[1024];

		c.no_uring = no_uring;
		begin_with(&f, &c, ~0ull);
		assert_int_equal(ftruncate(fd, 512), 0);
		assert_int_equal(ask(&f, 0, IN, 0, NULL, 0, b, 512), S_OK);
		assert_int_equal(ask(&f, 0, IN, 0, NULL, 0, b, 1024), S_IOERR);
		assert_int_equal(ask(&f, 0, IN, 8, NULL, 0, b, 512), S_IOERR);
		close(fd);
		fdv_done(&f);
	}
}

/* ---- state ----------------------------------------------------------------------------------------------- */

static void test_writeback(void **state)
{
	struct blk_cfg c = plain(memory_file(SIZE));
	const uint8_t off = 0;
	struct fakedrv f;

	(void)state;
	begin_with(&f, &c, ~0ull);
	vdev_config_write(f.d, CFG_WRITEBACK, &off, 1);
	assert_int_equal(config(&f, CFG_WRITEBACK, 1), 0);
	fdv_reset(&f);
	assert_int_equal(config(&f, CFG_WRITEBACK, 1), 1);
	fdv_start(&f, ~VIRTIO_F_BIT(F_CONFIG_WCE));
	vdev_config_write(f.d, CFG_WRITEBACK, &off, 1); /* not the driver's to write */
	assert_int_equal(config(&f, CFG_WRITEBACK, 1), 1);
	fdv_done(&f);
}

/* Zeros are as safe as data: at once, where the driver has no cache to flush. What is discarded is nobody's. */
static void test_zeros_are_written_through(void **state)
{
	static const struct {
		const char *why;
		uint64_t without; /* features */
		uint8_t writeback;
		unsigned want;
	} rows[] = {
		{ "a cache", 0, 1, 0 },
		{ "none, as the driver has set", 0, 0, 1 },
		{ "a cache that is always there", VIRTIO_F_BIT(F_CONFIG_WCE), 1, 0 },
		{ "none that it knows of", VIRTIO_F_BIT(F_CONFIG_WCE) | VIRTIO_F_BIT(F_FLUSH), 1, 1 },
	};
	struct blk_cfg c = plain(memory_file(SIZE));
	struct fakedrv f;

	(void)state;
	begin_with(&f, &c, ~0ull);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct range r = { 0, 8, 0 };

		fdv_reset(&f);
		fdv_start(&f, ~rows[i].without);
		vdev_config_write(f.d, CFG_WRITEBACK, &rows[i].writeback, 1);
		atomic_store(&syncs, 0);
		assert_int_equal(ask(&f, 0, DISCARD, 0, &r, 16, NULL, 0), S_OK);
		check_row(rows[i].why, atomic_load(&syncs) == 0);
		assert_int_equal(ask(&f, 0, ZEROES, 0, &r, 16, NULL, 0), S_OK);
		r.flags = 1;
		assert_int_equal(ask(&f, 0, ZEROES, 0, &r, 16, NULL, 0), S_OK);
		check_row(rows[i].why, atomic_load(&syncs) == 2 * rows[i].want);
	}
	fdv_done(&f);
}

static void test_load_another(void **state)
{
	static const struct {
		const char *why;
		uint64_t size;
		const char *serial;
		int rc;
	} rows[] = {
		{ "the same", SIZE, "serial-of-20-bytes-x", 0 },
		{ "one that is smaller", SIZE - 512, "serial-of-20-bytes-x", -EINVAL },
		{ "one that is larger", SIZE + 512, "serial-of-20-bytes-x", -EINVAL },
		{ "another serial", SIZE, "another", -EINVAL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct buf out = BUF_INIT(MIB(1));
		struct blk_cfg c = plain(memory_file(SIZE));
		struct snap_w w = { .b = &out };
		struct snap_r r;
		struct fakedrv f;

		begin_with(&f, &c, ~0ull);
		assert_int_equal(fdv_quiesce(&f, NULL), 0);
		assert_int_equal(fdv_save(&f, &w, NULL), 0);
		fdv_destroy(&f);
		c.fd = memory_file(SIZE);
		c.size = rows[i].size;
		memset(c.serial, 0, sizeof(c.serial));
		memcpy(c.serial, rows[i].serial, strlen(rows[i].serial));
		assert_int_equal(fdv_create(&f, &blk_class, &c, NULL), 0);
		assert_int_equal(snap_r_init(&r, out.data, out.len, NULL), 0);
		check_row(rows[i].why, fdv_load(&f, &r, NULL) == rows[i].rc);
		fdv_done(&f);
		buf_free(&out);
	}
}

/* More requests than there are jobs, on many queues: every one is answered. */
static void test_flood(void **state)
{
	struct blk_cfg c = plain(memory_file(SIZE));
	uint8_t header[16] = { IN };
	const struct fdv_opts o = { .queue_size = 256 };
	unsigned done = 0;
	struct fakedrv f;
	uint16_t head;
	uint32_t len;
	gpa_t h, data;

	(void)state;
	c.queues = 4;
	c.queue_size = 256;
	fdv_init(&f, &o);
	assert_int_equal(fdv_create(&f, &blk_class, &c, NULL), 0);
	fdv_start(&f, ~0ull);
	h = fdv_put(&f, header, 16);
	data = fdv_alloc(&f, 4097, 8);
	for (unsigned q = 0; q < 4; q++)
		for (unsigned i = 0; i < 128; i++) {
			struct fdv_seg s[2] = { { h, 16, false }, { data, 4097, true } };

			assert_true(fdv_add(&f, q, s, 2) >= 0);
		}
	for (unsigned q = 0; q < 4; q++)
		fdv_kick(&f, q);
	for (unsigned turns = 0; done < 512 && turns < 1000; turns++) {
		for (unsigned q = 0; q < 4; q++)
			while (fdv_used(&f, q, &head, &len))
				done++;
		fdv_run(&f, 10);
	}
	assert_int_equal(done, 512);
	fdv_done(&f);
}

/* A flood is slowed to the rate, whatever the queue; a reset does not refill. */
static void test_rate(void **state)
{
	struct blk_cfg c = plain(memory_file(SIZE));
	uint64_t start = io_now_ns();
	struct fakedrv f;
	uint8_t b[4096];

	(void)state;
	c.rate.bytes = (struct rate_bucket_cfg){ .size = 8192, .refill_ms = 50 };
	begin_with(&f, &c, ~0ull);
	for (unsigned i = 0; i < 8; i++) { /* 2 and a debt of one at once, 5 at 82 a second: 125 ms */
		if (i == 4) {
			fdv_reset(&f);
			fdv_start(&f, ~0ull);
		}
		assert_int_equal(ask(&f, i & 1, IN, 0, NULL, 0, b, sizeof(b)), S_OK);
	}
	assert_true(io_now_ns() - start >= 120000000u);
	fdv_done(&f);
}

/* A whole ring that waited for tokens and is over at once: nothing of it is in flight that would bring the device back, and
 * the driver, which was told that it need not kick, adds one more. */
static void test_rate_whole_ring(void **state)
{
	struct blk_cfg c = plain(memory_file(SIZE));
	uint8_t header[16] = { GET_ID }, b[8192];
	struct fdv_seg s[2];
	struct fakedrv f;
	uint64_t begin;
	uint16_t head;
	uint32_t len;

	(void)state;
	c.queue_size = 8;
	c.rate.bytes = (struct rate_bucket_cfg){ .size = 4096, .refill_ms = 500 };
	fdv_init(&f, &(struct fdv_opts){ .queue_size = 8 });
	assert_int_equal(fdv_create(&f, &blk_class, &c, NULL), 0);
	fdv_start(&f, ~0ull);
	begin = io_now_ns();
	assert_int_equal(ask(&f, 0, IN, 0, NULL, 0, b, sizeof(b)), S_OK);
	s[0] = (struct fdv_seg){ fdv_put(&f, header, 16), 16, false };
	s[1] = (struct fdv_seg){ fdv_alloc(&f, 21, 8), 21, true };
	for (unsigned i = 0; i < 8; i++)
		assert_true(fdv_add_indirect(&f, 0, s, 2) >= 0);
	fdv_kick(&f, 0);
	for (unsigned i = 0; i < 8; i++) {
		assert_true(fdv_wait_used(&f, 0, &head, &len, 20000));
		assert_true(io_now_ns() - begin >= 490000000u);
	}
	assert_true(fdv_add_indirect(&f, 0, s, 2) >= 0);
	assert_true(fdv_wait_used(&f, 0, &head, &len, 20000));
	assert_int_equal(fdv_avail_event(&f, 0), f.q[0].avail_idx);
	fdv_done(&f);
}

/* A turn that ends with its ring's worth, of requests that the disk hears nothing of: nothing comes back that would bring
 * the next turn. */
static void test_rate_and_a_ring_of_one(void **state)
{
	const struct fdv_opts o = { .queue_size = 1 };
	struct blk_cfg c = plain(memory_file(SIZE));
	struct fakedrv f;

	(void)state;
	c.rate.bytes = (struct rate_bucket_cfg){ .size = 4096, .refill_ms = 20 };
	fdv_init(&f, &o);
	assert_int_equal(fdv_create(&f, &blk_class, &c, NULL), 0);
	fdv_start(&f, ~0ull);
	for (unsigned i = 0; i < 6; i++) {
		uint8_t header[16] = { i % 3 ? GET_ID : IN };
		struct fdv_seg s[2] = { { fdv_put(&f, header, 16), 16, false }, { fdv_alloc(&f, 8193, 8), 8193, true } };
		uint16_t head;
		uint32_t len;

		assert_int_equal(fdv_add_indirect(&f, 0, s, 2), 0);
		fdv_kick(&f, 0);
		assert_true(fdv_wait_used(&f, 0, &head, &len, 5000));
	}
	fdv_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VDEV_SUITE_TESTS(&suite),
		cmocka_unit_test(test_create),
		cmocka_unit_test(test_config),
		cmocka_unit_test(test_whole_blocks),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_long_range),
		cmocka_unit_test(test_without),
		cmocka_unit_test(test_readonly),
		cmocka_unit_test(test_id),
		cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_host_errors),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_writeback),
		cmocka_unit_test(test_zeros_are_written_through),
		cmocka_unit_test(test_load_another),
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_rate_whole_ring),
		cmocka_unit_test(test_rate_and_a_ring_of_one),
	};

	return cmocka_run_group_tests_name("blk", tests, NULL, NULL);
}
