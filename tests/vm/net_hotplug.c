// SPDX-License-Identifier: Apache-2.0
/*
 * net-hotplug KERNEL INITRAMFS ROUNDS [memory]: drives a husk-machine as a front does, whose guest (the test
 * guest, with the word hot:ROUNDS) gets a network device while it runs, loses its tap, gets it again, lets go
 * of the device, and gets another. With "memory" the PCI configuration spaces are memory. Its tap is hot0,
 * 10.7.0.1, in the namespace that it is started in. Prints what happens; exit status 0 if all of it did.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/io.h"
#include "lib/log.h"
#include "vmm/front/net.h"
#include "vmm/front/spawn.h"

#define CALL_MS 20000
#define WAIT_NS 60000000000ull

static char console[1 << 16];
static size_t len, seen;
static int out; /* the machine's console */

__attribute__((noreturn)) static void fail(const char *what, const struct err *e)
{
	fprintf(stderr, "net-hotplug: %s: %s\n%.*s\n", what, e ? e->msg : "", (int)len, console);
	exit(1);
}

/* Until the guest says so, behind what was awaited last. */
static void await(const char *text)
{
	uint64_t end = io_now_ns() + WAIT_NS;

	for (;;) {
		struct pollfd p = { .fd = out, .events = POLLIN };
		char *at = strstr(console + seen, text);

		if (at) {
			seen = (size_t)(at - console) + strlen(text);
			printf("guest: %s\n", text);
			return;
		}
		if (io_now_ns() > end || strstr(console + seen, "FAILED"))
			fail(text, NULL);
		if (poll(&p, 1, 100) > 0) {
			ssize_t n = read(out, console + len, sizeof(console) - 1 - len);

			if (n <= 0)
				fail(text, NULL);
			len += (size_t)n;
			console[len] = 0;
		}
	}
}

static int open_or_fail(const char *path, int flags)
{
	struct err e = ERR_INIT;
	int fd = open(path, flags | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	err_errno(&e, errno, "cannot open");
	fail(path, &e);
}

static void start(struct ncl *c, char **argv, bool memory)
{
	static struct ncl_desc d;
	struct err e = ERR_INIT;
	struct nc_device *con;
	int pipes[2], rc;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		fail("pipe", NULL);
	out = pipes[0];
	ncl_desc_init(&d);
	d.m.vcpus = d.m.max_vcpus = 2;
	d.m.memory = MIB(256);
	d.m.flags = memory ? NC_CREATE_CFG_MEMORY : 0;
	snprintf(d.m.cmdline, sizeof(d.m.cmdline), "console=hvc0 quiet panic=-1 guest=hot:%s", argv[3]);
	rc = ncl_desc_fd(&d, open_or_fail("/dev/kvm", O_RDWR), &d.m.kvm, &e);
	if (rc == 0)
		rc = ncl_desc_fd(&d, open_or_fail(argv[1], O_RDONLY), &d.m.kernel, &e);
	if (rc == 0)
		rc = ncl_desc_fd(&d, open_or_fail(argv[2], O_RDONLY), &d.m.initramfs, &e);
	con = ncl_desc_device(&d, NC_DEV_CONSOLE, "console");
	if (rc == 0)
		rc = ncl_desc_fd(&d, pipes[1], &con->console.out, &e);
	ncl_desc_device(&d, NC_DEV_RNG, "rng");
	if (rc == 0)
		rc = ncl_create(c, &d, CALL_MS, &e);
	if (rc == 0)
		rc = ncl_command(c, NC_SUBSCRIBE, CALL_MS, &e);
	if (rc == 0)
		rc = ncl_boot(c, CALL_MS, &e);
	if (rc < 0)
		fail("start", &e);
}

static void round_of(struct ncl *c, struct front_net *n, unsigned *slot)
{
	struct nc_net_info info;
	struct nc_device dev;
	struct err e = ERR_INIT;
	unsigned at;

	await("hot: looking");
	ncl_device_init(&dev, NC_DEV_NET, "net0");
	dev.net = n->net;
	if (ncl_device_add(c, &dev, NULL, 0, &at, CALL_MS, &e) < 0 ||
	    ncl_net_attach(c, "net0", n->link.fd, n->link.n, n->mac, 0, 0, CALL_MS, &e) < 0)
		fail("add", &e);
	if (*slot && *slot != at)
		fail("another slot", NULL);
	*slot = at;
	printf("added in slot %u\n", at);
	await("works");
	if (ncl_net_detach(c, "net0", CALL_MS, &e) < 0)
		fail("detach", &e);
	await("carrier gone");
	if (ncl_net_attach(c, "net0", n->link.fd, n->link.n, NULL, 0, 0, CALL_MS, &e) < 0)
		fail("attach", &e);
	await("let go");
	if (ncl_net_info(c, "net0", &info, CALL_MS, &e) < 0)
		fail("info", &e);
	printf("frames %s\n", info.rx_frames && info.tx_frames ? "both ways" : "MISSING");
	if (ncl_device_remove(c, "net0", CALL_MS, &e) < 0)
		fail("remove", &e);
}

int main(int argc, char **argv)
{
	struct net_option o;
	struct err e = ERR_INIT;
	struct front_net net;
	struct nc_event ev;
	unsigned slot = 0;
	struct ncl *c;
	int sock;
	pid_t pid;

	log_open(STDERR_FILENO, LOG_TEXT, LOG_WARN, "net-hotplug");
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 4)
		return 2;
	if (net_option_parse("tap=hot0,ip=10.7.0.1,mask=255.255.255.0", &o, &e) < 0 ||
	    front_net_open(&net, &o, 0, &e) < 0 || spawn_machine(&pid, &sock, &e) < 0 ||
	    ncl_new(&c, sock, &e) < 0 || ncl_hello(c, NULL, CALL_MS, &e) < 0)
		fail("machine", &e);
	start(c, argv, argc > 4);
	for (int i = 0; i < atoi(argv[3]); i++)
		round_of(c, &net, &slot);
	await("hot: ok");
	do {
		if (ncl_event(c, &ev, CALL_MS, &e) != 1)
			fail("end", &e);
	} while (ev.kind != NC_EV_END);
	printf("end: %s\n", nc_end_name(ev.value));
	return ev.value != NC_END_POWEROFF;
}
