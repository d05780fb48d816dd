/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes ACPI Machine Language (ACPI 6.5, chapter 20): just the encodings that our tables need. Terms
 * are appended in order; what has a body (scope, device, method, package …) is opened by its function
 * and closed by aml_end(). Errors latch (no memory, buffer's cap, nesting): check aml_done() once.
 */
#ifndef VMM_ACPI_AML_H
#define VMM_ACPI_AML_H

#include "lib/buf.h"

#define AML_MAX_DEPTH 12

struct aml {
	struct buf *b;
	size_t open[AML_MAX_DEPTH]; /* where the body's length goes */
	unsigned depth;
	bool failed;
};

void aml_init(struct aml *a, struct buf *b);
bool aml_done(const struct aml *a); /* nothing failed and every body was closed */
void aml_end(struct aml *a);

/* Bodies. Paths are written as in ASL: "\\_SB_", "PCI0", "^FOO_"; segments shorter than four
 * characters are padded. */
void aml_scope(struct aml *a, const char *path);
void aml_device(struct aml *a, const char *path);
void aml_method(struct aml *a, const char *path, unsigned nargs, bool serialized);
void aml_package(struct aml *a, uint8_t n);          /* as a value: follows aml_name() */
void aml_name(struct aml *a, const char *path);      /* the next term is its value */

/* Terms and values. */
void aml_int(struct aml *a, uint64_t v);             /* shortest encoding */
void aml_str(struct aml *a, const char *s);
void aml_eisa_id(struct aml *a, const char *id);     /* "PNP0A08" */
void aml_path(struct aml *a, const char *path);      /* a reference by name */
void aml_local(struct aml *a, unsigned n);

void aml_name_int(struct aml *a, const char *path, uint64_t v);
void aml_name_str(struct aml *a, const char *path, const char *s);
void aml_name_eisa_id(struct aml *a, const char *path, const char *id);

enum aml_space { AML_MEMORY = 0, AML_IO = 1 };
void aml_op_region(struct aml *a, const char *path, enum aml_space space, uint64_t at, uint64_t len);
/* One field of @bits (8, 16 or 32, also the access width) at the region's start. */
void aml_field(struct aml *a, const char *region, const char *field, unsigned bits);

/* Inside methods. */
void aml_store_path(struct aml *a, const char *from, unsigned local);  /* Local = from */
void aml_if_local_and(struct aml *a, unsigned local, uint64_t mask);   /* If (Local & mask): a body */
void aml_notify(struct aml *a, const char *path, uint8_t value);

/* Resource templates: aml_name(a, "_CRS"); aml_resources(a); aml_res_…; aml_resources_end(a). */
void aml_resources(struct aml *a);
void aml_resources_end(struct aml *a);
void aml_res_memory32_fixed(struct aml *a, bool writable, uint32_t base, uint32_t len);
void aml_res_io(struct aml *a, uint16_t base, uint8_t len);
void aml_res_bus_numbers(struct aml *a, uint16_t first, uint16_t last);
void aml_res_io_window(struct aml *a, uint16_t base, uint16_t len);
void aml_res_memory_window(struct aml *a, bool prefetch, uint64_t base, uint64_t len); /* 32 or 64 bits */
void aml_res_interrupt(struct aml *a, bool edge, uint32_t gsi); /* active high, exclusive */

#endif
