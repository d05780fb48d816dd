// SPDX-License-Identifier: Apache-2.0
#include "runtime/oci/vm.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/oci/field.h"

int oci_vm_memory(const char *text, uint64_t *ret)
{
	static const struct {
		const char *name;
		unsigned shift;
	} units[] = { { "", 0 }, { "K", 10 }, { "M", 20 }, { "G", 30 } };
	unsigned long long n;
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	n = strtoull(text, &end, 10);
	for (size_t i = 0; !errno && i < ARRAY_SIZE(units); i++) {
		if (strcmp(end, units[i].name) != 0)
			continue;
		if (n > OCI_VM_MAX_MEMORY >> units[i].shift)
			return -EINVAL;
		n <<= units[i].shift;
		if (n < OCI_VM_MIN_MEMORY)
			return -EINVAL;
		*ret = align_up64(n, MIB(2));
		return 0;
	}
	return -EINVAL;
}

bool oci_kernel_parameter_ok(const char *text)
{
	if (!*text || !strcmp(text, "--") || !strncmp(text, "husk.", 5))
		return false;
	for (; *text; text++)
		if (*text <= ' ' || *text > '~' || *text == '"' || *text == '\'')
			return false;
	return true;
}

/* ---- "vm" ---------------------------------------------------------------------------------------- */

static int read_parameters(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_strv *list = dst;
	int rc = oci_read_strv(c, v, list);

	for (size_t i = 0; rc == 0 && i < list->n; i++)
		if (!oci_kernel_parameter_ok(list->v[i]))
			rc = oci_fail(c, v->items[i], "\"%.40s\" is not one kernel parameter of a container's",
				      list->v[i]);
	return rc;
}

int oci_read_vcpus(struct oci_ctx *c, const struct json *v, void *dst)
{
	int rc = oci_read_u32(c, v, dst);

	if (rc == 0 && (*(uint32_t *)dst < 1 || *(uint32_t *)dst > OCI_VM_MAX_VCPUS))
		return oci_fail(c, v, "%.40s is not between 1 and %d", v->str, OCI_VM_MAX_VCPUS);
	return rc;
}

static int read_memory(struct oci_ctx *c, const struct json *v, void *dst)
{
	if (v->type != JSON_NUMBER || oci_vm_memory(v->str, dst) < 0)
		return oci_fail(c, v, "must be a number of bytes, from %llu up",
				(unsigned long long)OCI_VM_MIN_MEMORY);
	return 0;
}

const struct oci_field oci_vm_hypervisor_fields[] = {
	OCI_REQUIRED("path", OCI_HOST, struct oci_vm, hypervisor, oci_read_abspath),
	OCI_REFUSE("parameters"),
	OCI_END,
};
/* The image is a disk of the machine, not a place that the host looks into: its format is what is said here. */
static int read_format(struct oci_ctx *c, const struct json *v, void *dst)
{
	static const char *const others[] = { "qcow2", "vdi", "vmdk", "vhd" };
	const char *format;
	int rc = oci_read_str(c, v, &format);

	(void)dst;
	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(others); i++)
		if (strcmp(format, others[i]) == 0)
			return oci_fail(c, v, "%s is not supported, raw is", format);
	if (rc == 0 && strcmp(format, "raw") != 0)
		return oci_fail(c, v, "\"%.40s\" is not raw", format);
	return rc;
}

const struct oci_field oci_vm_image_fields[] = {
	OCI_REQUIRED("path", OCI_HOST, struct oci_vm, image, oci_read_abspath),
	OCI_REQUIRED_WHOLE("format", OCI_HOST, read_format),
	OCI_END,
};
const struct oci_field oci_vm_kernel_fields[] = {
	OCI_REQUIRED("path", OCI_HOST, struct oci_vm, kernel, oci_read_abspath),
	OCI_FIELD("parameters", OCI_GUEST, struct oci_vm, parameters, read_parameters),
	OCI_FIELD("initrd", OCI_HOST, struct oci_vm, initrd, oci_read_abspath),
	OCI_END,
};
const struct oci_field oci_vm_hw_fields[] = {
	OCI_FIELD("vcpus", OCI_HOST, struct oci_vm, vcpus, oci_read_vcpus),
	OCI_FIELD("memory", OCI_HOST, struct oci_vm, memory, read_memory),
	OCI_REFUSE("deviceTree"),
	OCI_REFUSE("dtdevs"),
	OCI_REFUSE("iomems"),
	OCI_REFUSE("irqs"),
	OCI_END,
};

