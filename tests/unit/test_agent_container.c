// SPDX-License-Identifier: Apache-2.0
/* What a container's process finds around itself: the real agent, asked through its protocol. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>

#include "lib/io.h"
#include "tests/lib/agenthost.h"
#include "tests/unit/check.h"

AGENTHOST_FIXTURE

struct script_case {
	const char *why;
	const char *script;
	const char *out; /* NULL: anything */
	uint32_t status;
};

static const struct script_case plain_cases[] = {
	{ "output and status come back", "echo hello; exit 7", "hello\n", 7 },
	{ "a signal is 128 and its number", "kill -USR1 $$; sleep 9", NULL, 0 },
	{ "its own pid namespace", "echo $$", "1\n", 0 },
	{ "PATH was given and HOME comes from passwd", "echo $HOME", "/root\n", 0 },
	{ "devices, and null is one", "[ -c /dev/null ] && [ -c /dev/zero ] && [ -c /dev/full ] && "
	  "[ -c /dev/random ] && [ -c /dev/urandom ] && [ -c /dev/tty ] && echo x >/dev/null", "", 0 },
	{ "links of /dev", "for l in fd stdin stdout stderr ptmx; do readlink /dev/$l; done",
	  "/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\npts/ptmx\n", 0 },
	{ "nothing of the agent's mounts is left",
	  "cut -d ' ' -f 5 /proc/self/mountinfo | tr '\\n' ' '", "/ /proc /dev /dev/pts /sys ", 0 },
	{ "the cgroup is the root of its namespace", "cat /proc/self/cgroup | tail -n 1", "0::/\n", 0 },
	{ "loopback is up, and is all there is", "ip -o link | wc -l; cat /sys/class/net/lo/operstate",
	  "1\nunknown\n", 0 },
	{ "no descriptor but the three", "ls /proc/$$/fd | tr '\\n' ' '", NULL, 0 },
	{ "standard input is the null device", "readlink /proc/$$/fd/0", "/dev/null\n", 0 },
	{ "standard output can be opened again", "echo again >/dev/stdout", "again\n", 0 },
	{ "no signal is ignored or blocked", "grep -e SigBlk -e SigIgn /proc/self/status | cut -f 2",
	  "0000000000000000\n0000000000000000\n", 0 },
	{ "sysfs is read-only as asked", "grep -c ' /sys ro,nosuid,nodev,noexec' /proc/self/mountinfo",
	  "1\n", 0 },
	{ "umask", "umask", "0022\n", 0 },
};

static void plain(void **state)
{
	(void)state;
	for (size_t i = 0; h && i < ARRAY_SIZE(plain_cases); i++) {
		const struct script_case *c = &plain_cases[i];
		struct ct_request q;
		uint32_t status;
		char *out;

		request_init(&q, "plain");
		request_sh(&q, c->script);
		status = agenthost_run(h, &q, &out);
		if (c->out && strcmp(out, c->out) != 0) {
			print_error("%s: got %s", c->why, out);
			free(out);
			fail();
		}
		/* Rows without a text are looked at by themselves below. */
		if (c->out)
			check_row(c->why, status == c->status);
		else if (strstr(c->script, "kill"))
			check_row(c->why, status == 0 || status == 128 + 10);
		else
			check_row(c->why, strncmp(out, "0 1 2 ", 6) == 0 && strlen(out) <= 10);
		free(out);
	}
}

/* It is made before the root becomes read-only. */
static void cwd_below_a_readonly_root(void **state)
{
	struct ct_request q;
	char cwd[] = "/not/there/yet";
	char *out;

	(void)state;
	if (!h)
		return;
	request_init(&q, "cwd");
	q.proc.cwd = cwd;
	q.ct.rootfs_readonly = true;
	request_sh(&q, "pwd; touch x 2>/dev/null || echo read-only");
	assert_int_equal(agenthost_run(h, &q, &out), 0);
	assert_string_equal(out, "/not/there/yet\nread-only\n");
	free(out);
}

