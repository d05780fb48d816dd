/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logging. Only code beside a main() logs above debug level; libraries return struct err.
 * Anything a guest can trigger goes through log_guest(), which is rate limited per call site.
 * Text from a guest or a configuration is escaped, so that a log line stays one line. errno is
 * kept. Thread-safe. The sink is set once at start-up.
 */
#ifndef LIB_LOG_H
#define LIB_LOG_H

#include <stdatomic.h>
#include "lib/util.h"

enum log_level { LOG_ERR = 3, LOG_WARN = 4, LOG_INFO = 6, LOG_DEBUG = 7, LOG_TRACE = 8 };
enum log_format { LOG_TEXT, LOG_JSON };

/* @fd stays the caller's and must live as long as the process. @tag names the program.
 * LOG_JSON writes {"level","msg","time"} objects, one a line, as containerd and conmon read them. */
void log_open(int fd, enum log_format format, enum log_level max, const char *tag);
/* A second sink (stderr beside --log), text, errors only. -1: none. */
void log_also_stderr(bool on);
bool log_enabled(enum log_level level);
void log_msg(enum log_level level, const char *fmt, ...) __printf_like(2, 3);

#define log_err(...)   log_msg(LOG_ERR, __VA_ARGS__)
#define log_warn(...)  log_msg(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_msg(LOG_INFO, __VA_ARGS__)
#define log_debug(...)                                \
	do {                                          \
		if (log_enabled(LOG_DEBUG))           \
			log_msg(LOG_DEBUG, __VA_ARGS__); \
	} while (0)
#define log_trace(...)                                \
	do {                                          \
		if (log_enabled(LOG_TRACE))           \
			log_msg(LOG_TRACE, __VA_ARGS__); \
	} while (0)

/* At most LOG_GUEST_BURST lines per call site for the life of the process. */
#define LOG_GUEST_BURST 8
#define log_guest(...)                                                          \
	do {                                                                    \
		static atomic_uint log_guest_n;                                 \
		if (atomic_load(&log_guest_n) < LOG_GUEST_BURST &&              \
		    atomic_fetch_add(&log_guest_n, 1) < LOG_GUEST_BURST)        \
			log_msg(LOG_WARN, __VA_ARGS__);                         \
	} while (0)

#endif
