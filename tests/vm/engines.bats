#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Configurations that engines wrote (tests/configs), started: what was on the engine's host is replaced (paths, the namespace,
# the program of a hook), nothing else; and what the command prints shows that it came through.
load helper
setup() { vm_setup; }
teardown() {
	[ -z "${netns:-}" ] || { kill "$netns"; wait "$netns" || :; }
	vm_teardown
}

# $netns: a process in a network namespace of its own, which is what a path of one names
own_netns() {
	unshare -n sleep 1000 3>&- &
	netns=$!
	eventually is_elsewhere "$netns"
}
is_elsewhere() { [ "$(readlink "/proc/$1/ns/net")" != "$(readlink /proc/self/ns/net)" ]; }

# engine NAME: the bundle of tests/configs/NAME.json, its root file system and the sources of its bind mounts made here
engine() { # NAME
	mkdir -p "$BUNDLE" sources
	[ -e "$BUNDLE/rootfs" ] || rootfs_copy "$BUNDLE/rootfs"
	: >sources/file
	printf '#!/bin/sh\ncat >"%s"\n' "$PWD/hook.state" >hook
	chmod +x hook
	jq --arg d "$PWD/sources" --arg hook "$PWD/hook" --arg netns "/proc/$netns/ns/net" '
		.root.path = "rootfs" | .process.terminal = false | .linux.cgroupsPath = "" |
		.process.args = ["sh", "-c", "echo $(id -u) $(hostname) $(cat /sys/fs/cgroup/memory.max 2>/dev/null)"] |
		(.mounts[] | select(.type == "bind" or (.options // [] | index("bind") or index("rbind")))) |=
			(.source = if .source + .destination | test("/(resolv.conf|hostname|hosts|.containerenv|podman-init|docker-init|catatonit|termination-log)(/|$)")
				then $d + "/file" else $d end) |
		(.linux.namespaces[] | select(.type == "network" and .path) | .path) = $netns |
		(.hooks.prestart // empty | .[].path) = $hook' "$TOP/tests/configs/$1.json" >"$BUNDLE/config.json"
}

@test "what Podman, Docker and containerd write starts" {
	local f name want failed=0
	own_netns
	for f in "$TOP"/tests/configs/*.json; do
		name=$(basename "$f" .json)
		case $name in cri-*) continue ;; esac
		# The others have less of the same.
		case $name in *-limits | *-options | *-privileged | *-keepid | podman-nonet) ;; *) [ -n "${HUSK_ALL_CONFIGS:-}" ] || continue ;; esac
		rm -f hook.state
		engine "$name"
		want=$(jq -r --arg host "$(hostname)" '"\(.process.user.uid) \(.hostname // $host) \(if any(.mounts[]; .destination == "/sys/fs/cgroup") then .linux.resources.memory.limit // "max" else "" end)"' "$BUNDLE/config.json")
		expect 0 husk run -b "$BUNDLE" "$ID" </dev/null && [ "$out" = "${want% }" ] ||
			{ echo "$name: wrote $out, not $want"; failed=1; }
		[ -e hook.state ] || ! jq -e .hooks.prestart "$BUNDLE/config.json" >/dev/null || { echo "$name: the hook did not run"; failed=1; }
	done
	[ $failed = 0 ]
}

@test "a pod as containerd writes it: the first container, and others in its machine" {
	local f name pid failed=0
	own_netns
	engine cri-sandbox
	configure '.process.args = ["sleep", "1000"]'
	cp "$BUNDLE/config.json" pause-config
	expect 0 husk run -d --pid-file pause -b "$BUNDLE" pause </dev/null
	pid=$(cat pause)
	for f in "$TOP"/tests/configs/cri-*.json; do
		name=$(basename "$f" .json)
		[ "$name" != cri-sandbox ] || continue
		BUNDLE=$PWD/$name
		engine "$name"
		configure '(.linux.namespaces[] | select(.path) | .path) |= sub("/proc/[0-9]+/"; "/proc/'"$pid"'/")'
		expect 0 husk run -b "$BUNDLE" "$ID" </dev/null &&
			[ "$out" = "$(jq -r .process.user.uid "$BUNDLE/config.json") $(jq -r .hostname pause-config) $(jq -r '.linux.resources.memory.limit // "max"' "$BUNDLE/config.json")" ] ||
			{ echo "$name: wrote $out"; failed=1; }
	done
	[ $failed = 0 ]
	[ "$(ls "$ROOT/@sandbox")" = pause ]
	husk delete --force pause
}
