// SPDX-License-Identifier: Apache-2.0
/*
 * Whoever connects to a TCP port of the namespace itself (its loopback, its own addresses: port forwarding, health checks)
 * means the container, which listens in a guest. A program at the kernel's hook for looking up listeners hands every such
 * connection to one socket, whatever the port; the proxy accepts there. Only what is for 127.0.0.1, ::1 and addresses of
 * interfaces: the rest of 127.0.0.0/8 is where engines have servers of their own.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "runtime/net/steer.h"

#define TCP 6

static int bpf(int cmd, union bpf_attr *attr)
{
	long rc = syscall(SYS_bpf, cmd, attr, sizeof(*attr));

	return rc < 0 ? -errno : (int)rc;
}

#define INSN(c, d, s, o, i) { .code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) }
#define FIELD(f)            ((int16_t)offsetof(struct bpf_sk_lookup, f))
#define LOAD(d, s, o)       INSN(BPF_LDX | BPF_MEM | BPF_W, d, s, o, 0)
#define SET(d, i)           INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define COPY(d, s)          INSN(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define UNLESS(r, i, o)     INSN(BPF_JMP | BPF_JNE | BPF_K, r, 0, o, i)
#define IF(r, i, o)         INSN(BPF_JMP | BPF_JEQ | BPF_K, r, 0, o, i)
#define CALL(f)             INSN(BPF_JMP | BPF_CALL, 0, 0, 0, f)

/* Which of the two sockets of @map: by address family. */
static int load(int map)
{
	const struct bpf_insn prog[] = {
		/*  0 */ COPY(6, 1),
		/*  1 */ LOAD(2, 6, FIELD(protocol)),
		/*  2 */ UNLESS(2, TCP, 21), /* to 24 */
		/*  3 */ SET(7, 1),
		/*  4 */ LOAD(2, 6, FIELD(family)),
		/*  5 */ UNLESS(2, AF_INET, 6), /* to 12 */
		/*  6 */ SET(7, 0),
		/*  7 */ LOAD(2, 6, FIELD(local_ip4)),
		/*  8 */ INSN(BPF_ALU | BPF_END | BPF_TO_BE, 2, 0, 0, 32),
		/*  9 */ INSN(BPF_JMP32 | BPF_JEQ | BPF_K, 2, 0, 2, INADDR_LOOPBACK), /* to 12 */
		/* 10 */ INSN(BPF_ALU | BPF_RSH | BPF_K, 2, 0, 0, 24),
		/* 11 */ IF(2, 127, 12), /* to 24 */
		/* 12 */ INSN(BPF_STX | BPF_MEM | BPF_W, 10, 7, -4, 0),
		/* 13 */ INSN(BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, map),
		/* 14 */ INSN(0, 0, 0, 0, 0),
		/* 15 */ COPY(2, 10),
		/* 16 */ INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4),
		/* 17 */ CALL(BPF_FUNC_map_lookup_elem),
		/* 18 */ IF(0, 0, 5), /* to 24 */
		/* 19 */ COPY(7, 0),
		/* 20 */ COPY(1, 6),
		/* 21 */ COPY(2, 7),
		/* 22 */ SET(3, 0),
		/* 23 */ INSN(BPF_JMP | BPF_JA, 0, 0, 2, 0), /* to 26 */
		/* 24 */ SET(0, SK_PASS),
		/* 25 */ INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
		/* 26 */ CALL(BPF_FUNC_sk_assign),
		/* 27 */ COPY(1, 7),
		/* 28 */ CALL(BPF_FUNC_sk_release),
		/* 29 */ SET(0, SK_PASS),
		/* 30 */ INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_SK_LOOKUP;
	attr.expected_attach_type = BPF_SK_LOOKUP;
	attr.insns = (uintptr_t)prog;
	attr.insn_cnt = ARRAY_SIZE(prog);
	attr.license = (uintptr_t)"Apache-2.0";
	memcpy(attr.prog_name, "husk_steer", 11);
	return bpf(BPF_PROG_LOAD, &attr);
}

static int new_map(void)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_SOCKMAP;
	attr.key_size = sizeof(uint32_t);
	attr.value_size = sizeof(uint64_t);
	attr.max_entries = STEER_SOCKETS;
	return bpf(BPF_MAP_CREATE, &attr);
}

static int put(int map, uint32_t key, int sock)
{
	uint64_t value = (uint64_t)sock;
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)map;
	attr.key = (uintptr_t)&key;
	attr.value = (uintptr_t)&value;
	return bpf(BPF_MAP_UPDATE_ELEM, &attr);
}

static int attach(int prog, int netns)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.link_create.prog_fd = (uint32_t)prog;
	attr.link_create.target_fd = (uint32_t)netns;
	attr.link_create.attach_type = BPF_SK_LOOKUP;
	return bpf(BPF_LINK_CREATE, &attr);
}

/* The port does not matter, but one there must be. */
static int listen_on(int family)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;

	if (fd >= 0 && family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0)
		close_and_reset(&fd);

	if (fd >= 0 && (bind(fd, family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6,
			     family == AF_INET ? sizeof(v4) : sizeof(v6)) < 0 || listen(fd, 64) < 0))
		close_and_reset(&fd);
	return fd;
}

static int steer_by_bpf(int netns, const int listen[STEER_SOCKETS], int *ret_link, struct err *e)
{
	_cleanup_close_ int map = new_map();
	_cleanup_close_ int prog = map < 0 ? map : load(map);
	int link;

	if (prog < 0)
		return err_errno(e, -prog, "BPF program");
	for (uint32_t i = 0; i < STEER_SOCKETS; i++) {
		int rc = listen[i] < 0 ? 0 : put(map, i, listen[i]);

		if (rc < 0)
			return err_errno(e, -rc, "BPF program's sockets");
	}
	link = attach(prog, netns);
	if (link < 0)
		return err_errno(e, -link, "BPF program's attachment");
	*ret_link = link;
	return 0;
}

int steer_start(int netns, int ret_listen[STEER_SOCKETS], int *ret_link, struct err *e)
{
	static const int families[STEER_SOCKETS] = { AF_INET, AF_INET6 };
	struct err nft = ERR_INIT;
	int rc;

	/* Without IPv6: the other alone. */
	for (unsigned i = 0; i < STEER_SOCKETS; i++)
		ret_listen[i] = listen_on(families[i]);
	rc = steer_by_bpf(netns, ret_listen, ret_link, e);
	if (rc < 0 && steer_by_nft(SOCK_STREAM, ret_listen, ret_link, &nft) == 0)
		return 0;
	if (rc < 0) {
		for (unsigned i = 0; i < STEER_SOCKETS; i++)
			close_and_reset(&ret_listen[i]);
		return err_wrap(e, rc, "%s", nft.msg);
	}
	return 0;
}
