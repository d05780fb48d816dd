// SPDX-License-Identifier: Apache-2.0
/*
 * Real programs on a share, behind this machine's own kernel instead of a guest's: /dev/fuse as
 * carrier. Several threads, a handful of descriptors.
 */
#include "tests/unit/fs_setup.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/fusemount.h"

/* Each must exit 0 with nothing on its standard output but what is said. */
static const char *const scripts[] = {
	"cp -a /usr/include/linux x && diff -r /usr/include/linux x",
	"tar -C /usr/include -cf - asm-generic | tar -xpf - && diff -r /usr/include/asm-generic "
	"asm-generic",
	"mkdir -p d/e/f && mv d g && echo hi > g/e/f/h && test $(cat g/e/f/h) = hi && rm -r g && ! "
	"test -e g",
	"mkfifo p && (echo x > p &) && test $(cat p) = x && test -p p && rm p",
	"mknod n c 1 5 && test -c n && test \"$(stat -c %t:%T n)\" = 1:5 && rm n",
	"ln -s /etc/passwd l && test \"$(readlink l)\" = /etc/passwd && echo a > f && ln f k && "
	"test $(stat -c %h f) = 2",
	"exec 9> locked && flock 9 && ! flock -n locked true && flock -u 9 && flock -n locked true",
	"cp /bin/true t && ./t && chmod 4755 t && test $(stat -c %a t) = 4755",
	"(exec 8<> gone && rm gone && echo still >&8 && test $(stat -L -c %h /proc/self/fd/8) = 0)",
	"for i in $(seq 300); do echo $i > many$i; done; test $(ls | grep -c ^many) = 300 && rm "
	"many*",
	"umask 077 && mkdir m && test $(stat -c %a m) = 700 && touch m/f && test $(stat -c %a m/f) "
	"= 600",
	"truncate -s 1M s && test $(stat -c %b s) = 0 && dd if=/dev/zero of=s bs=4k count=1 "
	"conv=notrunc,fsync "
	"status=none && test $(stat -c %s s) = 1048576",
	"mkdir la && (cd la && seq 1200 | xargs touch) && cp -al la lb && rm -r lb && stat -c %h la/* | sort -u > lh && "
	"test $(cat lh) = 1 && cat la/* && exec 7< la/7 && ln la/7 lc && rm la/7 && test $(stat -L -c %h /proc/self/fd/7) = 1 && "
	"rm lc && test $(stat -L -c %h /proc/self/fd/7) = 0",
	"for i in 1 2 3 4; do (for k in 1 2 3; do cp -r x y$i; mv y$i z$i; rm -r z$i; done) & "
	"done; wait; "
	"! ls -d y* z* 2>/dev/null",
};

#define AS_USER "setpriv --reuid=1000 --regid=1000"

