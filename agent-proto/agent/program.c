// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/program.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"

#define MAX_PASSWD (1u << 20)

static char **strings(const ProtobufCBinaryData *v, size_t n, size_t spare)
{
	char **out = calloc(n + spare + 1, sizeof(*out));

	for (size_t i = 0; out && i < n; i++) {
		out[i] = strndup((const char *)v[i].data, v[i].len);
		if (!out[i]) /* the process is about to end: nothing is given back */
			return NULL;
	}
	return out;
}

static const char *env_get(char *const *envp, const char *name)
{
	size_t len = strlen(name);
	const char *found = NULL;

	/* The last one counts, as for runc. */
	for (; *envp; envp++)
		if (strncmp(*envp, name, len) == 0 && (*envp)[len] == '=')
			found = *envp + len + 1;
	return found;
}

static char *home_in(FILE *f, uint32_t uid)
{
	_cleanup_free_ char *line = NULL;
	size_t size = 0, total = 0;
	ssize_t n;

	while ((n = getline(&line, &size, f)) > 0 && (total += (size_t)n) < MAX_PASSWD) {
		char *rest = line, *end, *home;
		unsigned long id;

		line[strcspn(line, "\n")] = 0;
		strsep(&rest, ":");
		strsep(&rest, ":");
		id = rest ? strtoul(rest, &end, 10) : 0;
		if (!rest || end == rest || *end != ':' || id != uid)
			continue;
		for (int i = 0; i < 3; i++)
			strsep(&rest, ":");
		home = rest ? strsep(&rest, ":") : NULL;
		if (home && *home)
			return strdup(home);
	}
	return NULL;
}

/* The image's file may be anything: only a regular one is read, and not for ever. */
static char *home_of(uint32_t uid)
{
	_cleanup_close_ int fd = open("/etc/passwd", O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	_cleanup_fclose_ FILE *f = NULL;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return NULL;
	f = fdopen(fd, "re");
	if (!f)
		return NULL;
	steal_fd(&fd);
	return home_in(f, uid);
}

/* Of variables given twice the last one stays, which is what the process would have got of a runtime that sets them one after
 * the other; getenv(3) finds the first. */
static void drop_earlier(char **envp)
{
	size_t out = 0;

	for (size_t i = 0; envp[i]; i++) {
		size_t len = strcspn(envp[i], "=");
		bool again = false;

		for (size_t k = i + 1; envp[k] && !again; k++)
			again = strncmp(envp[k], envp[i], len) == 0 && envp[k][len] == envp[i][len];
		if (!again)
			envp[out++] = envp[i];
	}
	envp[out] = NULL;
}

static int add_home(char **envp, uint32_t uid)
{
	const char *now = env_get(envp, "HOME");
	_cleanup_free_ char *home = NULL;
	size_t out = 0;
	char *entry;

	if (now && *now)
		return 0;
	home = home_of(uid);
	if (asprintf(&entry, "HOME=%s", home ? home : "/") < 0)
		return -ENOMEM;
	for (size_t i = 0; envp[i]; i++)
		if (strncmp(envp[i], "HOME=", 5) != 0)
			envp[out++] = envp[i];
	envp[out++] = entry;
	envp[out] = NULL;
	return 0;
}

int program_prepare(struct program *prog, const Husk__Agent__V1__Process *p, struct err *e)
{
	prog->argv = strings(p->args, p->n_args, 0);
	prog->envp = strings(p->env, p->n_env, 1);
	if (prog->envp)
		drop_earlier(prog->envp);
	if (!prog->argv || !prog->envp || add_home(prog->envp, p->user ? p->user->uid : 0) < 0)
		return err_set(e, ENOMEM, "out of memory");
	return 0;
}

static int try_path(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0)
		return errno == EROFS ? 0 : -errno;
	/* As runc: a root without any x bit in sight is told now, not by execve(2). */
	return st.st_mode & 0111 ? 0 : -EACCES;
}

/* What the kernel says, in runc's words: callers look for them ("docker run" ends with 127 for "no such file or directory"). */
static const char *words(int errnum, char *text, size_t size)
{
	const char *said = strerrordesc_np(errnum);

	if (said)
		snprintf(text, size, "%c%s", tolower((unsigned char)said[0]), said + 1);
	else
		snprintf(text, size, "error %d", errnum);
	return text;
}

static int find_direct(struct program *prog, const char *name, struct err *e)
{
	char text[128];
	int rc;

	if (strlen(name) >= sizeof(prog->path))
		return err_set(e, ENOENT, "exec: \"%.64s\": file name too long", name);
	rc = try_path(name);
	switch (rc) {
	case 0:
		strcpy(prog->path, name);
		return 0;
	case -EISDIR:
		return err_set(e, EACCES, "exec: \"%s\": is a directory", name);
	case -EACCES:
	case -EPERM:
		return err_set(e, EACCES, "exec: \"%s\": permission denied", name);
	default:
		return err_set(e, ENOENT, "exec: \"%s\": stat %s: %s", name, name, words(-rc, text, sizeof(text)));
	}
}

int program_find(struct program *prog, struct err *e)
{
	const char *name = prog->argv[0], *path = env_get(prog->envp, "PATH");

	if (strchr(name, '/'))
		return find_direct(prog, name, e);
	while (path && *name) {
		size_t len = strcspn(path, ":");

		if ((size_t)snprintf(prog->path, sizeof(prog->path), "%.*s/%s",
				     len ? (int)len : 1, len ? path : ".", name) <
			    sizeof(prog->path) &&
		    try_path(prog->path) == 0)
			return 0;
		path = path[len] ? path + len + 1 : NULL;
	}
	return err_set(e, ENOENT, "exec: \"%s\": executable file not found in $PATH", name);
}

int program_exec(const struct program *prog, struct err *e)
{
	char text[128];
	int why;

	execve(prog->path, prog->argv, prog->envp);
	why = errno;
	err_set(e, why, "exec %s: %s", prog->path, words(why, text, sizeof(text)));
	switch (why) {
	case ENOENT: /* its interpreter */
	case ENOTDIR:
		return -ENOENT;
	case EACCES:
	case EPERM:
	case ENOEXEC:
		return -EACCES;
	default:
		return -why;
	}
}
