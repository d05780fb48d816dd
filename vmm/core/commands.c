// SPDX-License-Identifier: Apache-2.0
#include "vmm/core/commands_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"

/* --- events ------------------------------------------------------------------------------------------ */

static unsigned send_event(struct commands *c, enum nc_event_kind kind, uint32_t value,
			   uint64_t token, const char *text, uint32_t mask)
{
	c->ev.kind = kind;
	c->ev.value = value;
	c->ev.token = token;
	snprintf(c->ev.text, sizeof(c->ev.text), "%s", text);
	if (kind != NC_EV_END)
		memset(c->ev.console, 0, sizeof(c->ev.console));
	return control_event(c->control, &c->ev, NC_MAY_WATCH | mask);
}

static void on_state(void *arg, enum nc_state s)
{
	send_event(arg, NC_EV_STATE, s, 0, "", 0);
}

static void on_ready(void *arg)
{
	send_event(arg, NC_EV_READY, 0, 0, "", 0);
}

static void on_host_port(void *arg, uint32_t port, uint64_t token)
{
	struct commands *c = arg;

	/* Nobody there to ask: refused. */
	if (send_event(c, NC_EV_HOST_PORT, port, token, "", NC_MAY_RUN) == 0)
		machine_host_port(c->machine, token, -ECONNREFUSED, -1, NULL);
}

static void over(struct commands *c, enum nc_end why)
{
	c->end = why;
	c->over = true;
	evloop_stop(c->setup.loop);
}

/* One line for whoever wonders what a machine did with its time. */
static void log_summary(const struct commands *c, const char *text)
{
	struct nc_info_reply i = { .state = 0 };
	const uint64_t *t = i.start_ns;

	if (!log_enabled(LOG_DEBUG))
		return;
	machine_info(c->machine, &i);
	log_debug("end: %s; %llu exits to user space; us from start: built %llu, jailed %llu, first run "
		  "%llu, ready %llu, end %llu",
		  text, (unsigned long long)i.exits,
		  (unsigned long long)(t[NC_T_CREATED] - c->setup.started_ns) / 1000,
		  (unsigned long long)(t[NC_T_JAILED] ? t[NC_T_JAILED] - c->setup.started_ns : 0) / 1000,
		  (unsigned long long)(t[NC_T_FIRST_RUN] ? t[NC_T_FIRST_RUN] - c->setup.started_ns :
							   0) / 1000,
		  (unsigned long long)(t[NC_T_READY] ? t[NC_T_READY] - c->setup.started_ns : 0) / 1000,
		  (unsigned long long)(t[NC_T_END] - c->setup.started_ns) / 1000);
}

static void on_ended(void *arg, enum nc_end why, const char *text)
{
	struct commands *c = arg;

	log_summary(c, text);
	memset(c->ev.console, 0, sizeof(c->ev.console));
	machine_console_tail(c->machine, c->ev.console, sizeof(c->ev.console));
	send_event(c, NC_EV_END, why, 0, text, 0);
	over(c, why);
}

static const struct machine_ops machine_ops = {
	.state = on_state,
	.ended = on_ended,
	.ready = on_ready,
	.host_port = on_host_port,
};

void commands_quit(struct commands *c)
{
	if (c->machine)
		machine_end(c->machine, NC_END_QUIT, "stopped on request");
	else
		over(c, NC_END_QUIT);
}

static void on_lifeline_lost(void *arg, bool left)
{
	struct commands *c = arg;

	if (!left)
		log_debug("control: nobody holds a lifeline any more");
	commands_quit(c);
}

/* --- commands ---------------------------------------------------------------------------------------- */

int commands_need_machine(const struct commands *c, struct err *e)
{
	return c->machine ? 0 : err_set(e, EINVAL, "there is no machine yet");
}

static void open_log(struct machine_config *cfg)
{
	static char tag[80] = "husk-machine";
	static bool opened;

	/* Once: the sink must live as long as the process. */
	if (opened)
		return;
	opened = true;
	if (cfg->name[0])
		snprintf(tag, sizeof(tag), "husk-machine[%s]", cfg->name);
	log_open(cfg->log >= 0 ? steal_fd(&cfg->log) : STDERR_FILENO,
		 cfg->log_json ? LOG_JSON : LOG_TEXT, cfg->log_level ? cfg->log_level : LOG_WARN,
		 tag);
}

static int do_create(void *arg, struct control_request *r, struct err *e)
{
	struct commands *c = arg;
	struct machine_setup s = { .control = c->setup.loop, .proc_fd = -1,
				   .jail = c->setup.jail, .ops = &machine_ops, .arg = c };
	struct machine_config *cfg;
	int rc;

	if (c->machine)
		return err_set(e, EEXIST, "there is a machine already");
	rc = machine_config_parse(&cfg, r->msg, r->fds, r->nfds, e);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < r->nfds; i++)
		r->fds[i] = -1; /* the config's now */
	open_log(cfg);
	rc = c->setup.open_hv(&s.hv, cfg->kvm, e);
	if (rc == 0) {
		cfg->kvm = -1;
		s.proc_fd = steal_fd(&c->setup.proc_fd);
		rc = machine_new(&c->machine, &s, cfg, e);
	}
	if (rc < 0)
		machine_config_free(cfg);
	return rc;
}

