#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The host's control group of a container, and the host's half of its limits.
load helper
setup() { vm_setup; }
teardown() { vm_teardown; }

group_of() { echo "/sys/fs/cgroup$(jq -r .cgroup "$ROOT/$1/state.json")"; }

@test "machine and proxies are its members, and it goes with the container" {
	bundle "$(args sleep 1000)"
	configure '.linux.cgroupsPath = "/husk-test-'$$'/inner"'
	mkdir /sys/fs/cgroup/husk-test-$$
	husk run -d --pid-file pid -b "$BUNDLE" "$ID" </dev/null >/dev/null
	[ "$(group_of "$ID")" = /sys/fs/cgroup/husk-test-$$/inner ]
	[ "$(sort "$(group_of "$ID")/cgroup.procs")" = "$(printf '%s\n' "$(cat pid)" "$(jq .machinePid "$ROOT/@sandbox/$ID/state.json")" | sort)" ]
	husk delete --force "$ID"
	[ ! -e /sys/fs/cgroup/husk-test-$$/inner ]
	rmdir /sys/fs/cgroup/husk-test-$$
}

@test "limits are written with the machine's own need added" {
	bundle "$(args sleep 1000)"
	configure '.linux.resources.memory.limit = 300000000' '.linux.resources.pids.limit = 50' \
		'.linux.resources.cpu = {"quota": 150000, "period": 100000, "shares": 2048}'
	husk run -d -b "$BUNDLE" "$ID" </dev/null >/dev/null
	g=$(group_of "$ID")
	[ "$(cat "$g/memory.max")" = $(((512 + 96) * 1048576)) ]
	[ "$(cat "$g/pids.max")" = 306 ]
	[ "$(cat "$g/cpu.max")" = '150000 100000' ]
	[ "$(cat "$g/cpu.weight")" = 79 ]
	# And the exact ones in the guest; 1.5 CPUs are 2, where the host has as many.
	cpus=$(nproc)
	[ "$cpus" -lt 2 ] || cpus=2
	expect 0 husk exec "$ID" sh -c 'cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max; nproc'
	[ "$out" = $'299999232\n50\n'$cpus ] || { echo "$out"; false; }
	husk delete --force "$ID"
}

@test "a group that has members already is refused" {
	bundle
	mkdir /sys/fs/cgroup/husk-test-$$
	sleep 1000 & s=$!
	echo $s >/sys/fs/cgroup/husk-test-$$/cgroup.procs
	configure '.linux.cgroupsPath = "/husk-test-'$$'"'
	expect 1 husk run -b "$BUNDLE" "$ID"
	says "container's cgroup is not empty: 1 process(es) found"
	kill -0 $s
	kill $s
	wait $s || :
	eventually rmdir /sys/fs/cgroup/husk-test-$$
}

@test "the systemd driver is refused by name" {
	bundle
	expect 1 husk --systemd-cgroup run -b "$BUNDLE" "$ID"
	says 'systemd'
	one_line
}
