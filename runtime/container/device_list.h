/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container's disks: block devices and raw files of the host that are devices in it. What is known of them between two
 * commands is <root>/<id>/devices.json, replaced by rename; there is none for a container that never had one. A disk
 * is noted before it is given to the machine, and as there when it is all in place; so one that is noted and not there
 * is what a killed command left, and the next update takes it away.
 */
#ifndef RUNTIME_CONTAINER_DEVICE_LIST_H
#define RUNTIME_CONTAINER_DEVICE_LIST_H

#include <limits.h>

#include "lib/err.h"

#define DEVICE_LIST_MAX 256
#define DEVICE_SERIAL   21 /* bytes of a disk's serial and a NUL */

/* What an option asks for: HOSTPATH[:CONTAINERPATH[:ACCESS]], as Docker's --device has it. */
struct device_wish {
	char source[PATH_MAX], path[PATH_MAX];
	char access[4]; /* of "rwm", "rwm" when not given */
};
int device_wish_parse(const char *text, struct device_wish *ret, struct err *e);
/* A path inside the container: absolute, the shortest way to write it. */
int device_path_check(const char *path, struct err *e);

struct device_entry {
	char *path, *source;
	char disk[DEVICE_SERIAL]; /* the machine's device and its serial; one may have several paths */
	char access[4];
	bool there;
};
struct device_list {
	struct device_entry *v;
	size_t n;
};
/* @dir: the container's folder. Without the file: an empty list. */
int device_list_load(int dir, struct device_list *ret, struct err *e);
int device_list_parse(const char *text, size_t len, struct device_list *ret, struct err *e);
int device_list_save(int dir, const struct device_list *l, struct err *e);
/* Copies all of @from. -E2BIG. */
int device_list_add(struct device_list *l, const struct device_entry *from, struct err *e);
const struct device_entry *device_list_find(const struct device_list *l, const char *path); /* NULL: none */
/* Forgets every path of the disk. */
void device_list_drop(struct device_list *l, const char *disk);
void device_list_done(struct device_list *l);

#endif
