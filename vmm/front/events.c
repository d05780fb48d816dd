// SPDX-License-Identifier: Apache-2.0
#include "vmm/front/events.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "lib/io.h"
#include "lib/log.h"

struct events {
	int fd;
	struct timespec start;
};

int events_open(struct events **ret, const struct options *o, struct err *e)
{
	struct events *ev;
	int fd = (int)o->event_fd;

	*ret = NULL;
	if (!o->event_path && fd < 0)
		return 0;
	if (o->event_path) {
		fd = open(o->event_path, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_CLOEXEC, 0644);
		if (fd < 0)
			return err_errno(e, errno, "--event-monitor path: cannot open %s",
					 o->event_path);
	} else if (io_set_cloexec(fd, true) < 0 || io_set_nonblock(fd, true) < 0) {
		return err_set(e, EBADF, "--event-monitor fd: %d is not open", fd);
	}
	ev = calloc(1, sizeof(*ev));
	if (!ev)
		return err_set(e, ENOMEM, "out of memory");
	ev->fd = fd;
	clock_gettime(CLOCK_MONOTONIC, &ev->start);
	*ret = ev;
	return 0;
}

void events_close(struct events *ev)
{
	if (!ev)
		return;
	close(ev->fd);
	free(ev);
}

void events_send(struct events *ev, const char *source, const char *event)
{
	struct timespec now;
	char line[256];
	int64_t ns;
	int n;

	if (!ev)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	ns = (int64_t)(now.tv_sec - ev->start.tv_sec) * 1000000000 + now.tv_nsec -
	     ev->start.tv_nsec;
	n = snprintf(line, sizeof(line),
		     "{\n  \"timestamp\": {\n    \"secs\": %lld,\n    \"nanos\": %lld\n  },\n"
		     "  \"source\": \"%s\",\n  \"event\": \"%s\",\n  \"properties\": null\n}\n\n",
		     (long long)(ns / 1000000000), (long long)(ns % 1000000000), source, event);
	if (write(ev->fd, line, (size_t)n) != n)
		log_debug("event monitor: an event was lost");
}
