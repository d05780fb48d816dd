#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# create, start, state, kill, delete and what each says in the wrong moment.
load helper
setup() { vm_setup; }
teardown() { vm_teardown; }

@test "create, start, kill, delete, with the state at each step" {
	bundle "$(args sh -c 'echo started >/tmp/mark; exec sleep 1000')" '.root.readonly = false' \
		'.annotations = {"a.b/c": "d"}'
	expect 0 husk create --pid-file pid -b "$BUNDLE" "$ID" </dev/null
	expect 0 husk state "$ID"
	jq -e --arg b "$BUNDLE" --arg id "$ID" --argjson pid "$(cat pid)" \
		'.id == $id and .status == "created" and .pid == $pid and .bundle == $b and .rootfs == $b + "/rootfs"
		 and (.ociVersion | test("^1\\.")) and .annotations == {"a.b/c": "d"} and .owner == ""
		 and (.created | test("^20.*Z$"))' out
	[ "$(jq -r 'keys_unsorted | join(" ")' out)" = 'ociVersion id pid status bundle rootfs created annotations owner' ]
	[ ! -e "$BUNDLE/rootfs/tmp/mark" ]
	expect 0 husk start "$ID"
	eventually test -e "$BUNDLE/rootfs/tmp/mark"
	is_status "$ID" running
	expect 1 husk start "$ID"
	[ "$err" = 'husk: cannot start an already running container' ]
	expect 1 husk create -b "$BUNDLE" "$ID"
	says 'create failed: container with given ID already exists'
	expect 1 husk delete "$ID"
	[ "$err" = "husk: cannot delete container $ID that is not stopped: running" ]
	expect 0 husk kill "$ID" KILL
	eventually is_status "$ID" stopped
	[ "$(husk state "$ID" | jq .pid)" = 0 ]
	expect 1 husk kill "$ID"
	[ "$err" = 'husk: container not running' ]
	expect 1 husk start "$ID"
	[ "$err" = 'husk: cannot start a container that has stopped' ]
	expect 255 husk exec "$ID" true
	says 'exec failed: cannot exec in a stopped container'
	expect 0 husk ps --format json "$ID"
	[ "$out" = null ]
	expect 0 husk delete "$ID"
	expect 1 husk state "$ID"
	says 'container does not exist'
}

@test "a created container may be deleted without force" {
	bundle
	husk create -b "$BUNDLE" "$ID" </dev/null >/dev/null
	expect 0 husk delete "$ID"
}

@test "a created container may be killed" {
	bundle
	husk create -b "$BUNDLE" "$ID" </dev/null >/dev/null
	expect 0 husk kill "$ID" KILL
	eventually is_status "$ID" stopped
	expect 0 husk delete "$ID"
}

@test "delete --force ends a running one" {
	bundle "$(args sleep 1000)"
	husk run -d -b "$BUNDLE" "$ID" </dev/null >/dev/null
	expect 0 husk delete --force "$ID"
	expect 0 husk delete --force "$ID"
}

@test "list shows them in both forms" {
	bundle "$(args sleep 1000)"
	husk create -b "$BUNDLE" "$ID-a" </dev/null >/dev/null
	husk run -d -b "$BUNDLE" "$ID-b" </dev/null >/dev/null
	expect 0 husk list -q
	[ "$out" = "$ID-a"$'\n'"$ID-b" ]
	expect 0 husk list --format json
	jq -e --arg b "$BUNDLE" 'length == 2 and .[0].status == "created" and .[1].status == "running"
		and .[1].bundle == $b and .[0].owner == "root" and .[1].pid > 1' out
	expect 0 husk list
	[ "$(wc -l <out)" = 3 ]
	[[ $out == "ID "*"PID "*"STATUS "*"BUNDLE "*"CREATED "*"OWNER"* ]]
	husk delete --force "$ID-a"
	husk delete --force "$ID-b"
}

@test "ids of every allowed character, and a long one" {
	bundle "$(args true)"
	for id in "$ID.a_b+c-d" "$(printf '%0200d' 1)"; do
		expect 0 husk run -b "$BUNDLE" "$id"
	done
	expect 1 husk run -b "$BUNDLE" "$(printf '%0300d' 1)"
	says 'File name too long'
}

@test "the proxy holds the host's side: namespaces, group, mount table, and no privilege" {
	bundle "$(args sleep 1000)"
	mkdir data; echo secret >data/file
	configure '.mounts += [{"destination": "/data", "type": "bind", "source": "'"$PWD/data"'", "options": ["rbind"]}]'
	husk run -d --pid-file pid -b "$BUNDLE" "$ID" </dev/null >/dev/null
	p=$(cat pid)
	for ns in net uts ipc mnt; do
		[ "$(readlink /proc/$p/ns/$ns)" != "$(readlink /proc/self/ns/$ns)" ]
	done
	[ "$(sed -n 's/^0:://p' /proc/$p/cgroup)" != "$(sed -n 's/^0:://p' /proc/self/cgroup)" ]
	grep -q '^NoNewPrivs:.1' /proc/$p/status
	grep -q '^Seccomp:.2' /proc/$p/status
	grep -q '^CapEff:.0000000000000000' /proc/$p/status
	grep -q '^CapPrm:.0000000000000000' /proc/$p/status
	grep -q '^Uid:.65534.65534.65534.65534' /proc/$p/status
	# husk-net, in the same network namespace: CAP_NET_ADMIN is left to it, and a list of system calls.
	net=$(for i in $(pgrep -x husk-net); do [ "$(readlink /proc/$i/ns/net)" != "$(readlink /proc/$p/ns/net)" ] || echo $i; done)
	for line in Seccomp:.2 NoNewPrivs:.1 CapEff:.0000000000001000 Uid:.65534.65534.65534.65534; do
		grep -q "^$line" /proc/$net/status
	done
	nsenter -t $p -m /bin/busybox cat /data/file && false # nothing can be run there:
	[ "$(nsenter -t $p -n ip -o link 2>/dev/null | wc -l)" -le 1 ]
	[ "$(cat /proc/$p/root/data/file)" = secret ]
	[ -e /proc/$p/root/bin/busybox ]
	[ ! -e /proc/$p/root/proc/1 ]
	awk '{ if ($6 !~ /nosuid/ || $6 !~ /nodev/ || $6 !~ /noexec/) { print; bad = 1 } } END { exit bad }' /proc/$p/mountinfo
	# The descriptors that stay: streams, machine, agent, sockets; of the host's files one, the memory limit of its own group.
	for f in /proc/$p/fd/*; do
		case $(readlink "$f") in
		socket:*|anon_inode:*|pipe:*|/dev/null|"$PWD"/*|/tmp/*) ;;
		"/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/$p/cgroup)/memory.max") ;;
		*) readlink "$f"; false ;;
		esac
	done
	husk delete --force "$ID"
}
