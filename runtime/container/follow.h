/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bind mounts that follow the host's mounts: those whose last word of propagation is "slave" or "rslave". Of such a source the
 * mount itself is the share, and each mount below it one of its own, so that it can go when it goes on the host: the follower
 * (runtime/proxy/follow.h) tells what is there.
 */
#ifndef RUNTIME_CONTAINER_FOLLOW_H
#define RUNTIME_CONTAINER_FOLLOW_H

#include "runtime/oci/spec.h"
#include "runtime/proxy/follow.h"

/* A mount that was there at the beginning. */
struct followed {
	uint32_t bind; /* number among those that follow */
	bool is_file;
	int fd; /* its share; -1: it is not one by itself after all */
	char *path, name[48];
	struct oci_pack_submount pack;
};

struct follow {
	size_t *mounts; /* of the spec, those that follow, in the order of their numbers */
	size_t n_mounts;
	bool whole; /* there were too many to be told apart */
	struct followed *v; /* by slot */
	size_t n;
	int sock; /* the follower; -1: none */
};
#define FOLLOW_INIT { .mounts = NULL, .sock = -1 }

bool follow_wanted(const struct oci_mount *m);
/* Gives the proxy at @proxy the sources to follow, if there are any; then what is mounted there is known. Sources that are no
 * shares, and what comes beyond FOLLOW_MAX_BINDS, are left alone. @prefix: of the names of shares. */
int follow_start(struct follow *f, const struct oci_spec *spec, int bundle, const char *prefix, int proxy, struct err *e);
/* The number of spec->mounts[@i], -1: it does not follow. */
int follow_number(const struct follow *f, size_t i);
/* What is mounted below @bind is part of its share. */
void follow_forget(struct follow *f, uint32_t bind);
/* Closes what the machine and the proxy have by now. */
void follow_close(struct follow *f);

#endif
