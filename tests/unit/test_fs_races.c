// SPDX-License-Identifier: Apache-2.0
/*
 * Two guests on one directory, one of which swaps directories and links to the outside while the
 * other walks: on one server, on two, and against somebody on the host. Nothing outside is ever
 * reached. And several guests' worth of anything at once, under sanitizers.
 */
#include "tests/unit/fs_setup.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "vmm/fs/fs_internal.h"

/* HUSK_RACE_SECONDS: longer. */
static unsigned race_seconds(void)
{
	const char *s = getenv("HUSK_RACE_SECONDS");

	return s ? (unsigned)strtoul(s, NULL, 10) : 2;
}

struct guest {
	struct fusecli c;
	uint64_t root;
	struct fsfix *f;
	atomic_bool *stop;
	unsigned seed, tries;
	atomic_uint hits;
	pthread_t thread;
};

static unsigned rnd(struct guest *g, unsigned n)
{
	g->seed = g->seed * 1103515245u + 12345u;
	return (g->seed >> 8) % n;
}

/* --- the attackers -------------------------------------------------------------------- */
/* d is a directory or one of several links to the outside, by turns; d/sub as well. */
static const char *const decoys[] = { "abs", "up", "root" };

static void plant(struct fsfix *f)
{
	char target[160];

	assert_int_equal(mkdirat(f->share_fd, "d", 0777), 0);
	assert_int_equal(mkdirat(f->share_fd, "d/sub", 0777), 0);
	fsfix_host_file(f, "d/secret", "inside", 0666);
	fsfix_host_file(f, "d/sub/secret", "inside", 0666);
	snprintf(target, sizeof(target), "%s/outside", f->base);
	assert_int_equal(symlinkat(target, f->share_fd, "abs"), 0);
	assert_int_equal(symlinkat("../outside", f->share_fd, "up"), 0);
	assert_int_equal(symlinkat("/", f->share_fd, "root"), 0);
	assert_int_equal(symlinkat("../../outside", f->share_fd, "sublink"), 0);
	fsfix_host_file(f, "file", "inside", 0666);
}

static void *attack_from_host(void *arg)
{
	struct guest *g = arg;

	while (!atomic_load(g->stop)) {
		const char *l = decoys[rnd(g, ARRAY_SIZE(decoys))];

		renameat2(g->f->share_fd, "d", g->f->share_fd, l, RENAME_EXCHANGE);
		renameat2(g->f->share_fd, "d/sub", g->f->share_fd, "sublink", RENAME_EXCHANGE);
		renameat2(g->f->share_fd, "d", g->f->share_fd, l, RENAME_EXCHANGE);
		renameat2(g->f->share_fd, "file", g->f->share_fd, "d", RENAME_EXCHANGE);
		renameat2(g->f->share_fd, "file", g->f->share_fd, "d", RENAME_EXCHANGE);
	}
	return NULL;
}

static void *attack_from_guest(void *arg)
{
	struct guest *g = arg;
	struct fuse_entry_out e;

	while (!atomic_load(g->stop)) {
		const char *l = decoys[rnd(g, ARRAY_SIZE(decoys))];

		fc_rename(&g->c, g->root, "d", g->root, l, RENAME_EXCHANGE);
		fc_rename(&g->c, g->root, "d", g->root, l, RENAME_EXCHANGE);
		if (fc_lookup(&g->c, g->root, "d", &e) == 0 && e.nodeid) {
			fc_rename(&g->c, e.nodeid, "sub", g->root, "sublink", RENAME_EXCHANGE);
			fc_rename(&g->c, e.nodeid, "sub", g->root, "sublink", RENAME_EXCHANGE);
			fc_forget(&g->c, e.nodeid, 1);
		}
		fc_rename(&g->c, g->root, "file", g->root, "d", RENAME_EXCHANGE);
		fc_rename(&g->c, g->root, "file", g->root, "d", RENAME_EXCHANGE);
	}
	return NULL;
}

/* --- the one that walks ------------------------------------------------------------------ */
static void look_into(struct guest *g, uint64_t node)
{
	char buf[32] = "";
	uint64_t fh;

	if (fc_open(&g->c, node, O_RDWR, &fh) < 0)
		return;
	if (fc_read(&g->c, node, fh, 0, buf, 31) > 0) {
		assert_string_equal(buf, "inside");
		atomic_fetch_add(&g->hits, 1);
	}
	fc_write(&g->c, node, fh, 0, "inside", 6, 0, 0);
	fc_release(&g->c, node, fh, false);
}

