/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_CLI_EVENTS_H
#define RUNTIME_CLI_EVENTS_H

#include "agent-proto/proto/stats.h"
#include "lib/json.h"

/* One event as runc writes it, its fields in runc's order: {"type":"stats","id":…,"data":…} and {"type":"oom","id":…}. */
void events_write_stats(struct json_w *w, const char *id, const struct agent_stats *s);
void events_write_oom(struct json_w *w, const char *id);

#endif
