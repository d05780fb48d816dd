#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# --systemd-cgroup, on a host whose first process is systemd: a container is a transient scope. Root's manager, and a
# user's own.
load ../vm/helper
setup() {
	vm_setup
	units_before=$(units_now)
}
teardown() {
	vm_teardown
	[ -z "${BATS_TEST_COMPLETED:-}" ] || settles units "$units_before" units_now
}

units_now() { systemctl list-units --all --plain --no-legend '*husk*' 2>/dev/null; }
show() { systemctl show -P "$2" "$1"; }
group_of_pid() { sed -n 's/^0:://p' "/proc/$1/cgroup"; }
sd() { husk --systemd-cgroup "$@"; }

@test "a scope in the slice that was asked for, with properties, limits and annotations; nothing is left" {
	bundle "$(args sleep 1000)"
	unit=t$$-$ID.scope
	configure '.linux.cgroupsPath = "husktest-sub.slice:t'$$':'"$ID"'"' \
		'.linux.resources.memory.limit = 300000000' '.linux.resources.pids.limit = 50' \
		'.linux.resources.cpu = {"quota": 155500, "period": 100000, "shares": 2048}' \
		'.annotations = {"org.systemd.property.TimeoutStopSec": "7", "org.systemd.property.After": "[\"local-fs.target\"]"}'
	sd create --pid-file pid -b "$BUNDLE" "$ID" </dev/null >/dev/null
	pid=$(cat pid) machine=$(jq .machinePid "$ROOT/@sandbox/$ID/state.json")
	path=/husktest.slice/husktest-sub.slice/$unit
	[ "$(group_of_pid "$pid")" = "$path" ]
	[ "$(group_of_pid "$machine")" = "$path" ]
	[ "$(sort /sys/fs/cgroup$path/cgroup.procs)" = "$(printf '%s\n' "$pid" "$machine" "$(jq .netPid "$ROOT/@sandbox/$ID/state.json")" | sort)" ]
	[ "$(jq -r .cgroup "$ROOT/$ID/state.json")" = "$path" ]
	for want in Delegate=yes Slice=husktest-sub.slice MemoryMax=$(((512 + 96) * 1048576)) TasksMax=306 CPUWeight=79 \
		CPUQuotaPerSecUSec=1.560000s CPUQuotaPeriodUSec=100ms TimeoutStopUSec=7s DefaultDependencies=no \
		CollectMode=inactive-or-failed "Description=husk container $ID" MemoryAccounting=yes IOAccounting=yes; do
		[ "$(show "$unit" "${want%%=*}")" = "${want#*=}" ] || { echo "$want: $(show "$unit" "${want%%=*}")"; false; }
	done
	systemctl show -P After "$unit" | grep -qw local-fs.target
	# What systemd rounds is exact in the group itself.
	[ "$(cat /sys/fs/cgroup$path/cpu.max)" = '155500 100000' ]
	[ "$(cat /sys/fs/cgroup$path/memory.max)" = $(((512 + 96) * 1048576)) ]
	husk start "$ID"
	is_status "$ID" running
	expect 0 husk exec "$ID" sh -c 'cat /sys/fs/cgroup/memory.max'
	[ "$out" = 299999232 ]
	# One of that name is refused, and does not harm the one that is there.
	expect 1 sd create -b "$BUNDLE" "other-$ID"
	says "$unit"
	one_line
	[ "$(show "$unit" ActiveState)" = active ]
	is_status "$ID" running
	husk delete --force "$ID"
	[ "$(show "$unit" LoadState)" = not-found ]
	[ ! -e /sys/fs/cgroup$path ]
	systemctl stop husktest.slice
}

@test "the default unit; run to the end, with its exit status" {
	bundle "$(args sh -c 'exit 7')"
	configure 'del(.linux.cgroupsPath)'
	expect 7 sd run -b "$BUNDLE" "$ID"
	[ "$(show "husk-$ID.scope" LoadState)" = not-found ]
	bundle "$(args sleep 1000)"
	sd run -d --pid-file pid -b "$BUNDLE" "$ID" </dev/null >/dev/null
	[ "$(group_of_pid "$(cat pid)")" = "/system.slice/husk-$ID.scope" ]
	husk exec -d --pid-file epid "$ID" sleep 1000 </dev/null >/dev/null
	[ "$(group_of_pid "$(cat epid)")" = "/system.slice/husk-$ID.scope" ]
	# The whole of it lost at once.
	kill -9 "$(cat pid)" "$(cat epid)" "$(jq .machinePid "$ROOT/@sandbox/$ID/state.json")"
	eventually is_status "$ID" stopped
	husk delete --force "$ID"
	[ "$(show "husk-$ID.scope" LoadState)" = not-found ]
}

