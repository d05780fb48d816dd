# SPDX-License-Identifier: Apache-2.0
# The network of a container: the host's namespaces and what is in them.
load helper

setup() {
	NS=n$$-$BATS_TEST_NUMBER
	ip netns add "$NS"
	vm_setup
}
teardown() {
	local rc=0
	vm_teardown || rc=1
	ip netns del "$NS"
	return $rc
}

inode() { stat -Lc %i "$1"; }

@test "a network namespace by path is the proxy's" {
	bundle "$(args sleep 1000)" '.linux.namespaces[1].path = "/run/netns/'"$NS"'"'
	expect 0 husk create -b "$BUNDLE" --pid-file pid "$ID" </dev/null
	[ "$(inode "/proc/$(cat pid)/ns/net")" = "$(inode "/run/netns/$NS")" ]
	expect 0 husk delete --force "$ID"
}
