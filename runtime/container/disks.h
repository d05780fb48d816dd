/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block devices of the host that a container is given: "linux.devices" entries that a rule of
 * "linux.resources.devices" allows by their very numbers (a rule for all devices, which is what engines write for
 * privileged containers beside entries for all devices, hands out no disk), and sources of bind mounts that any rule
 * allows, since whoever writes such a mount means that device. Each becomes a disk of the machine; the guest has it under
 * numbers of its own, and the rules follow.
 */
#ifndef RUNTIME_CONTAINER_DISKS_H
#define RUNTIME_CONTAINER_DISKS_H

#include "runtime/oci/spec.h"
#include "runtime/sandbox/sandbox.h"

/* Opens them for @s, and notes in @spec which is which. A device that the host does not have, or without a medium,
 * is passed over. @bundle: where sources of mounts are looked up. *ret_rules: memory that @spec refers to then, the
 * caller's to free after it; NULL: none. Messages begin with the file's name. */
int disks_open(struct sandbox *s, struct oci_spec *spec, int bundle, struct oci_device_rule **ret_rules, struct err *e);

/* Notes them in the container's folder (device_list.h), so that they can be taken away while it runs. */
int disks_note(const struct oci_spec *spec, int dir, struct err *e);

/* For tests: "rw", "r" or "" as the rules allow @major:@minor, by its numbers or (@meant) whatever way. */
const char *disks_access(const struct oci_resources *res, int64_t major, int64_t minor, bool meant);
/* Likewise: whether any entry or mount of @spec, whose sources have been looked up, lets @major:@minor be written. */
bool disks_written(const struct oci_spec *spec, int64_t major, int64_t minor);

#endif
