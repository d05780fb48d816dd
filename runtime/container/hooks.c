// SPDX-License-Identifier: Apache-2.0
#include "runtime/container/hooks.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "agent-proto/proto/limits.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/runprog.h"
#include "runtime/proxy/client.h"

#define SYNC_TIMEOUT_MS 30000

int hooks_state(const struct container_state *s, enum container_status status, pid_t pid, struct buf *out)
{
	struct json_w w;

	jw_init(&w, out, false);
	jw_object(&w, NULL);
	jw_str(&w, "ociVersion", s->oci_version);
	jw_str(&w, "id", s->id);
	jw_str(&w, "status", container_status_name(status));
	if (pid)
		jw_int(&w, "pid", pid);
	jw_str(&w, "bundle", s->bundle);
	if (s->n_annotations) {
		jw_object(&w, "annotations");
		for (size_t i = 0; i < s->n_annotations; i++)
			jw_str(&w, s->annotations[i].key, s->annotations[i].value);
		jw_end_object(&w);
	}
	jw_end_object(&w);
	return jw_done(&w) ? 0 : -ENOSPC;
}

int hooks_guest_state(const struct container_state *s, struct buf *out, struct oci_pack_state *ret)
{
	static const char before[] = "\"pid\":", number[] = "1";
	int rc = hooks_state(s, CONTAINER_CREATED, 1, out);
	char *text, *at;

	if (rc < 0 || !buf_cstr(out))
		return -ENOSPC;
	text = (char *)out->data;
	/* Inside a string its quotes would be escaped: the first one is it. */
	at = strstr(text, before);
	bug_on(!at || strncmp(at + sizeof(before) - 1, number, 1) != 0);
	at += sizeof(before) - 1;
	*at = 0;
	*ret = (struct oci_pack_state){ .head = text, .tail = at + 1 };
	return 0;
}

uint32_t hooks_start_timeout(const struct oci_hooks *h)
{
	const struct oci_hook_list *l = &h->of[OCI_START_CONTAINER];
	uint64_t ms = AGENT_START_DEADLINE_MS;

	for (size_t i = 0; i < l->n; i++) {
		if (!l->v[i].timeout)
			return UINT32_MAX;
		ms += l->v[i].timeout * UINT64_C(1000);
	}
	return (uint32_t)min_t(uint64_t, ms, UINT32_MAX - 1);
}

/* ---- running -------------------------------------------------------------------------------------- */

/* Where a hook runs. */
struct place {
	const char *dir;
	const struct oci_strv *env; /* of a hook that was given none; NULL: ours */
	bool inside;
};
enum { FD_PROXY, FD_ROOT }; /* what it gets when inside */

/* Joining a mount namespace leads to what is mounted upon its root, the container's own; the hook's path and all that it
 * uses are the host's. */
static int go_inside(const int *fds)
{
	if (setns(fds[FD_PROXY], CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC) < 0)
		return -errno;
	return fchdir(fds[FD_ROOT]) < 0 || chroot(".") < 0 ? -errno : 0;
}

static int enter(const int *fds, const void *arg)
{
	const struct place *at = arg;
	int rc = at->inside ? go_inside(fds) : 0;

	if (rc < 0)
		return rc;
	/* After the end the bundle may be gone. */
	if (chdir(at->dir) < 0 && chdir("/") < 0)
		return -errno;
	return 0;
}

/* argv or envp; an array ended by NULL, the caller's to free. */
static char **vector(const struct oci_strv *v, const char *only)
{
	char **out = calloc(v->n + 2, sizeof(*out));

	if (!out)
		return NULL;
	memcpy(out, v->v, v->n * sizeof(*out));
	if (!v->n)
		out[0] = (char *)(uintptr_t)only;
	return out;
}

static int run_one(const struct oci_hook *h, const struct place *at, const int *fds, const struct buf *state,
		   struct err *e)
{
	const struct oci_strv *env = h->has_env ? &h->env : at->env;
	_cleanup_free_ char **argv = vector(&h->args, h->path);
	_cleanup_free_ char **envp = env ? vector(env, NULL) : NULL;
	struct runprog r = { .path = h->path,
			     .argv = argv,
			     .envp = env ? envp : environ,
			     .input = state->data,
			     .input_len = state->len,
			     .timeout_s = h->timeout,
			     .enter = enter,
			     .enter_what = "cannot enter the container's namespaces",
			     .arg = at };

