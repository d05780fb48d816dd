// SPDX-License-Identifier: Apache-2.0
/* husk's own parts, and the operator's configuration. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "runtime/doctor/doctor.h"
#include "runtime/host/config.h"
#include "runtime/host/spawn.h"

void doctor_programs(struct doctor_line *l, const char *config)
{
	static const char *const names[] = { "husk-machine", "husk-proxy", "husk-net" };
	struct err e = ERR_INIT;
	char path[4096];

	(void)config;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (spawn_find_program(names[i], path, sizeof(path), &e) < 0) {
			doctor_say(l, DOCTOR_PROBLEM, "install husk whole (make install)", "%s", e.msg);
			return;
		}
	if (spawn_find_program("husk-systemd-cgroup", path, sizeof(path), &e) < 0)
		doctor_say(l, DOCTOR_WARNING, "install husk whole (make install)",
			   "husk-systemd-cgroup is missing, which --systemd-cgroup needs");
	else
		doctor_say(l, DOCTOR_OK, NULL, "husk-machine, husk-proxy, husk-net and husk-systemd-cgroup are there");
}

/* The kernel and the initramfs that a container gets which asks for none. */
void doctor_guest(struct doctor_line *l, const char *config)
{
	static const struct {
		const char *name, *env;
	} files[] = { { "vmlinux", "HUSK_KERNEL" }, { "initramfs", "HUSK_INITRAMFS" } };
	struct host_config cfg;
	struct err e = ERR_INIT;
	char path[4096], first[4096] = "";

	if (host_config_load(&cfg, config, &e) < 0) {
		doctor_say(l, DOCTOR_WARNING, NULL, "not looked for: see the configuration");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		const char *configured = i == 0 ? cfg.kernel : cfg.initramfs;
		int rc = 0;

		if (*configured && !getenv(files[i].env))
			snprintf(path, sizeof(path), "%s", configured);
		else
			rc = spawn_find_data(files[i].name, files[i].env, path, sizeof(path), &e);
		if (rc == 0 && access(path, R_OK) < 0)
			rc = err_errno(&e, errno, "%s", path);
		if (rc < 0) {
			doctor_say(l, DOCTOR_PROBLEM, "install husk whole (make install), or name another in the configuration",
				   "%s", e.msg);
			host_config_done(&cfg);
			return;
		}
		if (i == 0)
			snprintf(first, sizeof(first), "%s", path);
	}
	doctor_say(l, DOCTOR_OK, NULL, "%s, %s", first, path);
	host_config_done(&cfg);
}

void doctor_config(struct doctor_line *l, const char *config)
{
	const char *path = config ? config : HOST_CONFIG_PATH;
	struct host_config cfg;
	struct err e = ERR_INIT;

	if (host_config_load(&cfg, config, &e) < 0) {
		doctor_say(l, DOCTOR_PROBLEM, "correct it: husk-config.json(5); until then no container starts", "%s", e.msg);
		return;
	}
	doctor_say(l, DOCTOR_OK, NULL, "%s%s", path, access(path, F_OK) < 0 ? " is not there: defaults" : "");
	host_config_done(&cfg);
}
