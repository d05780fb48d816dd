// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/fusemount.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

#include "vmm/fs/fuse_proto.h"

#define BUF_SIZE (FS_MAX_WRITE + 4096)

/* Remembers which requests were interrupted: each thread that waits with one looks here. */
static void interrupt(struct fusemount *m, const uint8_t *in, size_t n)
{
	struct fuse_interrupt_in which;

	if (n < sizeof(struct fuse_in_header) + sizeof(which))
		return;
	memcpy(&which, in + sizeof(struct fuse_in_header), sizeof(which));
	pthread_mutex_lock(&m->lock);
	m->interrupted[m->ninterrupted++ % ARRAY_SIZE(m->interrupted)] = which.unique;
	pthread_mutex_unlock(&m->lock);
}

static bool interrupted(struct fusemount *m, uint64_t unique)
{
	bool found = false;

	pthread_mutex_lock(&m->lock);
	for (size_t i = 0; i < ARRAY_SIZE(m->interrupted); i++)
		found = found || m->interrupted[i] == unique;
	pthread_mutex_unlock(&m->lock);
	return found;
}

static void refuse(struct fusemount *m, uint64_t unique, int error)
{
	const struct fuse_out_header h = { .len = sizeof(h), .error = error, .unique = unique };

	(void)!write(m->fd, &h, sizeof(h));
}

/* One request from @in; its reply goes to the kernel. */
static void serve(struct fusemount *m, uint8_t *in, size_t n, uint8_t *out, uint8_t *data)
{
	const struct timespec nap = { .tv_nsec = 1000000 };
	struct iovec payload = { 0 }, into = { data, FS_MAX_WRITE };
	struct fs_reply r = {
		.head = out, .head_size = FS_MAX_REPLY, .data = &into, .data_count = 1
	};
	struct iovec reply[2];
	struct fs_peek peek;

	if (fs_peek(in, n, &peek) < 0)
		return;
	if (peek.interrupt) {
		interrupt(m, in, n);
		return;
	}
	payload.iov_base = in + peek.fixed;
	payload.iov_len = n - peek.fixed;
	while (fs_request(m->s, in, peek.fixed, &payload, payload.iov_len ? 1 : 0, BUF_SIZE, &r) ==
	       FS_AGAIN) {
		nanosleep(&nap, NULL);
		if (interrupted(m, peek.unique)) {
			fs_request_dropped(m->s, in);
			refuse(m, peek.unique, -EINTR);
			return;
		}
	}
	if (!r.head_len)
		return;
	reply[0] = (struct iovec){ out, r.head_len };
	reply[1] = (struct iovec){ data, r.data_len };
	if (writev(m->fd, reply, r.data_len ? 2 : 1) < 0 && errno != ENOENT)
		fprintf(stderr, "reply to %u refused: %m\n",
			((struct fuse_in_header *)(void *)in)->opcode);
}

static void *worker(void *arg)
{
	struct fusemount *m = arg;
	uint8_t *in = malloc(BUF_SIZE), *out = malloc(FS_MAX_REPLY), *data = malloc(FS_MAX_WRITE);
	ssize_t n;

	bug_on(!in || !out || !data);
	while ((n = read(m->fd, in, BUF_SIZE)) > 0 || errno == EINTR || errno == ENOENT)
		if (n > 0)
			serve(m, in, (size_t)n, out, data);
	free(in);
	free(out);
	free(data);
	return NULL;
}

int fusemount_start(struct fusemount *m, struct fs_server *s, const char *where, unsigned threads)
{
	char opts[128];

	*m = (struct fusemount){ .s = s, .fd = open("/dev/fuse", O_RDWR | O_CLOEXEC) };
	pthread_mutex_init(&m->lock, NULL);
	if (m->fd < 0)
		return -errno;
	snprintf(opts, sizeof(opts),
		 "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions",
		 m->fd);
	if (mount("husk", where, "fuse.husk", MS_NODEV | MS_NOSUID, opts) < 0) {
		int rc = -errno;

		close(m->fd);
		return rc;
	}
	while (m->nthreads < threads) {
		bug_on(pthread_create(&m->thread[m->nthreads], NULL, worker, m) != 0);
		m->nthreads++;
	}
	return 0;
}

void fusemount_stop(struct fusemount *m, const char *where)
{
	umount2(where, MNT_DETACH);
	while (m->nthreads)
		pthread_join(m->thread[--m->nthreads], NULL);
	close(m->fd);
}
