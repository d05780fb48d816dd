// SPDX-License-Identifier: Apache-2.0
/* The virtio-fs device over a server with one share: rings, workers, waiting locks, state. */
#include "tests/unit/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "tests/lib/fsfix.h"
#include "tests/lib/vdev_suite.h"
#include "vmm/virtio/fs_internal.h"

#define QUEUES 3 /* request queues, 1 … 3 */

static struct fsfix fix; /* its server is the device's; its client is used before the device is */
static uint64_t next_unique = 1;

/* One request over queue @q: the reply's error; the body in @out. */
static int ask(struct fakedrv *f, unsigned q, uint32_t op, uint64_t node, const void *arg,
	       size_t len, void *out, size_t out_len)
{
	static uint8_t req[8192], reply[8192];
	struct fuse_in_header h = { .len = (uint32_t)(sizeof(h) + len),
				    .opcode = op,
				    .unique = next_unique++,
				    .nodeid = node };
	struct fuse_out_header oh;
	int n;

	memcpy(req, &h, sizeof(h));
	if (len)
		memcpy(req + sizeof(h), arg, len);
	fdv_free_all(f);
	n = fdv_request(f, q, req, h.len, reply, sizeof(oh) + out_len);
	assert_true(n >= (int)sizeof(oh));
	memcpy(&oh, reply, sizeof(oh));
	assert_int_equal(oh.len, n);
	assert_int_equal(oh.unique, h.unique);
	if (out && oh.error == 0)
		memcpy(out, reply + sizeof(oh), out_len);
	return oh.error;
}

/* Mounts: INIT, look the share up. */
static uint64_t mount(struct fakedrv *f)
{
	struct fuse_init_in in = { .major = 7, .minor = 41, .flags = ~0u, .flags2 = ~0u };
	struct fuse_init_out out;
	struct fuse_entry_out e;

	assert_int_equal(ask(f, 1, FUSE_INIT, 0, &in, sizeof(in), &out, sizeof(out)), 0);
	assert_int_equal(out.max_write, FS_MAX_WRITE);
	assert_int_equal(ask(f, 1, FUSE_LOOKUP, FUSE_ROOT_ID, "s", 2, &e, sizeof(e)), 0);
	return e.nodeid;
}

/* Opens the file @name, which an earlier mount may have made. */
static uint64_t create(struct fakedrv *f, uint64_t dir, const char *name, uint64_t *ret_fh)
{
	uint8_t arg[sizeof(struct fuse_create_in) + 256];
	struct fuse_open_in in = { .flags = O_RDWR };
	struct {
		struct fuse_entry_out e;
		struct fuse_open_out o;
	} out;
	int rc;

	memcpy(arg, &(struct fuse_create_in){ .flags = O_RDWR, .mode = 0600 },
	       sizeof(struct fuse_create_in));
	strcpy((char *)arg + sizeof(struct fuse_create_in), name);
	rc = ask(f, 1, FUSE_CREATE, dir, arg, sizeof(struct fuse_create_in) + strlen(name) + 1, &out, sizeof(out));
	if (rc == -ESTALE) {
		assert_int_equal(ask(f, 1, FUSE_LOOKUP, dir, name, strlen(name) + 1, &out.e, sizeof(out.e)), 0);
		rc = ask(f, 1, FUSE_OPEN, out.e.nodeid, &in, sizeof(in), &out.o, sizeof(out.o));
	}
	assert_int_equal(rc, 0);
	*ret_fh = out.o.fh;
	return out.e.nodeid;
}

static int write_some(struct fakedrv *f, uint64_t node, uint64_t fh, const char *text)
{
	uint8_t arg[sizeof(struct fuse_write_in) + 256];
	struct fuse_write_in in = { .fh = fh, .size = (uint32_t)strlen(text) };
	struct fuse_write_out out;

	memcpy(arg, &in, sizeof(in));
	memcpy(arg + sizeof(in), text, in.size);
	assert_int_equal(ask(f, 2, FUSE_WRITE, node, arg, sizeof(in) + in.size, &out, sizeof(out)),
			 0);
	return (int)out.size;
}

