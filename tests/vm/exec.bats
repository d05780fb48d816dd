#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# husk exec, into one container that stays.
load helper
setup_file() { shared_setup '.root.readonly = false'; }
setup() { shared_use; }
teardown_file() { shared_teardown; }

@test "the stand-in's arguments are its process's, for whoever looks at processes" {
	[ "$(tr '\0' ' ' <"/proc/$PID/cmdline")" = 'husk-proxy sleep 100000 ' ]
}

@test "output, exit status, signals" {
	expect 0 husk exec "$ID" echo hello
	[ "$out" = hello ]
	expect 7 husk exec "$ID" sh -c 'echo oops >&2; exit 7'
	[ "$err" = oops ]
	expect 255 husk exec "$ID" sh -c 'exit 255'
	expect 137 husk exec "$ID" sh -c 'kill -9 $$'
}

@test "a command that has ended before a slow husk asks for more" {
	rc=0
	strace -o /dev/null -e trace=sendmsg -e inject=sendmsg:delay_enter=1500000 "$HUSK" --root "$ROOT" exec "$ID" sh -c 'echo hello; exit 7' >out 2>err </dev/null || rc=$?
	cat err
	[ $rc = 7 ] && [ "$(cat out)" = hello ] && [ ! -s err ]
}

@test "it runs inside the machine, in the container" {
	expect 0 husk exec "$ID" uname -r
	[ "$out" != "$(uname -r)" ]
	expect 0 husk exec "$ID" cat /proc/1/comm
	[ "$out" = sleep ]
	expect 0 husk exec "$ID" hostname
	[ "$out" = "$(jq -r .hostname "$BUNDLE/config.json")" ]
}

@test "standard input and its end" {
	expect 0 husk exec "$ID" cat < <(printf 'from here')
	[ "$out" = 'from here' ]
	head -c 3000000 /dev/urandom >in
	husk exec "$ID" cat <in >got
	cmp in got
}

@test "output of a process that has ended is whole" {
	for i in 1 2 3; do
		expect 0 bash -c "'$HUSK' --root '$ROOT' exec $ID head -c 5000000 /dev/zero | wc -c"
		[ "$out" = 5000000 ]
	done
}

@test "a child that keeps the output does not keep husk" {
	SECONDS=0
	expect 0 husk exec "$ID" sh -c 'sleep 300 & echo done'
	[ "$out" = done ]
	[ $SECONDS -lt 60 ]
}

@test "--cwd --env --user --additional-gids" {
	expect 0 husk exec --cwd /etc "$ID" pwd
	[ "$out" = /etc ]
	expect 0 husk exec -e A=1 --env B=2 "$ID" sh -c 'echo $A$B'
	[ "$out" = 12 ]
	# The last one counts, and there is one only.
	expect 0 husk exec -e A=1 -e TERM=mine -e A=2 "$ID" env
	[ "$(grep -e ^A= -e ^TERM= out | sort)" = $'A=2\nTERM=mine' ]
	expect 255 husk exec --cwd /nothere "$ID" true
	says 'chdir to cwd ("/nothere")' 'o such file or directory'
	expect 0 husk exec -u 1000 "$ID" id -u
	[ "$out" = 1000 ]
	expect 0 husk exec --user 1000:1001 -g 5 -g 6 "$ID" sh -c 'id -u; id -g; id -G'
	[ "$out" = $'1000\n1001\n1001 5 6' ]
	expect 255 husk exec --cwd etc "$ID" true
	says 'Cwd must be an absolute path'
	expect 255 husk exec --env A "$ID" true
	says 'invalid environment variable: "A"'
	expect 255 husk exec --user x "$ID" true
	says 'parsing x as int for uid failed'
	expect 255 husk exec --user 1:x "$ID" true
	says 'parsing x as int for gid failed'
}

@test "--cap adds one, an unknown one is passed over with a word" {
	expect 0 husk exec "$ID" sh -c 'grep CapBnd /proc/self/status'
	before=$out
	expect 0 husk exec --cap CAP_SYS_TIME "$ID" sh -c 'grep CapBnd /proc/self/status'
	[ "$out" != "$before" ]
	expect 0 husk exec --cap CAP_FROB "$ID" true
	says 'ignoring unknown or unavailable capabilities: [CAP_FROB]'
}

@test "labels of the host's security modules are taken, as in config.json, and said at debug level to have no effect" {
	expect 0 "$HUSK" --root "$ROOT" --debug exec --apparmor docker-default --process-label system_u:object_r:x:s0 "$ID" true
	says '--apparmor' '--process-label'
}

