// SPDX-License-Identifier: Apache-2.0
#include "runtime/systemd/helper/bus.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"

#define SERVICE "org.freedesktop.systemd1"
#define OBJECT  "/org/freedesktop/systemd1"
#define MANAGER SERVICE ".Manager"
#define PRIVATE "unix:path=/run/systemd/private"

struct talk {
	const struct systemd_request *r;
	sd_bus *bus;
	uint64_t end_ns;
	char *job; /* object path of the one that is waited for */
	char result[32]; /* "" until it was removed */
};

/* ---- checks ------------------------------------------------------------------------------------- */

static bool is_text(const char *s, size_t size, bool required)
{
	return strnlen(s, size) < size && (*s || !required);
}

int request_check(const struct systemd_request *r, const char *props, struct err *e)
{
	const char *bad = NULL;

	if (r->version != SYSTEMD_WIRE_VERSION)
		bad = "version";
	else if (r->op < SYSTEMD_START || r->op > SYSTEMD_SET)
		bad = "op";
	else if (r->timeout_ms == 0 || r->timeout_ms > 600000)
		bad = "timeout";
	else if ((r->op == SYSTEMD_ATTACH) != (r->pid != 0) || r->pid > INT32_MAX)
		bad = "pid";
	else if (r->direct > 1 || !is_text(r->bus, sizeof(r->bus), r->direct))
		bad = "bus";
	else if (!is_text(r->unit, sizeof(r->unit), true))
		bad = "unit";
	else if (!is_text(r->description, sizeof(r->description), r->op == SYSTEMD_START))
		bad = "description";
	else if (strlen(props) != r->len || props_check(props) < 0 ||
		 (r->len && r->op != SYSTEMD_START && r->op != SYSTEMD_SET))
		bad = "properties";
	return bad ? err_set(e, EBADMSG, "husk-systemd-cgroup: request: malformed %s", bad) : 0;
}

/* ---- connection and calls ----------------------------------------------------------------------- */

static uint64_t left_usec(const struct talk *t)
{
	uint64_t now = io_now_ns();

	return now >= t->end_ns ? 0 : (t->end_ns - now) / 1000 + 1;
}

static int open_address(sd_bus **ret, const char *address, bool direct)
{
	sd_bus *bus = NULL;
	int rc = sd_bus_new(&bus);

	if (rc >= 0)
		rc = sd_bus_set_address(bus, address);
	if (rc >= 0 && !direct)
		rc = sd_bus_set_bus_client(bus, 1);
	if (rc >= 0)
		rc = sd_bus_start(bus);
	if (rc < 0)
		sd_bus_unref(bus);
	else
		*ret = bus;
	return rc;
}

static int connect_manager(struct talk *t, struct err *e)
{
	const struct systemd_request *r = t->r;
	int rc = -ENOENT;

	if (*r->bus)
		rc = open_address(&t->bus, r->bus, r->direct);
	else if (geteuid() == 0) /* systemd's own socket is there before, and without, a bus */
		rc = open_address(&t->bus, PRIVATE, true);
	if (rc < 0 && !*r->bus)
		rc = sd_bus_open_system(&t->bus);
	if (rc < 0)
		return err_errno(e, -rc, "systemd: cannot connect to %s", *r->bus ? r->bus : "the system bus");
	return 0;
}

/* One of systemd's or D-Bus' names for what went wrong, as a number of ours. */
static int failure(const struct talk *t, int rc, const sd_bus_error *be, const char *what, struct err *e)
{
	static const struct {
		const char *name;
		int code;
	} names[] = {
		{ SERVICE ".UnitExists", EEXIST },
		{ SERVICE ".NoSuchUnit", ENOENT },
		{ SD_BUS_ERROR_ACCESS_DENIED, EACCES },
		{ SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED, EACCES },
		{ SD_BUS_ERROR_NO_REPLY, ETIMEDOUT },
		{ SD_BUS_ERROR_TIMEOUT, ETIMEDOUT },
		{ SD_BUS_ERROR_SERVICE_UNKNOWN, ENOTCONN },
		{ SD_BUS_ERROR_NAME_HAS_NO_OWNER, ENOTCONN },
	};
	int code = -rc;

	for (size_t i = 0; be && be->name && i < ARRAY_SIZE(names); i++)
		if (!strcmp(be->name, names[i].name))
			code = names[i].code;
	return err_set(e, code, "systemd: %s of %s: %s", what, t->r->unit,
		       be && be->message ? be->message : strerror(code));
}

