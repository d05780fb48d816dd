// SPDX-License-Identifier: Apache-2.0
/* A bundle's config.json, member by member against the parser's tables, and then by the parser itself. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "runtime/doctor/doctor.h"
#include "runtime/oci/field.h"
#include "runtime/oci/vm.h"

struct walk {
	doctor_fn *fn;
	void *arg;
	unsigned refused;
};

static void say(struct walk *w, const struct json *m, enum doctor_verdict v, const char *advice, const char *found)
{
	struct doctor_line l = { .verdict = v };
	char path[sizeof(l.name)];

	snprintf(l.name, sizeof(l.name), "%s", json_path(m, path, sizeof(path)));
	doctor_say(&l, v, advice, "%s", found);
	w->refused += v == DOCTOR_PROBLEM;
	w->fn(w->arg, &l);
}

static const struct oci_field *table_of(const char *prefix)
{
	for (const struct oci_table *t = oci_tables; t->prefix; t++)
		if (!strcmp(t->prefix, prefix))
			return t->rows;
	return NULL;
}

static void look(struct walk *w, const struct json *v, const char *prefix);

/* What is below a member that has a table of its own. */
static void look_below(struct walk *w, const struct json *m, const char *prefix)
{
	char below[200];

	if (m->type == JSON_OBJECT) {
		snprintf(below, sizeof(below), "%s%s.", prefix, m->key);
		look(w, m, below);
	}
	for (size_t i = 0; m->type == JSON_ARRAY && i < m->count; i++) {
		snprintf(below, sizeof(below), "%s%s[].", prefix, strcmp(prefix, "hooks.") ? m->key : "*");
		look(w, m->items[i], below);
	}
}

static void look(struct walk *w, const struct json *v, const char *prefix)
{
	const struct oci_field *table = table_of(prefix);

	for (size_t i = 0; table && v->type == JSON_OBJECT && i < v->count; i++) {
		const struct json *m = v->items[i];
		const struct oci_field *f = table;

		while (f->name && strcmp(f->name, m->key))
			f++;
		if (oci_is_empty(m))
			continue;
		if (!f->name)
			say(w, m, DOCTOR_WARNING, "", "not of the specification: passed over");
		else if (f->verdict == OCI_IGNORED)
			say(w, m, DOCTOR_WARNING, "", "accepted without effect");
		else if (f->verdict == OCI_REFUSED)
			say(w, m, DOCTOR_PROBLEM, "remove it", "refused: not supported");
		else
			look_below(w, m, prefix);
	}
}

/* Values too, which tables do not tell. Only the first one that it stops at can be named. */
static void parse(struct walk *w, const char *text, size_t len)
{
	struct doctor_line l = { .name = "config.json" };
	struct oci_spec *s = NULL;
	struct oci_vm_wish wish;
	struct err e = ERR_INIT;
	int rc = oci_spec_parse(&s, text, len, "config.json", &e);

	if (rc == 0)
		rc = oci_vm_wish(s, "config.json", &wish, &e);
	oci_spec_free(s);
	if (rc == 0)
		doctor_say(&l, DOCTOR_OK, NULL, "would be accepted");
	else if (w->refused)
		return;
	else
		doctor_say(&l, DOCTOR_PROBLEM, "change it", "refused: %s", e.msg);
	w->fn(w->arg, &l);
}

void doctor_bundle(const char *dir, doctor_fn *fn, void *arg)
{
	_cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct walk w = { .fn = fn, .arg = arg };
	struct doctor_line l = { .name = "config.json" };
	_cleanup_free_ char *text = NULL;
	struct json *doc = NULL;
	struct err e = ERR_INIT;
	size_t len = 0;
	int rc = fd < 0 ? -errno : io_read_file(fd, "config.json", OCI_MAX_CONFIG, &text, &len);

	if (rc < 0)
		err_errno(&e, -rc, "%s/config.json", dir);
	else
		rc = json_parse(&doc, text, len, NULL, &e);
	if (rc < 0) {
		doctor_say(&l, DOCTOR_PROBLEM, "name a folder with an OCI bundle", "%s", e.msg);
		fn(arg, &l);
		return;
	}
	look(&w, doc, "");
	parse(&w, text, len);
	json_free(doc);
}
