// SPDX-License-Identifier: Apache-2.0
/* The features document and the table, against the parser that they are about. */
#include "tests/unit/check.h"

#include <stdio.h>

#include "runtime/oci/features.h"
#include "runtime/oci/field.h"

static bool has(const struct json *list, const char *name)
{
	for (size_t i = 0; list && i < list->count; i++)
		if (!strcmp(list->items[i]->str, name))
			return true;
	return false;
}

static void document(void **state)
{
	struct buf b = BUF_INIT(1 << 20), small = BUF_INIT(100);
	const struct json *l;
	struct json *doc;

	(void)state;
	assert_int_equal(oci_features_json(&b), 0);
	assert_int_equal(json_parse(&doc, (char *)b.data, b.len, NULL, NULL), 0);
	l = json_get(doc, "linux");
	assert_true(has(json_get(doc, "hooks"), "createContainer"));
	assert_true(has(json_get(doc, "mountOptions"), "noexec"));
	assert_true(has(json_get(doc, "mountOptions"), "rbind"));
	assert_true(has(json_get(l, "namespaces"), "uts"));
	assert_true(has(json_get(l, "capabilities"), "CAP_CHECKPOINT_RESTORE"));
	/* A mount option that the parser hands to the file system is not one that it knows. */
	assert_false(has(json_get(doc, "mountOptions"), "size=1"));
	json_free(doc);
	buf_free(&b);
	assert_int_equal(oci_features_json(&small), -ENOSPC);
	buf_free(&small);
}

/* Every row stands in the table, with its verdict. */
static void table(void **state)
{
	struct buf b = BUF_INIT(1 << 20);
	const char *text;

	(void)state;
	assert_int_equal(oci_features_markdown(&b), 0);
	text = buf_cstr(&b);
	for (const struct oci_table *t = oci_tables; t->prefix; t++)
		for (const struct oci_field *f = t->rows; f->name; f++) {
			char row[200];
			const char *at;

			snprintf(row, sizeof(row), "| `%s%s`", t->prefix, f->name);
			at = strstr(text, row);
			check_row(row, at != NULL);
			at = strchr(at + 2, '|');
			check_row(row, (f->verdict == OCI_REFUSED) == !strncmp(at, "| refused", 9));
		}
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(document), cmocka_unit_test(table) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