static int begin_call(const struct talk *t, const char *method, sd_bus_message **m)
{
	return sd_bus_message_new_method_call(t->bus, m, SERVICE, OBJECT, MANAGER, method);
}

/* Sends @m (which is given up), with an error of the building (@rc < 0) or of the call. */
static int finish_call(struct talk *t, const char *what, sd_bus_message *m, int rc,
		       sd_bus_message **ret_reply, struct err *e)
{
	sd_bus_error be = SD_BUS_ERROR_NULL;
	uint64_t left = left_usec(t);

	if (rc >= 0)
		rc = left ? sd_bus_call(t->bus, m, left, &be, ret_reply) : -ETIMEDOUT;
	if (rc < 0)
		rc = failure(t, rc, &be, what, e);
	sd_bus_error_free(&be);
	sd_bus_message_unref(m);
	return rc < 0 ? rc : 0;
}

static int simple_call(struct talk *t, const char *method, const char *signature, const char *second,
		       sd_bus_message **ret_reply, struct err *e)
{
	sd_bus_message *m = NULL;
	int rc = begin_call(t, method, &m);

	if (rc >= 0)
		rc = second ? sd_bus_message_append(m, signature, t->r->unit, second) :
			      sd_bus_message_append(m, signature, t->r->unit);
	return finish_call(t, method, m, rc, ret_reply, e);
}

/* ---- jobs --------------------------------------------------------------------------------------- */

static int on_job_removed(sd_bus_message *m, void *arg, sd_bus_error *be)
{
	struct talk *t = arg;
	const char *path, *unit, *result;
	uint32_t id;

	(void)be;
	if (sd_bus_message_read(m, "uoss", &id, &path, &unit, &result) >= 0 && t->job &&
	    !strcmp(path, t->job))
		snprintf(t->result, sizeof(t->result), "%s", result);
	return 0;
}

/* Before the job is asked for: its end may come right behind the answer. */
static int watch_jobs(struct talk *t, struct err *e)
{
	sd_bus_message *m = NULL;
	int rc = sd_bus_match_signal(t->bus, NULL, SERVICE, OBJECT, MANAGER, "JobRemoved",
				     on_job_removed, t);

	if (rc < 0)
		return err_errno(e, -rc, "systemd: cannot watch its jobs");
	rc = begin_call(t, "Subscribe", &m);
	return finish_call(t, "Subscribe", m, rc, NULL, e);
}

/* Takes the job's path out of @reply and waits for its end. */
static int wait_job(struct talk *t, sd_bus_message *reply, struct err *e)
{
	const char *path;
	int rc = sd_bus_message_read(reply, "o", &path);

	free(t->job);
	t->result[0] = 0;
	t->job = rc < 0 ? NULL : strdup(path);
	if (!t->job)
		return err_set(e, rc < 0 ? EBADMSG : ENOMEM, "systemd: no job for %s", t->r->unit);
	while (!t->result[0]) {
		uint64_t left = left_usec(t);

		rc = sd_bus_process(t->bus, NULL);
		if (rc == 0 && left == 0)
			rc = -ETIMEDOUT;
		if (rc == 0)
			rc = sd_bus_wait(t->bus, left);
		if (rc == -ETIMEDOUT)
			return err_set(e, ETIMEDOUT, "systemd: %s: its job does not end", t->r->unit);
		if (rc < 0)
			return err_errno(e, -rc, "systemd: lost while it worked on %s", t->r->unit);
	}
	return 0;
}

static void reset_failed(struct talk *t)
{
	simple_call(t, "ResetFailedUnit", "s", NULL, NULL, NULL);
}

/* ---- the operations ------------------------------------------------------------------------------ */

static int ask_start(struct talk *t, const char *props, sd_bus_message **ret_reply, struct err *e)
{
	sd_bus_message *m = NULL;
	int rc = begin_call(t, "StartTransientUnit", &m);

	if (rc >= 0)
		rc = sd_bus_message_append(m, "ss", t->r->unit, "replace");
	if (rc >= 0)
		rc = sd_bus_message_open_container(m, 'a', "(sv)");
	if (rc >= 0)
		rc = sd_bus_message_append(m, "(sv)", "Description", "s", t->r->description);
	if (rc >= 0)
		rc = sd_bus_message_append(m, "(sv)", "PIDs", "au", 1, (uint32_t)getpid());
	if (rc >= 0)
		rc = props_append(m, props);
	if (rc >= 0)
		rc = sd_bus_message_close_container(m);
	if (rc >= 0)
		rc = sd_bus_message_append(m, "a(sa(sv))", 0);
	return finish_call(t, "start", m, rc, ret_reply, e);
}

