/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `husk doctor` looks at: one function a line, each of which says what it found and what to do about it. Nothing is
 * changed, but for a small virtual machine that runs for a moment.
 */
#ifndef RUNTIME_DOCTOR_DOCTOR_H
#define RUNTIME_DOCTOR_DOCTOR_H

#include "lib/util.h"

enum doctor_verdict {
	DOCTOR_OK,
	DOCTOR_WARNING, /* works, but slower or with less than it could */
	DOCTOR_PROBLEM, /* containers do not start */
};

struct doctor_line {
	char name[100];
	enum doctor_verdict verdict;
	char found[400]; /* one line */
	char advice[300]; /* what to do; "" when all is well */
};

/* Each is called for one line that is ready to be printed. */
typedef void doctor_fn(void *arg, const struct doctor_line *l);

/* This host. @config: the path of the operator's configuration, NULL for the usual one. */
void doctor_host(const char *config, doctor_fn *fn, void *arg);
/* A bundle's config.json: what is refused (a problem) and what is accepted without effect or passed over. */
void doctor_bundle(const char *dir, doctor_fn *fn, void *arg);

/* Fills in verdict, found and advice (NULL: none). */
void doctor_say(struct doctor_line *l, enum doctor_verdict v, const char *advice, const char *fmt, ...)
	__printf_like(4, 5);

/* Lines of doctor_host(), in kernel.c and parts.c. */
typedef void doctor_check(struct doctor_line *l, const char *config);
doctor_check doctor_kvm, doctor_nx_huge_pages, doctor_calls, doctor_namespaces, doctor_cgroup, doctor_favordynmods,
	doctor_limits, doctor_memory, doctor_tun, doctor_vhost_net, doctor_programs, doctor_guest, doctor_config;

#endif
