#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# events: figures of the guest's control group in runc's form, and the OOM killer as it acts.
load helper
setup() { vm_setup; }
teardown() { vm_teardown; }

# Every key of runc's that always stands there, and no other: what `runc events --stats` of a busy container has.
shape='
	(keys_unsorted == ["type", "id", "data"]) and .type == "stats"
	and (.data | keys_unsorted == ["cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "intel_rdt", "network_interfaces"])
	and (.data.cpu | keys_unsorted == ["usage", "throttling"] and (.usage | has("total") and has("kernel") and has("user")))
	and (.data.memory | (keys_unsorted - ["cache"]) == ["usage", "swap", "kernel", "kernelTCP", "raw"])
	and (.data.memory.usage | has("limit") and has("usage") and has("failcnt"))
	and .data.memory.raw.anon > 0 and (.data.memory.raw | keys_unsorted == keys)
	and .data.network_interfaces == null and .data.intel_rdt == {}'

@test "events --stats tells true numbers, in runc's form" {
	# 8 MiB that stay, three processes, half a second of computing
	bundle "$(args sh -c 'head -c 8388608 /dev/zero >/dev/shm/f; sleep 1000 & sleep 1000 & i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo ready; exec sleep 1000')" \
		'.linux.resources.memory.limit = 134217728' '.linux.resources.pids.limit = 50'
	expect 1 husk events --stats "$ID"
	[ "$err" = 'husk: container does not exist' ]
	husk create -b "$BUNDLE" "$ID" >o </dev/null
	expect 1 husk events --interval 0 "$ID"
	[ "$err" = 'husk: duration interval must be greater than 0' ]
	expect 1 husk events --interval -5s "$ID"
	[ "$err" = 'husk: duration interval must be greater than 0' ]
	husk start "$ID"
	eventually grep -q ready o
	expect 0 husk events --stats "$ID"
	[ "$(wc -l <out)" = 1 ]
	jq -e "$shape" out
	jq -e --arg id "$ID" '.id == $id and .data.pids == {current: 3, limit: 50}
		and .data.memory.usage.limit == 134217728 and .data.memory.usage.usage > 8388608
		and .data.memory.usage.usage < 134217728 and .data.memory.raw.shmem >= 8388608
		and .data.cpu.usage.total > 50000000 and .data.cpu.usage.total < 60000000000
		and (.data.cpu.usage | .total - .kernel - .user | fabs) < 10000000' out
	# The guest's own files say the same.
	[ "$(jq .data.memory.raw.shmem out)" = "$(husk exec "$ID" sed -n 's/^shmem //p' /sys/fs/cgroup/memory.stat </dev/null)" ]
	expect 1 husk checkpoint "$ID"
	says "checkpoint is not supported: "
	husk pause "$ID"
	expect 0 husk events --stats "$ID"
	jq -e "$shape" out
	husk delete --force "$ID"
}

@test "events goes on until the container ends, and tells of the OOM killer" {
	bundle "$(args sh -c 'read x; (echo 0 >/proc/self/oom_score_adj; exec dd if=/dev/zero of=/dev/null bs=200M count=1 2>/dev/null); echo survived; exec sleep 1000')" \
		'.linux.resources.memory.limit = 33554432' '.linux.resources.memory.swap = 33554432'
	mkfifo in; exec 8<>in
	husk run -d -b "$BUNDLE" "$ID" <&8 >o
	begin=${EPOCHREALTIME/./}
	husk events --interval 300ms "$ID" >events 8>&- & watcher=$!
	husk events --interval 1h "$ID" >oom 8>&- & second=$!
	told() { n=$(grep -c '"type":"stats"' events) && [ "$n" -ge 3 ]; }
	eventually told
	# no more of them than the time has room for, the first after the first interval
	[ $((n * 300000)) -le $((${EPOCHREALTIME/./} - begin)) ]
	[ ! -s oom ]
	echo >&8
	eventually grep -q survived o
	eventually grep -q '"type":"oom"' events
	eventually test -s oom
	[ "$(head -n 1 oom)" = '{"type":"oom","id":"'"$ID"'"}' ]
	husk kill "$ID" KILL
	wait "$watcher"
	wait "$second"
	jq -s -e 'map(select(.type == "stats")) | length >= 3 and (map(.data.cpu.usage.total) | . == sort)' events
	[ "$(jq -s 'map(select(.type == "oom")) | length' oom)" -le 2 ]
	exec 8>&-
	expect 1 husk events "$ID"
	[ "$err" = "husk: container with id $ID is not running" ]
	eventually is_status "$ID" stopped
	husk delete "$ID"
}

@test "a process that uses more than all memory, by its own count, is listed, and its container lives" {
	bundle '.process.args = ["/map-again"]'
	cp "$BUILT/bin/map-again" "$BUNDLE/rootfs"
	husk run -d -b "$BUNDLE" "$ID" >o </dev/null
	eventually grep -q mapped o
	expect 0 husk ps "$ID" -o pid,pmem,comm
	[[ "$out" == *100.0* ]] || { echo "$out"; false; }
	expect 0 husk ps "$ID"
	is_status "$ID" running
	husk delete --force "$ID"
}
