// SPDX-License-Identifier: Apache-2.0
/*
 * vCPU threads: run the guest, take its exits to the buses, and stop when told. A vCPU looks at what it
 * is wanted for between two exits; vcpus_want() changes that first and kicks then, so that no vCPU can
 * miss it.
 */
#include <inttypes.h>
#include <stdio.h>

#include "lib/io.h"
#include "lib/log.h"
#include "vmm/core/machine_internal.h"

#define VCPU_STACK KIB(128)

static void do_pio(struct vcpu *v, const struct hv_exit *x)
{
	for (uint32_t i = 0; i < x->pio.count; i++) {
		uint8_t *data = x->pio.data + (size_t)i * x->pio.size;

		if (x->pio.write)
			bus_write(v->m->pio, x->pio.port, data, x->pio.size);
		else
			bus_read(v->m->pio, x->pio.port, data, x->pio.size);
	}
}

static void do_mmio(struct vcpu *v, const struct hv_exit *x)
{
	if (x->mmio.write)
		bus_write(v->m->mmio, x->mmio.addr.v, x->mmio.data, x->mmio.size);
	else
		bus_read(v->m->mmio, x->mmio.addr.v, x->mmio.data, x->mmio.size);
}

static void handle_exit(struct vcpu *v, const struct hv_exit *x)
{
	unsigned cpu = v->hv->index;

	atomic_fetch_add_explicit(&v->exits, 1, memory_order_relaxed);
	switch (x->kind) {
	case HV_EXIT_INTR:
	case HV_EXIT_HLT: /* the hypervisor waits for the interrupt on the next run */
		break;
	case HV_EXIT_PIO:
		do_pio(v, x);
		break;
	case HV_EXIT_MMIO:
		do_mmio(v, x);
		break;
	case HV_EXIT_EOI:
		arch_platform_eoi(v->m->platform, x->eoi.vector);
		break;
	case HV_EXIT_SHUTDOWN:
		machine_end(v->m, NC_END_TRIPLE_FAULT, "vCPU %u: triple fault", cpu);
		break;
	case HV_EXIT_RESET:
		machine_end(v->m, NC_END_RESET, "vCPU %u: system reset", cpu);
		break;
	case HV_EXIT_POWEROFF:
		machine_end(v->m, NC_END_POWEROFF, "vCPU %u: system power-off", cpu);
		break;
	case HV_EXIT_CRASH:
		machine_end(v->m, NC_END_PANIC, "vCPU %u: the guest reported a crash", cpu);
		break;
	case HV_EXIT_ERROR:
		machine_end(v->m, NC_END_VCPU_ERROR, "vCPU %u: %s (%#" PRIx64 ")", cpu,
			    x->error.text, x->error.code);
		break;
	}
}

/* Rests while vCPUs are held. False: the thread shall end. */
static bool wait_for_run(struct vcpu *v)
{
	struct machine *m = v->m;
	bool go;

	pthread_mutex_lock(&m->lock);
	while (m->want == VCPU_HOLD) {
		if (--m->running == 0)
			evloop_post(m->setup.control, machine_vcpus_rest, m);
		while (m->want == VCPU_HOLD)
			pthread_cond_wait(&m->cond, &m->lock);
		m->running++;
	}
	go = m->want == VCPU_RUN;
	pthread_mutex_unlock(&m->lock);
	return go;
}

static void run(struct vcpu *v)
{
	const struct hv_ops *ops = v->hv->ops;
	struct machine *m = v->m;
	struct hv_exit x;

	while (atomic_load(&m->want_now) == VCPU_RUN || wait_for_run(v)) {
		if (ops->vcpu_run(v->hv, &x) < 0)
			machine_end(m, NC_END_VCPU_ERROR, "vCPU %u cannot run", v->hv->index);
		else
			handle_exit(v, &x);
	}
}

static void *vcpu_main(void *arg)
{
	struct vcpu *v = arg;
	struct machine *m = v->m;
	struct err e = ERR_INIT;
	char name[16];
	int rc;

	snprintf(name, sizeof(name), "vcpu%u", v->hv->index);
	pthread_setname_np(pthread_self(), name);
	rc = m->setup.jail ? jail_thread(JAIL_VCPU, &e) : 0;
	start_line_report(m, rc, &e);
	if (wait_for_run(v)) {
		if (v->hv->index == 0)
			machine_stamp(m, NC_T_FIRST_RUN);
		run(v);
	}
	pthread_mutex_lock(&m->lock);
	if (--m->running == 0)
		evloop_post(m->setup.control, machine_vcpus_rest, m);
	pthread_mutex_unlock(&m->lock);
	return NULL;
}

int vcpu_start(struct vcpu *v, struct err *e)
{
	int rc;

	pthread_mutex_lock(&v->m->lock);
	v->m->running++;
	pthread_mutex_unlock(&v->m->lock);
	rc = machine_thread(&v->thread, VCPU_STACK, "vcpu", vcpu_main, v, e);
	if (rc < 0) {
		pthread_mutex_lock(&v->m->lock);
		v->m->running--;
		pthread_mutex_unlock(&v->m->lock);
		return rc;
	}
	v->started = true;
	return 0;
}

void vcpus_want(struct machine *m, enum vcpu_want want)
{
	bool at_rest;

	pthread_mutex_lock(&m->lock);
	if (m->want != VCPU_STOP) { /* there is no way back from the end */
		m->want = want;
		atomic_store(&m->want_now, want);
	}
	at_rest = m->running == 0;
	pthread_cond_broadcast(&m->cond);
	pthread_mutex_unlock(&m->lock);
	if (want == VCPU_RUN)
		return;
	/* Held again before any had woken from the last time: none of them will report. */
	if (at_rest)
		evloop_post(m->setup.control, machine_vcpus_rest, m);
	for (unsigned i = 0; i < m->nvcpus; i++)
		if (m->vcpus[i].started)
			m->vcpus[i].hv->ops->vcpu_kick(m->vcpus[i].hv);
}

void vcpus_join(struct machine *m)
{
	for (unsigned i = 0; i < m->nvcpus; i++) {
		if (!m->vcpus[i].started)
			continue;
		pthread_join(m->vcpus[i].thread, NULL);
		m->vcpus[i].started = false;
	}
}
