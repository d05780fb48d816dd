#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# update: new limits in the guest's control group and in the host's, all or none.
load helper
setup() { vm_setup; }
teardown() { vm_teardown; }

# What the container sees of its own group; what the host has for it.
guest() { husk exec "$ID" cat "/sys/fs/cgroup/$1" </dev/null; }
host() { cat "/sys/fs/cgroup/$ID/$1"; }
both() { echo "$(guest "$1") / $(host "$1")"; }

@test "every limit by its option and by a file; what is not given stays; what is refused changes nothing" {
	bundle "$(args sleep 1000)" '.linux.resources.memory.limit = 134217728' '.linux.resources.cpu.quota = 50000' \
		'.linux.resources.cpu.period = 100000' '.linux.resources.pids.limit = 100' '.linux.cgroupsPath = "/'"$ID"'"'
	husk create -b "$BUNDLE" "$ID" </dev/null >/dev/null
	# A created container, too.
	expect 0 husk update --pids-limit 70 "$ID"
	[ -z "$out$err" ]
	husk start "$ID"
	[ "$(both pids.max)" = '70 / 326' ]
	[ "$(both cpu.max)" = '50000 100000 / 50000 100000' ]
	expect 0 husk update --cpu-quota 20000 "$ID"
	[ "$(both cpu.max)" = '20000 100000 / 20000 100000' ]
	expect 0 husk update --cpu-period 50000 "$ID"
	[ "$(both cpu.max)" = '20000 50000 / 20000 50000' ]
	expect 0 husk update --cpu-quota -1 --cpu-share 2048 "$ID"
	[ "$(both cpu.max)" = 'max 50000 / max 50000' ]
	[ "$(both cpu.weight)" = '79 / 79' ]
	expect 0 husk update --memory 64M --memory-reservation 32m --memory-swap 100m "$ID"
	[ "$(guest memory.max)" = 67108864 ]
	[ "$(guest memory.low)" = 33554432 ]
	# The machine is what it was.
	[ "$(host memory.max)" = $(((256 + 96) * 1048576)) ]
	expect 0 husk update --kernel-memory 10m --cpu-rt-period 1000 --cpu-rt-runtime 1000 "$ID"
	says 'Kernel memory settings are ignored'
	expect 0 husk update "$ID"
	[ "$(guest memory.max)" = 67108864 ]

	# More than the machine can have: said in one line, nothing changed.
	expect 1 husk update --memory 100g --pids-limit 50 "$ID"
	[[ $err = "husk: memory limit 107374182400 is more than the "*" bytes that the container's machine can have for it" ]]
	[ "$(both pids.max)" = '70 / 326' ]
	[ "$(guest memory.max)" = 67108864 ]
	# What the host's kernel refuses, after it took another.
	expect 1 husk update --pids-limit 50 --cpuset-cpus 900-1000 "$ID"
	says cpuset.cpus
	[ "$(both pids.max)" = '70 / 326' ]
	# What the guest's kernel refuses, after the host's took it and after the guest took another.
	expect 1 husk update -r - "$ID" <<<'{"pids": {"limit": 50}, "cpu": {"shares": 4096}, "unified": {"memory.high": "lots"}}'
	says memory.high
	[ "$(both pids.max)" = '70 / 326' ]
	[ "$(both cpu.weight)" = '79 / 79' ]
	# What had no value before: a set has its effect again, a device has no rates.
	before=$(host cpuset.cpus.effective; host io.max)
	expect 1 husk update -r - "$ID" <<-'END'
		{"cpu": {"cpus": "0"}, "blockIO": {"throttleReadBpsDevice": [{"major": 7, "minor": 0, "rate": 1048576}]},
		 "unified": {"memory.high": "lots"}}
	END
	says memory.high
	one_line
	[ "$(host cpuset.cpus.effective; host io.max)" = "$before" ]
	# Less than is used, by who asks for the check.
	expect 1 husk update -r - "$ID" <<<'{"memory": {"limit": 4096, "checkBeforeUpdate": true}}'
	says 'rejecting memory limit 4096 because of memory usage'
	[ "$(guest memory.max)" = 67108864 ]

	echo '{"memory": {"limit": 100000000}, "cpu": {"quota": 30000, "period": 60000, "shares": 1024}, "pids": {"limit": -1}}' >r.json
	# The file alone counts.
	expect 0 husk update -r r.json --pids-limit 5 "$ID"
	[ "$(guest memory.max)" = 99999744 ]
	[ "$(both cpu.max)" = '30000 60000 / 30000 60000' ]
	[ "$(both pids.max)" = 'max / max' ]
	# It acts: ten processes at most.
	husk update --pids-limit 10 "$ID"
	expect 2 husk exec "$ID" sh -c 'for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 100 >/dev/null 2>&1 & done'
	says "can't fork"

	husk pause "$ID"
	expect 0 husk update --pids-limit 30 "$ID"
	[ "$(host pids.max)" = 286 ]
	husk kill "$ID" KILL
	eventually is_status "$ID" stopped
	expect 1 husk update --pids-limit 9 "$ID"
	[ "$err" = 'husk: container not running' ]
	husk delete "$ID"
	expect 1 husk update --pids-limit 9 "$ID"
	[ "$err" = 'husk: container does not exist' ]
}

