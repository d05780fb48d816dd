// SPDX-License-Identifier: Apache-2.0
/*
 * Requests per second of the file server alone, by one thread, without rings or a guest: what a
 * request costs beside the carrier. Seconds are of CPU time, so that a busy machine does not matter
 * much. Usage: bench-fs-server [-p] [SECONDS]
 *
 *   -p  the server is in a process of its own: requests and data are copied to it and back by way of shared
 *       memory, and a socket pair wakes who waits. What that wall would cost at least.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/fsfix.h"
#include "vmm/fs/fs_internal.h"

#define FILES 1000

static struct fsfix fix;
static uint64_t dir, node, fh, dir_fh;
static char data[4096];

/* --- the process --------------------------------------------------------------------- */
static struct {
	size_t in_len, payload, room, data_room;
	int rc;
	size_t head_len, data_len;
	uint8_t in[FS_MAX_REQUEST], out[FS_MAX_REPLY], data[FS_MAX_WRITE];
} * shared;
static int wake[2] = { -1, -1 };
static pid_t server;

int __real_fs_request(struct fs_server *s, const void *in, size_t in_len,
		      const struct iovec *payload, int count, size_t room, struct fs_reply *r);
int __wrap_fs_request(struct fs_server *s, const void *in, size_t in_len,
		      const struct iovec *payload, int count, size_t room, struct fs_reply *r);

static size_t copy(uint8_t *flat, const struct iovec *iov, int n, bool out, size_t max)
{
	size_t done = 0;

	for (int i = 0; i < n && done < max; i++) {
		size_t len = min_t(size_t, iov[i].iov_len, max - done);

		memcpy(out ? iov[i].iov_base : flat + done, out ? flat + done : iov[i].iov_base,
		       len);
		done += len;
	}
	return done;
}

int __wrap_fs_request(struct fs_server *s, const void *in, size_t in_len,
		      const struct iovec *payload, int count, size_t room, struct fs_reply *r)
{
	char byte = 0;

	if (!server)
		return __real_fs_request(s, in, in_len, payload, count, room, r);
	memcpy(shared->in, in, in_len);
	shared->in_len = in_len;
	shared->room = room;
	shared->payload = copy(shared->data, payload, count, false, FS_MAX_WRITE);
	shared->data_room = 0;
	for (int i = 0; i < r->data_count; i++)
		shared->data_room += r->data[i].iov_len;
	bug_on(send(wake[0], &byte, 1, 0) != 1 || recv(wake[0], &byte, 1, 0) != 1);
	memcpy(r->head, shared->out, shared->head_len);
	copy(shared->data, r->data, r->data_count, true, shared->data_len);
	r->head_len = shared->head_len;
	r->data_len = shared->data_len;
	return shared->rc;
}

static void serve(void)
{
	char byte;

	/* /proc/self is whoever opened it. */
	fix.c.s->proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	while (recv(wake[1], &byte, 1, 0) == 1) {
		struct iovec iov = { shared->data,
				     shared->payload ? shared->payload : shared->data_room };
		struct fs_reply r = { .head = shared->out, .head_size = sizeof(shared->out) };

		if (!shared->payload && shared->data_room) {
			r.data = &iov;
			r.data_count = 1;
		}
		shared->rc = __real_fs_request(fix.c.s, shared->in, shared->in_len,
					       shared->payload ? &iov : NULL, shared->payload != 0,
					       shared->room, &r);
		shared->head_len = r.head_len;
		shared->data_len = r.data_len;
		bug_on(send(wake[1], &byte, 1, 0) != 1);
	}
	_exit(0);
}

/* From here on the server of the child is the one. */
static void start_process(void)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	bug_on(shared == MAP_FAILED || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, wake) < 0);
	server = fork();
	bug_on(server < 0);
	if (server == 0) {
		close(wake[0]);
		serve();
	}
	close(wake[1]);
}

/* --- the work -------------------------------------------------------------------------- */
static void do_lookup(unsigned i)
{
	struct fuse_entry_out e;
	char name[16];

	snprintf(name, sizeof(name), "f%u", i % FILES);
	bug_on(fc_lookup(&fix.c, dir, name, &e) < 0);
}