static void forget(struct fakedrv *f, uint64_t node)
{
	struct {
		struct fuse_in_header h;
		struct fuse_forget_in in;
	} req = {
		.h = { .len = sizeof(req),
		       .opcode = FUSE_FORGET,
		       .nodeid = node,
		       .unique = next_unique++ },
		.in = { .nlookup = 1 },
	};

	assert_int_equal(fdv_request(f, 0, &req, sizeof(req), NULL, 0), 0);
}

/* A mount from beginning to end. */
static void work(struct fakedrv *f)
{
	char text[5] = "";
	struct fuse_release_in rel = { 0 };
	struct fuse_fsync_in sync = { 0 };
	struct fuse_read_in rd = { .size = 5 };
	uint64_t root = mount(f), node, fh;

	node = create(f, root, "file", &fh);
	rd.fh = rel.fh = sync.fh = fh;
	assert_int_equal(write_some(f, node, fh, "hello"), 5);
	assert_int_equal(ask(f, 3, FUSE_FSYNC, node, &sync, sizeof(sync), NULL, 0), 0);
	assert_int_equal(ask(f, 3, FUSE_READ, node, &rd, sizeof(rd), text, 5), 0);
	assert_memory_equal(text, "hello", 5);
	assert_int_equal(ask(f, 1, FUSE_RELEASE, node, &rel, sizeof(rel), NULL, 0), 0);
	forget(f, node);
	forget(f, root);
	assert_int_equal(ask(f, 1, FUSE_DESTROY, 0, NULL, 0, NULL, 0), 0);
}

static const void *cfg(void)
{
	static struct fs_dev_cfg c = { .tag = "husk", .queues = QUEUES };

	c.server = fix.c.s;
	fs_server_reset(fix.c.s);
	return &c;
}

/* fsync of many files, and a lock that will not be had. */
static void pend(struct fakedrv *f)
{
	struct fuse_fsync_in sync = { 0 };
	uint64_t root = mount(f), node = create(f, root, "pend", &sync.fh);
	struct {
		struct fuse_in_header h;
		struct fuse_fsync_in in;
	} req = {
		.h = { .len = sizeof(req), .opcode = FUSE_FSYNC, .nodeid = node, .unique = 77 },
		.in = sync,
	};
	struct fdv_seg seg[2] = { { fdv_put(f, &req, sizeof(req)), sizeof(req), false },
				  { fdv_alloc(f, 16, 8), 16, true } };

	for (unsigned i = 0; i < 8; i++)
		assert_true(fdv_add(f, 2, seg, 2) >= 0);
	fdv_kick(f, 2);
}

static const struct vdev_suite suite = {
	.cls = &fs_dev_class,
	.cfg = cfg,
	.work = work,
	.pend = pend,
	.pops = 0xf,
	.endless = { .q = 1, .out = 64, .in = 64, .threads = true },
};

static int group_setup(void **state)
{
	(void)state;
	fsfix_init(&fix, NULL, NULL, 0);
	return 0;
}

static int group_teardown(void **state)
{
	bool intact = fsfix_outside_intact(&fix);

	(void)state;
	fsfix_done(&fix);
	return intact ? 0 : -1;
}

static void begin(struct fakedrv *f)
{
	fdv_init(f, NULL);
	assert_int_equal(fdv_create(f, &fs_dev_class, cfg(), NULL), 0);
	fdv_start(f, ~0ull);
}

