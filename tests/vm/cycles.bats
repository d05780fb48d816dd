#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# lanes: long
# create, start, exec, kill, delete, over and over: no process, mount, control group, descriptor or file is left, and memory
# stays flat. HUSK_CYCLES times.
load helper
setup() { vm_setup; }
teardown() { vm_teardown; }

# what the kernel could give back at once is given back first
available() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
	awk '/^MemAvailable/ { print $2 }' /proc/meminfo
}
open_files() { cut -f1 /proc/sys/fs/file-nr; }

cycle() {
	husk create -b "$BUNDLE" "$ID" </dev/null >/dev/null
	husk start "$ID"
	[ "$(husk exec "$ID" echo inside)" = inside ]
	husk kill "$ID" KILL
	eventually is_status "$ID" stopped
	husk delete "$ID"
}

@test "${HUSK_CYCLES:=5} lives leave nothing" {
	bundle "$(args sleep 1000)"
	# caches fill in the first ones
	cycle
	cycle
	nothing_left
	# 16 MiB is what the test machine's own caches move about by; they may fill once more, a leak fills every round
	for round in 1 2 3; do
		files=$(open_files) memory=$(available)
		for _ in $(seq "$HUSK_CYCLES"); do cycle; done
		nothing_left
		[ $(($(open_files) - files)) -lt 64 ] || { echo "open files: $files, then $(open_files)"; false; }
		now=$(available)
		echo "round $round, kB available: $memory, then $now"
		[ $((memory - now)) -ge 16384 ] || return 0
	done
	false
}