static void do_getattr(unsigned i)
{
	struct fuse_attr a;

	(void)i;
	bug_on(fc_getattr(&fix.c, node, &a) < 0);
}

static void do_read(unsigned i)
{
	bug_on(fc_read(&fix.c, node, fh, i % 16 * 4096, data, 4096) < 0);
}

static void do_write(unsigned i)
{
	bug_on(fc_write(&fix.c, node, fh, i % 16 * 4096, data, 4096, 0, 0) < 0);
}

static void do_open(unsigned i)
{
	uint64_t h;

	(void)i;
	bug_on(fc_open(&fix.c, node, O_RDONLY, &h) < 0);
	bug_on(fc_release(&fix.c, node, h, false) < 0);
}

static void do_create(unsigned i)
{
	struct fuse_entry_out e;
	uint64_t h;

	(void)i;
	bug_on(fc_create(&fix.c, dir, "new", O_RDWR, 0644, &e, &h) < 0);
	bug_on(fc_release(&fix.c, e.nodeid, h, false) < 0);
	bug_on(fc_named(&fix.c, FUSE_UNLINK, dir, NULL, 0, "new") < 0);
	fc_forget(&fix.c, e.nodeid, 1);
}

static void nothing(void *arg, const struct fuse_dirent *d, const char *name,
		    const struct fuse_entry_out *plus)
{
	(void)arg;
	(void)d;
	(void)name;
	(void)plus;
}

static void do_readdirplus(unsigned i)
{
	(void)i;
	bug_on(fc_readdir(&fix.c, dir, dir_fh, true, 4096, nothing, NULL) < 0);
}

static const struct {
	const char *name;
	void (*fn)(unsigned i);
} cases[] = {
	{ "lookup", do_lookup },
	{ "getattr", do_getattr },
	{ "read 4 KiB", do_read },
	{ "write 4 KiB", do_write },
	{ "open + release", do_open },
	{ "create + release + unlink + forget", do_create },
	{ "readdirplus of 1000", do_readdirplus },
};

/* Of this thread, and of the process that serves it. */
static uint64_t cpu_ns(void)
{
	struct timespec t, other = { 0 };
	clockid_t clock;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	if (server)
		bug_on(clock_getcpuclockid(server, &clock) != 0 ||
		       clock_gettime(clock, &other) < 0);
	return (uint64_t)(t.tv_sec + other.tv_sec) * 1000000000ull +
	       (uint64_t)(t.tv_nsec + other.tv_nsec);
}

int main(int argc, char **argv)
{
	bool process = argc > 1 && !strcmp(argv[1], "-p");
	const char *seconds = argv[process ? 2 : 1];
	uint64_t span = (seconds ? strtoull(seconds, NULL, 10) : 1) * 1000000000ull;
	struct fuse_entry_out e;

	fsfix_init(&fix, NULL, NULL, 0);
	if (process)
		start_process();
	bug_on(fc_mkdir(&fix.c, fix.root, "dir", 0755, &e) < 0);
	dir = e.nodeid;
	for (unsigned i = 0; i < FILES; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%u", i);
		bug_on(fc_create(&fix.c, dir, name, O_RDWR, 0644, &e, &fh) < 0);
		if (i + 1 < FILES)
			bug_on(fc_release(&fix.c, e.nodeid, fh, false) < 0);
	}
	node = e.nodeid;
	bug_on(fc_opendir(&fix.c, dir, &dir_fh) < 0);
	for (size_t c = 0; c < ARRAY_SIZE(cases); c++) {
		uint64_t start = cpu_ns(), took;
		unsigned n = 0;

		do
			for (unsigned i = 0; i < 16; i++)
				cases[c].fn(n++);
		while ((took = cpu_ns() - start) < span);
		printf("%-36s %10.0f /s %8.2f us\n", cases[c].name, n * 1e9 / (double)took,
		       (double)took / 1e3 / n);
	}
	if (process) {
		close(wake[0]);
		waitpid(server, NULL, 0);
	}
	fsfix_done(&fix);
	return 0;
}
