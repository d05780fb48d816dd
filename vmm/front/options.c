// SPDX-License-Identifier: Apache-2.0
#include "vmm/front/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/front/keyval.h"

/* One option: its parser gets the option's name, its value (NULL for flags) and the field. */
struct opt {
	const char *name;
	bool has_value, repeats; /* repeats: "--fs A B" is two of them */
	int (*parse)(const struct opt *o, const char *value, struct options *to, struct err *e);
	size_t off;
	const char *help;
};

#define FIELD(f) offsetof(struct options, f)

static void *field_of(const struct opt *o, struct options *to)
{
	return (char *)to + o->off;
}

static const char *dashed(const struct opt *o)
{
	static char name[40];

	snprintf(name, sizeof(name), "--%s", o->name);
	return name;
}

static int opt_str(const struct opt *o, const char *value, struct options *to, struct err *e)
{
	const struct kv_key k = { .type = KV_STR };

	return kv_value(dashed(o), NULL, value, &k, field_of(o, to), e);
}

static int opt_flag(const struct opt *o, const char *value, struct options *to, struct err *e)
{
	(void)value;
	(void)e;
	*(bool *)field_of(o, to) = true;
	return 0;
}

static int opt_verbose(const struct opt *o, const char *value, struct options *to, struct err *e)
{
	(void)o;
	(void)value;
	(void)e;
	to->verbose++;
	return 0;
}

static int opt_unsupported(const struct opt *o, const char *value, struct options *to,
			   struct err *e)
{
	(void)value;
	(void)to;
	return err_set(e, ENOTSUP, "%s: not supported", dashed(o));
}

static int opt_cpus(const struct opt *o, const char *value, struct options *to, struct err *e)
{
	static const struct kv_key keys[] = {
		{ "boot", KV_UINT, FIELD(cpus), 1, 254, true },
		{ "max", KV_UINT, FIELD(max_cpus), 1, 254, false },
		{ .name = "topology", .type = KV_UNSUPPORTED },
		{ .name = "kvm_hyperv", .type = KV_UNSUPPORTED },
		{ .name = "max_phys_bits", .type = KV_UNSUPPORTED },
		{ .name = "affinity", .type = KV_UNSUPPORTED },
		{ .name = "features", .type = KV_UNSUPPORTED },
		{ .name = "nested", .type = KV_UNSUPPORTED },
		{ .name = NULL },
	};
	int rc = kv_parse(dashed(o), value, keys, to, e);

	if (rc == 0 && to->max_cpus && to->max_cpus != to->cpus)
		return err_set(e, ENOTSUP, "--cpus max: vCPUs cannot be added later, it must be %llu",
			       (unsigned long long)to->cpus);
	return rc;
}

static int opt_memory(const struct opt *o, const char *value, struct options *to, struct err *e)
{
	static const struct kv_key keys[] = {
		{ "size", KV_SIZE, FIELD(memory), MIB(16), 1ull << 46, true },
		{ "mergeable", KV_BOOL, FIELD(mergeable), 0, 0, false },
		{ "thp", KV_BOOL, FIELD(thp), 0, 0, false },
		{ "shared", KV_BOOL, FIELD(shared), 0, 0, false },
		{ .name = "hugepages", .type = KV_UNSUPPORTED },
		{ .name = "hugepage_size", .type = KV_UNSUPPORTED },
		{ .name = "prefault", .type = KV_UNSUPPORTED },
		{ .name = "hotplug_method", .type = KV_UNSUPPORTED },
		{ .name = "hotplug_size", .type = KV_UNSUPPORTED },
		{ .name = NULL },
	};
	int rc = kv_parse(dashed(o), value, keys, to, e);

	if (rc == 0 && to->shared)
		return err_set(e, ENOTSUP, "--memory shared: not supported");
	return rc;
}

