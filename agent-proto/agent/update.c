// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/update.h"

#include <stdlib.h>
#include <string.h>

#include "agent-proto/proto/limits.h"
#include "lib/cleanup.h"
#include "lib/io.h"

#define MAX_FILE 65536

/* As much as one write(2) is needed for each of the lines that a file of this kind shows. */
static void put_back(int fd, const char *file, char *was)
{
	char *rest;

	for (char *line = strtok_r(was, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		io_write_str(fd, file, line);
}

/* What is used already would have to be taken away from the processes, by killing some. */
static int check_memory(int fd, const char *limit, struct err *e)
{
	_cleanup_free_ char *used = NULL;
	char *end;
	unsigned long long want = strtoull(limit, &end, 10);

	if (*end || io_read_file(fd, "memory.current", MAX_FILE, &used, NULL) < 0 ||
	    strtoull(used, NULL, 10) <= want)
		return 0;
	return err_set(e, EINVAL, "rejecting memory limit %s because of memory usage %llu", limit,
		       strtoull(used, NULL, 10));
}

/* @ret_was: what stood there, NULL when there was no such file and none is needed. */
static int write_one(int fd, const Husk__Agent__V1__CgroupValue *v, bool check, char **ret_was,
		     struct err *e)
{
	_cleanup_free_ char *was = NULL;
	int rc = io_read_file(fd, v->file, MAX_FILE, &was, NULL);

	if (rc == -ENOENT && v->optional)
		return 0;
	if (rc == 0 && check && strcmp(v->file, "memory.max") == 0) {
		rc = check_memory(fd, v->value, e);
		if (rc < 0)
			return rc;
	}
	if (rc == 0)
		rc = io_write_str(fd, v->file, v->value);
	if (rc < 0)
		return err_errno(e, -rc, "cgroup: writing \"%s\" to %s", v->value, v->file);
	*ret_was = steal_ptr(&was);
	return 0;
}

int update_apply(const struct cgroup *cg, const Husk__Agent__V1__UpdateRequest *req, struct err *e)
{
	char *was[AGENT_MAX_VALUES] = { NULL };
	size_t n = 0;
	int rc = 0;

	while (rc == 0 && n < req->n_values) {
		rc = write_one(cg->fd, req->values[n], req->check_memory, &was[n], e);
		n += rc == 0;
	}
	while (n-- > 0) {
		if (rc < 0 && was[n])
			put_back(cg->fd, req->values[n]->file, was[n]);
		free(was[n]);
	}
	return rc;
}
