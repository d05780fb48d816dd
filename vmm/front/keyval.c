// SPDX-License-Identifier: Apache-2.0
#include "vmm/front/keyval.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"

#define MAX_KEYS 32

/* "--cpus boot" or "--cpus": what a message names. */
static int bad(struct err *e, const char *option, const char *key, const char *text,
	       const char *why)
{
	return err_set(e, EINVAL, "%s%s%s: \"%s\" %s", option, key ? " " : "", key ? key : "",
		       text, why);
}

static int parse_uint(const char *text, bool size, uint64_t *ret)
{
	static const char units[] = "KMGT";
	const char *unit;
	char *end;
	unsigned long long v;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	v = strtoull(text, &end, size ? 10 : 0);
	if (errno)
		return -ERANGE;
	if (size && *end && (unit = strchr(units, toupper((unsigned char)*end)))) {
		unsigned shift = 10 * (unsigned)(unit - units + 1);

		if (v > UINT64_MAX >> shift)
			return -ERANGE;
		v <<= shift;
		end++;
	}
	if (*end)
		return -EINVAL;
	*ret = v;
	return 0;
}

static int parse_bool(const char *text, bool *ret)
{
	*ret = strcmp(text, "on") == 0 || strcmp(text, "true") == 0;
	return *ret || strcmp(text, "off") == 0 || strcmp(text, "false") == 0 ? 0 : -EINVAL;
}

static int put_number(const char *option, const char *key, const char *text,
		      const struct kv_key *k, uint64_t *field, struct err *e)
{
	uint64_t v;
	int rc = parse_uint(text, k->type == KV_SIZE, &v);

	if (rc == -EINVAL)
		return bad(e, option, key, text,
			   k->type == KV_SIZE ? "is not a size (such as 512M)" : "is not a number");
	if (rc == 0 && v >= k->min && v <= k->max) {
		*field = v;
		return 0;
	}
	return err_set(e, ERANGE, "%s%s%s: \"%s\" is not %llu to %llu", option, key ? " " : "",
		       key ? key : "", text, (unsigned long long)k->min,
		       (unsigned long long)k->max);
}

int kv_value(const char *option, const char *key, const char *text, const struct kv_key *k,
	     void *field, struct err *e)
{
	char *copy;

	switch (k->type) {
	case KV_UINT:
	case KV_SIZE:
		return put_number(option, key, text, k, field, e);
	case KV_BOOL:
		if (parse_bool(text, field) < 0)
			return bad(e, option, key, text, "is not on or off");
		return 0;
	case KV_UNSUPPORTED:
		return err_set(e, ENOTSUP, "%s %s: not supported", option, key ? key : text);
	case KV_STR:
		break;
	}
	if (!text[0])
		return bad(e, option, key, text, "is empty");
	copy = strdup(text);
	if (!copy)
		return err_set(e, ENOMEM, "out of memory");
	free(*(char **)field);
	*(char **)field = copy;
	return 0;
}

static int parse_pair(const char *option, char *pair, const struct kv_key *keys, bool *seen,
		      void *dst, struct err *e)
{
	char *value = strchr(pair, '=');

	if (!value)
		return bad(e, option, NULL, pair, "is not key=value");
	*value++ = 0;
	for (size_t i = 0; keys[i].name; i++) {
		if (strcmp(keys[i].name, pair) != 0)
			continue;
		if (seen[i])
			return err_set(e, EINVAL, "%s: %s is given twice", option, pair);
		seen[i] = true;
		return kv_value(option, pair, value, &keys[i], (char *)dst + keys[i].off, e);
	}
	return err_set(e, EINVAL, "%s: unknown key \"%s\"", option, pair);
}

/* As strsep(3) at commas, but for those within brackets. */
static char *next_pair(char **rest)
{
	char *pair = *rest, *p = pair;
	unsigned depth = 0;

	if (!pair)
		return NULL;
	for (; *p && (*p != ',' || depth); p++)
		depth = *p == '[' ? depth + 1 : *p == ']' && depth ? depth - 1 : depth;
	*rest = *p ? p + 1 : NULL;
	*p = 0;
	return pair;
}

int kv_parse(const char *option, const char *text, const struct kv_key *keys, void *dst,
	     struct err *e)
{
	_cleanup_free_ char *copy = strdup(text);
	bool seen[MAX_KEYS] = { false };
	char *rest = copy, *pair;

	if (!copy)
		return err_set(e, ENOMEM, "out of memory");
	while ((pair = next_pair(&rest))) {
		int rc = parse_pair(option, pair, keys, seen, dst, e);

		if (rc < 0)
			return rc;
	}
	for (size_t i = 0; keys[i].name; i++) {
		bug_on(i >= MAX_KEYS);
		if (keys[i].required && !seen[i])
			return err_set(e, EINVAL, "%s: %s= is missing", option, keys[i].name);
	}
	return 0;
}
