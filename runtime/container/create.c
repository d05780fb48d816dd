// SPDX-License-Identifier: Apache-2.0
#include "runtime/container/create.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent-proto/proto/limits.h"
#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/json.h"
#include "lib/log.h"
#include "runtime/container/create_internal.h"
#include "runtime/container/disks.h"
#include "runtime/container/disks_annotated.h"
#include "runtime/container/group.h"
#include "runtime/container/hooks.h"
#include "runtime/container/id.h"
#include "runtime/container/join.h"
#include "runtime/container/network.h"
#include "runtime/container/notify.h"
#include "runtime/container/timeline.h"
#include "runtime/host/namespace.h"
#include "runtime/host/sock.h"
#include "runtime/host/spawn.h"
#include "runtime/proxy/client.h"
#include "runtime/sandbox/choice.h"

/* Everything that a creation holds until it is done or undone. */
struct creation {
	const struct container_request *req;
	struct oci_spec *spec;
	int bundle, dir;
	int netns, ipcns, utsns; /* to be joined; -1: a new one */
	char bundle_path[PATH_MAX], rootfs[PATH_MAX], created[64];
	char sandbox[NAME_MAX + 1];
	struct container_group group;
	struct container_state st;
	struct machine_choice choice;
	bool image_readonly;
	struct sandbox vm;
	struct stand_in proxy;
	struct network net;
	struct join join;
	struct share_list shares;
	struct follow follow;
	struct hook_mounts hooked;
	struct notify notify;
	const char **env; /* the process's, where it is not the configuration's own */
	struct oci_device_rule *rules; /* likewise */
	struct disks_annotated annotated; /* and these */
};

/* It is to live in a machine that is there. */
static bool joins(const struct creation *c)
{
	return *c->join.sandbox;
}

/* ---- what is found before anything exists ----------------------------------------------------- */

static int open_bundle(struct creation *c, struct err *e)
{
	const char *path = c->req->bundle && *c->req->bundle ? c->req->bundle : ".";
	struct stat st;
	int rc;

	if (!realpath(path, c->bundle_path))
		return err_errno(e, errno, "chdir %s", path);
	/* Every command is to read it in the state. */
	if (!json_is_utf8(c->bundle_path))
		return err_set(e, EINVAL, "the bundle's path %s is not UTF-8", c->bundle_path);
	c->bundle = open(c->bundle_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->bundle < 0)
		return err_errno(e, errno, "chdir %s", path);
	rc = oci_spec_load(&c->spec, c->bundle, "config.json", e);
	if (rc == -ENOENT)
		return err_set(e, ENOENT, "JSON specification file config.json not found");
	if (rc < 0)
		return rc;
	if (*c->spec->root_path == '/')
		rc = snprintf(c->rootfs, sizeof(c->rootfs), "%s", c->spec->root_path);
	else
		rc = snprintf(c->rootfs, sizeof(c->rootfs), "%s/%s", c->bundle_path,
			      c->spec->root_path);
	if (rc >= (int)sizeof(c->rootfs))
		return err_set(e, ENAMETOOLONG, "config.json: root.path: too long");
	if (c->spec->vm.image)
		return 0; /* the root is in there: this folder is nobody's */
	if (stat(c->rootfs, &st) < 0)
		return err_errno(e, errno, "invalid rootfs: stat %s", c->rootfs);
	if (!S_ISDIR(st.st_mode))
		return err_set(e, ENOTDIR, "invalid rootfs: %s is not a directory", c->rootfs);
	return 0;
}

/* As runc: the process is told, and told that it is the one. */
static int tell_activation(struct creation *c, struct err *e)
{
	struct oci_strv *env = &c->spec->process.env;

	if (!c->req->preserved || !*c->req->preserved->listen_fds)
		return 0;
	c->env = calloc(env->n + 2, sizeof(*c->env));
	if (!c->env)
		return err_set(e, ENOMEM, "out of memory");
	if (env->n)
		memcpy(c->env, env->v, env->n * sizeof(*c->env));
	c->env[env->n] = c->req->preserved->listen_fds;
	c->env[env->n + 1] = "LISTEN_PID=1";
	*env = (struct oci_strv){ .v = c->env, .n = env->n + 2 };
	return 0;
}

