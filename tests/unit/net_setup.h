/* SPDX-License-Identifier: Apache-2.0 */
/* A network device with its fake driver and fake taps, for the tests of it. */
#ifndef TESTS_UNIT_NET_SETUP_H
#define TESTS_UNIT_NET_SETUP_H

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lib/fakedrv.h"
#include "tests/lib/faketap.h"
#include "tests/unit/check.h"
#include "vmm/virtio/net.h"

#define NET_MAX_FRAME_T (12u + 18u + 65536u)
#define SWAP(type, a, b)        \
	do {                    \
		type swap_ = a; \
		a = b;          \
		b = swap_;      \
	} while (0)

struct net_fix {
	struct fakedrv own, *f;
	int host[NET_MAX_PAIRS]; /* the test's ends; -1: none */
	unsigned n;
};

static const uint8_t own_mac[6] = { 2, 0, 0, 0, 0, 1 };
static const struct net_cfg net_plain = {
	.mac = { 2, 0, 0, 0, 0, 1 }, .pairs = 1, .queue_size = 256, .offloads = NET_CSUM | NET_TSO,
	.ops = &faketap_ops,
};

/* Test ends that the suite's devices left. */
static int suite_ends[64];
static unsigned suite_nends;

static inline const void *net_default_cfg(void)
{
	faketap_reset();
	return &net_plain;
}

static inline void net_unplug_all(void)
{
	while (suite_nends)
		close(suite_ends[--suite_nends]);
}

static inline bool net_link(struct fakedrv *f)
{
	struct net_state s;

	net_state(f->d, &s);
	return s.link;
}

static inline struct net_counters net_counted(struct net_fix *x)
{
	struct net_state s;

	net_state(x->f->d, &s);
	return s.counters;
}

/* Fresh taps, @n of them. */
static inline void net_plug(struct net_fix *x, unsigned n)
{
	struct net_attachment a = { .nfds = n, .link = true };
	struct err e = ERR_INIT;

	for (unsigned i = 0; i < n; i++) {
		x->host[i] = faketap_new(&a.fd[i]);
		if (x->f != &x->own) {
			bug_on(suite_nends == ARRAY_SIZE(suite_ends));
			suite_ends[suite_nends++] = x->host[i];
		}
	}
	x->n = n;
	if (net_attach(x->f->d, &a, &e) < 0)
		fail_msg("attach: %s", e.msg);
}

static inline int steal_host(struct net_fix *x, unsigned i)
{
	int fd = x->host[i];

	x->host[i] = -1;
	return fd;
}

/* @cfg NULL: net_plain. @taps: attached. */
static inline void net_begin_opts(struct net_fix *x, const struct net_cfg *cfg, uint64_t features,
				  unsigned taps, const struct fdv_opts *o)
{
	struct err e = ERR_INIT;

	faketap_reset();
	memset(x->host, 0xff, sizeof(x->host));
	x->n = 0;
	x->f = &x->own;
	fdv_init(x->f, o);
	if (fdv_create(x->f, &net_class, cfg ? cfg : &net_plain, &e) < 0)
		fail_msg("create: %s", e.msg);
	fdv_start(x->f, features);
	if (taps)
		net_plug(x, taps);
}

static inline void net_begin(struct net_fix *x, const struct net_cfg *cfg, uint64_t features,
			     unsigned taps)
{
	net_begin_opts(x, cfg, features, taps, NULL);
}

static inline void net_end(struct net_fix *x)
{
	fdv_done(x->f);
	for (unsigned i = 0; i < x->n; i++)
		if (x->host[i] >= 0)
			close(x->host[i]);
}

/* A header of zeros, to @to, and a body that @seed tells. @len counts all. */
static inline void net_frame(uint8_t *p, size_t len, const uint8_t *to, uint8_t seed)
{
	for (size_t i = 0; i < len; i++)
		p[i] = i < TAP_HEADER ? 0 : (uint8_t)(seed + i * 7 + i / 256);
	if (len >= TAP_HEADER + 6)
		memcpy(p + TAP_HEADER, to, 6);
}

static inline void net_host_put(struct net_fix *x, unsigned i, const void *p, size_t len)
{
	assert_int_equal(send(x->host[i], p, len, 0), len);
}

static inline int net_host_get(struct net_fix *x, unsigned i, void *p, size_t len)
{
	return (int)recv(x->host[i], p, len, MSG_DONTWAIT);
}

/* A chain of @len writable bytes; the driver's record of it is in the descriptor table. */
static inline void net_offer(struct net_fix *x, unsigned q, uint32_t len)
{
	struct fdv_seg seg = { fdv_alloc(x->f, len, 1), len, true };
	uint8_t *p = fdv_ptr(x->f, seg.at, len);

	memset(p, 0xa5, len);
	assert_true(fdv_add(x->f, q, &seg, 1) >= 0);
}

/* Takes @n used chains and joins what they hold; bytes. With @n 0: makes sure there is none. */
static inline size_t net_got(struct net_fix *x, unsigned q, uint8_t *dst, size_t size, unsigned n)
{
	size_t sum = 0;
	uint16_t head;
	uint32_t len;

	if (!n) {
		fdv_run(x->f, 10);
		return fdv_used(x->f, q, &head, &len) ? SIZE_MAX : 0;
	}
	while (n--) {
		struct {
			uint64_t addr;
			uint32_t len;
			uint16_t flags, next;
		} d;

		if (!fdv_wait_used(x->f, q, &head, &len, 1000))
			return 0;
		memcpy(&d, fdv_ptr(x->f, gpa(x->f->q[q].desc.v + 16ull * head), sizeof(d)), sizeof(d));
		assert_true(sum + len <= size && len <= d.len);
		memcpy(dst + sum, fdv_ptr(x->f, gpa(d.addr), len ? len : 1), len);
		sum += len;
	}
	return sum;
}

/* A command; the device's answer, -1 if there was none. */
static inline int net_ctrl(struct fakedrv *f, uint8_t class, uint8_t cmd, const void *args, size_t len)
{
	unsigned q = f->acked & (1ull << 22) ? f->d->nqueues - 1 : 2;
	uint8_t buf[512] = { class, cmd }, ack = 0xff;

	assert_true(len <= sizeof(buf) - 2);
	if (len)
		memcpy(buf + 2, args, len);
	return fdv_request(f, q, buf, 2 + len, &ack, 1) == 1 ? ack : -1;
}

#endif
