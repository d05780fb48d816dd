// SPDX-License-Identifier: Apache-2.0
/* The backend of disks, by io_uring and by threads; and how its file is opened. */
#include "tests/unit/check.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/diskfile.h"
#include "vmm/backend/disk.h"

#define SIZE 65536u

struct seen {
	unsigned done, batches;
};

static void on_done(void *arg, struct disk_io *io)
{
	struct seen *s = arg;

	if (io)
		s->done++;
	else
		s->batches++;
}

static struct disk *make(struct evloop **loop, int fd, bool no_uring, unsigned align, struct seen *s)
{
	const struct disk_cfg cfg = { .fd = fd, .no_uring = no_uring, .align = align };
	struct disk *d;

	assert_int_equal(evloop_new(loop, NULL), 0);
	assert_int_equal(disk_new(&d, *loop, &cfg, on_done, s, NULL), 0);
	return d;
}

/* Waits by the loop, as a device does: for the end of a batch, too, which follows what the host did at once. */
static void finish(struct evloop *l, struct disk *d, const struct seen *s, unsigned n)
{
	disk_push(d);
	for (unsigned i = 0; (s->done < n || !s->batches) && i < 2000; i++)
		evloop_turn(l, 10);
	assert_int_equal(s->done, n);
	assert_true(s->batches > 0);
}

static int one(struct evloop *l, struct disk *d, struct seen *s, struct disk_io *io)
{
	s->done = 0;
	disk_submit(d, io);
	finish(l, d, s, 1);
	return io->rc;
}

static void test_data(void **state)
{
	(void)state;
	for (unsigned no_uring = 0; no_uring < 2; no_uring++) {
		char out[3000], in[3000] = "";
		struct iovec w[2] = { { out, 1000 }, { out + 1000, 2000 } };
		struct iovec r[3] = { { in, 1 }, { in + 1, 1500 }, { in + 1501, 1499 } };
		struct disk_io io = { .op = DISK_WRITE, .off = 512, .len = 3000, .iov = w, .niov = 2 };
		struct seen s = { 0 };
		struct evloop *l;
		int fd = memfd_create("disk", MFD_CLOEXEC);
		struct disk *d;

		for (size_t i = 0; i < sizeof(out); i++)
			out[i] = (char)(i * 7);
		assert_int_equal(ftruncate(fd, SIZE), 0);
		d = make(&l, fd, no_uring, 0, &s);
		if (no_uring)
			assert_false(disk_has_uring(d));
		io.sync = true;
		assert_int_equal(one(l, d, &s, &io), 0);
		io = (struct disk_io){ .op = DISK_FLUSH };
		assert_int_equal(one(l, d, &s, &io), 0);
		io = (struct disk_io){ .op = DISK_READ, .off = 512, .len = 3000, .iov = r, .niov = 3 };
		assert_int_equal(one(l, d, &s, &io), 0);
		assert_memory_equal(in, out, sizeof(out));
		io = (struct disk_io){ .op = DISK_READ, .off = SIZE - 100, .len = 3000,
				       .iov = (struct iovec[]){ { in, 3000 } }, .niov = 1 };
		assert_int_equal(one(l, d, &s, &io), -EIO); /* past the end of the file */
		disk_free(d);
		evloop_free(l);
	}
}

/* Zeros where the file system cannot make them: the file is of one that knows no ranges of zeros. */
static void test_zero(void **state)
{
	(void)state;
	for (unsigned unmap = 0; unmap < 2; unmap++) {
		int fd = memfd_create("disk", MFD_CLOEXEC);
		_cleanup_close_ int mine = dup(fd);
		struct disk_io io = { .op = DISK_ZERO, .unmap = unmap, .off = 4096, .len = 8192 };
		struct seen s = { 0 };
		char b[SIZE];
		struct evloop *l;
		struct disk *d;
		struct stat st;

		memset(b, 1, sizeof(b));
		assert_int_equal(pwrite(mine, b, SIZE, 0), SIZE);
		d = make(&l, fd, false, 0, &s);
		assert_int_equal(one(l, d, &s, &io), 0);
		assert_int_equal(pread(mine, b, SIZE, 0), SIZE);
		for (unsigned i = 0; i < SIZE; i++)
			assert_int_equal(b[i], i < 4096 || i >= 4096 + 8192);
		assert_int_equal(fstat(mine, &st), 0);
		assert_int_equal(st.st_blocks, (SIZE - (unmap ? 8192 : 0)) / 512);
		disk_free(d);
		evloop_free(l);
	}
}

