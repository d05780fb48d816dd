/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by aml.c and aml_res.c. */
#ifndef VMM_ACPI_AML_INTERNAL_H
#define VMM_ACPI_AML_INTERNAL_H

#include "vmm/acpi/aml.h"

#define AML_OP_BUFFER   0x11
#define AML_PREFIX_WORD 0x0b

void aml_put8(struct aml *a, unsigned v);
void aml_put16(struct aml *a, unsigned v);
void aml_put32(struct aml *a, uint32_t v);
void aml_put64(struct aml *a, uint64_t v);
void aml_insert(struct aml *a, size_t at, const uint8_t *p, size_t n);
/* A body's length goes here; closed by aml_end(). */
void aml_open(struct aml *a);

#endif
