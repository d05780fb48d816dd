#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The host's control group of a container, and the host's half of its limits.
load helper
setup() { vm_setup; }
teardown() { vm_teardown; }


@test "machine, proxies and husk-net are its members, and it goes with the container" {
	bundle "$(args sleep 1000)"
	configure '.linux.cgroupsPath = "/husk-test-'$$'/inner"'
	mkdir /sys/fs/cgroup/husk-test-$$
	husk run -d --pid-file pid -b "$BUNDLE" "$ID" </dev/null >/dev/null
	[ "$(group_of "$ID")" = /sys/fs/cgroup/husk-test-$$/inner ]
	[ "$(sort "$(group_of "$ID")/cgroup.procs")" = "$(printf '%s\n' "$(cat pid)" "$(jq .netPid "$ROOT/@sandbox/$ID/state.json")" \
		"$(jq .machinePid "$ROOT/@sandbox/$ID/state.json")" | sort)" ]
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

@test "each kind of limit is where it belongs: in the guest, on the host, or on both; exec into an inner group" {
	bundle "$(args sleep 1000)"
	configure '.linux.resources = {
		"memory": {"limit": 300000000, "swap": 400000000, "reservation": 100003840, "swappiness": 5},
		"cpu": {"quota": 150000, "period": 100000, "burst": 1000, "cpus": "0", "mems": "0", "realtimeRuntime": 5},
		"hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}, {"pageSize": "64KB", "limit": 0}],
		"blockIO": {"throttleReadBpsDevice": [{"major": 7, "minor": 0, "rate": 1048576}],
			"throttleWriteIOPSDevice": [{"major": 7, "minor": 0, "rate": 100}]},
		"unified": {"memory.high": "200003584", "cgroup.max.depth": "7", "memory.oom.group": "1", "pids.max": "60",
			"cpu.weight": "33", "rdma.max": "x"}}' \
		'.mounts |= map(if .type == "cgroup" or .type == "cgroup2" then .options -= ["ro"] else . end)'
	husk run -d -b "$BUNDLE" "$ID" </dev/null >/dev/null
	g=$(group_of "$ID")
	holds() { # FILE VALUE
		[ "$(cat "$g/$1")" = "$2" ] || { echo "$1: $(cat "$g/$1")"; false; }
	}
	holds memory.max $(((512 + 96) * 1048576))
	holds memory.swap.max 99999744
	holds memory.low 100003840
	holds memory.high max
	holds pids.max 316
	holds cpu.max '150000 100000'
	holds cpu.max.burst 1000
	holds cpu.weight 33
	holds cpuset.cpus 0
	holds cpuset.mems 0
	grep -qx '7:0 rbps=1048576 wbps=max riops=max wiops=100' "$g/io.max"
	expect 0 husk exec "$ID" sh -c 'cd /sys/fs/cgroup && cat memory.max memory.swap.max memory.low memory.high pids.max cpu.max \
		cpu.max.burst cpu.weight hugetlb.2MB.max cgroup.max.depth memory.oom.group && mkdir inner && nproc'
	[ "$out" = $'299999232\n99999744\n100003840\n200003584\n60\n150000 100000\n1000\n33\n4194304\n7\n1\n1' ] || { echo "$out"; false; }
	expect 0 husk exec --cgroup /inner "$ID" cat /proc/self/cgroup
	[ "$out" = 0::/inner ]
	expect 0 husk exec --cgroup / "$ID" cat /proc/self/cgroup
	[ "$out" = 0::/ ]
	expect 255 husk exec --cgroup other "$ID" true
	says 'cgroup other: No such file or directory'
	expect 255 husk exec --cgroup inner/../.. "$ID" true
	says 'inner/../.. is not a sub cgroup path'
	# The container's own groups, as systemd in it makes them: the top one takes no process any more.
	expect 0 husk exec "$ID" sh -c 'cd /sys/fs/cgroup && echo 1 >inner/cgroup.procs && (echo 0 >inner/cgroup.procs; echo +memory >cgroup.subtree_control)'
	expect 0 husk exec "$ID" cat /proc/self/cgroup
	[ "$out" = 0::/inner ]
	husk delete --force "$ID"
}

@test "an OOM kill in the guest: the right process, status 137, and the host's group tells of it" {
	bundle "$(args sh -c 'dd if=/dev/zero of=/dev/null bs=200M count=1; echo inner $?; sleep 1000')"
	configure '.linux.resources.memory = {"limit": 67108864, "swap": 67108864}'
	husk run -d -b "$BUNDLE" "$ID" </dev/null >log 2>&1
	eventually grep -qx 'inner 137' log
	# One of its processes, not the first: it lives, and no group of the host was touched.
	is_status "$ID" running
	g=$(group_of "$ID")
	grep -qx 'oom_kill 0' "$g/memory.events"
	husk delete --force "$ID"
	bundle "$(args dd if=/dev/zero of=/dev/null bs=200M count=1)"
	configure '.linux.resources.memory = {"limit": 67108864, "swap": 67108864}'
	expect 137 husk run --keep -b "$BUNDLE" "$ID"
	g=$(group_of "$ID")
	grep -E '^oom_kill [1-9]' "$g/memory.events"
	is_status "$ID" stopped
	husk delete "$ID"
	# Ended by a signal, but not for that.
	bundle "$(args sh -c 'kill -9 $$')"
	configure '.linux.resources.memory = {"limit": 67108864, "swap": 67108864}'
	expect 0 husk run -d -b "$BUNDLE" "$ID"
	eventually is_status "$ID" stopped
	grep -qx 'oom_kill 0' "$(group_of "$ID")/memory.events"
	husk delete "$ID"
}

