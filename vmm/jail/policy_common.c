// SPDX-License-Identifier: Apache-2.0
/* What every thread needs, and what those with an event loop do. */
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "vmm/jail/policy.h"

const struct jail_rule jail_rules_common[] = {
	{ "futex", "locks and conditions", {}, 0 },
	{ "read", "eventfds, timers, descriptors that were given", {}, 0 },
	{ "write", "eventfds, log lines, descriptors that were given", {}, 0 },
	{ "close", "descriptors end", {}, 0 },
	{ "clock_gettime", "where the vDSO falls back to the kernel", {}, 0 },
	{ "brk", "the allocator", {}, 0 },
	{ "mmap", "the allocator; never executable", { WITHOUT(2, PROT_EXEC) }, 0 },
	{ "munmap", "the allocator", {}, 0 },
	{ "mremap", "the allocator grows large blocks", {}, 0 },
	{ "mprotect", "the allocator; never executable", { WITHOUT(2, PROT_EXEC) }, 0 },
	{ "madvise", "the allocator; stacks of ended threads", {}, 0 },
	{ "getrandom", "the allocator's key on a thread's first use", {}, 0 },
	{ "rseq", "a thread made just before its filter still registers", {}, 0 },
	{ "set_robust_list", "a thread's start", {}, 0 },
	{ "rt_sigprocmask", "a thread's start and end", {}, 0 },
	{ "rt_sigreturn", "return from a signal handler", {}, 0 },
	{ "restart_syscall", "the kernel goes on with a call that a signal interrupted", {}, 0 },
	{ "sched_yield", "spinning on a lock", {}, 0 },
	{ "clock_nanosleep", "a change of the bus waits for who is in an access; retry of a lock", {}, 0 },
	{ "getpid", "abort() and signals to own threads", {}, 0 },
	{ "gettid", "abort()", {}, 0 },
	{ "tgkill", "abort() of a broken invariant", { ARG32(2, SIGABRT) }, 0 },
	{ "rt_sigaction", "abort() restores the default action", { ARG32(0, SIGABRT) }, 0 },
	{ "exit", "a thread's end", {}, 0 },
	{ "exit_group", "the machine's end", {}, 0 },
	{ NULL, NULL, {}, 0 },
};

const struct jail_rule jail_rules_loop[] = {
	{ "epoll_wait", "the loop", {}, 0 },
	{ "epoll_pwait", "the loop, where epoll_wait does not exist", {}, 0 },
	{ "epoll_ctl", "sources come and go", {}, 0 },
	{ "eventfd2", "wake-ups and queues", {}, 0 },
	{ "timerfd_create", "deadlines", {}, 0 },
	{ "timerfd_settime", "deadlines", {}, 0 },
	{ NULL, NULL, {}, 0 },
};
