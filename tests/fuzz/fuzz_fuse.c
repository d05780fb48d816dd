// SPDX-License-Identifier: Apache-2.0
/*
 * Sequences of FUSE requests against a share in a temporary directory. Input: records of {opcode,
 * which node, which open file, flags, length of arguments}, arguments; numbers of nodes and files
 * are taken from earlier replies most of the time, so that sequences get somewhere. After each
 * input: nothing outside the share changed, and no device was opened (a FIFO in the share would
 * have blocked us).
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/lib/fsfix.h"

#define KNOWN	16
#define RECORDS 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct fsfix fix;
static uint64_t nodes[KNOWN], handles[KNOWN];
static unsigned nnodes, nhandles;

struct record {
	uint8_t op, node, fh, flags;
	uint16_t len;
};

enum {
	RAW_NODE = 1,
	RAW_FH = 2,
	LIE_LEN = 4,
	AS_USER = 8,
	SHORT_ROOM = 16,
	PAYLOAD = 32,
	EXT = 64
};

/* Where a handle or a second node is in an operation's arguments, behind which fixed part. */
static const struct {
	uint8_t op, fh_at, node_at, fixed;
} layouts[] = {
	{ FUSE_READ, 0, 255, 40 },	     { FUSE_WRITE, 0, 255, 40 },
	{ FUSE_RELEASE, 0, 255, 24 },	     { FUSE_FLUSH, 0, 255, 24 },
	{ FUSE_FSYNC, 0, 255, 16 },	     { FUSE_READDIR, 0, 255, 40 },
	{ FUSE_READDIRPLUS, 0, 255, 40 },    { FUSE_RELEASEDIR, 0, 255, 24 },
	{ FUSE_FSYNCDIR, 0, 255, 16 },	     { FUSE_GETLK, 0, 255, 48 },
	{ FUSE_SETLK, 0, 255, 48 },	     { FUSE_SETLKW, 0, 255, 48 },
	{ FUSE_LSEEK, 0, 255, 24 },	     { FUSE_FALLOCATE, 0, 255, 32 },
	{ FUSE_SETATTR, 8, 255, 88 },	     { FUSE_GETATTR, 8, 255, 16 },
	{ FUSE_COPY_FILE_RANGE, 0, 16, 56 }, { FUSE_LINK, 255, 0, 8 },
	{ FUSE_RENAME, 255, 0, 8 },	     { FUSE_RENAME2, 255, 0, 16 },
};

/* Not worth what they cost here, or of no use in a sequence. */
static bool skipped(unsigned op)
{
	return op == FUSE_SYNCFS || op == FUSE_FSYNC || op == FUSE_FSYNCDIR;
}

static void populate(void)
{
	static const char *const links[][2] = {
		{ "/", "abs" },
		{ "../outside", "up" },
		{ "../outside/secret", "upfile" },
		{ ".", "self" },
	};

	fsfix_host_file(&fix, "a", "content of a", 0644);
	mkdirat(fix.share_fd, "d", 0755);
	fsfix_host_file(&fix, "d/b", "content of b", 04755);
	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		bug_on(symlinkat(links[i][0], fix.share_fd, links[i][1]) < 0);
	bug_on(mknodat(fix.share_fd, "fifo", S_IFIFO | 0666, 0) < 0);
}

static void cleanup(void)
{
	fsfix_done(&fix);
}

static void start(void)
{
	const struct fs_server_cfg cfg = { .max_nodes = 200,
					   .max_handles = 40,
					   .max_fds = 8,
					   .attr_timeout = 1,
					   .entry_timeout = 1,
					   .proc_fd = -1 };
	/* A sparse file of any size is fine; a fallocate() of one is not. */
	const struct rlimit lim = { 1 << 20, 1 << 20 };

	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &lim);
	if (!fix.base[0])
		atexit(cleanup);
	fsfix_init(&fix, access("/dev/shm", W_OK) == 0 ? "/dev/shm" : NULL, &cfg, 0);
	populate();
}