@test "a limit that the host's kernel refuses is named, and nothing is left" {
	bundle
	configure '.linux.resources.cpu = {"cpus": "4095"}'
	expect 1 husk run -b "$BUNDLE" "$ID"
	says "cannot write 4095 to the cgroup's cpuset.cpus"
	one_line
	configure '.linux.resources = {"blockIO": {"throttleReadBpsDevice": [{"major": 4000, "minor": 1, "rate": 5}]}}'
	expect 1 husk run -b "$BUNDLE" "$ID"
	says "cannot write 4000:1 rbps=5 to the cgroup's io.max"
	configure '.linux.resources = {"memory": {"limit": 1000000, "swap": 5}}'
	expect 1 husk run -b "$BUNDLE" "$ID"
	says 'memory+swap limit should be >= memory limit'
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

@test "a group whose members are in groups below it is refused, and none of them is killed" {
	bundle
	g=/sys/fs/cgroup/husk-test-$$
	mkdir -p $g/inner/most
	sleep 1000 & s=$!
	echo $s >$g/inner/most/cgroup.procs
	configure '.linux.cgroupsPath = "/husk-test-'$$'"' '.linux.resources.pids.limit = 50'
	expect 1 husk run -b "$BUNDLE" "$ID"
	says "container's cgroup is not empty: 1 process(es) found"
	one_line
	kill -0 $s
	[ ! -e $g/pids.max ] || [ "$(cat $g/pids.max)" = max ]
	kill $s
	wait $s || :
	eventually rmdir $g/inner/most
	rmdir $g/inner $g
}

@test "in a group that was there before, delete ends what is husk's and nothing else" {
	bundle "$(args sleep 1000)"
	g=/sys/fs/cgroup/husk-test-$$
	mkdir $g
	configure '.linux.cgroupsPath = "/husk-test-'$$'"'
	husk run -d -b "$BUNDLE" "$ID" </dev/null >/dev/null
	[ "$(group_of "$ID")" = $g ]
	sleep 1000 & s=$!
	echo $s >$g/cgroup.procs
	husk exec -d "$ID" sleep 1000 </dev/null >/dev/null 2>&1
	husk delete --force "$ID"
	kill -0 $s
	[ "$(cat $g/cgroup.procs)" = $s ]
	kill $s
	wait $s || :
	# An empty one goes with the container, as with runc.
	husk run -d -b "$BUNDLE" "$ID" </dev/null >/dev/null
	husk delete --force "$ID"
	[ ! -e $g ]
}

@test "delete of a container that has ended leaves alone another that is in its group by now, or below it" {
	g=/sys/fs/cgroup/husk-test-$$
	for below in '' /inner; do
		bundle "$(args true)" '.linux.cgroupsPath = "/husk-test-'$$'"'
		husk run -d -b "$BUNDLE" "$ID" </dev/null >/dev/null
		eventually is_status "$ID" stopped
		bundle "$(args sleep 1000)" '.linux.cgroupsPath = "/husk-test-'$$$below'"'
		husk run -d -b "$BUNDLE" "$ID-2" </dev/null >/dev/null
		expect 0 husk delete "$ID"
		is_status "$ID-2" running
		expect 0 husk exec "$ID-2" true
		[ -e "$g$below" ]
		expect 0 husk delete --force "$ID-2"
		[ ! -e "$g$below" ]
	done
	# As every group above a container's own.
	rmdir "$g"
}

@test "a group of the container's own goes with the groups below it" {
	bundle "$(args sleep 1000)"
	configure '.linux.cgroupsPath = "/husk-test-'$$'"'
	husk run -d -b "$BUNDLE" "$ID" </dev/null >/dev/null
	mkdir -p "$(group_of "$ID")/a/b" "$(group_of "$ID")/c"
	sleep 1000 & s=$!
	echo $s >"$(group_of "$ID")/a/b/cgroup.procs"
	husk delete --force "$ID"
	[ ! -e /sys/fs/cgroup/husk-test-$$ ]
	wait $s || :
}

@test "a hierarchy that cannot be written: said, and nothing is left that no delete removes" {
	bundle "$(args sleep 1000)"
	configure '.linux.cgroupsPath = "/husk-test-'$$'"'
	on_readonly() { unshare -m sh -c 'mount -o remount,ro,bind /sys/fs/cgroup && exec "$@"' - "$HUSK" --root "$ROOT" "$@"; }
	expect 1 on_readonly run -b "$BUNDLE" "$ID"
	says 'cannot make the cgroup /husk-test-'
	one_line
	root_empty
	# What was killed before it came to its group.
	"$HUSK" --root "$ROOT" create -b "$BUNDLE" "$ID" </dev/null
	jq '.proxyPid = 0 | .proxyStart = 0 | .cgroup = "/husk-none-'$$'"' <"$ROOT/$ID/state.json" >left
	husk delete --force "$ID"
	mkdir "$ROOT/$ID"
	cp left "$ROOT/$ID/state.json"
	expect 0 on_readonly delete --force "$ID"
	[ ! -e "$ROOT/$ID" ]
}

@test "the systemd driver where there is no systemd" {
	bundle
	expect 1 husk --systemd-cgroup run -b "$BUNDLE" "$ID"
	says 'systemd'
	one_line
}

@test "a group that could not be opened once it was made goes again" {
	bundle "$(args true)" '.linux.cgroupsPath = "/unopened"'
	expect 1 strace -o /dev/null -P unopened -e trace=openat -e inject=openat:error=EMFILE "$HUSK" --root "$ROOT" create -b "$BUNDLE" "$ID"
	says 'cannot open the cgroup unopened: Too many open files'
	[ ! -e /sys/fs/cgroup/unopened ]
}