/* Those that the configuration names by path; of the others' the proxy makes the host's side. */
static int open_namespaces(struct creation *c, struct err *e)
{
	const struct {
		enum oci_ns_type type;
		int *fd;
	} kinds[] = { { OCI_NS_NETWORK, &c->netns }, { OCI_NS_IPC, &c->ipcns }, { OCI_NS_UTS, &c->utsns } };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const char *path = c->spec->ns[kinds[i].type].path, *name = oci_ns_name(kinds[i].type);
		int rc = path ? namespace_open(path, name, kinds[i].fd, e) : 0;

		if (rc < 0)
			return err_wrap(e, rc, "config.json: linux.namespaces: %s", name);
	}
	return 0;
}

static int choose_machine(struct creation *c, struct err *e)
{
	struct host_config config;
	int rc = host_config_load(&config, c->req->host->config, e);

	if (rc < 0)
		return rc;
	rc = machine_choose(&c->choice, c->spec, &config, e);
	if (joins(c))
		c->vm.serials = c->join.prefix;
	if (rc == 0 && *c->choice.disks)
		rc = disks_annotated(&c->annotated, &c->vm, c->spec, c->choice.disks, &config, e);
	host_config_done(&config);
	c->vm.kernel = steal_fd(&c->choice.kernel);
	c->vm.initramfs = steal_fd(&c->choice.initramfs);
	c->vm.parameters = c->choice.parameters;
	c->vm.program = c->choice.program;
	return rc;
}

/* An image that nobody may write to is not written to: any number of containers can have it at a time. */
static int open_image(struct creation *c, struct err *e)
{
	const char *path = c->spec->vm.image;
	struct diskfile f;
	struct stat st;
	int rc = -EROFS;

	if (!path)
		return 0;
	if (stat(path, &st) < 0)
		return err_errno(e, errno, "config.json: vm.image.path: %s", path);
	c->image_readonly = c->spec->root_readonly || !(st.st_mode & 0222);
	if (!c->image_readonly)
		rc = diskfile_open(&f, AT_FDCWD, path, 0, e);
	if (rc == -EROFS || rc == -EACCES) {
		c->image_readonly = true;
		rc = diskfile_open(&f, AT_FDCWD, path, DISKFILE_READONLY, e);
	}
	if (rc < 0)
		return err_wrap(e, rc, "config.json: vm.image.path");
	return sandbox_add_disk(&c->vm, &f, c->image_readonly, SANDBOX_ROOT_DISK, NULL, e);
}

static int check(struct creation *c, struct err *e)
{
	int rc = container_id_check(c->req->id, e);

	if (rc == 0)
		rc = open_bundle(c, e);
	timeline_mark("config.json read");
	c->proxy.preserved = c->req->preserved;
	if (rc == 0)
		rc = tell_activation(c, e);
	if (rc == 0)
		rc = notify_add(&c->notify, c->spec, c->bundle, e);
	if (rc == 0)
		rc = open_namespaces(c, e);
	if (rc == 0)
		rc = join_find(&c->join, c->req->host->root, c->netns, c->spec, e);
	if (rc == 0)
		rc = stand_in_prepare(&c->proxy, &c->spec->process, c->req->detach,
				      c->req->console_socket, e);
	if (rc < 0)
		return rc;
	rc = choose_machine(c, e);
	if (rc == 0)
		rc = group_plan(&c->group, c->spec, c->req->id, c->req->host->systemd_cgroup,
				c->choice.shape.memory, e);
	if (rc == 0)
		rc = open_image(c, e);
	if (rc == 0)
		rc = disks_open(&c->vm, c->spec, c->bundle, &c->rules, e);
	return rc < 0 || joins(c) ? rc : sandbox_open_files(&c->vm, e);
}

/* ---- the parts --------------------------------------------------------------------------------- */

