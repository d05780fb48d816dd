// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "runtime/cli/cli.h"

struct values {
	const char *console_socket, *cwd, *user, *process, *pid_file;
	const char *process_label, *apparmor;
	struct cli_list env, gids, caps, cgroups;
	bool tty, detach, no_new_privs, ignore_paused;
	int preserve_fds;
};

#define AT(member) offsetof(struct values, member)
static const struct cli_option options[] = {
	{ "console-socket", NULL, CLI_STRING, AT(console_socket),
	  "path to an AF_UNIX socket which will receive a file descriptor "
	  "referencing the master end of the console's pseudoterminal" },
	{ "cwd", NULL, CLI_STRING, AT(cwd), "current working directory in the container" },
	{ "env", "e", CLI_LIST, AT(env), "set environment variables" },
	{ "tty", "t", CLI_BOOL, AT(tty), "allocate a pseudo-TTY" },
	{ "user", "u", CLI_STRING, AT(user), "UID (format: <uid>[:<gid>])" },
	{ "additional-gids", "g", CLI_LIST, AT(gids), "additional gids" },
	{ "process", "p", CLI_STRING, AT(process), "path to the process.json" },
	{ "detach", "d", CLI_BOOL, AT(detach), "detach from the container's process" },
	{ "pid-file", NULL, CLI_STRING, AT(pid_file),
	  "specify the file to write the process id to" },
	{ "process-label", NULL, CLI_STRING, AT(process_label),
	  "accepted without effect, as in config.json: SELinux labels do not reach the guest" },
	{ "apparmor", NULL, CLI_STRING, AT(apparmor),
	  "accepted without effect, as in config.json: AppArmor profiles do not reach the guest" },
	{ "no-new-privs", NULL, CLI_BOOL, AT(no_new_privs),
	  "set the no new privileges value for the process" },
	{ "cap", "c", CLI_LIST, AT(caps), "add a capability to the bounding set for the process" },
	{ "preserve-fds", NULL, CLI_INT, AT(preserve_fds),
	  "Pass N additional file descriptors to the process: pipes and connected stream sockets "
	  "(default: 0)" },
	{ "cgroup", NULL, CLI_LIST, AT(cgroups),
	  "run the process in an (existing) sub-cgroup of the container's, inside its machine" },
	{ "ignore-paused", NULL, CLI_BOOL, AT(ignore_paused),
	  "allow exec in a paused container: the process runs when that is resumed" },
	{ .name = NULL },
};

/* The process to run, and what was allocated for it. */
struct plan {
	struct oci_spec *spec;
	struct oci_process *loaded;
	struct oci_process process;
	const char **env;
	uint32_t *gids;
};

static int parse_id(const char *text, size_t len, const char *what, uint32_t *ret, struct err *e)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < len && text[i] >= '0' && text[i] <= '9' && n <= UINT32_MAX; i++)
		n = n * 10 + (uint64_t)(text[i] - '0');
	if (i < len || !len || n >= UINT32_MAX)
		return err_set(e, EINVAL, "parsing %.*s as int for %s failed: invalid syntax",
			       (int)min_t(size_t, len, 40), text, what);
	*ret = (uint32_t)n;
	return 0;
}

static int set_user(struct plan *p, const struct values *v, struct err *e)
{
	struct oci_user *u = &p->process.user;
	const char *colon = v->user ? strchr(v->user, ':') : NULL;
	int rc = 0;

	if (v->user && *v->user) {
		if (colon)
			rc = parse_id(colon + 1, strlen(colon + 1), "gid", &u->gid, e);
		if (rc == 0)
			rc = parse_id(v->user, colon ? (size_t)(colon - v->user) : strlen(v->user),
				      "uid", &u->uid, e);
	}
	if (rc < 0 || !v->gids.n)
		return rc;
	p->gids = calloc(u->n_additional_gids + v->gids.n, sizeof(*p->gids));
	if (!p->gids)
		return err_set(e, ENOMEM, "out of memory");
	if (u->n_additional_gids)
		memcpy(p->gids, u->additional_gids, u->n_additional_gids * sizeof(*p->gids));
	for (size_t i = 0; rc == 0 && i < v->gids.n; i++)
		rc = parse_id(v->gids.v[i], strlen(v->gids.v[i]), "additional-gids",
			      &p->gids[u->n_additional_gids++], e);
	u->additional_gids = p->gids;
	return rc;
}

static int set_env(struct plan *p, const struct values *v, struct err *e)
{
	struct oci_strv *env = &p->process.env;

	if (!v->env.n)
		return 0;
	p->env = calloc(env->n + v->env.n, sizeof(*p->env));
	if (!p->env)
		return err_set(e, ENOMEM, "out of memory");
	if (env->n)
		memcpy(p->env, env->v, env->n * sizeof(*p->env));
	for (size_t i = 0; i < v->env.n; i++) {
		if (!strchr(v->env.v[i], '=') || *v->env.v[i] == '=')
			return err_set(e, EINVAL, "invalid environment variable: \"%s\"",
				       v->env.v[i]);
		p->env[env->n++] = v->env.v[i];
	}
	env->v = p->env;
	return 0;
}

static void set_caps(struct plan *p, const struct values *v)
{
	struct oci_caps *c = &p->process.caps;

	for (size_t i = 0; i < v->caps.n; i++) {
		int n = oci_cap_by_name(v->caps.v[i]);

		if (n < 0) {
			log_warn("ignoring unknown or unavailable capabilities: [%s]",
				 v->caps.v[i]);
			continue;
		}
		c->present = true;
		c->bounding |= 1ull << n;
		c->effective |= 1ull << n;
		c->permitted |= 1ull << n;
		/* What keeps it for who is not root, if the configuration makes it inheritable: else the agent passes it over. */
		c->ambient |= 1ull << n;
	}
}

