/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine's description as plain data: NC_CREATE after every number, string and reference in it was
 * checked. Const once the machine is built, but for descriptors that moved on to a device.
 */
#ifndef VMM_CORE_CONFIG_H
#define VMM_CORE_CONFIG_H

#include "lib/err.h"
#include "vmm/control/native.h"

struct machine_device {
	enum nc_dev_type type;
	int slot; /* 1 … 31, -1: first free */
	char id[32];
	union {
		struct {
			int in, out;
		} console;
		struct {
			int src;
		} rng;
		struct {
			uint64_t cid;
			int ready;
			bool host_ports;
		} vsock;
		struct {
			char tag[37];
			unsigned queues;
		} fs;
		struct nc_net net;
		struct {
			int fd;
			struct nc_disk d; /* but for its descriptor */
			char serial[21];
		} disk;
		struct {
			uint64_t size;
			uint32_t flags;
		} balloon;
		struct {
			uint64_t size, requested;
		} mem;
	};
};

struct machine_config {
	unsigned vcpus;
	uint64_t memory;
	uint32_t flags; /* NC_CREATE_… */
	int kvm, kernel, initramfs, log;
	int serial_in, serial_out, debug_out;
	unsigned log_level;
	bool log_json;
	char name[64];
	char cmdline[4096];
	unsigned ndevices; /* places that have been used; the type of a free one is NC_DEV_NONE */
	struct machine_device dev[NC_MAX_DEVICES];
};

/* On success the descriptors are the config's, all of them. On failure they stay the caller's. */
int machine_config_parse(struct machine_config **ret, const struct nc_create *m, const int *fds,
			 size_t nfds, struct err *e);
/* One more device, at *ret_index: the same rules. */
int machine_config_add(struct machine_config *c, const struct nc_device *d, const int *fds, size_t nfds,
		       unsigned *ret_index, struct err *e);
/* Frees the place; descriptors that are still there are closed. */
void machine_config_remove(struct machine_config *c, unsigned index);
/* Closes every descriptor that is still there. NULL is fine. */
void machine_config_free(struct machine_config *c);

#endif
