#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Several containers in one machine: those whose network namespace is the same. $NS is it, $PEER that of those they speak to.
load helper
load netns

setup() {
	GROUP=/sys/fs/cgroup/husk-pod-$$ # a pod's, above those of its containers
	mkdir $GROUP
	echo +memory +pids +cpu >$GROUP/cgroup.subtree_control
	netns_setup && vm_setup
}
teardown() {
	local rc=0
	netns_teardown || rc=1
	rmdir $GROUP || rc=1
	return $rc
}

machines() { ps -eo comm= | grep -cx husk-machine || :; }
in_group() { grep -qx "$2" "$(group_of "$1")/cgroup.procs"; } # CONTAINER PID

# member NAME [FILTER…]: a bundle of that name in $NS whose process sleeps, and a configuration of its own
member() {
	BUNDLE=$PWD/$1
	bundle "$(args sleep 100000)" '.linux.namespaces[1].path = "/run/netns/'"$NS"'"' '.linux.cgroupsPath = "/husk-pod-'$$'/'"$1"'"' \
		'.hostname = "h-'"$1"'"' '.root.readonly = false' "${@:2}"
}
# What the volumes of a pod are: a folder, and the host's shared memory for it. $volumes gives a member them.
share_volumes() {
	mkdir vol shm
	mount -t tmpfs -o size=1m shm shm
	volumes='.mounts = [.mounts[] | select(.destination != "/dev/shm")] + [
		{destination: "/vol", type: "bind", source: "'"$PWD/vol"'", options: ["rbind", "rprivate"]},
		{destination: "/dev/shm", type: "bind", source: "'"$PWD/shm"'", options: ["rbind", "rprivate"]}]'
}
runs() { husk run -d -b "$PWD/$1" --pid-file "$PWD/$1.pid" "$1" </dev/null >/dev/null; } # NAME
of() { jq -n --arg p "/proc/$(cat "$1.pid")/ns/$2" '$p'; } # the path of a namespace of a container's