/* The container's own process with the options on top, as runc does. */
static int from_options(struct plan *p, const struct values *v, const char *bundle, char **args,
			int nargs, struct err *e)
{
	_cleanup_close_ int dir = open(bundle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc;

	if (dir < 0)
		return err_errno(e, errno, "%s", bundle);
	rc = oci_spec_load(&p->spec, dir, "config.json", e);
	if (rc < 0)
		return rc;
	p->process = p->spec->process;
	p->process.args =
		(struct oci_strv){ .v = (const char **)(uintptr_t)args, .n = (size_t)nargs };
	p->process.terminal = v->tty;
	p->process.rows = p->process.columns = 0;
	if (v->cwd && *v->cwd)
		p->process.cwd = v->cwd;
	if (*p->process.cwd != '/')
		return err_set(e, EINVAL, "Cwd must be an absolute path");
	if (!nargs || !*args[0])
		return err_set(e, EINVAL, "process args cannot be empty");
	p->process.no_new_privileges |= v->no_new_privs;
	set_caps(p, v);
	rc = set_user(p, v, e);
	return rc < 0 ? rc : set_env(p, v, e);
}

static int plan(struct cli_global *g, struct plan *p, const struct values *v, char **args,
		int nargs, struct err *e)
{
	struct container_state s = { .doc = NULL };
	_cleanup_close_ int dir = -1;
	int rc = container_find(g->host.root, args[0], &dir, &s, e);

	if (rc < 0)
		return rc;
	if (s.status == CONTAINER_STOPPED) {
		rc = err_set(e, ESRCH, "cannot exec in a stopped container");
	} else if (s.status == CONTAINER_PAUSED && !v->ignore_paused) {
		rc = err_set(e, EBUSY,
			     "cannot exec in a paused container (use --ignore-paused to override)");
	} else if (v->process) {
		rc = oci_process_load(&p->loaded, v->process, e);
		if (rc == 0)
			p->process = *p->loaded;
	} else {
		rc = from_options(p, v, s.bundle, args + 1, nargs - 1, e);
	}
	container_state_done(&s);
	return rc;
}

static void plan_done(struct plan *p)
{
	free(p->env);
	free(p->gids);
	oci_spec_free(p->spec);
	oci_process_free(p->loaded);
}

/* runc's forms, on a host of version 2: one path, of the one hierarchy that there is. */
static int sub_cgroup(const struct values *v, const char **ret, struct err *e)
{
	*ret = "";
	for (size_t i = 0; i < v->cgroups.n; i++) {
		const char *arg = v->cgroups.v[i], *colon = strchr(arg, ':');

		if (colon && strchr(colon + 1, ':'))
			return err_set(e, EINVAL, "invalid --cgroup argument: %s", arg);
		if (colon)
			return err_set(e, EINVAL, "unknown controller %.*s in SubCgroupPaths",
				       (int)min_t(size_t, (size_t)(colon - arg), 40), arg);
		if (v->cgroups.n != 1)
			return err_set(e, EINVAL,
				       "invalid --cgroup argument: %s (missing <controller>: prefix)", arg);
		if (strlen(arg) >= 2048)
			return err_set(e, ENAMETOOLONG, "invalid --cgroup argument: too long");
		*ret = arg;
	}
	return 0;
}

static int attend(struct container_made *made, int *ret_status)
{
	struct err why = ERR_INIT;
	int rc = container_attend(made, ret_status, &why);

	if (why.code)
		log_err("%s", why.msg);
	return rc;
}

static void say_ignored(const struct values *v)
{
	if (v->process_label)
		log_debug("--process-label \"%s\" is without effect", v->process_label);
	if (v->apparmor)
		log_debug("--apparmor \"%s\" is without effect", v->apparmor);
}

static int run(struct cli_global *g, const void *values, char **args, int nargs, struct err *e)
{
	const struct values *v = values;
	struct container_made made = CONTAINER_MADE_INIT;
	struct plan p = { .spec = NULL };
	struct preserved fds;
	struct exec_request r = { .host = &g->host,
				  .preserved = &fds,
				  .id = args[0],
				  .process = &p.process,
				  .pid_file = v->pid_file,
				  .console_socket = v->console_socket,
				  .detach = v->detach,
				  .ignore_paused = v->ignore_paused };
	int status = 0, rc = preserve_descriptors(&fds, v->preserve_fds, false, e);

	say_ignored(v);
	if (rc == 0)
		rc = sub_cgroup(v, &r.cgroup, e);
	if (rc == 0)
		rc = cli_open_root(g, false, e);
	if (rc == 0)
		rc = plan(g, &p, v, args, nargs, e);
	if (rc == 0) {
		container_block_signals();
		rc = container_exec(&r, &made, e);
	}
	plan_done(&p);
	if (rc < 0 && made.program) {
		log_err("exec failed: %s", e->msg);
		return made.program;
	}
	if (rc < 0)
		return rc;
	if (!v->detach)
		rc = attend(&made, &status);
	else
		container_leave(&made);
	return rc < 0 ? rc : status;
}

const struct cli_command cli_exec = {
	.name = "exec",
	.usage = "<container-id> <command> [arguments]  || -p process.json <container-id>",
	.summary = "execute new process inside the container",
	.description = "   The process is that of config.json with these options on top, or all of "
		       "it is taken from\n"
		       "the file given by --process. husk ends with its exit status (128 and its "
		       "number for a signal; 127\n"
		       "when there is no such program, 126 when it cannot be run, 255 when husk "
		       "itself failed).\n",
	.options = options,
	.values_size = sizeof(struct values),
	.min_args = 1,
	.max_args = -1,
	.failure = 255,
	.prefix = "exec failed",
	.run = run,
};
