# SPDX-License-Identifier: Apache-2.0
# For tests in real virtual machines. After each one nothing may be left of what it did: processes, folders, control
# groups, mounts.
load ../cli/helper

# vm_setup: a folder of containers, a bundle folder, and what was there before.
vm_setup() {
	common_setup
	# Short: everything of this test can be told by it.
	ID=h$$-$BATS_TEST_NUMBER
	remember
}

remember() {
	jobs_before=$(jobs -p)
	procs_before=$(husk_processes)
	groups_before=$(groups_now)
	mounts_before=$(mounts_now)
}

leftovers() { "$BUILT/bin/leftovers" "$1"; }
husk_processes() { leftovers processes; }
groups_now() { leftovers groups; }
mounts_now() { leftovers mounts; }

# What dies may take a moment; what leaks stays.
settles() { # NAME BEFORE COMMAND
	local end=$((SECONDS + 180)) now
	while :; do
		now=$($3)
		[ "$now" != "$2" ] || return 0
		[ $SECONDS -lt $end ] || break
		sleep 0.05
	done
	printf '%s changed:\n' "$1"
	diff <(printf '%s\n' "$2") <(printf '%s\n' "$now")
	return 1
}

nothing_left() {
	settles processes "$procs_before" husk_processes &&
		settles 'control groups' "$groups_before" groups_now &&
		settles mounts "$mounts_before" mounts_now &&
		root_empty
}

# What a failed test left in the background goes with it: bats waits for whatever has its output, and a function in the
# background has copies of it that bash keeps, whatever was closed for it.
end_background() {
	local p
	for p in $(jobs -p); do grep -qx "$p" <<<"$jobs_before" || kill "$p" || :; done
}

# What a failed test leaves to look at: the files in its folder, and of each container its state, its processes and the end of
# its guest's console.
tell_why() {
	local f id asks=(timeout 10 "$HUSK" --root "$ROOT")
	for f in "$BATS_TEST_TMPDIR"/*; do
		[ -f "$f" ] && [ -s "$f" ] || continue
		echo "---- ${f##*/}, $(stat -c %s "$f") bytes:"
		tail -c 1500 "$f" | tr -c '[:print:]\n\t' '?'
		echo
	done
	for id in $("${asks[@]}" list -q 2>/dev/null); do
		echo "---- $id: $("${asks[@]}" state "$id" 2>&1 | tr -d '\n')"
		"${asks[@]}" exec "$id" sh -c 'for f in /proc/[0-9]*; do echo "$f" $(cat $f/comm $f/wchan); done; head -n 30 /sys/fs/cgroup/memory.*' \
			</dev/null 2>&1 | tail -n 60 || :
		"${asks[@]}" console --dump "$id" 2>&1 | tail -n 40 | tr -c '[:print:]\n\t' '?' || :
	done
}

vm_teardown() {
	local left=0 id
	[ -n "${BATS_TEST_COMPLETED:-}" ] || { tell_why; end_background; }
	# A failed test's container must not fail the next one; a passed one must have none.
	[ -z "${BATS_TEST_COMPLETED:-}" ] || nothing_left || left=1
	[ ! -e "$ROOT" ] || for id in $(husk list -q 2>/dev/null); do husk delete --force "$id" || :; done
	return $left
}

# ---- a container that the tests of a file share -------------------------------------------------------------
shared_setup() { # FILTER… (in setup_file)
	export SHARED_ROOT=$BATS_FILE_TMPDIR/run SHARED_BUNDLE=$BATS_FILE_TMPDIR/bundle SHARED_ID=f$$
	ROOT=$SHARED_ROOT BUNDLE=$SHARED_BUNDLE BATS_TEST_TMPDIR=$BATS_FILE_TMPDIR
	remember
	export procs_before groups_before mounts_before
	bundle "$(args sleep 100000)" "$@"
	husk run -d -b "$BUNDLE" --pid-file "$BATS_FILE_TMPDIR/pid" "$SHARED_ID" </dev/null >/dev/null 2>&1 3>&- 4>&-
	SHARED_PID=$(cat "$BATS_FILE_TMPDIR/pid")
	export SHARED_PID
}
shared_use() { # (in setup)
	common_setup
	ROOT=$SHARED_ROOT BUNDLE=$SHARED_BUNDLE ID=$SHARED_ID PID=$SHARED_PID
}
shared_teardown() { # (in teardown_file)
	ROOT=$SHARED_ROOT
	husk delete --force "$SHARED_ID"
	nothing_left
}

# Of a container: its control group on the host; the process of the machine that it has made.
group_of() { echo "/sys/fs/cgroup$(json_field cgroup "$(<"$ROOT/$1/state.json")")"; }
machine_of() { json_field machinePid "$(<"$ROOT/@sandbox/$1/state.json")"; }

# The process of that name has these capabilities, a list of system calls, and can get no more.
locked_in() { # COMM CAPABILITIES
	local line status
	status=$(pgrep -x "$1") && status=$(cat "/proc/$status/status" 2>/dev/null) || return 1
	for line in Seccomp:$'\t'2 NoNewPrivs:$'\t'1 CapPrm:$'\t'"$2" CapEff:$'\t'"$2" CapInh:$'\t'0000000000000000 CapAmb:$'\t'0000000000000000; do
		[[ $'\n'$status$'\n' == *$'\n'"$line"$'\n'* ]] || { echo "$1: not $line: $status"; return 1; }
	done
}

is_free() { # FILE…: nobody holds a lock on it
	local f
	for f; do ! grep -q ":$(stat -c %i "$f") " /proc/locks || { echo "$f is locked"; return 1; }; done
}

status_of() {
	local state
	state=$(husk state "$1") && json_field status "$state"
}

# Until the command succeeds. What is waited for happens or it does not: the time is for machines that are emulated on a busy
# host, and asserts nothing.
eventually() {
	local end=$((SECONDS + 240))
	until "$@"; do
		[ $SECONDS -lt $end ] || { echo "never: $*"; return 1; }
		sleep 0.1
	done
}
is_status() { [ "$(status_of "$1")" = "$2" ]; }
