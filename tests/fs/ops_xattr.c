// SPDX-License-Identifier: Apache-2.0
/*
 * Extended attributes, and what lies in them: ACLs, file capabilities.
 */
#include "tests/fs/conform.h"

#include <endian.h>
#include <errno.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#define LIST_MAX 70000
#define ACL_MAX  32

static const struct word set_words[] = {
	{ "create", XATTR_CREATE }, { "replace", XATTR_REPLACE }, { "bad", 0x80 }, { 0 }
};

static char big[LIST_MAX];

/* setx PATH NAME VALUE [FLAGS] */
static void op_setx(struct ctx *c)
{
	say_rc(c, setxattr(arg(c, 1), arg(c, 2), arg(c, 3), c->len[3],
			   has(c, 4) ? (int)words(c, 4, set_words) : 0));
}

static void op_lsetx(struct ctx *c)
{
	say_rc(c, lsetxattr(arg(c, 1), arg(c, 2), arg(c, 3), c->len[3], 0));
}

static void op_fsetx(struct ctx *c)
{
	say_rc(c, fsetxattr(file(c, 1), arg(c, 2), arg(c, 3), c->len[3], 0));
}

static void value(struct ctx *c, ssize_t n, bool size_only)
{
	if (n < 0 || size_only)
		say_rc(c, n);
	else
		say_bytes(c, big, (size_t)n);
}

/* getx PATH NAME [SIZE]: 0 asks for the size */
static void op_getx(struct ctx *c)
{
	size_t n = has(c, 3) ? (size_t)num(c, 3) : sizeof(big);

	value(c, getxattr(arg(c, 1), arg(c, 2), big, n), n == 0);
}

static void op_lgetx(struct ctx *c)
{
	value(c, lgetxattr(arg(c, 1), arg(c, 2), big, sizeof(big)), false);
}

static void op_fgetx(struct ctx *c)
{
	value(c, fgetxattr(file(c, 1), arg(c, 2), big, sizeof(big)), false);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names in order; what a security module of the machine adds is left out. */
static void names(struct ctx *c, ssize_t n)
{
	const char *name[512];
	size_t count = 0;

	if (n < 0) {
		say_rc(c, n);
		return;
	}
	for (char *p = big; p < big + n && count < ARRAY_SIZE(name); p += strlen(p) + 1)
		if (strcmp(p, "security.selinux") != 0)
			name[count++] = p;
	qsort(name, count, sizeof(name[0]), by_text);
	say(c, "[");
	for (size_t i = 0; i < count && i < 40; i++)
		say(c, "%s%s", i ? "," : "", name[i]);
	say(c, "]%zu", count);
}

/* listx PATH [SIZE] */
static void op_listx(struct ctx *c)
{
	size_t size = has(c, 2) ? (size_t)num(c, 2) : sizeof(big);
	ssize_t n = listxattr(arg(c, 1), big, size);

	if (size == 0)
		say_rc(c, n);
	else
		names(c, n);
}

static void op_llistx(struct ctx *c)
{
	names(c, llistxattr(arg(c, 1), big, sizeof(big)));
}

static void op_flistx(struct ctx *c)
{
	names(c, flistxattr(file(c, 1), big, sizeof(big)));
}

static void op_rmx(struct ctx *c)
{
	say_rc(c, removexattr(arg(c, 1), arg(c, 2)));
}

static void op_frmx(struct ctx *c)
{
	say_rc(c, fremovexattr(file(c, 1), arg(c, 2)));
}

/* --- ACLs: "u::rwx,u:1001:rw-,g::r--,m::rw-,o::---" --------------------------------------- */
static const char *acl_name(const struct ctx *c)
{
	return !strcmp(arg(c, 2), "default") ? "system.posix_acl_default"
					     : "system.posix_acl_access";
}

static void acl_entry(const char *text, struct posix_acl_xattr_entry *e)
{
	unsigned id, tag = 0, perm = 0;
	const char *p = strchr(text, ':') + 1;
	bool named = *p != ':';

	id = named ? (unsigned)strtoul(p, NULL, 10) : (unsigned)ACL_UNDEFINED_ID;
	for (p = strchr(p, ':') + 1; *p && *p != ','; p++)
		perm |= *p == 'r' ? 4u : *p == 'w' ? 2u : *p == 'x' ? 1u : 0u;
	switch (text[0]) {
	case 'u':
		tag = named ? ACL_USER : ACL_USER_OBJ;
		break;
	case 'g':
		tag = named ? ACL_GROUP : ACL_GROUP_OBJ;
		break;
	case 'm':
		tag = ACL_MASK;
		break;
	case 'o':
		tag = ACL_OTHER;
		break;
	default:
		bad_case("no ACL tag %c", text[0]);
	}
	*e = (struct posix_acl_xattr_entry){ htole16((uint16_t)tag), htole16((uint16_t)perm),
					     htole32(id) };
}

/* acl PATH access|default TEXT */
static void op_acl(struct ctx *c)
{
	struct {
		struct posix_acl_xattr_header h;
		struct posix_acl_xattr_entry e[ACL_MAX];
	} a = { .h.a_version = htole32(POSIX_ACL_XATTR_VERSION) };
	const char *p = arg(c, 3);
	size_t n = 0;

	while (*p && n < ACL_MAX) {
		acl_entry(p, &a.e[n++]);
		p += strcspn(p, ",");
		p += *p == ',';
	}
	say_rc(c, setxattr(arg(c, 1), acl_name(c), &a, sizeof(a.h) + n * sizeof(a.e[0]), 0));
}

/* getacl PATH access|default */
static void op_getacl(struct ctx *c)
{
	ssize_t n = getxattr(arg(c, 1), acl_name(c), big, sizeof(big));
	struct posix_acl_xattr_entry e;

	if (n < 0) {
		say_rc(c, n);
		return;
	}
	for (size_t at = sizeof(struct posix_acl_xattr_header); at + sizeof(e) <= (size_t)n;
	     at += sizeof(e)) {
		memcpy(&e, big + at, sizeof(e));
		say(c, "%x:%d:%o,", le16toh(e.e_tag), (int)le32toh(e.e_id), le16toh(e.e_perm));
	}
}

/* setcap PATH: CAP_NET_RAW, permitted and effective */
static void op_setcap(struct ctx *c)
{
	struct vfs_cap_data d = {
		.magic_etc = htole32(VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE),
		.data[0].permitted = htole32(1u << CAP_NET_RAW),
	};

	say_rc(c, setxattr(arg(c, 1), "security.capability", &d, sizeof(d), 0));
}

/* hascap PATH */
static void op_hascap(struct ctx *c)
{
	say_rc(c, getxattr(arg(c, 1), "security.capability", big, sizeof(big)));
}

const struct op ops_xattr[] = {
	{ "setx", 3, op_setx },     { "lsetx", 3, op_lsetx },
	{ "fsetx", 3, op_fsetx },   { "getx", 2, op_getx },
	{ "lgetx", 2, op_lgetx },   { "fgetx", 2, op_fgetx },
	{ "listx", 1, op_listx },   { "llistx", 1, op_llistx },
	{ "flistx", 1, op_flistx }, { "rmx", 2, op_rmx },
	{ "frmx", 2, op_frmx },     { "acl", 3, op_acl },
	{ "getacl", 2, op_getacl }, { "setcap", 1, op_setcap },
	{ "hascap", 1, op_hascap }, { 0 },
};
