// SPDX-License-Identifier: Apache-2.0
#include "runtime/sandbox/choice.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "runtime/host/spawn.h"
#include "runtime/oci/vm.h"

#define FILE_NAME "config.json"

/* What the container's annotation is called in messages: "annotations: dev.husk.vcpus", or the field's own path. */
static const char *source(const char *from, char *out, size_t size)
{
	bool annotation = !strncmp(from, OCI_VM_ANNOTATION, strlen(OCI_VM_ANNOTATION));

	snprintf(out, size, FILE_NAME ": %s%s", annotation ? "annotations: " : "", from);
	return out;
}

static int choose_shape(struct sandbox_shape *ret, const struct oci_spec *s, const struct host_config *cfg,
			const struct oci_vm_wish *w, struct err *e)
{
	struct oci_resources res = s->res;
	struct sandbox_shape shape;
	char from[200];
	uint64_t all;

	oci_vm_pod(s, &res);
	shape = sandbox_shape(&res);
	all = shape.memory + shape.later;
	shape.vcpus = max_t(uint32_t, shape.vcpus, cfg->vcpus);
	shape.memory = max_t(uint64_t, shape.memory, cfg->memory);
	/* A limit is no request: it is met by less. */
	if (cfg->vcpus_max)
		shape.vcpus = min_t(uint32_t, shape.vcpus, cfg->vcpus_max);
	if (cfg->memory_max) {
		shape.memory = min_t(uint64_t, shape.memory, cfg->memory_max);
		all = min_t(uint64_t, all, cfg->memory_max);
	}
	shape.later = align_down64(all > shape.memory ? all - shape.memory : 0, NC_MEM_GRANULE);
	if (w->vcpus && cfg->vcpus_max && w->vcpus > cfg->vcpus_max)
		return err_set(e, EPERM, "%s: %u are more than the %u that %s allows",
			       source(w->vcpus_from, from, sizeof(from)), w->vcpus, cfg->vcpus_max, cfg->file);
	if (w->memory && cfg->memory_max && w->memory > cfg->memory_max)
		return err_set(e, EPERM, "%s: %llu MiB are more than the %llu MiB that %s allows",
			       source(w->memory_from, from, sizeof(from)), (unsigned long long)(w->memory >> 20),
			       (unsigned long long)(cfg->memory_max >> 20), cfg->file);
	shape.vcpus = w->vcpus ? w->vcpus : shape.vcpus;
	/* Who says how much a machine is to have gets that. */
	if (w->memory || cfg->memory_grow == HOST_CONFIG_NO)
		shape.later = 0;
	shape.memory = w->memory ? w->memory : shape.memory;
	*ret = shape;
	return 0;
}

static int check_allowed(const struct oci_spec *s, const struct host_config *cfg, struct err *e)
{
	for (size_t i = 0; i < s->n_annotations; i++) {
		const char *key = s->annotations[i].key;

		if (strncmp(key, OCI_VM_ANNOTATION, strlen(OCI_VM_ANNOTATION)) != 0 ||
		    !strcmp(key, OCI_VM_ANNOTATION "vcpus") || !strcmp(key, OCI_VM_ANNOTATION "memory") ||
		    host_config_allows(cfg, key))
			continue;
		return err_set(e, EPERM, FILE_NAME ": annotations: %s: not among the \"annotations\" that %s allows", key,
			       cfg->file);
	}
	return 0;
}

static int open_file(const struct host_config *cfg, const char *wish, const char *from, const char *configured,
		     const char *field, const char *env, int *ret, struct err *e)
{
	char what[200];

	if (*wish)
		return host_config_open(cfg, wish, source(from, what, sizeof(what)), ret, e);
	if (!*configured || (getenv(env) && *getenv(env)))
		return 0;
	*ret = open(configured, O_RDONLY | O_CLOEXEC);
	return *ret < 0 ? err_errno(e, errno, "%s: %s: %s", cfg->file, field, configured) : 0;
}

static int add_word(struct machine_choice *c, const char *text, struct err *e)
{
	size_t len = strlen(c->parameters);

	if ((size_t)snprintf(c->parameters + len, sizeof(c->parameters) - len, " %s", text) >=
	    sizeof(c->parameters) - len)
		return err_set(e, E2BIG, "the guest kernel's parameters are longer than %zu bytes",
			       sizeof(c->parameters));
	return 0;
}

static int choose_parameters(struct machine_choice *c, const struct oci_spec *s, const struct host_config *cfg,
			     const struct oci_vm_wish *w, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < cfg->kernel_parameters.n; i++)
		rc = add_word(c, cfg->kernel_parameters.v[i], e);
	for (size_t i = 0; rc == 0 && i < s->vm.parameters.n; i++)
		rc = add_word(c, s->vm.parameters.v[i], e);
	if (rc == 0 && *w->parameters)
		rc = add_word(c, w->parameters, e);
	return rc;
}

/* There is one hypervisor; a container may name it, for the sake of those who must name one. */
static int choose_program(struct machine_choice *c, const struct host_config *cfg, const struct oci_vm_wish *w,
			  struct err *e)
{
	char own[4096];
	int rc = 0;

	snprintf(c->program, sizeof(c->program), "%s", cfg->hypervisor);
	if (!*w->hypervisor)
		return 0;
	if (!*cfg->hypervisor)
		rc = spawn_find_program("husk-machine", own, sizeof(own), e);
	if (rc < 0)
		return rc;
	if (strcmp(w->hypervisor, *cfg->hypervisor ? cfg->hypervisor : own) != 0)
		return err_set(e, EPERM, FILE_NAME ": vm.hypervisor.path: %s is not the \"hypervisor\" of %s (%s)",
			       w->hypervisor, cfg->file, *cfg->hypervisor ? cfg->hypervisor : own);
	return 0;
}

/* Another kernel than husk's own would not wait until it needs the memory, but take all of it at its start. */
static void choose_growth(struct machine_choice *c, const struct host_config *cfg)
{
	if ((c->kernel >= 0 && cfg->memory_grow != HOST_CONFIG_YES) || (c->shape.later && !sandbox_may_reserve()))
		c->shape.later = 0;
}

int machine_choose(struct machine_choice *ret, const struct oci_spec *s, const struct host_config *cfg, struct err *e)
{
	struct oci_vm_wish w;
	int rc = oci_vm_wish(s, FILE_NAME, &w, e);

	if (rc == 0)
		rc = check_allowed(s, cfg, e);
	if (rc == 0)
		rc = choose_shape(&ret->shape, s, cfg, &w, e);
	if (rc == 0)
		rc = choose_program(ret, cfg, &w, e);
	if (rc == 0)
		rc = choose_parameters(ret, s, cfg, &w, e);
	ret->disks = rc == 0 ? w.disks : "";
	if (rc == 0)
		rc = open_file(cfg, w.kernel, w.kernel_from, cfg->kernel, "kernel", "HUSK_KERNEL", &ret->kernel,
			       e);
	if (rc == 0)
		rc = open_file(cfg, w.initramfs, w.initramfs_from, cfg->initramfs, "initramfs", "HUSK_INITRAMFS",
			       &ret->initramfs, e);
	if (rc == 0)
		choose_growth(ret, cfg);
	return rc;
}

void machine_choice_done(struct machine_choice *c)
{
	close_and_reset(&c->kernel);
	close_and_reset(&c->initramfs);
}
