#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# pause and resume, and what every other command says of a paused container.
load helper
setup() { vm_setup; }
teardown() { vm_teardown; }

# A process that counts on: whether it did so within a moment.
counts() {
	local before
	before=$(wc -c <o)
	sleep "${1:-0.5}"
	[ "$(wc -c <o)" -gt "$before" ]
}
still() { ! counts 1; }

@test "a paused container stands still, says so, and goes on where it was" {
	bundle "$(args sh -c 'trap "echo term" TERM; while :; do echo .; sleep 0.05; done')"
	husk run -d --pid-file pid -b "$BUNDLE" "$ID" >o </dev/null
	eventually counts
	expect 1 husk resume "$ID"
	[ "$err" = 'husk: container not paused' ]
	expect 0 husk pause "$ID"
	[ -z "$out$err" ]
	eventually still # what was on its way may still come
	is_status "$ID" paused
	[ "$(husk state "$ID" | jq .pid)" = "$(cat pid)" ]
	[ "$(husk list --format json | jq -r '.[0].status')" = paused ]
	husk list | grep -q " paused "
	expect 1 husk pause "$ID"
	[ "$err" = 'husk: container not running' ]
	expect 1 husk start "$ID"
	[ "$err" = 'husk: cannot start a container in the paused state' ]
	expect 1 husk delete "$ID"
	[ "$err" = "husk: cannot delete container $ID that is not stopped: paused" ]
	expect 255 husk exec "$ID" true
	[ "$err" = 'husk: exec failed: cannot exec in a paused container (use --ignore-paused to override)' ]
	expect 0 husk ps "$ID"
	[[ $out == *'while :'* ]]
	# Waits for the resumption, as a signal does.
	husk exec --ignore-paused "$ID" echo inside >x </dev/null & waiting=$!
	expect 0 husk kill "$ID" TERM
	sleep 0.5
	[ ! -s x ]
	grep -q term o && false
	is_status "$ID" paused
	expect 0 husk resume "$ID"
	[ -z "$out$err" ]
	is_status "$ID" running
	wait "$waiting"
	[ "$(cat x)" = inside ]
	eventually grep -q term o
	eventually counts
	# Frozen ones can be killed.
	husk pause "$ID"
	expect 0 husk kill "$ID" KILL
	eventually is_status "$ID" stopped
	expect 1 husk pause "$ID"
	[ "$err" = 'husk: container not running' ]
	expect 1 husk resume "$ID"
	[ "$err" = 'husk: container not paused' ]
	expect 0 husk delete "$ID"
	expect 1 husk pause "$ID"
	[ "$err" = 'husk: container does not exist' ]
}

@test "a created container can be paused, and is created again afterwards; delete --force ends a paused one" {
	bundle "$(args sleep 1000)"
	husk create -b "$BUNDLE" "$ID" </dev/null >/dev/null
	husk pause "$ID"
	is_status "$ID" paused
	expect 1 husk start "$ID"
	[ "$err" = 'husk: cannot start a container in the paused state' ]
	husk resume "$ID"
	is_status "$ID" created
	husk start "$ID"
	husk pause "$ID"
	expect 0 husk delete --force "$ID"
}

@test "husk killed in the middle of a pause: the container is paused or it is not, and both work" {
	bundle "$(args sleep 1000)"
	husk run -d -b "$BUNDLE" "$ID" </dev/null >/dev/null
	for i in 0 1 2 4 8 16 32 64; do
		"$HUSK" --root "$ROOT" pause "$ID" 2>/dev/null & victim=$!
		sleep "$(printf '0.%03d' "$i")"
		kill -KILL "$victim" 2>/dev/null || :
		wait "$victim" || :
		sleep 0.2
		case $(status_of "$ID") in
		paused) husk resume "$ID" ;;
		# what the killed one asked for may be done by now
		running) husk pause "$ID" 2>e || eventually is_status "$ID" paused; husk resume "$ID" ;;
		*) false ;;
		esac
		is_status "$ID" running
	done
	[ "$(husk exec "$ID" echo inside </dev/null)" = inside ]
	husk pause "$ID"
	husk kill --all "$ID" KILL
	eventually is_status "$ID" stopped
	husk delete "$ID"
}
