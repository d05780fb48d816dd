// SPDX-License-Identifier: Apache-2.0
#include "vmm/virtio/console.h"

#include <endian.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "vmm/virtio/console_tail.h"
#include "vmm/virtio/console_watch.h"

enum { RXQ, TXQ, NQUEUES };

#define F_SIZE      0
#define QUEUE_MAX   64
#define TURN_BYTES  (256u << 10) /* in each direction, then other devices have their turn */
#define PIECE       4096u

struct config {
	uint16_t cols, rows;
	uint32_t max_nr_ports, emerg_wr;
} __attribute__((packed));

struct console {
	struct vdev d;
	struct evsrc in, out; /* fd -1: none, or at its end */
	bool in_polls, out_polls; /* files of the disk do not */
	_Atomic uint32_t size; /* cols, rows << 16 */
	_Atomic uint64_t dropped;
	uint8_t buf[CONSOLE_OUT_BUF]; /* output that out has not taken yet */
	uint32_t buf_head, buf_len;
	struct console_ring tail;
	struct console_watch watchers[CONSOLE_WATCHERS];
	struct vq_chain chain;
	struct iovec iov[VQ_MAX_SEGS];
	uint8_t piece[PIECE];
};

static struct console *to_console(struct vdev *d)
{
	return container_of(d, struct console, d);
}

/* Ends one direction; what it cannot take any more is dropped. */
static void end_side(struct evsrc *src)
{
	evloop_del(src);
	close_and_reset(&src->fd);
}

static void watch(struct console *con, struct evsrc *src, bool on, uint32_t events)
{
	if (!on || src->fd < 0)
		evloop_del(src);
	else if (!src->loop && evloop_add(con->d.loop, src, events) < 0)
		end_side(src);
}

/* --- output -------------------------------------------------------------------------------------- */

static void out_flush(struct console *con)
{
	while (con->out.fd >= 0 && con->buf_len) {
		uint32_t n = min_t(uint32_t, con->buf_len, CONSOLE_OUT_BUF - con->buf_head);
		ssize_t rc = write(con->out.fd, con->buf + con->buf_head, n);

		if (rc < 0 && errno == EINTR)
			continue;
		if (rc < 0 && errno == EAGAIN)
			break;
		if (rc <= 0) {
			end_side(&con->out);
			atomic_fetch_add(&con->dropped, con->buf_len);
			con->buf_len = 0;
			break;
		}
		con->buf_head = (con->buf_head + (uint32_t)rc) % CONSOLE_OUT_BUF;
		con->buf_len -= (uint32_t)rc;
	}
	if (con->out_polls)
		watch(con, &con->out, con->buf_len > 0, EPOLLOUT);
}

static void out_ready(struct evsrc *src, uint32_t events)
{
	(void)events;
	out_flush(container_of(src, struct console, out));
}

static void out_put(struct console *con, const uint8_t *p, uint32_t len)
{
	console_ring_put(&con->tail, p, len);
	if (con->out.fd < 0)
		return;
	if (len > CONSOLE_OUT_BUF - con->buf_len)
		out_flush(con);
	if (con->out.fd >= 0 && len > CONSOLE_OUT_BUF - con->buf_len) {
		uint32_t room = CONSOLE_OUT_BUF - con->buf_len;

		atomic_fetch_add(&con->dropped, len - room);
		len = room;
	}
	while (len && con->out.fd >= 0) {
		uint32_t at = (con->buf_head + con->buf_len) % CONSOLE_OUT_BUF;
		uint32_t n = min_t(uint32_t, len, CONSOLE_OUT_BUF - at);

		memcpy(con->buf + at, p, n);
		con->buf_len += n;
		p += n;
		len -= n;
	}
}

/* One request; a guest that sends more than a turn's worth at once loses the rest. */
static uint32_t take_output(struct console *con)
{
	const struct vq_chain *c = &con->chain;
	uint32_t len = (uint32_t)min_t(uint64_t, c->read_len, TURN_BYTES), off = 0;

	while (off < len) {
		size_t n = vq_chain_read(c, off, con->piece, min_t(uint32_t, len - off, PIECE));

		out_put(con, con->piece, (uint32_t)n);
		off += (uint32_t)n;
	}
	if (c->read_len > len)
		atomic_fetch_add(&con->dropped, c->read_len - len);
	return len;
}

