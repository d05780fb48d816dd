/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading JSON objects by tables. Each known field of config.json is one row with a verdict; the table in
 * docs and the output of `husk features` come from the same rows.
 */
#ifndef RUNTIME_OCI_FIELD_H
#define RUNTIME_OCI_FIELD_H

#include "runtime/oci/spec.h"

enum oci_verdict {
	OCI_GUEST,   /* done in the guest */
	OCI_HOST,    /* done on the host */
	OCI_IGNORED, /* accepted, without effect in a virtual machine */
	OCI_REFUSED, /* a line that names it, when it holds anything */
};

/* Memory of one spec, freed as a whole. */
struct oci_pool {
	struct oci_pool_item *first;
};
void *oci_pool_alloc(struct oci_pool *p, size_t n, size_t size); /* zeroed; NULL */
void oci_pool_free(struct oci_pool *p);

struct oci_ctx {
	const char *file; /* begins each message */
	struct oci_pool *pool;
	struct err *e;
};

/* "FILE: path.of.v: text"; returns -EINVAL. */
int oci_fail(struct oci_ctx *c, const struct json *v, const char *fmt, ...) __printf_like(3, 4);

/* Reads @v into @dst. The row's offset was added to the object already. */
typedef int oci_read_fn(struct oci_ctx *c, const struct json *v, void *dst);

struct oci_field {
	const char *name;
	enum oci_verdict verdict;
	oci_read_fn *read; /* NULL for ignored and refused ones */
	size_t offset;
	bool required;
	const char *why; /* refused: more than "not supported"; may be NULL */
};

#define OCI_FIELD(n, vd, st, m, fn)     { .name = n, .verdict = vd, .read = fn, .offset = offsetof(st, m) }
#define OCI_REQUIRED(n, vd, st, m, fn)  { .name = n, .verdict = vd, .read = fn, .offset = offsetof(st, m), \
					  .required = true }
#define OCI_WHOLE(n, vd, fn)            { .name = n, .verdict = vd, .read = fn, .offset = 0 }
#define OCI_REQUIRED_WHOLE(n, vd, fn)   { .name = n, .verdict = vd, .read = fn, .offset = 0, .required = true }
#define OCI_IGNORE(n)                   { .name = n, .verdict = OCI_IGNORED }
#define OCI_REFUSE(n)                   { .name = n, .verdict = OCI_REFUSED }
#define OCI_REFUSE_FOR(n, w)            { .name = n, .verdict = OCI_REFUSED, .why = w }
#define OCI_END                         { .name = NULL }

/* Nothing was asked for: null, "", [], {}, false. */
bool oci_is_empty(const struct json *v);
/* @v must be an object; null members count as absent; unknown ones are passed over. */
int oci_read_object(struct oci_ctx *c, const struct json *v, const struct oci_field *table, void *obj);

/* Readers for common types. */
oci_read_fn oci_read_str;      /* const char *; no NUL inside */
oci_read_fn oci_read_abspath;  /* const char *; begins with / */
oci_read_fn oci_read_bool;     /* bool */
oci_read_fn oci_read_u32;      /* uint32_t */
oci_read_fn oci_read_vcpus;    /* uint32_t; 1 to OCI_VM_MAX_VCPUS; vm.c */
oci_read_fn oci_read_i64;      /* int64_t */
oci_read_fn oci_read_u64;      /* uint64_t */
oci_read_fn oci_read_strv;     /* struct oci_strv */
oci_read_fn oci_read_env;      /* struct oci_strv of NAME=value */

/* A word of the specification and its number. */
struct oci_word {
	const char *name;
	uint32_t value;
};
/* "unknown @what" when @v is none of them. */
int oci_read_word(struct oci_ctx *c, const struct json *v, const struct oci_word *words, size_t n,
		  const char *what, uint32_t *ret);

/* The elements of the array @v: zeroed memory for them, then @fn for each. */
int oci_read_array(struct oci_ctx *c, const struct json *v, size_t elem_size, oci_read_fn *fn,
		   void **ret, size_t *ret_n);
