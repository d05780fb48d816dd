// SPDX-License-Identifier: Apache-2.0
#include "runtime/host/flat.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"

int flat_remove(int parent, const char *name, int dir, struct err *e)
{
	_cleanup_closedir_ DIR *d = NULL;
	/* A position of its own: the caller's descriptor stays as it is. */
	int again = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	d = again < 0 ? NULL : fdopendir(again);
	if (!d) {
		int rc = err_errno(e, errno, "cannot read the folder %s", name);

		if (again >= 0)
			close(again);
		return rc;
	}
	for (struct dirent *de; (de = readdir(d));)
		if (strcmp(de->d_name, ".") && strcmp(de->d_name, ".."))
			unlinkat(dir, de->d_name, 0);
	if (unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return err_errno(e, errno, "cannot remove the folder %s", name);
	return 0;
}
