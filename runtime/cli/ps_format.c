// SPDX-License-Identifier: Apache-2.0
#include "runtime/cli/ps_format.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#define NS_PER_S UINT64_C(1000000000)

static uint64_t age_ns(const struct proxy_ps *p)
{
	return p->now_ns > p->start_ns ? p->now_ns - p->start_ns : 1;
}

/* ---- the columns: one function each, into at most @size bytes --------------------------------- */

static void put_pid(const struct proxy_ps *p, char *out, size_t size)
{
	snprintf(out, size, "%" PRIu32, p->pid);
}

static void put_ppid(const struct proxy_ps *p, char *out, size_t size)
{
	snprintf(out, size, "%" PRIu32, p->ppid);
}

static void put_uid(const struct proxy_ps *p, char *out, size_t size)
{
	snprintf(out, size, "%" PRIu32, p->uid);
}

/* The host's names of users say nothing about the guest's. */
static void put_user(const struct proxy_ps *p, char *out, size_t size)
{
	if (p->uid)
		put_uid(p, out, size);
	else
		snprintf(out, size, "root");
}

static uint64_t cpu_permille(const struct proxy_ps *p)
{
	return min_t(uint64_t, p->cpu_ns / max_t(uint64_t, age_ns(p) / 1000, 1), 999000);
}

static void put_c(const struct proxy_ps *p, char *out, size_t size)
{
	snprintf(out, size, "%" PRIu64, min_t(uint64_t, cpu_permille(p) / 10, 99));
}

static void put_pcpu(const struct proxy_ps *p, char *out, size_t size)
{
	snprintf(out, size, "%" PRIu64 ".%" PRIu64, cpu_permille(p) / 10, cpu_permille(p) % 10);
}

static void put_pmem(const struct proxy_ps *p, char *out, size_t size)
{
	snprintf(out, size, "%" PRIu32 ".%" PRIu32, p->resident_permille / 10,
		 p->resident_permille % 10);
}

static void put_vsz(const struct proxy_ps *p, char *out, size_t size)
{
	snprintf(out, size, "%" PRIu64, p->virtual_bytes / 1024);
}

static void put_rss(const struct proxy_ps *p, char *out, size_t size)
{
	snprintf(out, size, "%" PRIu64, p->resident_bytes / 1024);
}

static void put_nlwp(const struct proxy_ps *p, char *out, size_t size)
{
	snprintf(out, size, "%" PRIu32, p->threads);
}

static void put_stat(const struct proxy_ps *p, char *out, size_t size)
{
	snprintf(out, size, "%s", p->state);
}

static void put_s(const struct proxy_ps *p, char *out, size_t size)
{
	snprintf(out, size, "%.1s", p->state);
}

static void put_tty(const struct proxy_ps *p, char *out, size_t size)
{
	snprintf(out, size, "%s", p->tty[0] ? p->tty : "?");
}

static void put_start(const struct proxy_ps *p, char *out, size_t size)
{
	uint64_t age = age_ns(p) / NS_PER_S;
	time_t at = time(NULL) - (time_t)min_t(uint64_t, age, INT32_MAX);
	struct tm tm;

	localtime_r(&at, &tm);
	strftime(out, size, age < 86400 ? "%H:%M" : "%b%d", &tm);
}

static void put_time(const struct proxy_ps *p, char *out, size_t size)
{
	uint64_t s = p->cpu_ns / NS_PER_S;

	snprintf(out, size, "%02u:%02u:%02u", (unsigned)min_t(uint64_t, s / 3600, 9999),
		 (unsigned)(s / 60 % 60), (unsigned)(s % 60));
}

static void put_bsdtime(const struct proxy_ps *p, char *out, size_t size)
{
	uint64_t s = p->cpu_ns / NS_PER_S;

	snprintf(out, size, "%u:%02u", (unsigned)min_t(uint64_t, s / 60, 999999), (unsigned)(s % 60));
}

static void put_etimes(const struct proxy_ps *p, char *out, size_t size)
{
	snprintf(out, size, "%" PRIu64, age_ns(p) / NS_PER_S);
}

