// SPDX-License-Identifier: Apache-2.0
/* A sandbox's folder: what a later command finds its machine by, and how it is cleared away. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/json.h"
#include "runtime/host/flat.h"
#include "runtime/host/sock.h"
#include "runtime/sandbox/sandbox.h"
#include "runtime/sandbox/sandbox_internal.h"

#define STATE_VERSION 1
#define STATE_MAX     65536

static int open_dir(int root, const char *name, int *ret)
{
	_cleanup_close_ int all =
		openat(root, SANDBOX_FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int fd;

	if (all < 0)
		return -errno;
	fd = openat(all, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret = fd;
	return 0;
}

int sandbox_make_dir(int root, const char *name, int *ret_dir, struct err *e)
{
	_cleanup_close_ int all = -1;

	for (;;) {
		if (mkdirat(root, SANDBOX_FOLDER, 0700) < 0 && errno != EEXIST)
			return err_errno(e, errno, "cannot make the folder of sandboxes");
		close_and_reset(&all);
		all = openat(root, SANDBOX_FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (all >= 0 && mkdirat(all, name, 0700) == 0)
			break;
		/* Another command may have removed the folder with what was its last sandbox. */
		if (errno != ENOENT)
			return err_errno(e, errno, "cannot make the sandbox's folder");
	}
	*ret_dir = openat(all, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *ret_dir < 0 ? err_errno(e, errno, "cannot open the sandbox's folder") : 0;
}

int sandbox_save(const struct sandbox *s, unsigned containers, struct err *e)
{
	char text[256];
	int n = snprintf(
		text, sizeof(text),
		"{\"version\":%d,\"machinePid\":%d,\"machineStart\":%llu,\"containers\":%u}\n",
		STATE_VERSION, s->machine.pid, (unsigned long long)s->machine.start, containers);
	int rc = io_write_file(s->dir, "state.json", text, (size_t)n, 0600);

	return rc < 0 ? err_errno(e, -rc, "cannot write the sandbox's state.json") : 0;
}

static int number(const struct json *doc, const char *key, uint64_t *ret)
{
	const struct json *v = doc->type == JSON_OBJECT ? json_get(doc, key) : NULL;

	return v ? json_uint64(v, ret) : -EINVAL;
}

static int load(int dir, struct proc_id *ret, struct err *e)
{
	static const struct json_limits lim = { .max_depth = 4,
						.max_values = 64,
						.max_memory = 1u << 20 };
	_cleanup_free_ char *text = NULL;
	struct json *doc = NULL;
	uint64_t version, pid, start;
	size_t len;
	int rc = io_read_file(dir, "state.json", STATE_MAX, &text, &len);

	if (rc < 0)
		return err_errno(e, -rc, "sandbox's state.json");
	rc = json_parse(&doc, text, len, &lim, e);
	if (rc < 0)
		return err_wrap(e, rc, "sandbox's state.json");
	if (number(doc, "version", &version) < 0 || version != STATE_VERSION ||
	    number(doc, "machinePid", &pid) < 0 || pid == 0 || pid > INT32_MAX ||
	    number(doc, "machineStart", &start) < 0)
		rc = err_set(e, EINVAL, "sandbox's state.json: malformed");
	else
		*ret = (struct proc_id){ .pid = (pid_t)pid, .start = start };
	json_free(doc);
	return rc;
}

int sandbox_machine(int root, const char *name, struct proc_id *ret, struct err *e)
{
	_cleanup_close_ int dir = -1;
	int rc = open_dir(root, name, &dir);

	if (rc < 0)
		return err_errno(e, -rc, "sandbox %s", name);
	return load(dir, ret, e);
}

int sandbox_connect(int root, const char *name, int *ret_fd, struct err *e)
{
	_cleanup_close_ int dir = -1;
	int rc = open_dir(root, name, &dir);

	if (rc == 0)
		rc = sock_connect(dir, SANDBOX_MACHINE_SOCK, ret_fd);
	if (rc < 0)
		return err_errno(e, -rc, "cannot reach the virtual machine");
	return 0;
}

int sandbox_remove(int root, const char *name, int timeout_ms, struct err *e)
{
	_cleanup_close_ int dir = -1;
	_cleanup_close_ int all = -1;
	struct proc_id machine;
	int rc = open_dir(root, name, &dir);

	if (rc == -ENOENT) {
		/* Whoever was to make it may have come as far as the folder of all. */
		unlinkat(root, SANDBOX_FOLDER, AT_REMOVEDIR);
		return 0;
	}
	if (rc < 0)
		return err_errno(e, -rc, "cannot open the sandbox's folder");
	if (load(dir, &machine, NULL) == 0) {
		rc = proc_kill(&machine, timeout_ms);
		if (rc < 0)
			return err_errno(e, -rc, "husk-machine (process %d) does not end",
					 machine.pid);
	}
	all = openat(root, SANDBOX_FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	rc = flat_remove(all, name, dir, e);
	/* Succeeds for the last one. */
	if (rc == 0)
		unlinkat(root, SANDBOX_FOLDER, AT_REMOVEDIR);
	return rc;
}