/* What a killed command left under the id goes first; its folder is ours, locked, or nobody's. */
static int claim_folder(struct creation *c, struct err *e)
{
	const struct container_host *h = c->req->host;
	struct container_state old = { .doc = NULL };
	bool leftover;
	int rc = container_make(h->root, c->req->id, &c->dir, &leftover, e);

	if (rc < 0 || !leftover)
		return rc;
	log_debug("clearing what a killed command left of %s", c->req->id);
	container_state_load(c->dir, &old, NULL);
	rc = container_destroy(h, c->dir, c->req->id, &old, e);
	if (rc == 0 && old.id)
		hooks_poststop(&old);
	container_state_done(&old);
	close_and_reset(&c->dir);
	return rc < 0 ? rc : container_make(h->root, c->req->id, &c->dir, &leftover, e);
}

static int claim(struct creation *c, struct err *e)
{
	int rc = claim_folder(c, e);

	if (rc == 0) {
		rc = group_check_free(&c->group, e);
		if (rc == 0)
			rc = disks_note(c->spec, c->dir, e);
		if (rc < 0)
			container_remove_dir(c->req->host->root, c->req->id, c->dir, NULL);
	}
	if (rc < 0)
		return rc;
	if (joins(c))
		snprintf(c->sandbox, sizeof(c->sandbox), "%s", c->join.sandbox);
	else
		rc = sandbox_free_name(c->req->host->root, c->req->id, c->sandbox, sizeof(c->sandbox), e);
	if (rc < 0)
		return rc;
	container_now(c->created, sizeof(c->created));
	c->st = (struct container_state){
		.id = c->req->id,
		.oci_version = c->spec->version,
		.bundle = c->bundle_path,
		.rootfs = c->rootfs,
		.created = c->created,
		.sandbox = c->sandbox,
		.shares = c->join.prefix,
		.cgroup = c->group.path,
		.unit = c->group.unit.name,
		.bus = c->group.bus,
		.owner = getuid(),
		.annotations = c->spec->annotations,
		.n_annotations = c->spec->n_annotations,
		.hooks = c->spec->hooks,
	};
	return 0;
}

static int start_proxy(struct creation *c, struct err *e)
{
	static const struct {
		enum oci_ns_type type;
		uint32_t clone;
	} kinds[] = {
		{ OCI_NS_NETWORK, CLONE_NEWNET },
		{ OCI_NS_UTS, CLONE_NEWUTS },
		{ OCI_NS_IPC, CLONE_NEWIPC },
	};
	struct proxy_setup m = { .flags = *c->group.unit.name ? PROXY_SETUP_UNIT : 0 };
	_cleanup_close_ int listen = -1;
	_cleanup_close_ int memory = -1;
	const struct {
		uint32_t flag;
		const int *fd;
	} with[] = { /* in the order of the flags */
		{ PROXY_SETUP_LISTEN, &listen },  { PROXY_SETUP_MEMORY, &memory },  { PROXY_SETUP_NETNS, &c->netns },
		{ PROXY_SETUP_IPCNS, &c->ipcns }, { PROXY_SETUP_UTSNS, &c->utsns },
	};
	int rc = sock_listen(c->dir, CONTAINER_PROXY_SOCK, &listen, e);
	int fds[PROXY_SETUP_MAX_FDS];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (c->spec->ns[kinds[i].type].wanted && !c->spec->ns[kinds[i].type].path)
			m.new_ns |= kinds[i].clone;
	/* A user's engine joins the namespaces of that pid ("podman cp"), which it may where they are the user's. */
	c->proxy.own_pids = systemd_is_user() && geteuid() == 0;
	if (rc == 0)
		rc = stand_in_spawn(&c->proxy, group_born_in(&c->st, c->group.fd), e);
	if (rc == 0 && group_born_in(&c->st, c->group.fd) != c->group.fd)
		rc = group_enter(&c->st, c->group.fd, c->proxy.made.proxy.pid, e);
	if (rc == 0)
		memory = group_open_memory(&c->group);
	for (size_t i = 0; i < ARRAY_SIZE(with); i++)
		if (*with[i].fd >= 0) {
			m.flags |= with[i].flag;
			fds[n++] = *with[i].fd;
		}
	if (rc == 0)
		rc = stand_in_setup(&c->proxy, c->req->host, &m, fds, n, e);
	timeline_mark("husk-proxy started");
	return rc;
}

