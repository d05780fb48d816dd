// SPDX-License-Identifier: Apache-2.0
/* The mount table as a container's process finds it: the real agent, asked through its protocol. */
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>

#include "tests/lib/agenthost.h"
#include "tests/unit/check.h"

AGENTHOST_FIXTURE

/* Runs @script in the container and compares what it says. */
static void expect_run(const char *why, struct ct_request *q, const char *script, const char *want)
{
	char *out;

	request_sh(q, script);
	agenthost_run(h, q, &out);
	if (strcmp(out, want) != 0)
		fail_msg("%s: wanted\n%sgot\n%s", why, want, out);
	free(out);
}

/* The creation fails, and says so. */
static void expect_error(const char *why, struct ct_request *q, const char *text)
{
	struct reply r = { 0 }, gone = { 0 };

	request_sh(q, "true");
	request_create(h, q, &r);
	if (r.r.rc >= 0 || !strstr(r.r.err.msg, text))
		fail_msg("%s: %d, \"%s\"", why, r.r.rc, r.r.rc < 0 ? r.r.err.msg : "");
	reply_wait(h, &gone, agent_delete(h->c, q->id, "", reply_fn, &gone, NULL));
}

static void prepare(const char *why, const char *script)
{
	check_row(why, agenthost_sh(h, script) == 0);
}

static const char options_of[] =
	"for p in %s; do grep \" $p \" /proc/self/mountinfo | tail -n 1 | cut -d ' ' -f 5,6; done";

static void copy_up(void **state)
{
	struct ct_request q;
	Husk__Agent__V1__Mount *m;

	(void)state;
	if (!h)
		return;
	prepare("a folder with all kinds of files",
		"cd $0/shares/root && mkdir -p up/sub && chmod 2750 up && echo text >up/f && "
		"chown 7:8 up/f up/sub && chmod 4711 up/f && ln -s /nowhere up/l && chown -h 9:9 up/l && mkfifo up/p && "
		"mknod up/n c 1 3 && head -c 3000000 /dev/zero >up/sub/big && chmod 000 up/sub && "
		"touch -d @1000000000 up/f");
	request_init(&q, "copyup");
	m = request_mount(&q, "/up", "tmpfs", "tmpfs", MS_RDONLY, "size=8m");
	m->copy_up = true;
	/* The mount point is made in a tmpfs that is to be read-only. */
	request_mount(&q, "/up/deeper/down", "tmpfs", "tmpfs", 0, "");
	expect_run("all of it is there, and the image is as it was", &q,
		   "cat /up/f; stat -c '%a %u:%g %F %Y' /up/f; for i in . sub l p n; do stat -c '%a %u:%g %F' /up/$i; "
		   "done; stat -c %s /up/sub/big; readlink /up/l; stat -c '%t:%T' /up/n; touch /up/x 2>&1; "
		   "touch /up/deeper/down/x && echo deeper; stat -f -c %T /up",
		   "text\n4711 7:8 regular file 1000000000\n2750 0:0 directory\n0 7:8 directory\n777 9:9 symbolic link\n"
		   "644 0:0 fifo\n644 0:0 character special file\n3000000\n/nowhere\n1:3\n"
		   "touch: /up/x: Read-only file system\ndeeper\ntmpfs\n");
	prepare("nothing reached the image", "[ ! -e $0/shares/root/up/deeper ] && rm -rf $0/shares/root/up");

	request_init(&q, "modes");
	prepare("modes", "mkdir -m 1741 $0/shares/root/mode");
	request_mount(&q, "/mode", "tmpfs", "tmpfs", 0, "size=64k");
	request_mount(&q, "/made/here", "tmpfs", "tmpfs", 0, "");
	request_mount(&q, "/mode/own", "tmpfs", "tmpfs", 0, "mode=0711,uid=5,gid=6");
	m = request_mount(&q, "/made/empty", "tmpfs", "tmpfs", 0, "");
	m->copy_up = true;
	expect_run("a tmpfs takes over the mode of the folder that it covers", &q,
		   "stat -c '%a %u:%g' /mode /made/here /mode/own; ls -A /made/empty", "1741 0:0\n1777 0:0\n711 5:6\n");
}