static int opt_port(const struct opt *o, const char *value, struct options *to, struct err *e)
{
	static const struct {
		const char *name;
		enum port_mode mode;
	} modes[] = {
		{ "off", PORT_OFF }, { "null", PORT_NULL }, { "tty", PORT_TTY }, { "pty", PORT_PTY },
	};
	const struct kv_key path = { .type = KV_STR };
	struct port *p = field_of(o, to);

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
		if (strcmp(value, modes[i].name) == 0) {
			p->mode = modes[i].mode;
			return 0;
		}
	if (strncmp(value, "file=", 5) != 0)
		return err_set(e, EINVAL, "%s: \"%s\" is not off, null, tty, pty or file=PATH",
			       dashed(o), value);
	p->mode = PORT_FILE;
	return kv_value(dashed(o), "file", value + 5, &path, &p->path, e);
}

static int opt_rng(const struct opt *o, const char *value, struct options *to, struct err *e)
{
	static const struct kv_key keys[] = {
		{ "src", KV_STR, FIELD(rng), 0, 0, true },
		{ .name = "iommu", .type = KV_UNSUPPORTED },
		{ .name = NULL },
	};

	return kv_parse(dashed(o), value, keys, to, e);
}

static int opt_vsock(const struct opt *o, const char *value, struct options *to, struct err *e)
{
	static const struct kv_key keys[] = {
		{ "cid", KV_UINT, FIELD(vsock_cid), 3, UINT32_MAX - 1, true },
		{ "socket", KV_STR, FIELD(vsock_socket), 0, 0, true },
		{ "id", KV_STR, FIELD(vsock_id), 0, 0, false },
		{ .name = "iommu", .type = KV_UNSUPPORTED },
		{ .name = "pci_segment", .type = KV_UNSUPPORTED },
		{ .name = NULL },
	};

	if (to->vsock_socket)
		return err_set(e, EINVAL, "--vsock: there can be one");
	return kv_parse(dashed(o), value, keys, to, e);
}

static int opt_fs(const struct opt *o, const char *value, struct options *to, struct err *e)
{
	static const struct kv_key keys[] = {
		{ "tag", KV_STR, offsetof(struct fs_option, tag), 0, 0, true },
		{ "path", KV_STR, offsetof(struct fs_option, path), 0, 0, true },
		{ "id", KV_STR, offsetof(struct fs_option, id), 0, 0, false },
		{ "num_queues", KV_UINT, offsetof(struct fs_option, queues), 1, 64, false },
		{ "readonly", KV_BOOL, offsetof(struct fs_option, readonly), 0, 0, false },
		{ .name = "socket", .type = KV_UNSUPPORTED }, /* the file server is built in */
		{ .name = "queue_size", .type = KV_UNSUPPORTED },
		{ .name = "pci_segment", .type = KV_UNSUPPORTED },
		{ .name = NULL },
	};
	struct fs_option *fs;

	if (to->nfs == OPTIONS_MAX_FS)
		return err_set(e, EINVAL, "--fs: there can be %d", OPTIONS_MAX_FS);
	fs = &to->fs[to->nfs++]; /* counted first: what a failure leaves is freed too */
	fs->queues = 1;
	return kv_parse(dashed(o), value, keys, fs, e);
}

static int opt_net(const struct opt *o, const char *value, struct options *to, struct err *e)
{
	int rc;

	(void)o;
	if (to->nnets == OPTIONS_MAX_NET)
		return err_set(e, EINVAL, "--net: there can be %d", OPTIONS_MAX_NET);
	rc = net_option_parse(value, &to->net[to->nnets], e);
	to->nnets += rc == 0;
	return rc;
}

static int opt_disk(const struct opt *o, const char *value, struct options *to, struct err *e)
{
	if (to->ndisks == OPTIONS_MAX_DISKS)
		return err_set(e, EINVAL, "--disk: there can be %d", OPTIONS_MAX_DISKS);
	return disk_option_parse(&to->disks[to->ndisks++], dashed(o), value, e);
}

