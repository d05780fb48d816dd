// SPDX-License-Identifier: Apache-2.0
/* The fake's vCPUs: they play a script. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "vmm/hv/fake/fake_internal.h"

#define MAX_EXITS 4096
#define STATE_LEN 64

struct scripted {
	struct hv_exit x;
	uint8_t data[8];
};

struct fake_vcpu {
	struct hv_vcpu vcpu;
	pthread_mutex_t lock;
	pthread_cond_t cond;      /* a new exit, a kick, idleness */
	struct scripted *script;  /* ring of MAX_EXITS */
	size_t head, n;
	bool kicked, idle;
	bool reading;             /* the last exit was a read: its bytes are in data */
	uint8_t data[8];
	uint64_t read_value;
	bool booted;
	struct hv_x86_boot_regs regs;
	size_t ncpuid;
	struct hv_cpuid_entry cpuid[HV_CPUID_MAX];
	unsigned nmis;
	uint8_t state[STATE_LEN];
	size_t state_len;
};

static struct fake_vcpu *to_vcpu(struct hv_vcpu *c)
{
	return container_of(c, struct fake_vcpu, vcpu);
}

int fake_vcpu_new(struct hv_vm *vm, unsigned index, struct hv_vcpu **ret, struct err *e)
{
	struct fake_vcpu *c;
	int rc = fake_fails(vm->hv, "vcpu_new", e);

	if (rc < 0)
		return rc;
	c = calloc(1, sizeof(*c));
	if (c)
		c->script = calloc(MAX_EXITS, sizeof(*c->script));
	if (!c || !c->script) {
		free(c);
		return err_set(e, ENOMEM, "out of memory");
	}
	c->vcpu = (struct hv_vcpu){ .ops = vm->ops, .vm = vm, .index = index };
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->cond, NULL);
	*ret = &c->vcpu;
	return 0;
}

void fake_vcpu_free(struct hv_vcpu *vcpu)
{
	struct fake_vcpu *c;

	if (!vcpu)
		return;
	c = to_vcpu(vcpu);
	pthread_mutex_destroy(&c->lock);
	pthread_cond_destroy(&c->cond);
	free(c->script);
	free(c);
}

int fake_vcpu_set_cpuid(struct hv_vcpu *vcpu, const struct hv_cpuid_entry *tab, size_t n,
			struct err *e)
{
	struct fake_vcpu *c = to_vcpu(vcpu);
	int rc = fake_fails(vcpu->vm->hv, "vcpu_set_cpuid", e);

	if (rc < 0)
		return rc;
	if (n > HV_CPUID_MAX)
		return err_set(e, EINVAL, "fake: %zu leaves", n);
	memcpy(c->cpuid, tab, n * sizeof(*tab));
	c->ncpuid = n;
	return 0;
}

int fake_vcpu_set_msrs(struct hv_vcpu *vcpu, const struct hv_msr *tab, size_t n, struct err *e)
{
	(void)tab;
	(void)n;
	return fake_fails(vcpu->vm->hv, "vcpu_set_msrs", e);
}

int fake_vcpu_boot(struct hv_vcpu *vcpu, const struct hv_x86_boot_regs *r, struct err *e)
{
	struct fake_vcpu *c = to_vcpu(vcpu);
	int rc = fake_fails(vcpu->vm->hv, "vcpu_boot", e);

	if (rc < 0)
		return rc;
	c->regs = *r;
	c->booted = true;
	return 0;
}

static void finish_read_locked(struct fake_vcpu *c)
{
	if (!c->reading)
		return;
	c->reading = false;
	c->read_value = 0;
	memcpy(&c->read_value, c->data, sizeof(c->data));
}

int fake_vcpu_run(struct hv_vcpu *vcpu, struct hv_exit *ret)
{
	struct fake_vcpu *c = to_vcpu(vcpu);
	const struct scripted *s;

	pthread_mutex_lock(&c->lock);
	finish_read_locked(c);
	while (!c->kicked && !c->n) {
		c->idle = true;
		pthread_cond_broadcast(&c->cond);
		pthread_cond_wait(&c->cond, &c->lock);
	}
	c->idle = false;
	if (c->kicked) {
		c->kicked = false;
		ret->kind = HV_EXIT_INTR;
		pthread_mutex_unlock(&c->lock);
		return 0;
	}
	s = &c->script[c->head];
	*ret = s->x;
	memcpy(c->data, s->data, sizeof(c->data));
	if (ret->kind == HV_EXIT_PIO) {
		ret->pio.data = c->data;
		c->reading = !ret->pio.write;
	} else if (ret->kind == HV_EXIT_MMIO) {
		ret->mmio.data = c->data;
		c->reading = !ret->mmio.write;
	}
	c->head = (c->head + 1) % MAX_EXITS;
	c->n--;
	pthread_mutex_unlock(&c->lock);
	return 0;
}

