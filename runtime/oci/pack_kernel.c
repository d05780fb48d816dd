// SPDX-License-Identifier: Apache-2.0
/* What is asked of the guest's kernel for a process and for all of them, as the agent's messages. */
#include "runtime/oci/pack_internal.h"

#include <time.h>

static ProtobufCBinaryData set_bytes(const struct oci_set *set)
{
	return (ProtobufCBinaryData){ .len = set->len, .data = (uint8_t *)(uintptr_t)set->bits };
}

void pack_sched(struct packer *p, Husk__Agent__V1__Process *m, const struct oci_process *from)
{
	Husk__Agent__V1__Scheduler *s = take(p, 1, sizeof(*s));
	Husk__Agent__V1__IoPriority *io = take(p, 1, sizeof(*io));
	Husk__Agent__V1__CpuAffinity *cpus = take(p, 1, sizeof(*cpus));

	if (p->failed)
		return;
	if (from->scheduler.present) {
		husk__agent__v1__scheduler__init(s);
		s->policy = from->scheduler.policy;
		s->nice = from->scheduler.nice;
		s->priority = from->scheduler.priority;
		s->flags = from->scheduler.flags;
		s->runtime = from->scheduler.runtime;
		s->deadline = from->scheduler.deadline;
		s->period = from->scheduler.period;
		m->scheduler = s;
	}
	if (from->io_priority.class) {
		husk__agent__v1__io_priority__init(io);
		io->class_ = from->io_priority.class;
		io->priority = from->io_priority.priority;
		m->io_priority = io;
	}
	if (from->initial_cpus.len || from->final_cpus.len) {
		husk__agent__v1__cpu_affinity__init(cpus);
		cpus->initial = set_bytes(&from->initial_cpus);
		cpus->final = set_bytes(&from->final_cpus);
		m->cpu_affinity = cpus;
	}
}

Husk__Agent__V1__IdMapping **pack_mappings(struct packer *p, const struct oci_id_mapping *from,
					   size_t n)
{
	Husk__Agent__V1__IdMapping **list =
		MESSAGES(p, n, Husk__Agent__V1__IdMapping, husk__agent__v1__id_mapping);

	for (size_t i = 0; list && i < n; i++) {
		list[i]->container_id = from[i].container_id;
		list[i]->host_id = from[i].host_id;
		list[i]->size = from[i].size;
	}
	return list;
}

static void add_time_offsets(struct packer *p, Husk__Agent__V1__Container *m,
			     const struct oci_spec *s)
{
	const struct {
		uint32_t clock;
		const struct oci_time_offset *o;
	} list[] = { { CLOCK_MONOTONIC, &s->monotonic }, { CLOCK_BOOTTIME, &s->boottime } };

	m->time_offsets = MESSAGES(p, ARRAY_SIZE(list), Husk__Agent__V1__TimeOffset,
				   husk__agent__v1__time_offset);
	for (size_t i = 0; m->time_offsets && i < ARRAY_SIZE(list); i++) {
		Husk__Agent__V1__TimeOffset *to = m->time_offsets[m->n_time_offsets];

		if (!list[i].o->present)
			continue;
		to->clock = list[i].clock;
		to->secs = list[i].o->secs;
		to->nanosecs = list[i].o->nanosecs;
		m->n_time_offsets++;
	}
}

void pack_kernel(struct packer *p, Husk__Agent__V1__Container *m, const struct oci_spec *s)
{
	Husk__Agent__V1__Seccomp *filter = take(p, 1, sizeof(*filter));
	Husk__Agent__V1__MemoryPolicy *policy = take(p, 1, sizeof(*policy));

	if (s->seccomp.present) {
		/* A container without the filter that was asked for must not come about. */
		bug_on(!s->seccomp.filter_len);
		if (!filter)
			return;
		husk__agent__v1__seccomp__init(filter);
		filter->filter = (ProtobufCBinaryData){ .len = s->seccomp.filter_len,
							.data = s->seccomp.filter };
		filter->flags = s->seccomp.flags;
		m->seccomp = filter;
	}
	if (s->memory_policy.present && policy) {
		husk__agent__v1__memory_policy__init(policy);
		policy->mode = s->memory_policy.mode;
		policy->nodes = set_bytes(&s->memory_policy.nodes);
		m->memory_policy = policy;
	}
	m->uid_mappings = pack_mappings(p, s->uid_mappings, s->n_uid_mappings);
	m->n_uid_mappings = s->n_uid_mappings;
	m->gid_mappings = pack_mappings(p, s->gid_mappings, s->n_gid_mappings);
	m->n_gid_mappings = s->n_gid_mappings;
	add_time_offsets(p, m, s);
	m->has_personality = s->has_personality;
	m->personality = s->personality;
}
