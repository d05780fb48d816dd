/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line: one const struct per command, its options in a table. Names, spellings, exit
 * statuses and messages are runc 1.1's, whose callers parse them.
 *
 * An option may be written -x, --x, --x=value or --x value, whatever the length of its name, as runc takes
 * them. "--" ends them; of exec and ps, whose words are somebody else's command line, so does the first word that is none.
 */
#ifndef RUNTIME_CLI_CLI_H
#define RUNTIME_CLI_CLI_H

#include "lib/err.h"
#include "runtime/container/create.h"
#include "runtime/oci/spec.h"

#define CLI_DEFAULT_ROOT "/run/husk"
#define CLI_MAX_LIST     4096

enum cli_type {
	CLI_BOOL, /* bool */
	CLI_STRING, /* const char *; as with runc, "" is none: NULL */
	CLI_WORD, /* the same of which "" is one, and the wrong one */
	CLI_INT, /* int */
	CLI_DURATION, /* struct cli_duration: "1m30.5s" */
	CLI_LIST, /* struct cli_list, once per occurrence */
};

struct cli_list {
	const char **v;
	size_t n;
};

struct cli_duration {
	int64_t ns;
	bool given;
};

struct cli_option {
	const char *name, *letter; /* letter NULL: none */
	enum cli_type type;
	size_t offset; /* in the command's values */
	const char *help;
};

/* What every command gets from the global options. */
struct cli_global {
	const char *root, *log, *log_format, *criu, *rootless, *config;
	bool debug, systemd_cgroup, help, version;
	struct container_host host; /* root is opened by cli_open_root() */
};

struct cli_command {
	const char *name;
	const char *usage; /* behind "husk NAME ", "" for none */
	const char *summary;
	const char *description; /* a paragraph or more, NULL for none */
	const struct cli_option *options; /* ended by a NULL name; NULL for none */
	size_t values_size;
	int min_args, max_args; /* max -1: any number */
	int failure; /* exit status when run() fails, runc's */
	const char *prefix; /* of its messages, as runc has them; NULL for none */
	/* The exit status, or a negative errno and @e. @v: the options' values. */
	int (*run)(struct cli_global *g, const void *v, char **args, int nargs, struct err *e);
};

extern const struct cli_command cli_create, cli_start, cli_state, cli_kill, cli_delete, cli_run,
	cli_exec, cli_list, cli_ps, cli_spec, cli_pause, cli_resume, cli_features, cli_events,
	cli_checkpoint, cli_restore, cli_update, cli_doctor, cli_console;
extern const struct cli_command *const cli_commands[]; /* ends with NULL */
extern const struct cli_option cli_global_options[];

/* Reads an option at @argv[*i] into @values; *i is the word behind it. 1: it was one; 0: @argv[*i] is none, or was "--" and is
 * skipped. */
int cli_parse_one(const struct cli_option *table, void *values, char **argv, int argc, int *i,
		  struct err *e);
/* All of them. 0: *i is the first word that is none; 1: at *i help is asked for. */
int cli_parse(const struct cli_option *table, void *values, char **argv, int argc, int *i,
	      struct err *e);
/* "--help" and "-h", which every command has. */
bool cli_is_help(const char *arg);
/* Free what CLI_LIST options hold. */
void cli_free(const struct cli_option *table, void *values);

void cli_help(void);
void cli_help_command(const struct cli_command *c);
void cli_version(void);

/* Opens the folder of containers; @make: making it. Without it and without the folder: as if there
 * were no container. */
int cli_open_root(struct cli_global *g, bool make, struct err *e);

/* What most commands begin with: the root folder, the container's folder (no lock) and state. @dir and @s are the
 * caller's to close and container_state_done() on success. runc's words when there is none. */
int cli_find(struct cli_global *g, const char *id, int *ret_dir, struct container_state *ret,
	     struct err *e);

/* create.c and run.c have the same options. */
struct cli_create_values {
	const char *bundle, *console_socket, *pid_file;
	bool no_pivot, no_new_keyring;
	int preserve_fds;
	/* run only */
	bool detach, keep, no_subreaper;
};

/* clang-format off */
/* A row each; ends without a comma. */
#define CLI_CREATE_OPTIONS \
	{ "bundle", "b", CLI_STRING, offsetof(struct cli_create_values, bundle), \
	  "path to the root of the bundle directory, defaults to the current directory" }, \
	{ "console-socket", NULL, CLI_STRING, offsetof(struct cli_create_values, console_socket), \
	  "path to an AF_UNIX socket which will receive a file descriptor " \
	  "referencing the master end of the console's pseudoterminal" }, \
	{ "pid-file", NULL, CLI_STRING, offsetof(struct cli_create_values, pid_file), \
	  "specify the file to write the process id to" }, \
	{ "no-pivot", NULL, CLI_BOOL, offsetof(struct cli_create_values, no_pivot), \
	  "accepted without effect: the container's root is pivoted into inside its machine" }, \
	{ "no-new-keyring", NULL, CLI_BOOL, offsetof(struct cli_create_values, no_new_keyring), \
	  "accepted without effect: the host's keyrings do not reach into the machine" }, \
	{ "preserve-fds", NULL, CLI_INT, offsetof(struct cli_create_values, preserve_fds), \
	  "Pass N additional file descriptors to the container (stdio + $LISTEN_FDS + N in total): " \
	  "pipes and connected stream sockets (default: 0)" }
/* clang-format on */

#endif