static void configuration(void **state)
{
	struct fs_dev_cfg bad = { .tag = "", .queues = 1, .server = fix.c.s };
	uint8_t c[40];
	struct fakedrv f;

	(void)state;
	fdv_init(&f, NULL);
	assert_int_equal(fdv_create(&f, &fs_dev_class, &bad, NULL), -EINVAL);
	strcpy(bad.tag, "t");
	bad.queues = FS_DEV_QUEUES_MAX + 1;
	assert_int_equal(fdv_create(&f, &fs_dev_class, &bad, NULL), -EINVAL);
	assert_int_equal(fdv_create(&f, &fs_dev_class, cfg(), NULL), 0);
	assert_int_equal(f.d->nqueues, QUEUES + 1);
	vdev_config_read(f.d, 0, c, sizeof(c));
	assert_memory_equal(c, "husk\0\0\0\0", 8);
	assert_memory_equal(c + 36, "\3\0\0\0", 4);
	fdv_done(&f);
}

/* Waits for the answer to the chain @head on queue @q: its reply's error. */
static int answer(struct fakedrv *f, unsigned q, int head, gpa_t reply, unsigned ms)
{
	struct fuse_out_header oh;
	uint16_t got;
	uint32_t len;

	if (!fdv_wait_used(f, q, &got, &len, ms))
		return -ETIMEDOUT;
	assert_int_equal(got, head);
	assert_int_equal(len, sizeof(oh));
	memcpy(&oh, fdv_ptr(f, reply, sizeof(oh)), sizeof(oh));
	return oh.error;
}

struct lockreq {
	struct fuse_in_header h;
	struct fuse_lk_in in;
};

static int send_lock(struct fakedrv *f, unsigned q, uint64_t node, uint64_t fh, uint64_t unique,
		     gpa_t *reply)
{
	struct lockreq req = {
		.h = { .len = sizeof(req),
		       .opcode = FUSE_SETLKW,
		       .nodeid = node,
		       .unique = unique },
		.in = { .fh = fh, .owner = 5, .lk = { .end = INT64_MAX, .type = F_WRLCK } },
	};
	struct fdv_seg seg[2] = { { fdv_put(f, &req, sizeof(req)), sizeof(req), false },
				  { *reply = fdv_alloc(f, 16, 8), 16, true } };
	int head = fdv_add(f, q, seg, 2);

	assert_true(head >= 0);
	fdv_kick(f, q);
	return head;
}

/* A lock of the host's is waited for without holding anything else up, until it is free or the
 * guest gives up. */
static void waiting_for_a_lock(void **state)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct fakedrv f;
	uint64_t root, node, fh;
	gpa_t reply, spare;
	int head, host;

	(void)state;
	begin(&f);
	root = mount(&f);
	node = create(&f, root, "locked", &fh);
	fdv_free_all(&f);
	host = openat(fix.share_fd, "locked", O_RDWR);
	assert_int_equal(fcntl(host, F_OFD_SETLK, &fl), 0);
	head = send_lock(&f, 1, node, fh, 1000, &reply);
	assert_int_equal(answer(&f, 1, head, reply, 30), -ETIMEDOUT);
	/* The same queue goes on. */
	{
		struct fuse_in_header h = {
			.len = 40, .opcode = FUSE_STATFS, .nodeid = 1, .unique = 9
		};
		struct fdv_seg seg[2] = { { fdv_put(&f, &h, 40), 40, false },
					  { spare = fdv_alloc(&f, 96, 8), 96, true } };
		int other = fdv_add(&f, 1, seg, 2);
		uint16_t got;
		uint32_t len;

		fdv_kick(&f, 1);
		assert_true(fdv_wait_used(&f, 1, &got, &len, 500));
		assert_int_equal(got, other);
	}
	close(host);
	assert_int_equal(answer(&f, 1, head, reply, 1000), 0);
	/* Interrupted. */
	host = openat(fix.share_fd, "locked", O_RDWR);
	{
		struct fuse_flush_in flush = { .fh = fh, .lock_owner = 5 };
		struct lockreq intr = { .h = { .len = sizeof(intr.h) + 8,
					       .opcode = FUSE_INTERRUPT } };
		struct fdv_seg seg = { gpa(0), sizeof(intr.h) + 8, false };
		uint64_t other = 4711, target = 1001;

		assert_int_equal(ask(&f, 1, FUSE_FLUSH, node, &flush, sizeof(flush), NULL, 0), 0);
		assert_int_equal(fcntl(host, F_OFD_SETLK, &fl), 0);
		head = send_lock(&f, 1, node, fh, 1001, &reply);
		memcpy(&intr.in, &other, 8);
		seg.at = fdv_put(&f, &intr, seg.len);
		assert_true(fdv_add(&f, 0, &seg, 1) >= 0);
		fdv_kick(&f, 0);
		assert_int_equal(answer(&f, 1, head, reply, 30), -ETIMEDOUT);
		memcpy(&intr.in, &target, 8);
		seg.at = fdv_put(&f, &intr, seg.len);
		assert_true(fdv_add(&f, 0, &seg, 1) >= 0);
		fdv_kick(&f, 0);
		assert_int_equal(answer(&f, 1, head, reply, 500), -EINTR);
		/* The interrupt overtakes its request. */
		target = 1002;
		memcpy(&intr.in, &target, 8);
		seg.at = fdv_put(&f, &intr, seg.len);
		head = fdv_add(&f, 0, &seg, 1);
		fdv_kick(&f, 0);
		for (unsigned i = 0, got = UINT16_MAX; got != (unsigned)head; i++) {
			uint16_t used;
			uint32_t len;

			assert_true(fdv_wait_used(&f, 0, &used, &len, 500) && i < 10);
			got = used;
		}
		head = send_lock(&f, 1, node, fh, 1002, &reply);
		assert_int_equal(answer(&f, 1, head, reply, 500), -EINTR);
	}
	close(host);
	fdv_done(&f);
}

