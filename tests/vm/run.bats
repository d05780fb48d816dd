#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# husk run, in the foreground: output, exit status, standard streams.
load helper
setup() { vm_setup; }
teardown() { vm_teardown; }

@test "the default configuration's shell says hello" {
	bundle "$(args sh -c 'echo hello; echo oops >&2')"
	expect 0 husk run -b "$BUNDLE" "$ID"
	[ "$out" = hello ]
	[ "$err" = oops ]
}

@test "exit statuses 0, 1, 42, 255 are the caller's" {
	for n in 0 1 42 255; do
		bundle "$(args sh -c "exit $n")"
		expect $n husk run -b "$BUNDLE" "$ID"
	done
}

@test "a process that dies of a signal: 128 and its number" {
	bundle "$(args sh -c 'kill -SEGV $$')" '.process.args = ["sh", "-c", "sh -c \"kill -SEGV \\$\\$\"; echo $?"]'
	expect 0 husk run -b "$BUNDLE" "$ID"
	[ "$out" = 139 ]
}

@test "standard input reaches the process, and so does its end" {
	bundle "$(args sh -c 'cat; echo end')"
	printf 'one\ntwo\n' >in
	expect 0 husk run -b "$BUNDLE" "$ID" <in
	[ "$out" = $'one\ntwo\nend' ]
	expect 0 husk run -b "$BUNDLE" "$ID" < <(printf piped)
	[ "$out" = 'pipedend' ]
	expect 0 husk run -b "$BUNDLE" "$ID" </dev/null
	[ "$out" = end ]
	expect 0 husk run -b "$BUNDLE" "$ID" <&-
	[ "$out" = end ]
}

@test "20 MB of output, of two streams, arrive whole" {
	bundle "$(args sh -c 'head -c 20000000 /dev/zero | tr "\0" x; head -c 1000000 /dev/zero >&2')"
	expect 0 bash -c "'$HUSK' --root '$ROOT' run -b '$BUNDLE' $ID 2>e | wc -c"
	[ "$out" = 20000000 ]
	[ "$(stat -c %s e)" = 1000000 ]
}

@test "4 MB there and back are the same" {
	bundle "$(args cat)"
	head -c 4000000 /dev/urandom >in
	husk run -b "$BUNDLE" "$ID" <in >got
	cmp in got
}

@test "a reader that goes away ends the writer" {
	bundle "$(args sh -c 'yes; exit 3')"
	expect 0 bash -c "timeout 60 '$HUSK' --root '$ROOT' run -b '$BUNDLE' $ID | head -n 2"
	[ "$out" = $'y\ny' ]
}

@test "a program that is not there: 127; that is no program: 126" {
	bundle "$(args nothere)"
	expect 127 husk run -b "$BUNDLE" "$ID"
	says 'run failed: ' 'exec: "nothere": executable file not found in $PATH'
	one_line
	root_empty
	configure "$(args /etc/passwd)"
	expect 126 husk run -b "$BUNDLE" "$ID"
	says 'permission denied'
	one_line
	root_empty
	configure "$(args nothere)"
	expect 1 husk create -b "$BUNDLE" "$ID"
	says 'create failed: ' 'executable file not found'
	root_empty
}

@test "signals to husk reach the process" {
	bundle "$(args sh -c 'trap "echo term; exit 5" TERM; echo ready; while :; do sleep 0.1; done')"
	"$HUSK" --root "$ROOT" run -b "$BUNDLE" "$ID" >o 2>e </dev/null &
	pid=$!
	eventually grep -q ready o
	kill -TERM $pid
	rc=0
	wait $pid || rc=$?
	[ "$rc" = 5 ]
	grep -q term o
}

@test "--detach returns at once, --pid-file holds the stand-in, the output flows on" {
	bundle "$(args sh -c 'echo early; while [ ! -e /tmp/go ]; do sleep 0.1; done; echo late')"
	husk run -d --pid-file pid -b "$BUNDLE" "$ID" >o </dev/null
	[ "$(cat "/proc/$(cat pid)/comm")" = husk-proxy:run ]
	[ "$(husk state "$ID" | jq .pid)" = "$(cat pid)" ]
	grep -q late o && false
	touch "$BUNDLE/rootfs/tmp/go"
	eventually grep -q late o
	eventually is_status "$ID" stopped
	husk delete "$ID"
}

@test "--keep keeps it, stopped; its id is in use then" {
	bundle "$(args true)"
	expect 0 husk run --keep -b "$BUNDLE" "$ID"
	is_status "$ID" stopped
	expect 1 husk run -b "$BUNDLE" "$ID"
	says 'run failed: container with given ID already exists'
	husk delete "$ID"
}

@test "the time line of a start is in the debug log" {
	bundle "$(args true)"
	expect 0 husk --debug --log log --log-format json run -b "$BUNDLE" "$ID"
	for step in 'config.json read' 'first guest instruction' 'agent ready' 'container created in the guest' \
		'process started' 'process exited' 'container torn down'; do
		jq -r .msg log | grep -q "^time line: .* ns  .*$step"
	done
}

@test "two containers at a time do not see each other" {
	bundle "$(args sh -c 'sleep 7777 & sleep 2; ps -o args | grep -cx "sleep 7777"')"
	husk run -b "$BUNDLE" "$ID-a" >a </dev/null & pa=$!
	husk run -b "$BUNDLE" "$ID-b" >b </dev/null & pb=$!
	wait $pa
	wait $pb
	[ "$(cat a b)" = $'1\n1' ] || { cat a b; false; }
}
