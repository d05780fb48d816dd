// SPDX-License-Identifier: Apache-2.0
/* In the foreground: the caller's signals go to the proxy, the proxy's exit status is ours. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "runtime/container/create_internal.h"
#include "runtime/container/timeline.h"
#include "runtime/proxy/client.h"

void container_block_signals(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
}

/* Whether @pid, a child, has ended. Other children (the machine) are reaped on the way. */
static bool reaped(pid_t pid, int *ret_status)
{
	pid_t got;
	int st;

	/* Until it says that there is no more: the signal that would come with it may have been taken already. */
	while ((got = waitpid(-1, &st, WNOHANG)) > 0 || (got < 0 && errno == EINTR)) {
		if (got != pid)
			continue;
		*ret_status = WIFEXITED(st) ? WEXITSTATUS(st) : 128 + WTERMSIG(st);
		return true;
	}
	return got < 0;
}

int container_attend(struct container_made *m, int *ret_status, struct err *e)
{
	struct proxy_reply last = { .hdr = { .version = 0 } };
	struct err why = ERR_INIT;
	int status = 255;
	sigset_t all;

	sigfillset(&all);
	while (!reaped(m->proxy.pid, &status)) {
		siginfo_t si;
		int signo = sigwaitinfo(&all, &si);

		/* The kernel's own word on a broken pipe or a timer is about us, not about them. */
		if (signo <= 0 || signo == SIGCHLD || signo == SIGPIPE || signo == SIGURG)
			continue;
		kill(m->proxy.pid, signo);
	}
	console_restore(&m->saved);
	if (proxy_wait(m->sock, PROXY_EXITED, &last, 0, &why) == -EIO && e)
		*e = why;
	timeline_proxy(&last);
	close_and_reset(&m->sock);
	*ret_status = status;
	return 0;
}

void container_leave(struct container_made *m)
{
	console_restore(&m->saved);
	close_and_reset(&m->sock);
}
