/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the source of a bind mount is, and how a virtual machine comes by it (docs/mounts.md has the table):
 *
 *   directories and regular files   a share: the host's files, by the file server
 *   the host's kernel file systems  the guest's own of the same kind: it has a kernel of its own
 *   harmless devices                the guest's own of the same name
 *   block devices                   a node, with a disk of the machine behind it where the rules allow that (disks.h)
 *   sockets                         their connections and datagrams, relayed
 *   FIFOs, other devices            refused by name
 */
#ifndef RUNTIME_CONTAINER_SOURCE_H
#define RUNTIME_CONTAINER_SOURCE_H

#include <sys/stat.h>

#include "lib/mountinfo.h"
#include "runtime/oci/spec.h"

struct source {
	int fd; /* a share: dissolved (lib/mounttree.h); -1: none */
	int sock; /* a socket: O_PATH; -1: none */
	bool is_dir;
	bool readonly; /* all of it, for the file server */
	bool nocache;
	/* What containers of a machine are to have in common: of a share the mount that it is of, by the kernel's number and 1
	 * more; 0: it is this container's alone. pack.common says it to the guest, and that of a tmpfs of the guest's, too. */
	uint32_t common;
	char common_key[96];
	struct oci_pack_source pack; /* its name is the caller's to give when it is a share or a socket */
	char sub[4096], data[64];
};

/* What the source of @m is: 1 a share, 0 the guest's own or a socket; -EINVAL, or why there is none. A remount's is not
 * looked at but for being there. The text does not name the field. */
int source_look(int bundle, const struct oci_mount *m, struct err *e);
/* Opens the source of @m as its options say. @mi: this process's mounts, loaded here when needed and n is 0.
 * -EINVAL, or why the source cannot be opened; the text does not name the field. */
int source_open(struct source *s, int bundle, const struct oci_mount *m, struct mountinfo *mi,
		struct err *e);
/* The root file system. */
int source_open_root(struct source *s, int bundle, const char *path, bool readonly,
		     struct mountinfo *mi, struct err *e);
/* What was looked at elsewhere: @real is where it is, by no link, @fs of that mount. 1: the guest's own or a socket, 0: a
 * share, whose descriptor source_share() gives it; -EINVAL: neither. */
struct statfs;
int source_found(struct source *s, const char *real, const struct stat *st, const struct statfs *fs, const char *destination,
		 struct err *e);
/* Takes @fd, dissolved. */
void source_share(struct source *s, int fd);
/* It is this container's alone. */
void source_alone(struct source *s);
void source_done(struct source *s);

/* For tests: the decision alone. @real: where it is, links resolved; @fs_type: statfs(2)'s. 1: the guest's own
 * or a socket (s->pack says which), 0: a share, -EINVAL: refused. */
int source_decide(struct source *s, const char *real, const struct stat *st, long fs_type,
		  const char *destination, struct err *e);

#endif
