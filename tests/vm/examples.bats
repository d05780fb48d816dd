#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Every bundle in bundle-examples, run as its README says, prints what its file `expected` says.
load ../cli/helper
setup() { common_setup; }

example() { # NAME
	local dir=$BATS_TEST_TMPDIR/$1
	"$TOP/bundle-examples/prepare" "$1" "$dir" >/dev/null
	HUSK=$HUSK "$TOP/bundle-examples/$1/run" "$dir" >"$BATS_TEST_TMPDIR/got" 2>&1
	diff -u "$TOP/bundle-examples/$1/expected" "$BATS_TEST_TMPDIR/got"
}

@test "every example is in this list" {
	[ "$(cd "$TOP/bundle-examples" && ls -d */ | tr -d '/\n')" = debianexit-statushellohooksimagerestrictedshellvolumes ]
}
@test "hello" { example hello; }
@test "exit-status" { example exit-status; }
@test "volumes" { example volumes; }
@test "hooks" { example hooks; }
@test "image" { example image; }
@test "restricted" { example restricted; }
@test "shell" { example shell; }
@test "debian" { example debian; }
