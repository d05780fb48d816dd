// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/letgo.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "agent-proto/agent/agent.h"
#include "agent-proto/agent/common.h"
#include "agent-proto/agent/container.h"
#include "agent-proto/agent/fork.h"
#include "lib/cleanup.h"

#define BUSY_NS  100000             /* look again at a disk that somebody holds still, */
#define BUSY_MAX 20000              /* so many times */
#define AGAIN_NS UINT64_C(10000000) /* when there could be no fork */

static _Noreturn void run(struct container *ct, int sync)
{
	const struct timespec wait = { .tv_nsec = BUSY_NS };
	int keep[] = { ct->mntns, sync };
	char gone;

	fork_enter(keep, ARRAY_SIZE(keep));
	/* The agent's own descriptor has to be closed first: whoever closes the last one does the work. */
	if (read(sync, &gone, 1) != 1)
		_exit(1);
	common_write_back(ct);
	close_and_reset(&ct->mntns);
	for (int i = 0; image_busy(&ct->image) && i < BUSY_MAX; i++)
		nanosleep(&wait, NULL);
	_exit(0);
}

static void on_end(struct evsrc *src, uint32_t events)
{
	struct container *ct = container_of(src, struct container, letgo.result);

	(void)events;
	letgo_done(&ct->letgo);
	ct->letgo.over = true;
	evtimer_set_ns(&ct->retry, 1);
}

static int begin(struct container *ct)
{
	struct evsrc *src = &ct->letgo.result;
	int pair[2], rc;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	*src = (struct evsrc){ .fd = pair[0], .fn = on_end, .name = "letting go" };
	rc = evloop_add(ct->agent->loop, src, EPOLLIN);
	pid = rc < 0 ? -1 : fork();
	if (pid == 0)
		run(ct, pair[1]);
	close(pair[1]);
	if (pid < 0) {
		letgo_done(&ct->letgo);
		return rc < 0 ? rc : -EAGAIN;
	}
	close_and_reset(&ct->mntns);
	/* When it does not take this, its end tells of it. */
	if (send(pair[0], "", 1, MSG_NOSIGNAL) < 0)
		kill(pid, SIGKILL);
	return 0;
}

void letgo_init(struct letgo *g)
{
	*g = (struct letgo){ .result.fd = -1 };
}

bool letgo_over(struct container *ct)
{
	struct letgo *g = &ct->letgo;

	if (g->over || g->result.fd >= 0)
		return g->over;
	/* It never was a container. */
	if (ct->mntns < 0 && !*ct->image.disk)
		g->over = true;
	else if (begin(ct) < 0)
		evtimer_set_ns(&ct->retry, AGAIN_NS);
	return g->over;
}

void letgo_done(struct letgo *g)
{
	evloop_del(&g->result);
	close_and_reset(&g->result.fd);
}