static void learn(const struct record *r)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;
	size_t at = 0;

	if (r->op == FUSE_OPEN || r->op == FUSE_OPENDIR || r->op == FUSE_CREATE ||
	    r->op == FUSE_TMPFILE) {
		at = fix.c.body_len - sizeof(o);
		memcpy(&o, fix.c.body + at, sizeof(o));
		handles[nhandles++ % KNOWN] = o.fh;
	}
	if (r->op == FUSE_READDIRPLUS && fix.c.body_len >= sizeof(e))
		at = sizeof(e);
	if (fix.c.body_len >= sizeof(e) && (at || (r->op >= FUSE_LOOKUP && r->op <= FUSE_LINK))) {
		memcpy(&e, fix.c.body, sizeof(e));
		if (r->op != FUSE_READ && r->op != FUSE_READDIR && e.nodeid)
			nodes[nnodes++ % KNOWN] = e.nodeid;
	}
}

static uint64_t pick(const uint64_t *from, unsigned n, uint8_t which)
{
	return n ? from[which % (n < KNOWN ? n : KNOWN)] : which;
}

static void patch(uint8_t *args, size_t len, const struct record *r)
{
	for (size_t i = 0; i < ARRAY_SIZE(layouts); i++) {
		uint64_t fh = pick(handles, nhandles, r->fh), node = pick(nodes, nnodes, r->fh);

		if (layouts[i].op != r->op || (r->flags & RAW_FH))
			continue;
		if (layouts[i].fh_at + 8u <= len)
			memcpy(args + layouts[i].fh_at, &fh, 8);
		if (layouts[i].node_at + 8u <= len)
			memcpy(args + layouts[i].node_at, &node, 8);
	}
}

static void one(const struct record *r, const uint8_t *args, size_t len)
{
	static uint8_t data[8192];
	struct iovec iov[2] = { { data, 100 }, { data + 100, sizeof(data) - 100 } };
	struct fs_in_header h = {
		.opcode = r->op,
		.unique = 1,
		.uid = r->flags & AS_USER ? 1000 : 0,
		.nodeid = r->flags & RAW_NODE ? r->node : pick(nodes, nnodes, r->node),
		.total_extlen = r->flags & EXT ? (uint16_t)(r->fh & 7) : 0,
	};
	uint8_t *req = malloc(sizeof(h) + len); /* of its own, for the sanitizer */
	size_t payload = 0;
	int rc;

	bug_on(!req);
	memcpy(req + sizeof(h), args, len);
	patch(req + sizeof(h), len, r);
	if (r->op == FUSE_WRITE) {
		struct fuse_write_in *w = (void *)(req + sizeof(h));

		payload = r->flags & PAYLOAD ? sizeof(data) : 0;
		if (len >= sizeof(*w) && (r->fh & 1))
			w->size = (uint32_t)payload;
		if (len >= sizeof(*w))
			w->offset &= 0xfffff;
	}
	h.len = (uint32_t)(sizeof(h) + len + payload) ^ (r->flags & LIE_LEN ? r->node : 0);
	memcpy(req, &h, sizeof(h));
	fix.c.room = r->flags & SHORT_ROOM ? 16u + r->fh : 0;
	rc = fc_raw(&fix.c, req, sizeof(h) + len, iov, payload ? 2 : 0);
	if (rc == 0)
		learn(r);
	free(req);
}

/* The share as it was. */
static void clean(void)
{
	static unsigned rounds;

	fs_server_reset(fix.c.s);
	bug_on(!fs_server_idle(fix.c.s));
	bug_on(!fsfix_outside_intact(&fix));
	if (++rounds % 16 == 0) {
		unsigned fds = fsfix_count_fds();

		fsfix_done(&fix);
		bug_on(fsfix_count_fds() + 5 < fds);
		start();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuse_entry_out e;
	struct record r;

	if (!fix.c.s)
		start();
	fix.c.room = 0;
	if (!fs_server_session(fix.c.s))
		bug_on(fc_init(&fix.c) < 0);
	nnodes = nhandles = 0;
	if (fc_lookup(&fix.c, FUSE_ROOT_ID, "s", &e) == 0)
		nodes[nnodes++] = e.nodeid;
	for (unsigned n = 0; n < RECORDS && size >= sizeof(r); n++) {
		memcpy(&r, data, sizeof(r));
		data += sizeof(r);
		size -= sizeof(r);
		r.len = min_t(uint16_t, r.len & 0x3ff, size);
		if (r.op < 64 && !skipped(r.op))
			one(&r, data, r.len);
		data += r.len;
		size -= r.len;
	}
	clean();
	return 0;
}
