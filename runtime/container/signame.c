// SPDX-License-Identifier: Apache-2.0
#include "runtime/container/signame.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The kernel's own range: the C library keeps the first two for itself, the guest's may not. */
#define SIG_LAST 64
#define RT_MIN   34
#define RT_MAX   64

static const struct {
	const char *name;
	int signo;
} names[] = {
	{ "HUP", SIGHUP },   { "INT", SIGINT },       { "QUIT", SIGQUIT },  { "ILL", SIGILL },
	{ "TRAP", SIGTRAP }, { "ABRT", SIGABRT },     { "IOT", SIGIOT },    { "BUS", SIGBUS },
	{ "FPE", SIGFPE },   { "KILL", SIGKILL },     { "USR1", SIGUSR1 },  { "SEGV", SIGSEGV },
	{ "USR2", SIGUSR2 }, { "PIPE", SIGPIPE },     { "ALRM", SIGALRM },  { "TERM", SIGTERM },
	{ "CHLD", SIGCHLD }, { "CLD", SIGCHLD },      { "CONT", SIGCONT },  { "STOP", SIGSTOP },
	{ "TSTP", SIGTSTP }, { "TTIN", SIGTTIN },     { "TTOU", SIGTTOU },  { "URG", SIGURG },
	{ "XCPU", SIGXCPU }, { "XFSZ", SIGXFSZ },     { "PROF", SIGPROF },  { "WINCH", SIGWINCH },
	{ "IO", SIGIO },     { "VTALRM", SIGVTALRM }, { "POLL", SIGPOLL },  { "PWR", SIGPWR },
	{ "SYS", SIGSYS },   { "STKFLT", SIGSTKFLT }, { "UNUSED", SIGSYS },
};

/* "+3", "-1" or "" to that number; -1000 for anything else. */
static int offset_of(const char *s)
{
	char *end;
	long v;

	if (!*s)
		return 0;
	if ((*s != '+' && *s != '-') || s[1] < '0' || s[1] > '9')
		return -1000;
	v = strtol(s, &end, 10);
	return *end || v < -64 || v > 64 ? -1000 : (int)v;
}

static int by_name(const char *name)
{
	int off;

	if (!strncasecmp(name, "SIG", 3))
		name += 3;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcasecmp(name, names[i].name))
			return names[i].signo;
	if (strncasecmp(name, "RTMIN", 5) && strncasecmp(name, "RTMAX", 5))
		return -1;
	off = offset_of(name + 5);
	off += strncasecmp(name, "RTMIN", 5) ? RT_MAX : RT_MIN;
	return off >= RT_MIN && off <= RT_MAX ? off : -1;
}

int signal_by_name(const char *name, struct err *e)
{
	char *end;
	long v = -1;

	if (*name >= '0' && *name <= '9') {
		errno = 0;
		v = strtol(name, &end, 10);
		if (*end || errno || v > SIG_LAST)
			v = -1;
	} else if (*name) {
		v = by_name(name);
	}
	if (v < 0)
		return err_set(e, EINVAL, "unknown signal \"%s\"", name);
	return (int)v;
}
