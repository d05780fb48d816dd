// SPDX-License-Identifier: Apache-2.0
#include "lib/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct {
	int fd;
	enum log_format format;
	enum log_level max;
	const char *tag;
	bool also_stderr;
} sink = { .fd = STDERR_FILENO, .format = LOG_TEXT, .max = LOG_WARN, .tag = "husk" };

void log_open(int fd, enum log_format format, enum log_level max, const char *tag)
{
	sink.fd = fd;
	sink.format = format;
	sink.max = max;
	sink.tag = tag;
}

void log_also_stderr(bool on)
{
	sink.also_stderr = on;
}

bool log_enabled(enum log_level level)
{
	return level <= sink.max;
}

static const char *level_name(enum log_level level)
{
	switch (level) {
	case LOG_ERR:
		return "error";
	case LOG_WARN:
		return "warning";
	case LOG_INFO:
		return "info";
	case LOG_DEBUG:
		return "debug";
	case LOG_TRACE:
		return "trace";
	}
	return "info";
}

/* Escapes @in for a JSON string into @out; cuts at a character's boundary when full. */
static void escape_json(char *out, size_t size, const char *in)
{
	size_t n = 0;

	for (; *in && n + 7 < size; in++) {
		unsigned char c = (unsigned char)*in;

		if (c == '"' || c == '\\')
			n += (size_t)snprintf(out + n, size - n, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			n += (size_t)snprintf(out + n, size - n, "\\u%04x", c);
		else
			out[n++] = (char)c;
	}
	out[n] = 0;
}

static void escape_text(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = ' ';
}

static void put(int fd, const char *line, size_t len)
{
	/* One write a line: lines of several processes on one file must not mix. */
	ssize_t rc = write(fd, line, len);

	(void)rc;
}

static void put_json(enum log_level level, const char *text)
{
	char esc[2200], line[2400], when[64];
	struct timespec ts;
	struct tm tm;
	int n;

	escape_json(esc, sizeof(esc), text);
	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	n = snprintf(line, sizeof(line), "{\"level\":\"%s\",\"msg\":\"%s\",\"time\":\"%s.%09ldZ\"}\n",
		     level_name(level), esc, when, ts.tv_nsec);
	put(sink.fd, line, min_t(size_t, n, sizeof(line) - 1));
}

static void put_text(int fd, enum log_level level, const char *text)
{
	char line[2400];
	int n;

	if (level <= LOG_ERR)
		n = snprintf(line, sizeof(line), "%s: %s\n", sink.tag, text);
	else
		n = snprintf(line, sizeof(line), "%s: %s: %s\n", sink.tag, level_name(level), text);
	put(fd, line, min_t(size_t, n, sizeof(line) - 1));
}

void log_msg(enum log_level level, const char *fmt, ...)
{
	int keep = errno;
	char text[2048];
	va_list ap;

	if (level > sink.max)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	escape_text(text);
	if (sink.fd >= 0) {
		if (sink.format == LOG_JSON)
			put_json(level, text);
		else
			put_text(sink.fd, level, text);
	}
	if (sink.also_stderr && sink.fd != STDERR_FILENO && level <= LOG_ERR)
		put_text(STDERR_FILENO, level, text);
	errno = keep;
}

void bug_at(const char *file, int line, const char *what)
{
	char text[256];
	int n = snprintf(text, sizeof(text), "bug: %s:%d: %s\n", file, line, what);

	put(sink.fd >= 0 ? sink.fd : STDERR_FILENO, text, min_t(size_t, n, sizeof(text) - 1));
	abort();
}
