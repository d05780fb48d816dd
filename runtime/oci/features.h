/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parser of config.json does with each field, told to callers: the features document of the specification
 * (features.md, features-linux.md) and a table for people. Nothing is listed by hand: verdicts are those of the parser's
 * rows, and a value counts as supported when a small configuration with it is accepted.
 */
#ifndef RUNTIME_OCI_FEATURES_H
#define RUNTIME_OCI_FEATURES_H

#include "lib/buf.h"

#define OCI_VERSION_MIN "1.0.0"
#define OCI_VERSION_MAX "1.3.0" /* whose features document it is; any 1.x is read */

/* Both: 0 or -ENOSPC, -ENOMEM. */
int oci_features_json(struct buf *out);
int oci_features_markdown(struct buf *out);

#endif
