#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# lanes: long
# The host's file systems as a container sees them: a share on each works, and their errors come back as they are.
load helper

KINDS="ext4 xfs btrfs tmpfs overlay fuse"

setup_file() {
	export HOSTFS=$BATS_FILE_TMPDIR/fs
	mkdir -p "$HOSTFS"
	modprobe -a loop ext4 xfs btrfs overlay fuse dm-mod 2>/dev/null || :
}
setup() {
	mounts_at_start=$(mounts_now)
	vm_setup
}
teardown() {
	local left=0 m
	[ -z "${BATS_TEST_COMPLETED:-}" ] || nothing_left || left=1
	for id in $(husk list -q 2>/dev/null); do husk delete --force "$id" || :; done
	for m in $(cut -d' ' -f5 /proc/self/mountinfo | grep "^$HOSTFS/" | tac); do umount "$m" || umount -l "$m"; done
	[ ! -e /dev/mapper/hf-eio ] || dmsetup remove --retry hf-eio
	losetup -nO NAME,BACK-FILE | awk -v d="$HOSTFS/" 'index($2, d) == 1 { print $1 }' | xargs -r losetup -d
	[ "$(mounts_now)" = "$mounts_at_start" ] || left=1
	return $left
}

# image SIZE NAME: a file for a loop device; sparse, in memory.
image() { truncate -s "$1" "$HOSTFS/$2.img"; }
where() { mkdir -p "$HOSTFS/$1" && echo "$HOSTFS/$1"; }

on_ext4() { # NAME SIZE [MKFS OPTION…]
	local name=$1
	image "$2" "$name"
	mkfs.ext4 -q -F "${@:3}" "$HOSTFS/$name.img"
	mount -o loop,usrquota "$HOSTFS/$name.img" "$(where "$name")"
}
make_ext4() { on_ext4 ext4 32M -I 256; }
make_xfs() { image 320M xfs && mkfs.xfs -q "$HOSTFS/xfs.img" && mount -o loop "$HOSTFS/xfs.img" "$(where xfs)"; }
make_btrfs() { image 128M btrfs && mkfs.btrfs -q "$HOSTFS/btrfs.img" >/dev/null 2>&1 && mount -o loop "$HOSTFS/btrfs.img" "$(where btrfs)"; }
make_tmpfs() { mount -t tmpfs none "$(where tmpfs)"; }
layers() { # NAME: a lower file, and what overlays want; on a file system with attributes
	on_ext4 "$1-layers" 16M
	mkdir -p "$HOSTFS/$1-layers"/{low/lower,up,work}
	echo below >"$HOSTFS/$1-layers/low/lower/file"
	printf 'lowerdir=%s,upperdir=%s,workdir=%s' "$HOSTFS/$1-layers/low" "$HOSTFS/$1-layers/up" "$HOSTFS/$1-layers/work"
}
make_overlay() { mount -t overlay -o "$(layers overlay)" none "$(where overlay)"; }
make_fuse() { fuse-overlayfs -o "$(layers fuse)" "$(where fuse)" >"$HOSTFS/fuse.log" 2>&1 3>&-; }

# A container whose /fs/NAME are the given ones and whose process is a shell script, with the rights that root has in most.
container() { # SCRIPT NAME…
	local n
	bundle "$(args sh /script)" '.root.readonly = false' '.process.capabilities |= with_entries(.value =
		["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_MKNOD", "CAP_SETUID", "CAP_SETGID"])'
	printf '%s\n' "$1" >"$BUNDLE/rootfs/script"
	echo 'user:x:1000:1000::/:/bin/sh' >>"$BUNDLE/rootfs/etc/passwd"
	for n in "${@:2}"; do
		configure '.mounts += [{destination: "/fs/'"$n"'", type: "bind", source: "'"$HOSTFS/$n"'", options: ["rbind"]}]'
	done
}

