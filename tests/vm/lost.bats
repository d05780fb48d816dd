#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What dies in mid-flight: the machine, the proxy, the guest kernel; and what never comes up.
load helper
setup() { vm_setup; }
teardown() { vm_teardown; }


@test "a machine that is killed: 255, the reason in one line" {
	bundle "$(args sh -c 'echo ready; exec sleep 1000')"
	"$HUSK" --root "$ROOT" run -b "$BUNDLE" "$ID" >o 2>e </dev/null &
	pid=$!
	eventually grep -q ready o
	kill -9 "$(machine_of "$ID")"
	rc=0
	wait $pid || rc=$?
	[ "$rc" = 255 ]
	[ "$(grep -c . e)" = 1 ]
}

@test "a machine that is killed, detached: stopped, the log says why, delete clears away" {
	bundle "$(args sleep 1000)"
	husk --log log run -d -b "$BUNDLE" "$ID" >o 2>&1 </dev/null
	kill -9 "$(machine_of "$ID")"
	eventually is_status "$ID" stopped
	# The last word comes after the end.
	once() { [ "$(grep -c husk-proxy log)" = 1 ]; }
	eventually once
	expect 255 husk exec "$ID" true
	expect 1 husk kill "$ID"
	expect 0 husk delete "$ID"
	once
}

@test "a proxy that is killed takes its machine along" {
	bundle "$(args sleep 1000)"
	husk run -d --pid-file pid -b "$BUNDLE" "$ID" >o 2>&1 </dev/null
	m=$(machine_of "$ID")
	kill -9 "$(cat pid)"
	eventually test ! -e "/proc/$m"
	is_status "$ID" stopped
	expect 0 husk delete "$ID"
}

@test "an exec whose container goes: 137" {
	bundle "$(args sleep 1000)"
	husk run -d -b "$BUNDLE" "$ID" >o 2>&1 </dev/null
	"$HUSK" --root "$ROOT" exec "$ID" sh -c 'echo ready; exec sleep 1000' >e </dev/null &
	pid=$!
	eventually grep -q ready e
	husk kill "$ID" KILL
	rc=0
	wait $pid || rc=$?
	[ "$rc" = 137 ]
	eventually is_status "$ID" stopped
	husk delete "$ID"
}

@test "a guest kernel that panics: the reason and its last words" {
	bundle "$(args sh -c 'echo ready; read x; echo c >/proc/sysrq-trigger')" '.linux.readonlyPaths = []' '.linux.maskedPaths = []' \
		'(.mounts[] | select(.destination == "/proc")).options = ["rw"]' '.process.capabilities |= map_values(. + ["CAP_SYS_ADMIN", "CAP_SYS_BOOT"])'
	expect 255 husk run -b "$BUNDLE" "$ID" < <(sleep 1; echo)
	says 'the virtual machine has ended' 'Kernel panic - not syncing: sysrq triggered crash'
}

@test "a kernel that is none; an initramfs that is none" {
	bundle
	head -c 100000 /dev/urandom >garbage
	HUSK_KERNEL=$PWD/garbage expect 1 husk run -b "$BUNDLE" "$ID"
	says 'run failed: ' kernel
	one_line
	: >empty
	HUSK_KERNEL=$PWD/empty expect 1 husk run -b "$BUNDLE" "$ID"
	one_line
	root_empty
	HUSK_INITRAMFS=$PWD/garbage expect 1 husk run -b "$BUNDLE" "$ID"
	says 'the virtual machine has ended'
	root_empty
}

@test "no /dev/kvm, one that may not be opened, no control groups of version 2" {
	bundle
	expect 1 unshare -m sh -c "mount -t tmpfs none /mnt; touch /mnt/x; mount --bind /mnt/x /dev/kvm; exec '$HUSK' --root '$ROOT' run -b '$BUNDLE' $ID"
	says '/dev/kvm'
	one_line
	expect 1 unshare -m sh -c "mount -t tmpfs -o nodev none /mnt; mknod /mnt/x c 10 232; mount --bind /mnt/x /dev/kvm
		exec '$HUSK' --root '$ROOT' run -b '$BUNDLE' $ID"
	says 'cannot open /dev/kvm: Permission denied'
	one_line
	configure '.linux.resources.memory.limit = 100000000'
	expect 1 unshare -m sh -c "mount -t tmpfs none /sys/fs/cgroup; exec '$HUSK' --root '$ROOT' run -b '$BUNDLE' $ID"
	says '/sys/fs/cgroup is not a cgroup version 2 hierarchy'
	one_line
	root_empty
}