/* What a file system owes its users, one line each; likewise. */
static const char *const semantics[] = {
	/* set-id bits and capabilities go with a change */
	"cp /bin/true su && chmod 6755 su && chown 1000:1000 su && test $(stat -c %a su) = 755",
	"cp /bin/true sw && chmod 6777 sw && " AS_USER " --clear-groups sh -c 'echo >> sw' && "
	"test $(stat -c %a sw) = 777",
	"cp /bin/true sf && chmod 6777 sf && " AS_USER " --clear-groups fallocate -l 1M sf && "
	"test $(stat -c %a sf) = 777",
	"cp /bin/true st && chmod 6777 st && " AS_USER " --clear-groups truncate -s 9 st && "
	"test $(stat -c %a st) = 777",
	/* who may do what in directories */
	"mkdir sticky && chmod 1777 sticky && touch sticky/f && ! " AS_USER
	" --clear-groups rm -f sticky/f 2>/dev/null && test -e sticky/f",
	"mkdir sg && chgrp 2000 sg && chmod 2770 sg && " AS_USER
	" --groups 2000 sh -c 'umask 022; touch sg/f; mkdir sg/d' && "
	"test $(stat -c %u:%g sg/f) = 1000:2000 && test $(stat -c %a:%g sg/d) = 2755:2000",
	"mkdir ng && chgrp 2000 ng && chmod 770 ng && ! " AS_USER
	" --clear-groups touch ng/f 2>/dev/null",
	"mkdir ad && setfacl -d -m u:1000:rwx,g::rx,o::--- ad && (umask 077; touch ad/f) && "
	"getfacl -cn ad/f 2>/dev/null | grep -q user:1000:rwx && test $(stat -c %a ad/f) = 660",
	"touch af && setfacl -m u:1000:r af && chmod 0 af && setfacl -m m::r af && " AS_USER
	" --clear-groups cat af && "
	"! setpriv --reuid=1001 --regid=1001 --clear-groups cat af 2>/dev/null",
	/* writers at a time; holes; the host's cache passed by */
	"for i in 1 2 3 4; do (for k in $(seq 200); do echo line >> app; done) & done; wait; "
	"test $(grep -c ^line$ app) = 800",
	"dd if=/dev/zero of=dio bs=64k count=4 oflag=direct status=none && "
	"dd if=dio of=/dev/null bs=64k iflag=direct status=none && test $(stat -c %s dio) = 262144",
	"truncate -s 1M hole && echo x >> hole && cp --sparse=always hole hole2 && cmp hole hole2 "
	"&& "
	"test $(stat -c %b hole2) -lt 64",
	"sync -f . && test $(stat -c %W app) -gt 0",
	"echo a > cmpa && cp --reflink=auto cmpa cmpb && cmp cmpa cmpb",
	/* overlayfs on top: its upper directory here, with all that it keeps in attributes */
	"mkdir -p ov/low/d ov/up ov/work ov/m && echo low > ov/low/d/f && ln -s f ov/low/d/s && "
	"mkfifo ov/low/p && o=lowerdir=ov/low,upperdir=ov/up,workdir=ov/work && "
	"mount -t overlay -o $o o ov/m && echo up >> ov/m/d/f && mv ov/m/d/f ov/m/d/g && "
	"chown -h 7 ov/m/d/s && test $(stat -c %u ov/m/d/s) = 7 && rm ov/m/p && "
	"mkdir ov/m/e && mv ov/m/d/g ov/m/e/h && umount ov/m && mount -t overlay -o $o o ov/m && "
	"test \"$(cd ov/m && find . | sort | tr '\\n' ' ')\" = '. ./d ./d/s ./e ./e/h ' && "
	"rm -r ov/m/d && mkdir ov/m/d && umount ov/m && mount -t overlay -o $o o ov/m && "
	"test -z \"$(ls -A ov/m/d)\" && umount ov/m && test -c ov/up/p && "
	"test $(stat -c %t:%T ov/up/p) = 0:0",
};

