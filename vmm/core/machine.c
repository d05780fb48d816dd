// SPDX-License-Identifier: Apache-2.0
/* The life of a machine between CREATED and ENDED. */
#include "vmm/core/machine.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/log.h"
#include "vmm/core/machine_internal.h"
#include "vmm/core/panic_words.h"
#include "vmm/core/runstate.h"

/* How long the end waits for vCPUs that do not stop, or for the last output to leave. */
#define END_DEADLINE_NS 1000000000ull
/* How long a guest that has said that it panicked goes on. It says so before it writes what a panic in an exception like a double
 * fault has to tell: those words wait until the consoles are flushed. */
#define LAST_WORDS_NS	1000000000ull
#define PANICKED	"the guest kernel panicked"

void machine_stamp(struct machine *m, enum nc_stamp s)
{
	atomic_store(&m->stamps[s], io_now_ns());
}

static void set_state(struct machine *m, enum nc_state s)
{
	bug_on(!runstate_allowed(m->state, s));
	m->state = s;
	m->setup.ops->state(m->setup.arg, s);
}

/* --- the end ----------------------------------------------------------------------------------------- */

/* A guest that reset itself without a word may have panicked before it had a console and a device to say so. */
static void add_words(struct machine *m)
{
	char words[PANIC_WORDS_SIZE];
	size_t n = strlen(m->end_text);

	if (panic_words(m->mem, words))
		snprintf(m->end_text + n, sizeof(m->end_text) - n, "; in its memory: %s", words);
}

static void tell_end(struct machine *m)
{
	if (m->end_stage == END_TOLD)
		return;
	m->end_stage = END_TOLD;
	if (m->end == NC_END_TRIPLE_FAULT)
		add_words(m);
	evtimer_set_ns(&m->end_timer, 0);
	machine_stamp(m, NC_T_END);
	m->state = NC_STATE_ENDED;
	m->setup.ops->ended(m->setup.arg, m->end, m->end_text);
}

static void end_deadline(struct evtimer *t)
{
	struct machine *m = container_of(t, struct machine, end_timer);

	if (m->end_stage == END_NOT) {
		machine_end(m, NC_END_PANIC, PANICKED);
		return;
	}
	if (m->end_stage == END_STOPPING)
		log_debug("machine: a vCPU did not stop in time");
	tell_end(m);
}

static void flushed(void *arg)
{
	tell_end(arg);
}

static void flush_again(void *arg)
{
	struct machine *m = arg;

	evloop_post(m->setup.control, flushed, m);
}

/* On the io thread. What the guest kicked before it stopped is ready in the loop by now, but perhaps
 * behind this very call: once more round lets all of it go first. */
static void flush(void *arg)
{
	struct machine *m = arg;

	evloop_post(m->io.loop, flush_again, m);
}

static void go_on_ending(struct machine *m, bool at_rest)
{
	if (m->end_stage == END_NOT) {
		m->end_stage = END_STOPPING;
		evtimer_set_ns(&m->end_timer, END_DEADLINE_NS);
	}
	if (m->end_stage != END_STOPPING || !at_rest)
		return;
	m->end_stage = END_FLUSHING;
	if (!m->io.started || evloop_post(m->io.loop, flush, m) < 0)
		tell_end(m);
}

static void wait_for_words(void *arg)
{
	struct machine *m = arg;

	if (m->end_stage == END_NOT)
		evtimer_set_ns(&m->end_timer, LAST_WORDS_NS);
}

void machine_panicked(struct machine *m)
{
	bool first;

	pthread_mutex_lock(&m->lock);
	first = !m->panicked;
	m->panicked = true;
	pthread_mutex_unlock(&m->lock);
	if (first && evloop_post(m->setup.control, wait_for_words, m) < 0)
		machine_end(m, NC_END_PANIC, PANICKED);
}

/* What a guest does that has panicked: its reset is the panic's. */
static bool is_of_panic(const struct machine *m, enum nc_end why)
{
	return m->panicked && (why == NC_END_PANIC || why == NC_END_TRIPLE_FAULT || why == NC_END_RESET ||
			       why == NC_END_POWEROFF);
}