/* More waiting locks than we keep: refused, and everything else goes on. */
static void lock_flood(void **state)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct fuse_statfs_out st;
	struct fakedrv f;
	uint64_t root, node, fh;
	unsigned refused = 0;
	gpa_t reply;
	uint16_t head;
	uint32_t len;
	int host;

	(void)state;
	fdv_init(&f, &(struct fdv_opts){ .queue_size = 256 });
	assert_int_equal(fdv_create(&f, &fs_dev_class, cfg(), NULL), 0);
	fdv_start(&f, ~0ull);
	root = mount(&f);
	node = create(&f, root, "flood", &fh);
	fdv_free_all(&f);
	host = openat(fix.share_fd, "flood", O_RDWR);
	assert_int_equal(fcntl(host, F_OFD_SETLK, &fl), 0);
	for (unsigned i = 0; i < 100; i++)
		send_lock(&f, 1, node, fh, 2000 + i, &reply);
	while (refused < 100 - 32 && fdv_wait_used(&f, 1, &head, &len, 20000))
		refused++;
	assert_int_equal(refused, 100 - 32);
	fdv_run(&f, 50);
	assert_false(fdv_used(&f, 1, &head, &len));
	assert_int_equal(ask(&f, 2, FUSE_STATFS, 1, NULL, 0, &st, sizeof(st)), 0);
	assert_int_equal(vdev_quiesce(f.d, NULL), 0);
	vdev_resume(f.d);
	close(host);
	while (refused < 100 && fdv_wait_used(&f, 1, &head, &len, 20000))
		refused++;
	assert_int_equal(refused, 100);
	fdv_done(&f);
}

static void interrupt(struct fakedrv *f, gpa_t at, uint64_t unique)
{
	struct {
		struct fuse_in_header h;
		struct fuse_interrupt_in in;
	} req = { .h = { .len = sizeof(req), .opcode = FUSE_INTERRUPT },
		  .in = { .unique = unique } };
	struct fdv_seg seg = { at, sizeof(req), false };
	uint16_t head;
	uint32_t len;

	memcpy(fdv_ptr(f, at, sizeof(req)), &req, sizeof(req));
	assert_true(fdv_add(f, 0, &seg, 1) >= 0);
	fdv_kick(f, 0);
	assert_true(fdv_wait_used(f, 0, &head, &len, 500));
	assert_int_equal(len, 0);
}

/* Waiting locks, and interrupts for everything but them, between requests on all queues: nothing
 * else is held up, and only what an interrupt names ends. */
