// SPDX-License-Identifier: Apache-2.0
#include "runtime/container/id.h"

#include <string.h>

int container_id_check(const char *id, struct err *e)
{
	static const char ok[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.";
	size_t len = strlen(id);

	if (len == 0)
		return err_set(e, EINVAL, "container id cannot be empty");
	if (len > CONTAINER_ID_MAX)
		return err_set(
			e, EINVAL,
			"invalid container ID format: %zu characters, at most %d are allowed", len,
			CONTAINER_ID_MAX);
	if (strspn(id, ok) != len || !strcmp(id, ".") || !strcmp(id, ".."))
		return err_set(e, EINVAL, "invalid container ID format");
	return 0;
}
