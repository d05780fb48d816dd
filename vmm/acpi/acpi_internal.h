/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files that write tables. */
#ifndef VMM_ACPI_ACPI_INTERNAL_H
#define VMM_ACPI_ACPI_INTERNAL_H

#include "vmm/acpi/acpi.h"

#define ACPI_ECAM_LEN (1u << 20) /* bus 0 */

/* A table's header; the body is appended, then acpi_table_end() sets length and checksum of what
 * began at @start. */
int acpi_table_begin(struct buf *b, const char sig[4], uint8_t revision);
void acpi_table_end(struct buf *b, size_t start);

#endif
