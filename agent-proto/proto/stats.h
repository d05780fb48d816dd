/* SPDX-License-Identifier: Apache-2.0 */
/* What a container has used (StatsResponse) as a struct of fixed size, for those who must not parse messages. */
#ifndef AGENT_PROTO_PROTO_STATS_H
#define AGENT_PROTO_PROTO_STATS_H

#include <stdint.h>

#define AGENT_MAX_COUNTERS     128
#define AGENT_MAX_COUNTER_NAME 47
#define AGENT_MAX_BLOCK_STATS  64
#define AGENT_MAX_HUGE_SIZES   8
#define AGENT_MAX_HUGE_NAME    15
#define AGENT_MAX_INTERFACE_STATS 32
#define AGENT_INTERFACE_CHARS  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
#define AGENT_NO_LIMIT         UINT64_MAX

struct agent_usage {
	uint64_t current, limit, peak, failures;
};

struct agent_stats {
	uint64_t cpu_ns, cpu_user_ns, cpu_system_ns;
	uint64_t periods, throttled_periods, throttled_ns;
	struct agent_usage memory, swap, pids; /* bytes, bytes, processes */
	uint32_t n_memory_stat, n_block, n_huge, n_interfaces;
	struct agent_counter { /* of memory.stat */
		char name[AGENT_MAX_COUNTER_NAME + 1]; /* of a-z 0-9 _ */
		uint64_t value;
	} memory_stat[AGENT_MAX_COUNTERS];
	struct agent_block_stat {
		uint32_t major, minor;
		uint64_t read_bytes, written_bytes, reads, writes;
	} block[AGENT_MAX_BLOCK_STATS];
	struct agent_huge {
		char size[AGENT_MAX_HUGE_NAME + 1]; /* "2MB": of A-Z 0-9 */
		struct agent_usage usage; /* bytes */
	} huge[AGENT_MAX_HUGE_SIZES];
	struct agent_interface {
		char name[16]; /* of AGENT_INTERFACE_CHARS */
		uint64_t rx_bytes, rx_packets, rx_errors, rx_dropped;
		uint64_t tx_bytes, tx_packets, tx_errors, tx_dropped;
	} interfaces[AGENT_MAX_INTERFACE_STATS];
};

#endif
