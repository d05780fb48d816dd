// SPDX-License-Identifier: Apache-2.0
/* husk-systemd-cgroup against a manager that refuses, fails, is slow or goes away. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "runtime/systemd/helper/bus.h"

/* What the fake manager does with the calls that matter. */
enum mood {
	FINE,
	JOB_FAILS,
	JOB_NEVER_ENDS,
	OTHERS_JOBS_FIRST,
	SILENT,
	HANGS_UP,
	EXISTS,
	EXISTS_ONCE,
	DENIED,
	NO_UNIT,
	NOT_OURS,
	STOP_DENIED,
};

struct fake {
	char folder[64], path[96], address[128];
	pid_t pid;
	int calls; /* read end: the names of the calls that it got, a space behind each */
};

/* ---- the fake, in a process of its own ------------------------------------------------------------ */

struct manager {
	enum mood mood;
	sd_bus *bus;
	int calls;
	unsigned starts;
};

static void job_removed(struct manager *m, const char *job, const char *result)
{
	sd_bus_emit_signal(m->bus, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager",
			   "JobRemoved", "uoss", 7u, job, "x.scope", result);
}

static int answer_job(struct manager *m, sd_bus_message *call)
{
	if (m->mood == OTHERS_JOBS_FIRST) {
		job_removed(m, "/job/8", "failed");
		job_removed(m, "/job/77", "failed");
	}
	sd_bus_reply_method_return(call, "o", "/job/7");
	if (m->mood != JOB_NEVER_ENDS)
		job_removed(m, "/job/7", m->mood == JOB_FAILS ? "failed" : "done");
	return 1;
}

static int answer_start(struct manager *m, sd_bus_message *call)
{
	m->starts++;
	switch (m->mood) {
	case SILENT:
		return 1;
	case HANGS_UP:
		_exit(0);
	case DENIED:
		return sd_bus_reply_method_errorf(call, SD_BUS_ERROR_ACCESS_DENIED, "Not yours.");
	case EXISTS_ONCE:
		if (m->starts > 1)
			return answer_job(m, call);
		/* fall through */
	case EXISTS:
		return sd_bus_reply_method_errorf(call, "org.freedesktop.systemd1.UnitExists",
						  "Unit x.scope was already loaded.");
	default:
		return answer_job(m, call);
	}
}

static int on_call(sd_bus_message *call, void *arg, sd_bus_error *e)
{
	struct manager *m = arg;
	const char *member = sd_bus_message_get_member(call);

	(void)e;
	if (!member || !sd_bus_message_get_expect_reply(call))
		return 0;
	dprintf(m->calls, "%s ", member);
	if (!strcmp(member, "StartTransientUnit"))
		return answer_start(m, call);
	if (!strcmp(member, "GetUnit") && m->mood == NO_UNIT)
		return sd_bus_reply_method_errorf(call, "org.freedesktop.systemd1.NoSuchUnit",
						  "Unit x.scope not loaded.");
	if (!strcmp(member, "GetUnit"))
		return sd_bus_reply_method_return(call, "o", "/unit/x");
	if (!strcmp(member, "Get"))
		return sd_bus_reply_method_return(call, "v", "s", m->mood == NOT_OURS ? "other" : "husk container x");
	if (!strcmp(member, "StopUnit") && m->mood == STOP_DENIED)
		return sd_bus_reply_method_errorf(call, SD_BUS_ERROR_ACCESS_DENIED, "Not yours.");
	if (!strcmp(member, "StopUnit"))
		return answer_job(m, call);
	return sd_bus_reply_method_return(call, "");
}

static void serve(int listen, enum mood mood, int calls)
{
	struct manager m = { .mood = mood, .calls = calls };
	sd_id128_t id = { .bytes = { 1 } };
	int fd = accept(listen, NULL, NULL);

	if (fd < 0 || sd_bus_new(&m.bus) < 0 || sd_bus_set_fd(m.bus, fd, fd) < 0 ||
	    sd_bus_set_server(m.bus, 1, id) < 0 ||
	    sd_bus_set_sender(m.bus, "org.freedesktop.systemd1") < 0 || sd_bus_start(m.bus) < 0 ||
	    sd_bus_add_filter(m.bus, NULL, on_call, &m) < 0)
		_exit(1);
	for (;;) {
		int rc = sd_bus_process(m.bus, NULL);

		if (rc < 0)
			break;
		if (rc == 0 && sd_bus_wait(m.bus, UINT64_MAX) < 0)
			break;
	}
	_exit(0);
}

