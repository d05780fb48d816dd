# SPDX-License-Identifier: Apache-2.0
# Disks of husk-vmm: file systems made and checked on them by the guest, and what the host finds in the files afterwards.
bats_require_minimum_version 1.5.0
load vmm
KERNEL=${HUSK_KERNEL:-$B/share/husk/vmlinux}

# A guest whose first process shows it the host's programs, by a share, and runs ./script with them.
setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	mkdir -p initramfs/bin initramfs/host
	cp "$(type -P busybox)" initramfs/bin/busybox
	cat >initramfs/init <<-INIT
		#!/bin/busybox sh
		/bin/busybox mount -t virtiofs host /host || /bin/busybox poweroff -f
		h=/host/host
		/bin/busybox cat \$h$PWD/script >/script
		for m in proc:proc sysfs:sys devtmpfs:dev tmpfs:tmp; do /bin/busybox mount -t \${m%:*} none \$h/\${m#*:}; done
		/bin/busybox cp /script \$h/tmp/script
		/bin/busybox chroot \$h /bin/bash /tmp/script 2>&1
		/bin/busybox poweroff -f
	INIT
	chmod 755 initramfs/init
	(cd initramfs && find . | cpio --quiet -o -H newc -R 0:0) >initramfs.img
}

teardown() {
	[ -z "${loop-}" ] || losetup -d "$loop" || true
	! mountpoint -q small || umount small
	no_machine_left
}

guest() { # OPTION…
	timeout 800 "${under[@]}" "$VMM" --kernel "$KERNEL" --initramfs initramfs.img --memory size=256M --on-reset exit \
		--cmdline 'console=hvc0 quiet loglevel=3 panic=-1' --fs tag=host,path=/,readonly=on "$@" </dev/null >out 2>err ||
		{ echo "status $?"; cat out err; return 1; }
	tr -d '\r' <out
	cat err
}

