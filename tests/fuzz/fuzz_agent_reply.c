// SPDX-License-Identifier: Apache-2.0
/* One answer of the agent's, of the kind that the first byte says; what is accepted keeps its ranges. */
#include <string.h>

#include "agent-proto/client/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void printable(const char *s, size_t size)
{
	size_t len = strnlen(s, size);

	bug_on(len == size);
	for (size_t i = 0; i < len; i++)
		bug_on(s[i] < 0x20 || s[i] > 0x7e);
}

static void each(void *arg, const struct agent_ps_info *p)
{
	bug_on(++*(unsigned *)arg > AGENT_MAX_PROCESSES);
	bug_on(p->pid == 0);
	printable(p->command, sizeof(p->command));
	printable(p->tty, sizeof(p->tty));
	printable(p->exec_id, sizeof(p->exec_id));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum agent_method m = size ? (enum agent_method)(data[0] % AGENT_METHODS) : AGENT_HELLO;
	struct agent_reply r;
	struct err e = ERR_INIT;
	unsigned n = 0;

	if (!size)
		return 0;
	if (agent_decode(m, data + 1, size - 1, each, &n, &r, &e) < 0) {
		bug_on(n != 0 || !e.msg[0]);
		return 0;
	}
	bug_on(m == AGENT_WAIT && (r.exit.status > 255 || r.exit.at_sec < 0));
	if (m == AGENT_HELLO) {
		printable(r.hello.kernel_release, sizeof(r.hello.kernel_release));
		printable(r.hello.agent_version, sizeof(r.hello.agent_version));
	}
	bug_on(m == AGENT_NETWORK && r.network.n > AGENT_MAX_RESOLVERS);
	for (uint32_t i = 0; m == AGENT_NETWORK && i < r.network.n; i++)
		bug_on((r.network.resolver[i] & 0xff) != 127);
	if (m == AGENT_STATS) {
		bug_on(r.stats.n_memory_stat > AGENT_MAX_COUNTERS ||
		       r.stats.n_block > AGENT_MAX_BLOCK_STATS ||
		       r.stats.n_huge > AGENT_MAX_HUGE_SIZES);
		for (uint32_t i = 0; i < r.stats.n_memory_stat; i++)
			printable(r.stats.memory_stat[i].name, sizeof(r.stats.memory_stat[i].name));
		for (uint32_t i = 0; i < r.stats.n_huge; i++)
			printable(r.stats.huge[i].size, sizeof(r.stats.huge[i].size));
	}
	return 0;
}
