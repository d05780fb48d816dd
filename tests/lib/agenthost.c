// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/agenthost.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent-proto/agent/agent.h"
#include "lib/io.h"
#include "tests/unit/check.h"

static int unix_socket(const char *dir, const char *name, bool listens)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | (listens ? SOCK_NONBLOCK : 0), 0);
	int rc;

	snprintf(at.sun_path, sizeof(at.sun_path), "%s/%s", dir, name);
	rc = listens ? bind(fd, (struct sockaddr *)&at, sizeof(at)) :
		       connect(fd, (struct sockaddr *)&at, sizeof(at));
	if (rc < 0 || (listens && listen(fd, 128) < 0)) {
		perror(at.sun_path);
		_exit(99);
	}
	return fd;
}

/* ---- the agent's side ------------------------------------------------------------------------- */

static int no_clock(const struct timespec *now)
{
	(void)now;
	return 0;
}

static int no_entropy(const void *data, size_t len)
{
	(void)data;
	(void)len;
	return 0;
}

static const char make_root[] =
	"set -e; cd \"$0\"; mkdir -p shares/root shares/data rootfs cg sockets\n"
	"mount -t cgroup2 none cg; mkdir \"cg/$(basename \"$0\")\"\n"
	"cd shares/root; mkdir -p bin etc tmp proc sys dev home/jo; chmod 1777 tmp\n"
	"cp /bin/busybox bin/; for a in $(/bin/busybox --list); do [ -e bin/$a ] || ln -s busybox bin/$a; done\n"
	"echo 'root:x:0:0:root:/root:/bin/sh' >etc/passwd\n"
	"echo 'jo:x:1000:1000:Jo:/home/jo:/bin/sh' >>etc/passwd; echo no >etc/plain; echo data >../data/f\n"
	"printf '#!/no/such/interpreter\\n' >bin/badscript; chmod +x bin/badscript\n"
	"printf 'garbage' >bin/noformat; chmod +x bin/noformat; echo one >../onefile\n";

static int run_sh(const char *script, const char *arg)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", script, arg, NULL);
		_exit(98);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

/* Disks by name of what stands for them: "disks/SERIAL", whose size is the minor number of a loop device. */
static char disks_dir[128];

static int find_disk(const char *serial, struct disk_found *ret, struct err *e)
{
	char path[256];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", disks_dir, serial);
	if (stat(path, &st) < 0)
		return err_set(e, ENOENT, "no disk has the serial %s", serial);
	ret->dev = makedev(7, (unsigned)st.st_size);
	snprintf(ret->path, sizeof(ret->path), "/dev/%s", serial);
	return 0;
}

/* The bus: looking at it takes as long as there is a "hang" among the disks. */
static void find_devices(void)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/hang", disks_dir);
	while (access(path, F_OK) == 0)
		usleep(10000);
}

/* One of those that begin with "stuck" does not go. */
static void remove_disk(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", disks_dir, name);
	if (strncmp(name, "stuck", 5) != 0)
		unlink(path);
}

static _Noreturn void be_agent(const struct agenthost *h, int ready)
{
	struct err e = ERR_INIT;
	char shares[128], rootfs[128], cgroup[160], sockets[128];
	struct agent_config cfg = { .shares_dir = shares,
				    .rootfs_dir = rootfs,
				    .cgroup_dir = cgroup,
				    .sockets_dir = sockets,
				    .find_disk = find_disk,
				    .find_devices = find_devices,
				    .remove_disk = remove_disk,
				    .update_ms = 2000,
				    .set_clock = no_clock,
				    .add_entropy = no_entropy };
	struct evloop *l;
	struct agent *a;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 0);
	mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("tmpfs", h->dir, "tmpfs", 0, NULL);
	if (run_sh(make_root, h->dir) != 0)
		_exit(97);
	snprintf(disks_dir, sizeof(disks_dir), "%s/disks", h->dir);
	snprintf(shares, sizeof(shares), "%s/shares", h->dir);
	snprintf(rootfs, sizeof(rootfs), "%s/rootfs", h->dir);
	snprintf(sockets, sizeof(sockets), "%s/sockets", h->dir);
	snprintf(cgroup, sizeof(cgroup), "%s/cg/%s", h->dir, strrchr(h->dir, '/') + 1);
	cfg.resolver_fd = unix_socket(h->dir, "resolver", true);
	cfg.forward_fd = unix_socket(h->dir, "forward", true);
	cfg.udp_fd = unix_socket(h->dir, "udp", true);
	cfg.control_fd = unix_socket(h->dir, "control", true);
	cfg.stream_fd = unix_socket(h->dir, "stream", true);
	if (evloop_new(&l, &e) < 0 || agent_new(&a, l, &cfg, &e) < 0) {
		fprintf(stderr, "agent: %s\n", e.msg);
		_exit(96);
	}
	if (write(ready, "", 1) != 1)
		_exit(95);
	close(ready);
	evloop_run(l);
	_exit(0);
}

/* The tree of control groups is the whole machine's. */
static bool clear_cgroups(const struct agenthost *h)
{
	char path[160];
	struct dirent *de;
	DIR *d;

	snprintf(path, sizeof(path), "%s/cg/%s", h->dir, strrchr(h->dir, '/') + 1);
	d = opendir(path);
	while (d && (de = readdir(d)))
		if (de->d_type == DT_DIR && de->d_name[0] != '.')
			unlinkat(dirfd(d), de->d_name, AT_REMOVEDIR);
	if (d)
		closedir(d);
	return rmdir(path) == 0 || errno == ENOENT;
}

