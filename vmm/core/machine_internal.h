/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's inside, shared by the files of vmm/core alone. */
#ifndef VMM_CORE_MACHINE_INTERNAL_H
#define VMM_CORE_MACHINE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "vmm/arch/arch.h"
#include "vmm/core/machine.h"
#include "vmm/fs/fs_chan.h"
#include "vmm/jail/jail.h"
#include "vmm/pci/pvpanic.h"
#include "vmm/virtio/virtio_pci.h"

/* What vCPU threads shall do. */
enum vcpu_want { VCPU_HOLD, VCPU_RUN, VCPU_STOP };

struct vcpu {
	struct machine *m;
	struct hv_vcpu *hv;
	pthread_t thread;
	bool started;
	atomic_ullong exits;
};

/* A thread that runs a loop of devices. */
struct loop_thread {
	struct machine *m;
	struct evloop *loop;
	enum jail_role role;
	pthread_t thread;
	bool started;
	int rc; /* of the loop, when its thread has ended */
};

struct machine_dev {
	const struct machine_device *cfg;
	struct vdev *vdev;             /* the transport's once there is one */
	struct virtio_pci *transport;
	struct fs_server *fs;
};

/* A question about a port of the host's that its front has not answered. */
struct asked_port {
	uint64_t token;
	uint64_t until_ns; /* then it counts as lost; 0: free */
};
#define MAX_ASKED_PORTS 16 /* less than the events that a client keeps */

/* How the work of machine_boot() stands; under m->lock. */
struct start_line {
	unsigned waiting; /* threads that are at work or locked in */
	int rc;           /* the first failure */
	struct err err;
};

struct machine {
	struct machine_setup setup;
	struct machine_config *cfg;
	enum nc_state state;            /* control thread */

	struct hv_vm *vm;
	struct gmem *mem;
	struct bus *mmio, *pio;
	struct arch_platform *platform;
	struct pci_seg_cfg pci_cfg;
	struct pci_seg *pci;
	struct pvpanic *pvpanic;
	unsigned ndevs;
	struct machine_dev dev[NC_MAX_DEVICES];
	struct loop_thread io, fs, disk; /* fs.loop, disk.loop NULL: no file server, no disks */

	unsigned nvcpus;
	struct vcpu *vcpus;
	struct arch_boot boot;
	pthread_mutex_t lock;           /* for what follows up to want_now */
	pthread_cond_t cond;
	enum vcpu_want want;
	unsigned running;               /* vCPU threads that are not held */
	struct start_line start;
	enum nc_end end;                /* NC_END_NONE until the first reason */
	bool panicked;                  /* as the guest says */
	char end_text[240];
	/* want as seen without the lock, between two exits. */
	atomic_int want_now;

	struct asked_port asked[MAX_ASKED_PORTS]; /* io thread */

	void (*pause_done)(void *arg, int rc);
	void *pause_arg;

	enum { END_NOT, END_STOPPING, END_FLUSHING, END_TOLD } end_stage; /* control thread */
	struct evtimer end_timer; /* of what the stage waits for; of END_NOT, the words of a panic */
	_Atomic uint64_t stamps[8];     /* enum nc_stamp */
};

void machine_stamp(struct machine *m, enum nc_stamp s);
/* What keeps the first error, since it runs on threads that cannot return one. */
void start_line_report(struct machine *m, int rc, const struct err *e);

/* build.c: everything up to CREATED; what is half-built is taken down by machine_teardown(). */
int machine_build(struct machine *m, struct err *e);
void machine_teardown(struct machine *m);

/* devices.c */
int machine_add_devices(struct machine *m, struct err *e);
void machine_remove_devices(struct machine *m);
/* NULL: no such device. */
struct machine_dev *machine_find(struct machine *m, enum nc_dev_type type, const char *id);

/* vcpu.c */
int vcpu_start(struct vcpu *v, struct err *e);
/* Tells all vCPU threads; does not wait. Any thread. */
void vcpus_want(struct machine *m, enum vcpu_want want);
void vcpus_join(struct machine *m);

/* threads.c */
int loop_thread_start(struct loop_thread *t, struct machine *m, enum jail_role role,
		      struct err *e);
void loop_thread_stop(struct loop_thread *t);
int machine_thread(pthread_t *ret, size_t stack, const char *name, void *(*fn)(void *),
		   void *arg, struct err *e);

/* run.c: on the control thread, when the last vCPU has come to rest. */
void machine_vcpus_rest(void *arg);

#endif
