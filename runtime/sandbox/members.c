// SPDX-License-Identifier: Apache-2.0
/* Which containers share a sandbox, and how one finds the sandbox that it is to join. */
#include "runtime/sandbox/record.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "runtime/sandbox/sandbox_internal.h"

#define NETNS_LINK   "netns"
#define MAX_OF_A_NAME 100

/* ---- names ----------------------------------------------------------------------------------------------- */

int sandbox_free_name(int root, const char *id, char *out, size_t size, struct err *e)
{
	_cleanup_close_ int all = sandbox_open_all(root);

	for (unsigned n = 1; n <= MAX_OF_A_NAME; n++) {
		int len = n == 1 ? snprintf(out, size, "%s", id) : snprintf(out, size, "%s@%u", id, n);

		if (len < 0 || (size_t)len >= size)
			return err_set(e, ENAMETOOLONG, "container id is too long");
		if (all < 0 || faccessat(all, out, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			return 0;
	}
	return err_set(e, EEXIST, "%d machines that containers of the name %s made live on", MAX_OF_A_NAME, id);
}

/* ---- the network namespace --------------------------------------------------------------------------------- */

static int netns_text(int netns, char *out, size_t size)
{
	struct stat st;

	if (fstat(netns, &st) < 0)
		return -errno;
	snprintf(out, size, "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	return 0;
}

int sandbox_note_netns(int dir, int netns, struct err *e)
{
	char text[64];
	int rc = netns_text(netns, text, sizeof(text));

	if (rc == 0 && symlinkat(text, dir, NETNS_LINK) < 0)
		rc = -errno;
	return rc < 0 ? err_errno(e, -rc, "cannot note the sandbox's network namespace") : 0;
}

/* Numbers are used again when a namespace is gone: it is there as long as its husk-net lives, who is in it. */
static bool lives(int all, const char *name)
{
	_cleanup_close_ int dir = openat(all, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct sandbox_record r;
	struct proc_info info;

	return dir >= 0 && sandbox_load(dir, &r, NULL) == 0 && r.net.pid && proc_alive(&r.net, &info) > 0 &&
	       proc_alive(&r.machine, &info) > 0;
}

int sandbox_find(int root, int netns, char *ret_name)
{
	_cleanup_closedir_ DIR *d = NULL;
	char want[64], path[NAME_MAX + 16], got[64];
	int all = sandbox_open_all(root);

	if (all >= 0)
		d = fdopendir(all);
	if (all >= 0 && !d)
		close(all);
	if (!d || netns_text(netns, want, sizeof(want)) < 0)
		return 0;
	for (struct dirent *de; (de = readdir(d));) {
		ssize_t n;

		if (!sandbox_is_name(de->d_name))
			continue;
		snprintf(path, sizeof(path), "%s/" NETNS_LINK, de->d_name);
		n = readlinkat(all, path, got, sizeof(got));
		if (n != (ssize_t)strlen(want) || memcmp(got, want, (size_t)n) != 0 || !lives(all, de->d_name))
			continue;
		snprintf(ret_name, NAME_MAX + 1, "%s", de->d_name);
		return 1;
	}
	return 0;
}

/* ---- members ------------------------------------------------------------------------------------------------ */

static int member_path(const char *id, char *out, size_t size)
{
	int n = snprintf(out, size, SANDBOX_MEMBERS "/%s", id);

	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

int sandbox_enroll(int dir, const char *id, struct err *e)
{
	char path[NAME_MAX + 16];
	int rc = member_path(id, path, sizeof(path));

	if (rc == 0 && mkdirat(dir, SANDBOX_MEMBERS, 0700) < 0 && errno != EEXIST)
		rc = -errno;
	if (rc == 0 && mknodat(dir, path, S_IFREG | 0600, 0) < 0 && errno != EEXIST)
		rc = -errno;
	return rc < 0 ? err_errno(e, -rc, "cannot note the container in its sandbox") : 0;
}

int sandbox_strike(int dir, struct sandbox_record *r, const char *id, struct err *e)
{
	char path[NAME_MAX + 16];

	if (member_path(id, path, sizeof(path)) == 0 && unlinkat(dir, path, 0) < 0 && errno != ENOENT)
		return err_errno(e, errno, "cannot strike the container off its sandbox");
	if (strcmp(r->first, id) != 0)
		return 0;
	r->first[0] = 0;
	return sandbox_save(dir, r, e);
}

bool sandbox_is_of(int dir, const char *name, const char *id)
{
	size_t n = strcspn(name, "@");
	char path[NAME_MAX + 16];

	/* Its maker's it is before anything is noted. */
	if (strncmp(name, id, n) == 0 && !id[n])
		return true;
	return member_path(id, path, sizeof(path)) == 0 && faccessat(dir, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

bool sandbox_had_members(int dir)
{
	return faccessat(dir, SANDBOX_MEMBERS, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int sandbox_members(int dir, const struct sandbox_record *r, int (*each)(void *arg, const char *id), void *arg)
{
	_cleanup_closedir_ DIR *d = NULL;
	_cleanup_close_ int fd = openat(dir, SANDBOX_MEMBERS, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct dirent *de;
	int rc = 0;

	if (fd < 0 && errno != ENOENT)
		return -errno;
	if (*r->first)
		rc = each(arg, r->first);
	if (rc != 0 || fd < 0)
		return rc;
	d = fdopendir(fd);
	if (!d)
		return -errno;
	fd = -1;
	while (rc == 0 && (errno = 0, de = readdir(d)))
		if (strcmp(de->d_name, ".") && strcmp(de->d_name, ".."))
			rc = each(arg, de->d_name);
	return rc == 0 ? -errno : rc;
}

static int is_anybody(void *arg, const char *id)
{
	(void)arg;
	(void)id;
	return 1;
}

bool sandbox_is_bare(int dir)
{
	struct sandbox_record r = { .first = "" };
	int rc = sandbox_load(dir, &r, NULL);

	if (rc == 0 ? proc_alive(&r.machine, NULL) != 0 : rc != -ENOENT)
		return false;
	r.first[0] = 0;
	return sandbox_members(dir, &r, is_anybody, NULL) == 0;
}
