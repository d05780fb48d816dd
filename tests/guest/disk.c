// SPDX-License-Identifier: Apache-2.0
/*
 * The test guest's word about disks: disk:MODE/DEPTH/BLOCK/COUNT does COUNT requests of BLOCK bytes to /dev/vda, DEPTH of them
 * in flight, past the guest's page cache. MODE is two letters: r or w, and s for one behind the other or r for places at random.
 * Each block that is read must hold what the host or a write put there: its own number in its first eight bytes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>

#include "tests/guest/guest.h"

#define DEPTH_MAX 64u
#define PAGE      4096u /* of the numbers: one at the start of each */

struct run {
	int fd;
	bool write, random;
	unsigned depth, block, count;
	uint64_t blocks; /* of the disk */
	aio_context_t ctx;
	struct iocb cb[DEPTH_MAX];
	unsigned char *buf[DEPTH_MAX];
	unsigned sent, done;
	uint32_t rnd;
};

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static uint32_t next(struct run *r)
{
	r->rnd = r->rnd * 1664525u + 1013904223u;
	return r->rnd >> 8;
}

static void number(unsigned char *buf, unsigned block, uint64_t at)
{
	for (unsigned off = 0; off < block; off += PAGE) {
		uint64_t n = (at + off) / PAGE;

		memcpy(buf + off, &n, sizeof(n));
	}
}

static bool numbered(const unsigned char *buf, unsigned block, uint64_t at)
{
	for (unsigned off = 0; off < block; off += PAGE) {
		uint64_t n = (at + off) / PAGE;

		if (memcmp(buf + off, &n, sizeof(n)) != 0)
			return false;
	}
	return true;
}

static bool submit(struct run *r, unsigned slot)
{
	struct iocb *cb = &r->cb[slot];
	uint64_t which = r->random ? next(r) % r->blocks : r->sent % r->blocks;

	memset(cb, 0, sizeof(*cb));
	cb->aio_data = slot;
	cb->aio_lio_opcode = r->write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD;
	cb->aio_fildes = (uint32_t)r->fd;
	cb->aio_buf = (uint64_t)(uintptr_t)r->buf[slot];
	cb->aio_nbytes = r->block;
	cb->aio_offset = (int64_t)(which * r->block);
	if (r->write)
		number(r->buf[slot], r->block, (uint64_t)cb->aio_offset);
	r->sent++;
	return syscall(SYS_io_submit, r->ctx, 1L, &cb) == 1;
}

/* 0, or what went wrong; errno says why. */
static const char *go(struct run *r)
{
	struct io_event ev[DEPTH_MAX];

	for (unsigned i = 0; i < r->depth && r->sent < r->count; i++)
		if (!submit(r, i))
			return "submit";
	while (r->done < r->count) {
		long n = syscall(SYS_io_getevents, r->ctx, 1L, (long)r->depth, ev, NULL);

		if (n < 1)
			return "getevents";
		for (long i = 0; i < n; i++) {
			unsigned slot = (unsigned)ev[i].data;

			errno = ev[i].res < 0 ? (int)-ev[i].res : EIO;
			if (ev[i].res != (int64_t)r->block)
				return r->write ? "write" : "read";
			if (!r->write &&
			    !numbered(r->buf[slot], r->block, (uint64_t)r->cb[slot].aio_offset))
				return "what was read";
			r->done++;
			if (r->sent < r->count && !submit(r, slot))
				return "submit";
		}
	}
	return NULL;
}

static const char *prepare(struct run *r)
{
	uint64_t bytes;

	r->fd = open("/dev/vda", O_RDWR | O_DIRECT | O_CLOEXEC);
	if (r->fd < 0 || ioctl(r->fd, BLKGETSIZE64, &bytes) < 0)
		return "/dev/vda";
	r->blocks = bytes / r->block;
	r->rnd = (uint32_t)now_us();
	for (unsigned i = 0; i < r->depth; i++)
		if (posix_memalign((void **)&r->buf[i], PAGE, r->block) != 0)
			return "memory";
		else
			memset(r->buf[i], 'x', r->block);
	return syscall(SYS_io_setup, (long)r->depth, &r->ctx) < 0 ? "io_setup" : NULL;
}

void disk_word(const char *arg)
{
	static struct run r;
	const char *wrong;
	char mode[3];
	uint64_t start;

	memset(&r, 0, sizeof(r));
	r.fd = -1;
	if (sscanf(arg, "%2[rws]/%u/%u/%u", mode, &r.depth, &r.block, &r.count) != 4 ||
	    r.depth < 1 || r.depth > DEPTH_MAX || r.block < PAGE || r.block % PAGE != 0) {
		say("disk: FAILED %s", arg);
		return;
	}
	r.write = mode[0] == 'w';
	r.random = mode[1] == 'r';
	wrong = prepare(&r);
	start = now_us();
	if (!wrong)
		wrong = go(&r);
	if (wrong)
		say("disk: FAILED %s: %s", wrong, strerror(errno));
	else
		say("disk: ok, %u of %u, %lu us", r.done, r.count,
		    (unsigned long)(now_us() - start));
	if (r.ctx)
		syscall(SYS_io_destroy, r.ctx);
	for (unsigned i = 0; i < r.depth; i++)
		free(r.buf[i]);
	close(r.fd);
}
