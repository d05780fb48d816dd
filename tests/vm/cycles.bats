#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# create, start, exec, kill, delete, over and over: no process, mount, control group, descriptor or file is left, and memory
# stays flat. HUSK_CYCLES times.
load helper
setup() { vm_setup; }
teardown() { vm_teardown; }

available() { awk '/^MemAvailable/ { print $2 }' /proc/meminfo; }
open_files() { cut -f1 /proc/sys/fs/file-nr; }

cycle() {
	husk create -b "$BUNDLE" "$ID" </dev/null >/dev/null
	husk start "$ID"
	[ "$(husk exec "$ID" echo inside)" = inside ]
	husk kill "$ID" KILL
	eventually is_status "$ID" stopped
	husk delete "$ID"
}

@test "${HUSK_CYCLES:=8} lives leave nothing" {
	bundle "$(args sleep 1000)"
	# caches fill in the first ones
	cycle
	cycle
	nothing_left
	files=$(open_files) memory=$(available)
	for _ in $(seq "$HUSK_CYCLES"); do cycle; done
	nothing_left
	[ $(($(open_files) - files)) -lt 64 ] || { echo "open files: $files, then $(open_files)"; false; }
	# 16 MiB is what the test machine's own caches move about by
	[ $((memory - $(available))) -lt 16384 ] || { echo "kB available: $memory, then $(available)"; false; }
}