static void more_errors(void **state)
{
	struct ct_request q;
	Husk__Agent__V1__Mount *m;

	(void)state;
	if (!h)
		return;
	prepare("deep", "cd $0/shares/root && mkdir deep && cd deep && for i in $(seq 300); do mkdir d && cd d; done");
	request_init(&q, "deep");
	m = request_mount(&q, "/deep", "tmpfs", "tmpfs", 0, "");
	m->copy_up = true;
	expect_error("too many folders in each other", &q, "mounts[4]: tmpcopyup: more than 256 folders deep");
	prepare("deep", "rm -rf $0/shares/root/deep");

	request_init(&q, "full");
	prepare("full", "cd $0/shares/root && mkdir full && head -c 100000 /dev/zero >full/f");
	m = request_mount(&q, "/full", "tmpfs", "tmpfs", 0, "size=4k");
	m->copy_up = true;
	expect_error("no room", &q, "tmpcopyup: f: No space left on device");
	prepare("full", "rm -r $0/shares/root/full");

	request_init(&q, "remount");
	request_mount(&q, "/etc", "bind", "none", MS_REMOUNT | MS_RDONLY, "");
	expect_error("remount of what is no mount", &q, "mounts[4]: remount: Invalid argument");
}

/* A share with a mount inside it. */
static void recursion(void **state)
{
	static const struct {
		const char *why;
		uint64_t flags, clear, rec_set, rec_clear, below;
		const char *want; /* options of the mount and of the one below it */
	} rows[] = {
		{ "plain", 0, 0, 0, 0, 0, "/m rw,relatime\n/m/in rw,relatime\n" },
		{ "ro is the mount's alone", MS_RDONLY, 0, 0, 0, 0, "/m ro,relatime\n/m/in rw,relatime\n" },
		{ "its own flags hold below", 0, 0, 0, 0, MS_NOEXEC | MS_NODEV,
		  "/m rw,relatime\n/m/in rw,nodev,noexec,relatime\n" },
		{ "rro", 0, 0, MOUNT_ATTR_RDONLY, 0, 0, "/m ro,relatime\n/m/in ro,relatime\n" },
		{ "rrw", MS_RDONLY, 0, 0, MOUNT_ATTR_RDONLY, MS_RDONLY, "/m rw,relatime\n/m/in rw,relatime\n" },
		{ "rnosuid,rnodev,rnoexec", 0, 0, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, 0, 0,
		  "/m rw,nosuid,nodev,noexec,relatime\n/m/in rw,nosuid,nodev,noexec,relatime\n" },
		{ "rexec", MS_NOEXEC, 0, 0, MOUNT_ATTR_NOEXEC, MS_NOEXEC, "/m rw,relatime\n/m/in rw,relatime\n" },
		{ "rnoatime", 0, 0, MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME, 0, "/m rw,noatime\n/m/in rw,noatime\n" },
		{ "rstrictatime,rnodiratime", 0, 0, MOUNT_ATTR_STRICTATIME | MOUNT_ATTR_NODIRATIME, MOUNT_ATTR__ATIME, 0,
		  "/m rw,nodiratime\n/m/in rw,nodiratime\n" },
		{ "rnosymfollow", 0, 0, MOUNT_ATTR_NOSYMFOLLOW, 0, 0,
		  "/m rw,relatime,nosymfollow\n/m/in rw,relatime,nosymfollow\n" },
	};
	char in[] = "in", gone[] = "gone/away", file[] = "f", script[256], *out;
	Husk__Agent__V1__Mount__Submount sub[3], *subs[] = { &sub[0], &sub[1], &sub[2] };

	(void)state;
	for (size_t i = 0; h && i < ARRAY_SIZE(rows); i++) {
		struct ct_request q;
		Husk__Agent__V1__Mount *m;

		if (i == 0)
			prepare("a mount inside", "cd $0/shares/data && mkdir in && mount -t tmpfs tmpfs in && "
						  "touch in/inner");
		for (int k = 0; k < 3; k++)
			husk__agent__v1__mount__submount__init(&sub[k]);
		sub[0].path = gone;
		sub[1].path = in;
		sub[1].flags = rows[i].below;
		sub[2].path = file;
		request_init(&q, "recursion");
		m = request_mount(&q, "/m", "bind", "data", MS_BIND | MS_REC | rows[i].flags, "");
		m->flags_clear = rows[i].clear;
		m->rec_attr_set = rows[i].rec_set;
		m->rec_attr_clear = rows[i].rec_clear;
		m->submounts = subs;
		m->n_submounts = 3;
		snprintf(script, sizeof(script), options_of, "/m /m/in");
		request_sh(&q, script);
		agenthost_run(h, &q, &out);
		if (strcmp(out, rows[i].want) != 0)
			fail_msg("%s: %s", rows[i].why, out);
		free(out);
		if (i == 0) {
			request_init(&q, "flat");
			request_mount(&q, "/m", "bind", "data", MS_BIND, "");
			expect_run("without MS_REC what is below stays out", &q, "ls /m/in; cat /m/f", "data\n");
		}
	}
	if (h)
		prepare("a mount inside", "umount $0/shares/data/in && rmdir $0/shares/data/in");
}

