// SPDX-License-Identifier: Apache-2.0
/* config.json: whatever is accepted also packs for the agent, its seccomp profile compiled. */
#include <stdlib.h>

#include "lib/log.h"
#include "runtime/oci/limits.h"
#include "runtime/oci/spec.h"
#include "runtime/oci/vm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf out = BUF_INIT(4 << 20);
	const struct oci_pack_streams st = { .in = 1, .out = 2, .err = 3 };
	const struct oci_pack_state state = { "{\"pid\":", "}" };
	struct err e = ERR_INIT;
	struct oci_vm_wish wish;
	struct oci_spec *s;
	struct oci_limits limits;
	const struct oci_pack_disk disk = { .serial = "" };
	const struct oci_pack_source root = { .type = "bind", .name = "s0" };
	struct oci_pack_source *src;

	log_open(2, LOG_TEXT, LOG_ERR, "fuzz"); /* no word of each unknown capability */
	if (oci_spec_parse(&s, (const char *)data, size, "config.json", &e) < 0) {
		if (!e.msg[0])
			abort();
		return 0;
	}
	if (oci_seccomp_compile(s, &e) < 0) {
		if (!e.msg[0])
			abort();
		oci_spec_free(s);
		return 0;
	}
	if (oci_vm_wish(s, "config.json", &wish, &e) == 0 &&
	    (wish.vcpus > OCI_VM_MAX_VCPUS || (wish.memory && wish.memory < OCI_VM_MIN_MEMORY)))
		abort();
	src = calloc(s->n_mounts + 1, sizeof(*src));
	for (size_t i = 0; src && i < s->n_mounts; i++)
		src[i].name = "m0";
	if (src && oci_pack_create(s, "id", &root, &disk, src, &st, &state, &out, &e) == 0 && !out.len)
		abort();
	if (oci_limits_host(&s->res, 1 << 28, &limits, &e) < 0 && !e.msg[0])
		abort();
	oci_limits_free(&limits);
	free(src);
	buf_free(&out);
	oci_spec_free(s);
	return 0;
}