/* Everything that takes a name or changes a file, with a directory that may be a link by now. */
static void use_dir(struct guest *g, uint64_t dir)
{
	struct fuse_setattr_in chmod_in = { .valid = FATTR_MODE | FATTR_UID, .mode = 0777 };
	struct fuse_entry_out e;
	uint64_t fh;

	if (fc_create(&g->c, dir, "new", O_RDWR | O_EXCL, 0600, &e, &fh) == 0) {
		fc_release(&g->c, e.nodeid, fh, false);
		fc_setxattr(&g->c, e.nodeid, "user.x", "y", 1, 0);
		fc_forget(&g->c, e.nodeid, 1);
	}
	if (fc_mkdir(&g->c, dir, "newdir", 0700, &e) == 0)
		fc_forget(&g->c, e.nodeid, 1);
	if (fc_symlink(&g->c, dir, "newlink", "/etc", &e) == 0)
		fc_forget(&g->c, e.nodeid, 1);
	fc_setattr(&g->c, dir, &chmod_in);
	fc_named(&g->c, FUSE_UNLINK, dir, NULL, 0, "new");
	fc_named(&g->c, FUSE_UNLINK, dir, NULL, 0, "newlink");
	fc_named(&g->c, FUSE_RMDIR, dir, NULL, 0, "newdir");
	if (fc_opendir(&g->c, dir, &fh) == 0) {
		struct fuse_read_in in = { .fh = fh, .size = 4096 };

		fc_fixed(&g->c, FUSE_READDIRPLUS, dir, in);
		fc_release(&g->c, dir, fh, true);
	}
}

static void *walk(void *arg)
{
	static const char *const ways[] = { "s/d/secret", "s/d/sub/secret", "s/file" };
	static const char *const dirs[] = { "s/d", "s/d/sub" };
	struct guest *g = arg;
	uint64_t node;

	while (!atomic_load(g->stop)) {
		g->tries++;
		if (fc_walk(&g->c, ways[rnd(g, ARRAY_SIZE(ways))], &node) == 0) {
			look_into(g, node);
			fc_forget(&g->c, node, 1);
		}
		if (fc_walk(&g->c, dirs[rnd(g, ARRAY_SIZE(dirs))], &node) == 0) {
			use_dir(g, node);
			fc_forget(&g->c, node, 1);
		}
	}
	return NULL;
}

static void guest_init(struct guest *g, struct fsfix *f, struct fs_server *s, atomic_bool *stop)
{
	struct fuse_entry_out e;

	memset(g, 0, sizeof(*g));
	g->f = f;
	g->stop = stop;
	g->seed = (unsigned)(uintptr_t)g;
	g->c.s = s;
	assert_int_equal(fc_lookup(&g->c, FUSE_ROOT_ID, "s", &e), 0);
	g->root = e.nodeid;
}

static bool all_hit(struct guest *g, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (atomic_load(&g[i].hits) < 10)
			return false;
	return true;
}

/* @n guests, the last of which attacks (by @attack) for @seconds; longer, where the others had no processor by then. */
static void race(struct guest *g, unsigned n, void *(*attack)(void *), unsigned seconds)
{
	const struct timespec t = { .tv_sec = seconds };

	for (unsigned i = 0; i < n; i++)
		assert_int_equal(
			pthread_create(&g[i].thread, NULL, i == n - 1 ? attack : walk, &g[i]), 0);
	nanosleep(&t, NULL);
	for (unsigned i = 0; i < 600 && !all_hit(g, n - 1); i++)
		usleep(100000);
	atomic_store(g->stop, true);
	for (unsigned i = 0; i < n; i++)
		pthread_join(g[i].thread, NULL);
	for (unsigned i = 0; i < n - 1; i++)
		if (atomic_load(&g[i].hits) < 10)
			fail_msg("only %u of %u walks got there", atomic_load(&g[i].hits), g[i].tries);
}

/* Two descriptors at a time: nearly every step opens its directories anew, by name. */
static const struct fs_server_cfg few_fds = { .max_nodes = 10000,
					      .max_handles = 1000,
					      .max_fds = 2,
					      .attr_timeout = 1,
					      .entry_timeout = 1,
					      .proc_fd = -1 };