static int opt_balloon(const struct opt *o, const char *value, struct options *to, struct err *e)
{
	static const struct kv_key keys[] = {
		{ "size", KV_SIZE, FIELD(balloon_size), 0, 1ull << 46, true },
		{ "deflate_on_oom", KV_BOOL, FIELD(balloon_oom), 0, 0, false },
		{ "free_page_reporting", KV_BOOL, FIELD(balloon_report), 0, 0, false },
		{ .name = "iommu", .type = KV_UNSUPPORTED },
		{ .name = NULL },
	};

	if (to->balloon)
		return err_set(e, EINVAL, "--balloon: there can be one");
	to->balloon = true;
	return kv_parse(dashed(o), value, keys, to, e);
}

static int opt_event(const struct opt *o, const char *value, struct options *to, struct err *e)
{
	static const struct kv_key keys[] = {
		{ "path", KV_STR, FIELD(event_path), 0, 0, false },
		{ "fd", KV_UINT, FIELD(event_fd), 0, INT32_MAX, false },
		{ .name = NULL },
	};
	int rc = kv_parse(dashed(o), value, keys, to, e);

	if (rc == 0 && to->event_path && to->event_fd >= 0)
		return err_set(e, EINVAL, "%s: path and fd exclude each other", dashed(o));
	return rc;
}

static int opt_seccomp(const struct opt *o, const char *value, struct options *to, struct err *e)
{
	(void)to;
	if (strcmp(value, "true") == 0)
		return 0;
	if (strcmp(value, "false") == 0 || strcmp(value, "log") == 0 ||
	    strcmp(value, "errno") == 0)
		return err_set(e, ENOTSUP, "%s %s: not supported, the filters are always on",
			       dashed(o), value);
	return err_set(e, EINVAL, "%s: \"%s\" is not true", dashed(o), value);
}

static int opt_on_reset(const struct opt *o, const char *value, struct options *to, struct err *e)
{
	to->restart = strcmp(value, "restart") == 0;
	if (!to->restart && strcmp(value, "exit") != 0)
		return err_set(e, EINVAL, "%s: \"%s\" is not restart or exit", dashed(o), value);
	return 0;
}

#define UNSUPPORTED(n, v) { n, v, false, opt_unsupported, 0, NULL }

