// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/ttrpc/status.h"

#include <errno.h>

/* The first row of a code is its errno; the first row of an errno is its code. */
static const struct {
	enum ttrpc_code code;
	int errnum;
} table[] = {
	{ TTRPC_OK, 0 },
	{ TTRPC_CANCELLED, ECANCELED },
	{ TTRPC_INVALID_ARGUMENT, EINVAL },
	{ TTRPC_INVALID_ARGUMENT, ENAMETOOLONG },
	{ TTRPC_DEADLINE_EXCEEDED, ETIMEDOUT },
	{ TTRPC_NOT_FOUND, ENOENT },
	{ TTRPC_ALREADY_EXISTS, EEXIST },
	{ TTRPC_PERMISSION_DENIED, EACCES },
	{ TTRPC_PERMISSION_DENIED, EPERM },
	{ TTRPC_RESOURCE_EXHAUSTED, ENOSPC },
	{ TTRPC_RESOURCE_EXHAUSTED, ENOMEM },
	{ TTRPC_RESOURCE_EXHAUSTED, EMFILE },
	{ TTRPC_RESOURCE_EXHAUSTED, EMSGSIZE },
	{ TTRPC_RESOURCE_EXHAUSTED, E2BIG },
	{ TTRPC_FAILED_PRECONDITION, ESRCH },
	{ TTRPC_UNIMPLEMENTED, ENOSYS },
	{ TTRPC_UNIMPLEMENTED, EOPNOTSUPP },
	{ TTRPC_UNAVAILABLE, EAGAIN },
};

int ttrpc_code_to_errno(int32_t code)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if ((int32_t)table[i].code == code)
			return -table[i].errnum;
	return -EIO;
}

enum ttrpc_code ttrpc_code_from_errno(int rc)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (table[i].errnum == -rc)
			return table[i].code;
	return TTRPC_INTERNAL;
}
