// SPDX-License-Identifier: Apache-2.0
/*
 * The first process of a test guest, static. Says on its console what machine it finds, does what the
 * kernel command line asks for by "guest=WORD,WORD…", in that order, and powers off. Each word prints
 * "guest: WORD: ok" or "guest: WORD: FAILED …".
 *
 *	fs:TAG     mounts the virtiofs TAG, makes, reads and removes files in its folder TAG
 *	listen:N   accepts one vsock connection to port N and sends back what comes, to its end
 *	connect:N  connects to the host's vsock port N, says hello, prints the answer
 *	storm:N/M  begins M connections to the host's vsock port N at once, and says how many were refused
 *	entropy    reads the hardware random number generator
 *	reset, panic, hang, triple   ends otherwise
 *	panicked:THEN                says that it panicked, then writes something, then hangs or does a "reset"
 *	net:, ping:, put: …          networks, see net.c
 *	disk:MODE/DEPTH/BLOCK/N      reads or writes /dev/vda, see disk.c
 *	console    does the words that come on the console, a line each, until a line is "end"
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>
#include <linux/vm_sockets.h>

#include "tests/guest/guest.h"

void say(const char *fmt, ...)
{
	char line[512];
	va_list ap;
	int n = snprintf(line, sizeof(line), "guest: ");

	va_start(ap, fmt);
	n += vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	va_end(ap);
	line[n++] = '\n';
	if (write(STDOUT_FILENO, line, (size_t)n) != n)
		return;
}

/* 0, or what was being done when it failed; errno says why. */
static const char *try_files(const char *dir)
{
	char path[256], other[256], text[16] = "";
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/from-guest", dir);
	snprintf(other, sizeof(other), "%s/from-guest.2", dir);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0640);
	if (fd < 0)
		return "create";
	if (write(fd, "hello, host\n", 12) != 12)
		return "write";
	if (pread(fd, text, 12, 0) != 12 || memcmp(text, "hello, host\n", 12) != 0)
		return "read back";
	if (fsync(fd) < 0 || fchmod(fd, 0600) < 0 || fstat(fd, &st) < 0)
		return "fsync, fchmod, fstat";
	if (st.st_size != 12 || (st.st_mode & 07777) != 0600)
		return "attributes";
	close(fd);
	if (link(path, other) < 0 || unlink(other) < 0)
		return "link, unlink";
	if (mkdir(other, 0700) < 0 || rmdir(other) < 0)
		return "mkdir, rmdir";
	if (rename(path, other) < 0 || access(path, F_OK) == 0 || rename(other, path) < 0)
		return "rename";
	snprintf(path, sizeof(path), "%s/from-host", dir);
	fd = open(path, O_RDONLY);
	memset(text, 0, sizeof(text));
	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 1)
		return "read the host's file";
	close(fd);
	say("the host's file says: %.*s", (int)strcspn(text, "\n"), text);
	return NULL;
}

static void do_fs(const char *tag)
{
	char dir[128];
	const char *failed;

	mkdir("/run/mnt", 0755);
	if (mount(tag, "/run/mnt", "virtiofs", 0, NULL) < 0) {
		say("fs: FAILED mount %s: %s", tag, strerror(errno));
		return;
	}
	snprintf(dir, sizeof(dir), "/run/mnt/%s", tag);
	failed = try_files(dir);
	if (failed)
		say("fs: FAILED %s: %s", failed, strerror(errno));
	else if (umount("/run/mnt") < 0)
		say("fs: FAILED umount: %s", strerror(errno));
	else
		say("fs: ok");
}

static void do_listen(unsigned port)
{
	struct sockaddr_vm a = { .svm_family = AF_VSOCK,
				 .svm_port = port,
				 .svm_cid = VMADDR_CID_ANY };
	int s = socket(AF_VSOCK, SOCK_STREAM, 0), c;
	size_t sum = 0;
	char data[4096];
	ssize_t n;

	if (s < 0 || bind(s, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(s, 1) < 0) {
		say("listen: FAILED %s", strerror(errno));
		return;
	}
	say("listening on %u", port);
	c = accept(s, NULL, NULL);
	while (c >= 0 && (n = read(c, data, sizeof(data))) > 0) {
		sum += (size_t)n;
		if (write(c, data, (size_t)n) != n)
			break;
	}
	close(c);
	close(s);
	say("listen: ok, %zu bytes", sum);
}

static void do_connect(unsigned port)
{
	struct sockaddr_vm a = { .svm_family = AF_VSOCK,
				 .svm_port = port,
				 .svm_cid = VMADDR_CID_HOST };
	int s = socket(AF_VSOCK, SOCK_STREAM, 0);
	char answer[64] = "";

	if (s < 0 || connect(s, (struct sockaddr *)&a, sizeof(a)) < 0)
		say("connect: FAILED %s", strerror(errno));
	else if (write(s, "hello\n", 6) != 6 || read(s, answer, sizeof(answer) - 1) < 1)
		say("connect: FAILED no answer");
	else
		say("connect: ok, the host says %.*s", (int)strcspn(answer, "\n"), answer);
	close(s);
}

static void do_storm(unsigned port, unsigned n)
{
	struct sockaddr_vm a = { .svm_family = AF_VSOCK,
				 .svm_port = port,
				 .svm_cid = VMADDR_CID_HOST };
	struct pollfd p[512];
	unsigned refused = 0, open = 0;

	n = n < 512 ? n : 512;
	for (unsigned i = 0; i < n; i++) {
		p[i] = (struct pollfd){ .fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK, 0), .events = POLLOUT };
		if (p[i].fd < 0 || (connect(p[i].fd, (struct sockaddr *)&a, sizeof(a)) < 0 && errno != EINPROGRESS))
			say("storm: FAILED %s", strerror(errno));
	}
	for (unsigned i = 0; i < n; i++) {
		int rc = 0;
		socklen_t len = sizeof(rc);

		while (poll(&p[i], 1, 5000) < 0 && errno == EINTR)
			;
		getsockopt(p[i].fd, SOL_SOCKET, SO_ERROR, &rc, &len);
		refused += rc != 0;
		open += rc == 0 && !(p[i].revents & POLLHUP);
		close(p[i].fd);
	}
	say("storm: ok, %u refused, %u open", refused, open);
}