@test "disks: file systems, read-only, a full host, block devices, two queues, flushes, discards" {
	truncate -s 64M scratch
	truncate -s 16M plain
	head -c 1M /dev/urandom >fixed
	mkdir small && mount -t tmpfs -o size=4m small small && truncate -s 32M small/disk
	truncate -s 16M behind && loop=$(losetup -f --show behind)
	before=$(sha256sum <fixed)
	cat >script <<-'S'
		exec 2>&1
		set -u
		cd /tmp
		q=$(ls -d /sys/block/vda/mq/* | wc -l)
		echo "vda: $q queues, serial $(cat /sys/block/vda/serial), $(blockdev --getsize64 /dev/vda) bytes, cache $(cat /sys/block/vda/queue/write_cache)"
		mkfs.ext4 -q -F /dev/vda && mkdir m && mount /dev/vda m && head -c 12000000 /dev/urandom >m/data && sync -f m
		sha256sum <m/data | sed 's/^/data: /'
		head -c 20000000 /dev/zero | tr '\0' x >m/junk && sync -f m && rm m/junk && sync -f m
		fstrim -v m | sed 's/^.*: /trimmed /'
		umount m && e2fsck -fn /dev/vda >/dev/null && echo 'vda: sound'
		# read-only, and its content
		echo "vdb: ro $(cat /sys/block/vdb/ro), $(sha256sum </dev/vdb)"
		blockdev --setrw /dev/vdb; dd if=/dev/zero of=/dev/vdb bs=512 count=1 conv=fsync status=none && echo 'vdb: WRITTEN'
		# the host's file system is full: an error of the writes, and of nothing else
		dd if=/dev/zero of=/dev/vdc bs=1M count=16 conv=fsync status=none oflag=direct || echo 'vdc: no room'
		dd if=/dev/vdc of=/dev/null bs=1M count=1 status=none iflag=direct && echo 'vdc: reads'
		# without io_uring; two writers at a time
		for i in 0 1 2 3; do head -c 4194304 /dev/zero | tr '\0' $i | dd of=/dev/vdd bs=64k seek=$((i * 64)) oflag=direct iflag=fullblock status=none & done; wait
		for i in 0 1 2 3; do dd if=/dev/vdd bs=64k skip=$((i * 64)) count=64 iflag=direct status=none | tr -d $i | wc -c; done | tr '\n' ' '; echo left
		dd if=/dev/vdd of=/dev/null bs=16M count=1 skip=1 status=none; echo "past the end: $?"
		# a block device of the host, past its page cache
		tr '\0' b </dev/zero | dd of=/dev/vde bs=1M count=8 iflag=fullblock oflag=direct status=none && echo 'vde: written'
		blkdiscard -o 0 -l 4M /dev/vde && echo 'vde: discarded'
		blkdiscard -z -o 6M -l 1M /dev/vde && echo 'vde: zeroed'
		dd if=/dev/vde bs=1M skip=6 count=1 status=none iflag=direct | tr -d '\0' | wc -c
		echo bye
	S
	under=(strace -f --seccomp-bpf -e trace=fdatasync,io_uring_enter -o trace)
	guest --cpus boot=2 --disk path=scratch,num_queues=2,serial=one-two path=fixed,readonly=on path=small/disk,sparse=off \
		path=plain,disable_io_uring=on,num_queues=2 path="$loop",direct=on
	for t in 'vda: 2 queues, serial one-two, 67108864 bytes, cache write back' 'vda: sound' "vdb: ro 1, $before" 'vdc: no room' \
		'vdc: reads' '0 0 0 0 left' 'past the end: 0' 'vde: written' 'vde: discarded' 'vde: zeroed' bye; do
		grep -qF "$t" out || { echo "not there: $t"; return 1; }
	done
	! grep -q WRITTEN out
	# what the guest wrote is what the host has, and what it gave back is gone
	[ "$(sha256sum <fixed)" = "$before" ]
	e2fsck -fn scratch >/dev/null
	[ "data: $(debugfs -R 'cat data' scratch 2>/dev/null | sha256sum)" = "$(tr -d '\r' <out | grep '^data: ')" ]
	[ "$(du -k scratch | cut -f1)" -lt 20000 ]
	[ "$(tr -d 0-3 <plain | wc -c)" = 0 ]
	losetup -d "$loop"
	loop=
	[ "$(head -c 4M behind | tr -d '\0' | wc -c)" = 0 ]
	[ "$(tail -c +4194305 behind | head -c 2M | tr -d b | wc -c)" = 0 ]
	[ "$(tail -c +6291457 behind | head -c 1M | tr -d '\0' | wc -c)" = 0 ]
	# flushes reached the host: of vdd, by a thread, and of the others by the ring
	[ "$(grep -c io_uring_enter trace)" -gt 10 ]
	grep -q 'No space left on device' err
}

@test "two machines cannot write to one disk; what is no disk" {
	truncate -s 16M shared
	: >empty
	mkfifo fifo
	cat >script <<-'S'
		echo waiting; sleep 100
	S
	"$VMM" --kernel "$KERNEL" --initramfs initramfs.img --memory size=256M --cmdline 'console=hvc0 quiet' \
		--fs tag=host,path=/,readonly=on --disk path=shared </dev/null >first 2>&1 &
	pid=$!
	for _ in $(seq 300); do ! grep -q waiting first || break; sleep 0.1; done
	for row in "shared:shared is in use by another machine" "shared,readonly=on:shared is in use by another machine, which writes to it" \
		"empty:empty is empty" "fifo,readonly=on:fifo is neither a file nor a block device" "none:cannot open none: No such file or directory" \
		"/dev/null:/dev/null is neither a file nor a block device"; do
		! timeout 20 "$VMM" --kernel "$KERNEL" --disk "path=${row%%:*}" </dev/null >out 2>err
		[ "$(cat err)" = "husk-vmm: --disk: ${row#*:}" ] || { cat err; kill $pid; return 1; }
	done
	kill -TERM $pid
	wait $pid
	# free again
	! timeout 20 "$VMM" --kernel empty --disk path=shared </dev/null >out 2>err
	! grep -q 'in use' err
}
