// SPDX-License-Identifier: Apache-2.0
/* Each operation of the file server, by what it does to the host's directory. Run as root. */
#include "tests/unit/fs_setup.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static void lookup_and_attr(void **state)
{
	struct fsfix *f = *state;
	struct fuse_entry_out e;
	struct fuse_attr a;
	uint64_t node;
	struct stat st;

	fsfix_host_file(f, "file", "hello", 0640);
	mkdirat(f->share_fd, "dir", 0711);
	fsfix_host_file(f, "dir/deep", "x", 0600);
	assert_int_equal(fc_lookup(&f->c, f->root, "file", &e), 0);
	st = host_stat(f, "file");
	assert_int_equal(e.attr.ino, st.st_ino);
	assert_int_equal(e.attr.size, 5);
	assert_int_equal(e.attr.mode, S_IFREG | 0640);
	assert_int_equal(e.attr_valid, 1);
	assert_int_equal(e.entry_valid, 1);
	assert_int_equal(e.attr.flags, 0);
	assert_int_equal(fc_getattr(&f->c, e.nodeid, &a), 0);
	assert_memory_equal(&a, &e.attr, sizeof(a));
	assert_int_equal(fc_walk(&f->c, "s/dir/deep", &node), 0);
	assert_int_equal(fc_getattr(&f->c, node, &a), 0);
	assert_int_equal(a.size, 1);
	/* A name that is not there: remembered as such. */
	assert_int_equal(fc_lookup(&f->c, f->root, "none", &e), 0);
	assert_int_equal(e.nodeid, 0);
	assert_int_equal(e.entry_valid, 1);
	/* The same file has the same node. */
	assert_int_equal(linkat(f->share_fd, "dir/deep", f->share_fd, "hard", 0), 0);
	assert_int_equal(fc_lookup(&f->c, f->root, "hard", &e), 0);
	assert_int_equal(e.nodeid, node);
}

static void read_write(void **state)
{
	struct fsfix *f = *state;
	static uint8_t big[FS_MAX_WRITE], back[FS_MAX_WRITE];
	struct fuse_entry_out e;
	char buf[64] = "";
	uint64_t fh;

	assert_int_equal(fc_create(&f->c, f->root, "new", O_RDWR | O_EXCL, 0666, &e, &fh), 0);
	assert_int_equal(host_stat(f, "new").st_mode, S_IFREG | 0644);
	assert_int_equal(fc_write(&f->c, e.nodeid, fh, 0, "hello world", 11, 0, 0), 11);
	assert_int_equal(fc_read(&f->c, e.nodeid, fh, 6, buf, 64), 5);
	assert_string_equal(buf, "world");
	assert_int_equal(fc_read(&f->c, e.nodeid, fh, 100, buf, 64), 0);
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)(i * 7 + i / 4096);
	assert_int_equal(fc_write(&f->c, e.nodeid, fh, 4096, big, sizeof(big), 0, 0), sizeof(big));
	assert_int_equal(fc_read(&f->c, e.nodeid, fh, 4096, back, sizeof(back)), sizeof(back));
	assert_memory_equal(big, back, sizeof(big));
	assert_int_equal(fc_create(&f->c, f->root, "new", O_RDWR | O_EXCL, 0666, &e, &fh), -EEXIST);
	/* What the guest did not know of is never opened as if it were new. */
	assert_int_equal(fc_create(&f->c, f->root, "new", O_RDWR | O_TRUNC, 0666, &e, &fh), -ESTALE);
	assert_int_equal(host_stat(f, "new").st_size, 4096 + FS_MAX_WRITE);
	assert_int_equal(fc_lookup(&f->c, f->root, "new", &e), 0);
	assert_int_equal(fc_open(&f->c, e.nodeid, O_RDWR | O_TRUNC, &fh), 0);
	assert_int_equal(host_stat(f, "new").st_size, 0);
	assert_int_equal(fc_open(&f->c, e.nodeid, O_RDONLY, &fh), 0);
	assert_int_equal(fc_write(&f->c, e.nodeid, fh, 0, "x", 1, 0, 0), -EBADF);
	assert_int_equal(fc_release(&f->c, e.nodeid, fh, false), 0);
	assert_int_equal(fc_read(&f->c, e.nodeid, fh, 0, buf, 1), -EBADF);
}

