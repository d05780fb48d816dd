// SPDX-License-Identifier: Apache-2.0
/*
 * Model-specific registers of a vCPU, all that KVM lists (its own, 0x4b564d00 …, among them), saved as
 * pairs of index and value. The time stamp counter is a group of its own: written as an MSR within a
 * second of the machine's start it is taken for a synchronisation and lands somewhere else.
 */
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>
#include "vmm/hv/kvm/kvm.h"

#define MSR_IA32_TSC          0x10
#define MSR_IA32_TSC_DEADLINE 0x6e0
#define BATCH                 128 /* KVM takes 256 at a time */

struct batch {
	struct kvm_msrs head;
	struct kvm_msr_entry entry[BATCH];
};

static int read_list(struct kvm_hv *h, struct err *e)
{
	struct {
		struct kvm_msr_list head;
		uint32_t index[KVM_MSRS_MAX];
	} l = { .head.nmsrs = KVM_MSRS_MAX };
	size_t n = 0;

	if (h->nmsrs)
		return 0;
	if (ioctl(h->fd, KVM_GET_MSR_INDEX_LIST, &l) < 0)
		return err_errno(e, errno, "KVM does not list its registers");
	for (size_t i = 0; i < l.head.nmsrs; i++)
		if (l.index[i] != MSR_IA32_TSC)
			h->msrs[n++] = l.index[i];
	h->nmsrs = n;
	return 0;
}

static bool listed(const struct kvm_hv *h, uint64_t index)
{
	for (size_t i = 0; i < h->nmsrs; i++)
		if (h->msrs[i] == index)
			return true;
	return false;
}

/* Reads what is in @b; entries that this guest's CPUID leaves without register are dropped. */
static int get_batch(struct kvm_vcpu *c, struct batch *b, struct err *e)
{
	uint32_t left = b->head.nmsrs, done = 0;

	while (done < left) {
		struct batch t = { .head.nmsrs = left - done };
		int got;

		memcpy(t.entry, b->entry + done, t.head.nmsrs * sizeof(t.entry[0]));
		got = ioctl(c->fd, KVM_GET_MSRS, &t);
		if (got < 0)
			return err_errno(e, errno, "cannot read MSRs of vCPU %u", c->vcpu.index);
		memcpy(b->entry + done, t.entry, (size_t)got * sizeof(t.entry[0]));
		done += (uint32_t)got;
		if (done < left) {
			left--;
			memmove(b->entry + done, b->entry + done + 1,
				(left - done) * sizeof(b->entry[0]));
		}
	}
	b->head.nmsrs = left;
	return 0;
}

ssize_t kvm_msrs_get(struct kvm_vcpu *c, void *dst, size_t size, struct err *e)
{
	struct kvm_hv *h = to_hv(c->vcpu.vm->hv);
	uint8_t *out = dst;
	size_t len = 0;
	int rc = read_list(h, e);

	for (size_t at = 0; rc == 0 && at < h->nmsrs; at += BATCH) {
		struct batch b = { .head.nmsrs = min_t(uint32_t, BATCH, h->nmsrs - at) };

		for (uint32_t i = 0; i < b.head.nmsrs; i++)
			b.entry[i].index = h->msrs[at + i];
		rc = get_batch(c, &b, e);
		for (uint32_t i = 0; rc == 0 && i < b.head.nmsrs; i++) {
			uint64_t pair[2] = { b.entry[i].index, b.entry[i].data };

			/* A timer that has expired but not yet interrupted reads as off, and would
			 * be lost: one interrupt too many is better. */
			if (pair[0] == MSR_IA32_TSC_DEADLINE && !pair[1])
				pair[1] = kvm_guest_tsc(c);
			if (!range_within(len, sizeof(pair), size))
				return err_set(e, ENOSPC, "no room for the MSRs");
			memcpy(out + len, pair, sizeof(pair));
			len += sizeof(pair);
		}
	}
	return rc < 0 ? rc : (ssize_t)len;
}

/* A register that is not there may be left at zero. */
static int set_batch(struct kvm_vcpu *c, const struct batch *b, struct err *e)
{
	uint32_t done = 0;

	while (done < b->head.nmsrs) {
		struct batch t = { .head.nmsrs = b->head.nmsrs - done };
		int got;

		memcpy(t.entry, b->entry + done, t.head.nmsrs * sizeof(t.entry[0]));
		got = ioctl(c->fd, KVM_SET_MSRS, &t);
		if (got < 0)
			return err_errno(e, errno, "cannot write MSRs of vCPU %u", c->vcpu.index);
		done += (uint32_t)got;
		if (done == b->head.nmsrs)
			break;
		if (b->entry[done].data)
			return err_set(e, EINVAL, "KVM refuses MSR %#x = %#jx",
				       b->entry[done].index, (uintmax_t)b->entry[done].data);
		done++;
	}
	return 0;
}

int kvm_msrs_set(struct kvm_vcpu *c, const void *src, size_t len, struct err *e)
{
	struct kvm_hv *h = to_hv(c->vcpu.vm->hv);
	const uint8_t *in = src;
	struct batch b = { .head.nmsrs = 0 };
	int rc = read_list(h, e);

	if (rc == 0 && (len % 16 || len / 16 > KVM_MSRS_MAX))
		return err_set(e, EBADMSG, "MSRs in %zu bytes", len);
	for (size_t at = 0; rc == 0 && at < len; at += 16) {
		uint64_t pair[2];

		memcpy(pair, in + at, sizeof(pair));
		if (!listed(h, pair[0]))
			return err_set(e, EBADMSG, "this host has no MSR %#jx", (uintmax_t)pair[0]);
		b.entry[b.head.nmsrs++] =
			(struct kvm_msr_entry){ .index = (uint32_t)pair[0], .data = pair[1] };
		if (b.head.nmsrs == BATCH || at + 16 == len) {
			rc = set_batch(c, &b, e);
			b.head.nmsrs = 0;
		}
	}
	return rc;
}
