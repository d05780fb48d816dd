# SPDX-License-Identifier: Apache-2.0
# Two network namespaces of the test's: $NS for containers, $PEER for those they speak to.
netns_setup() {
	NS=n$$-$BATS_TEST_NUMBER PEER=p$$-$BATS_TEST_NUMBER
	ip netns add "$NS"
	ip netns add "$PEER"
	ip -n "$NS" link set lo up
	ip -n "$PEER" link set lo up
}
netns_teardown() {
	local rc=0
	vm_teardown || rc=1
	{ ip netns pids "$NS"; ip netns pids "$PEER"; } | xargs -r kill -9 || :
	ip netns del "$NS"
	ip netns del "$PEER"
	return $rc
}

peer() { ip netns exec "$PEER" "$@"; }
reaches() { peer "$BUSYBOX/bin/busybox" ping -c 1 -W 2 "$1"; }

# veth NAME OURS/LEN THEIRS/LEN [mtu N]: one end in the container's namespace, the other with the peer
veth() {
	ip link add "$1" netns "$NS" "${@:4}" type veth peer name "far-$1" netns "$PEER" "${@:4}" || return 1
	ip -n "$NS" addr add "$2" dev "$1" && ip -n "$NS" link set "$1" up &&
		ip -n "$PEER" addr add "$3" dev "far-$1" && ip -n "$PEER" link set "far-$1" up
}
