/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.json as plain data. Parsed and checked whole, by tables, before anything exists; const from
 * then on. Every string is non-NULL unless a field says otherwise, holds no NUL, and belongs to the spec
 * (they point into the parsed document).
 *
 * A field has one of four verdicts (struct oci_field in field.h): done in the guest, done on the host,
 * accepted without effect, refused by name. A field that the specification does not know is passed over, as
 * runc does. Ambiguities of the specification and what we chose:
 *  - "mounts[].type" missing or "none" with option bind/rbind is a bind mount; a bind's type is ignored.
 *  - null stands for an absent field everywhere.
 *  - "process" may be absent for `create` by the specification; runc refuses it, so do we.
 *  - relative mount destinations (1.2) are taken from the container's root.
 */
#ifndef RUNTIME_OCI_SPEC_H
#define RUNTIME_OCI_SPEC_H

#include "lib/buf.h"
#include "lib/err.h"
#include "lib/json.h"

#define OCI_VERSION "1.2.0" /* what we write; any 1.x is read */

struct oci_strv {
	const char **v;
	size_t n;
};

struct oci_user {
	uint32_t uid, gid;
	bool has_umask;
	uint32_t umask;
	uint32_t *additional_gids;
	size_t n_additional_gids;
};

struct oci_caps {
	bool present;
	uint64_t bounding, effective, inheritable, permitted, ambient; /* bit n: capability n */
};

struct oci_rlimit {
	const char *type; /* "RLIMIT_NOFILE" */
	uint64_t soft, hard;
};

struct oci_scheduler { /* as struct sched_attr has it */
	bool present;
	uint32_t policy;
	int32_t nice;
	uint32_t priority;
	uint64_t flags, runtime, deadline, period; /* nanoseconds */
};

struct oci_io_priority {
	uint32_t class; /* IOPRIO_CLASS_*, 0: not given */
	uint32_t priority;
};

/* CPUs or memory nodes: byte i, bit j is number 8i + j. */
#define OCI_SET_BYTES 128
struct oci_set {
	uint8_t bits[OCI_SET_BYTES];
	size_t len; /* bytes up to the last that is not 0; 0: not given, or empty */
};

struct oci_process {
	struct json *doc; /* owner of the strings when loaded alone, else NULL */
	bool terminal;
	uint16_t rows, columns; /* 0: not given */
	struct oci_user user;
	struct oci_strv args; /* at least one */
	struct oci_strv env;
	const char *cwd;
	struct oci_caps caps;
	struct oci_rlimit *rlimits;
	size_t n_rlimits;
	bool no_new_privileges;
	bool has_oom_score_adj;
	int oom_score_adj;
	struct oci_scheduler scheduler;
	struct oci_io_priority io_priority;
	struct oci_set initial_cpus, final_cpus; /* of execs */
};

#define OCI_MAX_MOUNT_DATA 4096
#define OCI_MAX_PROPAGATION 64 /* words of it in one mount's options */

struct oci_mount {
	const char *destination; /* absolute */
	const char *type;   /* "" when absent */
	const char *source; /* "" when absent */
	bool bind, recursive;
	uint64_t flags, flags_clear; /* MS_* */
	uint64_t rec_set, rec_clear; /* MOUNT_ATTR_*, for all mounts below it too */
	uint64_t *propagation;       /* MS_SHARED|… with MS_REC each, to be made in this order */
	size_t n_propagation;
	const char *data;            /* file system options, comma-separated; "" */
	bool copy_up;                /* tmpfs: begins with what was at the destination */
	bool idmap, idmap_recursive;
	/* Both or none: ids of the file system, from container_id on, are seen as those from host_id on. */
	struct oci_id_mapping *uid_mappings, *gid_mappings;
	size_t n_uid_mappings, n_gid_mappings;
	/* Not of the file: what its source is, when that is a block device. */
	struct {
		bool is;
		int64_t major, minor;
		uint32_t mode, uid, gid;
		const char *disk; /* as a device's */
	} block;
};

enum oci_ns_type { OCI_NS_PID, OCI_NS_NETWORK, OCI_NS_MOUNT, OCI_NS_IPC, OCI_NS_UTS, OCI_NS_CGROUP,
		   OCI_NS_USER, OCI_NS_TIME, OCI_NS_COUNT };

struct oci_namespace {
	bool wanted;
	const char *path; /* NULL: a new one */
	const char *container; /* not of the file: whose it is in the machine; NULL: nobody's */
};

#define OCI_MAX_NET_DEVICES 16

struct oci_net_device {
	char host[16], name[16]; /* there, and in the container */
};

struct oci_device {
	const char *path;
	char type; /* c b p u */
	int64_t major, minor;
	bool has_mode;
	uint32_t mode, uid, gid;
	const char *disk; /* not of the file: the machine's disk that it is, by its serial; NULL: none */
};

struct oci_device_rule {
	bool allow;
	char type; /* a c b */
	int64_t major, minor; /* -1: any */
	const char *access;   /* of "rwm" */
	const char *disk;     /* as a device's */
};

