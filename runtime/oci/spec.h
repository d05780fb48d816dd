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
};

struct oci_mount {
	const char *destination;
	const char *type;   /* "" when absent */
	const char *source; /* "" when absent */
	bool bind, recursive;
	uint64_t flags, flags_clear; /* MS_* */
	uint64_t propagation;        /* MS_SHARED|… with MS_REC, 0: none asked for */
	const char *data;            /* file system options, comma-separated; "" */
};

enum oci_ns_type { OCI_NS_PID, OCI_NS_NETWORK, OCI_NS_MOUNT, OCI_NS_IPC, OCI_NS_UTS, OCI_NS_CGROUP,
		   OCI_NS_USER, OCI_NS_TIME, OCI_NS_COUNT };

struct oci_namespace {
	bool wanted;
	const char *path; /* NULL: a new one */
};

struct oci_device {
	const char *path;
	char type; /* c b p u */
	int64_t major, minor;
	bool has_mode;
	uint32_t mode, uid, gid;
};

struct oci_device_rule {
	bool allow;
	char type; /* a c b */
	int64_t major, minor; /* -1: any */
	const char *access;   /* of "rwm" */
};

struct oci_pair {
	const char *key, *value;
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
	const char *cpuset_cpus, *cpuset_mems; /* "" when absent */
};

enum oci_hook_kind { OCI_PRESTART, OCI_CREATE_RUNTIME, OCI_CREATE_CONTAINER, OCI_START_CONTAINER,
		     OCI_POSTSTART, OCI_POSTSTOP, OCI_HOOK_COUNT };

struct oci_hook {
	const char *path; /* absolute */
	struct oci_strv args; /* from argv[0] on; none: the path alone */
	struct oci_strv env; /* all that it gets */
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
	struct oci_device *devices;
	size_t n_devices;
	struct oci_strv masked_paths, readonly_paths;
	struct oci_pair *sysctl;
	size_t n_sysctl;
	const char *cgroups_path;      /* "" when absent */
	uint64_t rootfs_propagation;   /* MS_* with MS_REC, 0: default */
	struct oci_resources res;
	struct oci_pair *annotations;
	size_t n_annotations;
	struct oci_hooks hooks;
};

#define OCI_SYSTEMD_CGROUP false /* whether --systemd-cgroup works */

#define OCI_MAX_CONFIG (16u << 20) /* bytes of config.json */

/* Reads and checks @dirfd/@name. The message begins with @name and names the field ("config.json:
 * process.cwd: …"). -ENOENT: no such file. */
int oci_spec_load(struct oci_spec **ret, int dirfd, const char *name, struct err *e);
int oci_spec_parse(struct oci_spec **ret, const char *text, size_t len, const char *name,
		   struct err *e);
void oci_spec_free(struct oci_spec *s);

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
};
/* The state as a startContainer hook in the guest gets it, around the number of its pid there. */
struct oci_pack_state {
	const char *head, *tail;
};
/* share_of[i] is the share that mount i's source was given as (NULL unless a bind), and
 * file_of[i] whether it is a file. Appends a packed husk.agent.v1.CreateContainerRequest. */
int oci_pack_create(const struct oci_spec *s, const char *container_id, const char *rootfs_share,
		    const char *const *share_of, const bool *file_of,
		    const struct oci_pack_streams *streams, const struct oci_pack_state *state,
		    struct buf *out, struct err *e);
int oci_pack_exec(const struct oci_process *p, const char *container_id, const char *exec_id,
		  const struct oci_pack_streams *streams, bool ignore_paused, struct buf *out,
		  struct err *e);

#endif