static const char tags[] = "sed -e 's/ - .*//' -e 's/:[0-9]*//g' /proc/self/mountinfo | "
			   "awk '$5 ~ \"^/[abcd]?$\" {print $5 ($7 ? \" \" $7 : \"\")}' | sort";

static void propagation(void **state)
{
	static const struct {
		uint64_t root;
		const char *want;
	} rows[] = {
		{ 0, "/\n/a shared\n/b\n/c unbindable\n/d shared\n" },
		{ MS_PRIVATE, "/\n/a shared\n/b\n/c unbindable\n/d shared\n" },
		{ MS_PRIVATE | MS_REC, "/\n/a shared\n/b\n/c unbindable\n/d shared\n" },
		{ MS_SLAVE | MS_REC, "/\n/a shared\n/b\n/c unbindable\n/d shared\n" },
		{ MS_SHARED, "/ shared\n/a shared\n/b\n/c unbindable\n/d shared\n" },
		{ MS_SHARED | MS_REC, "/ shared\n/a shared\n/b shared\n/c unbindable\n/d shared\n" },
		{ MS_UNBINDABLE | MS_REC, "/ unbindable\n/a shared\n/b unbindable\n/c unbindable\n/d shared\n" },
	};
	uint64_t then[] = { MS_SLAVE | MS_REC, MS_SHARED };

	(void)state;
	for (size_t i = 0; h && i < ARRAY_SIZE(rows); i++) {
		struct ct_request q;
		char why[32];

		snprintf(why, sizeof(why), "root 0x%llx", (unsigned long long)rows[i].root);
		request_init(&q, "propagation");
		q.ct.rootfs_propagation = rows[i].root;
		request_mount(&q, "/a", "tmpfs", "tmpfs", 0, "")->propagation = MS_SHARED | MS_REC;
		request_mount(&q, "/b", "tmpfs", "tmpfs", 0, "");
		request_mount(&q, "/c", "tmpfs", "tmpfs", 0, "")->propagation = MS_UNBINDABLE;
		request_mount(&q, "/d", "tmpfs", "tmpfs", 0, "")->propagation = MS_PRIVATE;
		q.mounts[q.ct.n_mounts - 1].more_propagation = then;
		q.mounts[q.ct.n_mounts - 1].n_more_propagation = 2;
		expect_run(why, &q, tags, rows[i].want);
	}
}

