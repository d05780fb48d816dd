// SPDX-License-Identifier: Apache-2.0
#include "vmm/bus/serial.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "lib/cleanup.h"
#include "lib/io.h"
#include "vmm/bus/sink.h"

enum { REG_DATA, REG_IER, REG_IIR_FCR, REG_LCR, REG_MCR, REG_LSR, REG_MSR, REG_SCR };

#define IER_RX   0x01u
#define IER_TX   0x02u
#define IER_LINE 0x04u
#define IER_MASK 0x0fu

#define IIR_NONE    0x01u
#define IIR_TX      0x02u
#define IIR_RX      0x04u
#define IIR_LINE    0x06u
#define IIR_TIMEOUT 0x0cu
#define IIR_FIFO    0xc0u

#define FCR_ENABLE   0x01u
#define FCR_CLEAR_RX 0x02u
#define FCR_TRIGGER  6

#define LCR_DLAB 0x80u

#define MCR_LOOP 0x10u
#define MCR_MASK 0x1fu

#define LSR_DATA     0x01u
#define LSR_OVERRUN  0x02u
#define LSR_TX_EMPTY 0x60u /* holding and shift register */

#define MSR_PRESENT 0xb0u /* carrier, data set ready, clear to send */

#define FIFO_SIZE 16u

struct serial {
	struct irq_line *irq;
	struct evsrc in;      /* fd -1: none, or ended */
	pthread_mutex_t lock; /* all below */
	uint8_t ier, lcr, mcr, scr, fcr, dll, dlm;
	bool tx_irq;          /* "transmitter empty" not yet read */
	bool overrun;
	bool level;           /* of the interrupt line */
	uint8_t rx[FIFO_SIZE];
	unsigned rx_head, rx_len;
	struct sink out;
};

/* ---- receiving ---- */

static unsigned rx_room(const struct serial *s)
{
	unsigned size = s->fcr & FCR_ENABLE ? FIFO_SIZE : 1;

	return s->rx_len < size ? size - s->rx_len : 0;
}

static void rx_push(struct serial *s, uint8_t v)
{
	s->rx[(s->rx_head + s->rx_len++) % FIFO_SIZE] = v;
}

/* Takes what fits from the descriptor: when it has something new, and when the guest made room. */
static void refill_locked(struct serial *s)
{
	uint8_t tmp[FIFO_SIZE];
	unsigned room;

	while (s->in.fd >= 0 && !(s->mcr & MCR_LOOP) && (room = rx_room(s)) > 0) {
		ssize_t n = read(s->in.fd, tmp, room);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return; /* nothing now; at the end of the file nothing ever */
		for (ssize_t i = 0; i < n; i++)
			rx_push(s, tmp[i]);
	}
}

/* ---- interrupts ---- */

static unsigned rx_trigger(const struct serial *s)
{
	static const uint8_t level[4] = { 1, 4, 8, 14 };

	return s->fcr & FCR_ENABLE ? level[s->fcr >> FCR_TRIGGER & 3] : 1;
}

static unsigned cause(const struct serial *s)
{
	if (s->overrun && (s->ier & IER_LINE))
		return IIR_LINE;
	/* Fewer than the trigger: the line is idle at once, so the timeout is over at once. */
	if (s->rx_len && (s->ier & IER_RX))
		return s->rx_len >= rx_trigger(s) ? IIR_RX : IIR_TIMEOUT;
	if (s->tx_irq && (s->ier & IER_TX))
		return IIR_TX;
	return IIR_NONE;
}

static void update_irq_locked(struct serial *s)
{
	bool level = cause(s) != IIR_NONE;

	if (level == s->level)
		return;
	s->level = level;
	irq_line_set(s->irq, level);
}

static void on_readable(struct evsrc *src, uint32_t events)
{
	struct serial *s = container_of(src, struct serial, in);

	(void)events;
	pthread_mutex_lock(&s->lock);
	refill_locked(s);
	update_irq_locked(s);
	pthread_mutex_unlock(&s->lock);
}

size_t serial_feed(struct serial *s, const void *p, size_t len)
{
	size_t n = 0;

	pthread_mutex_lock(&s->lock);
	while (n < len && rx_room(s))
		rx_push(s, ((const uint8_t *)p)[n++]);
	update_irq_locked(s);
	pthread_mutex_unlock(&s->lock);
	return n;
}

/* ---- registers ---- */

