// SPDX-License-Identifier: Apache-2.0
/* The client's calls about networks, and about devices that come and go. */
#include <string.h>

#include "vmm/control/native_client_internal.h"

int ncl_net_attach(struct ncl *c, const char *device, const int *taps, size_t ntaps,
		   const uint8_t *mac, uint16_t mtu, uint32_t flags, int timeout_ms, struct err *e)
{
	struct nc_net_attach req = { .flags = flags, .mtu = mtu };
	int rc = ncl_copy_name(req.device, sizeof(req.device), device, "device", e);

	if (rc < 0)
		return rc;
	if (mac)
		memcpy(req.mac, mac, sizeof(req.mac));
	return ncl_transact_simple(c, NC_NET_ATTACH, &req, sizeof(req), taps, ntaps, timeout_ms, e);
}

static int named(struct ncl *c, enum nc_cmd cmd, const char *device, int timeout_ms, struct err *e)
{
	struct nc_named req = { .hdr.rc = 0 };
	int rc = ncl_copy_name(req.device, sizeof(req.device), device, "device", e);

	if (rc < 0)
		return rc;
	return ncl_transact_simple(c, (uint16_t)cmd, &req, sizeof(req), NULL, 0, timeout_ms, e);
}

int ncl_net_detach(struct ncl *c, const char *device, int timeout_ms, struct err *e)
{
	return named(c, NC_NET_DETACH, device, timeout_ms, e);
}

int ncl_net_link(struct ncl *c, const char *device, bool up, int timeout_ms, struct err *e)
{
	struct nc_net_link req = { .up = up };
	int rc = ncl_copy_name(req.device, sizeof(req.device), device, "device", e);

	if (rc < 0)
		return rc;
	return ncl_transact_simple(c, NC_NET_LINK, &req, sizeof(req), NULL, 0, timeout_ms, e);
}

int ncl_net_info(struct ncl *c, const char *device, struct nc_net_info *ret, int timeout_ms,
		 struct err *e)
{
	struct nc_named req = { .hdr.rc = 0 };
	struct nc_net_info got;
	const struct ncl_reply want = { .data = &got, .size = sizeof(got) };
	int rc = ncl_copy_name(req.device, sizeof(req.device), device, "device", e);

	if (rc == 0)
		rc = ncl_transact(c, NC_NET_INFO, &req.hdr, sizeof(req), NULL, 0, &want, timeout_ms,
				  e);
	if (rc == 0)
		*ret = got;
	return rc;
}

int ncl_device_add(struct ncl *c, const struct nc_device *dev, const int *fds, size_t nfds,
		   unsigned *ret_slot, int timeout_ms, struct err *e)
{
	struct nc_device_add req = { .dev = *dev };
	struct nc_device_place got;
	const struct ncl_reply want = { .data = &got, .size = sizeof(got) };
	int rc = ncl_transact(c, NC_DEVICE_ADD, &req.hdr, sizeof(req), fds, nfds, &want, timeout_ms,
			      e);

	if (rc == 0 && (got.segment || got.slot > 31))
		return err_set(e, EPROTO, "the machine put a device into slot %u of segment %u",
			       got.slot, got.segment);
	if (rc == 0 && ret_slot)
		*ret_slot = got.slot;
	return rc;
}

int ncl_device_remove(struct ncl *c, const char *device, int timeout_ms, struct err *e)
{
	return named(c, NC_DEVICE_REMOVE, device, timeout_ms, e);
}

int ncl_balloon(struct ncl *c, const char *device, uint64_t size, struct nc_balloon_reply *ret,
		int timeout_ms, struct err *e)
{
	struct nc_balloon_reply got;
	const struct ncl_reply want = { .data = &got, .size = sizeof(got) };
	struct nc_balloon req = { .size = size };
	int rc = ncl_copy_name(req.device, sizeof(req.device), device, "device", e);

	if (rc == 0)
		rc = ncl_transact(c, NC_BALLOON, &req.hdr, sizeof(req), NULL, 0, &want, timeout_ms, e);
	if (rc == 0 && ret)
		*ret = got;
	return rc;
}
