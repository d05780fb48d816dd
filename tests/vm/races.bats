#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Two commands at the same time on one id: each either does its work or says in one line why not, what is there afterwards is a
# whole container or none, and nothing else is left. HUSK_RACES times for each pair, with each a little ahead in turn.
load helper
setup() {
	vm_setup
	bundle "$(args sleep 1000)"
}
teardown() { vm_teardown; }

# Runs both; $a, $b: their exit statuses, files ea, eb: their errors.
race() { # ROUND COMMAND -- COMMAND
	local round=$1 first=() ahead
	shift
	while [ "$1" != -- ]; do first+=("$1"); shift; done
	shift
	ahead=$((round % 8 * 4))
	a=0 b=0
	if [ $((round / 8 % 2)) = 0 ]; then
		"${first[@]}" >oa 2>ea </dev/null & pa=$!
		sleep "$(printf '0.%03d' "$ahead")"
		"$@" >ob 2>eb </dev/null & pb=$!
	else
		"$@" >ob 2>eb </dev/null & pb=$!
		sleep "$(printf '0.%03d' "$ahead")"
		"${first[@]}" >oa 2>ea </dev/null & pa=$!
	fi
	wait "$pa" || a=$?
	wait "$pb" || b=$?
	echo "round $round: $a $(cat ea) | $b $(cat eb)"
}

# What failed said why, in one line of these; what did not said nothing.
lost() { # STATUS FILE PATTERN
	if [ "$1" = 0 ]; then
		[ ! -s "$2" ]
	else
		[ "$(wc -l <"$2")" = 1 ] && grep -Eq "$3" "$2"
	fi
}

h() { "$HUSK" --root "$ROOT" "$@"; }
rounds() { seq 0 $((${HUSK_RACES:-2} - 1)); }
gone='container (does not exist|not running)'

@test "create and create" {
	for i in $(rounds); do
		race "$((i * 5))" h create -b "$BUNDLE" "$ID" -- h create -b "$BUNDLE" "$ID"
		[ $((a + b)) = 1 ]
		lost "$a" ea 'container with given ID already exists'
		lost "$b" eb 'container with given ID already exists'
		is_status "$ID" created
		h delete "$ID"
		nothing_left
	done
}

@test "start and delete" {
	for i in $(rounds); do
		h create -b "$BUNDLE" "$ID" </dev/null >/dev/null 2>&1
		race "$((i * 5))" h start "$ID" -- h delete "$ID"
		lost "$a" ea "$gone|cannot start a container that has stopped|husk-proxy has ended"
		lost "$b" eb 'that is not stopped: running'
		[ "$a" = 0 ] || [ "$b" = 0 ]
		if [ "$b" = 0 ]; then root_empty; else is_status "$ID" running; fi
		h delete --force "$ID"
		nothing_left
	done
}

@test "kill and delete" {
	for i in $(rounds); do
		h run -d -b "$BUNDLE" "$ID" </dev/null >/dev/null 2>&1
		race "$((i * 5))" h kill "$ID" KILL -- h delete "$ID"
		[ "$a" = 0 ]
		lost "$b" eb 'that is not stopped: running'
		if [ "$b" = 0 ]; then root_empty; else eventually is_status "$ID" stopped; h delete "$ID"; fi
		nothing_left
	done
}

@test "exec and delete --force" {
	for i in $(rounds); do
		h run -d -b "$BUNDLE" "$ID" </dev/null >/dev/null 2>&1
		race "$((i * 21))" h exec "$ID" sh -c 'echo inside; exec sleep 100' -- h delete --force "$ID"
		[ "$b" = 0 ] && [ ! -s eb ]
		# It never was, or it was killed with the rest.
		case $a in
		137) [ "$(cat oa)" = inside ] || [ ! -s oa ] ;;
		255) [ "$(wc -l <ea)" = 1 ] && grep -q '^husk: ' ea ;;
		*) false ;;
		esac
		root_empty
		nothing_left
	done
}

@test "pause and delete --force" {
	for i in $(rounds); do
		h run -d -b "$BUNDLE" "$ID" </dev/null >/dev/null 2>&1
		race "$((i * 5))" h pause "$ID" -- h delete --force "$ID"
		[ "$b" = 0 ] && [ ! -s eb ]
		lost "$a" ea "$gone|container was resumed|container has gone|husk-proxy has ended|process was forgotten"
		root_empty
		nothing_left
	done
}

@test "update --device-add and kill, and delete --force" {
	truncate -s 1M disk
	for i in $(rounds); do
		h run -d -b "$BUNDLE" "$ID" </dev/null >/dev/null 2>&1
		race "$((i * 5))" h update --device-add "$PWD/disk:/dev/disk" "$ID" -- h kill "$ID" KILL
		[ "$b" = 0 ] && [ ! -s eb ]
		lost "$a" ea "$gone|container has gone|husk-proxy has ended|machine has ended"
		eventually is_status "$ID" stopped
		h delete "$ID"
		is_free disk
		nothing_left
		h run -d -b "$BUNDLE" "$ID" </dev/null >/dev/null 2>&1
		race "$((i * 5))" h update --device-add "$PWD/disk:/dev/disk" "$ID" -- h delete --force "$ID"
		[ "$b" = 0 ] && [ ! -s eb ]
		lost "$a" ea "$gone|container has gone|husk-proxy has ended|machine has ended"
		root_empty
		is_free disk
		nothing_left
	done
}