static void appending(void **state)
{
	struct fsfix *f = *state;
	struct fuse_entry_out e;
	char buf[16] = "";
	uint64_t fh, fh2;

	assert_int_equal(fc_create(&f->c, f->root, "log", O_RDWR | O_APPEND, 0600, &e, &fh), 0);
	assert_int_equal(fc_write(&f->c, e.nodeid, fh, 0, "one", 3, 0, O_APPEND), 3);
	/* The guest's idea of the end is old: it is appended all the same. */
	assert_int_equal(fc_write(&f->c, e.nodeid, fh, 0, "two", 3, 0, O_APPEND), 3);
	/* Page cache written back through the same file goes where it belongs. */
	assert_int_equal(fc_write(&f->c, e.nodeid, fh, 0, "ONE", 3, FUSE_WRITE_CACHE, O_APPEND), 3);
	/* O_APPEND taken off, and put on another, by fcntl(). */
	assert_int_equal(fc_write(&f->c, e.nodeid, fh, 3, "TWO", 3, 0, 0), 3);
	assert_int_equal(fc_open(&f->c, e.nodeid, O_WRONLY, &fh2), 0);
	assert_int_equal(fc_write(&f->c, e.nodeid, fh2, 0, "end", 3, 0, O_APPEND), 3);
	assert_int_equal(fc_read(&f->c, e.nodeid, fh, 0, buf, 15), 9);
	assert_string_equal(buf, "ONETWOend");
}

/* The server's descriptor of an open file. */
static int descriptor_of(const char *name)
{
	char path[64], to[512];

	for (int fd = 3; fd < 1024; fd++) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, to, sizeof(to) - 1);
		to[n < 0 ? 0 : n] = 0;
		if (n > (ssize_t)strlen(name) && strcmp(to + n - strlen(name), name) == 0 && !(fcntl(fd, F_GETFL) & O_PATH))
			return fd;
	}
	fail_msg("no descriptor of %s", name);
	return -1;
}

/* A host's disk with a bad spot gives what is before it: the file does not end there. */
static void a_read_that_fails_in_the_midst(void **state)
{
	struct fsfix *f = *state;
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *map = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	static uint8_t back[65536];
	struct fuse_entry_out e;
	uint64_t fh;
	int mem;

	assert_true(map != MAP_FAILED);
	memset(map, 'm', page);
	assert_int_equal(munmap(map + page, page), 0);
	assert_int_equal(fc_create(&f->c, f->root, "spot", O_RDWR | O_EXCL, 0600, &e, &fh), 0);
	/* Memory with a hole is such a file. */
	mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	assert_true(mem >= 0 && dup3(mem, descriptor_of("/spot"), O_CLOEXEC) >= 0);
	assert_int_equal(fc_read(&f->c, e.nodeid, fh, (uintptr_t)map, back, page), page);
	assert_int_equal(back[page - 1], 'm');
	assert_int_equal(fc_read(&f->c, e.nodeid, fh, (uintptr_t)map, back, 2 * page), -EIO);
	assert_int_equal(fc_read(&f->c, e.nodeid, fh, (uintptr_t)map + page, back, page), -EIO);
	close(mem);
	munmap(map, page);
	munmap(map + 2 * page, page);
}

/* Of pages that are written back nobody looks at the count: part of them is none. */
static void written_back_in_part(void **state)
{
	struct rlimit all, few;
	struct fsfix *f = *state;
	static uint8_t pages[8192];
	struct fuse_entry_out e;
	uint64_t fh;
	ssize_t some, none;

	assert_int_equal(fc_create(&f->c, f->root, "full", O_RDWR | O_EXCL, 0600, &e, &fh), 0);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &all), 0);
	few = (struct rlimit){ .rlim_cur = 6000, .rlim_max = all.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &few), 0);
	some = fc_write(&f->c, e.nodeid, fh, 0, pages, sizeof(pages), 0, O_RDWR);
	none = fc_write(&f->c, e.nodeid, fh, 0, pages, sizeof(pages), FUSE_WRITE_CACHE, O_RDWR);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &all), 0);
	assert_int_equal(some, 6000);
	assert_int_equal(none, -EFBIG);
	assert_int_equal(fc_write(&f->c, e.nodeid, fh, 0, pages, sizeof(pages), FUSE_WRITE_CACHE, O_RDWR), sizeof(pages));
}