/* After the hooks, which may have plugged links in; who does so later does it by way of the proxy's pid, or the namespace's
 * name. husk-net looks around while the machine is built. */
static int start_network(struct creation *c, struct err *e)
{
	char path[48];
	int rc = 0;

	if (c->netns < 0) {
		/* It is in its own namespace when it answers. */
		rc = proxy_call(c->proxy.made.sock, PROXY_SYNC, NULL, CALL_TIMEOUT_MS, e);
		if (rc < 0)
			return rc;
		snprintf(path, sizeof(path), "/proc/%d/ns/net", c->proxy.made.proxy.pid);
		c->netns = open(path, O_RDONLY | O_CLOEXEC);
		if (c->netns < 0)
			return err_errno(e, errno, "%s", path);
	}
	return network_start(&c->net, c->req->host, c->req->id, c->netns, &c->vm, c->spec, e);
}

static int add_shares(struct creation *c, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < c->shares.n; i++)
		rc = sandbox_share(&c->vm, c->shares.names[i], c->shares.fds[i],
				   c->shares.readonly[i], c->shares.is_file[i],
				   c->shares.nocache[i], c->shares.common[i], e);
	for (size_t i = 0; rc == 0 && i < c->follow.n; i++) {
		const struct followed *f = &c->follow.v[i];

		if (f->fd >= 0)
			rc = sandbox_share(&c->vm, f->name, f->fd, false, f->is_file, false, 0, e);
	}
	return rc;
}

static int build_machine(struct creation *c, struct err *e)
{
	const struct container_host *h = c->req->host;
	int rc = sandbox_build(&c->vm, c->req->id, &c->choice.shape, h->log,
			       h->debug ? LOG_DEBUG : LOG_WARN, h->log_json, e);

	if (rc == 0)
		rc = add_shares(c, e);
	if (rc == 0)
		rc = sandbox_listen(&c->vm, e);
	timeline_mark("machine described");
	return rc;
}

static int attach(struct creation *c, struct err *e)
{
	struct buf request = BUF_INIT(AGENT_MAX_FRAME), state = BUF_INIT(AGENT_MAX_FRAME);
	const struct oci_pack_disk disk = { c->spec->vm.image ? SANDBOX_ROOT_DISK : "", c->image_readonly };
	struct oci_pack_state hook_state;
	struct proxy_attach m = { .flags = PROXY_ATTACH_LIFELINE, .nshares = (uint32_t)c->shares.n };
	_cleanup_close_ int lifeline = -1;
	int rc = sandbox_lifeline(&c->vm, &lifeline, e);

	snprintf(m.container_id, sizeof(m.container_id), "%s", c->req->id);
	snprintf(m.fs_device, sizeof(m.fs_device), "%s", SANDBOX_FS_DEVICE);
	snprintf(m.share_prefix, sizeof(m.share_prefix), "%s", c->join.prefix);
	m.start_timeout_ms = hooks_start_timeout(&c->spec->hooks);
	m.nfollowed = (uint32_t)c->follow.n;
	m.machine_pid = (uint32_t)c->vm.machine.pid;
	m.machine_cpu_ms = READY_CPU_MS;
	if (joins(c))
		m.flags |= PROXY_ATTACH_HOSTED;
	if (rc == 0 && hooks_guest_state(&c->st, &state, &hook_state) < 0)
		rc = err_set(e, E2BIG, "config.json: annotations: too large");
	if (rc == 0)
		rc = oci_pack_create(c->spec, c->req->id, &c->shares.packed[0], &disk, &c->shares.packed[1],
				     &c->proxy.tokens, &hook_state, &request, e);
	if (rc == 0)
		rc = stand_in_attach(&c->proxy, &m, &request, lifeline, c->vm.ready, c->follow.sock, c->net.proxy_end, e);
	buf_free(&request);
	buf_free(&state);
	/* Nobody's but the machine's and the proxy's from here on. */
	share_list_close(&c->shares);
	follow_close(&c->follow);
	close_and_reset(&c->vm.ready);
	return rc;
}

