// SPDX-License-Identifier: Apache-2.0
/*
 * The same random operations on a share, by FUSE, and on a plain directory, by system calls:
 * results and trees must be the same. With few descriptors and many nodes, so that nodes are
 * re-opened all the time. HUSK_SEED=N repeats a run.
 */
#include "tests/unit/fs_setup.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define STEPS	   30000
#define OPEN_FILES 4

static uint64_t seed_state;

static unsigned rnd(unsigned n)
{
	seed_state ^= seed_state << 13;
	seed_state ^= seed_state >> 7;
	seed_state ^= seed_state << 17;
	return (unsigned)(seed_state >> 20) % n;
}

/* A path of 1 to 4 names out of four each. */
struct path {
	char dir[16], name[4], whole[24];
};

static struct path some_path(void)
{
	struct path p = { .dir = "" };
	unsigned depth = rnd(4);

	for (unsigned i = 0; i < depth; i++) {
		size_t n = strlen(p.dir);

		snprintf(p.dir + n, sizeof(p.dir) - n, "%s%c", n ? "/" : "", 'a' + (int)rnd(4));
	}
	snprintf(p.name, sizeof(p.name), "%c", 'a' + (int)rnd(4));
	snprintf(p.whole, sizeof(p.whole), "%s%s%s", p.dir, depth ? "/" : "", p.name);
	return p;
}

struct both {
	struct fsfix f;
	int plain; /* the other directory */
	struct {
		uint64_t node, fh;
		int fd;
	} open[OPEN_FILES];
};

/* As the guest's kernel does: each directory on the way must be one. */
static int walk(struct both *b, const char *path, uint64_t *ret)
{
	char whole[32];

	snprintf(whole, sizeof(whole), "s%s%s", *path ? "/" : "", path);
	return fc_walk(&b->f.c, whole, ret);
}

static int sys(int rc)
{
	return rc < 0 ? -errno : 0;
}

/* The plain side never follows a link on the way: a link's name is given to no operation as
 * directory. */
static bool through_link(struct both *b, const char *dir)
{
	char part[32];
	struct stat st;

	for (size_t i = 1; i <= strlen(dir); i++) {
		if (dir[i] && dir[i] != '/')
			continue;
		snprintf(part, sizeof(part), "%.*s", (int)i, dir);
		if (fstatat(b->plain, part, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode))
			return true;
	}
	return false;
}

enum {
	MKDIR_,
	CREATE_,
	SYMLINK_,
	UNLINK_,
	RMDIR_,
	LINK_,
	RENAME_,
	NOREPLACE_,
	EXCHANGE_,
	SETATTR_,
	STAT_,
	OPEN_,
	IO_,
	FORGET_,
	OPS
};

static int plain_op(struct both *b, unsigned op, const struct path *p, const struct path *to,
		    unsigned v)
{
	struct stat st;
	int rc;

	switch (op) {
	case MKDIR_:
		return sys(mkdirat(b->plain, p->whole, 0755));
	case CREATE_:
		rc = openat(b->plain, p->whole, O_RDWR | O_CREAT | O_EXCL, 0644);
		if (rc >= 0)
			close(rc);
		return sys(rc);
	case SYMLINK_:
		return sys(symlinkat("a/b", b->plain, p->whole));
	case UNLINK_:
		return sys(unlinkat(b->plain, p->whole, 0));
	case RMDIR_:
		return sys(unlinkat(b->plain, p->whole, AT_REMOVEDIR));
	case LINK_:
		return sys(linkat(b->plain, p->whole, b->plain, to->whole, 0));
	case RENAME_:
	case NOREPLACE_:
	case EXCHANGE_:
		return sys(renameat2(b->plain, p->whole, b->plain, to->whole,
				     op == RENAME_	? 0
				     : op == NOREPLACE_ ? RENAME_NOREPLACE
							: RENAME_EXCHANGE));
	case SETATTR_:
		return sys(fchownat(b->plain, p->whole, v, v, AT_SYMLINK_NOFOLLOW));
	default:
		return sys(fstatat(b->plain, p->whole, &st, AT_SYMLINK_NOFOLLOW));
	}
}

