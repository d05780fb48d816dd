/* SPDX-License-Identifier: Apache-2.0 */
/* Status codes of gRPC, and the errno each stands for on either end. */
#ifndef AGENT_PROTO_TTRPC_STATUS_H
#define AGENT_PROTO_TTRPC_STATUS_H

#include "lib/util.h"

enum ttrpc_code {
	TTRPC_OK = 0,
	TTRPC_CANCELLED = 1,
	TTRPC_UNKNOWN = 2,
	TTRPC_INVALID_ARGUMENT = 3,
	TTRPC_DEADLINE_EXCEEDED = 4,
	TTRPC_NOT_FOUND = 5,
	TTRPC_ALREADY_EXISTS = 6,
	TTRPC_PERMISSION_DENIED = 7,
	TTRPC_RESOURCE_EXHAUSTED = 8,
	TTRPC_FAILED_PRECONDITION = 9,
	TTRPC_ABORTED = 10,
	TTRPC_OUT_OF_RANGE = 11,
	TTRPC_UNIMPLEMENTED = 12,
	TTRPC_INTERNAL = 13,
	TTRPC_UNAVAILABLE = 14,
	TTRPC_DATA_LOSS = 15,
	TTRPC_UNAUTHENTICATED = 16,
};

/* 0 or a negative errno; any number that is no code of the list is -EIO. */
int ttrpc_code_to_errno(int32_t code);
/* @rc: 0 or a negative errno. What has no code of its own is TTRPC_INTERNAL. */
enum ttrpc_code ttrpc_code_from_errno(int rc);

#endif
