/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_PROTO_AGENT_MESSAGE_H
#define AGENT_PROTO_AGENT_MESSAGE_H

#include <protobuf-c/protobuf-c.h>

/* All of @m once more, of its type, to be freed as what was unpacked; NULL: out of memory. */
void *message_copy(const ProtobufCMessage *m);

#endif