static const struct opt opts[] = {
	{ "kernel", true, false, opt_str, FIELD(kernel),
	  "PATH\n\tGuest kernel: an ELF with a PVH entry, or a bzImage" },
	{ "initramfs", true, false, opt_str, FIELD(initramfs), "PATH\n\tInitial RAM file system" },
	{ "cmdline", true, false, opt_str, FIELD(cmdline), "TEXT\n\tKernel command line" },
	{ "cpus", true, false, opt_cpus, 0, "boot=N[,max=N]\n\tvCPUs [boot=1]" },
	{ "memory", true, false, opt_memory, 0,
	  "size=N[K|M|G|T][,mergeable=on|off][,thp=on|off]\n\tGuest memory [size=512M,thp=on]" },
	{ "console", true, false, opt_port, FIELD(console),
	  "off|null|tty|pty|file=PATH\n\tvirtio console, hvc0 in the guest [tty]" },
	{ "serial", true, false, opt_port, FIELD(serial),
	  "off|null|tty|pty|file=PATH\n\tSerial port, ttyS0 in the guest [off]" },
	{ "debug-console", true, false, opt_port, FIELD(debug),
	  "off|tty|pty|file=PATH\n\tOutput of I/O port 0xe9 [off]" },
	{ "rng", true, false, opt_rng, 0, "src=PATH\n\tSource of entropy [the host kernel's]" },
	{ "vsock", true, false, opt_vsock, 0,
	  "cid=N,socket=PATH[,id=ID]\n\tHost end of AF_VSOCK: write \"CONNECT PORT\" to PATH; the "
	  "guest's\n\tconnections to port N go to PATH_N" },
	{ "fs", true, true, opt_fs, 0,
	  "tag=TAG,path=DIR[,id=ID][,num_queues=N][,readonly=on|off]...\n\tShare DIR: TAG/ in what "
	  "the guest mounts by TAG (virtiofs)" },
	{ "net", true, true, opt_net, 0,
	  "tap=NAME[,ip=A,mask=A][,mac=MAC][,mtu=N][,num_queues=N]...\n\tNetwork on a tap, that is made "
	  "when it is not there; or fd=[N,...].\n\thost_mac= queue_size= id= offload_csum= offload_tso= "
	  "offload_ufo= offload_uso= vhost=on|off\n\tbw_size= bw_one_time_burst= bw_refill_time= ops_size= "
	  "ops_one_time_burst= ops_refill_time=" },
	{ "disk", true, true, opt_disk, 0,
	  "path=FILE[,readonly=on|off][,direct=on|off][,sparse=on|off][,num_queues=N]\n\t"
	  "[,queue_size=N][,id=ID][,serial=TEXT][,disable_io_uring=on|off]...\n\tDisk over a raw "
	  "file or block device: vda and on in the guest" },
	{ "balloon", true, false, opt_balloon, 0,
	  "size=N[,deflate_on_oom=on|off][,free_page_reporting=on|off]\n\tMemory that the guest "
	  "gives back: N bytes, and what is free" },
	{ "pvpanic", false, false, opt_flag, FIELD(pvpanic),
	  "\n\tDevice by which the guest kernel reports a panic" },
	{ "on-reset", true, false, opt_on_reset, 0,
	  "restart|exit\n\tWhen the guest resets itself [restart]" },
	{ "log-file", true, false, opt_str, FIELD(log_file), "PATH\n\tLog there [standard error]" },
	{ "event-monitor", true, false, opt_event, 0,
	  "path=PATH|fd=N\n\tWrite events there, one JSON object each" },
	{ "seccomp", true, false, opt_seccomp, 0, "true\n\tAlways on" },
	{ "v", false, false, opt_verbose, 0, "\n\tLog more; twice: everything" },
	{ "help", false, false, opt_flag, FIELD(help), "" },
	{ "version", false, false, opt_flag, FIELD(version), "" },
	/* Cloud Hypervisor's that we do not have. */
	UNSUPPORTED("api-socket", true),
	UNSUPPORTED("device", true),
	UNSUPPORTED("dbus-service-name", true), UNSUPPORTED("dbus-object-path", true),
	UNSUPPORTED("dbus-system-bus", false), UNSUPPORTED("firmware", true),
	UNSUPPORTED("gdb", true),	  UNSUPPORTED("igvm", true),
	UNSUPPORTED("landlock", false),	  UNSUPPORTED("landlock-rules", true),
	UNSUPPORTED("memory-zone", true), UNSUPPORTED("numa", true),
	UNSUPPORTED("no-shutdown", false),
	UNSUPPORTED("pci-segment", true), UNSUPPORTED("platform", true),
	UNSUPPORTED("pmem", true),	  UNSUPPORTED("rate-limit-group", true),
	UNSUPPORTED("restore", true),	  UNSUPPORTED("rtc", false),
	UNSUPPORTED("tpm", true),	  UNSUPPORTED("user-device", true),
	UNSUPPORTED("vdpa", true),	  UNSUPPORTED("watchdog", false),
};

static void set_defaults(struct options *o)
{
	*o = (struct options){ .cpus = 1, .memory = MIB(512), .thp = true, .event_fd = -1,
			       .console = { .mode = PORT_TTY }, .restart = true };
}

