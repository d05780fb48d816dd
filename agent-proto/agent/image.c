// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/image.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent-proto/agent/boot.h"
#include "agent-proto/agent/disks.h"
#include "agent-proto/agent/mounts.h"
#include "lib/cleanup.h"

/* Each is tried until one knows what is on the disk. Those that nobody can write to come first. */
static const struct {
	const char *type;
	bool readonly;
} kinds[] = {
	{ "erofs", true }, { "squashfs", true }, { "ext4", false }, { "xfs", false }, { "btrfs", false },
};

/* ---- mounting ---------------------------------------------------------------------------------------- */

/* What is on the disk; *ret_ro: it cannot be written to. */
static int mount_disk(const char *disk, bool disk_ro, bool *ret_ro, struct err *e)
{
	char tried[128] = "";

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		bool ro = disk_ro || kinds[i].readonly;
		size_t len = strlen(tried);
		struct err why = ERR_INIT;
		int tree = mount_new(kinds[i].type, disk, ro ? "ro" : "", ro ? MOUNT_ATTR_RDONLY : 0, &why);

		if (tree >= 0) {
			*ret_ro = ro;
			return tree;
		}
		if (tree == -ENODEV)
			continue; /* not in this kernel */
		if (tree != -EINVAL)
			return err_set(e, -tree, "%s: %s", kinds[i].type, why.msg);
		snprintf(tried + len, sizeof(tried) - len, "%s%s", len ? ", " : "", kinds[i].type);
	}
	return err_set(e, EINVAL, "its file system is none that the guest's kernel knows (%s)", tried);
}

/* With @base below and memory above. Made at a place in the agent's own namespace, because an overlay's layers
 * must have names, and taken away there at once: the overlay keeps what it needs. */
static int cover(int base, struct err *e)
{
	_cleanup_close_ int scratch = mount_new("tmpfs", "image", "mode=755", 0, e);
	_cleanup_close_ int lower = -1;
	_cleanup_close_ int target = -1;
	struct stat st;
	int rc, tree;

	if (scratch < 0)
		return scratch;
	target = open(BOOT_IMAGE, O_PATH | O_DIRECTORY | O_CLOEXEC);
	rc = target < 0 ? -errno : mount_put(scratch, target);
	if (rc < 0)
		return err_errno(e, -rc, "%s", BOOT_IMAGE);
	/* The overlay's root is the upper folder: it has to look like the image's. */
	if (fstat(base, &st) < 0 || mkdirat(scratch, "lower", 0700) < 0 || mkdirat(scratch, "work", 0700) < 0 ||
	    mkdirat(scratch, "upper", 0700) < 0 || fchownat(scratch, "upper", st.st_uid, st.st_gid, 0) < 0 ||
	    fchmodat(scratch, "upper", st.st_mode & 07777, 0) < 0) {
		rc = -errno;
	} else {
		lower = openat(scratch, "lower", O_PATH | O_DIRECTORY | O_CLOEXEC);
		rc = lower < 0 ? -errno : mount_put(base, lower);
	}
	if (rc < 0)
		tree = err_errno(e, -rc, "overlay");
	else
		tree = mount_new("overlay", "image",
				 "lowerdir=" BOOT_IMAGE "/lower,upperdir=" BOOT_IMAGE "/upper,workdir=" BOOT_IMAGE
				 "/work",
				 0, e);
	umount2(BOOT_IMAGE, MNT_DETACH);
	return tree;
}

int image_mount(struct image *im, const Husk__Agent__V1__Container *ct, struct err *e)
{
	_cleanup_close_ int base = -1;
	struct disk_found disk;
	bool ro = false;
	int rc;

	*im = (struct image)IMAGE_NONE;
	if (!*ct->rootfs_disk)
		return 0;
	rc = disks_find(ct->rootfs_disk, &disk, e);
	if (rc < 0)
		return err_wrap(e, rc, "container root image");
	snprintf(im->disk, sizeof(im->disk), "%s", disk.path);
	base = mount_disk(im->disk, ct->rootfs_disk_readonly, &ro, e);
	if (base < 0)
		return err_wrap(e, base, "container root image");
	/* A read-only root too: mount points are still to be made in it. */
	im->root = ro ? cover(base, e) : steal_fd(&base);
	return im->root < 0 ? err_wrap(e, im->root, "container root image") : 0;
}

void image_handed_over(struct image *im)
{
	close_and_reset(&im->root);
}

/* A mounted disk refuses to be opened exclusively. */
bool image_busy(struct image *im)
{
	int fd;

	close_and_reset(&im->root);
	if (!*im->disk)
		return false;
	fd = open(im->disk, O_RDONLY | O_EXCL | O_CLOEXEC);
	if (fd < 0 && errno == EBUSY)
		return true;
	if (fd >= 0) {
		fsync(fd); /* an error of the host's was told to who wrote, if he asked */
		close(fd);
	}
	im->disk[0] = 0;
	return false;
}