@test "containers of one network namespace share a machine: its network, and of each other what they ask for" {
	veth eth0 10.77.0.2/24 10.77.0.1/24
	share_volumes
	member a '.linux.resources.memory.limit = 100000000' "$volumes"
	runs a
	[ "$(cat "$(group_of a)/memory.max")" = $(((256 + 96) * 1048576)) ]
	member b '(.linux.namespaces[] | select(.type == "ipc")).path = '"$(of a ipc)" \
		'(.linux.namespaces[] | select(.type == "uts")).path = '"$(of a uts)" 'del(.hostname)' \
		'.linux.resources.memory.limit = 60000000' '.linux.resources.pids.limit = 20' "$volumes"
	runs b
	[ "$(machines)" = $(($(echo "$procs_before" | grep -c 'husk-machine$' || :) + 1)) ]
	[ ! -e "$ROOT/@sandbox/b" ]
	# Each has its files, processes, limits and name; the network is one.
	husk exec a sh -c 'echo of-a >/only; nc -ll -p 7001 -e echo by-a >/dev/null 2>&1 & for n in ipc uts; do readlink /proc/self/ns/$n; done' >a.ns
	expect 0 husk exec b sh -c 'ls /only 2>/dev/null; hostname; cat /sys/fs/cgroup/memory.max; ps -o args | grep -c "[s]leep 100000"
		ip -4 addr show dev eth0 | grep -o 10.77.0.2/24
		n=0; until nc 127.0.0.1 7001 2>/dev/null || [ $((n += 1)) = 100 ]; do sleep 0.1; done
		for n in ipc uts; do readlink /proc/self/ns/$n; done'
	[ "$out" = $'h-a\n59998208\n1\n10.77.0.2/24\nby-a\n'"$(cat a.ns)" ] || { echo "$out"; false; }
	eventually reaches 10.77.0.2
	# A folder and the shared memory of the pod are one in both: sockets and named pipes in them, too, and they outlive the first.
	husk exec a sh -c 'mkfifo /vol/pipe; { echo through >/vol/pipe; } >/dev/null 2>&1 & echo shm >/dev/shm/f; stat -c %d:%i /vol /dev/shm' >a.ns
	expect 0 husk exec b sh -c 'stat -c %d:%i /vol /dev/shm; cat /dev/shm/f /vol/pipe'
	[ "$out" = "$(cat a.ns)"$'\nshm\nthrough' ] || { echo "$out"; false; }
	# The machine is a's, and bounded by what both may have, no more by what a may have.
	in_group a "$(machine_of a)"
	[ "$(cat "$(group_of a)/memory.max")" = $(((256 + 96) * 1048576 + 60000000 / 4096 * 4096)) ]
	# So it is after an update, however many came before.
	for limit in 300M 200M 300M 300M; do
		expect 0 husk update --memory $limit b
	done
	[ "$(cat "$(group_of a)/memory.max")" = $(((256 + 96 + 300) * 1048576)) ]
	expect 0 husk update --memory 290M b
	[ "$(cat "$(group_of a)/memory.max")" = $(((256 + 96 + 290) * 1048576)) ]
	husk exec b dd if=/dev/zero of=/dev/null bs=250M count=1
	# What only the host can do is done for the machine by way of the one in whose group it is, and refused to the others.
	grown=$(cat "$(group_of a)/memory.max")
	expect 0 husk update --cpuset-cpus 0 --pids-limit 50 --cpu-share 2048 a
	[ "$(cat "$(group_of a)/cpuset.cpus") $(cat "$(group_of a)/cpu.weight") $(cat "$(group_of a)/memory.max")" = "0 79 $grown" ]
	[ "$(cat "$(group_of a)/pids.max")" = max ]
	expect 1 husk update --cpuset-cpus 0 --pids-limit 30 b
	says "cpuset.cpus: the container's machine is in the control group of container a"
	one_line
	for period in 40000 50000; do
		expect 0 husk update --cpu-quota 20000 --cpu-period $period b
		expect 0 husk update --cpu-quota 30000 b
		expect 0 husk exec b cat /sys/fs/cgroup/cpu.max
		[ "$out" = "30000 $period" ]
		expect 0 husk update --cpu-period 60000 b
		expect 0 husk exec b cat /sys/fs/cgroup/cpu.max
		[ "$out" = '30000 60000' ]
	done
	expect 0 husk update --cpu-share 2048 b
	expect 0 husk exec b cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/cpu.weight
	[ "$out" = $'20\n79' ]

	# A pid namespace, too; and what a third one cannot bring, or join.
	member c '(.linux.namespaces[] | select(.type == "pid")).path = '"$(of a pid)"
	runs c
	expect 0 husk exec c ps -o args
	[[ $out == *'sleep 100000'*'sleep 100000'* ]]
	expect 0 husk kill c KILL
	eventually is_status c stopped
	husk delete c
	member c '.vm.image = {"path": "/dev/null", "format": "raw"}'
	expect 1 husk create -b c c </dev/null
	says 'vm.image: not in the virtual machine of a'
	one_line
	unshare -i sleep 1000 3>&- &
	stranger=$!
	eventually sh -c "[ \"\$(readlink /proc/$stranger/ns/ipc)\" != \"\$(readlink /proc/self/ns/ipc)\" ]"
	member c '(.linux.namespaces[] | select(.type == "ipc")).path = "/proc/'$stranger'/ns/ipc"'
	expect 1 husk create -b c c </dev/null
	says 'joining a ipc namespace by path is not supported unless' "/proc/$stranger/ns/ipc"
	one_line
	kill "$stranger"
	wait "$stranger" || :
	[ ! -e "$ROOT/c" ]

	# b's end is told as any other's, and a does not notice.
	expect 0 husk exec b sh -c 'cat /proc/mounts | wc -l'
	husk kill b TERM || :
	husk delete --force b
	expect 0 husk exec a sh -c 'cat /only; ls /sys/fs/cgroup >/dev/null'
	[ "$out" = of-a ]
	# One whose proxy is killed leaves nothing behind either, and comes again under its name. What the host mounts is its own.
	mkdir src
	mount -t tmpfs src src && mount --make-shared src && mkdir src/new src/later
	member b '.mounts += [{destination: "/src", type: "bind", source: "'"$PWD/src"'", options: ["rbind", "rslave"]}]'
	runs b
	mount -t tmpfs new src/new && echo new >src/new/f
	expect 0 husk exec b sh -c 'n=0; until [ -e /src/new/f ] || [ $((n += 1)) = 100 ]; do sleep 0.1; done; cat /src/new/f'
	[ "$out" = new ]
	kill -9 "$(cat b.pid)"
	eventually is_status b stopped
	husk delete b
	runs b
	mount -t tmpfs later src/later && echo later >src/later/f
	expect 0 husk exec b sh -c 'n=0; until [ -e /src/later/f ] || [ $((n += 1)) = 100 ]; do sleep 0.1; done; cat /src/new/f /src/later/f'
	[ "$out" = $'new\nlater' ]
	husk delete --force b
	umount -R src
	husk delete --force a
	umount shm
	[ -z "$(ls $GROUP | grep -v '\.')" ]
}