/* The same in Python, where the shell has no word for it. */
static const char *const pythons[] = {
	/* file capabilities go with a write, a truncation and a new owner */
	"import os\n"
	"v = bytes([0,0,0,2, 0,32,0,0, 0,0,0,0]) + bytes(8)\n"
	"for change in [lambda: open('cap', 'a').write('x'), lambda: os.truncate('cap', 1),\n"
	"               lambda: os.chown('cap', 5, 5)]:\n"
	"    open('cap', 'w').write('abc'); os.setxattr('cap', 'security.capability', v)\n"
	"    assert os.getxattr('cap', 'security.capability') == v\n"
	"    change()\n"
	"    assert 'security.capability' not in os.listxattr('cap'), change\n",
	/* a file without a name gets one */
	"import os\n"
	"fd = os.open('.', os.O_TMPFILE | os.O_RDWR, 0o640); os.write(fd, b'born')\n"
	"assert os.fstat(fd).st_nlink == 0\n"
	"os.link('/proc/self/fd/%d' % fd, 'tmpborn', src_dir_fd=fd)\n"
	"assert open('tmpborn').read() == 'born' and os.fstat(fd).st_nlink == 1\n",
	/* shared memory is the file, private memory is not */
	"import mmap, os\n"
	"f = open('map', 'w+b'); f.write(b'a' * 8192); f.flush(); before = "
	"os.stat('map').st_mtime_ns\n"
	"m = mmap.mmap(f.fileno(), 8192); p = mmap.mmap(f.fileno(), 8192, flags=mmap.MAP_PRIVATE)\n"
	"m[5000] = 66; assert os.pread(f.fileno(), 1, 5000) == b'B'\n"
	"os.pwrite(f.fileno(), b'C', 10); assert m[10] == 67 and p[10] == 67\n"
	"p[20] = 68; assert os.pread(f.fileno(), 1, 20) == b'a'\n"
	"m.flush(); assert os.stat('map').st_mtime_ns > before\n",
	/* any name, any depth, any time */
	"import os\n"
	"n = bytes(c for c in range(1, 256) if c != 47); n += b'x'\n"
	"os.mkdir(b'names'); os.mkdir(b'names/' + n); assert os.listdir(b'names') == [n]\n"
	"try: os.mkdir(b'names/' + n + b'y'); assert False\n"
	"except OSError as e: assert e.errno == 36\n",
	"import os\n"
	"os.mkdir('deep'); top = os.getcwd(); os.chdir('deep'); p = 'deep'\n"
	"while len(p) < 4090: os.mkdir('d'); os.chdir('d'); p += '/d'\n"
	"os.chdir(top); os.stat(p); open(p + '/f', 'w').write('x'); assert open(p + '/f').read() "
	"== 'x'\n"
	"try: os.stat(p + '/' + 'd/' * 9); assert False\n"
	"except OSError as e: assert e.errno == 36\n",
	"import os\n"
	"open('when', 'w')\n"
	"for t in [-1500000001, 1, 2**31 * 10**9 + 5, 2**33 * 10**9 + 123456789]:\n"
	"    os.utime('when', ns=(t, t + 1)); s = os.stat('when')\n"
	"    assert (s.st_atime_ns, s.st_mtime_ns) == (t, t + 1), t\n",
	/* a big directory is read while it changes: what stays is seen, and seen once */
	"import os, threading\n"
	"os.mkdir('big')\n"
	"for i in range(2000): open('big/stays%d' % i, 'w')\n"
	"stop = False\n"
	"def churn():\n"
	"    i = 0\n"
	"    while not stop: open('big/go%d' % (i % 50), 'w'); os.unlink('big/go%d' % (i % 50)); i "
	"+= 1\n"
	"t = threading.Thread(target=churn); t.start()\n"
	"for _ in range(5):\n"
	"    names = [n for n in os.listdir('big') if n.startswith('stays')]\n"
	"    assert len(names) == len(set(names)) == 2000, len(names)\n"
	"stop = True; t.join()\n",
	/* holes, and copies inside the host */
	"import os\n"
	"f = os.open('sparse', os.O_RDWR | os.O_CREAT); os.pwrite(f, b'x' * 4096, 1 << 20)\n"
	"assert os.lseek(f, 0, os.SEEK_DATA) == 1 << 20 and os.lseek(f, 1 << 20, os.SEEK_HOLE) == "
	"(1 << 20) + 4096\n"
	"g = os.open('copied', os.O_RDWR | os.O_CREAT)\n"
	"assert os.copy_file_range(f, g, 4096, 1 << 20, 0) == 4096 and os.pread(g, 2, 4094) == "
	"b'xx'\n",
	/* made by the host where the kernel knows that there is none: opened by who may, as what it is */
	"import errno, os, stat\n"
	"os.mkdir('late'); os.chmod('late', 0o777); n = 0\n"
	"def file(mode):\n"
	"    def make(p): open(p, 'w').write('host'); os.chmod(p, mode)\n"
	"    return make\n"
	"def late(make, flags, uid=1000):\n"
	"    global n; n += 1; name = 'late/%d' % n\n"
	"    assert not os.path.exists(name)\n"
	"    make('../../share/' + name); os.setegid(uid); os.seteuid(uid)\n"
	"    try: fd = os.open(name, flags | os.O_CREAT, 0o644)\n"
	"    except OSError as e: return errno.errorcode[e.errno]\n"
	"    finally: os.seteuid(0); os.setegid(0)\n"
	"    if not stat.S_ISREG(os.fstat(fd).st_mode): return stat.filemode(os.fstat(fd).st_mode)[0]\n"
	"    return os.read(fd, 9) + b'/%d' % os.fstat(fd).st_size\n"
	"for make, flags, want in [\n"
	"    (file(0o600), os.O_RDWR, 'EACCES'), (file(0o644), os.O_RDWR, 'EACCES'),\n"
	"    (file(0o600), os.O_RDWR | os.O_TRUNC, 'EACCES'), (file(0o644), os.O_RDONLY, b'host/4'),\n"
	"    (file(0o666), os.O_RDWR, b'host/4'), (file(0o666), os.O_RDWR | os.O_TRUNC, b'/0'),\n"
	"    (file(0o666), os.O_RDWR | os.O_EXCL, 'EEXIST'), (os.mkdir, os.O_RDWR, 'EISDIR'),\n"
	"    (lambda p: (os.mkfifo(p), os.chmod(p, 0o666)), os.O_RDWR, 'p'),\n"
	"    (lambda p: os.symlink('4', p), os.O_RDONLY, b'host/4'),\n"
	"    (lambda p: os.symlink('1', p), os.O_RDONLY, 'EACCES'),\n"
	"    (lambda p: os.symlink('4', p), os.O_RDONLY | os.O_NOFOLLOW, 'ELOOP')]:\n"
	"    assert late(make, flags) == want, (n, want)\n"
	"assert open('late/1').read() == open('late/3').read() == 'host'\n"
	"assert late(file(0o600), os.O_RDWR, 0) == b'host/4'\n",
	/* values that are shorter than a number */
	"import os\n"
	"open('xa', 'w'); os.setxattr('xa', 'user.n', b'abc'); assert os.getxattr('xa', 'user.n') "
	"== b'abc'\n"
	"os.setxattr('xa', 'trusted.n', b'x'); assert sorted(os.listxattr('xa')) == ['trusted.n', "
	"'user.n']\n",
};

