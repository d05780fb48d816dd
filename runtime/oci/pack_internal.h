/* SPDX-License-Identifier: Apache-2.0 */
/* For pack.c and pack_kernel.c. */
#ifndef RUNTIME_OCI_PACK_INTERNAL_H
#define RUNTIME_OCI_PACK_INTERNAL_H

#include "agent-proto/proto/agent.pb-c.h"
#include "runtime/oci/field.h"

/* First failure sticks; the caller looks once at the end. */
struct packer {
	struct oci_pool pool;
	bool failed;
};

static inline void *take(struct packer *p, size_t n, size_t size)
{
	void *mem = oci_pool_alloc(&p->pool, n ? n : 1, size);

	if (!mem)
		p->failed = true;
	return mem;
}

/* protobuf-c has no const; what we give it is only read. */
static inline char *str(const char *s)
{
	return (char *)(uintptr_t)s;
}

/* An array of @n pointers to initialised messages of one type. */
static inline void **messages(struct packer *p, size_t n, size_t size,
		       const ProtobufCMessageDescriptor *type)
{
	void **list = take(p, n, sizeof(void *));
	char *mem = take(p, n, size);

	if (!list || !mem)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		list[i] = mem + i * size;
		protobuf_c_message_init(type, list[i]);
	}
	return list;
}

#define MESSAGES(p, n, type, lower)                                                    \
	((type **)messages(p, n, sizeof(type), &lower##__descriptor))

/* Scheduler, I/O priority, CPUs of a process. */
Husk__Agent__V1__IdMapping **pack_mappings(struct packer *p, const struct oci_id_mapping *from,
					   size_t n);
void pack_sched(struct packer *p, Husk__Agent__V1__Process *m, const struct oci_process *from);
/* Seccomp, id mappings, time offsets, personality, memory policy. */
void pack_kernel(struct packer *p, Husk__Agent__V1__Container *m, const struct oci_spec *s);

#endif
