// SPDX-License-Identifier: Apache-2.0
/* The option words of mounts: flags by runc's tables; what no row knows is the file system's own. */
#include "runtime/oci/field.h"

#include <string.h>
#include <sys/mount.h>

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif
#ifndef MS_LAZYTIME
#define MS_LAZYTIME (1 << 25)
#endif

struct option {
	const char *name;
	bool clear;
	unsigned long flag;
};

static const struct option flag_options[] = {
	{ "acl", false, MS_POSIXACL },
	{ "async", true, MS_SYNCHRONOUS },
	{ "atime", true, MS_NOATIME },
	{ "defaults", false, 0 },
	{ "dev", true, MS_NODEV },
	{ "diratime", true, MS_NODIRATIME },
	{ "dirsync", false, MS_DIRSYNC },
	{ "exec", true, MS_NOEXEC },
	{ "iversion", false, MS_I_VERSION },
	{ "lazytime", false, MS_LAZYTIME },
	{ "loud", true, MS_SILENT },
	{ "mand", false, MS_MANDLOCK },
	{ "noacl", true, MS_POSIXACL },
	{ "noatime", false, MS_NOATIME },
	{ "nodev", false, MS_NODEV },
	{ "nodiratime", false, MS_NODIRATIME },
	{ "noexec", false, MS_NOEXEC },
	{ "noiversion", true, MS_I_VERSION },
	{ "nolazytime", true, MS_LAZYTIME },
	{ "nomand", true, MS_MANDLOCK },
	{ "norelatime", true, MS_RELATIME },
	{ "nostrictatime", true, MS_STRICTATIME },
	{ "nosuid", false, MS_NOSUID },
	{ "nosymfollow", false, MS_NOSYMFOLLOW },
	{ "relatime", false, MS_RELATIME },
	{ "remount", false, MS_REMOUNT },
	{ "ro", false, MS_RDONLY },
	{ "rw", true, MS_RDONLY },
	{ "silent", false, MS_SILENT },
	{ "strictatime", false, MS_STRICTATIME },
	{ "suid", true, MS_NOSUID },
	{ "symfollow", true, MS_NOSYMFOLLOW },
	{ "sync", false, MS_SYNCHRONOUS },
};

static const struct {
	const char *name;
	unsigned long flags;
} propagation_options[] = {
	{ "private", MS_PRIVATE },	   { "rprivate", MS_PRIVATE | MS_REC },
	{ "shared", MS_SHARED },	   { "rshared", MS_SHARED | MS_REC },
	{ "slave", MS_SLAVE },		   { "rslave", MS_SLAVE | MS_REC },
	{ "unbindable", MS_UNBINDABLE }, { "runbindable", MS_UNBINDABLE | MS_REC },
};

/* "r" before a flag's name: on the mount and all below it, by mount_setattr(2). Access times are a field of three
 * values there, so each word sets the field: the one that takes a value back sets the default. */
static const struct {
	const char *name;
	uint64_t set, clear;
} recursive_options[] = {
	{ "ratime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME },
	{ "rdev", 0, MOUNT_ATTR_NODEV },
	{ "rdiratime", 0, MOUNT_ATTR_NODIRATIME },
	{ "rexec", 0, MOUNT_ATTR_NOEXEC },
	{ "rnoatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME },
	{ "rnodev", MOUNT_ATTR_NODEV, 0 },
	{ "rnodiratime", MOUNT_ATTR_NODIRATIME, 0 },
	{ "rnoexec", MOUNT_ATTR_NOEXEC, 0 },
	{ "rnorelatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME },
	{ "rnostrictatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME },
	{ "rnosuid", MOUNT_ATTR_NOSUID, 0 },
	{ "rnosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0 },
	{ "rrelatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME },
	{ "rro", MOUNT_ATTR_RDONLY, 0 },
	{ "rrw", 0, MOUNT_ATTR_RDONLY },
	{ "rstrictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME },
	{ "rsuid", 0, MOUNT_ATTR_NOSUID },
	{ "rsymfollow", 0, MOUNT_ATTR_NOSYMFOLLOW },
};

/* A security label in a file system's data, which runc hands on: there is no such module in the guest. */
static const char *const label_options[] = { "context=", "fscontext=", "defcontext=", "rootcontext=" };

uint64_t oci_propagation(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(propagation_options); i++)
		if (strcmp(name, propagation_options[i].name) == 0)
			return propagation_options[i].flags;
	return 0;
}

static bool take_flag(struct oci_mount *m, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(flag_options); i++) {
		const struct option *o = &flag_options[i];

		if (strcmp(name, o->name) != 0)
			continue;
		/* The last word wins, as in mount(8). */
		if (o->clear) {
			m->flags &= ~o->flag;
			m->flags_clear |= o->flag;
		} else {
			m->flags |= o->flag;
			m->flags_clear &= ~o->flag;
		}
		return true;
	}
	return false;
}

static bool take_recursive(struct oci_mount *m, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(recursive_options); i++) {
		if (strcmp(name, recursive_options[i].name) != 0)
			continue;
		/* What an earlier word said of the same bits is over. */
		m->rec_set &= ~(recursive_options[i].set | recursive_options[i].clear);
		m->rec_clear &= ~recursive_options[i].set;
		m->rec_set |= recursive_options[i].set;
		m->rec_clear |= recursive_options[i].clear;
		return true;
	}
	return false;
}

static bool take_other(struct oci_mount *m, const char *name)
{
	if (strcmp(name, "bind") == 0)
		m->bind = true;
	else if (strcmp(name, "rbind") == 0)
		m->bind = m->recursive = true;
	else if (strcmp(name, "tmpcopyup") == 0)
		m->copy_up = true;
	else if (strcmp(name, "idmap") == 0)
		m->idmap = true;
	else if (strcmp(name, "ridmap") == 0)
		m->idmap = m->idmap_recursive = true;
	else
		return false;
	return true;
}

static bool is_label(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(label_options); i++)
		if (strncmp(name, label_options[i], strlen(label_options[i])) == 0)
			return true;
	return false;
}

void oci_take_mount_option(struct oci_mount *m, const char *name, char *data)
{
	uint64_t propagation = oci_propagation(name);

	if (propagation) {
		m->propagation[m->n_propagation++] = propagation;
	} else if (!take_flag(m, name) && !take_recursive(m, name) && !take_other(m, name) &&
		   !is_label(name) && *name) {
		if (*data)
			strcat(data, ",");
		strcat(data, name);
	}
}
