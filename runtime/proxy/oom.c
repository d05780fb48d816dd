// SPDX-License-Identifier: Apache-2.0
/*
 * How the host's group learns of an OOM kill in the guest.
 *
 * A unit of systemd's goes the moment its group is empty, and with it the count, which containerd's shim reads when it is
 * told that it has changed: whoever is the quicker. A process that the kernel kills for much memory takes a while to end;
 * this one takes none. So it leaves a copy of itself behind that does nothing but stay for a moment.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lib/log.h"
#include "runtime/proxy/session_internal.h"

#define STAY_MS	  500
#define SETTLE_MS 100

static void wait_ms(long ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	syscall(SYS_ppoll, NULL, 0, &t, NULL, 0);
}

/* Once *@settled is set it needs no page more: there are none to be had then, and who asks for one is killed. */
static void stay(volatile bool *settled)
{
	sigset_t none;

	/* What is open ends with the container, not with this. */
	syscall(SYS_close_range, 0u, ~0u, 0u);
	/* systemd may end it any time. */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	wait_ms(0);
	*settled = true;
	wait_ms(STAY_MS);
	syscall(SYS_exit_group, 0);
}

static void leave_one_behind(void)
{
	volatile bool *settled = mmap(NULL, sizeof(*settled), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	long pid;

	if (settled == MAP_FAILED)
		return;
	pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (pid == 0)
		stay(settled);
	for (int i = 0; pid > 0 && i < SETTLE_MS && !*settled; i++)
		wait_ms(1);
}

void session_tell_oom(const struct session *s, int memory, bool unit)
{
	/* The container itself lives on after an exec; and others in the machine would go with it. */
	if (!s->oom || memory < 0 || is_exec(s) || !(s->alone || s->at.flags & PROXY_ATTACH_HOSTED))
		return;
	if (unit)
		leave_one_behind();
	if (write(memory, "0", 1) < 0)
		log_debug("the host's group is not told of the guest's OOM kill: %m");
}