static void interrupt_storm(void **state)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct fakedrv f;
	uint64_t root, node, fh;
	gpa_t reply[32], at;
	uint16_t head;
	uint32_t len;
	int host;

	(void)state;
	fdv_init(&f, &(struct fdv_opts){ .queue_size = 256 });
	assert_int_equal(fdv_create(&f, &fs_dev_class, cfg(), NULL), 0);
	fdv_start(&f, ~0ull);
	root = mount(&f);
	node = create(&f, root, "storm", &fh);
	fdv_free_all(&f);
	host = openat(fix.share_fd, "storm", O_RDWR);
	assert_int_equal(fcntl(host, F_OFD_SETLK, &fl), 0);
	at = fdv_alloc(&f, 64, 8);
	for (unsigned i = 0; i < ARRAY_SIZE(reply); i++)
		send_lock(&f, 1 + i % QUEUES, node, fh, 7000 + i, &reply[i]);
	for (unsigned i = 0; i < 10000; i++) {
		uint64_t unique = i * 0x9e3779b97f4a7c15ull;

		interrupt(&f, at, unique - 7000 < 32 ? 0 : unique);
		if (i % 100 == 0)
			fdv_run(&f, 0);
	}
	for (unsigned q = 1; q <= QUEUES; q++)
		assert_false(fdv_used(&f, q, &head, &len));
	for (unsigned i = 0; i < ARRAY_SIZE(reply); i++) {
		struct fuse_out_header oh;

		interrupt(&f, at, 7000 + i);
		assert_true(fdv_wait_used(&f, 1 + i % QUEUES, &head, &len, 500));
		memcpy(&oh, fdv_ptr(&f, reply[i], sizeof(oh)), sizeof(oh));
		assert_int_equal(oh.unique, 7000 + i);
		assert_int_equal(oh.error, -EINTR);
	}
	close(host);
	fdv_done(&f);
}

/* A mount that stays: files are looked up and open. */
static void work_open(struct fakedrv *f)
{
	struct fuse_open_in in = { .flags = O_RDONLY };
	struct fuse_open_out out;
	uint64_t root, node, fh;

	ask(f, 1, FUSE_DESTROY, 0, NULL, 0, NULL, 0); /* whatever was before */
	root = mount(f);
	node = create(f, root, "stays", &fh);
	assert_int_equal(write_some(f, node, fh, "hello"), 5);
	create(f, root, "too", &fh);
	assert_int_equal(ask(f, 2, FUSE_OPENDIR, root, &in, sizeof(in), &out, sizeof(out)), 0);
}

static void pend_open(struct fakedrv *f)
{
	ask(f, 1, FUSE_DESTROY, 0, NULL, 0, NULL, 0);
	pend(f);
}

static const struct vdev_suite suite_open = {
	.cls = &fs_dev_class,
	.cfg = cfg,
	.work = work_open,
	.pend = pend_open,
	.pops = 0xf,
	.endless = { .q = 1, .out = 64, .in = 64, .threads = true },
};

