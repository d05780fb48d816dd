// SPDX-License-Identifier: Apache-2.0
/* husk: see cli.h. Errors are printed here and nowhere else: one line to the log, and to standard
 * error when the log is a file. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/log.h"
#include "runtime/cli/cli.h"
#include "runtime/container/timeline.h"
#include "runtime/host/config.h"
#include "runtime/host/proc.h"

#define EXIT_USAGE   1
#define EXIT_UNKNOWN 3 /* runc's, for a command that is none */

const struct cli_command *const cli_commands[] = {
	&cli_checkpoint, &cli_console, &cli_create, &cli_delete, &cli_doctor, &cli_events,  &cli_exec,
	&cli_features,	 &cli_kill,   &cli_list,   &cli_pause,	&cli_ps,      &cli_restore,
	&cli_resume,	 &cli_run,    &cli_spec,   &cli_start,	&cli_state,   &cli_update,
	NULL,
};

const struct cli_option cli_global_options[] = {
	{ "debug", NULL, CLI_BOOL, offsetof(struct cli_global, debug),
	  "enable debug logging, the time line of a start among it" },
	{ "log", NULL, CLI_STRING, offsetof(struct cli_global, log),
	  "set the log file to write husk logs to (default is '/dev/stderr')" },
	{ "log-format", NULL, CLI_STRING, offsetof(struct cli_global, log_format),
	  "set the log format ('text' (default), or 'json') (default: \"text\")" },
	{ "root", NULL, CLI_STRING, offsetof(struct cli_global, root),
	  "root directory for storage of container state "
	  "(this should be located in tmpfs) (default: \"" CLI_DEFAULT_ROOT "\")" },
	{ "config", NULL, CLI_STRING, offsetof(struct cli_global, config),
	  "the operator's configuration, see husk-config.json(5) (default: \"" HOST_CONFIG_PATH "\")" },
	{ "criu", NULL, CLI_STRING, offsetof(struct cli_global, criu),
	  "accepted for runc's callers, without effect" },
	{ "systemd-cgroup", NULL, CLI_BOOL, offsetof(struct cli_global, systemd_cgroup),
	  "enable systemd cgroup support, expects cgroupsPath to be of form \"slice:prefix:name\" "
	  "for e.g. \"system.slice:husk:434234\"" },
	{ "rootless", NULL, CLI_STRING, offsetof(struct cli_global, rootless),
	  "ignore cgroup permission errors ('true', 'false', or 'auto') (default: \"auto\")" },
	{ .name = NULL },
};

/* Standard streams that the caller closed must not become sockets or images of ours. */
static void fill_standard_streams(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= 2);
	if (fd > 2)
		close(fd);
}

static int open_log(struct cli_global *g, struct err *e)
{
	enum log_level level = g->debug ? LOG_DEBUG : LOG_WARN;
	int fd = -1;

	g->host.log = -1;
	g->host.debug = g->debug;
	if (g->log_format && *g->log_format && strcmp(g->log_format, "text") &&
	    strcmp(g->log_format, "json"))
		return err_set(e, EINVAL, "invalid log-format: %s", g->log_format);
	g->host.log_json = g->log_format && !strcmp(g->log_format, "json");
	if (g->log && *g->log) {
		fd = open(g->log, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0644);
		if (fd < 0)
			return err_errno(e, errno, "open %s", g->log);
		g->host.log = fd;
		log_also_stderr(true);
	} else if (g->debug) {
		g->host.log = STDERR_FILENO;
	}
	log_open(fd < 0 ? STDERR_FILENO : fd, g->host.log_json ? LOG_JSON : LOG_TEXT, level,
		 "husk");
	return 0;
}

/* As runc reads it, with Go's words for a truth value. */
static int read_rootless(struct cli_global *g, struct err *e)
{
	static const struct {
		const char *word;
		enum group_rootless means;
	} words[] = {
		{ "auto", GROUP_ROOTLESS_AUTO }, { "", GROUP_ROOTLESS_AUTO },
		{ "true", GROUP_ROOTLESS_TRUE }, { "True", GROUP_ROOTLESS_TRUE }, { "TRUE", GROUP_ROOTLESS_TRUE },
		{ "t", GROUP_ROOTLESS_TRUE }, { "T", GROUP_ROOTLESS_TRUE }, { "1", GROUP_ROOTLESS_TRUE },
		{ "false", GROUP_ROOTLESS_FALSE }, { "False", GROUP_ROOTLESS_FALSE }, { "FALSE", GROUP_ROOTLESS_FALSE },
		{ "f", GROUP_ROOTLESS_FALSE }, { "F", GROUP_ROOTLESS_FALSE }, { "0", GROUP_ROOTLESS_FALSE },
	};

	for (size_t i = 0; g->rootless && i < ARRAY_SIZE(words); i++) {
		if (strcmp(g->rootless, words[i].word) != 0)
			continue;
		g->host.rootless = words[i].means;
		return 0;
	}
	return g->rootless ? err_set(e, EINVAL, "--rootless: %s is not true, false or auto", g->rootless) : 0;
}

/* As runc: who is root by a user namespace alone has no place in /run, unless he says that he is root there. */
static bool has_own_runtime_dir(const char *xdg)
{
	const char *user = getenv("USER");

	if (!xdg || !*xdg)
		return false;
	return geteuid() != 0 || (proc_in_userns() && (!user || strcmp(user, "root") != 0));
}