static int do_boot(void *arg, struct control_request *r, struct err *e)
{
	struct commands *c = arg;
	int rc = commands_need_machine(c, e);

	(void)r;
	return rc < 0 ? rc : machine_boot(c->machine, e);
}

/* A reply that comes later. */
struct later {
	struct commands *c;
	struct control_token token;
	uint32_t port;
};

static struct later *later_new(struct commands *c, const struct control_request *r)
{
	struct later *l = malloc(sizeof(*l));

	if (l)
		*l = (struct later){ .c = c, .token = r->token };
	return l;
}

static void on_connected(void *arg, int rc, int fd)
{
	struct later *l = arg;
	struct nc_simple ok;
	struct err e = ERR_INIT;

	if (rc == 0) {
		control_reply(l->c->control, &l->token, &ok, sizeof(ok), fd);
		close(fd);
	} else {
		err_errno(&e, -rc, "guest port %u", l->port);
		control_reply_error(l->c->control, &l->token, rc, &e);
	}
	free(l);
}

static int do_connect(void *arg, struct control_request *r, struct err *e)
{
	const struct nc_connect *m = r->msg;
	struct commands *c = arg;
	int rc = commands_need_machine(c, e);
	struct later *l;

	if (rc < 0)
		return rc;
	l = later_new(c, r);
	if (!l)
		return err_set(e, ENOMEM, "out of memory");
	l->port = m->port;
	rc = machine_connect(c->machine, m->port, (uint64_t)m->timeout_ms * 1000000u, on_connected,
			     l, e);
	if (rc < 0) {
		free(l);
		return rc;
	}
	return CONTROL_REPLIED;
}

static int check_share(const struct nc_share *m, struct err *e)
{
	if (!memchr(m->device, 0, sizeof(m->device)) || !memchr(m->name, 0, sizeof(m->name)))
		return err_set(e, EBADMSG, "a name is not terminated");
	return 0;
}

static int do_share_add(void *arg, struct control_request *r, struct err *e)
{
	const struct nc_share *m = r->msg;
	struct commands *c = arg;
	int rc = commands_need_machine(c, e);

	if (rc == 0)
		rc = check_share(m, e);
	if (rc == 0)
		rc = machine_share_add(c->machine, m->device, m->name, r->fds[0], m->flags, m->common, e);
	if (rc == 0)
		r->fds[0] = -1;
	return rc;
}

static int do_share_remove(void *arg, struct control_request *r, struct err *e)
{
	const struct nc_share *m = r->msg;
	struct commands *c = arg;
	int rc = commands_need_machine(c, e);

	if (rc == 0)
		rc = check_share(m, e);
	return rc < 0 ? rc : machine_share_remove(c->machine, m->device, m->name, e);
}

static void on_paused(void *arg, int rc)
{
	struct later *l = arg;
	struct nc_simple ok;

	if (rc == 0)
		control_reply(l->c->control, &l->token, &ok, sizeof(ok), -1);
	else
		control_reply_error(l->c->control, &l->token, rc, NULL);
	free(l);
}

static int do_pause(void *arg, struct control_request *r, struct err *e)
{
	struct commands *c = arg;
	int rc = commands_need_machine(c, e);
	struct later *l;

	if (rc < 0)
		return rc;
	l = later_new(c, r);
	if (!l)
		return err_set(e, ENOMEM, "out of memory");
	rc = machine_pause(c->machine, on_paused, l, e);
	if (rc < 0) {
		free(l);
		return rc;
	}
	return CONTROL_REPLIED;
}

static int do_resume(void *arg, struct control_request *r, struct err *e)
{
	struct commands *c = arg;
	int rc = commands_need_machine(c, e);

	(void)r;
	return rc < 0 ? rc : machine_resume(c->machine, e);
}

static int do_power_button(void *arg, struct control_request *r, struct err *e)
{
	struct commands *c = arg;
	int rc = commands_need_machine(c, e);

	(void)r;
	return rc < 0 ? rc : machine_power_button(c->machine, e);
}

static int do_quit(void *arg, struct control_request *r, struct err *e)
{
	struct nc_simple ok;

	(void)e;
	control_reply(r->ctl, &r->token, &ok, sizeof(ok), -1);
	commands_quit(arg);
	return CONTROL_REPLIED;
}

static int do_info(void *arg, struct control_request *r, struct err *e)
{
	struct commands *c = arg;
	struct nc_info_reply reply = { .state = NC_STATE_NEW };

	(void)e;
	if (c->machine)
		machine_info(c->machine, &reply);
	reply.start_ns[NC_T_START] = c->setup.started_ns;
	control_reply(r->ctl, &r->token, &reply, sizeof(reply), -1);
	return CONTROL_REPLIED;
}