@test "the one that made the machine goes first: the others keep machine and network" {
	veth eth0 10.77.0.2/24 10.77.0.1/24
	# With disks of each one's own, and one that comes later.
	truncate -s 1M one two three
	local one two
	share_volumes
	one=$(losetup -f --show one) two=$(losetup -f --show two)
	rules() { jq -n '[{allow: false, access: "rwm"}, {allow: true, type: "b", major: $ARGS.positional[0], minor: $ARGS.positional[1], access: "rwm"}]' \
		--jsonargs $(stat -c '%Hr %Lr' "$1"); }
	member a ".mounts += [{destination: \"/dev/one\", type: \"bind\", source: \"$one\", options: [\"bind\"]}]" \
		".linux.resources.devices = $(rules "$one")" "$volumes"
	runs a
	member b '.linux.resources.memory.limit = 60000000' ".linux.resources.devices = $(rules "$two")" \
		".linux.devices = [.linux.resources.devices[1] | {path: \"/dev/two\", type, major, minor}]" '.process.capabilities[] += ["CAP_MKNOD"]' "$volumes"
	runs b
	expect 0 husk update --device-add "$PWD/three:/dev/three" a
	expect 0 husk exec a sh -c 'echo a1 >/dev/one; echo a3 >/dev/three; sync; stat -c "0x%t 0x%T" /dev/one'
	expect 0 husk exec b sh -c "echo b2 >/dev/two; sync; set -- $out; mknod /dev/n b \$((\$1)) \$((\$2)); head -c 1 /dev/n 2>&1; ls /dev/one /dev/three 2>&1 | grep -c No.such"
	echo "$out" "$err"
	[ "$out" = $'head: /dev/n: Operation not permitted\n2' ]
	[ "$(head -qc 2 "$one" "$two" three)" = a1b2a3 ]
	# What they have in common stays: with one that had it first and goes, one that goes on with it, and one that comes then.
	husk exec a sh -c 'echo of-a >/vol/f; echo shm-of-a >/dev/shm/f'
	machine=$(machine_of a)
	[ "$(cat "$(group_of b)/memory.max")" = $(((256 + 96) * 1048576)) ]
	husk delete --force a
	[ ! -e $GROUP/a ]
	in_group b "$machine"
	expect 0 husk exec b sh -c 'mkfifo /vol/pipe; { echo through >/vol/pipe; } >/dev/null 2>&1 & cat /vol/f /dev/shm/f'
	[ "$out" = $'of-a\nshm-of-a' ]
	member c "$volumes" "$(args sh -c 'cat /vol/pipe /dev/shm/f; echo of-c >/vol/g')"
	expect 0 husk run -b c c
	[ "$out" = $'through\nshm-of-a' ]
	[ "$(cat vol/g)" = of-c ]
	losetup -d "$one"
	is_free one three
	# Their places are good for others: the guest has let go.
	expect 0 husk update --device-add "$PWD/three:/dev/t" --device-add "$PWD/one:/dev/o" b
	[ -z "$err" ]
	expect 0 husk exec b sh -c 'head -c 2 /dev/t; head -c 2 /dev/o; head -c 2 /dev/two; ls /sys/class/block | wc -l'
	[ "$out" = a3a1b23 ]
	in_group b "$(jq .netPid "$ROOT/@sandbox/a/state.json")"
	eventually reaches 10.77.0.2
	# Interfaces come and go as before.
	veth net1 10.78.0.2/24 10.78.0.1/24
	eventually reaches 10.78.0.2
	expect 0 husk exec b ip -4 addr show dev net1
	# Another one of its name, elsewhere, has a machine of its own.
	member a 'del(.linux.namespaces[1].path)'
	runs a
	[ "$(machine_of a@2)" != "$machine" ]
	expect 0 husk exec a ip -o link
	[[ $out != *eth0* ]]
	husk delete --force a
	expect 0 husk exec b true
	# Killed for want of memory: with others in the machine the group of the one that died is told nothing else's death by.
	member c '.linux.resources.memory.limit = 30000000' "$(args sh -c 'a=x; while :; do a=$a$a$a; done')"
	expect 137 husk run -b c c
	[ -e "/proc/$machine" ]
	# One that was there from the start, by another way than a mount.
	expect 0 husk update --device-remove /dev/two b
	[ -z "$err" ]
	losetup -d "$two"
	eventually is_free two
	expect 0 husk exec b sh -c 'ls /dev/two 2>&1; ls /sys/class/block | wc -l'
	[[ $out == *'No such file'*2 ]]
	husk delete --force b
	umount shm
	eventually test ! -e "/proc/$machine"
	is_free one two three
}