/* Open files go on in another device; a lock that is waited for is named as the reason. */
static void state_of_a_mount(void **state)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct buf b = BUF_INIT(MIB(1));
	struct snap_w w = { .b = &b };
	struct err e = ERR_INIT;
	struct fuse_read_in rd = { .size = 5 };
	uint64_t root, node, fh;
	struct fakedrv f;
	struct snap_r r;
	char text[5];
	uint16_t head;
	uint32_t len;
	gpa_t reply;
	int host;

	(void)state;
	begin(&f);
	root = mount(&f);
	node = create(&f, root, "goes on", &fh);
	assert_int_equal(write_some(&f, node, fh, "hello"), 5);
	host = openat(fix.share_fd, "goes on", O_RDWR);
	assert_int_equal(fcntl(host, F_OFD_SETLK, &fl), 0);
	fdv_free_all(&f);
	send_lock(&f, 1, node, fh, 1000, &reply);
	assert_int_equal(vdev_quiesce(f.d, NULL), 0);
	assert_int_equal(vdev_save(f.d, &w, &e), -EBUSY);
	vdev_resume(f.d);
	close(host);
	assert_true(fdv_wait_used(&f, 1, &head, &len, 20000));
	assert_int_equal(vdev_quiesce(f.d, NULL), 0);
	assert_int_equal(vdev_save(f.d, &w, &e), -EBUSY);
	assert_non_null(strstr(e.msg, "'goes on'"));
	assert_non_null(strstr(e.msg, "locked"));
	vdev_resume(f.d);
	{
		struct fuse_flush_in flush = { .fh = fh, .lock_owner = 5 };

		assert_int_equal(ask(&f, 1, FUSE_FLUSH, node, &flush, sizeof(flush), NULL, 0), 0);
	}
	assert_int_equal(vdev_quiesce(f.d, NULL), 0);
	buf_free(&b);
	assert_int_equal(vdev_save(f.d, &w, &e), 0);
	fdv_destroy(&f);
	assert_int_equal(fdv_create(&f, &fs_dev_class, cfg(), NULL), 0);
	assert_int_equal(snap_r_init(&r, b.data, b.len, NULL), 0);
	if (vdev_load(f.d, &r, &e) < 0)
		fail_msg("%s", e.msg);
	vdev_resume(f.d);
	rd.fh = fh;
	assert_int_equal(ask(&f, 1, FUSE_READ, node, &rd, sizeof(rd), text, 5), 0);
	assert_memory_equal(text, "hello", 5);
	buf_free(&b);
	fdv_done(&f);
}

struct bad_request {
	const char *why;
	size_t len; /* bytes that the device may read */
	uint32_t claims; /* in the header */
	size_t room; /* bytes that it may write */
	int error; /* of the reply; 1: none, the device needs a reset */
};

static const struct bad_request bad_requests[] = {
	{ "honest", 40, 40, 96, 0 },
	{ "shorter than a header", 39, 39, 96, 1 },
	{ "says that it is longer", 40, 41, 96, -EINVAL },
	{ "says that it is shorter", 48, 40, 96, -EINVAL },
	{ "a length of nothing", 40, 0, 96, -EINVAL },
	{ "no room for the reply's body", 40, 40, 95, -EINVAL },
	{ "room for the reply's header alone", 40, 40, 16, -EINVAL },
	{ "no room for a reply's header", 40, 40, 15, 1 },
};

/* What waits for the disk alone leaves the loop's thread only where the last ones took long. */
static void quick_syncs_stay(void **state)
{
	struct fuse_fsync_in sync = { 0 };
	struct fakedrv f;
	struct fs_dev *x;
	uint64_t node;

	(void)state;
	begin(&f);
	x = container_of(f.d, struct fs_dev, d);
	node = create(&f, mount(&f), "synced", &sync.fh);
	assert_int_equal(x->sync_ns, FS_SYNC_START_NS);
	x->sync_ns = FS_SYNC_INLINE_NS - 1;
	assert_int_equal(ask(&f, 1, FUSE_FSYNC, node, &sync, sizeof(sync), NULL, 0), 0);
	assert_int_equal(x->nthreads, 0);
	/* A long one counts for some time. */
	x->sync_ns = 1000000000;
	assert_int_equal(ask(&f, 1, FUSE_FSYNC, node, &sync, sizeof(sync), NULL, 0), 0);
	assert_int_equal(x->nthreads, 1);
	assert_in_range(x->sync_ns, 750000000, 2000000000);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(ask(&f, 1, FUSE_FSYNC, node, &sync, sizeof(sync), NULL, 0), 0);
	assert_in_range(x->sync_ns, 1, 750000000);
	/* And what is slow for other reasons always leaves. */
	x->sync_ns = 0;
	assert_int_equal(ask(&f, 1, FUSE_SYNCFS, node, &(struct fuse_syncfs_in){ 0 },
			     sizeof(struct fuse_syncfs_in), NULL, 0),
			 0);
	assert_int_equal(x->sync_ns, 0);
	vdev_reset(f.d);
	assert_int_equal(x->sync_ns, FS_SYNC_START_NS);
	fdv_done(&f);
}