static void identity(void **state)
{
	struct ct_request q;
	uint32_t groups[] = { 7, 1234 };
	Husk__Agent__V1__Rlimit lim, *lims[] = { &lim };
	char type[] = "RLIMIT_NOFILE", host[] = "box", dom[] = "example", cwd[] = "/made/for/me";
	char *out;

	(void)state;
	if (!h)
		return;
	request_init(&q, "identity");
	q.user.uid = 1000;
	q.user.gid = 100;
	q.user.additional_gids = groups;
	q.user.n_additional_gids = 2;
	q.user.has_umask = true;
	q.user.umask = 027;
	q.proc.cwd = cwd;
	q.proc.has_oom_score_adj = true;
	q.proc.oom_score_adj = 321;
	husk__agent__v1__rlimit__init(&lim);
	lim.type = type;
	lim.soft = 77;
	lim.hard = 99;
	q.proc.rlimits = lims;
	q.proc.n_rlimits = 1;
	q.ct.hostname = host;
	q.ct.domainname = dom;
	request_sh(&q, "id -u; id -g; id -G; umask; pwd; ulimit -n; ulimit -Hn; hostname; echo $HOME; "
		       "cat /proc/self/oom_score_adj /proc/sys/kernel/domainname; echo x >/dev/stdout");
	assert_int_equal(agenthost_run(h, &q, &out), 0);
	assert_string_equal(out, "1000\n100\n100 7 1234\n0027\n/made/for/me\n77\n99\nbox\n/home/jo\n"
				 "321\nexample\nx\n");
	free(out);
}

static void capabilities(void **state)
{
	Husk__Agent__V1__Capabilities caps;
	struct ct_request q;
	char *out, *mine;

	(void)state;
	if (!h)
		return;
	request_init(&q, "caps");
	husk__agent__v1__capabilities__init(&caps);
	caps.bounding = 0x5fb | 1u << 21;
	caps.permitted = caps.effective = 0x5fb;
	caps.inheritable = caps.ambient = 1u << 10;
	caps.permitted |= 1u << 10;
	q.proc.capabilities = &caps;
	q.proc.no_new_privileges = true;
	q.user.uid = 1000;
	request_args(&q, "grep", "-e", "^Cap", "-e", "NoNew", "/proc/self/status", NULL);
	assert_int_equal(agenthost_run(h, &q, &out), 0);
	/* After the exec of one who is not root: what was ambient. */
	assert_string_equal(out, "CapInh:\t0000000000000400\nCapPrm:\t0000000000000400\n"
				 "CapEff:\t0000000000000400\nCapBnd:\t00000000002005fb\n"
				 "CapAmb:\t0000000000000400\nNoNewPrivs:\t1\n");
	free(out);
	/* An absent message: all that the agent has. */
	request_init(&q, "caps");
	request_args(&q, "grep", "CapEff", "/proc/self/status", NULL);
	assert_int_equal(agenthost_run(h, &q, &out), 0);
	assert_int_equal(io_read_file(AT_FDCWD, "/proc/self/status", 65536, &mine, NULL), 0);
	assert_non_null(strstr(mine, out));
	free(mine);
	free(out);
}

static void binds(void **state)
{
	Husk__Agent__V1__Mount *m;
	struct ct_request q;
	char sub[] = "f", *out;

	(void)state;
	if (!h)
		return;
	request_init(&q, "binds");
	q.ct.rootfs_readonly = true;
	request_mount(&q, "/mnt/data", "bind", "data", MS_BIND | MS_REC | MS_RDONLY | MS_NOEXEC, "");
	request_mount(&q, "/etc/one", "bind", "onefile", MS_BIND, "");
	m = request_mount(&q, "/mnt/f", "bind", "data", MS_BIND, "");
	m->subpath = sub;
	request_mount(&q, "/mnt/t", "tmpfs", "tmpfs", MS_NODEV | MS_NOATIME, "size=64k,mode=0711");
	request_mount(&q, "/dev/mqueue", "mqueue", "mqueue", MS_NODEV, "");
	request_mount(&q, "/sys/fs/cgroup", "cgroup", "cgroup", MS_RDONLY, "");
	m = request_mount(&q, "/mnt/s", "tmpfs", "tmpfs", 0, "");
	m->propagation = MS_SHARED;
	request_sh(&q, "cat /mnt/data/f /etc/one /mnt/f; touch /mnt/data/no /no 2>&1; "
		       "stat -c %a /mnt/t; ls /sys/fs/cgroup/cgroup.procs; "
		       "grep -c ' /mnt/s .* shared:' /proc/self/mountinfo; "
		       "grep -c ' /mnt/t rw,nodev,noatime' /proc/self/mountinfo; "
		       "grep -c ' /mnt/data ro,noexec' /proc/self/mountinfo");
	assert_int_equal(agenthost_run(h, &q, &out), 0);
	assert_string_equal(out, "data\none\ndata\ntouch: /mnt/data/no: Read-only file system\n"
				 "touch: /no: Read-only file system\n711\n/sys/fs/cgroup/cgroup.procs\n"
				 "1\n1\n1\n");
	free(out);
}