static int read_hypervisor(struct oci_ctx *c, const struct json *v, void *dst)
{
	return oci_read_object(c, v, oci_vm_hypervisor_fields, dst);
}

static int read_kernel(struct oci_ctx *c, const struct json *v, void *dst)
{
	return oci_read_object(c, v, oci_vm_kernel_fields, dst);
}

static int read_image(struct oci_ctx *c, const struct json *v, void *dst)
{
	return oci_read_object(c, v, oci_vm_image_fields, dst);
}

static int read_hw(struct oci_ctx *c, const struct json *v, void *dst)
{
	return oci_read_object(c, v, oci_vm_hw_fields, dst);
}

const struct oci_field oci_vm_fields[] = {
	OCI_WHOLE("hypervisor", OCI_HOST, read_hypervisor),
	OCI_WHOLE("kernel", OCI_HOST, read_kernel),
	OCI_WHOLE("image", OCI_HOST, read_image),
	OCI_WHOLE("hwConfig", OCI_HOST, read_hw),
	OCI_WHOLE("hwconfig", OCI_HOST, read_hw), /* what the specification's own Go types write */
	OCI_END,
};

int oci_read_vm(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_vm *vm = dst;
	int rc = oci_read_object(c, v, oci_vm_fields, dst);

	vm->present = true;
	/* Who wants an image alone need not know where the installation's kernel is. */
	if (rc == 0 && !vm->kernel && !vm->image)
		return oci_fail(c, v, "kernel is missing");
	return rc;
}

/* ---- annotations --------------------------------------------------------------------------------- */

struct taker {
	struct oci_vm_wish *w;
	const char *key, *value;
};

static int take_vcpus(const struct taker *t)
{
	char *end;
	unsigned long n = strtoul(t->value, &end, 10);

	if (*t->value < '0' || *t->value > '9' || *end || n < 1 || n > OCI_VM_MAX_VCPUS)
		return -EINVAL;
	t->w->vcpus = (uint32_t)n;
	t->w->vcpus_from = t->key;
	return 0;
}

static int take_memory(const struct taker *t)
{
	t->w->memory_from = t->key;
	return oci_vm_memory(t->value, &t->w->memory);
}

static int take_kernel(const struct taker *t)
{
	t->w->kernel = t->value;
	t->w->kernel_from = t->key;
	t->w->kernel_annotated = true;
	return *t->value == '/' ? 0 : -EINVAL;
}

static int take_initramfs(const struct taker *t)
{
	t->w->initramfs = t->value;
	t->w->initramfs_from = t->key;
	t->w->initramfs_annotated = true;
	return *t->value == '/' ? 0 : -EINVAL;
}

static int take_disks(const struct taker *t)
{
	t->w->disks = t->value;
	return t->value[strspn(t->value, " ")] ? 0 : -EINVAL;
}

static int take_parameters(const struct taker *t)
{
	char copy[1024], *rest = copy, *word;

	if (strlen(t->value) >= sizeof(copy))
		return -EINVAL;
	strcpy(copy, t->value);
	while ((word = strsep(&rest, " ")))
		if (*word && !oci_kernel_parameter_ok(word))
			return -EINVAL;
	t->w->parameters = t->value;
	return 0;
}

