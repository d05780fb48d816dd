// SPDX-License-Identifier: Apache-2.0
#include "runtime/container/timeline.h"

#include <inttypes.h>
#include <string.h>

#include "lib/io.h"
#include "lib/log.h"
#include "vmm/control/native.h"

#define MAX_MOMENTS 48

static struct moment {
	const char *what;
	uint64_t ns;
} moments[MAX_MOMENTS];
static size_t count, logged;

void timeline_at(const char *what, uint64_t ns)
{
	if (!ns || count == MAX_MOMENTS || !log_enabled(LOG_DEBUG))
		return;
	for (size_t i = 0; i < count; i++)
		if (!strcmp(moments[i].what, what))
			return;
	moments[count++] = (struct moment){ what, ns };
}

void timeline_mark(const char *what)
{
	if (log_enabled(LOG_DEBUG))
		timeline_at(what, io_now_ns());
}

void timeline_proxy(const struct proxy_reply *r)
{
	static const char *const names[] = {
		[PROXY_T_BEGIN] = "husk-proxy runs",
		[PROXY_T_SETUP] = "husk-proxy has given up its privileges",
		[PROXY_T_READY] = "agent ready",
		[PROXY_T_HELLO] = "agent answers",
		[PROXY_T_CREATED] = "container created in the guest",
		[PROXY_T_STARTED] = "process started",
		[PROXY_T_EXITED] = "process exited",
		[PROXY_T_TORN_DOWN] = "container torn down",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		timeline_at(names[i], r->stamp[i]);
}

void timeline_machine(const struct nc_info_reply *r)
{
	static const char *const names[] = {
		[NC_T_START] = "husk-machine runs",
		[NC_T_CREATED] = "machine built",
		[NC_T_JAILED] = "machine jailed",
		[NC_T_FIRST_RUN] = "first guest instruction",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		timeline_at(names[i], r->start_ns[i]);
}

void timeline_log(void)
{
	/* Few and nearly sorted. */
	for (size_t i = logged + 1; i < count; i++)
		for (size_t k = i; k > logged && moments[k].ns < moments[k - 1].ns; k--) {
			struct moment m = moments[k];

			moments[k] = moments[k - 1];
			moments[k - 1] = m;
		}
	for (; logged < count; logged++)
		log_debug("time line: %12" PRIu64 " ns %10" PRId64 " ns  %s",
			  moments[logged].ns - moments[0].ns,
			  logged ? (int64_t)(moments[logged].ns - moments[logged - 1].ns) : 0,
			  moments[logged].what);
}