/* What only all options together tell. */
static int check(const struct options *o, struct err *e)
{
	unsigned ttys = (o->console.mode == PORT_TTY) + (o->serial.mode == PORT_TTY);

	if (o->help || o->version)
		return 0;
	if (!o->kernel)
		return err_set(e, EINVAL, "--kernel is missing");
	for (unsigned i = 0; i < o->nnets; i++)
		if (o->net[i].queues / 2 > o->cpus)
			return err_set(e, EINVAL, "--net num_queues: %llu pairs for %llu vCPUs",
				       (unsigned long long)o->net[i].queues / 2,
				       (unsigned long long)o->cpus);
	if (o->balloon && o->balloon_size >= o->memory)
		return err_set(e, EINVAL, "--balloon size: must be below the guest's memory");
	if (ttys > 1)
		return err_set(e, EINVAL, "--serial tty: --console has the terminal already; give "
					  "--console off or null");
	return 0;
}

static int take(const struct opt *o, int argc, char *const *argv, struct options *to,
		struct err *e)
{
	int rc = o->parse(o, optarg, to, e);

	while (rc == 0 && o->repeats && optind < argc && argv[optind][0] != '-')
		rc = o->parse(o, argv[optind++], to, e);
	return rc;
}

static int parse(struct options *to, int argc, char *const *argv, struct err *e)
{
	struct option longs[ARRAY_SIZE(opts) + 1] = { { .name = NULL } };
	int c, rc = 0, which;

	for (size_t i = 0; i < ARRAY_SIZE(opts); i++)
		longs[i] = (struct option){ opts[i].name, opts[i].has_value, NULL, 0 };
	optind = 0; /* start afresh: GNU */
	opterr = 0;
	while (rc == 0 && (c = getopt_long(argc, argv, "+:hVv", longs, &which)) != -1) {
		switch (c) {
		case 0:
			rc = take(&opts[which], argc, argv, to, e);
			break;
		case 'h':
			to->help = true;
			break;
		case 'V':
			to->version = true;
			break;
		case 'v':
			to->verbose++;
			break;
		case ':':
			return err_set(e, EINVAL, "%s needs a value", argv[optind - 1]);
		default:
			return err_set(e, EINVAL, "unknown option \"%s\"", argv[optind - 1]);
		}
	}
	if (rc == 0 && optind < argc)
		return err_set(e, EINVAL, "unexpected argument \"%s\"", argv[optind]);
	return rc;
}

int options_parse(struct options *o, int argc, char *const *argv, struct err *e)
{
	int rc;

	set_defaults(o);
	rc = parse(o, argc, argv, e);
	if (rc == 0)
		rc = check(o, e);
	if (rc < 0)
		options_free(o);
	return rc;
}

void options_free(struct options *o)
{
	char *const all[] = { o->kernel, o->initramfs, o->cmdline, o->log_file, o->rng,
			      o->console.path, o->serial.path, o->debug.path, o->vsock_socket,
			      o->vsock_id, o->event_path };

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		free(all[i]);
	for (unsigned i = 0; i < o->nfs; i++) {
		free(o->fs[i].tag);
		free(o->fs[i].path);
		free(o->fs[i].id);
	}
	for (unsigned i = 0; i < o->nnets; i++)
		net_option_free(&o->net[i]);
	for (unsigned i = 0; i < o->ndisks; i++)
		disk_option_done(&o->disks[i]);
	memset(o, 0, sizeof(*o));
}

void options_print_help(void)
{
	puts("usage: husk-vmm --kernel PATH [OPTION]...\n"
	     "Runs one virtual machine. Options are Cloud Hypervisor's where it has them.\n");
	for (size_t i = 0; i < ARRAY_SIZE(opts); i++)
		if (opts[i].help)
			printf("    %s%s %s\n", strlen(opts[i].name) == 1 ? "-" : "--", opts[i].name,
			       opts[i].help);
	puts("\nExit status: 0 the guest powered off, reset itself (--on-reset exit) or was stopped by\n"
	     "SIGTERM or SIGINT; 1 something failed, or the guest crashed; 2 a wrong command line.\n"
	     "HUSK_LIBEXEC names another folder for husk-machine.");
}