/* As the agent's boot does it. */
static bool loopback_up(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool ok = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &ifr) == 0;

	if (fd >= 0)
		close(fd);
	return ok;
}

/* Between the test and the agent: makes the namespaces, clears the cgroups away at the end. */
static _Noreturn void be_outer(const struct agenthost *h, int pid_pipe, int ready)
{
	pid_t pid;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET) < 0 || !loopback_up())
		_exit(94);
	pid = fork();
	if (pid == 0)
		be_agent(h, ready);
	close(ready);
	io_write_full(pid_pipe, &pid, sizeof(pid));
	waitpid(pid, NULL, 0);
	/* By hand: nothing can be forked in a pid namespace whose first process is gone. */
	for (int i = 0; i < 100 && !clear_cgroups(h); i++)
		usleep(20000);
	_exit(0);
}

struct agenthost *agenthost_new(void)
{
	struct agenthost *h;
	int pids[2], ready[2];
	char byte;

	if (geteuid() != 0 || access("/bin/busybox", X_OK) != 0) {
		print_message("skipped: needs root and /bin/busybox\n");
		return NULL;
	}
	h = calloc(1, sizeof(*h));
	assert_non_null(h);
	snprintf(h->dir, sizeof(h->dir), "/tmp/husk-agent.XXXXXX");
	assert_non_null(mkdtemp(h->dir));
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	assert_int_equal(pipe2(pids, O_CLOEXEC), 0);
	h->outer = fork();
	if (h->outer == 0) {
		/* Whatever the agent was started with must not reach a container; the library hides two of them. */
		const uint64_t ign[8] = { (uintptr_t)SIG_IGN };

		for (int sig = SIGRTMIN - 2; sig <= SIGRTMIN; sig++)
			syscall(SYS_rt_sigaction, sig, ign, NULL, sizeof(uint64_t));
		be_outer(h, pids[1], ready[1]);
	}
	close(ready[1]);
	close(pids[1]);
	assert_int_equal(io_read_full(pids[0], &h->pid, sizeof(h->pid)), 0);
	assert_int_equal(io_read_full(ready[0], &byte, 1), 0);
	close(ready[0]);
	close(pids[0]);
	assert_int_equal(evloop_new(&h->loop, NULL), 0);
	return h;
}

void agenthost_free(struct agenthost *h)
{
	if (!h)
		return;
	agent_client_free(h->c);
	evloop_free(h->loop);
	kill(h->pid, SIGKILL);
	waitpid(h->outer, NULL, 0);
	rmdir(h->dir);
	free(h);
}

/* ---- the host's side -------------------------------------------------------------------------- */

int agenthost_dial(const struct agenthost *h, const char *name)
{
	char dir[128];

	snprintf(dir, sizeof(dir), "/proc/%d/root%s", h->pid, h->dir);
	return unix_socket(dir, name, false);
}

struct agent_client *agenthost_connect(struct agenthost *h, agent_dead_fn *dead, void *arg)
{
	struct agent_client *c;

	assert_int_equal(agent_client_new(&c, h->loop, agenthost_dial(h, "control"), dead, arg, NULL), 0);
	return c;
}

unsigned agenthost_fds(const struct agenthost *h)
{
	char path[64];
	unsigned n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", h->pid);
	d = opendir(path);
	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

int agenthost_sh(const struct agenthost *h, const char *script)
{
	char pid[16];
	int status;
	pid_t child = fork();

	if (child == 0) {
		snprintf(pid, sizeof(pid), "%d", h->pid);
		execl("/usr/bin/nsenter", "nsenter", "-m", "-t", pid, "/bin/sh", "-c", script,
		      h->dir, NULL);
		_exit(98);
	}
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

uint64_t agenthost_token(void)
{
	static uint64_t last = 0x1122334455667700;

	return ++last;
}

int agenthost_stream(const struct agenthost *h, uint64_t token)
{
	int fd = agenthost_dial(h, "stream");

	assert_int_equal(io_write_full(fd, &token, sizeof(token)), 0);
	return fd;
}

char *agenthost_read_all(int fd, size_t *ret_len)
{
	char *data = malloc(1);
	size_t len = 0, size = 0;

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (poll(&p, 1, 60000) != 1)
			fail_msg("stream does not end");
		if (len + 65536 > size) {
			size = 2 * size + 65536;
			data = realloc(data, size + 1);
			assert_non_null(data);
		}
		n = read(fd, data + len, size - len);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	close(fd);
	data[len] = 0;
	if (ret_len)
		*ret_len = len;
	return data;
}

void reply_fn(void *arg, const struct agent_reply *r)
{
	struct reply *to = arg;

	assert_false(to->done);
	to->done = true;
	to->r = *r;
}

void agenthost_turn(struct agenthost *h, int ms)
{
	assert_int_equal(evloop_turn(h->loop, ms), 0);
}

const struct agent_reply *reply_wait(struct agenthost *h, struct reply *r, int rc)
{
	uint64_t end = io_now_ns() + UINT64_C(120000000000);

	assert_int_equal(rc, 0);
	while (!r->done && io_now_ns() < end)
		agenthost_turn(h, 100);
	if (!r->done)
		fail_msg("no answer");
	return &r->r;
}
