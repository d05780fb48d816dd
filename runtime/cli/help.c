// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>

#include "runtime/cli/cli.h"

static int label(const struct cli_option *o, char *out, size_t size)
{
	const char *value = o->type == CLI_BOOL ? "" : " value";

	if (o->letter)
		return snprintf(out, size, "--%s%s, -%s%s", o->name, value, o->letter, value);
	return snprintf(out, size, "--%s%s", o->name, value);
}

static void print_options(const struct cli_option *table)
{
	char text[96];
	int width = 0;

	for (const struct cli_option *o = table; o->name; o++)
		width = max_t(int, width, label(o, text, sizeof(text)));
	for (const struct cli_option *o = table; o->name; o++) {
		label(o, text, sizeof(text));
		printf("   %-*s  %s\n", width, text, o->help);
	}
}

void cli_version(void)
{
	printf("husk version %s\nspec: %s\n", HUSK_VERSION, OCI_VERSION);
}

void cli_help(void)
{
	int width = 0;

	printf("NAME:\n   husk - Open Container Initiative runtime, each container in a virtual "
	       "machine of its own\n\n"
	       "husk takes runc's commands and options, files and exit statuses. A container's "
	       "bundle is a\n"
	       "folder with a config.json and a root file system. To start a new one:\n\n"
	       "    # husk run [ -b bundle ] <container-id>\n\n"
	       "USAGE:\n   husk [global options] command [command options] [arguments...]\n\n"
	       "VERSION:\n   %s\nspec: %s\n\nCOMMANDS:\n",
	       HUSK_VERSION, OCI_VERSION);
	for (const struct cli_command *const *c = cli_commands; *c; c++)
		width = max_t(int, width, (int)strlen((*c)->name));
	for (const struct cli_command *const *c = cli_commands; *c; c++)
		printf("   %-*s  %s\n", width, (*c)->name, (*c)->summary);
	printf("   %-*s  %s\n\nGLOBAL OPTIONS:\n", width, "help",
	       "shows this, or help for one command");
	print_options(cli_global_options);
	printf("   --help, -h     show help\n   --version, -v  print the version\n");
}

void cli_help_command(const struct cli_command *c)
{
	printf("NAME:\n   husk %s - %s\n\nUSAGE:\n   husk %s%s %s\n", c->name, c->summary, c->name,
	       c->options ? " [command options]" : "", c->usage);
	if (c->description)
		printf("\nDESCRIPTION:\n%s", c->description);
	if (c->options) {
		printf("\nOPTIONS:\n");
		print_options(c->options);
	}
}
