// SPDX-License-Identifier: Apache-2.0
/* husk-vmm's command line: what is taken, and the one line that says what is wrong. */
#include <stdio.h>

#include "tests/unit/check.h"
#include "vmm/front/keyval.h"
#include "vmm/front/options.h"

#define MAX_ARGS 40

/* Splits at blanks; the program's name first. */
static int parse(struct options *o, const char *line, struct err *e)
{
	char copy[1024], *argv[MAX_ARGS + 1], *rest = copy, *word;
	int argc = 0;

	snprintf(copy, sizeof(copy), "%s", line);
	argv[argc++] = (char *)(uintptr_t)"husk-vmm";
	while ((word = strsep(&rest, " ")) && argc < MAX_ARGS)
		if (word[0])
			argv[argc++] = word;
	argv[argc] = NULL;
	return options_parse(o, argc, argv, e);
}

static void refused(void **state)
{
	static const struct {
		const char *why, *line;
		int want;
		const char *text;
	} rows[] = {
		{ "no kernel", "", -EINVAL, "--kernel is missing" },
		{ "no value", "--kernel", -EINVAL, "--kernel needs a value" },
		{ "empty value", "--kernel k --log-file=", -EINVAL, "--log-file: \"\" is empty" },
		{ "unknown option", "--kernel k --nope", -EINVAL, "unknown option \"--nope\"" },
		{ "unknown letter", "--kernel k -z", -EINVAL, NULL },
		{ "stray argument", "--kernel k stray", -EINVAL, "unexpected argument \"stray\"" },
		{ "zero vCPUs", "--kernel k --cpus boot=0", -ERANGE, "--cpus boot: \"0\" is not 1 to 254" },
		{ "too many vCPUs", "--kernel k --cpus boot=255", -ERANGE, NULL },
		{ "no number", "--kernel k --cpus boot=two", -EINVAL,
		  "--cpus boot: \"two\" is not a number" },
		{ "negative", "--kernel k --cpus boot=-1", -EINVAL,
		  "--cpus boot: \"-1\" is not a number" },
		{ "blank before a number", "--kernel k --cpus boot=+1", -EINVAL, NULL },
		{ "no boot", "--kernel k --cpus max=2", -EINVAL, "--cpus: boot= is missing" },
		{ "more later", "--kernel k --cpus boot=1,max=2", -ENOTSUP, NULL },
		{ "key twice", "--kernel k --cpus boot=1,boot=2", -EINVAL,
		  "--cpus: boot is given twice" },
		{ "unknown key", "--kernel k --cpus boot=1,foo=2", -EINVAL,
		  "--cpus: unknown key \"foo\"" },
		{ "key without value", "--kernel k --cpus boot", -EINVAL,
		  "--cpus: \"boot\" is not key=value" },
		{ "empty pair", "--kernel k --cpus boot=1,", -EINVAL, NULL },
		{ "known to Cloud Hypervisor", "--kernel k --cpus boot=1,topology=1:1:1:1", -ENOTSUP,
		  "--cpus topology: not supported" },
		{ "an option of Cloud Hypervisor's", "--kernel k --pmem file=x", -ENOTSUP,
		  "--pmem: not supported" },
		{ "a disk without a path", "--kernel k --disk readonly=on", -EINVAL, "--disk: path= is missing" },
		{ "a disk of another format", "--kernel k --disk path=x,image_type=qcow2", -ENOTSUP,
		  "--disk image_type: qcow2 is not supported, only raw is" },
		{ "a disk of no format", "--kernel k --disk path=x,image_type=RAW", -EINVAL,
		  "--disk image_type: \"RAW\" is not raw" },
		{ "no queue", "--kernel k --disk path=x,num_queues=0", -ERANGE,
		  "--disk num_queues: \"0\" is not 1 to 64" },
		{ "more queues than any", "--kernel k --disk path=x,num_queues=65", -ERANGE, NULL },
		{ "a queue of no power of two", "--kernel k --disk path=x,queue_size=100", -EINVAL,
		  "--disk queue_size: 100 is no power of two" },
		{ "a short queue", "--kernel k --disk path=x,queue_size=2", -ERANGE, NULL },
		{ "a long serial", "--kernel k --disk path=x,serial=123456789012345678901", -EINVAL,
		  "--disk serial: \"123456789012345678901\" is longer than 20 bytes" },
		{ "a long id", "--kernel k --disk path=x,id=12345678901234567890123456789012", -EINVAL,
		  "--disk id: \"12345678901234567890123456789012\" is longer than 31 bytes" },
		{ "the second disk", "--kernel k --disk path=x path=y,direct=2", -EINVAL,
		  "--disk direct: \"2\" is not on or off" },
		{ "a disk behind an IOMMU", "--kernel k --disk path=x,iommu=on", -ENOTSUP, "--disk iommu: not supported" },
		{ "a disk of a daemon", "--kernel k --disk path=x,vhost_user=on", -ENOTSUP, NULL },
		{ "half a limit", "--kernel k --disk path=x,bw_size=1000", -EINVAL,
		  "--disk: bw_refill_time= is missing beside bw_size" },
		{ "the other half", "--kernel k --disk path=x,ops_refill_time=100", -EINVAL,
		  "--disk: ops_size= is missing beside its other limits" },
		{ "a limit of nothing", "--kernel k --disk path=x,ops_size=0,ops_refill_time=100", -ERANGE, NULL },
		{ "a lock of another kind", "--kernel k --disk path=x,lock_granularity=file", -EINVAL,
		  "--disk lock_granularity: \"file\" is not byte-range or full" },
		{ "a balloon without a size", "--kernel k --balloon deflate_on_oom=on", -EINVAL,
		  "--balloon: size= is missing" },
		{ "a balloon of all memory", "--kernel k --memory size=256M --balloon size=256M", -EINVAL,
		  "--balloon size: must be below the guest's memory" },
		{ "two balloons", "--kernel k --balloon size=0 --balloon size=0", -EINVAL, "--balloon: there can be one" },
		{ "unit", "--kernel k --memory size=1X", -EINVAL, NULL },
		{ "unit twice", "--kernel k --memory size=1GG", -EINVAL, NULL },
		{ "overflow by the unit", "--kernel k --memory size=99999999999T", -ERANGE, NULL },
		{ "overflow of digits", "--kernel k --memory size=99999999999999999999999", -ERANGE,
		  NULL },
		{ "too little", "--kernel k --memory size=1M", -ERANGE, NULL },
		{ "shared memory", "--kernel k --memory size=1G,shared=on", -ENOTSUP,
		  "--memory shared: not supported" },
		{ "no switch", "--kernel k --memory size=1G,thp=maybe", -EINVAL,
		  "--memory thp: \"maybe\" is not on or off" },
		{ "console", "--kernel k --console socket=x", -EINVAL, NULL },
		{ "console file", "--kernel k --console file=", -EINVAL,
		  "--console file: \"\" is empty" },
		{ "two on the terminal", "--kernel k --serial tty --console tty", -EINVAL, NULL },
		{ "cid", "--kernel k --vsock cid=2,socket=s", -ERANGE, NULL },
		{ "two vsocks", "--kernel k --vsock cid=3,socket=s --vsock cid=4,socket=t", -EINVAL,
		  NULL },
		{ "fs without path", "--kernel k --fs tag=t", -EINVAL, "--fs: path= is missing" },
		{ "external file server", "--kernel k --fs tag=t,socket=s", -ENOTSUP,
		  "--fs socket: not supported" },
		{ "second of a list", "--kernel k --fs tag=t,path=p tag=u", -EINVAL, NULL },
		{ "seccomp off", "--kernel k --seccomp false", -ENOTSUP, NULL },
		{ "seccomp unknown", "--kernel k --seccomp maybe", -EINVAL, NULL },
		{ "on-reset", "--kernel k --on-reset poweroff", -EINVAL, NULL },
		{ "both monitors", "--kernel k --event-monitor path=x,fd=3", -EINVAL, NULL },
		{ "an unknown key of a network", "--kernel k --net tap=t,speed=10", -EINVAL,
		  "--net: unknown key \"speed\"" },
		{ "vhost-user", "--kernel k --net vhost_user=on,socket=s", -ENOTSUP,
		  "--net vhost_user: not supported" },
		{ "a network's IOMMU", "--kernel k --net tap=t,iommu=on", -ENOTSUP, "--net iommu: not supported" },
		{ "an odd number of queues", "--kernel k --net tap=t,num_queues=3", -EINVAL,
		  "--net num_queues: 3 is not even" },
		{ "too many queues", "--kernel k --cpus boot=64 --net tap=t,num_queues=34", -ERANGE, NULL },
		{ "more pairs than vCPUs", "--kernel k --net tap=t,num_queues=4", -EINVAL,
		  "--net num_queues: 2 pairs for 1 vCPUs" },
		{ "queue size", "--kernel k --net tap=t,queue_size=300", -EINVAL, NULL },
		{ "a large queue", "--kernel k --net tap=t,queue_size=2048", -ERANGE, NULL },
		{ "a MAC address cut", "--kernel k --net tap=t,mac=02:00:00:00:00", -EINVAL, NULL },
		{ "a MAC address too long", "--kernel k --net tap=t,mac=02:00:00:00:00:00:00", -EINVAL, NULL },
		{ "short bytes", "--kernel k --net tap=t,mac=2:0:0:0:0:1", -EINVAL, NULL },
		{ "a group's address", "--kernel k --net tap=t,mac=03:00:00:00:00:01", -EINVAL, NULL },
		{ "no address", "--kernel k --net tap=t,host_mac=00:00:00:00:00:00", -EINVAL, NULL },
		{ "no IP address", "--kernel k --net tap=t,ip=10.0.0", -EINVAL,
		  "--net ip: \"10.0.0\" is no IPv4 address" },
		{ "a mask alone", "--kernel k --net tap=t,mask=255.0.0.0", -EINVAL, NULL },
		{ "a small MTU", "--kernel k --net tap=t,mtu=1279", -ERANGE, NULL },
		{ "standard input as a tap", "--kernel k --net fd=0", -EINVAL, NULL },
		{ "a list without end", "--kernel k --net fd=[3", -EINVAL, NULL },
		{ "a list with a hole", "--kernel k --net fd=[3,,4],num_queues=4", -EINVAL, NULL },
		{ "a range backwards", "--kernel k --net fd=[4-3]", -EINVAL, NULL },
		{ "an endless range", "--kernel k --net fd=[3-99]", -EINVAL, NULL },
		{ "text behind a list", "--kernel k --net fd=[3]x", -EINVAL, NULL },
		{ "two descriptors for a pair", "--kernel k --net fd=[3,4]", -EINVAL, NULL },
		{ "a descriptor and a name", "--kernel k --net fd=3,tap=t", -EINVAL, NULL },
		{ "a long name", "--kernel k --net tap=abcdefghijklmnop", -EINVAL, NULL },
		{ "TSO without checksums", "--kernel k --net tap=t,offload_csum=off", -EINVAL, NULL },
		{ "a rate without its time", "--kernel k --net tap=t,bw_size=1000", -EINVAL, NULL },
		{ "a burst without a rate", "--kernel k --net tap=t,ops_one_time_burst=1", -EINVAL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err e = ERR_INIT;
		struct options o;
		int rc = parse(&o, rows[i].line, &e);

		if (rc != rows[i].want)
			fail_msg("%s: %d (%s), not %d", rows[i].why, rc, e.msg, rows[i].want);
		check_row(rows[i].why, e.msg[0] && !strchr(e.msg, '\n'));
		if (rows[i].text && strcmp(rows[i].text, e.msg) != 0)
			fail_msg("%s: \"%s\"", rows[i].why, e.msg);
	}
}

static void taken(void **state)
{
	struct err e = ERR_INIT;
	struct options o;

	(void)state;
	assert_int_equal(parse(&o, "--kernel k", &e), 0);
	assert_string_equal(o.kernel, "k");
	assert_int_equal(o.cpus, 1);
	assert_int_equal(o.memory, MIB(512));
	assert_int_equal(o.console.mode, PORT_TTY);
	assert_int_equal(o.serial.mode, PORT_OFF);
	assert_true(o.thp && o.restart && !o.mergeable && !o.pvpanic);
	assert_int_equal(o.event_fd, -1);
	options_free(&o);

	assert_int_equal(parse(&o,
			       "--kernel=k -vv --cpus boot=8,max=8 --memory size=3G,mergeable=on,thp=off "
			       "--console file=/c --serial tty --debug-console off --rng src=/dev/random "
			       "--vsock cid=0x10,socket=/s,id=v --fs tag=a,path=/a tag=b,path=/b,"
			       "readonly=on,num_queues=4 --fs tag=c,path=/c,id=i --pvpanic --seccomp true "
			       "--on-reset exit --event-monitor fd=5 -v --disk path=/x,readonly=on,serial=s path=/y,"
			       "direct=on,num_queues=64,queue_size=1024,id=d,sparse=off,image_type=raw "
			       "--balloon size=64M,free_page_reporting=on",
			       &e),
			 0);
	assert_int_equal(o.cpus, 8);
	assert_int_equal(o.memory, GIB(3));
	assert_true(o.mergeable && !o.thp && o.pvpanic && !o.restart);
	assert_int_equal(o.console.mode, PORT_FILE);
	assert_string_equal(o.console.path, "/c");
	assert_int_equal(o.serial.mode, PORT_TTY);
	assert_string_equal(o.rng, "/dev/random");
	assert_int_equal(o.vsock_cid, 16);
	assert_string_equal(o.vsock_socket, "/s");
	assert_int_equal(o.nfs, 3);
	assert_string_equal(o.fs[1].tag, "b");
	assert_true(o.fs[1].readonly && !o.fs[0].readonly);
	assert_int_equal(o.fs[1].queues, 4);
	assert_string_equal(o.fs[2].id, "i");
	assert_int_equal(o.ndisks, 2);
	assert_true(o.disks[0].readonly && !o.disks[0].direct && o.disks[0].sparse && o.disks[0].queues == 1);
	assert_true(o.disks[1].direct && !o.disks[1].sparse && o.disks[1].queues == 64);
	assert_int_equal(o.disks[1].queue_size, 1024);
	assert_string_equal(o.disks[1].id, "d");
	assert_true(o.balloon && o.balloon_report && !o.balloon_oom && o.balloon_size == MIB(64));
	assert_int_equal(o.verbose, 3);
	assert_int_equal(o.event_fd, 5);
	options_free(&o);
}

static void networks_taken(void **state)
{
	struct err e = ERR_INIT;
	struct options o;

	(void)state;
	assert_int_equal(parse(&o,
			       "--kernel k --cpus boot=4 --net tap=t0 fd=[3,5-7],num_queues=8,id=n "
			       "tap=t1,ip=10.0.0.1,mask=255.255.0.0,mac=02:aB:00:00:00:01,"
			       "host_mac=02:00:00:00:00:02,mtu=9000,queue_size=512,offload_csum=off,offload_tso=off,"
			       "offload_ufo=off,bw_size=1000,bw_one_time_burst=2000,bw_refill_time=100,ops_size=5,"
			       "ops_refill_time=7,pci_device_id=9",
			       &e),
			 0);
	assert_int_equal(o.nnets, 3);
	assert_string_equal(o.net[0].tap, "t0");
	assert_int_equal(o.net[0].queues, 2);
	assert_int_equal(o.net[0].queue_size, 256);
	assert_int_equal(o.net[0].slot, -1);
	assert_true(o.net[0].csum && o.net[0].tso && o.net[0].ufo && o.net[0].uso);
	assert_int_equal(o.net[1].nfds, 4);
	assert_int_equal(o.net[1].fd[0], 3);
	assert_int_equal(o.net[1].fd[3], 7);
	assert_string_equal(o.net[1].id, "n");
	assert_string_equal(o.net[2].ip, "10.0.0.1");
	assert_string_equal(o.net[2].mask, "255.255.0.0");
	assert_memory_equal(o.net[2].mac, "\2\xab\0\0\0\1", 6);
	assert_memory_equal(o.net[2].host_mac, "\2\0\0\0\0\2", 6);
	assert_int_equal(o.net[2].mtu, 9000);
	assert_true(!o.net[2].csum && !o.net[2].tso && !o.net[2].ufo && !o.net[2].uso);
	assert_int_equal(o.net[2].bw_size, 1000);
	assert_int_equal(o.net[2].bw_burst, 2000);
	assert_int_equal(o.net[2].bw_refill, 100);
	assert_int_equal(o.net[2].ops_size, 5);
	assert_int_equal(o.net[2].ops_refill, 7);
	assert_int_equal(o.net[2].slot, 9);
	options_free(&o);
}

static void help_needs_no_kernel(void **state)
{
	struct err e = ERR_INIT;
	struct options o;

	(void)state;
	assert_int_equal(parse(&o, "--help", &e), 0);
	assert_true(o.help);
	options_free(&o);
	assert_int_equal(parse(&o, "-V", &e), 0);
	assert_true(o.version);
	options_free(&o);
}

static void sizes(void **state)
{
	static const struct {
		const char *text;
		int want;
		uint64_t value;
	} rows[] = {
		{ "0", 0, 0 },		  { "1", 0, 1 },
		{ "010", 0, 10 },	  { "1k", 0, 1024 },
		{ "2M", 0, 2 << 20 },	  { "16777215T", 0, 16777215ull << 40 },
		{ "16777216T", -ERANGE, 0 }, { "18446744073709551615", 0, UINT64_MAX },
		{ "18446744073709551616", -ERANGE, 0 }, { "", -EINVAL, 0 },
		{ "K", -EINVAL, 0 },	  { " 1", -EINVAL, 0 },
		{ "1 ", -EINVAL, 0 },	  { "0x10", -EINVAL, 0 },
		{ "1.5G", -EINVAL, 0 },
	};
	const struct kv_key k = { .type = KV_SIZE, .max = UINT64_MAX };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t v = 0;

		check_row(rows[i].text, kv_value("--x", NULL, rows[i].text, &k, &v, NULL) ==
						rows[i].want);
		check_row(rows[i].text, v == rows[i].value);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refused),
		cmocka_unit_test(taken),
		cmocka_unit_test(networks_taken),
		cmocka_unit_test(help_needs_no_kernel),
		cmocka_unit_test(sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
