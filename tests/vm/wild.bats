#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Guest kernels that misbehave in ring 0 (tests/guest/wild.S), under husk-vmm: each ends with its reason, or when it is told to.
bats_require_minimum_version 1.5.0
load vmm

wild() { # LETTER OPTION…: $command
	local what=$1
	shift
	command=("$VMM" --kernel "$B/tests/guest/wild" --cmdline "$what" --memory size=64M --fs tag=data,path="$PWD"
		--vsock cid=3,socket="$PWD/vs" --on-reset exit "$@")
}

ends() { # LETTER TEXT…
	local got=0 t
	wild "$1"
	shift
	"${command[@]}" </dev/null >out 2>err || got=$?
	[ "$got" = 1 ] && [ "$(wc -l <err)" = 1 ] || { echo "status $got"; cat err; return 1; }
	for t in "$@"; do grep -qF -- "$t" err || { echo "not said: $t"; cat err; return 1; }; done
}

@test "what cannot be executed ends the machine, and is told with its place" {
	ends j 'RIP 0xd0000000'
	ends i 'RIP 0xfec00000'
	ends u 'cannot emulate' 'dd'
}

@test "every port, every address without memory, every width; every hypercall" {
	ends p 'triple fault'
	ends v 'triple fault'
}

@test "deaf, spinning and storming vCPUs end when they are told to" {
	for what in h s q l; do
		wild "$what" --cpus boot=3
		# The host may have stood still meanwhile: the best of three.
		for _ in 1 2 3; do
			"${command[@]}" </dev/null >out 2>err & pid=$!
			for _ in $(seq 300); do
				[ "$(ps -T -o comm= -p "$(pgrep -P $pid -x husk-machine || echo 1)" | grep -c vcpu)" = 3 ] && break
				sleep 0.1
			done
			sleep 0.3
			begin=$EPOCHREALTIME
			kill -TERM "$pid"
			rc=0
			wait "$pid" || rc=$?
			took=$(( ${EPOCHREALTIME/./} - ${begin/./} ))
			pid=
			echo "$what: status $rc, $took us"
			[ "$rc" = 0 ]
			[ ! -s err ]
			[ "$took" -ge 9000000 ] || break
		done
		[ "$took" -lt 9000000 ]
	done
}