use='cd /fs/$fs || exit
	step() { "$@" || { echo "$fs: $*"; exit 1; }; }
	is() { step [ "$1" = "$2" ]; }
	step mkdir -p a/b/c; echo hello >a/b/c/f; is "$(cat a/b/c/f)" hello
	step ln a/b/c/f hard; is "$(stat -c %h hard)" 2
	step ln -s a/b/c/f soft; is "$(cat soft)" hello
	step mv a/b x; is "$(cat x/c/f)" hello
	step mkfifo p; echo through >p & is "$(cat p)" through
	# What a device is, is kept in an attribute, which tmpfs has from Linux 6.6 on.
	if [ $fs != tmpfs ]; then step mknod dev c 1 5; is "$(stat -c %F:%t:%T dev)" "character special file:1:5"; fi
	step chmod 4750 hard; step chown 1000:1001 hard; is "$(stat -c %a:%u:%g x/c/f)" 750:1000:1001
	step truncate -s 5M big; is "$(stat -c %b big)" 0
	step dd if=/dev/zero of=big bs=64k count=4 conv=notrunc,fsync 2>/dev/null; is "$(stat -c %s big)" 5242880
	exec 8<>gone; step rm gone; echo still >&8; is "$(stat -L -c %s /proc/self/fd/8)" 6
	[ $fs = fuse ] || is "$(stat -L -c %h /proc/self/fd/8)" 0 # fuse-overlayfs says 1 on the host, too
	exec 8>&-
	step mkdir many; for i in $(seq 100); do : >many/$i; done; is "$(ls many | wc -l)" 100; step rm -r many
	longest=255; [ $fs != fuse ] || longest=251 # fuse-overlayfs keeps four bytes for itself
	n=$(printf %${longest}s | tr " " n); step touch "$n"; is "$(stat -c %n "$n")" "$n"
	step touch -d "1965-01-02 03:04:05" old; is "$(date -u -r old +%Y)" 1965
	step touch -d "2060-01-02 03:04:05" new; is "$(date -u -r new +%Y)" 2060
	echo appended >>x/c/f; is "$(wc -l <hard)" 2
	is "$(su user -c "echo mine >a/mine" 2>&1)" "sh: can'"'"'t create a/mine: Permission denied"
	step chmod 1777 a; step su user -c "echo mine >a/mine"; is "$(stat -c %u a/mine)" 1000
	if [ -e lower ]; then
		is "$(cat lower/file)" below; echo above >lower/file; is "$(cat lower/file)" above; step mv lower/file lower/g
		step rm lower/g; step rmdir lower
	fi
	step sync; echo "$fs fine"'

@test "a share on ext4, xfs, btrfs, tmpfs, overlayfs and fuse-overlayfs" {
	local k
	for k in $KINDS; do "make_$k"; done
	remember
	container "for fs in $KINDS; do ($use); done" $KINDS
	expect 0 husk run -b "$BUNDLE" "$ID"
	[ "$out" = "$(printf '%s fine\n' $KINDS)" ]
	for k in $KINDS; do
		[ "$(head -n 1 "$HOSTFS/$k/x/c/f")" = hello ]
		[ "$(stat -c %u:%g "$HOSTFS/$k/hard")" = 1000:1001 ]
		[ $k = tmpfs ] || [ "$(stat -c %F "$HOSTFS/$k/dev")" = 'regular empty file' ]
	done
	[ ! -e "$HOSTFS/overlay/lower" ] && [ -e "$HOSTFS/overlay-layers/low/lower/file" ]
	# Nothing holds them any more.
	settles mounts "$mounts_before" mounts_now
	for k in $KINDS; do umount "$HOSTFS/$k"; done
	mounts_before=$(mounts_now)
}

@test "no space, no quota, read-only, a broken disk: as the host says it" {
	local dev
	on_ext4 full 8M
	on_ext4 quota 32M -O quota
	setquota -u 1000 1000 1000 0 0 "$HOSTFS/quota"
	chmod 1777 "$HOSTFS/quota"
	on_ext4 ro 8M
	echo text >"$HOSTFS/ro/file"
	mount -o remount,ro "$HOSTFS/ro"
	image 16M eio
	dev=$(losetup -f --show "$HOSTFS/eio.img")
	mkfs.ext4 -q -F "$dev"
	dmsetup create hf-eio --table "0 32768 linear $dev 0"
	[ -e /dev/mapper/hf-eio ] || dmsetup mknodes hf-eio
	mount /dev/mapper/hf-eio "$(where eio)"
	head -c 1M /dev/urandom >"$HOSTFS/eio/file"
	umount "$HOSTFS/eio"
	mount -o ro /dev/mapper/hf-eio "$HOSTFS/eio" # else ext4 turns read-only, and says that
	ls "$HOSTFS/eio" >/dev/null
	stat "$HOSTFS/eio/file" >/dev/null
	dmsetup suspend --noflush --nolockfs hf-eio
	dmsetup load hf-eio --table '0 32768 error'
	dmsetup resume hf-eio
	remember
	container 'cd /fs
		dd if=/dev/zero of=full/x bs=64k 2>&1 | grep -v records
		su user -c "dd if=/dev/zero of=quota/x bs=64k" 2>&1 | grep -v records
		touch ro/new; echo x >ro/file; rm ro/file; mkdir ro/d
		cat eio/file' full quota ro eio
	expect 1 husk run -b "$BUNDLE" "$ID"
	printf '%s\n' "$out" "$err"
	[[ $out == *"full/x"*"No space left on device"* ]]
	[[ $out == *"quota/x"*"isk quota exceeded"* ]]
	says "ro/new: Read-only file system" "can't create ro/file: Read-only file system" "'ro/file': Read-only file system" \
		"'ro/d': Read-only file system"
	[[ $err == *"I/O error"* || $err == *"nput/output error"* ]]
}
