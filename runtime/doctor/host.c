// SPDX-License-Identifier: Apache-2.0
#include "runtime/doctor/doctor.h"

#include <stdarg.h>
#include <stdio.h>

static const struct {
	const char *name;
	doctor_check *fn;
} checks[] = {
	{ "kvm", doctor_kvm },
	{ "kvm nx_huge_pages", doctor_nx_huge_pages },
	{ "kernel", doctor_calls },
	{ "namespaces", doctor_namespaces },
	{ "cgroup", doctor_cgroup },
	{ "cgroup favordynmods", doctor_favordynmods },
	{ "limits", doctor_limits },
	{ "memory", doctor_memory },
	{ "/dev/net/tun", doctor_tun },
	{ "/dev/vhost-net", doctor_vhost_net },
	{ "programs", doctor_programs },
	{ "guest", doctor_guest },
	{ "configuration", doctor_config },
};

void doctor_say(struct doctor_line *l, enum doctor_verdict v, const char *advice, const char *fmt, ...)
{
	va_list ap;

	l->verdict = v;
	snprintf(l->advice, sizeof(l->advice), "%s", advice ? advice : "");
	va_start(ap, fmt);
	vsnprintf(l->found, sizeof(l->found), fmt, ap);
	va_end(ap);
}

void doctor_host(const char *config, doctor_fn *fn, void *arg)
{
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		struct doctor_line l = { .verdict = DOCTOR_OK };

		snprintf(l.name, sizeof(l.name), "%s", checks[i].name);
		checks[i].fn(&l, config);
		fn(arg, &l);
	}
}
