#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What a process in a container tries against its agent, its machine and its engine.
load helper
setup() { vm_setup; }
teardown() { vm_teardown; }


# What each descriptor is, one a line; "name" before a path that is opened as such alone (O_PATH).
descriptors() { # PID
	local fd flags
	for fd in "/proc/$1/fd"/*; do
		flags=$(sed -n 's/^flags:[[:space:]]*//p' "/proc/$1/fdinfo/${fd##*/}") || continue
		[ $((0$flags & 010000000)) = 0 ] || printf 'name '
		readlink "$fd"
	done
}

is_only() { # FILE REGEX
	[ -s "$1" ] && ! grep -vE "$2" "$1"
}

@test "nobody in a container is taken for the agent, or gets through to the host" {
	bundle "$(args /impostor)"
	cp "$BUILT/bin/impostor" "$BUNDLE/rootfs/impostor"
	mkfifo in
	"$HUSK" --root "$ROOT" run -b "$BUNDLE" "$ID" >o 2>e <in & pid=$!
	exec 5>in
	eventually grep -q posing o
	# New connections of the host's find the agent, not the one that came later.
	for i in 1 2 3; do
		expect 0 husk exec "$ID" sh -c 'echo it is me'
		[ "$out" = 'it is me' ]
	done
	exec 5>&-
	wait $pid
	cat o
	[ ! -s e ]
	[ "$(grep -c -e TAKEN -e HEARD o)" = 0 ]
	[ "$(grep -c -e 'take .*in use' o)" -ge 4 ]
	[ "$(grep -c 'dial .*refused' o)" = 9 ]
	grep -qx 'came: 0' o
}

@test "what is open in the machine and in the container is on a list; a working directory leads nowhere else" {
	bundle "$(args sleep 1000)"
	husk run -d -b "$BUNDLE" --pid-file pid "$ID" </dev/null >/dev/null 2>&1
	descriptors "$(machine_of "$ID")" >list
	cat list
	# Files of the share are no more than names, but for the program that runs.
	is_only list '^(anon_inode:(kvm-vm|kvm-vcpu:[0-9]+|\[?(eventfd|eventpoll|timerfd|signalfd|io_uring)\]?)|socket:\[[0-9]+\]|/dev/null|/dev/kvm|name /.*|/bin/busybox)$'
	descriptors "$(cat pid)" >list
	cat list
	is_only list '^(anon_inode:.*|socket:\[[0-9]+\]|/dev/null|/sys/fs/cgroup/.*/memory\.max|pipe:\[[0-9]+\])$'
	expect 0 husk exec "$ID" sh -c 'ls /proc/1/fd | wc -l; readlink /proc/1/cwd; readlink /proc/1/root'
	[ "$out" = $'3\n/\n/' ]
	for fd in 3 5 7 8 9; do
		expect 255 husk exec --cwd "/proc/self/fd/$fd" "$ID" ls
		expect 255 husk exec --cwd "/proc/1/fd/$fd/.." "$ID" ls
	done
	husk delete --force "$ID"
}

@test "all CPUs spin, ahead of everybody: kill and delete do their work" {
	bundle "$(args sh -c 'for i in $(seq $(nproc)); do while :; do :; done & done; echo ready; while :; do :; done')" \
		'.process.scheduler = {policy: "SCHED_FIFO", priority: 99}' '.process.capabilities |= map_values(. + ["CAP_SYS_NICE"])'
	husk run -d -b "$BUNDLE" "$ID" </dev/null >o 2>&1
	eventually grep -q ready o
	SECONDS=0
	expect 0 husk kill "$ID" KILL
	eventually is_status "$ID" stopped
	expect 0 husk delete "$ID"
	[ $SECONDS -lt 60 ]
	husk run -d -b "$BUNDLE" "$ID" </dev/null >o 2>&1
	eventually grep -q ready o
	SECONDS=0
	expect 0 husk delete --force "$ID"
	[ $SECONDS -lt 60 ]
}

@test "a machine that does nothing any more: kill -9 and delete do not wait for it" {
	bundle "$(args sleep 1000)"
	husk run -d -b "$BUNDLE" "$ID" </dev/null >/dev/null 2>&1
	kill -STOP "$(machine_of "$ID")"
	SECONDS=0
	expect 0 husk kill "$ID" KILL
	is_status "$ID" stopped
	[ $SECONDS -lt 60 ]
	expect 0 husk delete "$ID"
	husk run -d -b "$BUNDLE" "$ID" </dev/null >/dev/null 2>&1
	kill -STOP "$(machine_of "$ID")"
	SECONDS=0
	expect 0 husk delete --force "$ID"
	[ $SECONDS -lt 60 ]
}
