// SPDX-License-Identifier: Apache-2.0
/* husk-agent: PID 1 of the guest. */
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "agent-proto/agent/agent.h"
#include "agent-proto/agent/boot.h"
#include "lib/log.h"

static void on_term(struct agent *a)
{
	(void)a;
	boot_power_off();
}

static void on_button(struct evsrc *src, uint32_t events)
{
	(void)events;
	if (boot_power_pressed(src->fd))
		boot_power_off();
}

static int serve(struct evloop *l, struct err *e)
{
	/* Lives as long as the machine. */
	static struct evsrc button = { .fn = on_button, .name = "power button" };
	struct agent_config cfg = { .is_host = boot_is_host,
				    .shares_dir = BOOT_SHARES,
				    .mount_shares = boot_shares,
				    .mount_sysfs = boot_sysfs,
				    .find_devices = boot_find_devices,
				    .remove_device = boot_remove_device,
				    .remove_disk = boot_remove_disk,
				    .sockets_dir = BOOT_SOCKETS,
				    .mount_sockets = boot_sockets,
				    .common_dir = BOOT_COMMON,
				    .mount_common = boot_common,
				    .is_quiet = boot_shares_quiet,
				    .rootfs_dir = BOOT_ROOTFS,
				    .cgroup_dir = BOOT_CGROUP,
				    .set_clock = boot_set_clock,
				    .add_entropy = boot_add_entropy };
	struct err ready = ERR_INIT;
	struct agent *a;
	int rc;

	cfg.control_fd = boot_listen(AGENT_PORT_CONTROL, e);
	if (cfg.control_fd < 0)
		return cfg.control_fd;
	cfg.stream_fd = boot_listen(AGENT_PORT_STREAM, e);
	if (cfg.stream_fd < 0)
		return cfg.stream_fd;
	cfg.resolver_fd = boot_listen(AGENT_PORT_RESOLVER, e);
	if (cfg.resolver_fd < 0)
		return cfg.resolver_fd;
	cfg.forward_fd = boot_listen(AGENT_PORT_FORWARD, e);
	if (cfg.forward_fd < 0)
		return cfg.forward_fd;
	cfg.udp_fd = boot_listen(AGENT_PORT_UDP, e);
	if (cfg.udp_fd < 0)
		return cfg.udp_fd;
	rc = agent_new(&a, l, &cfg, e);
	if (rc < 0)
		return rc;
	a->on_term = on_term;
	/* A host that does not listen for it may still come by itself. */
	if (boot_ready(&ready) < 0)
		log_warn("%s", ready.msg);
	/* While the host is on its way. If it does not work now, the first container tells why. */
	a->shares_mounted = boot_shares(NULL) == 0;
	boot_memory();
	boot_tables();
	button.fd = boot_power_button();
	if (button.fd >= 0)
		evloop_add(l, &button, EPOLLIN);
	return evloop_run(l);
}

int main(void)
{
	struct err e = ERR_INIT;
	struct evloop *l;

	if (getpid() != 1) {
		fprintf(stderr, "husk-agent: runs as process 1 of a guest, nowhere else\n");
		return 1;
	}
	log_open(STDERR_FILENO, LOG_TEXT, LOG_WARN, "husk-agent");
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (boot_world(&e) < 0 || boot_loopback(&e) < 0 || evloop_new(&l, &e) < 0 ||
	    serve(l, &e) < 0)
		boot_fatal(e.msg[0] ? e.msg : "event loop");
	boot_fatal("event loop ended");
}
