#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Long random sequences on the file server behind this machine's own kernel (fs-mount, with sanitizers) instead of a guest's, where
# a step costs a hundredth of one in an emulated machine; tests/vm/fs-conformance.bats runs shorter ones in a guest. Root.
setup() {
	TOP=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
	RANDOM_BIN=$TOP/build/$(uname -m)/bin/fs-random
	MOUNT_BIN=$TOP/build/$(uname -m)-address-undefined/bin/fs-mount
	cd "$BATS_TEST_TMPDIR"
	mkdir share host here
}

# Both sides say the same of each step and of the tree in the end, which is the same to the host, too.
same() { # STEPS SEED OPTION…
	local n=$1 seed=$2
	shift 2
	mkdir "share/r$seed" "host/r$seed"
	"$RANDOM_BIN" "$@" "host/r$seed" "$seed" "$n" >want
	"$MOUNT_BIN" share here "$RANDOM_BIN" "$@" "here/s/r$seed" "$seed" "$n" >got
	[ "$(wc -l <want)" -gt "$n" ]
	cmp want got
	cmp <("$RANDOM_BIN" -t "host/r$seed") <("$RANDOM_BIN" -t "share/r$seed")
}

@test "100,000 random operations answer as without the server and leave the same, and as many of other seeds" {
	for seed in 1 2; do same "${HUSK_RANDOM_STEPS:-100000}" $seed; done
}

@test "20,000 by two processes in turn" {
	same 20000 3 -2
}
