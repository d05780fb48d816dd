// SPDX-License-Identifier: Apache-2.0
#include "runtime/container/follow.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/log.h"
#include "runtime/container/create_internal.h"
#include "runtime/proxy/client.h"

bool follow_wanted(const struct oci_mount *m)
{
	/* An id-mapped mount is made of one share, whose mapping what comes later would lack. */
	return m->bind && m->n_propagation && m->propagation[m->n_propagation - 1] & MS_SLAVE && !(m->flags & MS_REMOUNT) &&
	       !m->idmap;
}

/* The host's mounts arrive in the copy. All of it is a slave, whatever the word: a clone of a shared mount begins as its peer. */
static int open_slave(int bundle, const struct oci_mount *m, int *ret_fd)
{
	struct mount_attr slave = { .propagation = MS_SLAVE };
	const unsigned how = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (m->recursive ? AT_RECURSIVE : 0u);
	_cleanup_close_ int fd = open_tree(bundle, m->source, how);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &slave, sizeof(slave)) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		*ret_fd = steal_fd(&fd);
	return 0;
}

static int send_sources(struct follow *f, const struct oci_spec *spec, int bundle, int proxy, struct err *e)
{
	for (size_t i = 0; i < spec->n_mounts; i++) {
		const struct oci_mount *m = &spec->mounts[i];
		struct proxy_follow msg = { .readonly = !!(m->rec_set & MOUNT_ATTR_RDONLY) };
		_cleanup_close_ int fd = -1;
		int rc;

		if (!follow_wanted(m) || source_look(bundle, m, NULL) <= 0)
			continue;
		if (f->n_mounts == FOLLOW_MAX_BINDS) {
			log_warn("config.json: mounts[%zu]: what the host mounts there later does not appear: more than %d "
				 "mounts have slave propagation", i, FOLLOW_MAX_BINDS);
			continue;
		}
		rc = open_slave(bundle, m, &fd);
		if (rc < 0)
			return err_errno(e, -rc, "config.json: mounts[%zu].source: cannot follow the mounts at %s", i, m->source);
		if (fd < 0)
			continue;
		rc = proxy_send(proxy, PROXY_FOLLOW, &msg, sizeof(msg), &fd, 1, e);
		if (rc < 0)
			return rc;
		f->mounts[f->n_mounts++] = i;
	}
	return 0;
}

/* *ret_fd: -1 without one. */
static int hear(const struct follow *f, struct follow_event *ev, int *ret_fd, struct err *e)
{
	struct pollfd p = { .fd = f->sock, .events = POLLIN };
	size_t nfds = 1;
	ssize_t n;

	if (poll(&p, 1, CALL_TIMEOUT_MS) == 0)
		return err_set(e, ETIMEDOUT, "husk-follower does not answer");
	n = io_recv_fds(f->sock, ev, sizeof(*ev), ret_fd, &nfds, 0);
	if (n < 0 || !nfds)
		*ret_fd = -1;
	if (n != (ssize_t)sizeof(*ev))
		return err_set(e, ECHILD, "husk-follower has ended");
	ev->path[sizeof(ev->path) - 1] = 0;
	return 0;
}

/* Takes @fd. */
static int take(struct follow *f, const struct follow_event *ev, int fd, const char *prefix, struct err *e)
{
	struct followed *m = &f->v[f->n];

	if (ev->kind != FOLLOW_HERE || ev->slot != f->n || f->n == FOLLOW_MAX_MOUNTS || ev->bind >= f->n_mounts ||
	    ev->parent > f->n || fd < 0) {
		close_and_reset(&fd);
		return err_set(e, EBADMSG, "husk-follower: malformed event");
	}
	f->n++;
	*m = (struct followed){ .bind = ev->bind, .is_file = ev->is_file, .fd = fd, .path = strdup(ev->path) };
	snprintf(m->name, sizeof(m->name), "%s" FOLLOW_SHARE_MARK "%u", prefix, ev->slot);
	m->pack = (struct oci_pack_submount){ .path = m->path, .flags = ev->flags, .share = m->name, .slot = ev->slot,
					      .parent = ev->parent };
	return m->path ? 0 : err_set(e, ENOMEM, "out of memory");
}

static int hear_all(struct follow *f, const char *prefix, struct err *e)
{
	struct follow_event ev;
	int rc, fd;

	while ((rc = hear(f, &ev, &fd, e)) == 0 && ev.kind != FOLLOW_END) {
		if (ev.kind == FOLLOW_FULL) {
			log_warn("the host has more than %d mounts below sources of the container's: those that are there "
				 "stay in it", FOLLOW_MAX_MOUNTS);
			f->whole = true;
		} else {
			rc = take(f, &ev, fd, prefix, e);
			if (rc < 0)
				return rc;
		}
	}
	return rc;
}

int follow_start(struct follow *f, const struct oci_spec *spec, int bundle, const char *prefix, int proxy, struct err *e)
{
	struct proxy_follow msg = { .readonly = 0 };
	bool any = false;
	int pair[2], rc;

	for (size_t i = 0; i < spec->n_mounts; i++)
		any |= follow_wanted(&spec->mounts[i]);
	if (!any)
		return 0;
	f->mounts = calloc(FOLLOW_MAX_BINDS, sizeof(*f->mounts));
	f->v = calloc(FOLLOW_MAX_MOUNTS, sizeof(*f->v));
	if (!f->mounts || !f->v)
		return err_set(e, ENOMEM, "out of memory");
	rc = send_sources(f, spec, bundle, proxy, e);
	if (rc < 0 || !f->n_mounts)
		return rc;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(e, errno, "socketpair");
	f->sock = pair[0];
	rc = proxy_send(proxy, PROXY_FOLLOW_BEGIN, &msg, sizeof(msg), &pair[1], 1, e);
	close(pair[1]);
	return rc < 0 ? rc : hear_all(f, prefix, e);
}

int follow_number(const struct follow *f, size_t i)
{
	for (size_t k = 0; k < f->n_mounts; k++)
		if (f->mounts[k] == i)
			return (int)k;
	return -1;
}

void follow_forget(struct follow *f, uint32_t bind)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->v[i].bind == bind)
			close_and_reset(&f->v[i].fd);
}

void follow_close(struct follow *f)
{
	for (size_t i = 0; i < f->n; i++) {
		close_and_reset(&f->v[i].fd);
		free(f->v[i].path);
	}
	f->n = 0;
	free(f->v);
	f->v = NULL;
	free(f->mounts);
	f->mounts = NULL;
	f->n_mounts = 0;
	close_and_reset(&f->sock);
}
