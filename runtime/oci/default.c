// SPDX-License-Identifier: Apache-2.0
/* The config.json that `husk spec` writes: field for field what `runc spec` does. */
#include "runtime/oci/spec.h"

static const char *const default_caps[] = { "CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE" };
static const char *const default_cap_sets[] = { "bounding", "effective", "permitted", "ambient" };

struct default_mount {
	const char *destination, *type, *source;
	const char *options[8];
};

static const struct default_mount default_mounts[] = {
	{ "/proc", "proc", "proc", { NULL } },
	{ "/dev", "tmpfs", "tmpfs", { "nosuid", "strictatime", "mode=755", "size=65536k" } },
	{ "/dev/pts", "devpts", "devpts",
	  { "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5" } },
	{ "/dev/shm", "tmpfs", "shm", { "nosuid", "noexec", "nodev", "mode=1777", "size=65536k" } },
	{ "/dev/mqueue", "mqueue", "mqueue", { "nosuid", "noexec", "nodev" } },
	{ "/sys", "sysfs", "sysfs", { "nosuid", "noexec", "nodev", "ro" } },
	{ "/sys/fs/cgroup", "cgroup", "cgroup", { "nosuid", "noexec", "nodev", "relatime", "ro" } },
};

/* Without privileges: the terminal's group cannot be given, and sysfs is the host's, read-only. */
static const struct default_mount rootless_mounts[] = {
	{ "/proc", "proc", "proc", { NULL } },
	{ "/dev", "tmpfs", "tmpfs", { "nosuid", "strictatime", "mode=755", "size=65536k" } },
	{ "/dev/pts", "devpts", "devpts",
	  { "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620" } },
	{ "/dev/shm", "tmpfs", "shm", { "nosuid", "noexec", "nodev", "mode=1777", "size=65536k" } },
	{ "/dev/mqueue", "mqueue", "mqueue", { "nosuid", "noexec", "nodev" } },
	{ "/sys", "sysfs", "sysfs", { "nosuid", "noexec", "nodev", "ro" } },
};

static const char *const default_namespaces[] = { "pid", "network", "ipc", "uts", "mount", "cgroup" };
static const char *const default_masked[] = {
	"/proc/acpi",	     "/proc/asound",	"/proc/kcore",	   "/proc/keys",
	"/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
	"/sys/firmware",     "/proc/scsi",
};
static const char *const default_readonly[] = { "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
						"/proc/sysrq-trigger" };

static void put_strings(struct json_w *w, const char *key, const char *const *v, size_t n)
{
	jw_array(w, key);
	for (size_t i = 0; i < n && v[i]; i++)
		jw_str(w, NULL, v[i]);
	jw_end_array(w);
}

static void put_process(struct json_w *w)
{
	static const char *const args[] = { "sh" };
	static const char *const env[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"
	};

	jw_object(w, "process");
	jw_bool(w, "terminal", true);
	jw_object(w, "user");
	jw_uint(w, "uid", 0);
	jw_uint(w, "gid", 0);
	jw_end_object(w);
	put_strings(w, "args", args, ARRAY_SIZE(args));
	put_strings(w, "env", env, ARRAY_SIZE(env));
	jw_str(w, "cwd", "/");
	jw_object(w, "capabilities");
	for (size_t i = 0; i < ARRAY_SIZE(default_cap_sets); i++)
		put_strings(w, default_cap_sets[i], default_caps, ARRAY_SIZE(default_caps));
	jw_end_object(w);
	jw_array(w, "rlimits");
	jw_object(w, NULL);
	jw_str(w, "type", "RLIMIT_NOFILE");
	jw_uint(w, "hard", 1024);
	jw_uint(w, "soft", 1024);
	jw_end_object(w);
	jw_end_array(w);
	jw_bool(w, "noNewPrivileges", true);
	jw_end_object(w);
}

static void put_mounts(struct json_w *w, const struct default_mount *m, size_t n)
{
	jw_array(w, "mounts");
	for (; n; n--, m++) {
		jw_object(w, NULL);
		jw_str(w, "destination", m->destination);
		jw_str(w, "type", m->type);
		jw_str(w, "source", m->source);
		if (m->options[0])
			put_strings(w, "options", m->options, ARRAY_SIZE(m->options));
		jw_end_object(w);
	}
	jw_end_array(w);
}

static void put_linux(struct json_w *w)
{
	jw_object(w, "linux");
	jw_object(w, "resources");
	jw_array(w, "devices");
	jw_object(w, NULL);
	jw_bool(w, "allow", false);
	jw_str(w, "access", "rwm");
	jw_end_object(w);
	jw_end_array(w);
	jw_end_object(w);
	jw_array(w, "namespaces");
	for (size_t i = 0; i < ARRAY_SIZE(default_namespaces); i++) {
		jw_object(w, NULL);
		jw_str(w, "type", default_namespaces[i]);
		jw_end_object(w);
	}
	jw_end_array(w);
	put_strings(w, "maskedPaths", default_masked, ARRAY_SIZE(default_masked));
	put_strings(w, "readonlyPaths", default_readonly, ARRAY_SIZE(default_readonly));
	jw_end_object(w);
}

int oci_default_spec(struct buf *out, bool rootless)
{
	struct json_w w;

	jw_init(&w, out, true);
	jw_object(&w, NULL);
	jw_str(&w, "ociVersion", OCI_VERSION);
	put_process(&w);
	jw_object(&w, "root");
	jw_str(&w, "path", "rootfs");
	jw_bool(&w, "readonly", true);
	jw_end_object(&w);
	jw_str(&w, "hostname", "husk");
	if (rootless)
		put_mounts(&w, rootless_mounts, ARRAY_SIZE(rootless_mounts));
	else
		put_mounts(&w, default_mounts, ARRAY_SIZE(default_mounts));
	put_linux(&w);
	jw_end_object(&w);
	return jw_done(&w) ? 0 : -ENOMEM;
}