static uint8_t read_data_locked(struct serial *s)
{
	uint8_t v = 0;

	if (s->lcr & LCR_DLAB)
		return s->dll;
	if (s->rx_len) {
		v = s->rx[s->rx_head];
		s->rx_head = (s->rx_head + 1) % FIFO_SIZE;
		s->rx_len--;
	}
	if (!s->rx_len)
		refill_locked(s);
	return v;
}

static uint8_t read_iir_locked(struct serial *s)
{
	unsigned v = cause(s);

	if (v == IIR_TX)
		s->tx_irq = false;
	return (uint8_t)(v | (s->fcr & FCR_ENABLE ? IIR_FIFO : 0));
}

static uint8_t read_lsr_locked(struct serial *s)
{
	unsigned v = LSR_TX_EMPTY | (s->rx_len ? LSR_DATA : 0) | (s->overrun ? LSR_OVERRUN : 0);

	s->overrun = false;
	return (uint8_t)v;
}

/* In loopback the four outputs come back as the four inputs. */
static uint8_t read_msr(const struct serial *s)
{
	unsigned m = s->mcr;

	if (!(m & MCR_LOOP))
		return MSR_PRESENT;
	return (uint8_t)((m & 1) << 5 | (m & 2) << 3 | (m & 4) << 4 | (m & 8) << 4);
}

static uint8_t read_reg_locked(struct serial *s, uint64_t reg)
{
	switch (reg) {
	case REG_DATA:
		return read_data_locked(s);
	case REG_IER:
		return s->lcr & LCR_DLAB ? s->dlm : s->ier;
	case REG_IIR_FCR:
		return read_iir_locked(s);
	case REG_LCR:
		return s->lcr;
	case REG_MCR:
		return s->mcr;
	case REG_LSR:
		return read_lsr_locked(s);
	case REG_MSR:
		return read_msr(s);
	default:
		return s->scr;
	}
}

static void write_data_locked(struct serial *s, uint8_t v)
{
	if (s->lcr & LCR_DLAB) {
		s->dll = v;
		return;
	}
	if (!(s->mcr & MCR_LOOP))
		sink_put(&s->out, &v, 1);
	else if (rx_room(s))
		rx_push(s, v);
	else
		s->overrun = true;
	s->tx_irq = true;
}

static void write_ier_locked(struct serial *s, uint8_t v)
{
	if (s->lcr & LCR_DLAB) {
		s->dlm = v;
		return;
	}
	if ((v & IER_TX) && !(s->ier & IER_TX))
		s->tx_irq = true;
	s->ier = v & IER_MASK;
}

static void write_fcr_locked(struct serial *s, uint8_t v)
{
	if ((v ^ s->fcr) & FCR_ENABLE || (v & FCR_CLEAR_RX))
		s->rx_len = 0;
	s->fcr = v & (FCR_ENABLE | 3u << FCR_TRIGGER);
	refill_locked(s);
}

static void write_reg_locked(struct serial *s, uint64_t reg, uint8_t v)
{
	switch (reg) {
	case REG_DATA:
		write_data_locked(s, v);
		break;
	case REG_IER:
		write_ier_locked(s, v);
		break;
	case REG_IIR_FCR:
		write_fcr_locked(s, v);
		break;
	case REG_LCR:
		s->lcr = v;
		break;
	case REG_MCR:
		s->mcr = v & MCR_MASK;
		refill_locked(s);
		break;
	case REG_SCR:
		s->scr = v;
		break;
	default: /* line and modem status cannot be written */
		break;
	}
}

static uint64_t serial_read(void *dev, uint64_t off, unsigned size)
{
	struct serial *s = dev;
	uint8_t v;

	if (size != 1)
		return UINT64_MAX; /* byte-wide ports */
	pthread_mutex_lock(&s->lock);
	v = read_reg_locked(s, off);
	update_irq_locked(s);
	pthread_mutex_unlock(&s->lock);
	return v;
}

static void serial_write(void *dev, uint64_t off, unsigned size, uint64_t value)
{
	struct serial *s = dev;

	if (size != 1)
		return;
	pthread_mutex_lock(&s->lock);
	write_reg_locked(s, off, (uint8_t)value);
	update_irq_locked(s);
	pthread_mutex_unlock(&s->lock);
}

const struct bus_ops serial_ops = { .name = "serial", .read = serial_read, .write = serial_write };

/* ---- life ---- */

