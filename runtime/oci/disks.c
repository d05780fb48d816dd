// SPDX-License-Identifier: Apache-2.0
#include "runtime/oci/disks.h"

#include "agent-proto/proto/agent.pb-c.h"
#include "agent-proto/proto/limits.h"

/* The library's structs lack the const that its functions keep. */
static char *str(const char *s)
{
	return (char *)(uintptr_t)s;
}

int oci_pack_disks(const struct oci_disk *d, size_t n, bool remove, const char *container_id, struct buf *out, struct err *e)
{
	Husk__Agent__V1__DiskDevice one[AGENT_MAX_DISKS], *list[AGENT_MAX_DISKS];
	Husk__Agent__V1__UpdateDisksRequest m;
	void *p;

	if (n > AGENT_MAX_DISKS)
		return err_set(e, E2BIG, "more than %d devices at a time", AGENT_MAX_DISKS);
	for (size_t i = 0; i < n; i++) {
		husk__agent__v1__disk_device__init(&one[i]);
		one[i].disk = str(d[i].disk);
		one[i].path = str(d[i].path);
		one[i].access = str(d[i].access);
		one[i].mode = d[i].mode;
		one[i].uid = d[i].uid;
		one[i].gid = d[i].gid;
		list[i] = &one[i];
	}
	husk__agent__v1__update_disks_request__init(&m);
	m.container_id = str(container_id);
	if (remove) {
		m.remove = list;
		m.n_remove = n;
	} else {
		m.add = list;
		m.n_add = n;
	}
	n = husk__agent__v1__update_disks_request__get_packed_size(&m);
	p = buf_reserve(out, n);
	if (!p)
		return err_set(e, E2BIG, "the paths of these devices are too long for one update");
	husk__agent__v1__update_disks_request__pack(&m, p);
	buf_commit(out, n);
	return 0;
}