static void id_mapping(void **state)
{
	Husk__Agent__V1__IdMapping u[2], *us[] = { &u[0], &u[1] }, g, *gs[] = { &g };
	struct ct_request q;
	Husk__Agent__V1__Mount *m;

	(void)state;
	if (!h)
		return;
	prepare("owners", "cd $0/shares/data && touch a b c && chown 0:0 a && chown 10:20 b && chown 99:99 c");
	for (int i = 0; i < 2; i++)
		husk__agent__v1__id_mapping__init(&u[i]);
	husk__agent__v1__id_mapping__init(&g);
	u[0] = (Husk__Agent__V1__IdMapping){ u[0].base, 0, 1000, 1 };
	u[1] = (Husk__Agent__V1__IdMapping){ u[1].base, 10, 0, 1 };
	g = (Husk__Agent__V1__IdMapping){ g.base, 0, 5000, 50 };
	request_init(&q, "idmap");
	m = request_mount(&q, "/m", "bind", "data", MS_BIND | MS_REC, "");
	m->uid_mappings = us;
	m->n_uid_mappings = 2;
	m->gid_mappings = gs;
	m->n_gid_mappings = 1;
	m->id_map_recursive = true;
	/* What root makes belongs to 10 below; group 0 has no counterpart there. */
	expect_run("owners are seen mapped", &q,
		   "stat -c '%n %u:%g' /m/a /m/b /m/c; touch /m/new 2>&1; touch /m/b && echo written",
		   "/m/a 1000:5000\n/m/b 0:5020\n/m/c 65534:65534\n"
		   "touch: /m/new: Value too large for defined data type\nwritten\n");
	g.host_id = 0;
	expect_run("and what is made is mapped back", &q, "touch /m/new && stat -c %u:%g /m/new", "0:0\n");
	prepare("the owner below", "[ \"$(stat -c %u:%g $0/shares/data/new)\" = 10:0 ]");
	g.size = 0;
	expect_error("a range of nothing", &q, "mounts[4]: id mapping: Invalid argument");
	prepare("owners", "cd $0/shares/data && rm a b c new");
	request_init(&q, "idmap");
	g.size = 50;
	m = request_mount(&q, "/m", "proc", "proc", 0, "");
	m->uid_mappings = us;
	m->n_uid_mappings = 1;
	m->gid_mappings = gs;
	m->n_gid_mappings = 1;
	expect_error("a file system without it", &q, "mounts[4]: id mapping of this file system: Invalid argument");
}

static void over_procfs(void **state)
{
	static const struct {
		const char *why, *dst, *type, *source, *text; /* NULL: works */
	} rows[] = {
		{ "over all of it", "/proc", "tmpfs", "tmpfs", "\"/proc\" cannot be mounted because it is not of type proc" },
		{ "by a share", "//proc/.", "bind", "data", "\"/proc\" cannot be mounted because it is not of type proc" },
		{ "in it", "/proc/sys", "bind", "data", "\"/proc/sys\" cannot be mounted because it is inside /proc" },
		{ "by a link", "/lnk/sys", "bind", "data", "\"/proc/sys\" cannot be mounted because it is inside /proc" },
		{ "by a link to all of it", "/lnk", "bind", "data", "it is not of type proc" },
		{ "by climbing", "/etc/../proc/sys", "bind", "data", "\"/proc/sys\" cannot be mounted because it is inside" },
		{ "a listed file", "/proc/uptime", "bind", "onefile", NULL },
		{ "a listed file of a link", "/proc/net/dev", "bind", "onefile", NULL },
		{ "a file that is not", "/proc/version", "bind", "onefile", "\"/proc/version\" cannot be mounted" },
		{ "a name that only begins so", "/processes", "bind", "data", NULL },
		{ "procfs elsewhere", "/etc", "proc", "proc", NULL },
	};

	(void)state;
	for (size_t i = 0; h && i < ARRAY_SIZE(rows); i++) {
		struct ct_request q;

		prepare(rows[i].why, "ln -sfn /proc $0/shares/root/lnk");
		request_init(&q, "procfs");
		request_mount(&q, rows[i].dst, rows[i].type, rows[i].source,
			      strcmp(rows[i].type, "bind") ? 0 : MS_BIND, "");
		if (rows[i].text)
			expect_error(rows[i].why, &q, rows[i].text);
		else
			expect_run(rows[i].why, &q, "echo ok", "ok\n");
	}
	if (h)
		prepare("tidy", "cd $0/shares/root && rm lnk && rmdir processes");
}