/* An engine's profile takes libseccomp as long as the guest's kernel takes to come up: both at a time. */
static int compile_filter(struct creation *c, struct err *e)
{
	int rc = c->spec->seccomp.present ? oci_seccomp_compile(c->spec, e) : 0;

	if (c->spec->seccomp.present)
		timeline_mark("seccomp filter made");
	return rc;
}

static int boot(struct creation *c, struct err *e)
{
	struct sandbox_record r = { .first = "" };
	struct nc_info_reply info;
	int rc = sandbox_boot(&c->vm, e);

	timeline_mark("machine told to run");
	if (rc == 0)
		rc = compile_filter(c, e);
	if (rc == 0)
		rc = attach(c, e);
	/* After its virtual machine was made: born inside, a worker of KVM would stay in the group
	 * and keep it from being removed. */
	if (rc == 0 && c->group.fd >= 0)
		rc = group_enter(&c->st, c->group.fd, c->vm.machine.pid, e);
	if (rc == 0 && c->group.fd >= 0)
		rc = group_enter(&c->st, c->group.fd, c->net.proc.pid, e);
	group_release(&c->group);
	r.machine = c->vm.machine;
	r.net = c->net.proc;
	snprintf(r.first, sizeof(r.first), "%s", c->req->id);
	snprintf(r.host, sizeof(r.host), "%s", c->req->id);
	if (rc == 0)
		rc = sandbox_save(c->vm.dir, &r, e);
	timeline_mark("machine in its cgroup");
	if (rc == 0)
		rc = stand_in_wait(&c->proxy, ATTACH_TIMEOUT_MS, e);
	/* Nobody can join it before. */
	if (rc == 0)
		rc = sandbox_note_netns(c->vm.dir, c->netns, e);
	if (rc == 0 && log_enabled(LOG_DEBUG) && ncl_info(c->vm.ctl, &info, 1000, NULL) == 0)
		timeline_machine(&info);
	return rc;
}

/* A machine of its own. */
static int make_machine(struct creation *c, struct err *e)
{
	int rc = start_network(c, e);

	if (rc == 0)
		rc = share_list_sockets(&c->shares, c->spec, c->proxy.made.sock, e);
	if (rc == 0)
		rc = build_machine(c, e);
	if (rc == 0)
		rc = network_started(&c->net, e);
	timeline_mark("husk-net started");
	/* Devices that are there from the start need no looking for. */
	if (rc == 0)
		rc = network_plug(&c->net, &c->vm, e);
	return rc < 0 ? rc : boot(c, e);
}

/* Another's, which has all but this container's files. */
static int join_machine(struct creation *c, struct err *e)
{
	int rc = sandbox_join_net(c->req->host->root, c->sandbox, &c->net.proxy_end, e);

	if (rc == 0)
		rc = share_list_sockets(&c->shares, c->spec, c->proxy.made.sock, e);
	if (rc == 0)
		rc = add_shares(c, e);
	if (rc == 0)
		rc = sandbox_plug_disks(&c->vm, e);
	if (rc == 0)
		rc = compile_filter(c, e);
	if (rc == 0)
		rc = attach(c, e);
	group_release(&c->group);
	return rc < 0 ? rc : stand_in_wait(&c->proxy, ATTACH_TIMEOUT_MS, e);
}

static uint64_t memory_limit(const struct oci_resources *r)
{
	return r->has_memory_limit && r->memory_limit > 0 ? (uint64_t)r->memory_limit : UINT64_MAX;
}

