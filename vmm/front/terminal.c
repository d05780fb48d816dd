// SPDX-License-Identifier: Apache-2.0
#include "vmm/front/terminal.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/log.h"

#define CHUNK 4096

struct terminal {
	struct evloop *loop;
	struct evsrc input, vm;     /* standard input; our end of the socket */
	bool raw;
	struct termios before;
};

static void restore(struct terminal *t)
{
	if (t->raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &t->before);
	t->raw = false;
}

static void make_raw(struct terminal *t)
{
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &t->before) < 0)
		return; /* no terminal: a pipe or file, passed on as it is */
	raw = t->before;
	cfmakeraw(&raw);
	t->raw = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

static void from_user(struct evsrc *src, uint32_t events)
{
	struct terminal *t = container_of(src, struct terminal, input);
	char data[CHUNK];
	ssize_t n = read(src->fd, data, sizeof(data));

	(void)events;
	if (n <= 0) {
		evloop_del(src); /* the guest's console goes on without input */
		return;
	}
	/* A guest that reads no input loses some rather than stopping its output. */
	if (t->vm.fd >= 0 && send(t->vm.fd, data, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) < n)
		log_debug("terminal: input dropped");
}

/* True when there may be more. */
static bool pass_on(struct terminal *t)
{
	char data[CHUNK];
	ssize_t n = recv(t->vm.fd, data, sizeof(data), MSG_DONTWAIT);

	if (n > 0)
		return io_write_full(STDOUT_FILENO, data, (size_t)n) == 0;
	if (n == 0 || errno != EAGAIN) {
		evloop_del(&t->vm);
		close_and_reset(&t->vm.fd);
	}
	return false;
}

static void from_vm(struct evsrc *src, uint32_t events)
{
	(void)events;
	pass_on(container_of(src, struct terminal, vm));
}

void terminal_drain(struct terminal *t)
{
	while (t && t->vm.fd >= 0 && pass_on(t))
		;
}

int terminal_new(struct terminal **ret, struct evloop *loop, struct err *e)
{
	struct terminal *t = calloc(1, sizeof(*t));

	if (!t)
		return err_set(e, ENOMEM, "out of memory");
	t->loop = loop;
	t->vm.fd = -1;
	t->input = (struct evsrc){ .fd = STDIN_FILENO, .fn = from_user, .name = "stdin" };
	make_raw(t);
	/* A plain file cannot be waited for, and is no sensible input for a console: none then. */
	if (evloop_add(loop, &t->input, EPOLLIN) < 0)
		log_debug("terminal: standard input is a file, and not read");
	*ret = t;
	return 0;
}

int terminal_connect(struct terminal *t, int *ret_fd, struct err *e)
{
	int pair[2];

	terminal_drain(t);
	if (t->vm.fd >= 0) {
		evloop_del(&t->vm);
		close_and_reset(&t->vm.fd);
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(e, errno, "socketpair");
	t->vm = (struct evsrc){ .fd = pair[0], .fn = from_vm, .name = "console" };
	if (evloop_add(t->loop, &t->vm, EPOLLIN) < 0) {
		close(pair[0]);
		close(pair[1]);
		t->vm.fd = -1;
		return err_set(e, ENOMEM, "out of memory");
	}
	*ret_fd = pair[1];
	return 0;
}

void terminal_free(struct terminal *t)
{
	if (!t)
		return;
	terminal_drain(t);
	restore(t);
	evloop_del(&t->input);
	evloop_del(&t->vm);
	close_and_reset(&t->vm.fd);
	free(t);
}
