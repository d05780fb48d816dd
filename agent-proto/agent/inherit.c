// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/inherit.h"

#include "agent-proto/agent/message.h"

Husk__Agent__V1__Container *inherit_keep(const Husk__Agent__V1__Container *ct)
{
	Husk__Agent__V1__Process proc = *ct->process;
	Husk__Agent__V1__Container part;

	proc.n_args = proc.n_env = 0;
	proc.streams = NULL;
	husk__agent__v1__container__init(&part);
	part.process = &proc;
	part.seccomp = ct->seccomp;
	part.uid_mappings = ct->uid_mappings;
	part.n_uid_mappings = ct->n_uid_mappings;
	part.gid_mappings = ct->gid_mappings;
	part.n_gid_mappings = ct->n_gid_mappings;
	part.has_personality = ct->has_personality;
	part.personality = ct->personality;
	part.memory_policy = ct->memory_policy;
	part.device_rules = ct->device_rules; /* disks that come later add to them */
	part.n_device_rules = ct->n_device_rules;
	part.devices = ct->devices; /* which say what of the default ones is left to the rules */
	part.n_devices = ct->n_devices;
	return message_copy(&part.base);
}

void inherit_fill(const Husk__Agent__V1__Process *p, const Husk__Agent__V1__Container *kept,
		  Husk__Agent__V1__Process *out, Husk__Agent__V1__User *user)
{
	const Husk__Agent__V1__Process *d = kept->process;

	*out = *p;
	if (!p->capabilities)
		out->capabilities = d->capabilities;
	if (!p->n_rlimits) {
		out->n_rlimits = d->n_rlimits;
		out->rlimits = d->rlimits;
	}
	if (!p->has_oom_score_adj) {
		out->has_oom_score_adj = d->has_oom_score_adj;
		out->oom_score_adj = d->oom_score_adj;
	}
	if (!p->scheduler)
		out->scheduler = d->scheduler;
	if (!p->io_priority)
		out->io_priority = d->io_priority;
	if (!p->cpu_affinity)
		out->cpu_affinity = d->cpu_affinity;
	husk__agent__v1__user__init(user);
	if (p->user)
		*user = *p->user;
	if (!user->has_umask && d->user) {
		user->has_umask = d->user->has_umask;
		user->umask = d->user->umask;
	}
	out->user = user;
}
