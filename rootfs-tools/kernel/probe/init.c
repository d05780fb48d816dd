/* SPDX-License-Identifier: Apache-2.0 */
/*
 * First program of the probe's guest: notes the time, reads the kernel's log and memory figures, stops the machine.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <unistd.h>
#include <x86intrin.h>

#include "report.h"

static struct report_page report[REPORT_PAGES] __attribute__((aligned(4096)));
static char log_text[REPORT_PAGES * 4096UL / 2];

static void put(const char *text, size_t len)
{
	static unsigned page;

	while (len > 0 && page < REPORT_PAGES) {
		struct report_page *p = &report[page];
		size_t room = sizeof(p->text) - p->len;
		size_t n = len < room ? len : room;

		memcpy(p->text + p->len, text, n);
		p->mark_a = REPORT_MARK_A;
		p->mark_b = REPORT_MARK_B;
		p->seq = page;
		p->len += (uint32_t)n;
		text += n;
		len -= n;
		if (p->len == sizeof(p->text))
			page++;
	}
}

static void put_file(const char *path)
{
	int fd = open(path, O_RDONLY);
	ssize_t n;

	while (fd >= 0 && (n = read(fd, log_text, sizeof(log_text))) > 0)
		put(log_text, (size_t)n);
	if (fd >= 0)
		close(fd);
}

int main(void)
{
	report[0].tsc = __rdtsc();
	int n = klogctl(3 /* read all */, log_text, sizeof(log_text));
	if (n > 0)
		put(log_text, (size_t)n);
	mount("proc", "/proc", "proc", 0, NULL);
	put("\n", 1);
	put_file("/proc/meminfo");
	reboot(RB_AUTOBOOT); /* with reboot=t: a triple fault, which ends KVM_RUN */
	for (;;)
		pause();
}
