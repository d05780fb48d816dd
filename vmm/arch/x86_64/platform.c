// SPDX-License-Identifier: Apache-2.0
/* The platform's devices: made, put on the buses, saved. */
#include <fcntl.h>
#include <stdlib.h>
#include "lib/cleanup.h"
#include "vmm/arch/x86_64/layout.h"
#include "vmm/arch/x86_64/platform_internal.h"

static void on_power(void *arg, enum power_event ev)
{
	struct arch_platform *p = arg;

	p->cfg.event(p->cfg.event_arg, ev == POWER_OFF ? ARCH_EVENT_POWEROFF : ARCH_EVENT_RESET);
}

/* In the order in which they are put on the buses; taken off in the other. */
static const struct range {
	bool mmio;
	uint64_t base, len;
	const struct bus_ops *ops;
} ranges[] = {
	{ true, X86_IOAPIC, IOAPIC_LEN, &ioapic_ops },
	{ false, X86_PORT_GED, GED_LEN, &ged_ops },
	{ false, X86_PORT_POWER, POWER_LEN, &power_ops },
	{ false, X86_PORT_SERIAL, SERIAL_LEN, &serial_ops },
	{ false, DEBUGCON_PORT, DEBUGCON_LEN, &debugcon_ops },
};

static struct bus *bus_of(const struct arch_platform *p, const struct range *r)
{
	return r->mmio ? p->cfg.mmio : p->cfg.pio;
}

/* NULL: this platform has no such device. */
static void *device_of(struct arch_platform *p, const struct bus_ops *ops)
{
	return ops == &ioapic_ops ? (void *)p->ioapic :
	       ops == &ged_ops    ? (void *)p->ged :
	       ops == &power_ops  ? (void *)&p->power :
	       ops == &serial_ops ? (void *)p->serial :
				    (void *)p->debugcon;
}

static int put_on_buses(struct arch_platform *p, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		const struct range *r = &ranges[i];
		void *dev = device_of(p, r->ops);
		int rc = dev ? bus_add(bus_of(p, r), r->base, r->len, r->ops, dev, e) : 0;

		if (rc < 0)
			return rc;
		p->on_bus++;
	}
	return 0;
}

static void take_off_buses(struct arch_platform *p)
{
	while (p->on_bus) {
		const struct range *r = &ranges[--p->on_bus];

		if (device_of(p, r->ops))
			bus_remove(bus_of(p, r), r->base);
	}
}

static int make_chips(struct arch_platform *p, struct err *e)
{
	int rc = ioapic_new(&p->ioapic, p->cfg.vm, e);

	p->power = (struct power){ .event = on_power, .arg = p };
	return rc < 0 ? rc : ged_new(&p->ged, ioapic_line(p->ioapic, X86_IRQ_GED), e);
}

/* A descriptor of our own, so that the caller keeps its when something fails later. */
static int dup_fd(int fd, int *ret, struct err *e)
{
	*ret = -1;
	if (fd < 0)
		return 0;
	*ret = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return *ret < 0 ? err_errno(e, errno, "cannot keep a descriptor") : 0;
}

static int make_serial(struct arch_platform *p, struct err *e)
{
	const struct arch_platform_cfg *c = &p->cfg;
	_cleanup_close_ int in = -1, out = -1;
	int rc;

	if (c->serial_in < 0 && c->serial_out < 0)
		return 0;
	rc = dup_fd(c->serial_in, &in, e);
	if (rc == 0)
		rc = dup_fd(c->serial_out, &out, e);
	if (rc == 0)
		rc = serial_new(&p->serial, in, out, c->loop, ioapic_line(p->ioapic, X86_IRQ_SERIAL),
				e);
	if (rc < 0)
		return rc;
	in = out = -1;
	return 0;
}

static int make_debugcon(struct arch_platform *p, struct err *e)
{
	_cleanup_close_ int out = -1;
	int rc;

	if (p->cfg.debug_out < 0)
		return 0;
	rc = dup_fd(p->cfg.debug_out, &out, e);
	if (rc == 0)
		rc = debugcon_new(&p->debugcon, out, p->cfg.loop, e);
	if (rc < 0)
		return rc;
	out = -1;
	return 0;
}

static void close_originals(const struct arch_platform_cfg *c)
{
	int fds[] = { c->serial_in, c->serial_out == c->serial_in ? -1 : c->serial_out,
		      c->debug_out };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		cleanup_closep(&fds[i]);
}

int arch_platform_new(struct arch_platform **ret, const struct arch_platform_cfg *cfg,
		      struct err *e)
{
	struct arch_platform *p = calloc(1, sizeof(*p));
	int rc;

	if (!p)
		return err_set(e, ENOMEM, "out of memory");
	p->cfg = *cfg;
	rc = make_chips(p, e);
	if (rc == 0)
		rc = make_serial(p, e);
	if (rc == 0)
		rc = make_debugcon(p, e);
	if (rc == 0)
		rc = put_on_buses(p, e);
	if (rc < 0) {
		arch_platform_free(p);
		return rc;
	}
	close_originals(cfg);
	*ret = p;
	return 0;
}

void arch_platform_free(struct arch_platform *p)
{
	if (!p)
		return;
	take_off_buses(p);
	debugcon_free(p->debugcon);
	serial_free(p->serial);
	ged_free(p->ged);
	ioapic_free(p->ioapic);
	free(p);
}

void arch_platform_power_button(struct arch_platform *p)
{
	ged_raise(p->ged, GED_POWER_BUTTON);
}

void arch_platform_eoi(struct arch_platform *p, uint8_t vector)
{
	ioapic_eoi(p->ioapic, vector);
}

int arch_platform_new_generation(struct arch_platform *p, const uint8_t guid[16], struct err *e)
{
	if (gmem_write(p->cfg.mem, gpa(X86_VMGENID), guid, 16) < 0)
		return err_set(e, EFAULT, "no memory for the generation id");
	ged_raise(p->ged, GED_VMGENID);
	return 0;
}

/* Tags, with room for each device to grow. */
enum { TAG_SERIAL_THERE = 1, TAG_IOAPIC = 16, TAG_GED = 32, TAG_SERIAL = 48 };

int arch_platform_save(struct arch_platform *p, struct snap_w *w, struct err *e)
{
	snap_w_u8(w, TAG_SERIAL_THERE, p->serial != NULL);
	ioapic_save(p->ioapic, w, TAG_IOAPIC);
	ged_save(p->ged, w, TAG_GED);
	if (p->serial)
		serial_save(p->serial, w, TAG_SERIAL);
	return w->failed ? err_set(e, ENOMEM, "no room for the platform's state") : 0;
}

int arch_platform_load(struct arch_platform *p, struct snap_r *r, struct err *e)
{
	uint8_t serial;
	int rc;

	if (snap_r_u8(r, TAG_SERIAL_THERE, &serial) < 0 || serial > 1)
		return err_set(e, EBADMSG, "state of the platform is malformed");
	if (!serial != !p->serial)
		return err_set(e, EINVAL, "the saved machine has %s serial port, this one has %s",
			       serial ? "a" : "no", serial ? "none" : "one");
	rc = ioapic_load(p->ioapic, r, TAG_IOAPIC, e);
	if (rc == 0)
		rc = ged_load(p->ged, r, TAG_GED, e);
	if (rc == 0 && p->serial)
		rc = serial_load(p->serial, r, TAG_SERIAL, e);
	return rc;
}
