// SPDX-License-Identifier: Apache-2.0
#include "runtime/oci/cpuset.h"

#include <errno.h>
#include <string.h>

static int number(const char **p, unsigned *ret)
{
	unsigned n = 0;

	if (**p < '0' || **p > '9')
		return -EINVAL;
	for (; **p >= '0' && **p <= '9'; ++*p) {
		n = n * 10 + (unsigned)(**p - '0');
		if (n >= CPUSET_MAX)
			return -ERANGE;
	}
	*ret = n;
	return 0;
}

static void add(struct cpuset *s, unsigned n)
{
	uint8_t bit = (uint8_t)(1u << n % 8);

	s->count += !(s->bits[n / 8] & bit);
	s->bits[n / 8] |= bit;
	s->top = max_t(unsigned, s->top, n + 1);
}

int cpuset_parse(const char *text, struct cpuset *ret)
{
	static const char space[] = " \t\n";
	const char *p = text + strspn(text, space);

	memset(ret, 0, sizeof(*ret));
	while (*p) {
		unsigned first = 0, last;
		int rc = number(&p, &first);

		last = first;
		if (rc == 0 && *p == '-') {
			p++;
			rc = number(&p, &last);
		}
		if (rc < 0)
			return rc;
		if (last < first)
			return -EINVAL;
		for (unsigned n = first; n <= last; n++)
			add(ret, n);
		p += strspn(p, space);
		if (!*p)
			return 0;
		if (*p++ != ',')
			return -EINVAL;
		p += strspn(p, space);
	}
	return 0;
}
