// SPDX-License-Identifier: Apache-2.0
#include "runtime/oci/features.h"

#include <seccomp.h>
#include <stdio.h>
#include <string.h>

#include "runtime/oci/field.h"

/* ---- asking the parser -------------------------------------------------------------------------- */

/* A configuration that is accepted, with room for one thing more. The caller frees *ret. */
static int parse(struct oci_spec **ret, const char *mount, const char *namespace, const char *lin)
{
	char text[2048];

	snprintf(text, sizeof(text),
		 "{\"ociVersion\": \"" OCI_VERSION_MAX "\", \"process\": {\"args\": [\"sh\"], \"cwd\": \"/\"},"
		 " \"root\": {\"path\": \"/\"}, \"mounts\": [%s],"
		 " \"linux\": {\"namespaces\": [{\"type\": \"pid\"}, {\"type\": \"network\"}, {\"type\": \"mount\"}%s]%s}}",
		 mount, namespace, lin);
	return oci_spec_parse(ret, text, strlen(text), "probe", NULL);
}

static bool accepts(const char *namespace, const char *lin)
{
	struct oci_spec *s = NULL;
	bool ok = parse(&s, "", namespace, lin) == 0;

	oci_spec_free(s);
	return ok;
}

/* What no row of the parser knows becomes the file system's own data. */
static bool accepts_option(const char *name)
{
	static const char mappings[] = ", \"uidMappings\": [{\"containerID\": 0, \"hostID\": 1, \"size\": 1}],"
				       " \"gidMappings\": [{\"containerID\": 0, \"hostID\": 1, \"size\": 1}]";
	struct oci_spec *s = NULL;
	char mount[320];
	bool ok;

	snprintf(mount, sizeof(mount),
		 "{\"destination\": \"/x\", \"type\": \"tmpfs\", \"source\": \"/x\", \"options\": [\"%s\"]%s}", name,
		 strstr(name, "idmap") ? mappings : "");
	ok = parse(&s, mount, "", "") == 0 && !*s->mounts[0].data;
	oci_spec_free(s);
	return ok;
}

static bool accepts_namespace(const char *name)
{
	static const char mappings[] = ", \"uidMappings\": [{\"containerID\": 0, \"hostID\": 100000, \"size\": 65536}],"
				       " \"gidMappings\": [{\"containerID\": 0, \"hostID\": 100000, \"size\": 65536}]";
	char ns[64];

	/* These three are in the configuration already, and accepted with it. */
	if (!strcmp(name, "pid") || !strcmp(name, "network") || !strcmp(name, "mount"))
		return accepts("", "");
	snprintf(ns, sizeof(ns), ", {\"type\": \"%s\"}", name);
	return accepts(ns, strcmp(name, "user") ? "" : mappings);
}

/* A row's verdict; a field that has none is not known. */
static bool does(const struct oci_field *table, const char *name)
{
	for (; table->name; table++)
		if (!strcmp(table->name, name))
			return table->verdict == OCI_GUEST || table->verdict == OCI_HOST;
	return false;
}

/* ---- the features document ---------------------------------------------------------------------- */

/* The names of the specification and of seccomp(2), to be tried. */
static const char *const mount_options[] = {
	"acl", "async", "atime", "bind", "defaults", "dev", "diratime", "dirsync", "exec", "idmap", "iversion",
	"lazytime", "loud", "mand", "noacl", "noatime", "nodev", "nodiratime", "noexec", "noiversion", "nolazytime",
	"nomand", "norelatime", "nostrictatime", "nosuid", "nosymfollow", "private", "ratime", "rbind", "rdev",
	"rdiratime", "relatime", "remount", "rexec", "ridmap", "rnoatime", "rnodev", "rnodiratime", "rnoexec",
	"rnorelatime", "rnostrictatime", "rnosuid", "rnosymfollow", "ro", "rprivate", "rrelatime", "rro", "rrw",
	"rshared", "rslave", "rstrictatime", "rsuid", "rsymfollow", "runbindable", "rw", "shared", "silent", "slave",
	"strictatime", "suid", "symfollow", "sync", "tmpcopyup", "unbindable", NULL,
};
static const char *const seccomp_actions[] = {
	"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD",
	"SCMP_ACT_LOG", "SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE", "SCMP_ACT_TRAP", NULL,
};
static const char *const seccomp_operators[] = {
	"SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE",
	NULL,
};
static const char *const seccomp_archs[] = {
	"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", "SCMP_ARCH_LOONGARCH64", "SCMP_ARCH_M68K", "SCMP_ARCH_MIPS",
	"SCMP_ARCH_MIPS64", "SCMP_ARCH_MIPS64N32", "SCMP_ARCH_MIPSEL", "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32",
	"SCMP_ARCH_PARISC", "SCMP_ARCH_PARISC64", "SCMP_ARCH_PPC", "SCMP_ARCH_PPC64", "SCMP_ARCH_PPC64LE",
	"SCMP_ARCH_RISCV64", "SCMP_ARCH_S390", "SCMP_ARCH_S390X", "SCMP_ARCH_SH", "SCMP_ARCH_SHEB", "SCMP_ARCH_X32",
	"SCMP_ARCH_X86", "SCMP_ARCH_X86_64", NULL,
};
static const char *const seccomp_flags[] = {
	"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC",
	"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", NULL,
};

