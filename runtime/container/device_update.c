// SPDX-License-Identifier: Apache-2.0
/*
 * The order of things, for a command may be killed between any two of them: a disk is noted, the machine gets it, the
 * guest finds it and makes its node, it is noted as there; and back: noted as leaving, the guest lets go, the machine gives
 * it up, it is forgotten. What is noted and not there is taken away before anything else is done.
 */
#include "runtime/container/device_update.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent-proto/proto/limits.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "runtime/container/create_internal.h"
#include "runtime/oci/disks.h"
#include "runtime/proxy/client.h"

#define GUEST_TIMEOUT_MS   (AGENT_DEADLINE_MS + AGENT_PLUG_MS + 5000)
#define MACHINE_TIMEOUT_MS 20000 /* a disk of the host's that does not answer is waited for 10 s */

struct change {
	int dir, sock;
	const char *id;
	struct container_state s;
	struct ncl *machine;
	struct device_list list;
	bool unasked; /* the guest lives, and could not be asked at all */
};

/* ---- what has to be asked ------------------------------------------------------------------------------------- */

static int ask_guest(struct change *c, const struct oci_disk *disks, size_t n, bool remove, struct err *e)
{
	struct buf request = BUF_INIT(PROXY_MAX_UPDATE);
	int rc = oci_pack_disks(disks, n, remove, c->id, &request, e);

	if (rc == 0)
		rc = proxy_disks(c->sock, &request, GUEST_TIMEOUT_MS, e);
	buf_free(&request);
	c->unasked = false;
	if (rc != -EPIPE)
		return rc;
	rc = container_hung_up(&c->s.proxy, e);
	c->unasked = rc != -ESRCH;
	return rc;
}

/* Whether the guest wants it or not, once it was asked. */
static int take_away(struct change *c, const struct oci_disk *disks, size_t n, const char *what, struct err *e)
{
	struct err guest = ERR_INIT;
	int rc;

	if (!n)
		return 0;
	rc = ask_guest(c, disks, n, true, &guest);
	if (c->unasked)
		return err_set(e, guest.code, "%s: %s", what, guest.msg);
	if (rc < 0 && rc != -ESRCH) /* with no guest there is nobody to ask */
		log_warn("%s: taken away without the guest's consent: %s", what, guest.msg);
	rc = 0;
	for (size_t i = 0; i < n; i++) {
		int gone = ncl_device_remove(c->machine, disks[i].disk, MACHINE_TIMEOUT_MS, e);

		if (gone < 0 && gone != -ENODEV)
			rc = err_wrap(e, gone, "device %s", disks[i].path);
		else
			device_list_drop(&c->list, disks[i].disk);
	}
	return rc;
}

/* ---- taking away ---------------------------------------------------------------------------------------------- */

/* Those that are not noted as there, into @ret (AGENT_MAX_DISKS), whose strings are @keep's. */
static size_t leaving(const struct device_list *keep, struct oci_disk *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < keep->n && n < AGENT_MAX_DISKS; i++)
		if (!keep->v[i].there)
			ret[n++] = (struct oci_disk){ .disk = keep->v[i].disk, .path = keep->v[i].path, .access = "" };
	return n;
}

/* What is noted as leaving, or as not there yet, goes. */
static int clear(struct change *c, const char *what, struct err *e)
{
	struct oci_disk disks[AGENT_MAX_DISKS];
	struct device_list keep = { .v = NULL };
	int rc = 0;
	size_t n;

	do {
		for (size_t i = 0; rc == 0 && i < c->list.n; i++)
			rc = device_list_add(&keep, &c->list.v[i], e);
		n = leaving(&keep, disks);
		if (rc == 0)
			rc = take_away(c, disks, n, what, e);
		device_list_done(&keep);
		if (n && device_list_save(c->dir, &c->list, rc == 0 ? e : NULL) < 0 && rc == 0)
			rc = -EIO;
	} while (rc == 0 && n == AGENT_MAX_DISKS);
	return rc;
}