@test "--no-new-privs" {
	expect 0 husk exec --no-new-privs "$ID" grep NoNewPrivs /proc/self/status
	[[ $out == *1 ]]
}

@test "--process takes all of it from a file" {
	jq -n '{args: ["sh", "-c", "echo $X; pwd; id -u"], cwd: "/etc", env: ["X=y", "PATH=/bin:/usr/bin"], user: {uid: 3, gid: 4}}' >p.json
	expect 0 husk exec --process p.json "$ID"
	[ "$out" = $'y\n/etc\n3' ]
	expect 255 husk exec --process nope.json "$ID"
	says 'nope.json: No such file'
	echo '{"args": []}' >p.json
	expect 255 husk exec -p p.json "$ID"
	says 'args'
}

@test "--detach, --pid-file: its stand-in ends with the status" {
	husk exec -d --pid-file pid "$ID" sleep 1000 </dev/null >/dev/null
	p=$(cat pid)
	[ "$(cat /proc/$p/comm)" = husk-proxy:run ]
	[ "$(readlink /proc/$p/ns/mnt)" = "$(readlink /proc/$PID/ns/mnt)" ]
	[ "$(readlink /proc/$p/ns/net)" = "$(readlink /proc/$PID/ns/net)" ]
	[ "$(cat /proc/$p/cgroup)" = "$(cat /proc/$PID/cgroup)" ]
	expect 0 husk ps --format json "$ID"
	jq -e --argjson a "$PID" --argjson b "$p" 'sort == ([$a, $b] | sort)' out
	expect 0 husk ps "$ID" -o pid,ppid,comm,stat
	grep -Eq '^ *PID +PPID COMMAND +STAT$' out
	grep -Eq '^ *[0-9]+ +[0-9]+ sleep +S' out
	expect 0 husk ps "$ID" aux
	grep -Eq '^root +[0-9]+ +[0-9.]+ +[0-9.]+ +[0-9]+ +[0-9]+ \? +Ss +[0-9]+:[0-9]+ +0:00 sleep 1000' out
	expect 1 husk ps "$ID" --forest
	says 'ps option "--forest" is not supported'
	expect 0 husk ps "$ID"
	[[ $out == *"sleep 100000"* && $out == *"sleep 1000"* ]]
	kill -TERM $p
	eventually test ! -e /proc/$p
	expect 0 husk ps --format json "$ID"
	[ "$out" = "[$PID]" ]
}

@test "programs that are missing, or none" {
	expect 127 husk exec "$ID" nothere
	says 'exec failed: ' 'exec: "nothere": executable file not found in $PATH'
	one_line
	expect 126 husk exec "$ID" /etc/passwd
	says 'permission denied'
	expect 255 husk exec "$ID"
	says 'process args cannot be empty'
	expect 255 husk exec -t "$ID" sh </dev/null
	says '/dev/tty'
	expect 255 husk exec -t -d "$ID" sh
	says 'cannot allocate tty if husk will detach without setting console socket'
}

@test "ten at a time" {
	local pids=()
	for i in $(seq 10); do
		husk exec "$ID" sh -c "sleep 1; echo $i" >o$i </dev/null &
		pids+=($!)
	done
	# by name: bats has a child of its own here, which watches the time
	wait "${pids[@]}"
	for i in $(seq 10); do [ "$(cat o$i)" = $i ]; done
}

@test "more at a time than anybody has counted on" {
	local i
	for i in $(seq 70); do husk exec -d "$ID" sleep 2000 </dev/null; done
	expect 0 husk exec "$ID" sh -c 'ps -o args | grep -c "^sleep 2000"'
	[ "$out" = 70 ] || { echo "$out"; false; }
	husk exec "$ID" killall sleep || :
}

@test "a killed husk exec takes its process along before it was content, none after" {
	"$HUSK" --root "$ROOT" exec "$ID" sh -c 'trap "echo content" USR1; echo up; sleep 777 & wait; wait' >o </dev/null &
	eventually grep -q up o
	# It passes signals on when it is, no sooner.
	kill -USR1 $!
	eventually grep -q content o
	kill -9 $!
	sleep 0.3
	expect 0 husk ps "$ID"
	[[ $out == *"sleep 777"* ]]
	husk exec "$ID" sh -c 'kill $(ps -o pid,args | awk "/[s]leep 777/ { print \$1 }")'
	eventually bash -c "[ \$('$HUSK' --root '$ROOT' ps --format json $ID) = [$PID] ]"
}
