#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# lanes: long
# Files of a share beside the same file system on the host: software that runs in a guest cannot tell. What differs all
# the same, and why, is in docs/file-differences.md; a case that is named there and does not differ is a failure, too.
load helper

# A disk's file system, since what lies in memory lacks some of what is tried. Its folder is open to every user.
setup_file() {
	export DISK=/tmp/husk-files.$$
	mkdir -m 755 "$DISK" && truncate -s 600M "$DISK.img"
	mkfs.ext4 -q -E lazy_itable_init=1,lazy_journal_init=1 "$DISK.img"
	mount -o loop "$DISK.img" "$DISK"
	mkdir "$DISK/host" "$DISK/share"
}
teardown_file() {
	umount "$DISK"
	rm -rf "$DISK" "$DISK.img"
}
setup() { vm_setup; }
teardown() { vm_teardown; }

TOOLS=$BUILT/bin
ALL_CAPS='["CAP_CHOWN","CAP_DAC_OVERRIDE","CAP_DAC_READ_SEARCH","CAP_FOWNER","CAP_FSETID","CAP_KILL","CAP_LEASE","CAP_MKNOD",
	"CAP_SETFCAP","CAP_SETGID","CAP_SETUID","CAP_SYS_ADMIN","CAP_SYS_RESOURCE","CAP_SYS_CHROOT"]'

USER_TOPICS='acl attr link open remove rename special time xattr'

# A bundle with the programs in its root and the disk's folder at /share.
files_bundle() { # FILTER…
	bundle '.root.readonly = false' '.process.noNewPrivileges = false' \
		".mounts += [{destination: \"/share\", type: \"bind\", source: \"$DISK/share\", options: [\"rbind\"]}]" "$@"
	cp "$TOOLS/fs-conform" "$TOOLS/fs-random" "$BUNDLE/rootfs/bin/"
	cp -r "$TOP/tests/fs/cases" "$BUNDLE/rootfs/cases"
}

as_root=".process.capabilities |= map_values($ALL_CAPS)"

# The differences that are known, by name.
known() { grep -o '^| `[^|]*' "$TOP/docs/file-differences.md" | grep -oE '[a-z0-9]+\.[a-z0-9-]+' | sort; }

# Compares two outputs; each line is a case. What differs has to be known; with "all" the known have to differ.
same_but_known() { # HOST SHARE [all]
	diff <(sort "$1") <(sort "$2") | sed -n 's/^[<>] \([^ ]*\).*/\1/p' | sort -u >differ
	known >want
	[ "${3-}" = all ] || comm -12 want differ >want.here
	[ "${3-}" = all ] || mv want.here want
	diff -u want differ || {
		echo 'these differ (+) or should (-); host, then share:'
		for name in $(comm -13 want differ); do grep "^$name " "$1" "$2"; done
		return 1
	}
}

