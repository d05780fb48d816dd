// SPDX-License-Identifier: Apache-2.0
#include "lib/cleanup.h"
#include "runtime/cli/cli.h"
#include "runtime/container/id.h"

int cli_find(struct cli_global *g, const char *id, int *ret_dir, struct container_state *ret,
	     struct err *e)
{
	/* An id that is none is the clearer complaint than a root that is not there. */
	int rc = container_id_check(id, e);

	if (rc == 0)
		rc = cli_open_root(g, false, e);
	return rc < 0 ? rc : container_find(g->host.root, id, ret_dir, ret, e);
}