static void do_entropy(void)
{
	unsigned char b[64] = { 0 };
	int fd = open("/dev/hwrng", O_RDONLY), sum = 0;
	ssize_t n = fd < 0 ? -1 : read(fd, b, sizeof(b));

	for (size_t i = 0; i < sizeof(b); i++)
		sum |= b[i];
	if (n > 0 && sum)
		say("entropy: ok");
	else
		say("entropy: FAILED %zd: %s", n, strerror(errno));
}

static void sysrq(char c)
{
	int fd = open("/proc/sysrq-trigger", O_WRONLY);

	if (fd < 0 || write(fd, &c, 1) != 1)
		say("sysrq: FAILED %s", strerror(errno));
}

/* Says by the device that its kernel panicked, writes a line, and then hangs, or resets. */
static void do_panicked(const char *then)
{
	glob_t found;
	uint8_t *page = MAP_FAILED;
	unsigned long at = 0;
	FILE *f;

	/* The register is the first of BAR 0, which may begin anywhere in its page. */
	if (glob("/sys/bus/pci/drivers/pvpanic-pci/*:*/resource*", 0, NULL, &found) == 0 && found.gl_pathc >= 2) {
		f = fopen(found.gl_pathv[0], "re");
		if (f && fscanf(f, "%lx", &at) == 1)
			page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, open(found.gl_pathv[1], O_RDWR), 0);
	}
	if (page == MAP_FAILED) {
		say("pvpanic: FAILED %s", strerror(errno));
		return;
	}
	*(volatile uint8_t *)(page + at % 4096) = 1;
	say("written after it");
	if (strcmp(then, "reset") == 0)
		reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}

static void do_console(void);

static void act(const char *word)
{
	unsigned n, many;

	if (strncmp(word, "fs:", 3) == 0) {
		do_fs(word + 3);
	} else if (strncmp(word, "listen:", 7) == 0) {
		do_listen((unsigned)atoi(word + 7));
	} else if (strncmp(word, "connect:", 8) == 0) {
		do_connect((unsigned)atoi(word + 8));
	} else if (sscanf(word, "storm:%u/%u", &n, &many) == 2) {
		do_storm(n, many);
	} else if (strcmp(word, "entropy") == 0) {
		do_entropy();
	} else if (strcmp(word, "reset") == 0) {
		say("resetting");
		reboot(RB_AUTOBOOT);
	} else if (strcmp(word, "panic") == 0) {
		sysrq('c');
	} else if (strncmp(word, "panicked:", 9) == 0) {
		do_panicked(word + 9);
	} else if (strcmp(word, "hang") == 0) {
		for (;;)
			pause();
	} else if (strncmp(word, "disk:", 5) == 0) {
		disk_word(word + 5);
	} else if (strcmp(word, "console") == 0) {
		do_console();
	} else if (!net_word(word)) {
		say("%s: FAILED unknown word", word);
	}
}

static void do_console(void)
{
	/* The line's echo is still on its way to the host and its reader, who would take the processor from what is measured. */
	const struct timespec pause = { .tv_nsec = 50000000 };
	char line[256];

	say("console: ready");
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\r\n")] = '\0';
		if (strcmp(line, "end") == 0)
			break;
		nanosleep(&pause, NULL);
		if (*line)
			act(line);
	}
}

int main(void)
{
	static char cmdline[4096];
	struct timespec t;
	char *words, *word;
	ssize_t n;
	int fd;

	mount("dev", "/dev", "devtmpfs", 0, NULL);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("run", "/run", "tmpfs", 0, NULL);
	mount("sys", "/sys", "sysfs", 0, NULL);
	fd = open("/dev/console", O_RDWR);
	if (fd >= 0)
		for (int i = 0; i < 3; i++)
			dup2(fd, i);
	clock_gettime(CLOCK_MONOTONIC, &t);
	say("up after %ld.%03ld s, %d cpus", (long)t.tv_sec, t.tv_nsec / 1000000, get_nprocs());
	fd = open("/proc/cmdline", O_RDONLY);
	n = fd < 0 ? -1 : read(fd, cmdline, sizeof(cmdline) - 1);
	if (n > 0 && (words = strstr(cmdline, "guest="))) {
		words[strcspn(words, " \n")] = 0;
		for (word = strtok(words + 6, ","); word; word = strtok(NULL, ","))
			act(word);
	}
	say("bye");
	sync();
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}