/* 0 done, 1 more is waiting, -EBADMSG. */
static int drain_output(struct console *con)
{
	struct vq *q = &con->d.vq[TXQ];
	unsigned budget = q->at.size;
	uint32_t bytes = 0;
	int rc;

	do {
		vq_disable_kicks(q);
		rc = 0;
		while (budget && bytes < TURN_BYTES && (rc = vq_pop(q, &con->chain)) > 0) {
			bytes += take_output(con);
			vq_push(q, con->chain.head, 0);
			budget--;
		}
		/* Nothing found costs nothing of the budget, as in vdev_serve(). */
	} while (rc == 0 && budget && bytes < TURN_BYTES && vq_enable_kicks(q));
	out_flush(con);
	for (unsigned i = 0; i < CONSOLE_WATCHERS; i++)
		console_watch_flush(&con->watchers[i]);
	vdev_signal(&con->d, TXQ);
	return rc < 0 ? rc : !budget || bytes >= TURN_BYTES;
}

/* --- input --------------------------------------------------------------------------------------- */

/* Reads into one request of the guest's. Bytes, 0 end or nothing now, -EBADMSG no such request. */
static ssize_t read_input(struct console *con, const struct vq *q)
{
	struct vq_chain *c = &con->chain;
	uint64_t len = min_t(uint64_t, c->write_len, TURN_BYTES);
	int n = vq_chain_iov(c, true, 0, len, con->iov, VQ_MAX_SEGS);
	ssize_t got;

	if (n <= 0)
		return -EBADMSG;
	do
		got = readv(con->in.fd, con->iov, n);
	while (got < 0 && errno == EINTR);
	if (got > 0)
		vq_chain_mark_dirty(q, c, 0, (uint64_t)got);
	else if (got == 0 || errno != EAGAIN)
		end_side(&con->in);
	return got > 0 ? got : 0;
}

static int fill_input(struct console *con)
{
	struct vq *q = &con->d.vq[RXQ];
	uint64_t bytes = 0;
	bool starved = false;
	int rc = 0;

	vq_disable_kicks(q);
	while (con->in.fd >= 0 && bytes < TURN_BYTES) {
		ssize_t got;

		rc = vq_pop(q, &con->chain);
		if (rc == 0 && vq_enable_kicks(q)) {
			bytes++; /* ends even if the driver's index runs to and fro */
			continue;
		}
		starved = rc == 0;
		if (rc <= 0)
			break;
		got = read_input(con, q);
		if (got <= 0) {
			vq_unpop(q, &con->chain);
			rc = (int)got;
			break;
		}
		vq_push(q, con->chain.head, (uint32_t)got);
		bytes += (uint64_t)got;
	}
	vdev_signal(&con->d, RXQ);
	if (con->in_polls)
		watch(con, &con->in, !starved && rc >= 0, EPOLLIN);
	if (rc < 0)
		return rc;
	return !con->in_polls && con->in.fd >= 0 && bytes >= TURN_BYTES;
}

static void in_ready(struct evsrc *src, uint32_t events)
{
	struct console *con = container_of(src, struct console, in);

	(void)events;
	if (fill_input(con) < 0)
		vdev_needs_reset(&con->d, "console: malformed receive ring");
}

/* --- the class ----------------------------------------------------------------------------------- */

static int console_kick(struct vdev *d, unsigned q)
{
	struct console *con = to_console(d);

	return q == TXQ ? drain_output(con) : fill_input(con);
}

/* Whether the loop can watch @src; it is not left watched. */
static int probe(struct console *con, struct evsrc *src, uint32_t events, bool *ret, struct err *e)
{
	int rc;

	if (src->fd < 0)
		return 0;
	rc = io_set_nonblock(src->fd, true);
	if (rc < 0)
		return err_errno(e, -rc, "console: %s", src->name);
	rc = evloop_add(con->d.loop, src, events);
	if (rc < 0 && rc != -EPERM)
		return err_errno(e, -rc, "console: %s", src->name);
	evloop_del(src);
	*ret = rc == 0;
	return 0;
}

static int console_create(struct vdev *d, const void *cfg_arg, struct err *e)
{
	const struct console_cfg *cfg = cfg_arg;
	struct console *con = to_console(d);
	int out = cfg->out_fd, rc;

	console_ring_init(&con->tail);
	for (unsigned i = 0; i < CONSOLE_WATCHERS; i++)
		console_watch_init(&con->watchers[i], d->loop, &con->tail);
	con->in = (struct evsrc){ .fd = -1, .fn = in_ready, .name = "console-in" };
	con->out = (struct evsrc){ .fd = -1, .fn = out_ready, .name = "console-out" };
	if (out >= 0 && out == cfg->in_fd) {
		out = fcntl(out, F_DUPFD_CLOEXEC, 0);
		if (out < 0)
			return err_errno(e, errno, "console: output");
	}
	con->in.fd = cfg->in_fd;
	con->out.fd = out;
	rc = probe(con, &con->in, EPOLLIN, &con->in_polls, e);
	if (rc == 0)
		rc = probe(con, &con->out, EPOLLOUT, &con->out_polls, e);
	if (rc < 0) {
		/* The caller keeps its descriptors. */
		con->in.fd = -1;
		if (out != cfg->out_fd)
			close(out);
		con->out.fd = -1;
		return rc;
	}
	atomic_store(&con->size, cfg->cols | (uint32_t)cfg->rows << 16);
	d->nqueues = NQUEUES;
	return 0;
}

