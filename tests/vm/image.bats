#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Root file systems on disk images: made by rootfs-tools/image/raw-image, known to the guest's kernel alone.
load helper
setup() { vm_setup; }
teardown() { vm_teardown; }

image() { configure ".vm = {image: {path: \"$PWD/$1\", format: \"raw\"}}" '.root = {path: "nowhere"}'; }

@test "a read-only image serves two containers at a time, who write beside it; a read-only root" {
	"$TOP/rootfs-tools/image/raw-image" "$BUSYBOX" root.erofs
	local before=$(sha256sum <root.erofs)
	mkdir volume
	bundle "$(args sh -c 'echo mine >/file && grep " / " /proc/mounts | cut -d" " -f3 && cat /file && rm /bin/date && ls /bin/date 2>&1; echo out >/volume/file; sleep 100000')" \
		".mounts += [{destination: \"/volume\", type: \"bind\", source: \"$PWD/volume\", options: [\"rbind\"]}]"
	image root.erofs
	husk run -d -b "$BUNDLE" "$ID-1" </dev/null >first 2>&1 3>&- 4>&-
	eventually test -s volume/file
	eventually grep -q date first
	configure '.process.args[2] = "cat /file /etc/passwd; touch /etc/x && echo WRITTEN; ls -ld / /tmp | cut -c1-10"' '.root.readonly = true' 'del(.mounts[-1])'
	expect 0 husk run -b "$BUNDLE" "$ID-2" </dev/null
	[[ $out == *"can't open '/file'"* && $out$err == *'Read-only file system'* && $out == *root:x:0:0:* && $out == *drwxrwxrwt* && $out != *WRITTEN* ]] ||
		[[ $err == *"can't open '/file'"* && $err == *'Read-only file system'* && $out == *root:x:0:0:* && $out == *drwxrwxrwt* && $out != *WRITTEN* ]]
	expect 0 husk exec "$ID-1" cat /file
	[ "$out" = mine ]
	[ "$(cat first)" = "overlay
mine
ls: /bin/date: No such file or directory" ]
	[ "$(cat volume/file)" = out ]
	husk delete --force "$ID-1"
	[ "$(sha256sum <root.erofs)" = "$before" ]
}

@test "an image that can be written to: what a container wrote is in it when husk returns; one writer" {
	"$TOP/rootfs-tools/image/raw-image" --type ext4 "$BUSYBOX" root.ext4
	bundle "$(args sh -c 'head -c 5000000 /dev/urandom >/data; sha256sum </data; grep " / " /proc/mounts | cut -d" " -f3; sleep 1000 & exit 3')"
	image root.ext4
	expect 3 husk run -b "$BUNDLE" "$ID" </dev/null
	[[ $out == *ext4 ]]
	local sum=$(head -n 1 out)
	e2fsck -fn root.ext4 >/dev/null
	[ "$(debugfs -R 'cat data' root.ext4 2>/dev/null | sha256sum)" = "$sum" ]
	configure '.process.args[2] = "sha256sum </data; rm /data; sleep 1000"'
	husk run -d -b "$BUNDLE" "$ID" </dev/null >second 2>&1 3>&- 4>&-
	expect 1 husk run -b "$BUNDLE" "$ID-2" </dev/null
	says "config.json: vm.image.path: $PWD/root.ext4 is in use by another machine"
	eventually grep -q - second
	[ "$(cat second)" = "$sum" ]
	husk delete --force "$ID"
	e2fsck -fn root.ext4 >/dev/null
}

@test "what is no image" {
	head -c 1M /dev/urandom >noise
	: >empty
	bundle "$(args true)"
	image noise
	expect 1 husk run -b "$BUNDLE" "$ID" </dev/null
	says "container root image: its file system is none that the guest's kernel knows (erofs, ext4"
	image empty
	expect 1 husk run -b "$BUNDLE" "$ID" </dev/null
	says "config.json: vm.image.path: $PWD/empty is empty"
	image none
	expect 1 husk run -b "$BUNDLE" "$ID" </dev/null
	says "config.json: vm.image.path: $PWD/none: No such file or directory"
}

@test "block devices of the host, under the guest's numbers; their rules follow; none for a rule of all, but for mounts of them" {
	printf world >two
	truncate -s 8M one two
	local a b c
	a=$(losetup -f --show one) && b=$(losetup -f --show two) && c=$(losetup -f --show -r one)
	dev() { stat -c '%Hr %Lr' "$1"; }
	read -r amaj amin <<<"$(dev "$a")"
	read -r bmaj bmin <<<"$(dev "$b")"
	bundle "$(args sh -c 'echo hello >/dev/a; sync; head -c 5 /dev/b; echo x >/dev/b; echo $?; cat /sys/dev/block/$(stat -c "%t:%T" /dev/a | { IFS=: read -r x y; echo $((0x$x)):$((0x$y)); })/serial; stat -c "%F %a %u" /dev/b; mknod /tmp/c b 7 0 && head -c 1 /tmp/c; stat -c "%F %a" /dev/disks/c; head -c 1 /dev/disks/c')" \
		".mounts += [{destination: \"/dev/disks/c\", type: \"bind\", source: \"$c\", options: [\"bind\"]}]" \
		".linux.devices = [{path: \"/dev/a\", type: \"b\", major: $amaj, minor: $amin}, {path: \"/dev/b\", type: \"b\", major: $bmaj, minor: $bmin, fileMode: 384}]" \
		".linux.resources.devices = [{allow: false, access: \"rwm\"}, {allow: true, type: \"b\", major: $amaj, minor: $amin, access: \"rw\"},
			{allow: true, type: \"b\", major: $bmaj, minor: $bmin, access: \"r\"}]" '.root.readonly = false' \
		'.process.capabilities[] += ["CAP_MKNOD"]'
	expect 1 husk run -b "$BUNDLE" "$ID" </dev/null
	echo "$out$err"
	[ "$out" = "world1
husk-disk-0block special file 600 0
block special file $(stat -c %a "$c")" ]
	[[ $err == *"/dev/b: Operation not permitted"*"/dev/disks/c: Operation not permitted"* ]]
	[ "$(head -c 5 one)" = hello ]
	# Whoever mounts a device means it, whatever way it is allowed; over a file that is there, too.
	: >"$BUNDLE/rootfs/etc/disk"
	configure '.linux.resources.devices = [{allow: true, access: "rwm"}]' 'del(.linux.devices[1])' \
		'.process.args[2] = "head -c 5 /etc/disk; head -c 5 /data/ro; echo; echo no >/data/ro; head -c 5 /dev/b; echo mine >/etc/disk; sync; head -c 1 /dev/a"' \
		".mounts[-1] |= (.source = \"$a\" | .destination = \"/etc/disk\")" \
		".mounts += [{destination: \"/data/ro\", type: \"bind\", source: \"$b\", options: [\"bind\", \"ro\"]}]" \
		".linux.devices[0] |= (.major = $(dev "$c" | cut -d' ' -f1) | .minor = $(dev "$c" | cut -d' ' -f2))"
	expect 1 husk run -b "$BUNDLE" "$ID" </dev/null
	echo "$out$err"
	[ "$out" = 'helloworld' ]
	[[ $err == *"write error: Operation not permitted"*"/dev/b: No such file"*"/dev/a: No such device or address"* ]]
	[ "$(head -c 4 "$a")" = mine ]
	# Of two mounts of one device the first may be read-only: the rules are the device's, as under runc.
	configure '.process.args[2] = "echo both >/data/rw && sync && head -c 4 /data/ro; echo; echo ours >/data/ro; sync; head -c 4 /data/rw; stat -c %t:%T /data/ro /data/rw | uniq | wc -l"' \
		".mounts[-2:] = [{destination: \"/data/ro\", type: \"bind\", source: \"$a\", options: [\"bind\", \"ro\"]}, {destination: \"/data/rw\", type: \"bind\", source: \"$a\", options: [\"bind\"]}]"
	expect 0 husk run -b "$BUNDLE" "$ID" </dev/null
	echo "$out$err"
	[ "$out" = $'both\nours1' ]
	[ "$(head -c 4 "$a")" = ours ]
	losetup -d "$a" "$b" "$c"
}
