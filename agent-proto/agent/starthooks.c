// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/starthooks.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/cleanup.h"
#include "lib/runprog.h"

#define MAX_STATE (8u << 20)

/* Never freed: the process ends or becomes its program. */
static char **vector(const ProtobufCBinaryData *v, size_t n, const char *only)
{
	char **out = calloc(n + 2, sizeof(*out));

	for (size_t i = 0; out && i < n; i++) {
		out[i] = strndup((const char *)v[i].data, v[i].len);
		if (!out[i])
			return NULL;
	}
	if (out && !n)
		out[0] = (char *)(uintptr_t)only;
	return out;
}

/* @common: what all have. */
static int run_one(const Husk__Agent__V1__Hook *h, char *const *env, const struct runprog *common, struct err *e)
{
	struct runprog r = *common;

	r.path = h->path;
	r.argv = vector(h->args, h->n_args, h->path);
	r.envp = h->env_of_process ? env : vector(h->env, h->n_env, NULL);
	r.timeout_s = h->timeout;
	if (!r.argv || !r.envp)
		return err_set(e, ENOMEM, "out of memory");
	return runprog(&r, e);
}

int starthooks_run(const Husk__Agent__V1__Container *ct, char *const *env, int (*enter)(const int *fds, const void *arg),
		   const void *arg, struct err *e)
{
	struct runprog common = { .enter = enter, .enter_what = "cannot be confined", .arg = arg };
	struct buf state = BUF_INIT(MAX_STATE);
	int rc = 0;

	if (!ct->n_start_hooks)
		return 0;
	/* The pid as it is in here, as runc has it. */
	buf_append(&state, ct->hook_state_head.data, ct->hook_state_head.len);
	buf_printf(&state, "%d", getpid());
	buf_append(&state, ct->hook_state_tail.data, ct->hook_state_tail.len);
	if (state.failed)
		rc = err_set(e, ENOMEM, "out of memory");
	common.input = state.data;
	common.input_len = state.len;
	for (size_t i = 0; rc == 0 && i < ct->n_start_hooks; i++) {
		rc = run_one(ct->start_hooks[i], env, &common, e);
		if (rc < 0)
			err_wrap(e, rc, "error running startContainer hook #%zu", i);
	}
	buf_free(&state);
	/* -ENOENT and -EACCES are about the process's own program. */
	return rc < 0 ? -EIO : 0;
}