static void hidden(void **state)
{
	char m1[] = "/proc/keys", m2[] = "/proc/no-such", m3[] = "/sys/kernel", m4[] = "/etc/plain";
	char r1[] = "/proc/sys", r2[] = "/bin";
	char *masked[] = { m1, m2, m3, m4 }, *readonly[] = { r1, r2 };
	Husk__Agent__V1__Container__SysctlEntry s1, *sysctls[] = { &s1 };
	char key[] = "net.ipv4.ip_unprivileged_port_start", value[] = "81", *out;
	struct ct_request q;

	(void)state;
	if (!h)
		return;
	request_init(&q, "hidden");
	q.ct.masked_paths = masked;
	q.ct.n_masked_paths = 4;
	q.ct.readonly_paths = readonly;
	q.ct.n_readonly_paths = 2;
	husk__agent__v1__container__sysctl_entry__init(&s1);
	s1.key = key;
	s1.value = value;
	q.ct.sysctl = sysctls;
	q.ct.n_sysctl = 1;
	request_sh(&q, "cat /proc/keys /etc/plain; ls /sys/kernel; touch /sys/kernel/x 2>/dev/null || "
		       "echo ro; echo 1 2>&1 >/proc/sys/kernel/hostname; touch /bin/x 2>&1; "
		       "cat /proc/sys/net/ipv4/ip_unprivileged_port_start");
	assert_int_equal(agenthost_run(h, &q, &out), 0);
	assert_string_equal(out, "ro\nsh: can't create /proc/sys/kernel/hostname: Read-only file "
				 "system\ntouch: /bin/x: Read-only file system\n81\n");
	free(out);
}

/* Device rules are a BPF program on the group, cgroup_values are files of it. Ways to say that kmsg may be
 * read only. */
static void group_rules(void **state)
{
	static const struct {
		const char *why, *allow, *deny;
	} cases[] = {
		{ "only reading allowed", "r", NULL },
		{ "all allowed, then writing denied", "rwm", "w" },
		{ "in two rules, the last for each kind", "rw", "wm" },
	};
	Husk__Agent__V1__Container__CgroupValuesEntry v, *vals[] = { &v };
	Husk__Agent__V1__DeviceRule r[3], *rules[] = { &r[0], &r[1], &r[2] };
	Husk__Agent__V1__Device d, *devs[] = { &d };
	char all[] = "a", c[] = "c", access[3][4] = { "rwm" }, key[] = "cgroup.max.depth";
	char five[] = "5", path[] = "/dev/extra", cgroup[] = "/deep/er/down", *out;
	struct ct_request q;

	(void)state;
	for (size_t k = 0; h && k < ARRAY_SIZE(cases); k++) {
		request_init(&q, "rules");
		for (int i = 0; i < 3; i++) {
			husk__agent__v1__device_rule__init(&r[i]);
			r[i].type = i ? c : all; /* deny all, as engines begin */
			r[i].major = i ? 1 : -1;
			r[i].minor = i ? 11 : -1;
			r[i].access = access[i];
		}
		r[1].allow = true;
		strcpy(access[1], cases[k].allow);
		strcpy(access[2], cases[k].deny ? cases[k].deny : "");
		q.ct.device_rules = rules;
		q.ct.n_device_rules = cases[k].deny ? 3 : 2;
		husk__agent__v1__device__init(&d);
		d.path = path;
		d.type = c;
		d.major = 1;
		d.minor = 11;
		d.mode = 0640;
		d.gid = 6;
		q.ct.devices = devs;
		q.ct.n_devices = 1;
		husk__agent__v1__container__cgroup_values_entry__init(&v);
		v.key = key;
		v.value = five;
		q.ct.cgroup_values = vals;
		q.ct.n_cgroup_values = 1;
		q.ct.cgroup = cgroup;
		request_mount(&q, "/sys/fs/cgroup", "cgroup", "cgroup", 0, "");
		request_sh(&q, "stat -c '%t %T %a %g' /dev/extra; (exec 3</dev/extra) && echo read; "
			       "(exec 3>/dev/extra) 2>/dev/null || echo no write; "
			       "(exec 3<>/dev/extra) 2>/dev/null || echo not both; "
			       "head -c 1 /dev/zero >/dev/null && echo zero; "
			       "cat /sys/fs/cgroup/cgroup.max.depth");
		check_row(cases[k].why, agenthost_run(h, &q, &out) == 0);
		if (strcmp(out, "1 b 640 6\nread\nno write\nnot both\nzero\n5\n") != 0)
			fail_msg("%s: %s", cases[k].why, out);
		free(out);
		/* The folders above its group go with it. */
		check_row(cases[k].why, agenthost_sh(h, "[ ! -e $0/cg/${0##*/}/deep ]") == 0);
	}
}

