// SPDX-License-Identifier: Apache-2.0
#include "runtime/io/console.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"

int console_pair(uint16_t rows, uint16_t columns, int *ret_master, int *ret_slave, struct err *e)
{
	_cleanup_close_ int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	_cleanup_close_ int slave = -1;
	struct winsize ws = { .ws_row = rows, .ws_col = columns };
	struct termios mode;
	int unlock = 0;

	if (master < 0)
		return err_errno(e, errno, "cannot open /dev/ptmx");
	if (ioctl(master, TIOCSPTLCK, &unlock) < 0)
		return err_errno(e, errno, "cannot unlock the pseudoterminal");
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return err_errno(e, errno, "cannot open the pseudoterminal's other end");
	if (tcgetattr(slave, &mode) < 0)
		return err_errno(e, errno, "tcgetattr");
	cfmakeraw(&mode);
	if (tcsetattr(slave, TCSANOW, &mode) < 0)
		return err_errno(e, errno, "tcsetattr");
	if (rows && ioctl(master, TIOCSWINSZ, &ws) < 0)
		return err_errno(e, errno, "TIOCSWINSZ");
	*ret_master = steal_fd(&master);
	*ret_slave = steal_fd(&slave);
	return 0;
}

int console_dial(const char *path, int *ret_sock, struct err *e)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	if (fd < 0)
		return err_errno(e, errno, "socket");
	if ((size_t)snprintf(a.sun_path, sizeof(a.sun_path), "%s", path) >= sizeof(a.sun_path))
		return err_set(e, ENAMETOOLONG, "console socket %s: path too long", path);
	if (connect(fd, (const struct sockaddr *)&a, sizeof(a)) < 0)
		return err_errno(e, errno, "dial unix %s: connect", path);
	*ret_sock = steal_fd(&fd);
	return 0;
}

int console_give(int sock, int master, struct err *e)
{
	static const char name[] = "/dev/ptmx";
	int rc = io_send_fds(sock, name, sizeof(name) - 1, &master, 1);

	return rc < 0 ? err_errno(e, -rc, "cannot send the terminal to the console socket") : 0;
}

int console_raw(struct console_saved *ret, struct err *e)
{
	static const int streams[] = { STDERR_FILENO, STDOUT_FILENO, STDIN_FILENO };
	struct console_saved s = { .fd = -1 };
	struct termios raw;

	for (size_t i = 0; i < ARRAY_SIZE(streams) && s.fd < 0; i++)
		if (isatty(streams[i]))
			s.fd = fcntl(streams[i], F_DUPFD_CLOEXEC, 3);
	if (s.fd < 0)
		s.fd = open("/dev/tty", O_RDWR | O_CLOEXEC);
	if (s.fd < 0)
		return err_errno(e, errno, "open /dev/tty");
	if (tcgetattr(s.fd, &s.mode) < 0) {
		int rc = err_errno(e, errno, "terminal");

		close(s.fd);
		return rc;
	}
	raw = s.mode;
	cfmakeraw(&raw);
	tcsetattr(s.fd, TCSANOW, &raw);
	*ret = s;
	return 0;
}

void console_restore(struct console_saved *s)
{
	if (s->fd < 0)
		return;
	tcsetattr(s->fd, TCSANOW, &s->mode);
	close(s->fd);
	s->fd = -1;
}
