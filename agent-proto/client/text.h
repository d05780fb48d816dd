/* SPDX-License-Identifier: Apache-2.0 */
/* Text from a guest, made fit for a log line or a terminal. */
#ifndef AGENT_PROTO_CLIENT_TEXT_H
#define AGENT_PROTO_CLIENT_TEXT_H

#include <stddef.h>

/* Copies @len bytes as printable ASCII; all else, and the backslash, becomes \xNN. Cut at a whole
 * character when @size (> 0) is short; always NUL-terminated. */
void text_printable(char *dst, size_t size, const void *src, size_t len);

#endif
