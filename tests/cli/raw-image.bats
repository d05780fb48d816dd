# SPDX-License-Identifier: Apache-2.0
# rootfs-tools/image/raw-image: what it makes, and what it refuses by one line.
load helper
setup() { common_setup; }
RAW() { "$TOP/rootfs-tools/image/raw-image" "$@"; }

wrong() { # STATUS TEXT ARGUMENT…
	expect "$1" RAW "${@:3}"
	[ "$err" = "raw-image: $2" ] || { echo "$err"; return 1; }
}

@test "the same files give the same erofs image, whatever the folder; an ext4 image is sound and holds them" {
	mkdir -p a/bin a/etc a/empty
	echo hello >a/etc/file
	ln a/etc/file a/etc/hard
	ln -s etc/file a/link
	cp "$(type -P busybox)" a/bin/
	chmod 4755 a/bin/busybox
	mknod a/pipe p
	touch -d @1000000000 a/etc/file
	cp -a a b
	RAW a a.img
	RAW b b.img
	cmp a.img b.img
	[ "$(stat -c %a a.img)" = 444 ]
	[ "$(stat -c %s a.img)" -lt 2000000 ]
	echo other >b/etc/file
	RAW --force b b.img
	! cmp -s a.img b.img
	RAW --type ext4 --size 32M a a.ext4
	e2fsck -fn a.ext4 >/dev/null
	[ "$(stat -c %s a.ext4)" = 33554432 ]
	[ "$(debugfs -R 'cat /etc/hard' a.ext4 2>/dev/null)" = hello ]
	[ "$(ls)" = "$(printf '%s\n' a a.ext4 a.img b b.img)" ]
}

@test "an OCI layout" {
	umoci init --layout oci
	umoci new --image oci:one >/dev/null 2>&1
	umoci unpack --rootless --image oci:one bundle >/dev/null 2>&1
	echo hello >bundle/rootfs/file
	umoci repack --image oci:one bundle >/dev/null 2>&1
	RAW --type ext4 oci:one one.ext4
	[ "$(debugfs -R 'cat /file' one.ext4 2>/dev/null)" = hello ]
	wrong 2 'oci: an OCI layout wants a tag: oci:TAG' oci two.img
	expect 1 RAW oci:none two.img
	[[ $err == 'raw-image: oci:none: '* && $(wc -l <err) = 1 ]]
	[ ! -e two.img ]
}

@test "what is refused" {
	mkdir a none
	: >a/file
	: >there
	wrong 2 'SOURCE and FILE are wanted (--help says more)' a
	wrong 2 'unknown option "--frob"' --frob a b
	wrong 2 '--type needs a value' --type
	wrong 2 '--type: "xfs" is not erofs or ext4' --type xfs a b
	wrong 2 '--size: an erofs image is as large as what it holds' --size 1G a b
	wrong 2 '--size: "0" is not a size (such as 512M)' --type ext4 --size 0 a b
	wrong 1 'nowhere is neither a folder nor an OCI layout' nowhere b
	wrong 1 'there is neither a folder nor an OCI layout' there b
	wrong 1 'none is empty' none b
	wrong 1 'there is there already (--force replaces it)' a there
	wrong 1 'missing: no such folder' a missing/b
	head -c 5M /dev/urandom >a/file
	expect 1 RAW --type ext4 --size 2M a b
	[[ $err == 'raw-image: mkfs.ext4: '* && $(wc -l <err) = 1 ]]
	[ ! -e b ]
	expect 0 RAW --help
	[[ $out == 'raw-image [OPTION]... SOURCE FILE: '* ]]
}