struct oci_pair {
	const char *key, *value;
};

struct oci_id_mapping {
	uint32_t container_id, host_id, size;
};

struct oci_time_offset {
	bool present;
	int64_t secs;
	uint32_t nanosecs;
};

struct oci_memory_policy {
	bool present;
	uint32_t mode; /* MPOL_* with MPOL_F_* */
	struct oci_set nodes;
};

/* linux.seccomp. Actions, operators and architectures are libseccomp's numbers. */
struct oci_seccomp_arg {
	uint32_t index; /* 0 … 5 */
	uint32_t op;
	uint64_t value, value_two;
};

struct oci_seccomp_rule {
	struct oci_strv names;
	uint32_t action;
	struct oci_seccomp_arg *args;
	size_t n_args;
};

struct oci_seccomp {
	bool present;
	uint32_t default_action;
	uint32_t *archs;
	size_t n_archs;
	uint32_t flags; /* SECCOMP_FILTER_FLAG_* */
	struct oci_seccomp_rule *rules;
	size_t n_rules;
	/* By oci_seccomp_compile(): struct sock_filter[]. */
	void *filter;
	size_t filter_len; /* bytes */
};

/* Of blockIO; numbers are the host's. */
struct oci_block_weight {
	int64_t major, minor;
	uint64_t weight; /* 10 … 1000, 0: none given */
};

struct oci_block_rate {
	int64_t major, minor;
	uint64_t rate; /* bytes or operations in a second, 0: no limit */
};

enum oci_block_limit { OCI_READ_BPS, OCI_WRITE_BPS, OCI_READ_IOPS, OCI_WRITE_IOPS, OCI_BLOCK_LIMITS };

struct oci_hugepages {
	const char *page_size; /* "2MB" */
	uint64_t limit; /* bytes */
};

/* Of linux.resources; has_… says whether the file gave it. -1 means unlimited where the specification
 * says so. */
struct oci_resources {
	struct oci_device_rule *devices;
	size_t n_devices;
	bool has_memory_limit, has_memory_reservation, has_memory_swap;
	int64_t memory_limit, memory_reservation, memory_swap; /* bytes */
	bool has_pids_limit;
	int64_t pids_limit;
	bool has_cpu_shares, has_cpu_quota, has_cpu_period;
	uint64_t cpu_shares, cpu_period;
	int64_t cpu_quota; /* microseconds in a period */
	bool has_cpu_burst, has_cpu_idle;
	uint64_t cpu_burst; /* microseconds */
	int64_t cpu_idle;   /* 0, 1 */
	const char *cpuset_cpus, *cpuset_mems; /* the host's; "" or NULL when absent */
	bool memory_check; /* checkBeforeUpdate */
	uint64_t block_weight; /* 10 … 1000, 0: none given */
	struct oci_block_weight *block_weights;
	size_t n_block_weights;
	struct oci_block_rates {
		struct oci_block_rate *v;
		size_t n;
	} block_rates[OCI_BLOCK_LIMITS];
	struct oci_hugepages *hugepages;
	size_t n_hugepages;
	/* Files of version 2 groups, but memory.max, pids.max and cpu.max: those are above, as if given
	 * the other way. */
	struct oci_pair *unified;
	size_t n_unified;
};

enum oci_hook_kind { OCI_PRESTART, OCI_CREATE_RUNTIME, OCI_CREATE_CONTAINER, OCI_START_CONTAINER,
		     OCI_POSTSTART, OCI_POSTSTOP, OCI_HOOK_COUNT };

struct oci_hook {
	const char *path; /* absolute */
	struct oci_strv args; /* from argv[0] on; none: the path alone */
	struct oci_strv env; /* all that it gets, if ... */
	bool has_env; /* ... one was given; else it is that of whoever runs it */
	uint32_t timeout; /* seconds, 0: none */
};

#define OCI_MAX_HOOKS 256 /* of one kind */
struct oci_hook_list {
	struct oci_hook *v;
	size_t n;
};

struct oci_hooks {
	struct oci_hook_list of[OCI_HOOK_COUNT];
};

/* What "vm" asks for; vm.h. NULL and 0: nothing. */
struct oci_vm {
	bool present;
	const char *kernel, *initrd, *hypervisor;
	const char *image; /* the root file system, raw: root.path is not looked at then */
	struct oci_strv parameters;
	uint32_t vcpus;
	uint64_t memory; /* bytes */
};

