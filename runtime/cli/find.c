// SPDX-License-Identifier: Apache-2.0
#include "lib/cleanup.h"
#include "runtime/cli/cli.h"
#include "runtime/container/id.h"

int cli_find(struct cli_global *g, const char *id, int *ret_dir, struct container_state *ret,
	     struct err *e)
{
	_cleanup_close_ int dir = -1;
	int rc = container_id_check(id, e);

	if (rc == 0)
		rc = cli_open_root(g, false, e);
	if (rc == 0)
		rc = container_open(g->host.root, id, false, &dir, e);
	if (rc == 0)
		rc = container_state_load(dir, ret, e);
	if (rc == 0)
		*ret_dir = steal_fd(&dir);
	return rc;
}