static int run(const char *where, const char *program, const char *script)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		umask(022);
		if (chdir(where) < 0)
			_exit(125);
		execlp(program, program, "-c", script, (char *)NULL);
		_exit(126);
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

static void all_of(const char *program, const char *const *list, size_t n)
{
	const struct fs_server_cfg cfg = { .max_nodes = 100000,
					   .max_handles = 1000,
					   .max_fds = 6,
					   .attr_timeout = 1,
					   .entry_timeout = 1,
					   .proc_fd = -1 };
	char where[192], share[200];
	struct fusemount m;
	struct fsfix f;
	unsigned failed = 0;
	int rc;

	fsfix_init(&f, NULL, &cfg, 0);
	fs_server_reset(f.c.s); /* the kernel's INIT comes */
	snprintf(where, sizeof(where), "%s/mnt", f.base);
	snprintf(share, sizeof(share), "%s/s", where);
	assert_int_equal(mkdir(where, 0755), 0);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    (rc = fusemount_start(&m, f.c.s, where, 4)) < 0) {
		print_message("no mount by /dev/fuse here\n");
		fsfix_done(&f);
		skip();
	}
	for (size_t i = 0; i < n; i++) {
		rc = run(share, program, list[i]);
		if (rc)
			print_message("exit %d of: %s\n", rc, list[i]);
		failed += rc != 0;
	}
	fusemount_stop(&m, where);
	assert_true(fsfix_outside_intact(&f));
	fsfix_done(&f);
	assert_int_equal(failed, 0);
}

static void programs(void **state)
{
	(void)state;
	all_of("sh", scripts, ARRAY_SIZE(scripts));
}

static void users_rights(void **state)
{
	(void)state;
	all_of("sh", semantics, ARRAY_SIZE(semantics));
}

static void by_python(void **state)
{
	(void)state;
	all_of("python3", pythons, ARRAY_SIZE(pythons));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(programs),
					    cmocka_unit_test(users_rights),
					    cmocka_unit_test(by_python) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