void fake_vcpu_kick(struct hv_vcpu *vcpu)
{
	struct fake_vcpu *c = to_vcpu(vcpu);

	pthread_mutex_lock(&c->lock);
	c->kicked = true;
	pthread_cond_broadcast(&c->cond);
	pthread_mutex_unlock(&c->lock);
}

int fake_vcpu_nmi(struct hv_vcpu *vcpu)
{
	to_vcpu(vcpu)->nmis++;
	return 0;
}

/* One group of bytes, kept as they are. */
const struct hv_reg_group *fake_reg_groups(struct hv *hv, size_t *ret_n)
{
	static const struct hv_reg_group group = { "fake", 1 };

	(void)hv;
	*ret_n = 1;
	return &group;
}

ssize_t fake_vcpu_get(struct hv_vcpu *vcpu, unsigned group, void *dst, size_t size, struct err *e)
{
	struct fake_vcpu *c = to_vcpu(vcpu);
	int rc = fake_fails(vcpu->vm->hv, "vcpu_get", e);

	bug_on(group != 0);
	if (rc < 0)
		return rc;
	if (size < c->state_len)
		return err_set(e, ENOSPC, "fake: no room");
	memcpy(dst, c->state, c->state_len);
	return (ssize_t)c->state_len;
}

int fake_vcpu_set(struct hv_vcpu *vcpu, unsigned group, const void *src, size_t len,
		  struct err *e)
{
	struct fake_vcpu *c = to_vcpu(vcpu);
	int rc = fake_fails(vcpu->vm->hv, "vcpu_set", e);

	bug_on(group != 0);
	if (rc < 0)
		return rc;
	if (len > STATE_LEN)
		return err_set(e, EBADMSG, "fake: %zu bytes", len);
	memcpy(c->state, src, len);
	c->state_len = len;
	return 0;
}

/* ---- what a test does with a vCPU ---- */

int fake_exit(struct hv_vcpu *vcpu, const struct hv_exit *x)
{
	struct fake_vcpu *c = to_vcpu(vcpu);
	struct scripted s = { .x = *x };
	int rc = 0;

	if (x->kind == HV_EXIT_PIO && x->pio.write) {
		bug_on((size_t)x->pio.size * x->pio.count > sizeof(s.data));
		memcpy(s.data, x->pio.data, (size_t)x->pio.size * x->pio.count);
	} else if (x->kind == HV_EXIT_MMIO && x->mmio.write) {
		bug_on(x->mmio.size > sizeof(s.data));
		memcpy(s.data, x->mmio.data, x->mmio.size);
	}
	pthread_mutex_lock(&c->lock);
	if (c->n == MAX_EXITS)
		rc = -ENOSPC;
	else
		c->script[(c->head + c->n++) % MAX_EXITS] = s;
	c->idle = false;
	pthread_cond_broadcast(&c->cond);
	pthread_mutex_unlock(&c->lock);
	return rc;
}

int fake_wait_idle(struct hv_vcpu *vcpu, unsigned timeout_ms)
{
	struct fake_vcpu *c = to_vcpu(vcpu);
	struct timespec t;
	int rc = 0;

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	t.tv_sec += timeout_ms / 1000 + t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	pthread_mutex_lock(&c->lock);
	while (rc == 0 && !(c->idle && !c->n))
		rc = -pthread_cond_timedwait(&c->cond, &c->lock, &t);
	pthread_mutex_unlock(&c->lock);
	return rc;
}

uint64_t fake_read_value(struct hv_vcpu *vcpu)
{
	struct fake_vcpu *c = to_vcpu(vcpu);
	uint64_t v;

	pthread_mutex_lock(&c->lock);
	v = c->read_value;
	pthread_mutex_unlock(&c->lock);
	return v;
}

bool fake_booted(struct hv_vcpu *vcpu, struct hv_x86_boot_regs *ret)
{
	struct fake_vcpu *c = to_vcpu(vcpu);

	if (c->booted)
		*ret = c->regs;
	return c->booted;
}

size_t fake_cpuid(struct hv_vcpu *vcpu, struct hv_cpuid_entry *ret, size_t max)
{
	struct fake_vcpu *c = to_vcpu(vcpu);
	size_t n = min_t(size_t, max, c->ncpuid);

	memcpy(ret, c->cpuid, n * sizeof(*ret));
	return n;
}

unsigned fake_nmis(struct hv_vcpu *vcpu)
{
	return to_vcpu(vcpu)->nmis;
}
