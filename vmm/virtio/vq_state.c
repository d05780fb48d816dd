// SPDX-License-Identifier: Apache-2.0
/*
 * Save and load of a queue: one field of fixed length. With nothing in flight the two indices are
 * equal; both are kept so that a wrong file is noticed.
 */
#include <string.h>

#include "vmm/virtio/vq.h"

enum {
	VQ_S_READY = 1u << 0,
	VQ_S_EVENT_IDX = 1u << 1,
	VQ_S_INDIRECT = 1u << 2,
	VQ_S_SIGNALLED = 1u << 3,
	VQ_S_BROKEN = 1u << 4,
	VQ_S_ALL = 0x1f,
};

/* No padding: 40 bytes, little-endian as the host is (vq.c asserts it). */
struct saved {
	uint64_t desc, avail, used;
	uint32_t flags;
	uint16_t size, next_avail, next_used, signalled_used;
	uint32_t reserved;
};
_Static_assert(sizeof(struct saved) == 40, "saved queue");

void vq_save(const struct vq *q, struct snap_w *w, uint16_t tag)
{
	struct saved s;

	memset(&s, 0, sizeof(s));
	bug_on(q->in_flight);
	if (q->ready) {
		s = (struct saved){
			.desc = q->at.desc.v, .avail = q->at.avail.v, .used = q->at.used.v,
			.flags = VQ_S_READY, .size = q->at.size,
			.next_avail = q->next_avail, .next_used = q->next_used,
			.signalled_used = q->signalled_used,
		};
		s.flags |= q->at.event_idx ? VQ_S_EVENT_IDX : 0;
		s.flags |= q->at.indirect ? VQ_S_INDIRECT : 0;
		s.flags |= q->signalled_valid ? VQ_S_SIGNALLED : 0;
		s.flags |= q->broken ? VQ_S_BROKEN : 0;
	}
	snap_w_bytes(w, tag, &s, sizeof(s));
}

int vq_load(struct vq *q, struct snap_r *r, uint16_t tag, struct err *e)
{
	const void *p = NULL;
	struct saved s;
	size_t len = 0; /* stays when there is none, or it is too long */
	int rc;

	vq_reset(q);
	snap_r_bytes(r, tag, &p, &len, sizeof(s));
	if (len != sizeof(s))
		return err_set(e, EBADMSG, "queue state %#x missing or of wrong size", tag);
	memcpy(&s, p, sizeof(s));
	if ((s.flags & ~(uint32_t)VQ_S_ALL) || s.reserved || s.next_avail != s.next_used)
		return err_set(e, EBADMSG, "queue state %#x is inconsistent", tag);
	if (!(s.flags & VQ_S_READY))
		return 0;
	rc = vq_init(q, q->mem,
		     &(struct vq_layout){ .size = s.size, .desc = gpa(s.desc), .avail = gpa(s.avail),
					  .used = gpa(s.used), .event_idx = s.flags & VQ_S_EVENT_IDX,
					  .indirect = s.flags & VQ_S_INDIRECT }, e);
	if (rc < 0)
		return err_wrap(e, -EBADMSG, "queue state %#x", tag);
	q->next_avail = s.next_avail;
	q->next_used = s.next_used;
	q->avail_seen = s.next_avail;
	q->signalled_used = s.signalled_used;
	q->signalled_valid = s.flags & VQ_S_SIGNALLED;
	q->broken = s.flags & VQ_S_BROKEN;
	return 0;
}