static void put_etime(const struct proxy_ps *p, char *out, size_t size)
{
	uint64_t s = age_ns(p) / NS_PER_S;
	unsigned day = (unsigned)min_t(uint64_t, s / 86400, 99999);
	unsigned hour = (unsigned)(s / 3600 % 24), min = (unsigned)(s / 60 % 60);

	if (day)
		snprintf(out, size, "%u-%02u:%02u:%02u", day, hour, min, (unsigned)(s % 60));
	else if (hour)
		snprintf(out, size, "%02u:%02u:%02u", hour, min, (unsigned)(s % 60));
	else
		snprintf(out, size, "%02u:%02u", min, (unsigned)(s % 60));
}

static void put_comm(const struct proxy_ps *p, char *out, size_t size)
{
	snprintf(out, size, "%s", p->name);
}

static void put_args(const struct proxy_ps *p, char *out, size_t size)
{
	snprintf(out, size, "%s", p->command);
}

struct ps_column {
	const char *name, *header;
	int width; /* negative: flush left */
	void (*put)(const struct proxy_ps *p, char *out, size_t size);
};

/* Names, headings and widths are ps's own; those of one line mean the same to it. */
static const struct ps_column columns[] = {
	{ "pid", "PID", 7, put_pid },
	{ "ppid", "PPID", 7, put_ppid },
	{ "uid", "UID", 5, put_uid },
	{ "euid", "EUID", 5, put_uid },
	{ "user", "USER", -8, put_user },
	{ "euser", "EUSER", -8, put_user },
	{ "uname", "USER", -8, put_user },
	{ "c", "C", 2, put_c },
	{ "pcpu", "%CPU", 4, put_pcpu },
	{ "%cpu", "%CPU", 4, put_pcpu },
	{ "pmem", "%MEM", 4, put_pmem },
	{ "%mem", "%MEM", 4, put_pmem },
	{ "vsz", "VSZ", 6, put_vsz },
	{ "vsize", "VSZ", 6, put_vsz },
	{ "rss", "RSS", 5, put_rss },
	{ "rsz", "RSZ", 5, put_rss },
	{ "rssize", "RSS", 5, put_rss },
	{ "nlwp", "NLWP", 4, put_nlwp },
	{ "thcount", "THCNT", 5, put_nlwp },
	{ "stat", "STAT", -4, put_stat },
	{ "s", "S", -1, put_s },
	{ "state", "S", -1, put_s },
	{ "tty", "TT", -8, put_tty },
	{ "tt", "TT", -8, put_tty },
	{ "tname", "TTY", -8, put_tty },
	{ "stime", "STIME", 5, put_start },
	{ "start_time", "START", 5, put_start },
	{ "bsdstart", "START", 6, put_start },
	{ "time", "TIME", 8, put_time },
	{ "cputime", "TIME", 8, put_time },
	{ "bsdtime", "TIME", 6, put_bsdtime },
	{ "etime", "ELAPSED", 11, put_etime },
	{ "etimes", "ELAPSED", 7, put_etimes },
	{ "comm", "COMMAND", -15, put_comm },
	{ "ucmd", "CMD", -15, put_comm },
	{ "ucomm", "COMMAND", -15, put_comm },
	{ "args", "COMMAND", -27, put_args },
	{ "cmd", "CMD", -27, put_args },
	{ "command", "COMMAND", -27, put_args },
};

/* ---- the options ------------------------------------------------------------------------------- */

static int add(struct ps_format *f, const char *name, size_t len, const char *header, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
		if (strlen(columns[i].name) != len || strncmp(columns[i].name, name, len) != 0)
			continue;
		if (f->n == PS_MAX_COLUMNS)
			return err_set(e, E2BIG, "ps: more than %d columns", PS_MAX_COLUMNS);
		snprintf(f->header[f->n], sizeof(f->header[0]), "%s",
			 header ? header : columns[i].header);
		f->column[f->n++] = &columns[i];
		return 0;
	}
	return err_set(e, ENOTSUP, "ps: column \"%.*s\" is not supported",
		       (int)min_t(size_t, len, 40), name);
}