static void fake_start(struct fake *f, enum mood mood)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), pipe_fds[2];

	strcpy(f->folder, "/tmp/husk-fake-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->path, sizeof(f->path), "%s/bus", f->folder);
	snprintf(f->address, sizeof(f->address), "unix:path=%s", f->path);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", f->path);
	assert_int_equal(bind(listen_fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(listen_fd, 1), 0);
	assert_int_equal(pipe(pipe_fds), 0);
	f->pid = fork();
	if (f->pid == 0) {
		close(pipe_fds[0]);
		serve(listen_fd, mood, pipe_fds[1]);
	}
	close(pipe_fds[1]);
	close(listen_fd);
	f->calls = pipe_fds[0];
}

/* Ends it; what it was asked for. */
static const char *fake_stop(struct fake *f)
{
	static char calls[4096];
	size_t n = 0;
	ssize_t got;

	kill(f->pid, SIGTERM);
	waitpid(f->pid, NULL, 0);
	while ((got = read(f->calls, calls + n, sizeof(calls) - 1 - n)) > 0)
		n += (size_t)got;
	calls[n] = 0;
	close(f->calls);
	unlink(f->path);
	rmdir(f->folder);
	return calls;
}

static struct systemd_request request(enum systemd_op op)
{
	struct systemd_request r = { .version = SYSTEMD_WIRE_VERSION,
				     .op = op,
				     .timeout_ms = 20000,
				     .pid = op == SYSTEMD_ATTACH ? 4711 : 0,
				     .direct = 1,
				     .unit = "x.scope",
				     .description = "husk container x",
				     .bus = "unix:path=/nowhere" };

	return r;
}

/* ---- tests ----------------------------------------------------------------------------------------- */

static void test_moods(void **state)
{
	static const struct {
		const char *why;
		enum systemd_op op;
		enum mood mood;
		uint32_t timeout_ms;
		int rc;
		const char *calls, *text;
	} rows[] = {
		{ "start", SYSTEMD_START, FINE, 20000, 0, "Subscribe StartTransientUnit ", "" },
		{ "ends of other jobs", SYSTEMD_START, OTHERS_JOBS_FIRST, 20000, 0,
		  "Subscribe StartTransientUnit ", "" },
		{ "its job fails", SYSTEMD_START, JOB_FAILS, 20000, -ECANCELED,
		  "Subscribe StartTransientUnit StopUnit ResetFailedUnit ", "ended with \"failed\"" },
		{ "its job does not end", SYSTEMD_START, JOB_NEVER_ENDS, 3000, -ETIMEDOUT,
		  "Subscribe StartTransientUnit StopUnit ResetFailedUnit ", "does not end" },
		{ "no answer", SYSTEMD_START, SILENT, 3000, -ETIMEDOUT, "Subscribe StartTransientUnit ", "x.scope" },
		{ "hangs up", SYSTEMD_START, HANGS_UP, 20000, -ECONNRESET,
		  "Subscribe StartTransientUnit ", "x.scope" },
		{ "one of that name", SYSTEMD_START, EXISTS, 20000, -EEXIST,
		  "Subscribe StartTransientUnit ResetFailedUnit StartTransientUnit ",
		  "Unit x.scope was already loaded." },
		{ "a failed one of that name", SYSTEMD_START, EXISTS_ONCE, 20000, 0,
		  "Subscribe StartTransientUnit ResetFailedUnit StartTransientUnit ", "" },
		{ "denied", SYSTEMD_START, DENIED, 20000, -EACCES, "Subscribe StartTransientUnit ",
		  "Not yours." },
		{ "stop", SYSTEMD_STOP, FINE, 20000, 0,
		  "Subscribe GetUnit Get KillUnit StopUnit ResetFailedUnit ", "" },
		{ "stop of none", SYSTEMD_STOP, NO_UNIT, 20000, 0, "Subscribe GetUnit ", "" },
		{ "stop of somebody else's", SYSTEMD_STOP, NOT_OURS, 20000, 0, "Subscribe GetUnit Get ",
		  "" },
		{ "stop denied", SYSTEMD_STOP, STOP_DENIED, 20000, -EACCES,
		  "Subscribe GetUnit Get KillUnit StopUnit ", "Not yours." },
		{ "stop does not end", SYSTEMD_STOP, JOB_NEVER_ENDS, 3000, -ETIMEDOUT,
		  "Subscribe GetUnit Get KillUnit StopUnit ", "does not end" },
		{ "attach", SYSTEMD_ATTACH, FINE, 20000, 0, "AttachProcessesToUnit ", "" },
		{ "set", SYSTEMD_SET, FINE, 20000, 0, "SetUnitProperties ", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bool props = rows[i].op == SYSTEMD_START || rows[i].op == SYSTEMD_SET;
		const char *text = props ? "Slice s a.slice\nTasksMax t 9\nAllowedCPUs ay 0f\n"
					   "After as \ta\tb\nDelegate b true\n" :
					   "";
		struct systemd_request r = request(rows[i].op);
		struct err e = ERR_INIT;
		const char *calls;
		struct fake f;
		int rc;

		fake_start(&f, rows[i].mood);
		strcpy(r.bus, f.address);
		r.timeout_ms = rows[i].timeout_ms;
		r.len = (uint32_t)strlen(text);
		assert_int_equal(request_check(&r, text, &e), 0);
		rc = bus_do(&r, text, &e);
		calls = fake_stop(&f);
		if (rc != rows[i].rc || strncmp(calls, rows[i].calls, strlen(rows[i].calls)) ||
		    (rc < 0 && !strstr(e.msg, rows[i].text)))
			fail_msg("%s: %d \"%s\" after %s", rows[i].why, rc, e.msg, calls);
	}
}

static void test_no_bus(void **state)
{
	struct systemd_request r = request(SYSTEMD_STOP);
	struct err e = ERR_INIT;

	(void)state;
	/* Not "no such unit", which is fine for a stop. */
	assert_int_equal(bus_do(&r, "", &e), -ENOENT);
	assert_non_null(strstr(e.msg, "cannot connect to unix:path=/nowhere"));
	strcpy(r.bus, "nonsense");
	assert_true(bus_do(&r, "", &e) < 0);
}

static void test_request_malformed(void **state)
{
	static const char *const bad_properties[] = {
		"A s x",	"A s\n",	"A\n",	      " s x\n",	   "A  x\n",	"A z x\n",
		"A ss x\n",	"A1 s x\n",	"A t\n",      "A t -1\n",  "A t 1x\n",	"A t \n",
		"A t 18446744073709551616\n", "A u 4294967296\n",	     "A i 2147483648\n",
		"A b yes\n",	"A ay 0\n",	"A ay 0g\n",  "A ay 0F\n", "A as x\n",	"A s x\n\n",
		"Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa s x\n",
	};
	struct err e = ERR_INIT;
	struct systemd_request r = request(SYSTEMD_START);

	(void)state;
	assert_int_equal(props_check("A s \nB ay \nC as \nD t 0\nE i 2147483647\nF u 4294967295\n"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad_properties); i++)
		if (props_check(bad_properties[i]) != -EBADMSG)
			fail_msg("taken: %s", bad_properties[i]);
	assert_int_equal(request_check(&r, "", &e), 0);
#define BAD(change, word)                                                           \
	do {                                                                        \
		r = request(SYSTEMD_START);                                         \
		change;                                                             \
		assert_int_equal(request_check(&r, "", &e), -EBADMSG);              \
		assert_non_null(strstr(e.msg, word));                               \
	} while (0)
	BAD(r.version = 2, "version");
	BAD(r.op = 0, "op");
	BAD(r.op = SYSTEMD_SET + 1, "op");
	BAD(r.timeout_ms = 0, "timeout");
	BAD(r.timeout_ms = 600001, "timeout");
	BAD(r.pid = 1, "pid");
	BAD(r.op = SYSTEMD_ATTACH, "pid");
	BAD(r.direct = 2, "bus");
	BAD(r.bus[0] = 0, "bus");
	BAD(memset(r.bus, 'a', sizeof(r.bus)), "bus");
	BAD(r.unit[0] = 0, "unit");
	BAD(memset(r.unit, 'a', sizeof(r.unit)), "unit");
	BAD(r.description[0] = 0, "description");
	BAD(memset(r.description, 'a', sizeof(r.description)), "description");
	BAD(r.len = 1, "properties");
	r = request(SYSTEMD_STOP);
	r.len = 6;
	assert_int_equal(request_check(&r, "A s x\n", &e), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_moods),
		cmocka_unit_test(test_no_bus),
		cmocka_unit_test(test_request_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
