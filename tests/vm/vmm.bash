# SPDX-License-Identifier: Apache-2.0
# For tests of husk-vmm alone.

B=${BUILT:-$(cd "$BATS_TEST_DIRNAME/../.." && pwd)/build/$HOSTTYPE}
VMM=${VMM:-$B/bin/husk-vmm}

setup() { cd "$BATS_TEST_TMPDIR" || return 1; }
teardown() {
	[ -z "${pid-}" ] || kill -9 "$pid" 2>/dev/null || true
	no_machine_left
}

no_machine_left() {
	for _ in $(seq 400); do pgrep -x husk-machine >/dev/null || return 0; sleep 0.1; done
	echo 'a husk-machine was left behind'
	return 1
}
