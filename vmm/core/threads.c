// SPDX-License-Identifier: Apache-2.0
/* The machine's threads but the vCPUs': loops that run devices, and how all of them are started. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "vmm/core/machine_internal.h"

#define LOOP_STACK KIB(256)

int machine_thread(pthread_t *ret, size_t stack, const char *name, void *(*fn)(void *),
		   void *arg, struct err *e)
{
	sigset_t all, old;
	pthread_attr_t attr;
	int rc;

	/* Signals are for the control thread; a vcpu unblocks its kick itself. */
	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, stack);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(ret, &attr, fn, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (rc)
		return err_errno(e, rc, "cannot start thread %s", name);
	return 0;
}

void start_line_report(struct machine *m, int rc, const struct err *e)
{
	pthread_mutex_lock(&m->lock);
	if (rc < 0 && m->start.rc == 0) {
		m->start.rc = rc;
		m->start.err = *e;
	}
	m->start.waiting++;
	pthread_cond_broadcast(&m->cond);
	pthread_mutex_unlock(&m->lock);
}

/* Runs as the loop's first work: only from here on is the loop known to belong to its thread. */
static void at_work(void *arg)
{
	struct loop_thread *t = arg;
	struct err e = ERR_INIT;
	int rc = t->m->setup.jail ? jail_thread(t->role, &e) : 0;

	start_line_report(t->m, rc, &e);
}

static void loop_failed(void *arg)
{
	struct loop_thread *t = arg;

	machine_end(t->m, NC_END_HOST_ERROR, "%s thread: %s", jail_role_name(t->role), strerror(-t->rc));
}

/* The machine's end is the control thread's to begin: none of these may kick a vCPU. */
static void *loop_main(void *arg)
{
	struct loop_thread *t = arg;

	pthread_setname_np(pthread_self(), jail_role_name(t->role));
	t->rc = evloop_run(t->loop);
	if (t->rc < 0 && evloop_post(t->m->setup.control, loop_failed, t) < 0)
		abort(); /* nobody would serve the guest, and nobody know */
	return NULL;
}

int loop_thread_start(struct loop_thread *t, struct machine *m, enum jail_role role,
		      struct err *e)
{
	int rc;

	t->m = m;
	t->role = role;
	rc = evloop_post(t->loop, at_work, t);
	if (rc < 0)
		return err_set(e, -rc, "out of memory");
	rc = machine_thread(&t->thread, LOOP_STACK, jail_role_name(role), loop_main, t, e);
	t->started = rc == 0;
	return rc;
}

void loop_thread_stop(struct loop_thread *t)
{
	if (!t->started)
		return;
	evloop_stop(t->loop);
	pthread_join(t->thread, NULL);
	evloop_cancel(t->m->setup.control, t);
	t->started = false;
}
