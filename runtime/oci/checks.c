// SPDX-License-Identifier: Apache-2.0
/* What fields that are right by themselves must have in common; the words are runc's. */
#include "runtime/oci/field.h"

#include <string.h>

#include "lib/log.h"

static bool maps_root(const struct oci_id_mapping *m, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (m[i].container_id == 0)
			return true;
	return false;
}

static int check_users(struct oci_ctx *c, const struct json *v, const struct oci_spec *s)
{
	if (!s->ns[OCI_NS_USER].wanted)
		return 0;
	if (!s->n_uid_mappings && !s->n_gid_mappings)
		return oci_fail(
			c, v,
			"user namespaces enabled, but no namespace path to join or mappings to "
			"apply specified");
	if (!s->n_uid_mappings)
		return oci_fail(c, v, "uidMappings is missing, with gidMappings there");
	if (!s->n_gid_mappings)
		return oci_fail(c, v, "gidMappings is missing, with uidMappings there");
	/* Who sets the container up must be somebody in it. */
	if (!maps_root(s->uid_mappings, s->n_uid_mappings))
		return oci_fail(c, v, "uidMappings: container id 0 is not mapped");
	if (!maps_root(s->gid_mappings, s->n_gid_mappings))
		return oci_fail(c, v, "gidMappings: container id 0 is not mapped");
	return 0;
}

static int check_time(struct oci_ctx *c, const struct json *v, const struct oci_spec *s)
{
	if ((s->monotonic.present || s->boottime.present) && !s->ns[OCI_NS_TIME].wanted)
		return oci_fail(
			c, v,
			"time namespace offsets specified, but time namespace isn't enabled in "
			"the config");
	return 0;
}

/* ---- sysctl ------------------------------------------------------------------------------------ */

static const char *const ipc_sysctls[] = {
	"kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem",
	"kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced",
};

/* "net/ipv4/conf/eth0.1/x" is "net.ipv4.conf.eth0/1.x", as sysctl(8) has it: the first separator decides. */
static void normalize(const char *key, char *out, size_t size)
{
	size_t i, first = strcspn(key, "./");
	bool swap = key[first] == '/';

	for (i = 0; key[i] && i + 1 < size; i++) {
		out[i] = key[i];
		if (swap && (key[i] == '/' || key[i] == '.'))
			out[i] = key[i] == '/' ? '.' : '/';
	}
	out[i] = 0;
}

static bool is_ipc(const char *key)
{
	if (strncmp(key, "fs.mqueue.", 10) == 0)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(ipc_sysctls); i++)
		if (strcmp(key, ipc_sysctls[i]) == 0)
			return true;
	return false;
}

static int check_sysctl(struct oci_ctx *c, const struct json *v, const struct oci_spec *s,
			const char *key)
{
	char k[256];

	normalize(key, k, sizeof(k));
	if (is_ipc(k))
		return s->ns[OCI_NS_IPC].wanted ? 0
						: oci_fail(c, v,
							   "sysctl \"%.100s\" is not allowed in "
							   "the hosts ipc namespace",
							   key);
	if (strncmp(k, "net.", 4) == 0)
		return s->ns[OCI_NS_NETWORK].wanted
			       ? 0
			       : oci_fail(c, v,
					  "sysctl \"%.100s\" not allowed in host network namespace",
					  key);
	if (s->ns[OCI_NS_UTS].wanted && strcmp(k, "kernel.domainname") == 0)
		return 0;
	if (s->ns[OCI_NS_UTS].wanted && strcmp(k, "kernel.hostname") == 0)
		return oci_fail(c, v,
				"sysctl \"%.100s\" is not allowed as it conflicts with the OCI "
				"\"hostname\" "
				"field",
				key);
	return oci_fail(c, v, "sysctl \"%.100s\" is not in a separate kernel namespace", key);
}

/* ---- the whole --------------------------------------------------------------------------------- */

static int check_names(struct oci_ctx *c, const struct oci_spec *s)
{
	static const char *const fields[] = { "hostname", "domainname" };
	const char *const values[] = { s->hostname, s->domainname };

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (*values[i] && !s->ns[OCI_NS_UTS].wanted)
			return oci_fail(c, json_get(s->doc, fields[i]),
					"unable to set %s without a private UTS namespace",
					fields[i]);
	return 0;
}

/* Only whoever owns a file system may map its ids. In a user namespace that is nobody; of shares the agent does it, outside. */
static int complete_mount(struct oci_ctx *c, const struct json *v, const struct oci_spec *s, struct oci_mount *m)
{
	bool user = s->ns[OCI_NS_USER].wanted;

	if (!m->idmap)
		return 0;
	if (user && !m->bind)
		return oci_fail(c, v, "in a user namespace only bind mounts can be id-mapped");
	if (m->n_uid_mappings)
		return 0;
	if (!user)
		return oci_fail(c, v, OCI_IDMAP_BOTH);
	m->uid_mappings = s->uid_mappings;
	m->n_uid_mappings = s->n_uid_mappings;
	m->gid_mappings = s->gid_mappings;
	m->n_gid_mappings = s->n_gid_mappings;
	return 0;
}

int oci_complete_mounts(struct oci_ctx *c, struct oci_spec *s)
{
	const struct json *v = json_get(s->doc, "mounts");
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < s->n_mounts; i++)
		rc = complete_mount(c, v->items[i], s, &s->mounts[i]);
	return rc;
}

void oci_drop_mappings(struct oci_ctx *c, struct oci_spec *s)
{
	if (s->ns[OCI_NS_USER].wanted || (!s->n_uid_mappings && !s->n_gid_mappings))
		return;
	log_warn("%s: linux: uidMappings and gidMappings are without effect: there is no user namespace", c->file);
	s->n_uid_mappings = s->n_gid_mappings = 0;
}

int oci_check_spec(struct oci_ctx *c, const struct oci_spec *s)
{
	const struct json *v = json_get(s->doc, "linux");
	const struct json *sysctl = json_get(v, "sysctl");
	int rc = check_names(c, s);

	if (rc == 0)
		rc = check_users(c, v, s);
	if (rc == 0)
		rc = check_time(c, v, s);
	for (size_t i = 0; rc == 0 && i < s->n_sysctl; i++)
		rc = check_sysctl(c, sysctl, s, s->sysctl[i].key);
	return rc;
}
