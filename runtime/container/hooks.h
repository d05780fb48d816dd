/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hooks on the host's side: config.md of the specification, "POSIX-platform Hooks". Each gets the container's state as
 * JSON on its standard input, exactly the environment that the configuration gives it (if none, husk's own, and inside the
 * container its process's), and runs in the bundle's folder, but those inside in the root file system. What it writes is shown
 * when it fails. A husk that is killed takes the hook that runs with it.
 *
 *	prestart, createRuntime   in the runtime's namespaces, once husk-proxy has made the container's
 *	createContainer           in those of the proxy; "/" is the host's, as everywhere, and the root file system
 *	                          with the bind mounts stands at its path; what they mount below it is the container's
 *	startContainer            in the guest (agent-proto/agent/starthooks.h)
 *	poststart                 in the runtime's namespaces; a failure ends the container, as the specification says since
 *	                          1.3 and runc has always done
 *	poststop                  in the runtime's namespaces; a failure is a warning
 */
#ifndef RUNTIME_CONTAINER_HOOKS_H
#define RUNTIME_CONTAINER_HOOKS_H

#include "runtime/container/hook_mounts.h"
#include "runtime/container/state.h"

/* The three kinds that `create` runs, with the proxy @sock, @proxy, which has had its mounts. @env: process.env. The first
 * failure ends it. Without any hook nothing is done. @mounts, zeroed: what those of createContainer mounted;
 * hook_mounts_done() in any case. */
int hooks_create(const struct container_state *s, const struct oci_strv *env, const struct proc_id *proxy, int sock,
		 struct hook_mounts *mounts, struct err *e);
/* Of a running container. The first failure ends it; what becomes of the container is the caller's business. */
int hooks_poststart(const struct container_state *s, struct err *e);
/* All of them; failures are logged as warnings. */
void hooks_poststop(const struct container_state *s);

/* The state that a hook reads. @pid 0: none. */
int hooks_state(const struct container_state *s, enum container_status status, pid_t pid, struct buf *out);
/* The same for a startContainer hook: the text before and behind the number of its pid in the guest, each NUL-terminated
 * in @out. */
int hooks_guest_state(const struct container_state *s, struct buf *out, struct oci_pack_state *ret);
/* How long the guest may take for Start, milliseconds; UINT32_MAX: for ever. */
uint32_t hooks_start_timeout(const struct oci_hooks *h);

#endif
