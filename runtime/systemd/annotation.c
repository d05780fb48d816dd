// SPDX-License-Identifier: Apache-2.0
/*
 * Annotations "org.systemd.property.NAME": properties of the scope, from whoever wrote the configuration. runc
 * hands every one on. A scope has properties that reach beyond it, though (PIDs and Slice move processes,
 * FailureAction reboots, OnFailure and Conflicts start and stop other units), and annotations are the
 * tenant's; so there is a list here of those that act on the scope's own processes alone.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/systemd/unit.h"
#include "runtime/systemd/wire.h"

static const struct known {
	const char *name, *type;
} known[] = {
	{ "After", "as" },
	{ "Before", "as" },
	{ "CPUAccounting", "b" },
	{ "CPUWeight", "t" },
	{ "CollectMode", "s" },
	{ "DefaultDependencies", "b" },
	{ "Documentation", "as" },
	{ "FinalKillSignal", "i" },
	{ "IOAccounting", "b" },
	{ "IOWeight", "t" },
	{ "IPAccounting", "b" },
	{ "KillMode", "s" },
	{ "KillSignal", "i" },
	{ "ManagedOOMMemoryPressure", "s" },
	{ "ManagedOOMMemoryPressureLimit", "u" },
	{ "ManagedOOMPreference", "s" },
	{ "ManagedOOMSwap", "s" },
	{ "MemoryAccounting", "b" },
	{ "MemoryHigh", "t" },
	{ "MemoryLow", "t" },
	{ "MemoryMax", "t" },
	{ "MemoryMin", "t" },
	{ "MemorySwapMax", "t" },
	{ "OOMPolicy", "s" },
	{ "RuntimeMaxUSec", "t" },
	{ "RuntimeRandomizedExtraUSec", "t" },
	{ "SendSIGHUP", "b" },
	{ "SendSIGKILL", "b" },
	{ "StartupCPUWeight", "t" },
	{ "StartupIOWeight", "t" },
	{ "TasksAccounting", "b" },
	{ "TasksMax", "t" },
	{ "TimeoutStopUSec", "t" },
};

static const char *skip(const char *s)
{
	return s + strspn(s, " \t");
}

/* Takes @word off the front of *s. */
static bool take_word(const char **s, const char *word)
{
	size_t n = strlen(word);

	if (strncmp(*s, word, n) || isalnum((unsigned char)(*s)[n]))
		return false;
	*s = skip(*s + n);
	return true;
}

/* 'text' or "text" with the escapes of its quote and of a backslash; no control characters. */
static int take_string(const char **s, struct buf *out)
{
	char quote = **s;

	if (quote != '\'' && quote != '"')
		return -EINVAL;
	for (++*s; **s && **s != quote; ++*s) {
		if (**s == '\\') {
			++*s;
			if (**s != quote && **s != '\\')
				return -EINVAL;
		}
		if ((unsigned char)**s < ' ' || **s == 127)
			return -EINVAL;
		buf_append(out, *s, 1);
	}
	if (**s != quote)
		return -EINVAL;
	*s = skip(*s + 1);
	return 0;
}

static int take_bool(const char **s, struct buf *out)
{
	bool yes = take_word(s, "true");

	if (!yes && !take_word(s, "false"))
		return -EINVAL;
	return buf_printf(out, "%s", yes ? "true" : "false");
}

/* A type before a number is taken; what counts is what the property wants. */
static void take_number_type(const char **s)
{
	static const char *const types[] = { "byte",   "int16", "uint16", "int32",  "uint32",
					     "handle", "int64", "uint64", "double", "@t" };

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (take_word(s, types[i]))
			return;
}

static int take_unsigned(const char **s, uint64_t max, struct buf *out)
{
	unsigned long long n;
	char *end;

	take_number_type(s);
	if (**s < '0' || **s > '9')
		return -EINVAL;
	errno = 0;
	n = strtoull(*s, &end, 0);
	if (errno || n > max)
		return -ERANGE;
	*s = skip(end);
	return buf_printf(out, "%llu", n);
}

/* Seconds, a fraction too, as microseconds. */
static int take_seconds(const char **s, struct buf *out)
{
	double v;
	char *end;

	take_number_type(s);
	if (**s < '0' || **s > '9')
		return -EINVAL;
	v = strtod(*s, &end);
	if (!(v >= 0) || v * 1e6 > 9e15) /* doubles are whole numbers up to there */
		return -ERANGE;
	*s = skip(end);
	return buf_printf(out, "%.0f", v * 1e6);
}

static int take_strings(const char **s, struct buf *out)
{
	take_word(s, "@as");
	if (**s != '[')
		return -EINVAL;
	*s = skip(*s + 1);
	if (**s == ']') {
		*s = skip(*s + 1);
		return 0;
	}
	for (;;) {
		int rc = buf_append(out, "\t", 1);

		if (rc == 0)
			rc = take_string(s, out);
		if (rc < 0)
			return rc;
		if (**s == ']')
			break;
		if (**s != ',')
			return -EINVAL;
		*s = skip(*s + 1);
	}
	*s = skip(*s + 1);
	return 0;
}

static int take_value(const char **s, const char *type, bool seconds, struct buf *out)
{
	if (seconds)
		return take_seconds(s, out);
	switch (*type) {
	case 'b':
		return take_bool(s, out);
	case 's':
		return take_string(s, out);
	case 'a':
		return take_strings(s, out);
	default:
		return take_unsigned(s, *type == 't' ? UINT64_MAX : *type == 'u' ? UINT32_MAX : INT32_MAX, out);
	}
}

int systemd_annotation(const char *key, const char *value, struct buf *out, struct err *e)
{
	const char *name = key + strlen(SYSTEMD_ANNOTATION);
	size_t n = strlen(name);
	/* As systemd's own files have it: NAMESec for the property NAMEUSec. */
	bool seconds = n > 3 && !strcmp(name + n - 3, "Sec") && name[n - 4] >= 'a' && name[n - 4] <= 'z';
	const char *whole = value;
	char property[SYSTEMD_PROPERTY_MAX];
	const struct known *k = NULL;
	int rc;

	snprintf(property, sizeof(property), "%.*s%s", (int)min_t(size_t, seconds ? n - 3 : n, 60), name,
		 seconds ? "USec" : "");
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (!strcmp(known[i].name, property))
			k = &known[i];
	if (!k)
		return err_set(e, EPERM,
			       "annotations: %.100s: not supported: only properties that act on the "
			       "scope itself are",
			       key);
	buf_printf(out, "%s %s ", k->name, k->type);
	value = skip(value);
	rc = take_value(&value, k->type, seconds, out);
	if (rc < 0 || *value)
		return err_set(e, EINVAL, "annotations: %.100s: \"%.100s\" is no value of type \"%s\"",
			       key, whole, k->type);
	buf_append(out, "\n", 1);
	return out->failed ? err_set(e, E2BIG, "annotations: too many properties for systemd") : 0;
}