int cli_open_root(struct cli_global *g, bool make, struct err *e)
{
	const char *path = g->root && *g->root ? g->root : CLI_DEFAULT_ROOT;
	const char *xdg = getenv("XDG_RUNTIME_DIR");
	char own[4096];
	int rc;

	if (path != g->root && has_own_runtime_dir(xdg) &&
	    (size_t)snprintf(own, sizeof(own), "%s/husk", xdg) < sizeof(own))
		path = own;
	g->host.systemd_cgroup = g->systemd_cgroup;
	g->host.config = g->config;
	rc = container_root_open(path, make, &g->host.root, e);
	if (rc == -ENOENT && !make)
		return err_set(e, ENOENT, "container does not exist");
	return rc;
}

static int check_args(const struct cli_command *c, int n, struct err *e)
{
	if (c->min_args == c->max_args && n != c->min_args)
		return err_set(e, EINVAL, "\"%s\" requires exactly %d argument(s)", c->name,
			       c->min_args);
	if (n < c->min_args)
		return err_set(e, EINVAL, "\"%s\" requires a minimum of %d argument(s)", c->name,
			       c->min_args);
	if (c->max_args >= 0 && n > c->max_args)
		return err_set(e, EINVAL, "\"%s\" requires a maximum of %d argument(s)", c->name,
			       c->max_args);
	return 0;
}

/* After help and the like: the exit status. */
static int told(void)
{
	struct err e = ERR_INIT;

	if (io_flush_stdout(&e) == 0)
		return 0;
	log_err("%s", e.msg);
	return EXIT_USAGE;
}

/* As runc: where a command's own words are few, options may stand behind them, too; "--" ends that. The words from @i on are
 * left without them, *argc is how far they go then. 1: help is asked for. */
static int take_later_options(const struct cli_command *c, void *values, char **argv, int *argc, int i, struct err *e)
{
	bool over = c->max_args < 0 || (i > 0 && !strcmp(argv[i - 1], "--"));
	int n = i, rc = 0;

	for (int at = i; at < *argc && rc >= 0;) {
		if (!over && cli_is_help(argv[at]))
			return 1;
		if (!over && !strcmp(argv[at], "--")) {
			over = true;
			at++;
			continue;
		}
		rc = over ? 0 : cli_parse_one(c->options, values, argv, *argc, &at, e);
		if (rc == 0)
			argv[n++] = argv[at++];
	}
	*argc = n;
	return min_t(int, rc, 0);
}

static int run_command(struct cli_global *g, const struct cli_command *c, char **argv, int argc)
{
	_cleanup_free_ void *values = calloc(1, c->values_size ? c->values_size : 1);
	struct err e = ERR_INIT;
	int i = 0, rc;

	if (!values)
		return EXIT_USAGE;
	rc = cli_parse(c->options, values, argv, argc, &i, &e);
	if (rc == 0)
		rc = take_later_options(c, values, argv, &argc, i, &e);
	if (rc > 0) {
		cli_help_command(c);
		cli_free(c->options, values);
		return told();
	}
	if (rc == 0)
		rc = check_args(c, argc - i, &e);
	if (rc < 0) {
		log_err("%s (see \"husk %s --help\")", e.msg, c->name);
		cli_free(c->options, values);
		return EXIT_USAGE;
	}
	rc = c->run(g, values, argv + i, argc - i, &e);
	if (rc == 0)
		rc = io_flush_stdout(&e);
	timeline_log();
	if (rc < 0)
		log_err("%s%s%s", c->prefix ? c->prefix : "", c->prefix ? ": " : "", e.msg);
	cli_free(c->options, values);
	return rc < 0 ? c->failure : rc;
}

static const struct cli_command *find(const char *name)
{
	for (const struct cli_command *const *c = cli_commands; *c; c++)
		if (!strcmp((*c)->name, name))
			return *c;
	return NULL;
}

static int unknown(const char *name)
{
	log_err("no such command: '%s' (see \"husk --help\")", name);
	return EXIT_UNKNOWN;
}

static int help_about(const char *name)
{
	const struct cli_command *c = find(name);

	if (!c)
		return unknown(name);
	cli_help_command(c);
	return told();
}

int main(int argc, char **argv)
{
	struct cli_global g = { .host = { .root = -1, .log = -1 } };
	const struct cli_command *c;
	struct err e = ERR_INIT;
	int i = 1, rc;

	fill_standard_streams();
	/* A caller may ignore it, which is inherited: no child's end would be told. */
	signal(SIGCHLD, SIG_DFL);
	umask(022);
	log_open(STDERR_FILENO, LOG_TEXT, LOG_WARN, "husk");
	while (i < argc && argv[i][0] == '-') {
		if (cli_is_help(argv[i])) {
			cli_help();
			return told();
		}
		if (!strcmp(argv[i], "-v") || !strcmp(argv[i], "--version") ||
		    !strcmp(argv[i], "-version")) {
			cli_version();
			return told();
		}
		rc = cli_parse_one(cli_global_options, &g, argv, argc, &i, &e);
		if (rc < 0) {
			log_err("%s (see \"husk --help\")", e.msg);
			return EXIT_USAGE;
		}
		if (rc == 0)
			break;
	}
	if (open_log(&g, &e) < 0 || read_rootless(&g, &e) < 0) {
		log_err("%s", e.msg);
		return EXIT_USAGE;
	}
	timeline_mark("husk runs");
	if (i == argc || !strcmp(argv[i], "help") || !strcmp(argv[i], "h")) {
		if (i + 1 < argc)
			return help_about(argv[i + 1]);
		cli_help();
		return told();
	}
	c = find(argv[i]);
	return c ? run_command(&g, c, argv + i + 1, argc - i - 1) : unknown(argv[i]);
}
