// SPDX-License-Identifier: Apache-2.0
/*
 * What the file server does: everything that a guest may do to files inside a share, and threads for
 * slow work. Nothing here names a path of the host: the root is empty, and shares are descriptors.
 *
 * Absent on purpose: open_by_handle_at and name_to_handle_at (lead out of a share), mount and its
 * relatives, chroot, execve, sockets, mknod of devices but whiteouts (the namespace refuses it too).
 */
#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "vmm/jail/policy.h"

#define THREAD_FLAGS                                                                              \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM | CLONE_SIGHAND | CLONE_THREAD |         \
	 CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID)

const struct jail_rule jail_rules_fs[] = {
	{ "openat", "OPEN, LOOKUP, beneath a share's descriptor", {}, 0 },
	{ "openat2", "the same with RESOLVE_ flags", {}, 0 },
	{ "newfstatat", "GETATTR", {}, 0 },
	{ "fstat", "GETATTR", {}, 0 },
	{ "statx", "GETATTR with mount id and birth time", {}, 0 },
	{ "statfs", "STATFS", {}, 0 },
	{ "fstatfs", "STATFS", {}, 0 },
	{ "getdents64", "READDIR", {}, 0 },
	{ "lseek", "LSEEK; rewinding a directory", {}, 0 },
	{ "pread64", "READ", {}, 0 },
	{ "preadv", "READ", {}, 0 },
	{ "preadv2", "READ", {}, 0 },
	{ "readv", "READ", {}, 0 },
	{ "pwrite64", "WRITE", {}, 0 },
	{ "pwritev", "WRITE", {}, 0 },
	{ "pwritev2", "WRITE", {}, 0 },
	{ "copy_file_range", "COPY_FILE_RANGE", {}, 0 },
	{ "fallocate", "FALLOCATE", {}, 0 },
	{ "ftruncate", "SETATTR of the size", {}, 0 },
	{ "truncate", "SETATTR of the size by /proc/self/fd", {}, 0 },
	{ "fsync", "FSYNC", {}, 0 },
	{ "fdatasync", "FSYNC", {}, 0 },
	{ "syncfs", "SYNCFS", {}, 0 },
	{ "fchmod", "SETATTR of the mode", {}, 0 },
	{ "fchmodat", "SETATTR of the mode by /proc/self/fd", {}, 0 },
	{ "fchmodat2", "SETATTR of the mode of an O_PATH descriptor", {}, 0 },
	{ "fchown", "SETATTR of the owner", {}, 0 },
	{ "fchownat", "SETATTR of the owner", {}, 0 },
	{ "utimensat", "SETATTR of times", {}, 0 },
	{ "mkdirat", "MKDIR", {}, 0 },
	{ "symlinkat", "SYMLINK", {}, 0 },
	{ "linkat", "LINK", {}, 0 },
	{ "unlinkat", "UNLINK, RMDIR", {}, 0 },
	{ "renameat", "RENAME", {}, 0 },
	{ "renameat2", "RENAME2", {}, 0 },
	{ "readlinkat", "READLINK", {}, 0 },
	{ "faccessat", "ACCESS", {}, 0 },
	{ "faccessat2", "ACCESS", {}, 0 },
	{ "mknodat", "MKNOD of a file", { { .arg = 2, .mask = S_IFMT, .value = S_IFREG } }, 0 },
	{ "mknodat", "MKNOD of a FIFO", { { .arg = 2, .mask = S_IFMT, .value = S_IFIFO } }, 0 },
	{ "mknodat", "MKNOD of a socket", { { .arg = 2, .mask = S_IFMT, .value = S_IFSOCK } }, 0 },
	{ "mknodat", "MKNOD of a whiteout, device 0:0",
	  { { .arg = 2, .mask = S_IFMT, .value = S_IFCHR }, ARG32(3, 0) }, 0 },
	{ "getxattr", "GETXATTR by /proc/self/fd", {}, 0 },
	{ "lgetxattr", "GETXATTR by /proc/self/fd", {}, 0 },
	{ "fgetxattr", "GETXATTR", {}, 0 },
	{ "setxattr", "SETXATTR by /proc/self/fd", {}, 0 },
	{ "lsetxattr", "SETXATTR by /proc/self/fd", {}, 0 },
	{ "fsetxattr", "SETXATTR", {}, 0 },
	{ "listxattr", "LISTXATTR by /proc/self/fd", {}, 0 },
	{ "llistxattr", "LISTXATTR by /proc/self/fd", {}, 0 },
	{ "flistxattr", "LISTXATTR", {}, 0 },
	{ "removexattr", "REMOVEXATTR by /proc/self/fd", {}, 0 },
	{ "lremovexattr", "REMOVEXATTR by /proc/self/fd", {}, 0 },
	{ "fremovexattr", "REMOVEXATTR", {}, 0 },
	{ "flock", "FLOCK", {}, 0 },
	{ "fcntl", "POSIX locks as open file description locks", { ARG32(1, F_OFD_SETLK) }, 0 },
	{ "fcntl", "POSIX locks as open file description locks", { ARG32(1, F_OFD_GETLK) }, 0 },
	{ "fcntl", "flags of an open file", { ARG32(1, F_GETFL) }, 0 },
	{ "fcntl", "O_APPEND and O_DIRECT as the guest changes them", { ARG32(1, F_SETFL) }, 0 },
	{ "fcntl", "a second descriptor", { ARG32(1, F_DUPFD_CLOEXEC) }, 0 },
	{ "fchdir", "the thread's directory, for calls without an *at form", {}, 0 },
	{ "umask", "the guest's mask on creation", {}, 0 },
	{ "setfsuid", "creation as a user of the guest", {}, 0 },
	{ "setfsgid", "creation as a group of the guest", {}, 0 },
	{ "setresuid", "this thread's user for a creation", {}, 0 },
	{ "setresgid", "this thread's group for a creation", {}, 0 },
	{ "setgroups", "supplementary groups of a creation", {}, 0 },
	{ "capget", "capabilities of this thread around a creation", {}, 0 },
	{ "capset", "fewer capabilities for a write that clears set-user-id", {}, 0 },
	{ "clone", "worker threads", { ARG32(0, THREAD_FLAGS) }, 0 },
	{ "clone3", "its flags cannot be seen: the library falls back to clone", {}, 38 /* ENOSYS */ },
	{ "prctl", "a worker's name", { ARG32(0, PR_SET_NAME) }, 0 },
	{ "clock_nanosleep", "retry of a lock", {}, 0 },
	{ "ppoll", "waiting with a deadline", {}, 0 },
	{ NULL, NULL, {}, 0 },
};