@test "husk killed at any moment: delete --force leaves nothing, and so does time" {
	bundle "$(args sleep 1000)"
	gone() { [ "$(show "husk-$ID.scope" LoadState)" = not-found ]; }
	for ms in 10 40 80 130 200 400; do
		"$HUSK" --root "$ROOT" --systemd-cgroup create -b "$BUNDLE" "$ID" </dev/null >/dev/null 2>&1 &
		p=$!
		sleep "$(printf '0.%03d' "$ms")"
		kill -9 $p 2>/dev/null || :
		wait $p 2>/dev/null || :
		husk delete --force "$ID"
		# A helper that had just been told to start it may be at it still; it ends right behind.
		eventually gone
		[ ! -e "/sys/fs/cgroup/system.slice/husk-$ID.scope" ]
	done
	# Without anybody's help: the scope of a killed husk is empty, and goes.
	"$HUSK" --root "$ROOT" --systemd-cgroup create -b "$BUNDLE" "$ID" </dev/null >/dev/null 2>&1 &
	p=$!
	eventually systemctl -q is-active "husk-$ID.scope"
	kill -9 $p
	wait $p || :
	eventually gone
	husk delete --force "$ID"
}

@test "a user's own manager, from a user namespace; delete needs nothing of the environment" {
	systemctl start user@0.service
	remember
	bundle "$(args sleep 1000)"
	configure '.linux.cgroupsPath = ":u'$$':'"$ID"'"'
	path=/user.slice/user-0.slice/user@0.service/user.slice/u$$-$ID.scope
	in_namespace() { unshare -Urm -- "$@"; }
	expect 1 in_namespace env -u XDG_RUNTIME_DIR -u DBUS_SESSION_BUS_ADDRESS "$HUSK" --root "$ROOT" --systemd-cgroup create -b "$BUNDLE" "$ID"
	says 'no user bus'
	one_line
	expect 1 in_namespace env DBUS_SESSION_BUS_ADDRESS=unix:path=/nowhere "$HUSK" --root "$ROOT" --systemd-cgroup create -b "$BUNDLE" "$ID"
	says 'systemd: cannot connect to unix:path=/nowhere'
	one_line
	in_namespace env XDG_RUNTIME_DIR=/run/user/0 "$HUSK" --root "$ROOT" --systemd-cgroup create -b "$BUNDLE" --pid-file pid "$ID" </dev/null >/dev/null
	[ "$(group_of_pid "$(cat pid)")" = "$path" ]
	[ "$(group_of_pid "$(jq .machinePid "$ROOT/@sandbox/$ID/state.json")")" = "$path" ]
	in_namespace env -i "$HUSK" --root "$ROOT" delete --force "$ID"
	[ "$(XDG_RUNTIME_DIR=/run/user/0 systemctl --user show -P LoadState "u$$-$ID.scope")" = not-found ]
	[ ! -e "/sys/fs/cgroup$path" ]
}

@test "what is refused, before anything exists" {
	bundle
	configure '.linux.cgroupsPath = "/a/b"'
	expect 1 sd run -b "$BUNDLE" "$ID"
	says 'expected cgroupsPath to be of format "slice:prefix:name"'
	one_line
	configure '.linux.cgroupsPath = "a.slice:p:n"' '.annotations = {"org.systemd.property.FailureAction": "'"'reboot'"'"}'
	expect 1 sd run -b "$BUNDLE" "$ID"
	says 'org.systemd.property.FailureAction'
	one_line
	configure 'del(.annotations)' '.linux.cgroupsPath = "a--b.slice:p:n"'
	expect 1 sd run -b "$BUNDLE" "$ID"
	says 'invalid slice name: a--b.slice'
	one_line
}