static int remove_all(struct change *c, const char *const *remove, size_t n, struct err *e)
{
	char what[128];
	int rc;

	if (!n)
		return 0;
	for (size_t i = 0; i < n; i++) {
		const struct device_entry *d = device_list_find(&c->list, remove[i]);
		char disk[DEVICE_SERIAL];

		/* One has been named by another path already. */
		if (!d)
			continue;
		memcpy(disk, d->disk, sizeof(disk));
		for (size_t k = 0; k < c->list.n; k++)
			if (strcmp(c->list.v[k].disk, disk) == 0)
				c->list.v[k].there = false;
	}
	snprintf(what, sizeof(what), n == 1 ? "device %s" : "device %s and others", remove[0]);
	rc = device_list_save(c->dir, &c->list, e);
	return rc < 0 ? rc : clear(c, what, e);
}

/* ---- adding --------------------------------------------------------------------------------------------------- */

struct addition {
	const struct device_wish *wish;
	struct diskfile file; /* fd -1: the machine has it */
	struct oci_disk d;
	char disk[DEVICE_SERIAL];
};

static int draw_serial(char out[DEVICE_SERIAL], struct err *e)
{
	uint64_t r;

	if (getrandom(&r, sizeof(r), 0) != (ssize_t)sizeof(r))
		return err_errno(e, errno, "getrandom");
	snprintf(out, DEVICE_SERIAL, "husk-%012" PRIx64, r & UINT64_C(0xffffffffffff));
	return 0;
}

static int open_one(struct addition *a, struct err *e)
{
	bool readonly = !strchr(a->wish->access, 'w');
	struct stat st;
	int rc = diskfile_open(&a->file, AT_FDCWD, a->wish->source, readonly ? DISKFILE_READONLY : 0, e);

	if (rc < 0) {
		a->file.fd = -1;
		return rc;
	}
	rc = draw_serial(a->disk, e);
	a->d = (struct oci_disk){ .disk = a->disk, .path = a->wish->path, .access = a->wish->access, .mode = 0660 };
	/* As Docker has it. A file's owner says nothing about a device. */
	if (a->file.is_block && fstat(a->file.fd, &st) == 0) {
		a->d.mode = st.st_mode & 0777;
		a->d.uid = st.st_uid;
		a->d.gid = st.st_gid;
	}
	return rc;
}

static int note(struct change *c, const struct addition *a, struct err *e)
{
	/* device_list_add() copies them. */
	struct device_entry d = { .path = (char *)(uintptr_t)a->wish->path, .source = (char *)(uintptr_t)a->wish->source };

	if (device_list_find(&c->list, d.path))
		return err_set(e, EEXIST, "device %s: the container has it already", d.path);
	memcpy(d.disk, a->disk, sizeof(d.disk));
	memcpy(d.access, a->wish->access, sizeof(d.access));
	return device_list_add(&c->list, &d, e);
}

static int give_all(struct change *c, struct addition *a, size_t n, struct err *e)
{
	struct oci_disk disks[AGENT_MAX_DISKS];
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		disks[i] = a[i].d;
		rc = sandbox_plug_disk(c->machine, &a[i].file, !strchr(a[i].wish->access, 'w'), a[i].disk, e);
		if (rc < 0)
			return err_wrap(e, rc, "device %s", a[i].wish->path);
		close_and_reset(&a[i].file.fd);
	}
	return ask_guest(c, disks, n, false, e);
}

/* The last @n. */
static int note_there(struct change *c, size_t n, struct err *e)
{
	int rc;

	for (size_t k = c->list.n - n; k < c->list.n; k++)
		c->list.v[k].there = true;
	rc = device_list_save(c->dir, &c->list, e);
	for (size_t k = c->list.n - n; rc < 0 && k < c->list.n; k++)
		c->list.v[k].there = false;
	return rc;
}

