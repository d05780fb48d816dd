# SPDX-License-Identifier: Apache-2.0
# Once for a run of bats. In a testbed's machine the checkout is the host's and read anew at every open, 19 MB of guest kernel for
# every start of a machine among it: there the tests use a copy in memory, brought up to date for each run.
setup_suite() {
	local top built
	top=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")
	built=$top/build/$HOSTTYPE
	[ "$("$top/tests/testbed/where")" = testbed ] || return 0
	export BUILT=/run/husk-built
	mkdir -p "$BUILT/tests/guest"
	cp -RLpu --remove-destination "$built/bin" "$built/share" "$BUILT/"
	cp -pu --remove-destination "$built/tests/guest/initramfs" "$built/tests/guest/wild" "$BUILT/tests/guest/"
}
