// SPDX-License-Identifier: Apache-2.0
/* One more process in a living container. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "agent-proto/proto/limits.h"
#include "lib/cleanup.h"
#include "runtime/container/create_internal.h"
#include "runtime/container/group.h"
#include "runtime/container/timeline.h"

/* The living container: its folder's state, and the proxy that holds its namespaces. */
static int find(const struct exec_request *r, struct container_state *st, int *ret_peer,
		struct err *e)
{
	_cleanup_close_ int dir = -1;
	int rc = container_find(r->host->root, r->id, &dir, st, e);

	if (rc < 0)
		return rc;
	if (st->status == CONTAINER_PAUSED && !r->ignore_paused)
		return err_set(e, EBUSY,
			       "cannot exec in a paused container (use --ignore-paused to override)");
	if (!container_status_lives(st->status))
		return err_set(e, ESRCH, "cannot exec in a %s container",
			       container_status_name(st->status));
	*ret_peer = proc_open(&st->proxy);
	if (*ret_peer == -ESRCH)
		return err_set(e, ESRCH, "cannot exec in a stopped container");
	return *ret_peer < 0 ? err_errno(e, -*ret_peer, "cannot open the container's husk-proxy") : 0;
}

static int attach(const struct exec_request *r, struct stand_in *p, int machine, struct err *e)
{
	struct buf request = BUF_INIT(AGENT_MAX_FRAME);
	struct proxy_attach m = { .flags = PROXY_ATTACH_EXEC };
	uint64_t id;
	int rc;

	if (getrandom(&id, sizeof(id), 0) != (ssize_t)sizeof(id))
		return err_errno(e, errno, "getrandom");
	if (r->ignore_paused)
		m.flags |= PROXY_ATTACH_PATIENT;
	snprintf(m.container_id, sizeof(m.container_id), "%s", r->id);
	snprintf(m.exec_id, sizeof(m.exec_id), "%016" PRIx64, id);
	rc = oci_pack_exec(r->process, r->id, m.exec_id, r->cgroup, &p->tokens, r->ignore_paused,
			   &request, e);
	if (rc == 0)
		rc = stand_in_attach(p, &m, &request, machine, -1, -1, -1, e);
	buf_free(&request);
	return rc;
}

static int begin(const struct exec_request *r, struct stand_in *p, const struct container_state *st,
		 int peer, struct err *e)
{
	struct proxy_setup m = { .flags = PROXY_SETUP_PEER };
	_cleanup_close_ int cgroup = -1;
	_cleanup_close_ int machine = -1;
	int rc = 0;

	if (*st->cgroup)
		rc = cgroup_open(st->cgroup, &cgroup);
	if (rc < 0)
		return err_errno(e, -rc, "cannot open the cgroup %s", st->cgroup);
	rc = sandbox_connect(r->host->root, st->sandbox, &machine, e);
	if (rc == 0)
		rc = stand_in_spawn(p, group_born_in(st, cgroup), e);
	if (rc == 0 && group_born_in(st, cgroup) != cgroup)
		rc = group_enter(st, cgroup, p->made.proxy.pid, e);
	if (rc == 0)
		rc = stand_in_setup(p, r->host, &m, &peer, 1, e);
	if (rc == 0)
		rc = attach(r, p, machine, e);
	if (rc == 0)
		rc = stand_in_wait(p, r->ignore_paused ? INT_MAX : ATTACH_TIMEOUT_MS, e);
	return rc;
}

int container_exec(const struct exec_request *r, struct container_made *ret, struct err *e)
{
	struct container_state st = { .doc = NULL };
	struct stand_in p = STAND_IN_INIT;
	_cleanup_close_ int peer = -1;
	int rc = find(r, &st, &peer, e);

	p.preserved = r->preserved;
	if (rc == 0)
		rc = stand_in_prepare(&p, r->process, r->detach, r->console_socket, e);
	if (rc == 0)
		rc = begin(r, &p, &st, peer, e);
	if (rc == 0)
		rc = stand_in_commit(&p, r->pid_file, e);
	stand_in_done(&p, rc < 0, e);
	ret->program = p.made.program;
	if (rc == 0)
		*ret = p.made;
	container_state_done(&st);
	timeline_mark("exec started");
	return rc;
}
