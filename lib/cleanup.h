/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resources that end with their scope. `_cleanup_close_ int fd = -1;` closes at scope exit unless
 * its value was moved on with steal_fd(); the same for memory with steal_ptr(). errno is kept.
 */
#ifndef LIB_CLEANUP_H
#define LIB_CLEANUP_H

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_freep(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_closep(int *fd)
{
	int keep = errno;

	if (*fd >= 0)
		close(*fd);
	errno = keep;
}

static inline void cleanup_fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
}

static inline void cleanup_closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

#define _cleanup_free_     __attribute__((cleanup(cleanup_freep)))
#define _cleanup_close_    __attribute__((cleanup(cleanup_closep)))
#define _cleanup_fclose_   __attribute__((cleanup(cleanup_fclosep)))
#define _cleanup_closedir_ __attribute__((cleanup(cleanup_closedirp)))

/* Defines cleanup_TYPEp() for DEFINE_CLEANUP(struct x *, x_free) and use as _cleanup_(x_free). */
#define DEFINE_CLEANUP(type, fn)                   \
	static inline void cleanup_##fn(type *p)   \
	{                                          \
		if (*p)                            \
			fn(*p);                    \
	}
#define _cleanup_(fn) __attribute__((cleanup(cleanup_##fn)))

static inline int steal_fd(int *fd)
{
	int v = *fd;

	*fd = -1;
	return v;
}

#define steal_ptr(pp)                                     \
	({                                                \
		__typeof__(*(pp)) steal_value = *(pp);    \
		*(pp) = NULL;                             \
		steal_value;                              \
	})

static inline void close_and_reset(int *fd)
{
	cleanup_closep(fd);
	*fd = -1;
}

#endif