static void run_races(bool two_servers, void *(*attack)(void *))
{
	struct guest *g = calloc(3, sizeof(*g));
	struct fsfix *f = calloc(1, sizeof(*f));
	struct fs_server *other = NULL;
	atomic_bool stop = false;

	assert_true(g && f);
	fsfix_init(f, NULL, &few_fds, 0);
	plant(f);
	for (unsigned i = 0; i < 2; i++)
		guest_init(&g[i], f, f->c.s, &stop);
	if (two_servers) {
		static struct fusecli boot;

		assert_int_equal(fs_server_new(&other, &few_fds, NULL), 0);
		assert_int_equal(
			fs_share_add(other, "s", openat(f->share_fd, ".", O_PATH), 0, NULL), 0);
		boot.s = other;
		assert_int_equal(fc_init(&boot), 0);
	}
	guest_init(&g[2], f, two_servers ? other : f->c.s, &stop);
	race(g, 3, attack, race_seconds());
	assert_true(fsfix_outside_intact(f));
	fs_server_free(other);
	fsfix_done(f);
	free(f);
	free(g);
}

static void one_server(void **state)
{
	(void)state;
	run_races(false, attack_from_guest);
}

static void two_servers(void **state)
{
	(void)state;
	run_races(true, attack_from_guest);
}

static void the_host(void **state)
{
	(void)state;
	run_races(false, attack_from_host);
}

/* --- anything at once ---------------------------------------------------------------------- */
#define NUMBERS 64

struct shared {
	atomic_ullong node[NUMBERS], fh[NUMBERS];
};

static struct shared common;

static uint64_t any_node(struct guest *g)
{
	return rnd(g, 10) ? atomic_load(&common.node[rnd(g, NUMBERS)]) : g->root + rnd(g, 50);
}

static uint64_t any_fh(struct guest *g)
{
	return atomic_load(&common.fh[rnd(g, NUMBERS)]);
}

static void keep(struct guest *g, const struct fuse_entry_out *e)
{
	atomic_store(&common.node[rnd(g, NUMBERS)], e->nodeid);
}

static void step(struct guest *g)
{
	char name[4] = { (char)('a' + rnd(g, 6)), 0 }, to[4] = { (char)('a' + rnd(g, 6)), 0 };
	uint64_t a = any_node(g), b = any_node(g), fh = any_fh(g), got;
	struct fuse_setattr_in size = { .valid = FATTR_SIZE | FATTR_FH, .fh = fh, .size = 100 };
	struct fuse_flush_in flush = { .fh = fh, .lock_owner = rnd(g, 4) };
	struct fuse_entry_out e;
	struct fuse_attr attr;
	char buf[64];

	switch (rnd(g, 16)) {
	case 0:
		if (fc_mkdir(&g->c, a, name, 0755, &e) == 0)
			keep(g, &e);
		break;
	case 1:
	case 2:
		if (fc_create(&g->c, a, name, O_RDWR, 0644, &e, &got) == 0) {
			keep(g, &e);
			atomic_store(&common.fh[rnd(g, NUMBERS)], got);
		}
		break;
	case 3:
		if (fc_lookup(&g->c, a, name, &e) == 0 && e.nodeid)
			keep(g, &e);
		break;
	case 4:
		if (fc_open(&g->c, a, O_RDWR, &got) == 0)
			atomic_store(&common.fh[rnd(g, NUMBERS)], got);
		break;
	case 5:
		fc_release(&g->c, a, fh, rnd(g, 2));
		break;
	case 6:
		fc_write(&g->c, a, fh, rnd(g, 100), "data", 4, 0, rnd(g, 2) ? O_APPEND : 0);
		break;
	case 7:
		fc_read(&g->c, a, fh, 0, buf, sizeof(buf));
		break;
	case 8:
		fc_named(&g->c, rnd(g, 2) ? FUSE_UNLINK : FUSE_RMDIR, a, NULL, 0, name);
		break;
	case 9:
		fc_rename(&g->c, a, name, b, to, rnd(g, 3) ? 0 : RENAME_EXCHANGE);
		break;
	case 10:
		fc_forget(&g->c, a, rnd(g, 3) ? 1 : UINT64_MAX);
		break;
	case 11:
		fc_link(&g->c, a, name, b, &e);
		break;
	case 12:
		fc_lock(&g->c, FUSE_SETLK, a, fh, rnd(g, 4), rnd(g, 3), 0, rnd(g, 9),
			rnd(g, 2) ? FUSE_LK_FLOCK : 0);
		break;
	case 13:
		fc_fixed(&g->c, FUSE_FLUSH, a, flush);
		break;
	case 14:
		fc_setattr(&g->c, a, &size);
		break;
	default:
		fc_getattr(&g->c, a, &attr);
	}
}

