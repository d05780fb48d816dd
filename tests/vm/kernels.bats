#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Other kernels than the one husk builds: the same as a bzImage, and Debian's stock cloud kernel, also for a container.
bats_require_minimum_version 1.5.0
TOP=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
B=${BUILT:-$TOP/build/$HOSTTYPE}
GUEST=$B/tests/guest/initramfs

stock() { ls -1 /boot/vmlinuz-*-cloud-amd64 | sort -V | tail -n 1; }

boots() { # KERNEL: to the test guest's last word, on the serial port
	timeout 200 "$B/bin/husk-vmm" --kernel "$1" --initramfs "$GUEST" --memory size=384M --console off \
		--serial file="$BATS_TEST_TMPDIR/serial" --cmdline 'console=ttyS0 quiet panic=-1' </dev/null
	grep -q 'guest: bye' "$BATS_TEST_TMPDIR/serial" || { cat "$BATS_TEST_TMPDIR/serial"; return 1; }
}

@test "husk's kernel as a bzImage" {
	boots "$(dirname "$(readlink -f "$TOP/build/$HOSTTYPE/share/husk/vmlinux")")/bzImage"
}

@test "Debian's stock cloud kernel" {
	boots "$(stock)"
}