struct oci_spec {
	struct json *doc;
	const char *version;
	const char *root_path; /* as written */
	bool root_readonly;
	const char *hostname, *domainname; /* "" when absent */
	struct oci_process process;
	struct oci_mount *mounts;
	size_t n_mounts;
	struct oci_namespace ns[OCI_NS_COUNT];
	struct oci_net_device *net_devices;
	size_t n_net_devices;
	struct oci_device *devices;
	size_t n_devices;
	struct oci_strv masked_paths, readonly_paths;
	struct oci_pair *sysctl;
	size_t n_sysctl;
	const char *cgroups_path;      /* "" when absent */
	uint64_t rootfs_propagation;   /* MS_* with MS_REC, 0: default */
	struct oci_id_mapping *uid_mappings, *gid_mappings; /* with ns[OCI_NS_USER] */
	size_t n_uid_mappings, n_gid_mappings;
	struct oci_time_offset monotonic, boottime; /* with ns[OCI_NS_TIME] */
	bool has_personality;
	uint32_t personality; /* PER_* */
	struct oci_memory_policy memory_policy;
	struct oci_seccomp seccomp;
	struct oci_resources res;
	struct oci_pair *annotations;
	size_t n_annotations;
	struct oci_hooks hooks;
	struct oci_vm vm;
};


#define OCI_MAX_CONFIG (16u << 20) /* bytes of config.json */

/* Reads and checks @dirfd/@name. The message begins with @name and names the field ("config.json:
 * process.cwd: …"). -ENOENT: no such file. */
int oci_spec_load(struct oci_spec **ret, int dirfd, const char *name, struct err *e);
int oci_spec_parse(struct oci_spec **ret, const char *text, size_t len, const char *name,
		   struct err *e);
void oci_spec_free(struct oci_spec *s);

/* Turns linux.seccomp, if there is one, into the program that the guest's kernel takes. What is asked for in
 * vain (a call or an architecture that libseccomp does not know) is passed over, as runc does. */
int oci_seccomp_compile(struct oci_spec *s, struct err *e);

/* The process.json of `exec --process`. */
int oci_process_load(struct oci_process **ret, const char *path, struct err *e);
void oci_process_free(struct oci_process *p);

/* What `spec` writes; @rootless as runc's option. */
int oci_default_spec(struct buf *out, bool rootless);

/* "CAP_SYS_ADMIN" to 21; -EINVAL. */
int oci_cap_by_name(const char *name);
/* "SYS_ADMIN" of 21; NULL past the last. */
const char *oci_cap_name(unsigned cap);
const char *oci_ns_name(enum oci_ns_type t);
/* "createRuntime" */
const char *oci_hook_name(enum oci_hook_kind k);
/* An object that oci_read_hooks() reads again. */
void oci_write_hooks(struct json_w *w, const char *key, const struct oci_hooks *h);

/* ---- to the agent ----------------------------------------------------------------------------- */
struct oci_pack_streams {
	uint64_t in, out, err; /* tokens, 0: /dev/null */
	const struct oci_pack_extra *extra; /* descriptors 3 and on */
	size_t n_extra;
};
struct oci_pack_extra {
	uint64_t token; /* 0: /dev/null */
	uint32_t kind; /* STREAM_… of agent.proto */
	uint32_t family, port; /* as there */
};
/* The state as a startContainer hook in the guest gets it, around the number of its pid there. */
struct oci_pack_state {
	const char *head, *tail;
};
struct oci_pack_submount {
	const char *path; /* below the source, or with a share below its parent */
	uint64_t flags;   /* MS_* */
	const char *share; /* of its own; NULL: it is in the source's */
	uint32_t slot, parent; /* with a share: its name; 0 or that of the one it is on, and one more */
};
struct oci_pack_socket {
	uint32_t mode, uid, gid; /* on the host */
	bool datagram;
};
/* What the host made of a mount. */
struct oci_pack_source {
	const char *type;    /* "bind": a share; "own": something of the guest's own; "socket"; NULL: as the spec has it */
	const char *name;    /* of the share; which of its own; the socket's number, from 0 in the order of the list */
	const char *subpath; /* in it; NULL: all */
	const char *data;    /* options of its own; NULL: the spec's */
	uint64_t flags;      /* MS_* of the mount that the source is on: hold where the spec says nothing */
	bool is_file;
	const struct oci_pack_submount *below;
	size_t n_below;
	uint32_t follow; /* 1 and up: the host's mounts below come and go; 0 */
	const char *common; /* what has the same words here is one in all containers of a machine; NULL: it is alone */
	struct oci_pack_socket sock;
};
struct oci_pack_disk {
	const char *serial; /* "": none */
	bool readonly;
};
/* @root: the root file system: a share, or without a name the disk @root_disk.
 * @src: one for each mount of the spec. Appends a packed
 * husk.agent.v1.CreateContainerRequest. */
int oci_pack_create(const struct oci_spec *s, const char *container_id,
		    const struct oci_pack_source *root, const struct oci_pack_disk *root_disk, const struct oci_pack_source *src,
		    const struct oci_pack_streams *streams, const struct oci_pack_state *state,
		    struct buf *out, struct err *e);
int oci_pack_exec(const struct oci_process *p, const char *container_id, const char *exec_id, const char *cgroup,
		  const struct oci_pack_streams *streams, bool ignore_paused, struct buf *out,
		  struct err *e);

#endif