static void *anything(void *arg)
{
	struct guest *g = arg;
	struct fuse_entry_out e;

	while (!atomic_load(g->stop)) {
		step(g);
		if (++g->tries % 64 == 0 && fc_lookup(&g->c, FUSE_ROOT_ID, "s", &e) == 0)
			keep(g, &e);
	}
	return NULL;
}

/* The driver ends its session, and shares go and come, in the middle of it. */
static void *restless(void *arg)
{
	struct guest *g = arg;

	while (!atomic_load(g->stop)) {
		const struct timespec nap = { .tv_nsec = 2000000 };

		nanosleep(&nap, NULL);
		if (rnd(g, 2)) {
			fc_named(&g->c, FUSE_DESTROY, 0, NULL, 0, NULL);
			fc_init(&g->c);
		} else {
			int fd = openat(g->f->share_fd, ".", O_PATH);

			assert_int_equal(fs_share_remove(g->c.s, "s", NULL), 0);
			assert_int_equal(fs_share_add(g->c.s, "s", fd, 0, NULL), 0);
		}
	}
	return NULL;
}

static void everything_at_once(void **state)
{
	const struct timespec t = { .tv_sec = race_seconds() };
	struct fsfix *f = calloc(1, sizeof(*f));
	struct guest *g = calloc(4, sizeof(*g));
	unsigned fds = fsfix_count_fds();
	atomic_bool stop = false;

	(void)state;
	assert_true(g && f);
	fsfix_init(f, NULL, &few_fds, 0);
	for (unsigned i = 0; i < 4; i++)
		guest_init(&g[i], f, f->c.s, &stop);
	for (unsigned i = 0; i < 4; i++)
		pthread_create(&g[i].thread, NULL, i == 3 ? restless : anything, &g[i]);
	nanosleep(&t, NULL);
	atomic_store(&stop, true);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(g[i].thread, NULL);
	fs_server_reset(f->c.s);
	assert_true(fs_server_idle(f->c.s)); /* no count went wrong */
	assert_true(fsfix_outside_intact(f));
	fsfix_done(f);
	assert_int_equal(fsfix_count_fds(), fds);
	free(f);
	free(g);
}

/* --- a look-up that is overtaken ---------------------------------------------------------- */
static const char *slow_name; /* whoever looks for it … */
static atomic_bool slow_seen, slow_over; /* … has seen it, and stands still until this, or for … */
static unsigned slow_ms;

static const char *gone_name; /* goes before anybody sees it … */
static int gone_from; /* … from this directory; -1: comes again at once, each time */

/* The server's, in the place of the C library's. */
int statx(int dirfd, const char *restrict path, int flags, unsigned mask, struct statx *restrict st)
{
	bool gone = gone_name && strcmp(path, gone_name) == 0;
	int rc;

	if (gone && gone_from < 0) {
		errno = ENOENT;
		return -1;
	}
	if (gone)
		unlinkat(gone_from, path, 0);
	rc = (int)syscall(SYS_statx, dirfd, path, flags, mask, st);
	if (rc == 0 && slow_name && strcmp(path, slow_name) == 0 && !atomic_exchange(&slow_seen, true))
		for (unsigned i = 0; i < slow_ms && !atomic_load(&slow_over); i++)
			nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	return rc;
}

static void *look_slowly(void *arg)
{
	struct guest *g = arg;
	struct fuse_entry_out e;

	if (fc_lookup(&g->c, g->root, slow_name, &e) == 0 && e.nodeid)
		fc_forget(&g->c, e.nodeid, 1);
	return NULL;
}

static void begin_slowly(struct guest *g, const char *name, unsigned ms)
{
	slow_name = name;
	slow_ms = ms;
	atomic_store(&slow_seen, false);
	atomic_store(&slow_over, false);
	assert_int_equal(pthread_create(&g->thread, NULL, look_slowly, g), 0);
	while (!atomic_load(&slow_seen))
		sched_yield();
}

static void end_slowly(struct guest *g)
{
	atomic_store(&slow_over, true);
	assert_int_equal(pthread_join(g->thread, NULL), 0);
	slow_name = NULL;
	fs_fds_shrink(g->c.s, UINT32_MAX);
}