/* Memory that O_DIRECT would refuse, and offsets that it takes. */
static void test_unaligned(void **state)
{
	char name[] = "/var/tmp/husk-disk-XXXXXX", *mem = NULL;
	int made = mkostemp(name, O_CLOEXEC), fd;
	struct seen s = { 0 };
	struct evloop *l;
	struct disk *d;

	(void)state;
	assert_true(made >= 0);
	assert_int_equal(ftruncate(made, 1 << 20), 0);
	fd = open(name, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (fd < 0) /* a file system without it: the copying is the same */
		fd = open(name, O_RDWR | O_CLOEXEC);
	unlink(name);
	close(made);
	assert_int_equal(posix_memalign((void **)&mem, 4096, 4 << 17), 0);
	d = make(&l, fd, false, 4096, &s);
	for (unsigned shift = 0; shift < 4; shift += 3) { /* 160 KiB: more than one piece */
		char *out = mem + shift, *in = mem + (1 << 18) + shift;
		struct iovec w[2] = { { out, 4096 }, { out + 4096, 159744 - 4096 } }, r = { in, 159744 };
		struct disk_io io = { .op = DISK_WRITE, .off = 8192, .len = 159744, .iov = w, .niov = 2 };

		for (unsigned i = 0; i < 159744; i++)
			out[i] = (char)(i * 31 + shift);
		assert_int_equal(one(l, d, &s, &io), 0);
		io = (struct disk_io){ .op = DISK_READ, .off = 8192, .len = 159744, .iov = &r, .niov = 1 };
		assert_int_equal(one(l, d, &s, &io), 0);
		assert_memory_equal(in, out, 159744);
	}
	disk_free(d);
	evloop_free(l);
	free(mem);
}

/* As many as there may be, drained without the loop; and freed with all of them in flight. */
static void test_depth(void **state)
{
	static struct disk_io io[DISK_DEPTH_MAX];
	static char b[DISK_DEPTH_MAX][512];
	static struct iovec v[DISK_DEPTH_MAX];

	(void)state;
	for (unsigned no_uring = 0; no_uring < 2; no_uring++)
		for (unsigned drain = 0; drain < 2; drain++) {
			int fd = memfd_create("disk", MFD_CLOEXEC);
			struct seen s = { 0 };
			struct evloop *l;
			struct disk *d;

			assert_int_equal(ftruncate(fd, SIZE), 0);
			d = make(&l, fd, no_uring, 0, &s);
			for (unsigned i = 0; i < DISK_DEPTH_MAX; i++) {
				v[i] = (struct iovec){ b[i], 512 };
				io[i] = (struct disk_io){ .op = i % 8 ? DISK_READ : DISK_FLUSH,
							  .off = i % 64 * 512, .len = 512,
							  .iov = &v[i], .niov = 1 };
				disk_submit(d, &io[i]);
			}
			if (drain) {
				assert_int_equal(disk_drain(d, 10000), 0);
				assert_int_equal(s.done, DISK_DEPTH_MAX);
			}
			disk_free(d);
			assert_int_equal(s.done, drain ? DISK_DEPTH_MAX : 0);
			evloop_free(l);
		}
}

/* ---- opening ------------------------------------------------------------------------------------------- */

/* Left with requests in flight, or none: the descriptor and the requests' memory go when the last is over. */
static void test_leave(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct disk_io *io = calloc(8, sizeof(*io));
		static char out[SIZE];
		struct iovec w[8];
		struct seen s = { 0 };
		struct evloop *l;
		int fd = memfd_create("disk", MFD_CLOEXEC);
		struct disk *d;

		assert_int_equal(ftruncate(fd, SIZE), 0);
		d = make(&l, fd, i & 1, 0, &s);
		for (unsigned k = 0; i & 2 && k < 8; k++) {
			w[k] = (struct iovec){ out, SIZE };
			io[k] = (struct disk_io){ .op = DISK_WRITE, .len = SIZE, .iov = &w[k], .niov = 1 };
			disk_submit(d, &io[k]);
		}
		if (!(i & 1))
			disk_push(d);
		s = (struct seen){ 0 };
		disk_leave(d, io);
		for (unsigned k = 0; fcntl(fd, F_GETFD) >= 0 && k < 2000; k++)
			evloop_turn(l, 10);
		assert_true(fcntl(fd, F_GETFD) < 0);
		assert_int_equal(s.done + s.batches, 0);
		evloop_free(l);
	}
}