static int do_host_port(void *arg, struct control_request *r, struct err *e)
{
	const struct nc_host_port *m = r->msg;
	struct commands *c = arg;
	int rc = commands_need_machine(c, e);

	if (rc < 0)
		return rc;
	if (m->error > 0 || m->error < -4095 || (m->error == 0) != (r->nfds == 1))
		return err_set(e, EBADMSG, "error %d with %zu descriptors", m->error, r->nfds);
	rc = machine_host_port(c->machine, m->token, m->error, r->nfds ? r->fds[0] : -1, e);
	if (rc == 0 && r->nfds)
		r->fds[0] = -1;
	return rc;
}

static int do_console(void *arg, struct control_request *r, struct err *e)
{
	const struct nc_console *m = r->msg;
	struct commands *c = arg;
	int in = r->nfds > 1 ? r->fds[1] : -1;
	int rc = commands_need_machine(c, e);

	if (rc == 0)
		rc = machine_console_attach(c->machine, r->fds[0], in, m->once == 1, e);
	if (rc == 0)
		r->fds[0] = r->fds[r->nfds - 1] = -1;
	return rc;
}

#define SIMPLE sizeof(struct nc_simple)

static const struct control_cmd cmds[] = {
	{ NC_CREATE, sizeof(struct nc_create), 0, NC_MAX_FDS, NC_MAY_RUN, do_create },
	{ NC_BOOT, SIMPLE, 0, 0, NC_MAY_RUN, do_boot },
	{ NC_CONNECT, sizeof(struct nc_connect), 0, 0, NC_MAY_CONNECT, do_connect },
	{ NC_SHARE_ADD, sizeof(struct nc_share), 1, 1, NC_MAY_SHARE, do_share_add },
	{ NC_SHARE_REMOVE, sizeof(struct nc_share), 0, 0, NC_MAY_SHARE, do_share_remove },
	{ NC_PAUSE, SIMPLE, 0, 0, NC_MAY_RUN, do_pause },
	{ NC_RESUME, SIMPLE, 0, 0, NC_MAY_RUN, do_resume },
	{ NC_QUIT, SIMPLE, 0, 0, NC_MAY_RUN | NC_MAY_QUIT, do_quit },
	{ NC_INFO, SIMPLE, 0, 0, NC_MAY_WATCH, do_info },
	{ NC_POWER_BUTTON, SIMPLE, 0, 0, NC_MAY_RUN, do_power_button },
	{ NC_HOST_PORT, sizeof(struct nc_host_port), 0, 1, NC_MAY_RUN, do_host_port },
	{ NC_NET_ATTACH, sizeof(struct nc_net_attach), 1, NC_MAX_FDS, NC_MAY_DEVICES, do_net_attach },
	{ NC_NET_DETACH, sizeof(struct nc_named), 0, 0, NC_MAY_DEVICES, do_net_detach },
	{ NC_NET_LINK, sizeof(struct nc_net_link), 0, 0, NC_MAY_DEVICES, do_net_link },
	{ NC_NET_INFO, sizeof(struct nc_named), 0, 0, NC_MAY_WATCH, do_net_info },
	{ NC_DEVICE_ADD, sizeof(struct nc_device_add), 0, NC_MAX_FDS, NC_MAY_DEVICES, do_device_add },
	{ NC_DEVICE_REMOVE, sizeof(struct nc_named), 0, 0, NC_MAY_DEVICES, do_device_remove },
	{ NC_CONSOLE, sizeof(struct nc_console), 1, 2, NC_MAY_WATCH, do_console },
	{ NC_BALLOON, sizeof(struct nc_balloon), 0, 0, NC_MAY_DEVICES, do_balloon },
	{ NC_MEMORY, SIMPLE, 0, 0, NC_MAY_WATCH, do_memory },
};

static const struct control_ops control_ops = {
	.cmds = cmds,
	.ncmds = ARRAY_SIZE(cmds),
	.lifeline_lost = on_lifeline_lost,
};

int commands_new(struct commands **ret, const struct commands_setup *s, struct err *e)
{
	struct commands *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return err_set(e, ENOMEM, "control: out of memory");
	c->setup = *s;
	rc = control_new(&c->control, s->loop, &control_ops, c, e);
	if (rc < 0) {
		free(c);
		return rc;
	}
	*ret = c;
	return 0;
}

void commands_free(struct commands *c)
{
	if (!c)
		return;
	machine_free(c->machine);
	control_free(c->control);
	close_and_reset(&c->setup.proc_fd);
	free(c);
}

int commands_add_first(struct commands *c, int sock, struct err *e)
{
	return control_add_client(c->control, sock, NC_MAY_ALL | NC_LIFELINE, e);
}

int commands_status(const struct commands *c)
{
	switch (c->end) {
	case NC_END_POWEROFF:
	case NC_END_RESET:
	case NC_END_QUIT:
		return 0;
	default:
		return 1;
	}
}
