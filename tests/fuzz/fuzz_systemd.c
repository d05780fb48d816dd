// SPDX-License-Identifier: Apache-2.0
/* Texts of a configuration on their way to systemd, a NUL between each: cgroupsPath, id, then pairs of an annotation or
 * a group file and its value. Whatever is accepted, the helper takes. */
#include <stdlib.h>
#include <string.h>

#include "runtime/oci/cpuset.h"
#include "runtime/systemd/helper/bus.h"
#include "runtime/systemd/unit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *word[10];
	struct buf out = BUF_INIT(SYSTEMD_REQUEST_MAX);
	struct systemd_unit u;
	struct cpuset set;
	struct err e = ERR_INIT;
	char path[4096], *text = malloc(size + 1), *p = text;

	memcpy(text, data, size);
	text[size] = 0;
	for (size_t i = 0; i < ARRAY_SIZE(word); i++) {
		word[i] = p;
		p += strlen(p);
		p += p < text + size;
	}
	if (systemd_unit(word[0], word[1], false, &u, &e) == 0) {
		if (strchr(u.name, '/') || !strstr(u.name, ".scope") || systemd_expand_slice(u.slice, path, sizeof(path)) < 0)
			abort();
	} else if (!e.msg[0]) {
		abort();
	}
	cpuset_parse(word[1], &set);
	for (size_t i = 2; i + 1 < ARRAY_SIZE(word); i += 2) {
		struct oci_limit one = { .file = word[i], .value = word[i + 1] };
		const struct oci_limits limits = { .v = &one, .n = 1 };
		bool note = !strncmp(word[i], SYSTEMD_ANNOTATION, strlen(SYSTEMD_ANNOTATION));
		struct err why = ERR_INIT;
		int rc = note ? systemd_annotation(word[i], word[i + 1], &out, &why) :
				systemd_limit_properties(&limits, &out, &why);

		if (rc < 0 ? !why.msg[0] : props_check(buf_cstr(&out)) < 0)
			abort();
		buf_free(&out);
	}
	free(text);
	return 0;
}