void machine_end(struct machine *m, enum nc_end why, const char *fmt, ...)
{
	va_list ap;

	pthread_mutex_lock(&m->lock);
	if (m->end == NC_END_NONE && is_of_panic(m, why)) {
		m->end = NC_END_PANIC;
		snprintf(m->end_text, sizeof(m->end_text), PANICKED);
	} else if (m->end == NC_END_NONE) {
		m->end = why;
		va_start(ap, fmt);
		vsnprintf(m->end_text, sizeof(m->end_text), fmt, ap);
		va_end(ap);
	}
	pthread_mutex_unlock(&m->lock);
	vcpus_want(m, VCPU_STOP);
	/* There may be no vCPU that will report. */
	evloop_post(m->setup.control, machine_vcpus_rest, m);
}

/* --- pause and resume -------------------------------------------------------------------------------- */

static void resume_devices(struct machine *m, unsigned n)
{
	while (n--)
		if (m->dev[n].transport)
			virtio_pci_resume(m->dev[n].transport);
}

static void finish_pause(struct machine *m)
{
	void (*done)(void *arg, int rc) = m->pause_done;
	struct err e = ERR_INIT;
	int rc = 0;

	m->pause_done = NULL;
	for (unsigned i = 0; rc == 0 && i < m->ndevs; i++) {
		if (!m->dev[i].transport)
			continue;
		rc = virtio_pci_quiesce(m->dev[i].transport, &e);
		if (rc < 0) {
			log_debug("pause: device %s: %s", m->dev[i].cfg->id, e.msg);
			resume_devices(m, i);
			vcpus_want(m, VCPU_RUN);
		}
	}
	if (rc == 0)
		set_state(m, NC_STATE_PAUSED);
	done(m->pause_arg, rc);
}

void machine_vcpus_rest(void *arg)
{
	struct machine *m = arg;
	bool at_rest, ending;

	pthread_mutex_lock(&m->lock);
	at_rest = m->running == 0;
	ending = m->end != NC_END_NONE;
	pthread_mutex_unlock(&m->lock);
	if (ending) {
		if (m->pause_done) {
			m->pause_done(m->pause_arg, -ECANCELED);
			m->pause_done = NULL;
		}
		go_on_ending(m, at_rest);
	} else if (at_rest && m->pause_done) {
		finish_pause(m);
	}
}

int machine_pause(struct machine *m, void (*done)(void *arg, int rc), void *arg, struct err *e)
{
	int rc = runstate_check(m->state, NC_STATE_PAUSED, "pause", e);

	if (rc < 0)
		return rc;
	if (m->pause_done)
		return err_set(e, EALREADY, "the machine is being paused");
	m->pause_done = done;
	m->pause_arg = arg;
	vcpus_want(m, VCPU_HOLD);
	return 0;
}

int machine_resume(struct machine *m, struct err *e)
{
	if (m->state != NC_STATE_PAUSED)
		return runstate_check(m->state == NC_STATE_CREATED ? NC_STATE_ENDED : m->state,
				      NC_STATE_RUNNING, "resume", e);
	resume_devices(m, m->ndevs);
	set_state(m, NC_STATE_RUNNING);
	vcpus_want(m, VCPU_RUN);
	return 0;
}

int machine_power_button(struct machine *m, struct err *e)
{
	if (m->state != NC_STATE_RUNNING)
		return err_set(e, EINVAL, "cannot press the power button of a machine that is %s",
			       runstate_name(m->state));
	arch_platform_power_button(m->platform);
	return 0;
}

/* --- start ------------------------------------------------------------------------------------------- */

static int start_threads(struct machine *m, unsigned *ret_n, struct err *e)
{
	int rc;

	*ret_n = 0;
	rc = loop_thread_start(&m->io, m, JAIL_IO, e);
	if (rc == 0)
		++*ret_n;
	if (rc == 0 && m->fs.loop) {
		rc = loop_thread_start(&m->fs, m, JAIL_FS, e);
		if (rc == 0)
			++*ret_n;
	}
	if (rc == 0 && m->disk.loop) {
		rc = loop_thread_start(&m->disk, m, JAIL_DISK, e);
		if (rc == 0)
			++*ret_n;
	}
	for (unsigned i = 0; rc == 0 && i < m->nvcpus; i++) {
		rc = vcpu_start(&m->vcpus[i], e);
		if (rc == 0)
			++*ret_n;
	}
	return rc;
}