static int start(struct talk *t, const char *props, struct err *e)
{
	sd_bus_message *reply = NULL;
	struct err first = ERR_INIT;
	int rc = watch_jobs(t, e);

	if (rc < 0)
		return rc;
	rc = ask_start(t, props, &reply, &first);
	if (rc == -EEXIST) {
		/* A failed one of that name, perhaps: it goes when it is told so. */
		reset_failed(t);
		rc = ask_start(t, props, &reply, &first);
	}
	if (rc < 0) {
		if (e)
			*e = first;
		return rc;
	}
	rc = wait_job(t, reply, e);
	sd_bus_message_unref(reply);
	if (rc == 0 && strcmp(t->result, "done"))
		rc = err_set(e, ECANCELED, "systemd: start of %s: its job ended with \"%s\"", t->r->unit,
			     t->result);
	if (rc < 0) {
		/* Whatever it comes to now, nothing may be left of it. */
		t->end_ns = io_now_ns() + 2000000000u;
		simple_call(t, "StopUnit", "ss", "replace", NULL, NULL);
		reset_failed(t);
	}
	return rc;
}

/* -ENOENT: no such unit, or one that is not ours. */
static int find_ours(struct talk *t, struct err *e)
{
	sd_bus_error be = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	const char *path;
	char *text = NULL;
	int rc = simple_call(t, "GetUnit", "s", NULL, &reply, e);

	if (rc < 0)
		return rc;
	rc = sd_bus_message_read(reply, "o", &path);
	if (rc >= 0 && *t->r->description)
		rc = sd_bus_get_property_string(t->bus, SERVICE, path, SERVICE ".Unit",
						"Description", &be, &text);
	if (rc < 0)
		rc = failure(t, rc, &be, "description", e);
	else
		rc = text && strcmp(text, t->r->description) ? -ENOENT : 0;
	free(text);
	sd_bus_error_free(&be);
	sd_bus_message_unref(reply);
	return rc;
}

static void kill_all(struct talk *t)
{
	sd_bus_message *m = NULL;
	int rc = begin_call(t, "KillUnit", &m);

	if (rc >= 0)
		rc = sd_bus_message_append(m, "ssi", t->r->unit, "all", 9);
	finish_call(t, "kill", m, rc, NULL, NULL);
}

static int stop(struct talk *t, struct err *e)
{
	sd_bus_message *reply = NULL;
	int rc = watch_jobs(t, e);

	if (rc == 0)
		rc = find_ours(t, e);
	if (rc == 0) {
		kill_all(t);
		rc = simple_call(t, "StopUnit", "ss", "replace", &reply, e);
	}
	if (rc == 0) {
		rc = wait_job(t, reply, e);
		reset_failed(t);
	}
	sd_bus_message_unref(reply);
	return rc == -ENOENT ? 0 : rc;
}

static int attach(struct talk *t, struct err *e)
{
	sd_bus_message *m = NULL;
	int rc = begin_call(t, "AttachProcessesToUnit", &m);

	if (rc >= 0)
		rc = sd_bus_message_append(m, "ssau", t->r->unit, "", 1, t->r->pid);
	return finish_call(t, "attach", m, rc, NULL, e);
}

static int set(struct talk *t, const char *props, struct err *e)
{
	sd_bus_message *m = NULL;
	int rc = begin_call(t, "SetUnitProperties", &m);

	if (rc >= 0)
		rc = sd_bus_message_append(m, "sb", t->r->unit, 1);
	if (rc >= 0)
		rc = sd_bus_message_open_container(m, 'a', "(sv)");
	if (rc >= 0)
		rc = props_append(m, props);
	if (rc >= 0)
		rc = sd_bus_message_close_container(m);
	return finish_call(t, "properties", m, rc, NULL, e);
}

int bus_do(const struct systemd_request *r, const char *props, struct err *e)
{
	struct talk t = { .r = r, .end_ns = io_now_ns() + (uint64_t)r->timeout_ms * 1000000u };
	int rc = connect_manager(&t, e);

	if (rc == 0)
		switch (r->op) {
		case SYSTEMD_START:
			rc = start(&t, props, e);
			break;
		case SYSTEMD_STOP:
			rc = stop(&t, e);
			break;
		case SYSTEMD_ATTACH:
			rc = attach(&t, e);
			break;
		case SYSTEMD_SET:
			rc = set(&t, props, e);
			break;
		}
	free(t.job);
	sd_bus_flush_close_unref(t.bus);
	return rc;
}
