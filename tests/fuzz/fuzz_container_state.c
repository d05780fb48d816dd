// SPDX-License-Identifier: Apache-2.0
/* What the runtime reads back: state files, /proc/PID/stat, cgroup paths, signal names. The first byte
 * chooses. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/container/device_list.h"
#include "runtime/container/id.h"
#include "runtime/container/signame.h"
#include "runtime/container/state.h"
#include "runtime/host/cgroup.h"
#include "runtime/sandbox/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void state(const char *text, size_t len)
{
	struct container_state s = { .doc = NULL };
	struct buf b = BUF_INIT(1 << 20);
	struct json_w w;

	if (container_state_parse(text, len, &s, NULL) == 0) {
		/* What is accepted can be used as names, and printed. */
		if (container_id_check(s.id, NULL) < 0 || strstr(s.cgroup, "/../"))
			abort();
		jw_init(&w, &b, true);
		container_state_print(&w, &s, CONTAINER_STOPPED, "");
		if (!jw_done(&w) && b.len < (1 << 20) - 4096 && !b.failed)
			abort();
	}
	buf_free(&b);
	container_state_done(&s);
}

static void sandbox(const char *text, size_t len)
{
	struct sandbox_record r;

	if (sandbox_parse(text, len, &r, NULL) == 0 && (strchr(r.first, '/') || strchr(r.host, '/') || r.machine.pid <= 0))
		abort();
}

static void devices(const char *text, size_t len)
{
	struct device_list l;
	struct device_wish w;

	if (device_list_parse(text, len, &l, NULL) == 0) {
		for (size_t i = 0; i < l.n; i++)
			if (*l.v[i].path != '/' || strstr(l.v[i].path, "/../") || !*l.v[i].disk)
				abort();
		device_list_done(&l);
	}
	if (device_wish_parse(text, &w, NULL) == 0 && (*w.path != '/' || strstr(w.path, "/../") || !*w.source || !*w.access))
		abort();
}

static void path(char *text)
{
	char *own = strchr(text, '|');
	char out[256];

	if (own)
		*own++ = 0;
	if (cgroup_path(text, "x", own ? own : "0::/a\n", out, sizeof(out), NULL) == 0 &&
	    (*out != '/' || strstr(out, "/../") || strstr(out, "//")))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proc_info info;
	char *text;

	if (!size)
		return 0;
	text = malloc(size);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = 0;
	switch (data[0] & 3) {
	case 0:
		state(text, size - 1);
		sandbox(text, size - 1);
		devices(text, size - 1);
		break;
	case 1:
		proc_parse_stat(text, size - 1, &info);
		break;
	case 2:
		path(text);
		break;
	case 3:
		if (signal_by_name(text, NULL) > 64)
			abort();
		break;
	}
	free(text);
	return 0;
}