/* "pid,comm", "pid comm", "pid=Number": a heading of one's own goes to the end of the word. */
static int add_list(struct ps_format *f, const char *list, struct err *e)
{
	static const char separators[] = ", \t";
	int rc = *list ? 0 : err_set(e, EINVAL, "ps: empty list of columns");

	for (const char *p = list; rc == 0 && *p; p += strspn(p, separators)) {
		size_t len = strcspn(p, ", \t=");

		rc = add(f, p, len, p[len] == '=' ? p + len + 1 : NULL, e);
		if (p[len] == '=')
			break;
		p += len;
	}
	return rc;
}

enum style { STYLE_NONE, STYLE_BSD, STYLE_FULL, STYLE_USER };

static int unknown_option(const char *word, struct err *e)
{
	return err_set(e, ENOTSUP,
		       "ps option \"%s\" is not supported: the processes are those of the guest", word);
}

/* One word of options; a list of columns may be the next. */
static int take_word(struct ps_format *f, enum style *style, char *const *args, int nargs, int *i,
		     struct err *e)
{
	const char *word = args[(*i)++];
	const char *p = word + (*word == '-');
	bool dash = *word == '-' && strcmp(word, "-aux") != 0 && strcmp(word, "-ax") != 0;

	if (!*p)
		return *word ? unknown_option(word, e) : err_set(e, EINVAL, "ps: empty option");
	for (; *p; p++) {
		if (*p == 'o') {
			if (p[1])
				return add_list(f, p + 1, e);
			if (*i == nargs)
				return err_set(e, EINVAL, "ps: -o needs a list of columns");
			return add_list(f, args[(*i)++], e);
		}
		if (dash && *p == 'f')
			*style = STYLE_FULL;
		else if (!dash && *p == 'u')
			*style = STYLE_USER;
		else if (!strchr(dash ? "eAadw" : "axw", *p))
			return unknown_option(word, e);
		else if (!dash && *style == STYLE_NONE)
			*style = STYLE_BSD;
	}
	return 0;
}

/* What each style shows, with the headings that it has there. */
static const char *const styles[][2] = {
	[STYLE_NONE] = { "pid,tname,time,ucmd", NULL },
	[STYLE_BSD] = { "pid,tname,stat,bsdtime,command", NULL },
	[STYLE_FULL] = { "pid,ppid,c,stime,tname,time,cmd", "UID" },
	[STYLE_USER] = { "pid,%cpu,%mem,vsz,rss,tname,stat,bsdstart,bsdtime,command", "USER" },
};

int ps_format_parse(struct ps_format *f, char *const *args, int nargs, struct err *e)
{
	enum style style = nargs ? STYLE_NONE : STYLE_FULL;
	int i = 0, rc = 0;

	f->n = 0;
	while (rc == 0 && i < nargs)
		rc = take_word(f, &style, args, nargs, &i, e);
	if (rc == 0 && !f->n) {
		if (styles[style][1])
			rc = add(f, "user", 4, styles[style][1], e);
		if (rc == 0)
			rc = add_list(f, styles[style][0], e);
	}
	for (size_t c = 0; rc == 0 && c < f->n; c++)
		if (!strcmp(f->header[c], "PID"))
			return 0;
	return rc < 0 ? rc : err_set(e, EINVAL, "couldn't find PID field in ps output");
}

/* ---- the table --------------------------------------------------------------------------------- */

static void put_cell(const struct ps_format *f, size_t c, const char *text, FILE *out)
{
	int width = f->column[c]->width;
	int room = (int)strlen(f->header[c]);

	/* A heading of one's own may be wider than its column. */
	if (width < 0 && room < -width)
		room = -width;
	else if (width > 0 && room < width)
		room = width;
	if (c + 1 == f->n && width < 0)
		fprintf(out, "%s\n", text);
	else
		fprintf(out, "%*s%c", width < 0 ? -room : room, text, c + 1 == f->n ? '\n' : ' ');
}

void ps_format_header(const struct ps_format *f, FILE *out)
{
	for (size_t c = 0; c < f->n; c++)
		put_cell(f, c, f->header[c], out);
}

void ps_format_row(const struct ps_format *f, const struct proxy_ps *p, FILE *out)
{
	char text[sizeof(p->command)];

	for (size_t c = 0; c < f->n; c++) {
		f->column[c]->put(p, text, sizeof(text));
		put_cell(f, c, text, out);
	}
}