static void test_open(void **state)
{
	static const struct {
		const char *why, *path;
		unsigned flags;
		int rc;
		const char *text;
	} rows[] = {
		{ "a file", "file", 0, 0, NULL },
		{ "one that is not there", "none", 0, -ENOENT, "cannot open none" },
		{ "a directory", "/", DISKFILE_READONLY, -EINVAL, "neither a file nor a block device" },
		{ "a character device", "/dev/null", 0, -EINVAL, "neither a file nor a block device" },
		{ "an empty file", "empty", 0, -ENODATA, "empty is empty" },
		{ "a FIFO", "fifo", DISKFILE_READONLY, -EINVAL, "neither a file nor a block device" },
	};
	char name[] = "/var/tmp/husk-disk-XXXXXX";
	_cleanup_close_ int dir = -1;
	_cleanup_close_ int fd = -1;

	(void)state;
	assert_non_null(mkdtemp(name));
	dir = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = openat(dir, "file", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, 5000), 0);
	close(openat(dir, "empty", O_CREAT | O_RDWR | O_CLOEXEC, 0600));
	assert_int_equal(mkfifoat(dir, "fifo", 0600), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct diskfile d = { .fd = -1 };
		struct err e = ERR_INIT;

		check_row(rows[i].why, diskfile_open(&d, dir, rows[i].path, rows[i].flags, &e) == rows[i].rc);
		if (rows[i].text)
			check_row(rows[i].why, strstr(e.msg, rows[i].text));
		if (rows[i].rc == 0) {
			assert_int_equal(d.size, 5000);
			assert_int_equal(d.block_size, 512);
		}
		close_and_reset(&d.fd);
	}
	unlinkat(dir, "file", 0);
	unlinkat(dir, "empty", 0);
	unlinkat(dir, "fifo", 0);
	rmdir(name);
}

static void test_lock(void **state)
{
	static const struct {
		const char *why;
		unsigned first, second;
		int rc;
	} rows[] = {
		{ "two writers", 0, 0, -EBUSY },
		{ "a reader beside a writer", 0, DISKFILE_READONLY, -EBUSY },
		{ "a writer beside a reader", DISKFILE_READONLY, 0, -EBUSY },
		{ "two readers", DISKFILE_READONLY, DISKFILE_READONLY, 0 },
		{ "two writers, one by its bytes", DISKFILE_LOCK_RANGE, 0, -EBUSY },
	};
	char name[] = "/var/tmp/husk-disk-XXXXXX";
	int fd = mkostemp(name, O_CLOEXEC);

	(void)state;
	assert_int_equal(ftruncate(fd, 4096), 0);
	close(fd);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct diskfile a = { .fd = -1 }, b = { .fd = -1 };
		struct err e = ERR_INIT;
		int copy;

		assert_int_equal(diskfile_open(&a, AT_FDCWD, name, rows[i].first, NULL), 0);
		copy = dup(a.fd); /* as the machine has it */
		close_and_reset(&a.fd);
		check_row(rows[i].why, diskfile_open(&b, AT_FDCWD, name, rows[i].second, &e) == rows[i].rc);
		if (rows[i].rc)
			assert_non_null(strstr(e.msg, "is in use by another machine"));
		close_and_reset(&b.fd);
		close(copy);
		assert_int_equal(diskfile_open(&b, AT_FDCWD, name, 0, NULL), 0);
		close_and_reset(&b.fd);
	}
	unlink(name);
}

static void *close_later(void *arg)
{
	nanosleep(&(struct timespec){ .tv_nsec = 30000000 }, NULL);
	close(*(int *)arg);
	return NULL;
}

/* A machine that has ended, whose file the kernel still has for a moment. */
static void test_lock_of_the_dead(void **state)
{
	char name[] = "/var/tmp/husk-disk-XXXXXX";
	int fd = mkostemp(name, O_CLOEXEC);
	struct diskfile a = { .fd = -1 }, b = { .fd = -1 };
	pthread_t thread;

	(void)state;
	assert_int_equal(ftruncate(fd, 4096), 0);
	close(fd);
	assert_int_equal(diskfile_open(&a, AT_FDCWD, name, 0, NULL), 0);
	assert_int_equal(pthread_create(&thread, NULL, close_later, &a.fd), 0);
	assert_int_equal(diskfile_open(&b, AT_FDCWD, name, 0, NULL), 0);
	pthread_join(thread, NULL);
	close_and_reset(&b.fd);
	unlink(name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_data),
		cmocka_unit_test(test_zero),
		cmocka_unit_test(test_unaligned),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_leave),
		cmocka_unit_test(test_lock_of_the_dead),
		cmocka_unit_test(test_open),
		cmocka_unit_test(test_lock),
	};

	return cmocka_run_group_tests_name("disk", tests, NULL, NULL);
}