static int fuse_op(struct both *b, unsigned op, const struct path *p, const struct path *to,
		   unsigned v)
{
	struct fuse_setattr_in own = { .valid = FATTR_UID | FATTR_GID, .uid = v, .gid = v };
	struct fusecli *c = &b->f.c;
	uint64_t dir, node, to_dir, fh;
	struct fuse_entry_out e;
	struct fuse_attr a;
	int rc = walk(b, p->dir, &dir);

	if (rc < 0)
		return rc;
	if ((op == LINK_ || op >= SETATTR_) && (rc = walk(b, p->whole, &node)) < 0)
		return rc;
	if (op >= LINK_ && op <= EXCHANGE_ && (rc = walk(b, to->dir, &to_dir)) < 0)
		return rc;
	switch (op) {
	case MKDIR_:
		return fc_mkdir(c, dir, p->name, 0755, &e);
	case CREATE_:
		rc = fc_create(c, dir, p->name, O_RDWR | O_EXCL, 0644, &e, &fh);
		return rc < 0 ? rc : fc_release(c, e.nodeid, fh, false);
	case SYMLINK_:
		return fc_symlink(c, dir, p->name, "a/b", &e);
	case UNLINK_:
	case RMDIR_:
		return fc_named(c, op == UNLINK_ ? FUSE_UNLINK : FUSE_RMDIR, dir, NULL, 0, p->name);
	case LINK_:
		return fc_link(c, to_dir, to->name, node, &e);
	case RENAME_:
	case NOREPLACE_:
	case EXCHANGE_:
		return fc_rename(c, dir, p->name, to_dir, to->name,
				 op == RENAME_	    ? 0
				 : op == NOREPLACE_ ? RENAME_NOREPLACE
						    : RENAME_EXCHANGE);
	case SETATTR_:
		return fc_setattr(c, node, &own);
	default:
		return fc_getattr(c, node, &a);
	}
}

/* Which of several errors comes first is the guest kernel's affair: it looks both directories up
 * before it asks for anything. */
static bool same_result(int fuse, int plain)
{
	return fuse == plain || (fuse < 0 && plain < 0);
}

/* Opens the path on both sides in the place of another open file. */
static void open_both(struct both *b, const struct path *p)
{
	unsigned i = rnd(OPEN_FILES);
	uint64_t node, fh;
	int fd = openat(b->plain, p->whole, O_RDWR | O_NOFOLLOW), rc = walk(b, p->whole, &node);

	if (rc == 0)
		rc = fc_open(&b->f.c, node, O_RDWR, &fh);
	if ((rc == 0) != (fd >= 0))
		fail_msg("open of %s: %d, on the host %d", p->whole, rc, fd);
	if (rc < 0)
		return;
	if (b->open[i].fd >= 0) {
		close(b->open[i].fd);
		assert_int_equal(fc_release(&b->f.c, b->open[i].node, b->open[i].fh, false), 0);
	}
	b->open[i].fd = fd;
	b->open[i].node = node;
	b->open[i].fh = fh;
}

/* Writes and reads through open files, whose names may be long gone. */
static void io_both(struct both *b)
{
	unsigned i = rnd(OPEN_FILES), off = rnd(10000), len = 1 + rnd(5000);
	static uint8_t data[5000], x[5000], y[5000];
	struct fuse_attr a;
	struct stat st;
	ssize_t n;

	if (b->open[i].fd < 0)
		return;
	memset(data, (int)rnd(256), len);
	assert_int_equal(pwrite(b->open[i].fd, data, len, off), len);
	assert_int_equal(fc_write(&b->f.c, b->open[i].node, b->open[i].fh, off, data, len, 0, 0),
			 len);
	off = rnd(10000);
	n = pread(b->open[i].fd, x, sizeof(x), off);
	assert_int_equal(fc_read(&b->f.c, b->open[i].node, b->open[i].fh, off, y, sizeof(y)), n);
	assert_memory_equal(x, y, (size_t)n);
	assert_int_equal(fstat(b->open[i].fd, &st), 0);
	assert_int_equal(fc_getattr(&b->f.c, b->open[i].node, &a), 0);
	assert_int_equal(a.size, st.st_size);
	assert_int_equal(a.nlink, st.st_nlink);
}

