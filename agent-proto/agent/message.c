// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/message.h"

#include <stdlib.h>

#include "lib/cleanup.h"

void *message_copy(const ProtobufCMessage *m)
{
	size_t len = protobuf_c_message_get_packed_size(m);
	_cleanup_free_ uint8_t *bytes = malloc(len + 1); /* one without any field takes none */

	if (!bytes)
		return NULL;
	protobuf_c_message_pack(m, bytes);
	return protobuf_c_message_unpack(m->descriptor, NULL, len, bytes);
}
