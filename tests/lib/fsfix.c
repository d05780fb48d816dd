// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/fsfix.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int make_dir(const char *base, const char *name)
{
	char path[192];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", base, name);
	bug_on(mkdir(path, 0755) < 0);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bug_on(fd < 0);
	return fd;
}

static void put_file(int dirfd, const char *path, const char *text, mode_t mode)
{
	int fd = openat(dirfd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	bug_on(fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text));
	bug_on(fchmod(fd, mode) < 0);
	close(fd);
}

void fsfix_init(struct fsfix *f, const char *where, const struct fs_server_cfg *cfg, unsigned flags)
{
	static const struct fs_server_cfg def = FS_SERVER_CFG_DEFAULT;
	struct fuse_entry_out e;
	int fd;

	memset(f, 0, sizeof(*f));
	if (!where)
		where = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
	snprintf(f->base, sizeof(f->base), "%s/husk-fs-XXXXXX", where);
	bug_on(!mkdtemp(f->base));
	f->share_fd = make_dir(f->base, "share");
	f->outside_fd = make_dir(f->base, "outside");
	put_file(f->outside_fd, "secret", FSFIX_SECRET, 0600);

	bug_on(fs_server_new(&f->c.s, cfg ? cfg : &def, NULL) < 0);
	fd = openat(f->share_fd, ".", O_PATH | O_CLOEXEC);
	bug_on(fd < 0 || fs_share_add(f->c.s, "s", fd, flags, NULL) < 0);
	bug_on(fc_init(&f->c) < 0);
	bug_on(fc_lookup(&f->c, FUSE_ROOT_ID, "s", &e) < 0);
	f->root = e.nodeid;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void fsfix_done(struct fsfix *f)
{
	fs_server_free(f->c.s);
	close(f->share_fd);
	close(f->outside_fd);
	nftw(f->base, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

bool fsfix_outside_intact(const struct fsfix *f)
{
	char text[64] = "";
	struct stat st;
	struct dirent *d;
	unsigned n = 0;
	DIR *dir;
	int fd = openat(f->outside_fd, "secret", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0 || read(fd, text, sizeof(text) - 1) < 0)
		return false;
	close(fd);
	if (strcmp(text, FSFIX_SECRET) != 0 || st.st_mode != (S_IFREG | 0600) || st.st_nlink != 1 ||
	    st.st_uid != 0)
		return false;
	dir = fdopendir(openat(f->outside_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	while (dir && (d = readdir(dir)))
		n++;
	if (dir)
		closedir(dir);
	return n == 3;
}

void fsfix_host_file(const struct fsfix *f, const char *path, const char *text, mode_t mode)
{
	put_file(f->share_fd, path, text, mode);
}

unsigned fsfix_count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	bug_on(!dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 3; /* ".", ".." and this listing's own */
}