@test "a container that joins the machine meanwhile: the host's group stays as wide as that made it" {
	bundle "$(args sleep 1000)" '.linux.resources.cpu.quota = 50000' '.linux.resources.cpu.period = 100000' '.linux.cgroupsPath = "/'"$ID"'"'
	husk create -b "$BUNDLE" "$ID" </dev/null >/dev/null
	# What one that joins does, with the lock that it has.
	exec 8<"$ROOT/@sandbox/$ID"
	flock 8
	husk update --cpu-quota 20000 "$ID" 3>&- 8>&- & pid=$!
	waits() { grep -q -e "-> FLOCK.*:$(stat -c %i "$ROOT/@sandbox/$ID") " /proc/locks; }
	eventually waits || { exec 8<&-; false; }
	mkdir "$ROOT/@sandbox/$ID/containers"
	touch "$ROOT/@sandbox/$ID/containers/other"
	echo max >"/sys/fs/cgroup/$ID/cpu.max"
	exec 8<&-
	wait $pid
	[ "$(both cpu.max)" = '20000 100000 / max 100000' ]
	husk delete --force "$ID"
}

@test "bad values are named by option or field, before anything changes" {
	bundle "$(args sleep 1000)"
	husk create -b "$BUNDLE" "$ID" </dev/null >/dev/null
	while IFS='|' read -r option value text; do
		expect 1 husk update "$option" "$value" "$ID"
		says "$text"
		[ "$(wc -l <err)" = 1 ]
	done <<-'END'
		--memory|foo|invalid value for memory: invalid size: 'foo'
		--memory|12x|invalid value for memory: invalid size: '12x'
		--memory|.5m|invalid value for memory: invalid size: '.5m'
		--memory|1.2.3m|invalid value for memory: invalid size: '1.2.3m'
		--memory|-2|invalid value for memory: invalid size: '-2'
		--memory|9999999p|invalid value for memory: value out of range
		--memory-swap|x|invalid value for memory-swap: invalid size
		--memory-reservation|12 mm|invalid value for memory-reservation: invalid size
		--kernel-memory|x|invalid value for kernel-memory: invalid size
		--cpu-quota|bar|invalid value for cpu-quota: invalid syntax
		--cpu-quota|-5|invalid value for cpu-quota: value out of range
		--cpu-period|-1|invalid value for cpu-period: value out of range
		--cpu-period|99999999999999999999|invalid value for cpu-period: value out of range
		--cpu-period|1|cpu.max
		--cpu-share|1x|invalid value for cpu-share: invalid syntax
		--cpu-burst|-1|invalid value for cpu-burst: value out of range
		--cpu-idle|2|invalid value for cpu-idle: value out of range
		--cpu-rt-runtime|x|invalid value for cpu-rt-runtime: invalid syntax
		--pids-limit|-2|invalid value for pids-limit: -2 is negative
		--pids-limit|x|invalid value "x" for flag -pids-limit: parse error
		--blkio-weight|9|invalid value for blkio-weight: 9 is not 10 to 1000
		--blkio-weight|1001|invalid value for blkio-weight: 1001 is not 10 to 1000
		--cpuset-cpus|x|cpuset.cpus
		--l3-cache-schema|L3:0=f|l3 cache schema is not enabled
		--mem-bw-schema|MB:0=20|memory bandwidth schema is not enabled
		--memory-swap|100m|without memory limit
		-r|nope.json|open nope.json
	END
	expect 1 husk update --memory 10m --memory-swap 5m "$ID"
	says 'memory+swap limit should be >= memory limit'
	for text in '{bad' '[]' '{"memory":{"limit":"x"}}' '{"memory":{"limit":-2}}' '{"pids":{"limit":1.5}}' '{"cpu":{"idle":3}}' ''; do
		expect 1 husk update -r - "$ID" <<<"$text"
		says 'standard input: '
		[ "$(wc -l <err)" = 1 ]
	done
	head -c 2000000 /dev/zero >big
	expect 1 husk update -r big "$ID"
	says 'big: longer than 1048576 bytes'
	expect 0 husk update -r - "$ID" <<<'{"memory":{"limit":0},"cpu":{},"nobody":{"knows":1}}'
	husk delete "$ID"
}
