/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a container asks of its machine: the "vm" object of config.json (config-vm.md) and the annotations dev.husk.*. Read and
 * checked here as far as that goes without the operator's configuration (runtime/sandbox/choice.h does the rest).
 */
#ifndef RUNTIME_OCI_VM_H
#define RUNTIME_OCI_VM_H

#include "lib/err.h"

struct oci_spec;

#define OCI_VM_MAX_VCPUS   64
#define OCI_VM_MIN_MEMORY  (UINT64_C(128) << 20) /* what a guest needs to come up */
#define OCI_VM_MAX_MEMORY  (UINT64_C(1) << 40)
#define OCI_VM_ANNOTATION  "dev.husk."

/* "536870912", "512M", "1G": bytes, rounded up to the 2 MiB that machines are made of. -EINVAL. */
int oci_vm_memory(const char *text, uint64_t *ret);
/* One parameter for a guest kernel's command line: printable, without white space or quotes; none of husk's own ("husk."),
 * and not "--", behind which come arguments of the agent's. */
bool oci_kernel_parameter_ok(const char *text);
/* Whether "dev.husk.x" is one that husk knows. */
bool oci_vm_annotation_known(const char *name);

/* What was asked for; "" and 0: nothing. Strings are the spec's. */
struct oci_vm_wish {
	uint32_t vcpus;
	uint64_t memory; /* bytes */
	const char *kernel, *initramfs, *hypervisor;
	const char *parameters; /* of the annotation: separated by spaces */
	const char *disks;      /* likewise: raw files that become devices (runtime/container/disks_annotated.h) */
	/* The field or annotation that each came from, for messages. */
	const char *vcpus_from, *memory_from, *kernel_from, *initramfs_from;
	bool kernel_annotated, initramfs_annotated; /* by an annotation, which must be allowed */
};

/* The limits of all containers of the pod whose first one @s is, into *res (@s's own, which win), where its engine says them:
 * containerd's io.kubernetes.cri.sandbox-memory, -cpu-quota and -cpu-period. */
struct oci_resources;
void oci_vm_pod(const struct oci_spec *s, struct oci_resources *res);

/* An annotation goes before the same thing in "vm". Unknown dev.husk.* are refused by name. @file: for messages. */
int oci_vm_wish(const struct oci_spec *s, const char *file, struct oci_vm_wish *ret, struct err *e);

#endif
