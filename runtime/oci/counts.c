// SPDX-License-Identifier: Apache-2.0
/*
 * How much of everything there may be: what the agent would refuse is refused here, by name, before a machine is made for it;
 * and nobody waits for what grows with the square of a list.
 */
#include "runtime/oci/field.h"

#include <string.h>

#include "agent-proto/proto/limits.h"

/* Of calls in all rules of a profile. Each makes two instructions and more, of which a kernel takes AGENT_MAX_SECCOMP; but
 * libseccomp compares each with all before. */
#define MAX_CALLS (AGENT_MAX_SECCOMP / 2)

static const struct {
	const char *in[3]; /* from the document's root, ended by NULL */
	const char *list; /* an array or object */
	size_t max;
} counts[] = {
	{ { "process" }, "args", AGENT_MAX_ARGS },
	{ { "process" }, "env", AGENT_MAX_ARGS },
	{ { "process", "user" }, "additionalGids", AGENT_MAX_GROUPS },
	{ { NULL }, "mounts", AGENT_MAX_MOUNTS },
	{ { "linux" }, "devices", AGENT_MAX_MOUNTS },
	{ { "linux" }, "maskedPaths", AGENT_MAX_MOUNTS },
	{ { "linux" }, "readonlyPaths", AGENT_MAX_MOUNTS },
	{ { "linux" }, "sysctl", AGENT_MAX_MOUNTS },
	{ { "linux", "resources" }, "devices", AGENT_MAX_DEVICE_RULES },
};

static const struct json *member(const struct json *v, const char *key)
{
	return v && v->type == JSON_OBJECT ? json_get(v, key) : NULL;
}

static bool is_list(const struct json *v)
{
	return v && (v->type == JSON_ARRAY || v->type == JSON_OBJECT);
}

static int check_bytes(struct oci_ctx *c, const struct json *list)
{
	size_t total = 0;

	for (size_t i = 0; is_list(list) && i < list->count; i++)
		total += list->items[i]->type == JSON_STRING ? list->items[i]->str_len : 0;
	return total > AGENT_MAX_ARG_BYTES ?
		       oci_fail(c, list, "%zu bytes in all, %u are allowed", total, AGENT_MAX_ARG_BYTES) : 0;
}

static int check_calls(struct oci_ctx *c, const struct json *rules)
{
	size_t total = 0;

	for (size_t i = 0; is_list(rules) && i < rules->count; i++) {
		const struct json *names = member(rules->items[i], "names");

		total += is_list(names) ? names->count : 0;
	}
	return total > MAX_CALLS ? oci_fail(c, rules, "%zu system calls in all, %u are allowed", total, MAX_CALLS) : 0;
}

int oci_check_counts(struct oci_ctx *c, const struct json *doc, bool process_alone)
{
	const struct json *process = process_alone ? doc : member(doc, "process");
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(counts); i++) {
		const struct json *v = doc;
		size_t k = process_alone;

		if (process_alone && (!counts[i].in[0] || strcmp(counts[i].in[0], "process") != 0))
			continue;
		for (; k < ARRAY_SIZE(counts[i].in) && counts[i].in[k]; k++)
			v = member(v, counts[i].in[k]);
		v = member(v, counts[i].list);
		if (is_list(v) && v->count > counts[i].max)
			rc = oci_fail(c, v, "has %zu entries, %zu are allowed", v->count, counts[i].max);
	}
	if (rc == 0)
		rc = check_bytes(c, member(process, "args"));
	if (rc == 0)
		rc = check_bytes(c, member(process, "env"));
	if (rc == 0 && !process_alone)
		rc = check_calls(c, member(member(member(doc, "linux"), "seccomp"), "syscalls"));
	return rc;
}