/* What the guest has itself in the place of the host's. */
static void own(void **state)
{
	static char null[] = "null", sys[] = "sys/kernel", net[] = "class/net", no[] = "no/such";
	struct ct_request q;

	(void)state;
	if (!h)
		return;
	request_init(&q, "own");
	request_mount(&q, "/h/proc", "own", "proc", MS_NOSUID, "");
	request_mount(&q, "/h/sys", "own", "sysfs", MS_RDONLY | MS_REC, "");
	request_mount(&q, "/h/kernel", "own", "proc", MS_RDONLY, "")->subpath = sys;
	request_mount(&q, "/h/net", "own", "sysfs", 0, "")->subpath = net;
	request_mount(&q, "/h/null", "own", "dev", 0, "")->subpath = null;
	request_mount(&q, "/h/shm", "own", "tmpfs", MS_NODEV, "mode=1777,size=1m");
	request_mount(&q, "/h/cg", "own", "cgroup", MS_RDONLY, "");
	request_mount(&q, "/h/q", "own", "mqueue", 0, "");
	expect_run("each is the container's own view", &q,
		   "readlink /h/proc/self | grep -qx '[0-9]*' && ls -d /h/proc/1/status; ls /h/sys/fs/cgroup/cgroup.procs; "
		   "cat /h/kernel/ostype; (echo x >/h/kernel/hostname) 2>&1; ls /h/net; stat -c '%t:%T' /h/null; "
		   "stat -c %a /h/shm; ls /h/cg/cgroup.procs; stat -f -c %T /h/sys; stat -c %F /h/q",
		   "/h/proc/1/status\n/h/sys/fs/cgroup/cgroup.procs\nLinux\n"
		   "sh: can't create /h/kernel/hostname: Read-only file system\nlo\n1:3\n1777\n/h/cg/cgroup.procs\nsysfs\n"
		   "directory\n");
	request_init(&q, "own");
	request_mount(&q, "/h/proc", "own", "proc", 0, "")->subpath = no;
	expect_error("a part that is not there", &q, "no/such: No such file or directory");
	request_init(&q, "own");
	request_mount(&q, "/h/proc", "own", "ext4", 0, "");
	expect_error("what is none of its own", &q, "mounts.source: invalid value");
	/* procfs by this way may lie on /proc too, and nothing but that. */
	request_init(&q, "own");
	request_mount(&q, "/proc", "own", "proc", 0, "");
	expect_run("procfs for procfs", &q, "echo $$", "1\n");
	request_init(&q, "own");
	request_mount(&q, "/proc", "own", "sysfs", 0, "");
	expect_error("sysfs for procfs", &q, "it is not of type proc");
	prepare("tidy", "rm -r $0/shares/root/h");
}

static void remounts(void **state)
{
	struct ct_request q;

	(void)state;
	if (!h)
		return;
	request_init(&q, "remount");
	request_mount(&q, "/m", "bind", "data", MS_BIND | MS_NOEXEC | MS_NODEV, "");
	request_mount(&q, "/m", "bind", "ignored", MS_REMOUNT | MS_RDONLY | MS_NOSUID, "");
	request_mount(&q, "/t", "tmpfs", "tmpfs", 0, "size=64k");
	request_mount(&q, "/t", "tmpfs", "tmpfs", MS_REMOUNT, "size=128k");
	expect_run("the last remount's flags are all the flags", &q,
		   "grep ' /m ' /proc/self/mountinfo | cut -d ' ' -f 5,6; df -k /t | tail -n 1 | awk '{print $2}'",
		   "/m ro,nosuid,relatime\n128\n");
}

/* A read-only root gets its mount points first, a read-only /dev its devices; a mount of the host's root that is
 * read-only or otherwise marked shows. */