static const struct {
	const char *name, *what;
	int (*take)(const struct taker *t);
} annotations[] = {
	{ OCI_VM_ANNOTATION "vcpus", "a number from 1 to 64", take_vcpus },
	{ OCI_VM_ANNOTATION "memory", "bytes, or a number with K, M or G, from 128M up", take_memory },
	{ OCI_VM_ANNOTATION "kernel", "an absolute path", take_kernel },
	{ OCI_VM_ANNOTATION "initramfs", "an absolute path", take_initramfs },
	{ OCI_VM_ANNOTATION "disks", "FILE:PATH[:ACCESS], several separated by spaces", take_disks },
	{ OCI_VM_ANNOTATION "kernel_parameters", "kernel parameters separated by spaces, none of husk's own",
	  take_parameters },
};

bool oci_vm_annotation_known(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(annotations); i++)
		if (!strcmp(annotations[i].name, name))
			return true;
	return false;
}

static int take_annotation(struct oci_vm_wish *w, const struct oci_pair *a, const char *file, struct err *e)
{
	const struct taker t = { .w = w, .key = a->key, .value = a->value };

	for (size_t i = 0; i < ARRAY_SIZE(annotations); i++) {
		if (strcmp(annotations[i].name, a->key) != 0)
			continue;
		if (annotations[i].take(&t) < 0)
			return err_set(e, EINVAL, "%s: annotations: %s: \"%.60s\" is not %s", file, a->key, a->value,
				       annotations[i].what);
		return 0;
	}
	return err_set(e, EINVAL, "%s: annotations: %.80s: there is no such annotation of husk's", file, a->key);
}

int oci_vm_wish(const struct oci_spec *s, const char *file, struct oci_vm_wish *ret, struct err *e)
{
	const struct oci_vm *vm = &s->vm;
	struct oci_vm_wish w = { .vcpus = vm->vcpus,
				 .memory = vm->memory,
				 .kernel = vm->kernel ? vm->kernel : "",
				 .initramfs = vm->initrd ? vm->initrd : "",
				 .hypervisor = vm->hypervisor ? vm->hypervisor : "",
				 .parameters = "",
				 .disks = "",
				 .vcpus_from = "vm.hwConfig.vcpus",
				 .memory_from = "vm.hwConfig.memory",
				 .kernel_from = "vm.kernel.path",
				 .initramfs_from = "vm.kernel.initrd" };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < s->n_annotations; i++)
		if (!strncmp(s->annotations[i].key, OCI_VM_ANNOTATION, strlen(OCI_VM_ANNOTATION)))
			rc = take_annotation(&w, &s->annotations[i], file, e);
	if (rc == 0)
		*ret = w;
	return rc;
}

/* ---- a pod ------------------------------------------------------------------------------------------------ */

#define CRI "io.kubernetes.cri."

static const char *cri_value(const struct oci_spec *s, const char *key)
{
	for (size_t i = 0; i < s->n_annotations; i++)
		if (strcmp(s->annotations[i].key, key) == 0)
			return s->annotations[i].value;
	return "";
}

/* 0: none, or nothing that is a number. */
static int64_t cri_number(const struct oci_spec *s, const char *key)
{
	const char *text = cri_value(s, key);
	char *end;
	long long n;

	errno = 0;
	n = strtoll(text, &end, 10);
	return errno || *end || n < 0 ? 0 : n;
}

void oci_vm_pod(const struct oci_spec *s, struct oci_resources *res)
{
	int64_t memory = cri_number(s, CRI "sandbox-memory"), quota = cri_number(s, CRI "sandbox-cpu-quota");

	if (strcmp(cri_value(s, CRI "container-type"), "sandbox") != 0)
		return;
	if (!res->has_memory_limit && memory) {
		res->has_memory_limit = true;
		res->memory_limit = memory;
	}
	if (!res->has_cpu_quota && quota) {
		res->has_cpu_quota = res->has_cpu_period = true;
		res->cpu_quota = quota;
		res->cpu_period = (uint64_t)cri_number(s, CRI "sandbox-cpu-period");
	}
}