@test "700 cases of every operation on files answer on a share as on the host, as root and other users" {
	mkdir "$DISK/host/a" "$DISK/share/a"
	files_bundle "$as_root" "$(args sh -c 'exec fs-conform /share/a /cases/*')"
	"$TOOLS/fs-conform" "$DISK/host/a" "$TOP"/tests/fs/cases/* >host
	[ "$(wc -l <host)" -gt 700 ]
	expect 0 husk run -b "$BUNDLE" "$ID"
	same_but_known host out all
}

@test "the same as one user without privileges, where that makes a difference" {
	mkdir "$DISK/host/b" "$DISK/share/b"
	chmod 777 "$DISK/host/b" "$DISK/share/b"
	files_bundle '.process.user = {uid: 1001, gid: 1001}' '.process.capabilities = {}' \
		"$(args fs-conform -o /share/b $(printf '/cases/%s ' $USER_TOPICS))"
	cp -r "$TOOLS/fs-conform" "$TOP/tests/fs/cases" "$DISK" # where that user comes to
	setpriv --reuid 1001 --regid 1001 --clear-groups --bounding-set -all --inh-caps -all \
		"$DISK/fs-conform" -o "$DISK/host/b" $(printf "$DISK/cases/%s " $USER_TOPICS) >host
	[ "$(wc -l <host)" -gt 200 ]
	expect 0 husk run -b "$BUNDLE" "$ID"
	same_but_known host out
}

# What is done to watched files: each kind in a folder of its own, which has f and d. The same programs on both sides.
changes() {
	cat <<-'END'
		echo x >create/new
		busybox mkdir mkdir/new
		echo x >>write/f
		: >truncate/f
		busybox chmod 600 chmod/f
		busybox chown 5:6 chown/f
		busybox touch -d @1000000000 times/f
		busybox mv rename/f rename/g
		busybox mv over/f over/d/f && busybox mv over/d/f over/f
		busybox mv out/f out.f
		busybox ln link/f link/g
		busybox ln -s f symlink/s
		busybox mkfifo special/p
		busybox rm unlink/f
		busybox rmdir rmdir/d
		busybox mv moved other
		busybox rm -r gone
	END
}
watched_tree() { # DIR
	local kind
	mkdir "$1"
	for kind in create mkdir write truncate chmod chown times rename over out link symlink special unlink rmdir moved gone; do
		mkdir -p "$1/$kind/d" && echo x >"$1/$kind/f"
	done
}
kinds='attrib close_write create delete delete_self fanotify from modify move_self to'

@test "events: the guest hears of its own changes what a host does, and nothing of the host's; the host hears of the guest's" {
	for dir in host/w share/w share/x; do watched_tree "$DISK/$dir"; done
	files_bundle "$as_root" "$(args sleep 10000)"
	cp "$TOOLS/fs-watch" "$BUNDLE/rootfs/bin/"
	husk run -d -b "$BUNDLE" "$ID" </dev/null
	changes | "$TOOLS/fs-watch" "$DISK/host/w" >want
	for kind in $kinds; do grep -qw "$kind" want; done
	! grep failed want

	coproc WATCH { exec "$TOOLS/fs-watch" "$DISK/share/w"; }
	echo true >&"${WATCH[1]}" && read -r line <&"${WATCH[0]}" && [ "$line" = -- ]
	changes | husk exec "$ID" fs-watch /share/w >got
	diff -u want got
	: >heard
	hears() { # what the guest lets go of is told, too
		echo 'sleep 0.3' >&"${WATCH[1]}"
		while read -r line <&"${WATCH[0]}" && [ "$line" != -- ]; do echo "$line"; done >>heard
		comm -23 <(sort -u want | grep -v -- '^--') <(sort -u heard) >missing
		[ ! -s missing ]
	}
	eventually hears || :
	watcher=$WATCH_PID # bash forgets it the moment the watcher ends
	eval "exec ${WATCH[1]}>&-"
	wait "$watcher"
	diff -u /dev/null missing

	coproc WATCH { exec "$HUSK" --root "$ROOT" exec "$ID" fs-watch /share/x; }
	echo true >&"${WATCH[1]}" && read -r line <&"${WATCH[0]}" && [ "$line" = -- ]
	changes | (cd "$DISK/share/x" && sh -e)
	sleep 1.2
	echo 'busybox ls -lR . >/dev/null; busybox cat */f >/dev/null; busybox test -e create/new && busybox test ! -e unlink/f' >&"${WATCH[1]}"
	while read -r line <&"${WATCH[0]}" && [ "$line" != -- ]; do echo "$line"; done >heard
	watcher=$WATCH_PID
	eval "exec ${WATCH[1]}>&-"
	wait "$watcher"
	diff -u /dev/null heard
	husk delete --force "$ID"
}

# Runs a random sequence on both sides; where they differ, finds the step and a short sequence that differs.
random() { # STEPS SEED OPTION…
	local n=$1 seed=$2 dir=r$2
	shift 2
	mkdir "$DISK/host/$dir" "$DISK/share/$dir"
	"$TOOLS/fs-random" "$@" "$DISK/host/$dir" "$seed" "$n" >want
	husk exec "$ID" fs-random "$@" "/share/$dir" "$seed" "$n" </dev/null >got
	[ "$(wc -l <want)" -gt "$n" ] && cmp want got && cmp <("$TOOLS/fs-random" -t "$DISK/host/$dir") \
		<("$TOOLS/fs-random" -t "$DISK/share/$dir") && return 0
	timeout 200 "$TOP/tests/fs/shrink" "$TOOLS/fs-random" "$seed" "$n" "$DISK/host" "$DISK/share" /share "$@" -- \
		"$HUSK" --root "$ROOT" exec "$ID" fs-random
	return 1
}

@test "8,000 random operations, and some more by two processes in turn, answer as on the host and leave the same" {
	files_bundle "$as_root" "$(args sleep 10000)"
	husk run -d -b "$BUNDLE" "$ID" </dev/null
	n=${HUSK_RANDOM_STEPS:-8000}
	for seed in 1 2 3 4; do random $((n / 4)) $seed; done
	random $((n / 20)) 5 -2
	husk delete --force "$ID"
}
