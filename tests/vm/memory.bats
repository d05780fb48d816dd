# SPDX-License-Identifier: Apache-2.0
# Memory that a container does not use any more is the host's again.
load helper

setup() { vm_setup; }
teardown() { vm_teardown; }

rss() { awk '/^VmRSS:/{print $2}' "/proc/$1/status"; }

@test "what a container allocated and freed comes back within 10 seconds" {
	local mb=${HUSK_FREED_MB:-256} machine before after peak freed
	bundle "$(args sleep 100000)" ".linux.resources.memory.limit = $((mb * 3 / 2 * 1048576))"
	husk run -d -b "$BUNDLE" "$ID" </dev/null >/dev/null 2>&1 3>&- 4>&-
	machine=$(pgrep -x husk-machine)
	# what the guest's start left free comes back first
	sleep 5
	before=$(rss "$machine")
	# Some of it may be back by the time that dd's end is told of.
	echo 5 >"/proc/$machine/clear_refs"
	husk exec "$ID" dd if=/dev/zero of=/dev/null bs="${mb}M" count=1
	peak=$(awk '/^VmHWM:/{print $2}' "/proc/$machine/status")
	[ $((peak - before)) -gt $((mb * 1024 * 9 / 10)) ]
	for _ in $(seq 100); do
		after=$(rss "$machine")
		freed=$(((peak - after) * 1000 / (peak - before)))
		[ $freed -lt 950 ] || break
		sleep 0.1
	done
	echo "before $before KiB, peak $peak, after $after: $freed per mille came back"
	[ $freed -ge 950 ]
	husk delete --force "$ID"
}

# Of a container: the first number of a line of /proc/meminfo, in KiB.
meminfo() { husk exec "$ID" sed -n "s/^$1: *\([0-9]*\).*/\1/p" /proc/meminfo </dev/null; }
takes() { husk exec "$ID" dd if=/dev/zero of=/dev/null bs="$1" count=1 </dev/null; } # all of it at once, touched
# Two of them, or as many, held at the same time: each until all have theirs, or were killed. Says which were.
together() { # SIZE [NUMBER]
	husk exec "$ID" sh -c ': >/dev/shm/full; for i in $(seq '"${2:-2}"'); do
		{ dd if=/dev/zero bs='"$1"' count=1 2>/dev/null || { rc=$?; [ $rc = 141 ] || echo "ended with $rc" >&2; }; } |
			{ head -c 1 >/dev/null; echo >>/dev/shm/full; until [ $(wc -l </dev/shm/full) = '"${2:-2}"' ]; do sleep 0.1; done; } &
	done; wait' </dev/null
}
blocks() { husk exec "$ID" sh -c 'ls -d /sys/devices/system/memory/memory[0-9]* | wc -l' </dev/null; } # of 128 MiB
holds_less() { [ "$(rss "$machine")" -lt $((${1%M} * 1024)) ]; }
start() { # FILTER… with the configuration $1
	local config=$1
	shift
	bundle "$(args sleep 100000)" "$@"
	echo "$config" >"$BATS_TEST_TMPDIR/config.json"
	chmod 600 "$BATS_TEST_TMPDIR/config.json"
	husk --config "$BATS_TEST_TMPDIR/config.json" run -d -b "$BUNDLE" "$ID" </dev/null >/dev/null 2>&1 3>&- 4>&-
	machine=$(machine_of "$ID")
}

@test "a container without a limit has what the host has, and takes it when it needs it" {
	start '{}' '.linux.cgroupsPath = "/'"$ID"'"'
	local host all
	host=$(sed -n 's/^MemTotal: *\([0-9]*\).*/\1/p' /proc/meminfo)
	all=$(meminfo MemTotal)
	echo "$all of the host's $host KiB, $(rss "$machine") KiB of it the host's by now"
	[ "$all" -gt $((host * 9 / 10)) ] && [ "$all" -le "$host" ]
	[ "$(meminfo MemAvailable)" -gt $((all * 9 / 10)) ]
	# What has not come costs nothing.
	[ "$(rss "$machine")" -lt 61440 ]
	[ "$(blocks)" = 2 ]
	takes 700M
	[ "$(meminfo MemTotal)" = "$all" ]
	[ "$(blocks)" -ge 7 ]
	# Several that hurry at once.
	expect 0 together 500M
	[ -z "$err" ]
	[ "$(blocks)" -ge 9 ]
	husk exec "$ID" grep -x 'oom_kill 0' /proc/vmstat

	# A limit below what the machine holds does not end it; one that it did not begin with is exact, in the guest and with
	# its need on the host.
	expect 0 husk update --memory 64M "$ID"
	expect 137 takes 100M
	eventually holds_less 600M
	expect 0 husk update --memory 512M "$ID"
	takes 400M
	expect 137 takes 600M
	[ "$(cat "$(group_of "$ID")/memory.max")" = $(((512 + 96 + 96) * 1048576)) ]
	husk delete --force "$ID"
}

@test "processes on several processors run short of memory at the same time" {
	start '{"vcpus": {"default": 3}}'
	[ "$(husk exec "$ID" nproc </dev/null)" = 3 ]
	[ "$(blocks)" = 2 ]
	expect 0 together 120M 6
	[ -z "$err" ]
	[ "$(blocks)" -ge 6 ]
	husk exec "$ID" grep -x 'oom_kill 0' /proc/vmstat
	husk delete --force "$ID"
}

@test "the operator's bound: as much comes, and then somebody is killed; or nothing comes" {
	start '{"memory": {"max": "640M"}}' '.linux.resources.memory.limit = 67108864'
	[ "$(meminfo MemTotal)" -lt $((640 * 1024)) ]
	expect 137 takes 100M
	expect 0 husk update --memory 512M "$ID"
	takes 400M
	# A limit beyond what can come limits nothing; the guest's kernel kills, and the machine lives.
	expect 0 husk update --memory -1 --memory-swap -1 "$ID"
	expect 0 together 450M
	says 'ended with 137'
	takes 400M
	expect 1 husk update --memory 600M "$ID"
	says "$(((640 - 96) * 1048576)) bytes that the container's machine can have"
	husk delete --force "$ID"

	start '{"memory": {"grow": false}}'
	[ "$(meminfo MemTotal)" -lt $((256 * 1024)) ]
	expect 0 together 160M
	says 'ended with 137'
	takes 100M
	expect 1 husk update --memory 512M "$ID"
	says "$(((256 - 96) * 1048576)) bytes that the container's machine can have"
	husk delete --force "$ID"
}