/* What two rules allow may be asked for at once; "a" is everything, whatever stands beside it. */
static void rules_add_up(void **state)
{
	Husk__Agent__V1__DeviceRule r[3], *rules[] = { &r[0], &r[1], &r[2] };
	char all[] = "a", c[] = "c", access[3][4] = { "r", "r", "w" }, *out;
	struct ct_request q;

	(void)state;
	if (!h)
		return;
	request_init(&q, "add");
	for (int i = 0; i < 3; i++) {
		husk__agent__v1__device_rule__init(&r[i]);
		r[i].type = i ? c : all;
		r[i].major = 1;
		r[i].minor = 11;
		r[i].access = access[i];
		r[i].allow = i > 0;
	}
	q.ct.device_rules = rules;
	q.ct.n_device_rules = 3;
	request_sh(&q, "mknod /dev/kmsg c 1 11; mknod /dev/mem c 1 1; (exec 3<>/dev/kmsg) && echo both; "
		       "(exec 3</dev/mem) 2>/dev/null || echo no memory");
	assert_int_equal(agenthost_run(h, &q, &out), 0);
	assert_string_equal(out, "both\nno memory\n");
	free(out);
}

/* Of the devices that every container has, one that the configuration names itself is allowed by its rules alone. */
static void a_default_device_that_is_named(void **state)
{
	Husk__Agent__V1__DeviceRule r[2], *rules[] = { &r[0], &r[1] };
	Husk__Agent__V1__Device d, *devs[] = { &d };
	char all[] = "a", c[] = "c", rwm[] = "rwm", only[] = "r", path[] = "/dev/zero", *out;
	struct ct_request q;

	(void)state;
	for (size_t n = 1; h && n <= 2; n++) {
		request_init(&q, "named");
		for (int i = 0; i < 2; i++) {
			husk__agent__v1__device_rule__init(&r[i]);
			r[i].type = i ? c : all;
			r[i].major = i ? 1 : -1;
			r[i].minor = i ? 5 : -1;
			r[i].access = i ? only : rwm;
			r[i].allow = i;
		}
		q.ct.device_rules = rules;
		q.ct.n_device_rules = n;
		husk__agent__v1__device__init(&d);
		d.path = path;
		d.type = c;
		d.major = 1;
		d.minor = 5;
		d.mode = 0666;
		q.ct.devices = devs;
		q.ct.n_devices = 1;
		request_sh(&q, "for d in zero full; do (exec 3</dev/$d) 2>/dev/null && echo $d read; "
			       "(exec 3>/dev/$d) 2>/dev/null && echo $d written; done; true");
		assert_int_equal(agenthost_run(h, &q, &out), 0);
		assert_string_equal(out, n == 1 ? "full read\nfull written\n" : "zero read\nfull read\nfull written\n");
		free(out);
	}
}