static int add_all(struct change *c, struct addition *a, size_t n, struct err *e)
{
	struct err again = ERR_INIT;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = open_one(&a[i], e);
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = note(c, &a[i], e);
	if (rc < 0 || !n)
		return rc;
	rc = device_list_save(c->dir, &c->list, e);
	if (rc == 0)
		rc = give_all(c, a, n, e);
	if (rc == 0)
		rc = note_there(c, n, e);
	if (rc < 0 && clear(c, a[0].wish->path, &again) < 0)
		log_warn("%s", again.msg);
	return rc;
}

static int add_wishes(struct change *c, const struct device_wish *add, size_t n, struct err *e)
{
	struct addition *a = calloc(n + 1, sizeof(*a));
	int rc = 0;

	if (!a)
		return err_set(e, ENOMEM, "out of memory");
	if (n > AGENT_MAX_DISKS)
		rc = err_set(e, E2BIG, "a machine can have %d disks, no more", AGENT_MAX_DISKS);
	for (size_t i = 0; i < n; i++) {
		a[i].wish = &add[i];
		a[i].file.fd = -1;
	}
	if (rc == 0)
		rc = add_all(c, a, n, e);
	for (size_t i = 0; i < n; i++)
		close_and_reset(&a[i].file.fd);
	free(a);
	return rc;
}

/* ---- all of it ------------------------------------------------------------------------------------------------ */

static int find(struct change *c, const struct container_host *h, struct err *e)
{
	enum container_status status;
	int fd, rc = container_open(h->root, c->id, true, &c->dir, e);

	if (rc == 0)
		rc = container_state_load(c->dir, &c->s, e);
	if (rc == 0)
		rc = container_status(-1, &c->s, &status, e);
	if (rc < 0)
		return rc;
	if (!container_status_lives(status))
		return err_set(e, ESRCH, "container not running");
	rc = container_proxy(c->dir, &c->sock, e);
	if (rc == 0)
		rc = device_list_load(c->dir, &c->list, e);
	if (rc == 0)
		rc = sandbox_join(h->root, c->s.sandbox, &fd, e);
	if (rc < 0)
		return rc;
	rc = ncl_new(&c->machine, fd, e);
	if (rc < 0)
		close(fd);
	return rc;
}

static int check_removals(const struct change *c, const char *const *remove, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++)
		if (!device_list_find(&c->list, remove[i]))
			return err_set(e, ENOENT, "device %s: the container has none that could be removed", remove[i]);
	return 0;
}

int container_devices(const struct container_host *h, const char *id, const struct device_wish *add, size_t n_add,
		      const char *const *remove, size_t n_remove, struct err *e)
{
	struct change c = { .dir = -1, .sock = -1, .id = id };
	int rc = find(&c, h, e);

	if (rc == 0)
		rc = clear(&c, "what a killed command left", e);
	if (rc == 0)
		rc = check_removals(&c, remove, n_remove, e);
	if (rc == 0)
		rc = add_wishes(&c, add, n_add, e);
	if (rc == 0)
		rc = remove_all(&c, remove, n_remove, e);
	ncl_free(c.machine);
	device_list_done(&c.list);
	container_state_done(&c.s);
	close_and_reset(&c.dir);
	close_and_reset(&c.sock);
	return rc;
}

void container_devices_leave(struct ncl *machine, int root, const char *id)
{
	struct device_list l = { .v = NULL };
	_cleanup_close_ int dir = -1;
	struct err e = ERR_INIT;
	int rc = container_open(root, id, false, &dir, &e);

	if (rc == 0)
		rc = device_list_load(dir, &l, &e);
	if (rc < 0)
		log_warn("disks of %s stay in the machine as long as that lives: %s", id, e.msg);
	for (size_t i = 0; i < l.n; i++) {
		rc = ncl_device_remove(machine, l.v[i].disk, MACHINE_TIMEOUT_MS, &e);
		if (rc < 0 && rc != -ENODEV)
			log_warn("device %s of %s stays in the machine as long as that lives: %s", l.v[i].path, id, e.msg);
	}
	device_list_done(&l);
}