static int make_all(struct creation *c, struct err *e)
{
	int root = c->req->host->root;
	int rc = container_state_save(c->dir, &c->st, e);

	if (rc == 0)
		rc = joins(c) ? join_enter(&c->join, root, c->req->id, memory_limit(&c->spec->res), &c->vm, e) :
				sandbox_begin(&c->vm, root, c->sandbox, e);
	timeline_mark(joins(c) ? "machine joined" : "husk-machine started");
	if (rc == 0)
		rc = group_make(&c->group, c->spec, c->req->id, c->req->host->rootless, e);
	c->st.cgroup_ours = c->group.ours;
	if (rc == 0)
		rc = start_proxy(c, e);
	if (rc == 0)
		rc = share_list_mounts(c->spec, c->bundle, c->rootfs, c->proxy.made.sock, e);
	if (rc == 0)
		rc = hooks_create(&c->st, &c->spec->process.env, &c->proxy.made.proxy, c->proxy.made.sock, &c->hooked, e);
	if (rc == 0)
		rc = hook_mounts_add(&c->hooked, c->spec, e);
	/* After the hooks: what they mounted is in the shares. */
	if (rc == 0)
		rc = follow_start(&c->follow, c->spec, c->bundle, c->join.prefix, c->proxy.made.sock, e);
	if (rc == 0)
		rc = share_list_open(&c->shares, c->join.prefix, c->spec, c->bundle, c->rootfs, &c->hooked, &c->follow, e);
	if (rc == 0)
		rc = joins(c) ? join_machine(c, e) : make_machine(c, e);
	if (rc < 0)
		return rc;
	c->st.proxy = c->proxy.made.proxy;
	rc = container_state_save(c->dir, &c->st, e);
	return rc < 0 ? rc : stand_in_commit(&c->proxy, c->req->pid_file, e);
}

static void undo(struct creation *c, struct err *why)
{
	struct err e = ERR_INIT;

	stand_in_done(&c->proxy, true, why);
	network_done(&c->net, true);
	group_release(&c->group);
	sandbox_close(&c->vm);
	if (c->vm.machine.pid) {
		proc_kill(&c->vm.machine, CALL_TIMEOUT_MS);
		waitpid(c->vm.machine.pid, NULL, 0);
	}
	c->st.proxy.pid = 0;
	if (!c->group.reached)
		c->st.cgroup = c->st.unit = "";
	if (container_destroy(c->req->host, c->dir, c->req->id, &c->st, &e) < 0)
		log_warn("after a failed start: %s", e.msg);
	else
		hooks_poststop(&c->st);
}

int container_create(const struct container_request *r, struct container_made *ret, struct err *e)
{
	struct creation *c = calloc(1, sizeof(*c));
	struct err local = ERR_INIT;
	int rc;

	if (!c)
		return err_set(e, ENOMEM, "out of memory");
	*c = (struct creation){ .req = r,
				.bundle = -1,
				.dir = -1,
				.netns = -1,
				.ipcns = -1,
				.utsns = -1,
				.vm = SANDBOX_INIT,
				.choice = MACHINE_CHOICE_INIT,
				.proxy = STAND_IN_INIT,
				.follow = FOLLOW_INIT,
				.notify = NOTIFY_INIT,
				.net = NETWORK_INIT };
	group_init(&c->group);
	rc = check(c, &local);
	if (rc == 0)
		rc = claim(c, &local);
	if (rc == 0) {
		rc = make_all(c, &local);
		if (rc < 0) {
			/* When it has ended by no word of its own. */
			spawn_reap("husk-machine", &c->vm.machine, WNOHANG, &local);
			undo(c, &local);
		} else {
			*ret = c->proxy.made;
			ret->start_hooks = c->spec->hooks.of[OCI_START_CONTAINER].n ||
					   c->spec->hooks.of[OCI_POSTSTART].n;
		}
	}
	ret->program = c->proxy.made.program;
	stand_in_done(&c->proxy, rc < 0, &local);
	if (rc < 0 && e)
		*e = local;
	network_done(&c->net, rc < 0);
	share_list_close(&c->shares);
	follow_close(&c->follow);
	hook_mounts_done(&c->hooked);
	sandbox_close(&c->vm);
	group_done(&c->group);
	close_and_reset(&c->netns);
	close_and_reset(&c->ipcns);
	close_and_reset(&c->utsns);
	close_and_reset(&c->bundle);
	close_and_reset(&c->dir);
	notify_done(&c->notify);
	oci_spec_free(c->spec);
	free(c->env);
	free(c->rules);
	disks_annotated_free(&c->annotated);
	free(c);
	timeline_mark("created");
	return rc;
}