static void roots(void **state)
{
	struct ct_request q;

	(void)state;
	if (!h)
		return;
	request_init(&q, "roots");
	q.ct.rootfs_readonly = true;
	q.ct.rootfs_flags = MS_NODEV | MS_NOSUID;
	q.mounts[1].flags |= MS_RDONLY; /* /dev */
	request_mount(&q, "/new/mount/point", "tmpfs", "tmpfs", 0, "");
	expect_run("made before they are read-only", &q,
		   "awk '$5 == \"/\" {print $6}' /proc/self/mountinfo; touch /new/x 2>&1; touch /dev/x 2>&1; "
		   "[ -c /dev/null ] && touch /new/mount/point/x && echo fine",
		   "ro,nosuid,nodev,relatime\ntouch: /new/x: Read-only file system\n"
		   "touch: /dev/x: Read-only file system\nfine\n");
}

/* In the agent's mount namespace; $1: the container's process. */
static void in_container(const char *why, uint32_t pid, const char *script)
{
	char all[1024];

	snprintf(all, sizeof(all), "set -- %u; c=/proc/$1/root; inside() { nsenter -m -t $1 sh -c \"$2\"; }; %s", pid, script);
	prepare(why, all);
}

static void change(const char *why, const struct agent_mount *m, int rc, const char *text)
{
	struct reply r = { 0 };

	reply_wait(h, &r, agent_change_mount(h->c, "follow", m, reply_fn, &r, NULL));
	if (r.r.rc != rc || (rc < 0 && !strstr(r.r.err.msg, text)))
		fail_msg("%s: %d, \"%s\"", why, r.r.rc, r.r.rc < 0 ? r.r.err.msg : "");
}

static void goes(const char *why, uint32_t slot, int rc, const char *text)
{
	change(why, &(struct agent_mount){ .slot = slot, .gone = true, .path = "", .share = "" }, rc, text);
}

#define ON_BIND(slot_, path_, share_) (&(struct agent_mount){ .slot = (slot_), .path = (path_), .share = (share_) })

