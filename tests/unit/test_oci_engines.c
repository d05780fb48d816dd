// SPDX-License-Identifier: Apache-2.0
/*
 * tests/configs: what engines really write. Each is read whole; what may still be refused in them stands in the list below,
 * by the words that are said. Run from the top of the tree.
 */
#include "tests/unit/check.h"

#include <dirent.h>
#include <stdio.h>

#include "lib/cleanup.h"
#include "runtime/oci/field.h"
#include "runtime/oci/vm.h"

static void each_is_read(void **state)
{
	_cleanup_closedir_ DIR *d = opendir("tests/configs");
	unsigned n = 0;

	(void)state;
	assert_non_null(d);
	for (struct dirent *de; (de = readdir(d));) {
		const char *dot = strrchr(de->d_name, '.');
		struct oci_spec *s = NULL;
		struct err e = ERR_INIT;
		struct oci_vm_wish w;
		int rc;

		if (!dot || strcmp(dot, ".json"))
			continue;
		n++;
		rc = oci_spec_load(&s, dirfd(d), de->d_name, &e);
		if (rc == 0)
			rc = oci_vm_wish(s, de->d_name, &w, &e);
		oci_spec_free(s);
		if (rc < 0)
			fail_msg("%s", e.msg);
	}
	assert_true(n >= 15);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(each_is_read) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
