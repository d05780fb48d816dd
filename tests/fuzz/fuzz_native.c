// SPDX-License-Identifier: Apache-2.0
/*
 * Native control messages. The input is a list of packets, each a byte of length in units of 16, a byte of
 * descriptors to go along, and the bytes; they come from one client of a server whose commands only look
 * at what they got. The description of a machine is parsed for real.
 */
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/evloop.h"
#include "lib/io.h"
#include "vmm/control/server.h"
#include "vmm/core/config.h"

static int do_create(void *arg, struct control_request *r, struct err *e)
{
	struct machine_config *c;
	int rc = machine_config_parse(&c, r->msg, r->fds, r->nfds, e);

	(void)arg;
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < r->nfds; i++)
		r->fds[i] = -1;
	machine_config_free(c);
	return 0;
}

static int do_look(void *arg, struct control_request *r, struct err *e)
{
	(void)arg;
	(void)r;
	return err_set(e, EBUSY, "looked at");
}

static const struct control_cmd cmds[] = {
	{ NC_CREATE, sizeof(struct nc_create), 0, NC_MAX_FDS, NC_MAY_RUN, do_create },
	{ NC_SHARE_ADD, sizeof(struct nc_share), 1, 1, NC_MAY_SHARE, do_look },
	{ NC_CONNECT, sizeof(struct nc_connect), 0, 0, NC_MAY_CONNECT, do_look },
};

static void lifeline_lost(void *arg)
{
	(void)arg;
}

static const struct control_ops ops = { cmds, sizeof(cmds) / sizeof(cmds[0]), lifeline_lost };

/* Inputs are short: a description is a valid one with the input's bytes laid over its start. */
static size_t make_packet(uint8_t *p, const uint8_t *data, size_t len)
{
	struct nc_hdr h;

	memcpy(p, data, len);
	if (len < sizeof(h))
		return len;
	memcpy(&h, p, sizeof(h));
	if (h.cmd != NC_CREATE)
		return len;
	memset(p + len, 0, sizeof(struct nc_create) - len);
	h.version = NC_VERSION;
	h.rc = 0;
	h.size = sizeof(struct nc_create);
	memcpy(p, &h, sizeof(h));
	return sizeof(struct nc_create);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t packet[sizeof(struct nc_create)];
	struct evloop *loop;
	struct control *c;
	int pair[2];

	if (evloop_new(&loop, NULL) < 0 || control_new(&c, loop, &ops, NULL, NULL) < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0 ||
	    control_add_client(c, pair[1], NC_MAY_ALL | NC_LIFELINE, NULL) < 0)
		__builtin_trap();
	io_set_nonblock(pair[0], true);
	while (size >= 2) {
		size_t len = (size_t)data[0] * 16, n = data[1] % (NC_MAX_FDS + 2), out;
		int fds[NC_MAX_FDS + 2];

		data += 2;
		size -= 2;
		if (len > size)
			len = size;
		for (size_t i = 0; i < n; i++)
			fds[i] = STDERR_FILENO;
		out = make_packet(packet, data, len);
		if (out)
			io_send_fds(pair[0], packet, out, fds, n);
		data += len;
		size -= len;
		evloop_turn(loop, 0);
	}
	evloop_turn(loop, 0);
	control_free(c);
	evloop_free(loop);
	close(pair[0]);
	return 0;
}