	if (!argv || (env && !envp))
		return err_set(e, ENOMEM, "out of memory");
	if (at->inside) {
		memcpy(r.fds, fds, 2 * sizeof(int));
		r.nfds = 2;
	}
	return runprog(&r, e);
}

/* In order. @inside: with the descriptors for it, and @env. @warn: failures are logged and the rest goes on. */
static int run_all(const struct container_state *s, enum oci_hook_kind kind, enum container_status status, pid_t pid,
		   const int *inside, const struct oci_strv *env, bool warn, struct err *e)
{
	const struct oci_hook_list *l = &s->hooks.of[kind];
	struct place at = { .dir = inside ? s->rootfs : s->bundle, .env = env, .inside = inside != NULL };
	struct buf state = BUF_INIT(CONTAINER_STATE_MAX);
	int rc = l->n ? hooks_state(s, status, pid, &state) : 0;

	if (rc < 0)
		err_errno(e, -rc, "state for the %s hooks", oci_hook_name(kind));
	for (size_t i = 0; rc == 0 && i < l->n; i++) {
		rc = run_one(&l->v[i], &at, inside, &state, e);
		if (rc == 0)
			continue;
		err_wrap(e, rc, "error running %s hook #%zu", oci_hook_name(kind), i);
		if (!warn)
			break;
		log_warn("%s", e->msg);
		rc = 0;
	}
	buf_free(&state);
	return rc;
}

static int run_inside(const struct container_state *s, const struct oci_strv *env, const struct proc_id *proxy,
		      struct hook_mounts *mounts, struct err *e)
{
	_cleanup_close_ int pidfd = -1;
	_cleanup_close_ int root = -1;
	char path[32];
	int rc;

	if (!s->hooks.of[OCI_CREATE_CONTAINER].n)
		return 0;
	pidfd = proc_open(proxy);
	snprintf(path, sizeof(path), "/proc/%d/root", proxy->pid);
	root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (pidfd < 0 || root < 0)
		return err_set(e, ESRCH, "husk-proxy has ended");
	rc = hook_mounts_begin(mounts, pidfd, root, s->rootfs, e);
	if (rc == 0)
		rc = run_all(s, OCI_CREATE_CONTAINER, CONTAINER_CREATING, proxy->pid, (int[]){ pidfd, root }, env, false,
			     e);
	return rc < 0 ? rc : hook_mounts_end(mounts, e);
}

int hooks_create(const struct container_state *s, const struct oci_strv *env, const struct proc_id *proxy, int sock,
		 struct hook_mounts *mounts, struct err *e)
{
	const struct oci_hook_list *of = s->hooks.of;
	int rc;

	if (!of[OCI_PRESTART].n && !of[OCI_CREATE_RUNTIME].n && !of[OCI_CREATE_CONTAINER].n)
		return 0;
	/* Its namespaces and mounts stand when it answers. */
	rc = proxy_call(sock, PROXY_SYNC, NULL, SYNC_TIMEOUT_MS, e);
	if (rc == 0)
		rc = run_all(s, OCI_PRESTART, CONTAINER_CREATING, proxy->pid, NULL, NULL, false, e);
	if (rc == 0)
		rc = run_all(s, OCI_CREATE_RUNTIME, CONTAINER_CREATING, proxy->pid, NULL, NULL, false, e);
	return rc < 0 ? rc : run_inside(s, env, proxy, mounts, e);
}

int hooks_poststart(const struct container_state *s, struct err *e)
{
	return run_all(s, OCI_POSTSTART, CONTAINER_RUNNING, s->proxy.pid, NULL, NULL, false, e);
}

void hooks_poststop(const struct container_state *s)
{
	struct err e = ERR_INIT;

	run_all(s, OCI_POSTSTOP, CONTAINER_STOPPED, 0, NULL, NULL, true, &e);
}
