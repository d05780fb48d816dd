#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# lanes: long
# One system call of a command fails, a different one each time: the command works all the same or says in one line why not,
# and leaves nothing behind. HUSK_FAULTS: how many calls of each command are tried, spread over its run; "all" for every one.
load helper
setup() { vm_setup; }
teardown() { vm_teardown; }

# What a call can plausibly fail with.
errno_of() { # CALL
	case $1 in
	open* | socket* | pipe* | dup* | memfd_create | epoll_create* | eventfd* | fcntl | pidfd_open | accept*) echo EMFILE ;;
	write* | pwrite* | mkdir* | rename* | ftruncate | symlink* | link*) echo ENOSPC ;;
	mmap | mremap | clone* | fork | vfork | mprotect | munmap) echo ENOMEM ;;
	poll | ppoll | read | readv | recvmsg | recvfrom | wait4 | waitid | epoll_wait | epoll_pwait | sendmsg | sendto) echo EINTR ;;
	*) echo EIO ;;
	esac
}

# The calls of a command, in order, as "NAME K": its Kth of that name. Not its start nor its end, which nothing can be done about,
# nor brk, which does not fail with a number, nor mprotect, which is the loader's.
calls_of() { # FILE COMMAND…
	local file=$1
	shift
	strace -o "$file.trace" "$@" >"$file.out" 2>&1 </dev/null || { cat "$file.out"; return 1; }
	sed -n 's/^\([a-z0-9_]*\)(.*/\1/p' "$file.trace" | awk '{ n[$1]++; print $1, n[$1] }' |
		grep -vE '^(execve|brk|mprotect|exit_group|arch_prctl|set_tid_address|set_robust_list|rseq|rt_sigreturn|restart_syscall|exit) ' >"$file"
	[ "$(wc -l <"$file")" -gt 10 ]
}

# So many lines of a file, spread evenly.
spread() { # FILE NUMBER
	if [ "$2" = all ]; then cat "$1"; else awk -v n="$2" '{ l[NR] = $0 } END { if (n > NR) n = NR; for (i = 0; i < n; i++) print l[int((i + 0.5) * NR / n) + 1] }' "$1"; fi
}

# Runs a command with one call failing: $rc, and what it said in the file said.
faulty() { # CALL K COMMAND…
	local call=$1 k=$2 error
	shift 2
	error=$(errno_of "$call")
	rc=0
	timeout -k 1 120 strace -o /dev/null -e trace="$call" -e inject="$call:error=$error:when=$k" "$@" >said 2>&1 </dev/null || rc=$?
	at="$call no. $k failing with $error: status $rc, said: $(head -c 400 said)"
	[ $rc -lt 124 ] || [ $rc = 255 ] || { echo "$at"; return 1; }
}

# One call of a running container's delete --force fails: that is told in one line with WORD, and another one finishes it.
delete_tells() { # CALL K WORD
	husk run -d -b "$BUNDLE" "$ID" </dev/null >/dev/null 2>&1
	faulty "$1" "$2" "$HUSK" --root "$ROOT" delete --force "$ID"
	[ $rc = 1 ] && clean_line && grep -q "$3" said || { echo "$at"; return 1; }
	expect 0 husk delete --force "$ID"
	nothing_left
}

clean_line() { [ "$(wc -l <said)" = 1 ] && grep -q '^husk: .' said; }

@test "husk create: each system call fails once" {
	bundle "$(args sleep 1000)"
	calls_of calls "$HUSK" --root "$ROOT" create -b "$BUNDLE" "$ID"
	husk delete --force "$ID"
	nothing_left
	while read -r call k; do
		faulty "$call" "$k" "$HUSK" --root "$ROOT" create -b "$BUNDLE" "$ID"
		if [ $rc = 0 ]; then
			[ "$(status_of "$ID")" = created ] || { echo "$at; not created"; false; }
		else
			clean_line || { echo "$at; not one line"; false; }
		fi
		husk delete --force "$ID" || { echo "$at; cannot be deleted"; false; }
		nothing_left || { echo "$at"; false; }
	done < <(spread calls "${HUSK_FAULTS:-10}")
}

@test "commands on a living container: each system call fails once, and the container lives on" {
	bundle "$(args sleep 1000)"
	husk run -d -b "$BUNDLE" "$ID" </dev/null >/dev/null 2>&1
	for command in "state $ID" "exec $ID true" "kill $ID 0" "ps $ID" "pause $ID" "list" "update --pids-limit 100 $ID"; do
		# shellcheck disable=SC2086 # a command's words
		calls_of calls "$HUSK" --root "$ROOT" $command || { cat calls.out; false; }
		husk resume "$ID" 2>/dev/null || :
		while read -r call k; do
			# shellcheck disable=SC2086
			faulty "$call" "$k" "$HUSK" --root "$ROOT" $command
			[ $rc = 0 ] || [ -s said ] || { echo "$command: $at; nothing said"; false; }
			husk resume "$ID" 2>/dev/null || :
			[ "$(status_of "$ID")" = running ] || { echo "$command: $at; no longer running"; false; }
		done < <(spread calls "${HUSK_FAULTS:-3}")
		expect 0 husk exec "$ID" echo alive
		[ "$out" = alive ]
	done
	# Its child's end is not missed, whichever of the calls for it fails.
	for k in 1 2; do
		faulty wait4 $k "$HUSK" --root "$ROOT" exec "$ID" true
		[ $rc = 0 ] || { echo "$at"; false; }
	done
	expect 0 husk delete --force "$ID"
}

@test "husk delete --force: each system call fails once, and another one finishes it" {
	bundle "$(args sleep 1000)"
	husk run -d -b "$BUNDLE" "$ID" </dev/null >/dev/null 2>&1
	calls_of calls "$HUSK" --root "$ROOT" delete --force "$ID"
	while read -r call k; do
		husk run -d -b "$BUNDLE" "$ID" </dev/null >/dev/null 2>&1
		faulty "$call" "$k" "$HUSK" --root "$ROOT" delete --force "$ID"
		expect 0 husk delete --force "$ID"
		nothing_left || { echo "$at"; false; }
	done < <(spread calls "${HUSK_FAULTS:-4}")
	# A state that cannot be read for now is not one that there is not: what it names would be left.
	k=$(grep '^openat' calls.trace | grep -n 'state\.json' | head -n 1 | cut -d : -f 1)
	delete_tells openat "$k" 'state\.json'
	# The last thing that a machine leaves, by itself.
	k=$(grep '^unlinkat' calls.trace | grep -n '"@sandbox"' | head -n 1 | cut -d : -f 1)
	delete_tells unlinkat "$k" '@sandbox'
}

@test "no room for the state, no descriptors left, no processes left" {
	bundle "$(args true)"
	mkdir small
	mount -t tmpfs -o size=4k,nr_inodes=3 none small
	rc=0
	"$HUSK" --root "$PWD/small" run -b "$BUNDLE" "$ID" >said 2>&1 </dev/null || rc=$?
	cat said
	[ $rc = 1 ] && clean_line
	grep -q 'No space left' said
	"$HUSK" --root "$PWD/small" delete --force "$ID"
	umount small
	for n in 4 6 8 10 12 16 20 24; do
		rc=0
		(ulimit -n $n; exec "$HUSK" --root "$ROOT" run -b "$BUNDLE" "$ID") >said 2>&1 </dev/null || rc=$?
		[ $rc = 0 ] || clean_line || { echo "$n descriptors: $rc"; cat said; false; }
		husk delete --force "$ID"
		nothing_left || { echo "$n descriptors"; false; }
	done
}
