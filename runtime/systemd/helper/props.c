// SPDX-License-Identifier: Apache-2.0
/* Lines of properties (wire.h) into a message. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "runtime/systemd/helper/bus.h"

/* One line, cut up. */
struct line {
	char name[SYSTEMD_PROPERTY_MAX], type[4];
	const char *value;
	size_t len;
};

static int take_word(const char **p, const char *end, char *out, size_t size)
{
	const char *space = memchr(*p, ' ', (size_t)(end - *p));
	size_t n = space ? (size_t)(space - *p) : 0;

	if (n == 0 || n >= size)
		return -EBADMSG;
	memcpy(out, *p, n);
	out[n] = 0;
	*p = space + 1;
	return 0;
}

static int take_line(const char **p, struct line *l)
{
	const char *end = strchr(*p, '\n');
	int rc = end ? take_word(p, end, l->name, sizeof(l->name)) : -EBADMSG;

	if (rc == 0)
		rc = take_word(p, end, l->type, sizeof(l->type));
	if (rc < 0)
		return rc;
	for (const char *c = l->name; *c; c++)
		if (!((*c >= 'A' && *c <= 'Z') || (*c >= 'a' && *c <= 'z')))
			return -EBADMSG;
	l->value = *p;
	l->len = (size_t)(end - *p);
	*p = end + 1;
	return 0;
}

static int append_number(sd_bus_message *m, char type, const char *text)
{
	unsigned long long n;
	uint64_t t;
	uint32_t u;
	int32_t i;
	char *end;

	if (*text < '0' || *text > '9')
		return -EBADMSG;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || *end || (type == 'u' && n > UINT32_MAX) || (type == 'i' && n > INT32_MAX))
		return -EBADMSG;
	if (!m)
		return 0;
	t = n;
	u = (uint32_t)n;
	i = (int32_t)n;
	return sd_bus_message_append_basic(m, type,
					   type == 't' ? (void *)&t :
					   type == 'u' ? (void *)&u :
							 (void *)&i);
}

static int append_bool(sd_bus_message *m, const char *text)
{
	int yes = !strcmp(text, "true");

	if (!yes && strcmp(text, "false"))
		return -EBADMSG;
	return m ? sd_bus_message_append_basic(m, 'b', &yes) : 0;
}

static int append_strings(sd_bus_message *m, char *text)
{
	int rc = m ? sd_bus_message_open_container(m, 'a', "s") : 0;
	char *save = NULL;

	if (*text && *text != '\t')
		return -EBADMSG;
	for (char *s = strtok_r(text, "\t", &save); rc >= 0 && s; s = strtok_r(NULL, "\t", &save))
		rc = m ? sd_bus_message_append_basic(m, 's', s) : 0;
	return rc >= 0 && m ? sd_bus_message_close_container(m) : rc;
}

static int nibble(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int append_bytes(sd_bus_message *m, char *text)
{
	size_t n = strlen(text);

	if (n % 2)
		return -EBADMSG;
	for (size_t i = 0; i < n / 2; i++) {
		int high = nibble(text[2 * i]), low = nibble(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return -EBADMSG;
		text[i] = (char)(high << 4 | low);
	}
	return m ? sd_bus_message_append_array(m, 'y', text, n / 2) : 0;
}

static int append_value(sd_bus_message *m, const char *type, char *text)
{
	if (!strcmp(type, "as"))
		return append_strings(m, text);
	if (!strcmp(type, "ay"))
		return append_bytes(m, text);
	if (type[1])
		return -EBADMSG;
	switch (*type) {
	case 'b':
		return append_bool(m, text);
	case 't':
	case 'u':
	case 'i':
		return append_number(m, *type, text);
	case 's':
		return m ? sd_bus_message_append_basic(m, 's', text) : 0;
	}
	return -EBADMSG;
}

static int append_line(sd_bus_message *m, const struct line *l)
{
	char *text = strndup(l->value, l->len);
	int rc = text ? 0 : -ENOMEM;

	if (rc == 0 && m)
		rc = sd_bus_message_open_container(m, 'r', "sv");
	if (rc >= 0 && m)
		rc = sd_bus_message_append_basic(m, 's', l->name);
	if (rc >= 0 && m)
		rc = sd_bus_message_open_container(m, 'v', l->type);
	if (rc >= 0)
		rc = append_value(m, l->type, text);
	if (rc >= 0 && m)
		rc = sd_bus_message_close_container(m);
	if (rc >= 0 && m)
		rc = sd_bus_message_close_container(m);
	free(text);
	return rc < 0 ? rc : 0;
}

int props_append(sd_bus_message *m, const char *props)
{
	int rc = 0;

	while (rc == 0 && *props) {
		struct line l;

		rc = take_line(&props, &l);
		if (rc == 0)
			rc = append_line(m, &l);
	}
	return rc;
}

int props_check(const char *props)
{
	return props_append(NULL, props);
}