static int open_input(struct serial *s, int in_fd, int out_fd, struct evloop *loop, struct err *e)
{
	int rc;

	/* epoll takes a descriptor once. */
	s->in.fd = in_fd >= 0 && in_fd == out_fd ? fcntl(in_fd, F_DUPFD_CLOEXEC, 0) : in_fd;
	if (in_fd < 0)
		return 0;
	if (s->in.fd < 0)
		return err_errno(e, errno, "serial: input");
	rc = io_set_nonblock(s->in.fd, true);
	if (rc == 0)
		rc = evloop_add(loop, &s->in, EPOLLIN | EPOLLET);
	if (rc == -EPERM) /* a file: always ready */
		rc = 0;
	if (rc < 0 && s->in.fd != in_fd)
		close(s->in.fd);
	return rc < 0 ? err_errno(e, -rc, "serial: input") : 0;
}

int serial_new(struct serial **ret, int in_fd, int out_fd, struct evloop *loop,
	       struct irq_line *irq, struct err *e)
{
	struct serial *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return err_set(e, ENOMEM, "out of memory");
	s->irq = irq;
	s->in = (struct evsrc){ .fd = -1, .fn = on_readable, .name = "serial-in" };
	s->mcr = 0x08; /* as firmware leaves it: interrupts let through */
	rc = open_input(s, in_fd, out_fd, loop, e);
	if (rc < 0) {
		free(s);
		return rc;
	}
	rc = sink_init(&s->out, loop, out_fd, "serial-out", e);
	if (rc < 0) {
		evloop_del(&s->in);
		if (s->in.fd != in_fd)
			close(s->in.fd);
		free(s);
		return rc;
	}
	pthread_mutex_init(&s->lock, NULL);
	*ret = s;
	return 0;
}

void serial_free(struct serial *s)
{
	if (!s)
		return;
	evloop_del(&s->in);
	cleanup_closep(&s->in.fd);
	sink_done(&s->out);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* ---- state: a list of byte registers, and what is in the FIFO ---- */

#define FLAG_TX_IRQ  1u
#define FLAG_OVERRUN 2u
#define FLAG_LEVEL   4u

void serial_save(struct serial *s, struct snap_w *w, uint16_t tag)
{
	uint8_t fifo[FIFO_SIZE];

	pthread_mutex_lock(&s->lock);
	const uint8_t regs[8] = {
		s->ier, s->lcr, s->mcr, s->scr, s->fcr, s->dll, s->dlm,
		(uint8_t)((s->tx_irq ? FLAG_TX_IRQ : 0) | (s->overrun ? FLAG_OVERRUN : 0) |
			  (s->level ? FLAG_LEVEL : 0)),
	};

	for (unsigned i = 0; i < s->rx_len; i++)
		fifo[i] = s->rx[(s->rx_head + i) % FIFO_SIZE];
	snap_w_bytes(w, tag, regs, sizeof(regs));
	snap_w_bytes(w, (uint16_t)(tag + 1), fifo, s->rx_len);
	pthread_mutex_unlock(&s->lock);
}

int serial_load(struct serial *s, struct snap_r *r, uint16_t tag, struct err *e)
{
	const uint8_t *regs;
	const void *p, *fifo;
	size_t len, nfifo;

	if (snap_r_bytes(r, tag, &p, &len, 8) < 0 || len != 8 ||
	    snap_r_bytes(r, (uint16_t)(tag + 1), &fifo, &nfifo, FIFO_SIZE) < 0)
		return err_set(e, EBADMSG, "state of the serial port is malformed");
	regs = p;
	if (regs[0] & ~IER_MASK || regs[2] & ~MCR_MASK || regs[7] & ~7u ||
	    regs[4] & ~(FCR_ENABLE | 3u << FCR_TRIGGER))
		return err_set(e, EBADMSG, "registers of the serial port have unknown bits");
	pthread_mutex_lock(&s->lock);
	s->ier = regs[0];
	s->lcr = regs[1];
	s->mcr = regs[2];
	s->scr = regs[3];
	s->fcr = regs[4];
	s->dll = regs[5];
	s->dlm = regs[6];
	s->tx_irq = regs[7] & FLAG_TX_IRQ;
	s->overrun = regs[7] & FLAG_OVERRUN;
	s->level = regs[7] & FLAG_LEVEL;
	memcpy(s->rx, fifo, nfifo);
	s->rx_head = 0;
	s->rx_len = (unsigned)nfifo;
	pthread_mutex_unlock(&s->lock);
	return 0;
}