/* What it saw is not true any more when it is noted. */
static void overtaken(void **state)
{
	struct guest *g = calloc(1, sizeof(*g));
	struct fuse_entry_out to, dir, file, e;
	struct fsfix *f = *state;
	struct fuse_attr a;

	assert_non_null(g);
	assert_int_equal(fc_mkdir(&f->c, f->root, "to", 0700, &to), 0);
	assert_int_equal(fc_mkdir(&f->c, f->root, "dir", 0700, &dir), 0);
	assert_int_equal(fc_mknod(&f->c, dir.nodeid, "in", S_IFREG | 0600, 0, &e), 0);
	assert_int_equal(fc_mknod(&f->c, f->root, "file", S_IFREG | 0600, 0, &file), 0);
	g->c.s = f->c.s;
	g->root = f->root;

	begin_slowly(g, "dir", 100);
	assert_int_equal(fc_rename(&f->c, f->root, "dir", to.nodeid, "moved", 0), 0);
	end_slowly(g);
	assert_int_equal(fc_lookup(&f->c, dir.nodeid, "in", &e), 0);

	begin_slowly(g, "file", 100);
	assert_int_equal(fc_named(&f->c, FUSE_UNLINK, f->root, NULL, 0, "file"), 0);
	end_slowly(g);
	assert_int_equal(fc_getattr(&f->c, file.nodeid, &a), 0);
	assert_int_equal(a.nlink, 0);
	free(g);
}

/* A lock file of the host's was there when the guest made it, and was gone when it should have been opened. */
static void made_and_gone(void **state)
{
	struct fsfix *f = *state;
	struct fuse_entry_out e;
	uint64_t fh;
	int rc;

	fsfix_host_file(f, "lock", "", 0600);
	gone_from = -1;
	gone_name = "lock";
	rc = fc_create(&f->c, f->root, "lock", O_RDWR, 0600, &e, &fh);
	gone_name = NULL;
	assert_int_equal(rc, -ESTALE); /* and not for ever */

	gone_from = f->share_fd;
	gone_name = "lock";
	rc = fc_create(&f->c, f->root, "lock", O_RDWR | O_EXCL, 0600, &e, &fh);
	assert_int_equal(rc, -EEXIST);
	rc = fc_create(&f->c, f->root, "lock", O_RDWR, 0600, &e, &fh);
	gone_name = NULL;
	assert_int_equal(rc, 0);
	assert_int_equal(host_stat(f, "lock").st_ino, e.attr.ino);
	assert_int_equal(fc_release(&f->c, e.nodeid, fh, false), 0);
}

/* One share's file system hangs: names of another go meanwhile, and it goes itself. */
static void hanging_share(void **state)
{
	struct guest *g = calloc(1, sizeof(*g));
	struct fuse_entry_out other, dir, e;
	struct fsfix *f = *state;

	assert_non_null(g);
	assert_int_equal(mkdirat(f->share_fd, "hangs", 0700), 0);
	assert_int_equal(fs_share_add(f->c.s, "o", openat(f->share_fd, ".", O_PATH), 0, NULL), 0);
	assert_int_equal(fc_lookup(&f->c, FUSE_ROOT_ID, "o", &other), 0);
	assert_int_equal(fc_mkdir(&f->c, other.nodeid, "dir", 0700, &dir), 0);
	assert_int_equal(fc_mknod(&f->c, dir.nodeid, "file", S_IFREG | 0600, 0, &e), 0);
	g->c.s = f->c.s;
	g->root = f->root;

	begin_slowly(g, "hangs", UINT_MAX);
	alarm(60); /* which ends the program, where they wait for each other */
	assert_int_equal(fc_rename(&f->c, dir.nodeid, "file", other.nodeid, "moved", 0), 0);
	assert_int_equal(fc_named(&f->c, FUSE_UNLINK, other.nodeid, NULL, 0, "moved"), 0);
	assert_int_equal(fc_named(&f->c, FUSE_RMDIR, other.nodeid, NULL, 0, "dir"), 0);
	assert_int_equal(fs_share_remove(f->c.s, "o", NULL), 0);
	alarm(0);
	end_slowly(g);
	free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_server),
		cmocka_unit_test(two_servers),
		cmocka_unit_test(the_host),
		cmocka_unit_test(everything_at_once),
		FS_TEST(overtaken),
		FS_TEST(made_and_gone),
		FS_TEST(hanging_share),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
