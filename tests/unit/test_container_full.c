// SPDX-License-Identifier: Apache-2.0
/* A container's proxy, which is a process of this test, that hangs up: it takes no more clients, or it is ending. */
#include "tests/unit/check.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/container/create_internal.h"
#include "runtime/container/device_update.h"
#include "runtime/host/sock.h"
#include "runtime/oci/disks.h"

/* ---- the machine --------------------------------------------------------------------------------------------------- */

static unsigned removed;

int sandbox_join(int root, const char *name, int *ret_fd, struct err *e)
{
	(void)root;
	(void)name;
	(void)e;
	*ret_fd = -1;
	return 0;
}

int sandbox_plug_disk(struct ncl *machine, const struct diskfile *f, bool readonly, const char *serial, struct err *e)
{
	(void)machine;
	(void)f;
	(void)readonly;
	(void)serial;
	return err_set(e, ENOTSUP, "no disks");
}

int ncl_new(struct ncl **ret, int sock, struct err *e)
{
	(void)sock;
	(void)e;
	*ret = NULL;
	return 0;
}

void ncl_free(struct ncl *c)
{
	(void)c;
}

int ncl_device_remove(struct ncl *c, const char *device, int timeout_ms, struct err *e)
{
	(void)c;
	(void)device;
	(void)timeout_ms;
	(void)e;
	removed++;
	return 0;
}

int oci_pack_disks(const struct oci_disk *d, size_t n, bool remove, const char *container_id, struct buf *out, struct err *e)
{
	(void)d;
	(void)n;
	(void)remove;
	(void)container_id;
	(void)e;
	return buf_append(out, "x", 1);
}

/* ---- the proxy ----------------------------------------------------------------------------------------------------- */

struct fixture {
	struct container_host host;
	char path[64];
	int dir;
	pid_t proxy;
	struct container_state s;
};

enum hangs_up { FULL, ENDING, ENDED_INSIDE };

static void be_proxy(enum hangs_up how, const char *comm, int listener)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, comm);
	for (;;) {
		struct pollfd p = { .fd = listener, .events = POLLIN };
		int sock = poll(&p, 1, -1) == 1 ? accept4(listener, NULL, NULL, SOCK_CLOEXEC) : -1;

		if (how == ENDED_INSIDE)
			prctl(PR_SET_NAME, PROXY_COMM_END);
		close(sock);
		/* A process that ends closes its sockets before it is gone. */
		if (how == ENDING) {
			usleep(100000);
			_exit(0);
		}
	}
}

static void begin(struct fixture *f, enum hangs_up how, const char *comm)
{
	struct proc_info info;
	bool leftover;
	int listener;

	*f = (struct fixture){ .s = { .id = "c", .oci_version = "1", .bundle = "/", .rootfs = "/", .created = "",
				      .sandbox = "c", .cgroup = "" } };
	snprintf(f->path, sizeof(f->path), "/tmp/husk-full-XXXXXX");
	assert_non_null(mkdtemp(f->path));
	assert_int_equal(container_root_open(f->path, false, &f->host.root, NULL), 0);
	assert_int_equal(container_make(f->host.root, "c", &f->dir, &leftover, NULL), 0);
	assert_int_equal(sock_listen(f->dir, CONTAINER_PROXY_SOCK, &listener, NULL), 0);
	f->proxy = fork();
	if (f->proxy == 0)
		be_proxy(how, comm, listener);
	close(listener);
	do
		assert_int_equal(proc_read(f->proxy, &info), 0);
	while (strcmp(info.comm, comm) != 0);
	f->s.proxy = info.id;
	assert_int_equal(container_state_save(f->dir, &f->s, NULL), 0);
	assert_int_equal(flock(f->dir, LOCK_UN), 0);
}

static void finish(struct fixture *f)
{
	kill(f->proxy, SIGKILL);
	waitpid(f->proxy, NULL, 0);
	assert_int_equal(container_remove_dir(f->host.root, "c", f->dir, NULL), 0);
	close(f->dir);
	close(f->host.root);
	rmdir(f->path);
}

static int terminate(const struct container_host *h, const char *id, struct err *e)
{
	struct container_state s;
	int dir, sock, rc;

	assert_int_equal(container_find(h->root, id, &dir, &s, NULL), 0);
	assert_int_equal(container_proxy(dir, &sock, NULL), 0);
	rc = container_signal(sock, &s, SIGTERM, false, e);
	container_state_done(&s);
	close(sock);
	close(dir);
	return rc;
}

static int add_nothing(const struct container_host *h, const char *id, struct err *e)
{
	/* What a killed command left is to be taken away. */
	return container_devices(h, id, NULL, 0, NULL, 0, e);
}

static void note_disk(const struct fixture *f)
{
	struct device_entry d = { .path = (char[]){ "/dev/x" }, .source = (char[]){ "/x" }, .disk = "husk-1", .access = "rw" };
	struct device_list l = { .v = &d, .n = 1 };

	assert_int_equal(device_list_save(f->dir, &l, NULL), 0);
}

static size_t disks_noted(const struct fixture *f)
{
	struct device_list l = { .v = NULL };
	size_t n;

	assert_int_equal(device_list_load(f->dir, &l, NULL), 0);
	n = l.n;
	device_list_done(&l);
	return n;
}

static void full_is_not_ended(void **state)
{
	static const struct {
		const char *why;
		int (*command)(const struct container_host *h, const char *id, struct err *e);
		const char *comm;
	} commands[] = {
		{ "pause", container_pause, PROXY_COMM_RUN },
		{ "resume", container_resume, PROXY_COMM_HELD },
		{ "kill", terminate, PROXY_COMM_RUN },
		{ "update --device-add", add_nothing, PROXY_COMM_RUN },
	};
	static const struct {
		enum hangs_up how;
		int rc;
		const char *text;
	} ways[] = {
		{ FULL, -EBUSY, "husk-proxy has as many clients as it takes" },
		{ ENDING, -ESRCH, "container not running" },
		{ ENDED_INSIDE, -ESRCH, "container not running" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(commands) * ARRAY_SIZE(ways); i++) {
		size_t c = i % ARRAY_SIZE(commands), w = i / ARRAY_SIZE(commands);
		bool disks = commands[c].command == add_nothing, asked = ways[w].how != FULL;
		struct err e = ERR_INIT;
		struct fixture f;
		int rc;

		removed = 0;
		begin(&f, ways[w].how, commands[c].comm);
		note_disk(&f);
		rc = commands[c].command(&f.host, "c", &e);
		/* With no guest there is nobody to ask; one that lives has the disk until it was asked. */
		if (disks ? rc != (asked ? 0 : -EBUSY) || removed != asked || disks_noted(&f) != !asked :
			    rc != ways[w].rc || strcmp(e.msg, ways[w].text) != 0)
			fail_msg("%s, %zu: %d %s, %u removed", commands[c].why, w, rc, e.msg, removed);
		finish(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(full_is_not_ended),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