@test "a pod whose namespaces its engine made before, and keeps" {
	: >ipcns
	: >utsns
	unshare --ipc="$PWD/ipcns" --uts="$PWD/utsns" hostname pinned
	pinned='(.linux.namespaces[] | select(.type == "ipc" or .type == "uts")) |= (.path = "'"$PWD"'/\(.type)ns")'
	member a "$pinned"
	runs a
	[ "$(stat -Lc %i "/proc/$(cat a.pid)/ns/ipc")" = "$(stat -Lc %i ipcns)" ]
	member b "$pinned"
	runs b
	husk exec a sh -c 'for n in ipc uts; do readlink /proc/self/ns/$n; done' >a.ns
	expect 0 husk exec b sh -c 'for n in ipc uts; do readlink /proc/self/ns/$n; done'
	[ "$out" = "$(cat a.ns)" ]
	# The first comes again while the second lives, and finds itself in the same place.
	husk delete --force a
	runs a
	expect 0 husk exec a sh -c 'for n in ipc uts; do readlink /proc/self/ns/$n; done'
	[ "$out" = "$(cat a.ns)" ]
	husk delete --force a
	husk delete --force b
	umount ipcns utsns
}

@test "joining: killed at any moment, and by several at a time" {
	member a
	runs a
	member b
	for d in 0.05 0.1 0.2 0.3 0.5; do
		"$HUSK" --root "$ROOT" create -b b b </dev/null >/dev/null 2>&1 3>&- &
		pid=$!
		sleep "$d"
		kill -9 "$pid" 2>/dev/null || :
		wait "$pid" || :
		expect 0 husk delete --force b
		[ ! -e "$ROOT/b" ]
	done
	# None of them is left in the machine: the name is free there, and nothing of its group.
	expect 0 husk create -b b b </dev/null
	husk delete --force b
	for i in 1 2 3; do
		member "m$i" "$(args true)"
		husk run -b "m$i" "m$i" </dev/null >"m$i.out" 2>&1 3>&- &
		pids="${pids:-} $!"
	done
	for p in $pids; do wait "$p" || { cat m?.out; false; }; done
	expect 0 husk exec a sh -c 'ls /sys/fs/cgroup >/dev/null; echo alive'
	[ "$out" = alive ]
	# The machine's own end is everybody's.
	member b
	runs b
	kill -9 "$(machine_of a)"
	eventually is_status b stopped
	husk delete b
	husk delete a
}

@test "a delete that cannot tell who else is in the machine leaves it to them" {
	member a
	runs a
	member b
	runs b
	husk kill a KILL
	eventually is_status a stopped
	# Who they are; what one of them does; whose machine it is.
	for path in containers b state.json; do
		expect 1 strace -o /dev/null -P "$path" -e trace=openat -e inject=openat:error=EMFILE "$HUSK" --root "$ROOT" delete --force a
		says 'Too many open files'
		expect 0 husk exec b echo alive
		[ "$out" = alive ]
	done
	husk delete a
	expect 0 husk exec b echo alive
	[ "$out" = alive ]
	husk delete --force b
}