/* A whole ring that waited for a job: with it served nothing else brings the device back, and the driver, which was told that
 * it need not kick, adds one more. */
static void starved_by_a_whole_ring(void **state)
{
	const uint64_t one = 1;
	struct fuse_in_header h = { .len = 48, .opcode = FUSE_FORGET, .nodeid = 4711 };
	uint8_t req[48] = { 0 };
	struct fs_job *job[FS_JOBS];
	struct fdv_seg seg;
	struct fakedrv f;
	struct fs_dev *x;
	uint16_t head;
	uint32_t len;

	(void)state;
	fdv_init(&f, &(struct fdv_opts){ .queue_size = 8 });
	assert_int_equal(fdv_create(&f, &fs_dev_class, cfg(), NULL), 0);
	fdv_start(&f, ~0ull);
	mount(&f);
	x = container_of(f.d, struct fs_dev, d);
	memcpy(req, &h, sizeof(h));
	seg = (struct fdv_seg){ fdv_put(&f, req, sizeof(req)), sizeof(req), false };
	/* As when workers have them all, and are done at once. */
	for (size_t i = 0; i < ARRAY_SIZE(job); i++)
		assert_non_null(job[i] = fs_job_get(x));
	for (unsigned i = 0; i < 8; i++)
		assert_true(fdv_add(&f, 0, &seg, 1) >= 0);
	fdv_kick(&f, 0);
	assert_false(fdv_used(&f, 0, &head, &len));
	for (size_t i = 0; i < ARRAY_SIZE(job); i++)
		fs_job_put(x, job[i]);
	assert_int_equal(write(x->done_src.fd, &one, sizeof(one)), sizeof(one));
	for (unsigned i = 0; i < 8; i++)
		assert_true(fdv_wait_used(&f, 0, &head, &len, 500));
	assert_true(fdv_add(&f, 0, &seg, 1) >= 0);
	assert_true(fdv_wait_used(&f, 0, &head, &len, 500));
	assert_int_equal(fdv_avail_event(&f, 0), f.q[0].avail_idx);
	fdv_done(&f);
}

static void malformed(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad_requests); i++) {
		const struct bad_request *t = &bad_requests[i];
		struct fuse_in_header h[2] = {
			{ .len = t->claims, .opcode = FUSE_STATFS, .nodeid = 1 }
		};
		struct fuse_out_header oh;
		struct fakedrv f;
		uint16_t head;
		uint32_t len;
		gpa_t reply;

		begin(&f);
		mount(&f);
		fdv_free_all(&f);
		reply = fdv_alloc(&f, t->room, 8);
		assert_true(fdv_add(&f, 1,
				    (struct fdv_seg[]){
					    { fdv_put(&f, h, t->len), (uint32_t)t->len, false },
					    { reply, (uint32_t)t->room, true } },
				    2) >= 0);
		fdv_kick(&f, 1);
		check_row(t->why, fdv_needs_reset(&f) == (t->error == 1));
		if (t->error <= 0) {
			check_row(t->why, fdv_wait_used(&f, 1, &head, &len, 500));
			memcpy(&oh, fdv_ptr(&f, reply, sizeof(oh)), sizeof(oh));
			check_row(t->why, oh.error == t->error && oh.len == len);
		}
		fdv_done(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VDEV_SUITE_TESTS(&suite),           VDEV_SUITE_TESTS(&suite_open),
		cmocka_unit_test(configuration),    cmocka_unit_test(waiting_for_a_lock),
		cmocka_unit_test(lock_flood),       cmocka_unit_test(interrupt_storm),
		cmocka_unit_test(state_of_a_mount), cmocka_unit_test(quick_syncs_stay),
		cmocka_unit_test(malformed),        cmocka_unit_test(starved_by_a_whole_ring),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