static void console_destroy(struct vdev *d)
{
	struct console *con = to_console(d);

	out_flush(con); /* as much as goes without waiting */
	end_side(&con->in);
	end_side(&con->out);
	for (unsigned i = 0; i < CONSOLE_WATCHERS; i++)
		console_watch_end(&con->watchers[i]);
	console_ring_done(&con->tail);
}

static int console_activate(struct vdev *d, struct err *e)
{
	struct console *con = to_console(d);

	(void)e;
	/* A file that does not poll is read at the driver's first kick. */
	if (con->in_polls)
		watch(con, &con->in, true, EPOLLIN);
	return 0;
}

static void console_reset(struct vdev *d)
{
	watch(to_console(d), &to_console(d)->in, false, 0);
}

static int console_quiesce(struct vdev *d, struct err *e)
{
	(void)e;
	console_reset(d);
	return 0;
}

static void console_resume(struct vdev *d)
{
	console_activate(d, NULL);
}

static void console_config_read(const struct vdev *d, uint32_t off, void *dst, size_t len)
{
	const struct console *con = (const struct console *)(const void *)d;
	uint32_t size = atomic_load(&con->size);
	const struct config c = { .cols = htole16((uint16_t)size),
				  .rows = htole16((uint16_t)(size >> 16)),
				  .max_nr_ports = htole32(1) };

	memcpy(dst, (const uint8_t *)&c + off, len);
}

size_t console_tail(struct vdev *d, char *dst, size_t size)
{
	return console_ring_text(&to_console(d)->tail, dst, size);
}

uint64_t console_dropped(struct vdev *d)
{
	return atomic_load(&to_console(d)->dropped);
}

/* --- a watcher ----------------------------------------------------------------------------------- */

struct attach {
	struct console *con;
	int out, in, rc;
	bool once;
};

static int attach(struct attach *a)
{
	struct console *con = a->con;
	struct console_watch *w = NULL;
	int rc;

	for (unsigned i = 0; i < CONSOLE_WATCHERS && !w; i++)
		if (con->watchers[i].src.fd < 0)
			w = &con->watchers[i];
	if (!w)
		return -EBUSY;
	if (a->in >= 0 && con->in.fd >= 0)
		return -EEXIST;
	rc = console_watch_begin(w, a->out, a->once);
	if (rc < 0 || a->in < 0)
		return rc;
	con->in.fd = a->in;
	con->in_polls = true;
	/* Watched where the driver is there; else at its start. */
	if (con->d.active && !con->d.quiesced)
		watch(con, &con->in, true, EPOLLIN);
	return 0;
}

static void attach_on_loop(void *arg)
{
	struct attach *a = arg;

	a->rc = attach(a);
}

int console_attach(struct vdev *d, int out, int in, bool once, struct err *e)
{
	struct attach a = { .con = to_console(d), .out = out, .in = in, .once = once };
	int rc = io_set_nonblock(out, true);

	if (rc == 0 && in >= 0)
		rc = io_set_nonblock(in, true);
	if (rc == 0)
		rc = evloop_call(d->loop, attach_on_loop, &a);
	if (rc < 0)
		return err_errno(e, -rc, "console");
	if (a.rc == -EBUSY)
		return err_set(e, EBUSY, "the console has all the watchers it can have");
	if (a.rc == -EEXIST)
		return err_set(e, EEXIST, "the console has an input already");
	return a.rc < 0 ? err_errno(e, -a.rc, "console") : 0;
}

void console_resize(struct vdev *d, uint16_t cols, uint16_t rows)
{
	uint32_t size = cols | (uint32_t)rows << 16;

	if (atomic_exchange(&to_console(d)->size, size) != size)
		vdev_config_changed(d);
}

const struct vdev_class console_class = {
	.name = "console",
	.device_id = VDEV_CONSOLE,
	.queue_max = QUEUE_MAX,
	.config_len = sizeof(struct config),
	.features = VIRTIO_F_BIT(F_SIZE),
	.snap_ver = 1,
	.loop = VDEV_LOOP_IO,
	.size = sizeof(struct console),
	.create = console_create,
	.destroy = console_destroy,
	.activate = console_activate,
	.reset = console_reset,
	.kick = console_kick,
	.config_read = console_config_read,
	.quiesce = console_quiesce,
	.resume = console_resume,
};
