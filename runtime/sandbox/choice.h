/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which machine a container gets: what it asks for (runtime/oci/vm.h), within what the operator's configuration allows, on what
 * its limits need. Later ones win: the installation's defaults, the configuration, the "vm" object, annotations.
 */
#ifndef RUNTIME_SANDBOX_CHOICE_H
#define RUNTIME_SANDBOX_CHOICE_H

#include "runtime/host/config.h"
#include "runtime/sandbox/sandbox.h"

/* Checks all of it, sets @ret's shape and parameters, and opens kernel and initramfs where they are not the
 * installation's own (else -1). Messages begin with config.json or the configuration's name. */
struct machine_choice {
	struct sandbox_shape shape;
	int kernel, initramfs;
	char parameters[2048]; /* each with a space before it */
	const char *disks; /* the spec's: what an annotation that is allowed asks for; "": nothing */
	char program[4096]; /* husk-machine; "": the installation's */
};
#define MACHINE_CHOICE_INIT { .kernel = -1, .initramfs = -1 }

int machine_choose(struct machine_choice *ret, const struct oci_spec *s, const struct host_config *cfg, struct err *e);
void machine_choice_done(struct machine_choice *c);

#endif
