#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
load helper
setup() { common_setup; }

each_command() { # ID TEXT
	local c
	for c in create run start state delete 'delete --force' kill ps; do
		expect 1 husk $c "$1"
		says "$2"
		one_line
	done
	expect 255 husk exec "$1" true
	says "$2"
}

@test "an empty id" {
	bundle; cd "$BUNDLE"
	each_command '' 'container id cannot be empty'
	root_empty
}

@test "ids that climb, that are paths, that hold other characters" {
	bundle; cd "$BUNDLE"
	for id in ../x . .. a/b 'a b' $'a\n' '@sandbox' 'ä'; do
		each_command "$id" 'invalid container ID format'
	done
	root_empty
}

@test "1025 characters are too many" {
	bundle; cd "$BUNDLE"
	each_command "$(printf '%01025d' 0)" 'invalid container ID format: 1025 characters'
	root_empty
}

@test "a container that does not exist" {
	for c in start state delete kill ps; do
		expect 1 husk $c nope
		[ "$err" = 'husk: container does not exist' ]
	done
	expect 255 husk exec nope true
	[ "$err" = 'husk: exec failed: container does not exist' ]
	expect 1 husk kill nope FROB
	says 'container does not exist'
	expect 0 husk delete --force nope
	expect 0 husk delete -f nope
	[ ! -e "$ROOT" ]
}

@test "list without any container" {
	expect 0 husk list
	[ "$out" = 'ID          PID         STATUS      BUNDLE      CREATED     OWNER' ]
	expect 0 husk list --format json
	[ "$out" = null ]
	expect 0 husk list -q
	[ -z "$out" ]
	expect 1 husk list --format frob
	says 'invalid format option'
}

@test "list: what cannot be read or written is said, and no shorter list stands for it" {
	mkdir -p "$ROOT/x"
	few() { sh -c 'exec 3>&- 4>&- 5>&- 6>&- 7>&- && ulimit -n "$1" && exec "$2" --root "$3" list' sh "$1" "$HUSK" "$ROOT"; } # DESCRIPTORS
	expect 1 few 4
	says 'cannot read the folder of all containers: '
	one_line
	[ -z "$out" ]
	expect 1 few 5
	says 'container x: '
	[ -z "$out" ]
	rmdir "$ROOT/x"
	full() { husk "$@" >/dev/full; }
	for format in table json; do
		expect 1 full list --format $format
		says 'No space left on device'
		one_line
	done
}

@test "a state file that is none" {
	mkdir -p "$ROOT/x"
	for text in '{' '[]' '{}' '{"version":2}' '{"version":1,"id":"../../etc"}'; do
		printf %s "$text" >"$ROOT/x/state.json"
		for c in state start delete kill; do
			expect 1 husk $c x
			says 'state.json: '
			one_line
		done
		expect 0 husk list
		says 'load container x: state.json: '
	done
	expect 1 husk create -b / x
	expect 0 husk delete --force x
	root_empty
	# As with runc it goes, and was none.
	mkdir -p "$ROOT/x"
	expect 1 husk delete x
	says 'container does not exist'
	one_line
	root_empty
}

@test "a folder that a killed command left is no container" {
	mkdir -p "$ROOT/x"
	expect 1 husk state x
	says 'container does not exist'
	expect 0 husk delete --force x
	root_empty
}

@test "the folder of containers: XDG_RUNTIME_DIR's in a user namespace and for other users, as runc's" {
	local run=$BATS_TEST_TMPDIR/xdg
	mkdir -p "$run/husk/abc"
	at() { expect 0 env XDG_RUNTIME_DIR="$run" "$@" list; }
	at unshare -r env -u USER "$HUSK"
	says 'load container abc'
	at unshare -r env USER=somebody "$HUSK"
	says 'load container abc'
	at unshare -r env USER=root "$HUSK"
	[ -z "$err" ]
	if [ "$(id -u)" = 0 ]; then
		at env -u USER "$HUSK"
		[ -z "$err" ]
	fi
}