/* The host's mounts come and go, whatever the container does with its own meanwhile. */
static void following(void **state)
{
	static const char *const shares[] = { "f0", "f1", "f2", "f3" };
	char old[] = "old", in[] = "in", f0[] = "f0", f1[] = "f1";
	Husk__Agent__V1__Mount__Submount sub[2], *subs[] = { &sub[0], &sub[1] };
	struct reply r = { 0 }, gone = { 0 };
	struct ct_request q;
	Husk__Agent__V1__Mount *m;
	uint32_t pid;
	unsigned fds;

	(void)state;
	if (!h)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(shares); i++) {
		char script[200];

		snprintf(script, sizeof(script),
			 "f=%s; cd $0/shares && mkdir $f && mount -t tmpfs t $f && mkdir $f/in && echo $f >$f/f", shares[i]);
		prepare("a share", script);
	}
	prepare("places", "cd $0/shares/data && mkdir old new late && ln -s new link && touch file; echo one >$0/shares/one");
	for (int k = 0; k < 2; k++) {
		husk__agent__v1__mount__submount__init(&sub[k]);
		sub[k].slot = (uint32_t)k;
	}
	sub[0].path = old;
	sub[0].share = f0;
	sub[0].flags = MS_NOSUID;
	sub[1].path = in;
	sub[1].share = f1;
	sub[1].parent = 1;
	request_init(&q, "follow");
	m = request_mount(&q, "/m", "bind", "data", MS_BIND | MS_REC, "");
	m->follow = 1;
	m->rec_attr_set = MOUNT_ATTR_NOEXEC;
	m->submounts = subs;
	m->n_submounts = 2;
	request_args(&q, "sleep", "1000", NULL);
	request_create(h, &q, &r);
	assert_int_equal(r.r.rc, 0);
	pid = r.r.pid;
	assert_int_equal(agenthost_start(h, "follow"), 0);
	in_container("what was there", pid, "grep -q f0 $c/m/old/f && grep -q f1 $c/m/old/in/f && "
					    "grep -q ' /m/old rw,nosuid,noexec' /proc/$1/mountinfo");
	fds = agenthost_fds(h);

	change("one comes", &(struct agent_mount){ .slot = 2, .path = "new", .share = "f2", .flags = MS_RDONLY }, 0, "");
	in_container("it is there", pid, "grep -q f2 $c/m/new/f && grep -q ' /m/new ro,noexec' /proc/$1/mountinfo");
	change("one on it", &(struct agent_mount){ .slot = 3, .parent = 3, .path = "", .share = "f3" }, 0, "");
	in_container("over it", pid, "grep -q f3 $c/m/new/f");
	goes("it goes", 3, 0, "");
	goes("a second time", 3, -ESRCH, "never mounted");
	change("a file", ON_BIND(3, "file", "one"), 0, "");
	in_container("a file", pid, "grep -q f2 $c/m/new/f && grep -q one $c/m/file");
	goes("it goes", 3, 0, "");
	in_container("the old one goes while it is used", pid, "cd $c/m/old && ! umount . 2>/dev/null; exec 9<f");
	goes("what is below goes with it", 0, 0, "");
	goes("then it, which went with it", 1, 0, "");
	in_container("both are gone", pid, "[ ! -e $c/m/old/f ] && ! grep -q ' /m/old' /proc/$1/mountinfo");

	change("no such place", ON_BIND(0, "none", "f0"), -EIO, "No such file");
	change("a link", ON_BIND(0, "link/in", "f0"), -EIO, "mount point");
	change("out of it", ON_BIND(0, "../etc", "f0"), -EINVAL, "path");
	change("a folder on a file", ON_BIND(0, "file", "f0"), -EIO, "mount");
	change("no share", ON_BIND(0, "late", "none"), -EIO, "share none");
	in_container("something of its own there", pid, "inside $1 'mount -t tmpfs t /m/late && mkdir /m/late/in'");
	change("it stays below", ON_BIND(0, "late", "f0"), -EIO, "has mounted something there itself");
	change("and what is in there", ON_BIND(0, "late/in", "f0"), -EIO, "has mounted something there itself");
	change("unless it is said to be the host's",
	       &(struct agent_mount){ .path = "late/in", .share = "f0", .through = true }, 0, "");
	goes("unless it is said to be the host's", 0, 0, "");
	in_container("that is all", pid, "[ ! -e $c/m/late/in/f ] && inside $1 'umount /m/late'");
	change("on what is none", &(struct agent_mount){ .parent = 9, .path = "late", .share = "f0" }, -ESRCH, "never mounted");
	change("of no bind mount", &(struct agent_mount){ .bind = 1, .path = "late", .share = "f0" }, -ESRCH, "never mounted");

	in_container("the container moves it", pid, "inside $1 'mkdir -p /elsewhere && mount --move /m /elsewhere'");
	change("there it is", ON_BIND(0, "late", "f0"), 0, "");
	in_container("there it is", pid, "grep -q f0 $c/elsewhere/late/f");
	in_container("the container covers it", pid, "inside $1 'mount -t tmpfs t /elsewhere && mkdir /elsewhere/late'");
	change("it cannot be reached", ON_BIND(1, "old", "f1"), -ESRCH, "not to be found");
	goes("what is below, neither: that is no failure", 0, 0, "");
	in_container("the container takes it away", pid, "inside $1 'umount /elsewhere; umount -l /elsewhere'");
	change("it is not there", ON_BIND(1, "old", "f1"), -ESRCH, "not to be found");

	/* Nothing stays open, and the agent's own mounts are as they were. */
	assert_int_equal(agenthost_fds(h), fds);
	prepare("here", "! grep -q ' /m[ /]\\| /elsewhere' /proc/1/mountinfo");
	reply_wait(h, &gone, agent_delete(h->c, "follow", "", reply_fn, &gone, NULL));
	assert_int_equal(gone.r.rc, 0);
	prepare("everything can be unmounted",
		"cd $0/shares && for i in 0 1 2 3; do umount $0/shares/f$i || exit; done && rmdir f0 f1 f2 f3 && rm one && "
		"cd data && rm link file && rmdir old new late");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copy_up),    cmocka_unit_test(more_errors), cmocka_unit_test(recursion),
		cmocka_unit_test(propagation), cmocka_unit_test(id_mapping), cmocka_unit_test(over_procfs),
		cmocka_unit_test(following),
		cmocka_unit_test(own),	       cmocka_unit_test(remounts),   cmocka_unit_test(roots),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