/* Of set_mempolicy(2). */
static const char *const memory_modes[] = {
	"MPOL_BIND", "MPOL_DEFAULT", "MPOL_INTERLEAVE", "MPOL_LOCAL", "MPOL_PREFERRED", "MPOL_PREFERRED_MANY",
	"MPOL_WEIGHTED_INTERLEAVE", NULL,
};
static const char *const memory_flags[] = {
	"MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES", NULL,
};

/* The names for which the linux object is accepted that @fmt makes with one. */
__attribute__((format(printf, 4, 0))) static void accepted(struct json_w *w, const char *key, const char *const *names,
							     const char *fmt)
{
	char lin[512];

	jw_array(w, key);
	for (; *names; names++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(lin, sizeof(lin), fmt, *names);
#pragma GCC diagnostic pop
		if (accepts("", lin))
			jw_str(w, NULL, *names);
	}
	jw_end_array(w);
}

#define SECCOMP(more) ", \"seccomp\": {\"defaultAction\": \"SCMP_ACT_ALLOW\"" more "}"

static void seccomp(struct json_w *w)
{
	bool enabled = accepts("", SECCOMP(""));

	jw_object(w, "seccomp");
	jw_bool(w, "enabled", enabled);
	if (enabled) {
		accepted(w, "actions", seccomp_actions,
			 SECCOMP(", \"syscalls\": [{\"names\": [\"read\"], \"action\": \"%s\"}]"));
		accepted(w, "operators", seccomp_operators,
			 SECCOMP(", \"syscalls\": [{\"names\": [\"read\"], \"action\": \"SCMP_ACT_ERRNO\","
				 " \"args\": [{\"index\": 0, \"value\": 1, \"valueTwo\": 1, \"op\": \"%s\"}]}]"));
		accepted(w, "archs", seccomp_archs, SECCOMP(", \"architectures\": [\"%s\"]"));
		accepted(w, "knownFlags", seccomp_flags, SECCOMP(", \"flags\": [\"%s\"]"));
		accepted(w, "supportedFlags", seccomp_flags, SECCOMP(", \"flags\": [\"%s\"]"));
	}
	jw_end_object(w);
}

static void enabled(struct json_w *w, const char *key, bool is)
{
	jw_object(w, key);
	jw_bool(w, "enabled", is);
	jw_end_object(w);
}

static void memory_policy(struct json_w *w)
{
	jw_object(w, "memoryPolicy");
	accepted(w, "modes", memory_modes, ", \"memoryPolicy\": {\"mode\": \"%s\"}");
	accepted(w, "flags", memory_flags, ", \"memoryPolicy\": {\"mode\": \"MPOL_BIND\", \"flags\": [\"%s\"]}");
	jw_end_object(w);
}

/* Its parts are there when it is. */
static void intel_rdt(struct json_w *w)
{
	bool is = does(oci_linux_fields, "intelRdt");

	jw_object(w, "intelRdt");
	jw_bool(w, "enabled", is);
	jw_bool(w, "schemata", is);
	jw_bool(w, "monitoring", is);
	jw_end_object(w);
}

static void linux_features(struct json_w *w)
{
	jw_object(w, "linux");
	jw_array(w, "namespaces");
	for (unsigned t = 0; t < OCI_NS_COUNT; t++)
		if (accepts_namespace(oci_ns_name((enum oci_ns_type)t)))
			jw_str(w, NULL, oci_ns_name((enum oci_ns_type)t));
	jw_end_array(w);
	jw_array(w, "capabilities");
	for (unsigned i = 0; oci_cap_name(i); i++) {
		char name[64];

		snprintf(name, sizeof(name), "CAP_%s", oci_cap_name(i));
		jw_str(w, NULL, name);
	}
	jw_end_array(w);
	jw_object(w, "cgroup");
	jw_bool(w, "v1", false);
	jw_bool(w, "v2", true);
	jw_bool(w, "systemd", true);
	jw_bool(w, "systemdUser", true);
	jw_bool(w, "rdma", does(oci_resources_fields, "rdma"));
	jw_end_object(w);
	seccomp(w);
	enabled(w, "apparmor", does(oci_process_fields, "apparmorProfile"));
	enabled(w, "selinux", does(oci_process_fields, "selinuxLabel"));
	memory_policy(w);
	intel_rdt(w);
	jw_object(w, "mountExtensions");
	enabled(w, "idmap", does(oci_mount_fields, "uidMappings"));
	jw_end_object(w);
	enabled(w, "netDevices", does(oci_linux_fields, "netDevices"));
	jw_end_object(w);
}