/* Every thread has reported: at work, and locked in. */
static int wait_for_threads(struct machine *m, unsigned n, struct err *e)
{
	int rc;

	pthread_mutex_lock(&m->lock);
	while (m->start.waiting < n)
		pthread_cond_wait(&m->cond, &m->lock);
	rc = m->start.rc;
	if (rc < 0)
		*e = m->start.err;
	pthread_mutex_unlock(&m->lock);
	return rc;
}

int machine_boot(struct machine *m, struct err *e)
{
	struct err why = ERR_INIT;
	unsigned n;
	int rc;

	if (m->state != NC_STATE_CREATED)
		return err_set(e, EINVAL, "cannot boot a machine that is %s",
			       runstate_name(m->state));
	pci_seg_seal(m->pci);
	rc = start_threads(m, &n, &why);
	if (rc == 0)
		rc = wait_for_threads(m, n, &why);
	if (rc == 0 && m->setup.jail)
		rc = jail_thread(JAIL_CONTROL, &why);
	if (rc < 0) {
		machine_end(m, NC_END_HOST_ERROR, "%s", why.msg);
		return err_set(e, -rc, "%s", why.msg);
	}
	machine_stamp(m, NC_T_JAILED);
	set_state(m, NC_STATE_RUNNING);
	vcpus_want(m, VCPU_RUN);
	return 0;
}

int machine_new(struct machine **ret, const struct machine_setup *s, struct machine_config *cfg,
		struct err *e)
{
	struct machine *m = calloc(1, sizeof(*m));
	int rc;

	if (!m) {
		s->hv->ops->close(s->hv);
		if (s->proc_fd >= 0)
			close(s->proc_fd);
		return err_set(e, ENOMEM, "machine: out of memory");
	}
	m->setup = *s;
	m->cfg = cfg;
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->cond, NULL);
	m->end_timer.src.fd = -1;
	rc = evtimer_init(s->control, &m->end_timer, "end of the machine", end_deadline);
	if (rc < 0)
		rc = err_errno(e, -rc, "timer");
	if (rc == 0)
		rc = machine_build(m, e);
	if (rc < 0) {
		m->cfg = NULL; /* stays the caller's */
		machine_free(m);
		return rc;
	}
	machine_stamp(m, NC_T_CREATED);
	m->state = NC_STATE_CREATED;
	*ret = m;
	return 0;
}

void machine_free(struct machine *m)
{
	if (!m)
		return;
	vcpus_want(m, VCPU_STOP);
	vcpus_join(m);
	loop_thread_stop(&m->disk);
	loop_thread_stop(&m->fs);
	loop_thread_stop(&m->io);
	machine_teardown(m);
	evloop_cancel(m->setup.control, m); /* no thread is left that could post */
	m->setup.hv->ops->close(m->setup.hv);
	close_and_reset(&m->setup.proc_fd);
	evtimer_done(&m->end_timer);
	machine_config_free(m->cfg);
	pthread_cond_destroy(&m->cond);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

enum nc_state machine_state(const struct machine *m)
{
	return m->state;
}

void machine_info(const struct machine *m, struct nc_info_reply *ret)
{
	ret->state = m->state;
	ret->end = m->end_stage == END_TOLD ? m->end : NC_END_NONE;
	ret->vcpus = m->nvcpus;
	ret->ndevices = 0;
	for (unsigned i = 0; i < m->ndevs; i++)
		ret->ndevices += m->dev[i].transport != NULL;
	ret->memory = gmem_total(m->mem);
	ret->exits = 0;
	for (unsigned i = 0; i < m->nvcpus; i++)
		ret->exits += atomic_load_explicit(&m->vcpus[i].exits, memory_order_relaxed);
	for (size_t i = 0; i < ARRAY_SIZE(ret->start_ns); i++)
		ret->start_ns[i] = atomic_load(&m->stamps[i]);
}
