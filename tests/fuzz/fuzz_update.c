// SPDX-License-Identifier: Apache-2.0
/* The file of update --resources: whatever is accepted becomes limits, and those pack for the agent. */
#include <stdlib.h>

#include "runtime/oci/update.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct oci_limits guest = OCI_LIMITS_INIT, host = OCI_LIMITS_INIT;
	struct buf out = BUF_INIT(4 << 20);
	struct oci_resources *r = NULL;
	struct err e = ERR_INIT;

	if (oci_resources_parse(&r, (const char *)data, size, "file", &e) < 0) {
		bug_on(!e.msg[0]);
		return 0;
	}
	if (oci_limits_guest(r, &guest, &e) == 0 && oci_limits_host(r, 256 << 20, &host, &e) == 0 &&
	    oci_pack_update(&guest, "id", true, &out, &e) < 0)
		bug_on(!e.msg[0]);
	oci_limits_free(&guest);
	oci_limits_free(&host);
	buf_free(&out);
	oci_resources_free(r);
	return 0;
}
