#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# lanes: long
# Whatever is killed at whatever moment, delete --force ends with nothing left, and the id can be used again. HUSK_KILLS: so
# many random moments for each (seed HUSK_SEED) instead of the few that are listed.
load helper
setup() { vm_setup; }
teardown() { vm_teardown; }

moments() { # MS…
	[ -n "${HUSK_KILLS-}" ] || { echo "$@"; return; }
	# The longest that is listed is beyond the end; early moments are as likely as late ones on a scale of logarithms.
	awk -v n="$HUSK_KILLS" -v seed="${HUSK_SEED:-7}" -v max="${*: -1}" 'BEGIN { srand(seed); for (i = 0; i < n; i++) print int(exp(rand() * log(max + 1)) * 10) / 10 - 1 }'
}

@test "husk create killed at ten moments" {
	bundle "$(args sleep 1000)"
	for ms in $(moments 0 5 20 50 100 200 400 800 1500 3000); do
		"$HUSK" --root "$ROOT" create -b "$BUNDLE" "$ID" >/dev/null 2>&1 </dev/null &
		pid=$!
		sleep "$(awk "BEGIN { print $ms / 1000 }")"
		kill -9 $pid 2>/dev/null || :
		wait $pid 2>/dev/null || :
		expect 0 husk delete --force "$ID"
		nothing_left || { echo "after $ms ms"; false; }
	done
}

@test "a killed create's id can be created again at once" {
	bundle "$(args true)"
	for ms in $(moments 100 500 1200); do
		"$HUSK" --root "$ROOT" create -b "$BUNDLE" "$ID" >/dev/null 2>&1 </dev/null &
		pid=$!
		sleep "$(awk "BEGIN { print $ms / 1000 }")"
		kill -9 $pid 2>/dev/null || :
		wait $pid 2>/dev/null || :
		if [ "$(status_of "$ID" 2>/dev/null)" != created ]; then
			expect 0 husk run -b "$BUNDLE" "$ID"
		else
			husk delete --force "$ID"
		fi
	done
}

@test "husk run killed while the container runs: the container goes on" {
	bundle "$(args sh -c 'echo ready; exec sleep 1000')"
	"$HUSK" --root "$ROOT" run -b "$BUNDLE" "$ID" >o 2>&1 </dev/null &
	pid=$!
	eventually grep -q ready o
	kill -9 $pid
	wait $pid || :
	is_status "$ID" running
	expect 0 husk exec "$ID" echo still
	[ "$out" = still ]
	expect 0 husk delete --force "$ID"
}

@test "delete killed: the next one finishes it" {
	bundle "$(args sleep 1000)"
	for ms in $(moments 0 10 50 150); do
		husk run -d -b "$BUNDLE" "$ID" >/dev/null 2>&1 </dev/null
		"$HUSK" --root "$ROOT" delete --force "$ID" &
		pid=$!
		sleep "$(awk "BEGIN { print $ms / 1000 }")"
		kill -9 $pid 2>/dev/null || :
		wait $pid 2>/dev/null || :
		expect 0 husk delete --force "$ID"
		nothing_left || { echo "after $ms ms"; false; }
	done
}

@test "exec killed: its process ends or goes on, and the container takes others" {
	bundle "$(args sleep 1000)"
	husk run -d -b "$BUNDLE" "$ID" >/dev/null 2>&1 </dev/null
	for ms in $(moments 0 5 20 50 120); do
		"$HUSK" --root "$ROOT" exec "$ID" sleep 1 >/dev/null 2>&1 </dev/null &
		pid=$!
		sleep "$(awk "BEGIN { print $ms / 1000 }")"
		kill -9 $pid 2>/dev/null || :
		wait $pid 2>/dev/null || :
		expect 0 husk exec "$ID" echo "$ms"
		[ "$out" = "$ms" ]
	done
	eventually sh -c "[ \$(ps -eo comm= | grep -c '^husk-proxy') = 1 ]"
	expect 0 husk delete --force "$ID"
}

@test "state files that were overwritten: delete --force all the same" {
	bundle "$(args sleep 1000)"
	husk run -d -b "$BUNDLE" "$ID" >/dev/null 2>&1 </dev/null
	cp "$ROOT/$ID/state.json" kept
	echo garbage >"$ROOT/$ID/state.json"
	expect 1 husk state "$ID"
	says 'state.json: '
	expect 0 husk delete --force "$ID"
	# Its group's name was in the file that is lost.
	group=/sys/fs/cgroup$(jq -r .cgroup kept)
	goes() { rmdir "$group" 2>/dev/null || [ ! -e "$group" ]; }
	eventually goes
}

@test "create while another husk creates the same id" {
	bundle "$(args sh -c 'until [ -e /go ]; do sleep 0.1; done')"
	"$HUSK" --root "$ROOT" run -b "$BUNDLE" "$ID" </dev/null >/dev/null 2>&1 &
	pid=$!
	eventually test -e "$ROOT/$ID"
	expect 1 husk create -b "$BUNDLE" "$ID"
	says 'container with given ID already exists'
	: >"$BUNDLE/rootfs/go"
	wait $pid
}

# A create whose husk-machine or husk-proxy dies says so in one line and leaves nothing; one that was through already
# leaves a container that can be deleted.
kill_part() { # NAME MS
	local pid rc=0
	"$HUSK" --root "$ROOT" create -b "$BUNDLE" "$ID" >/dev/null 2>part.err </dev/null &
	pid=$!
	sleep "$(awk "BEGIN { print $2 / 1000 }")"
	pkill -9 -P $pid "$1" || :
	wait $pid || rc=$?
	if [ $rc != 0 ]; then
		[ "$(grep -c . part.err)" = 1 ] || { cat part.err; return 1; }
		expect 1 husk state "$ID"
	fi
	expect 0 husk delete --force "$ID"
	nothing_left || { echo "$1 killed after $2 ms: status $rc"; return 1; }
}

@test "husk-machine killed at six moments of a create" {
	bundle "$(args sleep 1000)"
	for ms in $(moments 20 70 180 400 850 2400); do
		kill_part husk-machine $ms
	done
}

@test "husk-proxy killed at six moments of a create" {
	bundle "$(args sleep 1000)"
	for ms in $(moments 20 70 180 400 850 2400); do
		kill_part husk-proxy $ms
	done
}
