/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtual machine and what is in it. Apart from any container: its folder is
 * <root>/@sandbox/<name>/ (0700), with
 *
 *	machine.sock    the machine's control socket (vmm/control/native.h): connect only
 *	join.sock       the same, for husk alone: for a container that is to live in it, too (shares, lifelines), and for disks
 *	                that come and go
 *	net.sock        husk-net's (runtime/net/wire.h), likewise
 *
 * and what record.h has.
 *
 * Making one: sandbox_begin() starts husk-machine, sandbox_build() has it make the machine,
 * sandbox_share() gives it files, sandbox_boot() lets the guest run. Until a lifeline
 * (sandbox_lifeline()) is somebody else's, the machine dies with this process.
 *
 * The one who holds the host's privileges parses nothing that the guest wrote: the ready socket is
 * polled or handed on, never read.
 */
#ifndef RUNTIME_SANDBOX_SANDBOX_H
#define RUNTIME_SANDBOX_SANDBOX_H

#include "lib/diskfile.h"
#include "lib/err.h"
#include "runtime/host/proc.h"
#include "vmm/control/native_client.h"

#define SANDBOX_FS_DEVICE "fs"
#define SANDBOX_FS_TAG    "husk"
#define SANDBOX_CID       3
#define SANDBOX_ROOT_DISK "husk-root" /* serial of the disk that is a container's root */
#define SANDBOX_MAX_DISKS 16

struct sandbox_shape {
	uint32_t vcpus;
	uint64_t memory; /* bytes that it begins with */
	uint64_t later;  /* bytes that its guest takes beyond them when it needs them; whole NC_MEM_GRANULEs */
};

struct sandbox {
	int dir; /* -1 before sandbox_begin() */
	struct proc_id machine;
	struct ncl *ctl; /* the machine's first client */
	int ready; /* readable when the agent is up; may be stolen */
	int kvm, kernel, initramfs;
	const char *parameters; /* more for the guest's kernel, each with a space before it; NULL: none */
	const char *serials; /* what those of its disks begin with; NULL: husk's own */
	unsigned ndisks;
	struct sandbox_disk {
		struct diskfile file;
		bool readonly;
		char serial[16];
	} disks[SANDBOX_MAX_DISKS];
	const char *program; /* husk-machine; NULL or "": the installation's */
};
#define SANDBOX_INIT                                                                               \
	{                                                                                          \
		.dir = -1, .machine = { 0, 0 }, .ctl = NULL, .ready = -1, .kvm = -1, .kernel = -1, \
		.initramfs = -1, .parameters = NULL, .program = NULL, .serials = NULL, .ndisks = 0                  \
	}

/* What a container with these limits gets: the memory limit and what the guest itself needs, rounded up to one of a few
 * shapes, and what the host has beyond it for later; CPUs enough for its quota, and none that its set of the host's has no
 * room for. */
struct oci_resources;
struct sandbox_shape sandbox_shape(const struct oci_resources *res);
/* The largest memory limit for which a machine of @memory bytes has room. */
uint64_t sandbox_container_memory(uint64_t memory);
/* Of a machine that began with @boot bytes, how many a container with that limit may make it use: bounds the machine. */
uint64_t sandbox_machine_memory(uint64_t boot, uint64_t limit);
/* The same on a host of so many CPUs and bytes of memory. */
struct sandbox_shape sandbox_shape_on(const struct oci_resources *res, uint64_t host_cpus,
				      uint64_t host_memory);
/* Machines get nothing for later where the host counts as used what is reserved (vm.overcommit_memory is 2): one would take
 * what the next needs to begin with. */
bool sandbox_may_reserve(void);

/* Opens /dev/kvm, and kernel and initramfs where they are not set: first of all, while nothing exists. */
int sandbox_open_files(struct sandbox *s, struct err *e);
/* One more disk, before sandbox_build(): the descriptor is the sandbox's on success. @serial NULL: the next of husk's
 * own. *ret_serial (may be NULL) lives as long as @s. -E2BIG. */
int sandbox_add_disk(struct sandbox *s, const struct diskfile *f, bool readonly, const char *serial,
		     const char **ret_serial, struct err *e);
/* Gives those that were added to a machine that runs, which @s->ctl is a client of, and closes them. */
int sandbox_plug_disks(struct sandbox *s, struct err *e);
/* One for a machine that runs: its device is called as its serial is, at most DEVICE_SERIAL - 1 bytes. @f's descriptor stays
 * the caller's. */
int sandbox_plug_disk(struct ncl *machine, const struct diskfile *f, bool readonly, const char *serial, struct err *e);
/* The folder, and the machine's process. @log: where the machine logs, -1 nowhere. */
int sandbox_begin(struct sandbox *s, int root, const char *name, struct err *e);
int sandbox_build(struct sandbox *s, const char *name, const struct sandbox_shape *shape, int log,
		  int log_level, bool log_json, struct err *e);
/* Binds machine.sock and join.sock and gives them to the machine. */
int sandbox_listen(struct sandbox *s, struct err *e);
/* A listening socket, net.sock, for husk-net. */
int sandbox_listen_net(struct sandbox *s, int *ret_fd, struct err *e);
/* A new client that keeps the machine alive. Close-on-exec. */
int sandbox_lifeline(struct sandbox *s, int *ret_fd, struct err *e);
/* A client that may add and remove devices. */
int sandbox_devices(struct sandbox *s, int *ret_fd, struct err *e);
/* @fd: dissolved (lib/mounttree.h); stays the caller's. @common: 0, or one number for all that may be the same share. */
int sandbox_share(struct sandbox *s, const char *name, int fd, bool readonly, bool is_file,
		  bool nocache, uint32_t common, struct err *e);
int sandbox_boot(struct sandbox *s, struct err *e);
/* Closes what this process holds; the machine lives on if it has another lifeline. */
void sandbox_close(struct sandbox *s);

/* A connected SEQPACKET socket to a living sandbox. */
int sandbox_connect(int root, const char *name, int *ret_fd, struct err *e);
/* One that is a lifeline, may add shares and devices and make further clients; and one to husk-net, for a proxy. */
int sandbox_join(int root, const char *name, int *ret_fd, struct err *e);
int sandbox_join_net(int root, const char *name, int *ret_fd, struct err *e);
/* Waits for husk-net's end, which comes with its last proxy's; kills it when it is late. */
int sandbox_end_net(const struct proc_id *net, struct err *e);
/* Kills the machine if it lives, waits for it and husk-net, and removes the folder @dir, which has that name and is locked. -1:
 * there is none, which is fine. */
int sandbox_remove(int root, const char *name, int dir, int timeout_ms, struct err *e);

#endif