/* The library's by the name that other runtimes give it, too. */
static void annotations(struct json_w *w)
{
	const struct scmp_version *v = seccomp_version();
	char text[64];

	jw_object(w, "annotations");
	jw_str(w, "dev.husk.version", HUSK_VERSION);
	if (v) {
		snprintf(text, sizeof(text), "%u.%u.%u", v->major, v->minor, v->micro);
		jw_str(w, "io.github.seccomp.libseccomp.version", text);
	}
	jw_end_object(w);
}

int oci_features_json(struct buf *out)
{
	struct json_w w;

	jw_init(&w, out, true);
	jw_object(&w, NULL);
	jw_str(&w, "ociVersionMin", OCI_VERSION_MIN);
	jw_str(&w, "ociVersionMax", OCI_VERSION_MAX);
	jw_array(&w, "hooks");
	for (unsigned k = 0; k < OCI_HOOK_COUNT; k++)
		if (does(oci_hooks_fields, oci_hook_name((enum oci_hook_kind)k)))
			jw_str(&w, NULL, oci_hook_name((enum oci_hook_kind)k));
	jw_end_array(&w);
	jw_array(&w, "mountOptions");
	for (const char *const *o = mount_options; *o; o++)
		if (accepts_option(*o))
			jw_str(&w, NULL, *o);
	jw_end_array(&w);
	linux_features(&w);
	annotations(&w);
	jw_array(&w, "potentiallyUnsafeConfigAnnotations");
	jw_str(&w, NULL, "dev.husk.");
	jw_str(&w, NULL, "org.systemd.property.");
	jw_end_array(&w);
	jw_end_object(&w);
	return jw_done(&w) ? 0 : -ENOSPC;
}

/* ---- the table for people ----------------------------------------------------------------------- */

static const char *const verdicts[] = {
	[OCI_GUEST] = "done in the guest",
	[OCI_HOST] = "done on the host",
	[OCI_IGNORED] = "accepted without effect",
	[OCI_REFUSED] = "refused",
};

static const char head[] =
	"# config.json, field by field\n"
	"\n"
	"<!-- Written by `make docs` from the parser's own tables; changes by hand are lost. -->\n"
	"\n"
	"Each field that the specification knows has one of four verdicts. *Done in the guest* and *done on the host* say\n"
	"where it has its effect. *Accepted without effect*: what it would protect or configure does not exist for a container\n"
	"in a machine of its own, and engines send it whether wanted or not. *Refused*: `create` fails with one line that names\n"
	"the field, when it holds anything. A field that the specification does not know is passed over. Some fields that are\n"
	"done refuse single values, which the line names too; `husk features` lists what is accepted of hooks, mount options,\n"
	"namespaces, capabilities and seccomp, and `husk doctor --bundle DIR` says all this about one bundle.\n"
	"\n"
	"Of `linux.seccomp`, `SCMP_ACT_LOG` lets a call through, but no line is written anywhere: what the kernel would log\n"
	"goes to its audit, and the guest's kernel has none. The same is true of `SECCOMP_FILTER_FLAG_LOG`.\n"
	"\n"
	"Of `process.rlimits`, `RLIMIT_NOFILE` is that of husk's caller when it is not named, as under runc, up to 1073741816;\n"
	"an `exec` without limits of its own has the container's. Every other one that is not named is the guest's, whatever\n"
	"the caller has: `RLIMIT_CORE` 0 and unlimited, `RLIMIT_STACK` 8 MiB and unlimited, `RLIMIT_MEMLOCK` 8 MiB,\n"
	"`RLIMIT_MSGQUEUE` 819200, `RLIMIT_NICE` and `RLIMIT_RTPRIO` 0, all the rest unlimited.\n"
	"\n"
	"| field | verdict |\n"
	"|---|---|\n";

int oci_features_markdown(struct buf *out)
{
	buf_printf(out, "%s", head);
	for (const struct oci_table *t = oci_tables; t->prefix; t++)
		for (const struct oci_field *f = t->rows; f->name; f++)
			buf_printf(out, "| `%s%s`%s | %s%s%s |\n", t->prefix, f->name, f->required ? ", required" : "",
				   verdicts[f->verdict], f->why ? ": " : "", f->why ? f->why : "");
	return out->failed ? -ENOSPC : 0;
}
