// SPDX-License-Identifier: Apache-2.0
/* The operator's configuration: what is accepted keeps its promises. */
#include <stdlib.h>

#include "runtime/host/config.h"
#include "runtime/oci/vm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = ERR_INIT;
	struct host_config c;

	if (host_config_parse(&c, (const char *)data, size, "config", &e) < 0) {
		if (!e.msg[0])
			abort();
		return 0;
	}
	if (c.vcpus > OCI_VM_MAX_VCPUS || (c.memory_max && c.memory > c.memory_max))
		abort();
	for (size_t i = 0; i < c.kernel_parameters.n; i++)
		if (!oci_kernel_parameter_ok(c.kernel_parameters.v[i]))
			abort();
	host_config_done(&c);
	return 0;
}
