/* SPDX-License-Identifier: Apache-2.0 */
/*
 * husk-vmm's command line as plain data. Names and values are Cloud Hypervisor's where it has them; what
 * it has and we have not is refused by name, never ignored. No file is opened here.
 */
#ifndef VMM_FRONT_OPTIONS_H
#define VMM_FRONT_OPTIONS_H

#include "lib/err.h"
#include "vmm/front/disk_option.h"
#include "vmm/front/net_option.h"

#define OPTIONS_MAX_FS 16
#define OPTIONS_MAX_NET 16
#define OPTIONS_MAX_DISKS 16

enum port_mode { PORT_OFF, PORT_NULL, PORT_TTY, PORT_FILE, PORT_PTY };

/* Where a serial port or console leads. */
struct port {
	enum port_mode mode;
	char *path; /* PORT_FILE */
};

struct fs_option {
	char *tag, *path, *id;
	uint64_t queues;
	bool readonly;
};

struct options {
	char *kernel, *initramfs, *cmdline, *log_file, *rng;
	uint64_t cpus, max_cpus; /* max_cpus 0: as cpus */
	uint64_t memory;
	bool mergeable, thp, shared;
	struct port console, serial, debug;
	char *vsock_socket, *vsock_id; /* vsock_socket NULL: no vsock */
	uint64_t vsock_cid;
	unsigned nfs;
	struct fs_option fs[OPTIONS_MAX_FS];
	unsigned nnets;
	struct net_option net[OPTIONS_MAX_NET];
	unsigned ndisks;
	struct disk_option disks[OPTIONS_MAX_DISKS];
	bool balloon, balloon_oom, balloon_report;
	uint64_t balloon_size;
	char *event_path;
	int64_t event_fd; /* -1: none */
	bool pvpanic, restart; /* restart: a reset of the guest starts it anew */
	unsigned verbose;
	bool help, version;
};

/* 0 with *o to be freed by options_free(); -EINVAL and the like with one line that names the option. */
int options_parse(struct options *o, int argc, char *const *argv, struct err *e);
void options_free(struct options *o);
void options_print_help(void);

#endif