/* O_APPEND taken off by fcntl(), which is the guest's affair: a copy into it goes where it is to go. */
static void copied_into_what_was_for_appending(void **state)
{
	struct fsfix *f = *state;
	struct fuse_copy_file_range_in in = { .len = 3 };
	struct fuse_entry_out e;
	char buf[16] = "";
	uint64_t fh;

	fsfix_host_file(f, "to", "......", 0600);
	assert_int_equal(fc_lookup(&f->c, f->root, "to", &e), 0);
	assert_int_equal(fc_open(&f->c, e.nodeid, O_RDWR | O_APPEND, &fh), 0);
	in.nodeid_out = e.nodeid;
	in.fh_out = fh;
	in.off_out = 2;
	fsfix_host_file(f, "from", "one", 0600);
	assert_int_equal(fc_lookup(&f->c, f->root, "from", &e), 0);
	assert_int_equal(fc_open(&f->c, e.nodeid, O_RDONLY, &in.fh_in), 0);
	assert_int_equal(fc_fixed(&f->c, FUSE_COPY_FILE_RANGE, e.nodeid, in), 0);
	assert_int_equal(fc_read(&f->c, in.nodeid_out, fh, 0, buf, 15), 6);
	assert_string_equal(buf, "..one.");
}

/* To a file that had no name when it was opened, which others write to once it has one. */
static void appending_without_a_name(void **state)
{
	const struct fuse_create_in in = { .flags = O_RDWR | O_APPEND, .mode = S_IFREG | 0600 };
	struct fsfix *f = *state;
	struct fuse_entry_out e, l;
	struct fuse_open_out o;
	char buf[16] = "";
	int host;

	assert_int_equal(fc_named(&f->c, FUSE_TMPFILE, f->root, &in, sizeof(in), "#1"), 0);
	memcpy(&e, f->c.body, sizeof(e));
	memcpy(&o, f->c.body + sizeof(e), sizeof(o));
	assert_int_equal(fc_write(&f->c, e.nodeid, o.fh, 0, "one", 3, 0, O_RDWR | O_APPEND), 3);
	assert_int_equal(fc_link(&f->c, f->root, "log", e.nodeid, &l), 0);
	host = openat(f->share_fd, "log", O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(write(host, "HOST", 4), 4);
	close(host);
	assert_int_equal(fc_write(&f->c, e.nodeid, o.fh, 3, "two", 3, 0, O_RDWR | O_APPEND), 3);
	assert_int_equal(fc_write(&f->c, e.nodeid, o.fh, 0, "ONE", 3, FUSE_WRITE_CACHE, O_RDWR | O_APPEND), 3);
	assert_int_equal(fc_read(&f->c, e.nodeid, o.fh, 0, buf, 15), 10);
	assert_string_equal(buf, "ONEHOSTtwo");
}

static void setting_attributes(void **state)
{
	struct fsfix *f = *state;
	struct fuse_setattr_in in = { 0 };
	struct fuse_entry_out e, l;
	struct stat st;
	uint64_t fh;

	fsfix_host_file(f, "file", "0123456789", 04755);
	assert_int_equal(symlinkat("nowhere", f->share_fd, "link"), 0);
	assert_int_equal(fc_lookup(&f->c, f->root, "file", &e), 0);
	assert_int_equal(fc_lookup(&f->c, f->root, "link", &l), 0);
	in = (struct fuse_setattr_in){ .valid = FATTR_SIZE | FATTR_KILL_SUIDGID, .size = 4 };
	assert_int_equal(fc_setattr(&f->c, e.nodeid, &in), 0);
	st = host_stat(f, "file");
	assert_int_equal(st.st_size, 4);
	assert_int_equal(st.st_mode, S_IFREG | 0755);
	in = (struct fuse_setattr_in){
		.valid = FATTR_MODE | FATTR_UID | FATTR_GID, .mode = 02750, .uid = 1000, .gid = 1001
	};
	assert_int_equal(fc_setattr(&f->c, e.nodeid, &in), 0);
	st = host_stat(f, "file");
	assert_int_equal(st.st_mode, S_IFREG | 02750);
	assert_int_equal(st.st_uid, 1000);
	assert_int_equal(st.st_gid, 1001);
	in = (struct fuse_setattr_in){ .valid = FATTR_MTIME, .mtime = 12345, .mtimensec = 678 };
	assert_int_equal(fc_setattr(&f->c, e.nodeid, &in), 0);
	st = host_stat(f, "file");
	assert_int_equal(st.st_mtim.tv_sec, 12345);
	assert_int_equal(st.st_mtim.tv_nsec, 678);
	in.mtimensec = 1000000000;
	assert_int_equal(fc_setattr(&f->c, e.nodeid, &in), -EINVAL);
	/* A link's own owner and times; never what it points to. */
	in = (struct fuse_setattr_in){ .valid = FATTR_UID | FATTR_MTIME, .uid = 7, .mtime = 99 };
	assert_int_equal(fc_setattr(&f->c, l.nodeid, &in), 0);
	st = host_stat(f, "link");
	assert_int_equal(st.st_uid, 7);
	assert_int_equal(st.st_mtim.tv_sec, 99);
	in = (struct fuse_setattr_in){ .valid = FATTR_SIZE };
	assert_int_equal(fc_setattr(&f->c, l.nodeid, &in), -EINVAL);
	assert_int_equal(fc_setattr(&f->c, f->root, &in), -EISDIR);
	/* By an open file. */
	assert_int_equal(fc_open(&f->c, e.nodeid, O_RDWR, &fh), 0);
	in = (struct fuse_setattr_in){ .valid = FATTR_SIZE | FATTR_FH, .fh = fh, .size = 77 };
	assert_int_equal(fc_setattr(&f->c, e.nodeid, &in), 0);
	assert_int_equal(host_stat(f, "file").st_size, 77);
}

static void suid_goes_with_a_write(void **state)
{
	struct fsfix *f = *state;
	struct fuse_open_in open_in = { .flags = O_WRONLY | O_TRUNC,
					.open_flags = FUSE_OPEN_KILL_SUIDGID };
	struct fuse_entry_out e;
	uint64_t fh;

	fsfix_host_file(f, "su", "x", 06755);
	assert_int_equal(fc_lookup(&f->c, f->root, "su", &e), 0);
	assert_int_equal(fc_open(&f->c, e.nodeid, O_WRONLY, &fh), 0);
	assert_int_equal(fc_write(&f->c, e.nodeid, fh, 0, "y", 1, 0, 0), 1);
	assert_int_equal(host_stat(f, "su").st_mode & 07777, 06755);
	assert_int_equal(fc_write(&f->c, e.nodeid, fh, 0, "y", 1, FUSE_WRITE_KILL_SUIDGID, 0), 1);
	assert_int_equal(host_stat(f, "su").st_mode & 07777, 0755);
	fsfix_host_file(f, "su", "x", 06755);
	assert_int_equal(fc_fixed(&f->c, FUSE_OPEN, e.nodeid, open_in), 0);
	assert_int_equal(host_stat(f, "su").st_mode & 07777, 0755);
	assert_int_equal(host_stat(f, "su").st_size, 0);
}

static void names(void **state)
{
	struct fsfix *f = *state;
	struct fuse_entry_out d, d2, e, x;
	struct fuse_attr a;
	char buf[8] = "";
	uint64_t fh;

	assert_int_equal(fc_mkdir(&f->c, f->root, "d", 0777, &d), 0);
	assert_int_equal(host_stat(f, "d").st_mode, S_IFDIR | 0755);
	assert_int_equal(fc_mkdir(&f->c, d.nodeid, "d2", 0700, &d2), 0);
	assert_int_equal(fc_create(&f->c, d2.nodeid, "f", O_RDWR, 0600, &e, &fh), 0);
	assert_int_equal(fc_link(&f->c, f->root, "l", e.nodeid, &x), 0);
	assert_int_equal(x.nodeid, e.nodeid);
	assert_int_equal(x.attr.nlink, 2);
	assert_int_equal(fc_symlink(&f->c, f->root, "sym", "/etc/passwd", &x), 0);
	assert_int_equal(x.attr.mode, S_IFLNK | 0777);
	assert_int_equal(fc_named(&f->c, FUSE_READLINK, x.nodeid, NULL, 0, NULL), 0);
	assert_int_equal(f->c.body_len, 11);
	assert_memory_equal(f->c.body, "/etc/passwd", 11);
	assert_int_equal(fc_named(&f->c, FUSE_READLINK, e.nodeid, NULL, 0, NULL), -EINVAL);
	/* The open file and the directory follow a rename of what is above them. */
	assert_int_equal(fc_rename(&f->c, f->root, "d", f->root, "moved", 0), 0);
	assert_int_equal(fc_getattr(&f->c, d2.nodeid, &a), 0);
	assert_int_equal(fc_lookup(&f->c, d2.nodeid, "f", &x), 0);
	assert_int_equal(x.nodeid, e.nodeid);
	assert_int_equal(fc_rename(&f->c, f->root, "moved", f->root, "sym", RENAME_NOREPLACE),
			 -EEXIST);
	assert_int_equal(fc_rename(&f->c, f->root, "l", f->root, "sym", RENAME_EXCHANGE), 0);
	assert_int_equal(host_stat(f, "l").st_mode & S_IFMT, S_IFLNK);
	assert_int_equal(fc_named(&f->c, FUSE_RMDIR, f->root, NULL, 0, "moved"), -ENOTEMPTY);
	assert_int_equal(fc_named(&f->c, FUSE_UNLINK, f->root, NULL, 0, "moved"), -EISDIR);
	/* Removed but looked up, and removed but open. */
	assert_int_equal(fc_write(&f->c, e.nodeid, fh, 0, "data", 4, 0, 0), 4);
	assert_int_equal(fc_named(&f->c, FUSE_UNLINK, f->root, NULL, 0, "sym"), 0);
	assert_int_equal(fc_named(&f->c, FUSE_UNLINK, d2.nodeid, NULL, 0, "f"), 0);
	assert_int_equal(fc_getattr(&f->c, e.nodeid, &a), 0);
	assert_int_equal(a.nlink, 0);
	assert_int_equal(fc_read(&f->c, e.nodeid, fh, 0, buf, 8), 4);
	assert_int_equal(fc_open(&f->c, e.nodeid, O_RDONLY, &fh), 0);
	assert_int_equal(fc_named(&f->c, FUSE_RMDIR, d.nodeid, NULL, 0, "d2"), 0);
	assert_int_equal(fc_getattr(&f->c, d2.nodeid, &a), 0);
	assert_int_equal(fc_lookup(&f->c, d2.nodeid, "f", &x), 0);
	assert_int_equal(x.nodeid, 0);
}

struct seen {
	unsigned n, plus, dots;
	uint32_t fifo_type;
	bool twice;
	char names[400];
};

static void note(void *arg, const struct fuse_dirent *d, const char *name,
		 const struct fuse_entry_out *plus)
{
	struct seen *s = arg;

	s->n++;
	if (name[0] == '.')
		s->dots++;
	if (plus && plus->nodeid)
		s->plus++;
	if (!strcmp(name, "fifo"))
		s->fifo_type = d->type;
	if (name[0] == 'e') {
		unsigned i = (unsigned)atoi(name + 1);

		s->twice = s->twice || s->names[i];
		s->names[i] = 1;
	}
}

static void directories(void **state)
{
	struct fsfix *f = *state;
	struct fuse_entry_out d, e;
	struct seen s;
	uint64_t fh;

	assert_int_equal(fc_mkdir(&f->c, f->root, "d", 0755, &d), 0);
	for (unsigned i = 0; i < 400; i++) {
		char name[160];

		snprintf(name, sizeof(name), "e%u%*s", i, (int)(i % 100), "");
		assert_int_equal(fc_mknod(&f->c, d.nodeid, name, S_IFREG | 0644, 0, &e), 0);
	}
	assert_int_equal(fc_mknod(&f->c, d.nodeid, "fifo", S_IFIFO | 0600, 0, &e), 0);
	assert_int_equal(fc_opendir(&f->c, d.nodeid, &fh), 0);
	for (unsigned plus = 0; plus < 2; plus++) {
		static const uint32_t sizes[] = { 512, 4096, 65536 };

		for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
			memset(&s, 0, sizeof(s));
			assert_int_equal(fc_readdir(&f->c, d.nodeid, fh, plus, sizes[i], note, &s),
					 0);
			assert_int_equal(s.n, 403);
			assert_int_equal(s.dots, 2);
			assert_int_equal(s.plus, plus ? 401 : 0);
			assert_int_equal(s.fifo_type, DT_FIFO);
			assert_false(s.twice);
		}
	}
	assert_int_equal(fc_readdir(&f->c, d.nodeid, fh, false, 16, note, &s), -EINVAL);
	assert_int_equal(fc_release(&f->c, d.nodeid, fh, true), 0);
	assert_int_equal(fc_opendir(&f->c, e.nodeid, &fh), -ENOTDIR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FS_TEST(lookup_and_attr),
		FS_TEST(read_write),
		FS_TEST(appending),
		FS_TEST(a_read_that_fails_in_the_midst),
		FS_TEST(written_back_in_part),
		FS_TEST(copied_into_what_was_for_appending),
		FS_TEST(appending_without_a_name),
		FS_TEST(setting_attributes),
		FS_TEST(suid_goes_with_a_write),
		FS_TEST(names),
		FS_TEST(directories),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
