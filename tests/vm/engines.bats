#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Configurations that engines wrote (tests/configs), started: paths of the engine's host are replaced, nothing else.
load helper
setup() { vm_setup; }
teardown() { vm_teardown; }

# engine NAME: the bundle of tests/configs/NAME.json, its root file system and the sources of its bind mounts made here
engine() { # NAME
	mkdir -p "$BUNDLE" sources
	[ -e "$BUNDLE/rootfs" ] || rootfs_copy "$BUNDLE/rootfs"
	: >sources/file
	jq --arg d "$PWD/sources" '.root.path = "rootfs" | .process.terminal = false | .process.args = ["sh", "-c", "echo started as $(id -u)"]
		| .linux.cgroupsPath = "" | (.mounts[] | select(.type == "bind" or (.options // [] | index("bind") or index("rbind"))) | .source) |=
			(if test("/(resolv.conf|hostname|hosts|.containerenv|podman-init|docker-init|catatonit)$") then $d + "/file" else $d end)
		| .linux.namespaces |= map(if .type == "network" then {type} else . end)' "$TOP/tests/configs/$1.json" >"$BUNDLE/config.json"
}

starts() { # NAME UID
	engine "$1"
	expect 0 husk run -b "$BUNDLE" "$ID" </dev/null
	[ "$out" = "started as $2" ] || { echo "$out"; return 1; }
}

@test "containerd: ctr run with limits and a bind mount" { starts ctr-limits 0; }
@test "Podman: rootless, without a network" { starts podman-rootless 0; }