static int by_name(const struct dirent **x, const struct dirent **y)
{
	return strcmp((*x)->d_name, (*y)->d_name);
}

static void same_tree(int x, int y, const char *path)
{
	struct dirent **lx, **ly;
	int nx = scandirat(x, path, &lx, NULL, by_name),
	    ny = scandirat(y, path, &ly, NULL, by_name);

	if (nx != ny)
		fail_msg("%s: %d names, on the host %d", path, nx, ny);
	for (int i = 0; i < nx; i++) {
		struct stat sx, sy;
		char sub[1024];

		assert_string_equal(lx[i]->d_name, ly[i]->d_name);
		snprintf(sub, sizeof(sub), "%.700s/%s", path, lx[i]->d_name);
		assert_int_equal(fstatat(x, sub, &sx, AT_SYMLINK_NOFOLLOW), 0);
		assert_int_equal(fstatat(y, sub, &sy, AT_SYMLINK_NOFOLLOW), 0);
		if (sx.st_mode != sy.st_mode || sx.st_nlink != sy.st_nlink ||
		    sx.st_uid != sy.st_uid || sx.st_gid != sy.st_gid ||
		    (!S_ISDIR(sx.st_mode) && sx.st_size != sy.st_size))
			fail_msg("%s differs", sub);
		if (S_ISDIR(sx.st_mode) && lx[i]->d_name[0] != '.')
			same_tree(x, y, sub);
		free(lx[i]);
		free(ly[i]);
	}
	free(lx);
	free(ly);
}

static void run(struct both *b)
{
	for (unsigned i = 0; i < STEPS; i++) {
		struct path p = some_path(), to = some_path();
		unsigned op = rnd(OPS), v = rnd(5);
		uint64_t node;
		int x, y;

		if (through_link(b, p.dir) || through_link(b, to.dir))
			continue;
		if (op == OPEN_) {
			open_both(b, &p);
		} else if (op == IO_) {
			io_both(b);
		} else if (op == FORGET_) {
			if (walk(b, p.whole, &node) == 0)
				fc_forget(&b->f.c, node, 1 + rnd(50));
		} else {
			y = plain_op(b, op, &p, &to, v);
			x = fuse_op(b, op, &p, &to, v);
			if (!same_result(x, y))
				fail_msg("step %u, operation %u of %s (%s): %d, on the host %d", i,
					 op, p.whole, to.whole, x, y);
		}
		if (i % 1000 == 0)
			same_tree(b->f.share_fd, b->plain, ".");
	}
	same_tree(b->f.share_fd, b->plain, ".");
}

static void compare(void **state)
{
	const char *env = getenv("HUSK_SEED");
	uint64_t seed = env ? strtoull(env, NULL, 0) : (uint64_t)time(NULL);
	struct fs_server_cfg cfg = { .max_nodes = 5000,
				     .max_handles = 500,
				     .max_fds = 3,
				     .attr_timeout = 1,
				     .entry_timeout = 1,
				     .proc_fd = -1 };
	struct both *b = calloc(1, sizeof(*b));
	char path[192];

	(void)state;
	assert_non_null(b);
	print_message("HUSK_SEED=%llu\n", (unsigned long long)seed);
	for (unsigned round = 0; round < 2; round++) {
		seed_state = seed * 2654435761u + 88172645463325252ull + round;
		cfg.max_fds = round ? 4096 : 3;
		fsfix_init(&b->f, NULL, &cfg, 0);
		snprintf(path, sizeof(path), "%s/plain", b->f.base);
		assert_int_equal(mkdir(path, 0755), 0);
		b->plain = open(path, O_RDONLY | O_DIRECTORY);
		for (unsigned i = 0; i < OPEN_FILES; i++)
			b->open[i].fd = -1;
		run(b);
		for (unsigned i = 0; i < OPEN_FILES; i++)
			if (b->open[i].fd >= 0)
				close(b->open[i].fd);
		close(b->plain);
		fsfix_done(&b->f);
	}
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(compare) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