@test "a delete to which the machine does not answer, or beside one whose state cannot be read, leaves it to the others" {
	member a
	runs a
	member b
	runs b
	cp "$ROOT/a/state.json" kept
	echo '{' >"$ROOT/a/state.json"
	expect 1 husk delete --force b
	says 'cannot tell who else is in sandbox a'
	one_line
	cp kept "$ROOT/a/state.json"
	kill -STOP "$(machine_of a)"
	expect 1 husk delete --force b
	kill -CONT "$(machine_of a)"
	says 'cannot leave the virtual machine to container a: the machine did not answer in time'
	one_line
	expect 0 husk exec a echo alive
	[ "$out" = alive ]
	husk delete b
	expect 0 husk exec a echo alive
	[ "$out" = alive ]
	husk delete --force a
}

@test "a machine goes on in the group of one that lives, not of one that is still being created" {
	local pid
	creating() { [ "$(status_of c)" = creating ] && [ -e hooked ]; }
	for name in a b; do
		member $name
		runs $name
	done
	printf '#!/bin/sh\n: >%s/hooked\nwhile [ ! -e %s/go ]; do sleep 0.1; done\n' "$PWD" "$PWD" >hook
	chmod +x hook
	member c '.hooks.createRuntime = [{path: "'"$PWD/hook"'"}]'
	"$HUSK" --root "$ROOT" run -d -b c c </dev/null >c.out 2>&1 3>&- &
	pid=$!
	eventually creating
	machine=$(machine_of a)
	husk delete --force a
	in_group b "$machine"
	husk kill b KILL
	eventually is_status b stopped
	expect 1 husk delete b
	says 'container c is being created in the virtual machine' 'try again'
	one_line
	# Without anybody that lives husk-net has gone, and with it what is joined: it comes to nothing, and b can be deleted.
	touch go
	! wait "$pid" || { cat c.out; false; }
	husk delete b
}

@test "the last delete, killed when it had struck everybody off: the next one removes the machine's folder" {
	local machine left
	for left in '' state.json; do
		member a
		runs a
		member b
		runs b
		machine=$(machine_of a)
		husk delete --force a
		husk kill b KILL
		eventually is_status b stopped
		ended() { ! kill -0 "$machine" 2>/dev/null; }
		eventually ended
		rm -r "$ROOT/@sandbox/a/containers"
		[ -z "$left" ] || rm "$ROOT/@sandbox/a/$left"
		expect 0 husk delete b
		root_empty
	done
}

@test "a machine's folder that another has come to while its lock was waited for is left to that one" {
	local holder pid
	member a
	runs a
	member b
	runs b
	husk delete --force a
	husk kill b KILL
	eventually is_status b stopped
	coproc flock "$ROOT/@sandbox/a" cat
	holder=$COPROC_PID
	eventually grep -q ":$(stat -c %i "$ROOT/@sandbox/a") " /proc/locks
	"$HUSK" --root "$ROOT" delete b >b.out 2>&1 3>&- &
	pid=$!
	eventually grep -q -- "-> .*:$(stat -c %i "$ROOT/@sandbox/a") " /proc/locks
	mv "$ROOT/@sandbox/a" gone
	runs a
	exec {COPROC[1]}>&-
	wait "$holder" || :
	wait "$pid" || { cat b.out; false; }
	[ ! -e "$ROOT/b" ]
	expect 0 husk exec a echo alive
	[ "$out" = alive ]
	husk delete --force a
}

@test "a husk-net that can open no more waits until it can, at rest" {
	local net pid spent free=0

	for name in a b c; do member $name; done
	runs a
	runs b
	for net in $(pgrep -x husk-net); do [ "$(readlink "/proc/$net/ns/net")" != "$(readlink "/run/netns/$NS")" ] || break; done
	while [ -L "/proc/$net/fd/$free" ]; do free=$((free + 1)); done
	prlimit --pid "$net" --nofile="$free:1000"
	"$HUSK" --root "$ROOT" run -d -b c c </dev/null >c.out 2>&1 3>&- &
	pid=$!
	sleep 3 # it is at the door by then
	spent=$(cut -d ' ' -f 14,15 "/proc/$net/stat" | tr ' ' +)
	sleep 1
	[ $(($(cut -d ' ' -f 14,15 "/proc/$net/stat" | tr ' ' +) - (spent))) -lt 20 ] # of a second's 100
	kill -0 "$pid" || { cat c.out; false; }
	prlimit --pid "$net" --nofile=1000:1000
	wait "$pid" || { cat c.out; false; }
	husk delete --force c
	husk delete --force b
	husk delete --force a
}