/* {"key": "string"} */
int oci_read_pairs(struct oci_ctx *c, const struct json *v, struct oci_pair **ret, size_t *ret_n);

/* The tables of one file each, joined in spec.c. */
oci_read_fn oci_read_process;   /* struct oci_process; process.c */
oci_read_fn oci_read_mount;     /* struct oci_mount; mounts.c */
oci_read_fn oci_read_linux;     /* struct oci_spec; linux.c */
oci_read_fn oci_read_resources; /* struct oci_resources; resources.c */
oci_read_fn oci_read_hooks;     /* struct oci_hooks; hooks.c */
oci_read_fn oci_read_seccomp;   /* struct oci_seccomp; seccomp.c */
oci_read_fn oci_read_scheduler, oci_read_io_priority, oci_read_affinity; /* struct oci_process; sched.c */
oci_read_fn oci_read_memory_policy, oci_read_personality; /* struct oci_spec; sched.c */
oci_read_fn oci_read_uid_mappings, oci_read_gid_mappings; /* struct oci_spec; userns.c */
int oci_read_mappings(struct oci_ctx *c, const struct json *v, struct oci_id_mapping **ret,
		      size_t *ret_n);
oci_read_fn oci_read_time_offsets; /* struct oci_spec; userns.c */
oci_read_fn oci_read_net_devices; /* struct oci_spec; netdev.c */
/* Without a user namespace there are none, whatever is written; checks.c. */
void oci_drop_mappings(struct oci_ctx *c, struct oci_spec *s);
/* What fields that are right by themselves must have in common, once all are read; checks.c. */
int oci_check_spec(struct oci_ctx *c, const struct oci_spec *s);
/* Completes the mounts' id mappings by those of the user namespace, when both were read. */
int oci_complete_mounts(struct oci_ctx *c, struct oci_spec *s);
#define OCI_IDMAP_BOTH "id-mapped mounts must have both uid and gid mappings specified"
/* Before anything is read of @doc, a configuration or, @process_alone, what stands at "process" in one; counts.c. */
int oci_check_counts(struct oci_ctx *c, const struct json *doc, bool process_alone);
oci_read_fn oci_read_count;     /* uint64_t, any */
oci_read_fn oci_read_block_io;  /* struct oci_resources; block_io.c */
oci_read_fn oci_read_unified;   /* struct oci_resources; unified.c */
/* Once everything else was read: what of unified has a field of its own moves there. */
int oci_fold_unified(struct oci_ctx *c, const struct json *v, struct oci_resources *r);
oci_read_fn oci_read_vm;        /* struct oci_vm; vm.c */

/* What @name asks for, into @m (propagation has room) or behind the options in @data (which has room). */
void oci_take_mount_option(struct oci_mount *m, const char *name, char *data);
/* MS_* of "rprivate" and its like; 0 when it is none. */
uint64_t oci_propagation(const char *name);

/* Every table of the parser, for documentation: path prefix and rows. */
struct oci_table {
	const char *prefix; /* "linux.resources." */
	const struct oci_field *rows;
};
extern const struct oci_field oci_spec_fields[], oci_root_fields[], oci_process_fields[],
	oci_user_fields[], oci_mount_fields[], oci_linux_fields[], oci_resources_fields[],
	oci_memory_fields[], oci_cpu_fields[], oci_pids_fields[], oci_block_fields[],
	oci_block_weight_fields[], oci_block_rate_fields[], oci_hugepages_fields[], oci_hooks_fields[], oci_hook_fields[],
	oci_seccomp_fields[], oci_scheduler_fields[], oci_io_priority_fields[], oci_affinity_fields[],
	oci_memory_policy_fields[], oci_personality_fields[], oci_time_offset_fields[], oci_net_device_fields[],
	oci_vm_fields[], oci_vm_image_fields[], oci_vm_hypervisor_fields[], oci_vm_kernel_fields[], oci_vm_hw_fields[];
extern const struct oci_table oci_tables[]; /* ends with a NULL prefix */

#endif