/* What an image may prepare so that the agent does something elsewhere. */
static void symlink_tricks(void **state)
{
	static const struct {
		const char *why, *prepare, *check, *undo;
		const char *dst, *type, *source;
		const char *error; /* part of it; NULL: the container runs */
	} cases[] = {
		{ "an absolute link stays inside", "ln -s $0/shares/data shares/root/lnk",
		  "[ ! -e shares/data/deep ] && [ -d shares/root$0/shares/data/deep ]",
		  "rm shares/root/lnk", "/lnk/deep", "tmpfs", "tmpfs", NULL },
		{ "a climbing link stays inside", "ln -s ../../../../../../.. shares/root/up",
		  "[ ! -e deep ] && [ -d shares/root/deep ]", "rm shares/root/up; rmdir shares/root/deep",
		  "/up/deep", "tmpfs", "tmpfs", NULL },
		{ "a link to nothing is made where it points",
		  "ln -s ../run/systemd/resolv.conf shares/root/etc/resolv.conf",
		  "[ -f shares/root/run/systemd/resolv.conf ]", "rm shares/root/etc/resolv.conf",
		  "/etc/resolv.conf", "bind", "onefile", NULL },
		{ "the image's /dev is a link to outside",
		  "mv shares/root/dev shares/root/dev.was; ln -s ../../../..$0/shares/data shares/root/dev",
		  "[ ! -e shares/data/null ] && [ ! -e shares/data/deep ] && [ -e shares/root$0/shares/data/deep ]",
		  "rm -r shares/root/dev shares/root$0; mv shares/root/dev.was shares/root/dev", "/dev/deep", "tmpfs", "tmpfs",
		  NULL },
		{ "a loop of links is refused", "ln -s loop2 shares/root/loop; ln -s loop shares/root/loop2",
		  "true", "rm shares/root/loop shares/root/loop2", "/loop/x", "tmpfs", "tmpfs",
		  "Too many levels" },
		{ "procfs must be where its name says", "ln -s etc shares/root/myproc", "true",
		  "rm shares/root/myproc", "/myproc", "proc", "proc", "ordinary directory" },
		{ "a file in the way of a folder", "true", "true", "true", "/etc/plain/x", "tmpfs",
		  "tmpfs", "Not a directory" },
		{ "an option that the file system does not have", "true", "true", "true", "/tmp",
		  "tmpfs", "nonsense", "nonsense" },
		{ "a file system that the kernel does not have", "true", "true", "true", "/tmp",
		  "nofs", "nofs", "No such device" },
		{ "a share that is not there", "true", "true", "true", "/tmp", "bind", "nosuch",
		  "No such file" },
	};

	(void)state;
	for (size_t i = 0; h && i < ARRAY_SIZE(cases); i++) {
		char script[512];
		struct ct_request q;
		struct reply r = { 0 }, gone = { 0 };

		snprintf(script, sizeof(script), "cd $0 && %s", cases[i].prepare);
		check_row(cases[i].why, agenthost_sh(h, script) == 0);
		request_init(&q, "tricks");
		request_mount(&q, cases[i].dst, cases[i].type, cases[i].source,
			      strcmp(cases[i].type, "bind") ? 0 : MS_BIND,
			      strcmp(cases[i].source, "nonsense") ? "" : "nonsense=1");
		request_sh(&q, "true");
		request_create(h, &q, &r);
		if (cases[i].error && (r.r.rc != -EIO && r.r.rc != -EINVAL))
			fail_msg("%s: %d", cases[i].why, r.r.rc);
		if (cases[i].error && !strstr(r.r.err.msg, cases[i].error))
			fail_msg("%s: %s", cases[i].why, r.r.err.msg);
		if (!cases[i].error && r.r.rc < 0)
			fail_msg("%s: %s", cases[i].why, r.r.err.msg);
		reply_wait(h, &gone, agent_delete(h->c, "tricks", "", reply_fn, &gone, NULL));
		check_row(cases[i].why, gone.r.rc == (cases[i].error ? -ENOENT : 0));
		snprintf(script, sizeof(script), "cd $0 && %s", cases[i].check);
		check_row(cases[i].why, agenthost_sh(h, script) == 0);
		snprintf(script, sizeof(script), "cd $0 && %s", cases[i].undo);
		check_row(cases[i].why, agenthost_sh(h, script) == 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain),    cmocka_unit_test(identity),
		cmocka_unit_test(cwd_below_a_readonly_root),
		cmocka_unit_test(capabilities), cmocka_unit_test(binds),
		cmocka_unit_test(hidden),   cmocka_unit_test(symlink_tricks),
		cmocka_unit_test(group_rules), cmocka_unit_test(rules_add_up),
		cmocka_unit_test(a_default_device_that_is_named),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
