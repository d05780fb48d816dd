#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Block devices and raw files of the host that come into a running container and leave it.
load helper
setup() { vm_setup; }
teardown() { vm_teardown; }

devices() { cat "$ROOT/$ID/devices.json" 2>/dev/null || :; }
refused() { # MESSAGE OPTION…: and the list of the container's devices is as before
	local says=$1 was
	shift
	was=$(devices)
	expect 1 husk update "$@" "$ID"
	says "$says"
	[ "$was" = "$(devices)" ]
}
update() { expect 0 husk update "$@" "$ID" && [ -z "$err" ]; }
# In one exec, since each takes its time.
inside() { expect 0 husk exec "$ID" sh -c "$1"; }

@test "devices come and go: data both ways, access, several or none, locks" {
	printf world >two
	truncate -s 8M one two three four
	local a sum n i add=()
	a=$(losetup -f --show one)
	bundle "$(args sleep 100000)" '.linux.resources.devices = [{allow: false, access: "rwm"}]' '.root.readonly = false' \
		'.process.capabilities[] += ["CAP_SYS_ADMIN"]'
	husk run -d -b "$BUNDLE" "$ID" </dev/null >log 2>&1 3>&- 4>&- || { cat log; false; }
	update --device-add "$a:/dev/a" --device-add "$PWD/two:/in/here/b:r"
	inside 'head -c 3000000 /dev/urandom >/tmp/x; cat /tmp/x >/dev/a && sync && sha256sum </tmp/x
		head -c 5 /in/here/b; echo; (echo no >/in/here/b) 2>&1; stat -c "%F %a" /in/here/b; cat /sys/class/block/vd?/ro'
	sum=$(head -n 1 <<<"$out")
	[ "$(head -c 3000000 "$a" | sha256sum)" = "$sum" ]
	[[ $out == *$'\nworld\n'*"can't create /in/here/b: Operation not permitted"$'\nblock special file 660\n0\n1' ]]

	# One writer; what is there already; and all is as it was when one of several cannot be.
	refused "$PWD/two is in use by another machine" --device-add "$PWD/three:/dev/c" --device-add "$PWD/two:/dev/d"
	is_free three
	refused "device /dev/a: the container has it already" --device-add "$PWD/three:/dev/a"
	refused 'device /dev/null: File exists' --device-add "$PWD/three:/dev/c" --device-add "$PWD/four:/dev/null:r"
	refused 'device /dev/c: the container has none that could be removed' --device-add "$PWD/three:/dev/d" --device-remove /dev/c
	for i in $(seq 15); do
		truncate -s 1M "f$i"
		add+=(--device-add "$PWD/f$i:/dev/f$i")
	done
	refused 'a machine can have 16 disks, no more' "${add[@]}"
	is_free three four f1
	inside 'ls /dev/c /dev/d /dev/f1 2>&1 | grep -c "No such"; ls /sys/class/block; for d in a ../in/here/b; do head -c 1 /dev/$d >/dev/null && echo read; done'
	[ "$out" = $'3\nvda\nvdb\nread\nread' ]

	# Gone: the node, the right, the disk; what had it open can do nothing with it, what was mounted has been written back;
	# the host can have it at once. In a paused container, too.
	mkfs.ext4 -q four
	update --device-add "$PWD/four:/dev/ext4"
	husk exec -d "$ID" sh -c 'exec 3<>/dev/a; mount -t ext4 /dev/ext4 /mnt && echo kept >/mnt/file && touch /tmp/open; while [ -e /dev/a ]; do sleep 0.1; done
		wc -c <&3 >/tmp/got; echo x 2>/dev/null >&3 || echo refused >>/tmp/got; (touch /mnt/more) 2>>/tmp/got; touch /tmp/done'
	eventually husk exec "$ID" test -e /tmp/open
	husk pause "$ID"
	update --device-remove /dev/ext4 --device-remove /dev/a
	losetup -d "$a"
	is_free one four
	[ "$(debugfs -R 'cat file' four 2>/dev/null)" = kept ]
	husk resume "$ID"
	eventually husk exec "$ID" test -e /tmp/done
	inside 'cat /tmp/got; ls /dev/a 2>&1; ls /sys/class/block'
	echo "$out"
	[[ $out == $'0\nrefused\n'*'/mnt/more: Input/output error'*'/dev/a: No such file or directory'*vdb && $out != *vda* ]]
	# And again, as a file this time; with what was written.
	update --device-add "$PWD/one:/dev/a:rw" --device-remove /in/here/b
	is_free two
	inside 'head -c 3000000 /dev/a | sha256sum; ls -A /in/here'
	[ "$out" = "$sum" ]

	update --device-remove /dev/a
	is_free one
	[ "$(devices)" = '{"version":1,"devices":[]}' ]
	husk delete --force "$ID"
}

@test "in a user namespace; another container's; kill -9 in the middle; delete with devices there" {
	truncate -s 8M one two
	bundle "$(args sleep 100000)" '.linux.namespaces += [{type: "user"}]' '.root.readonly = false' \
		'.linux.uidMappings = [{containerID: 0, hostID: 100000, size: 65536}]' '.linux.gidMappings = .linux.uidMappings'
	chown -R 100000:100000 "$BUNDLE/rootfs" || :
	husk run -d -b "$BUNDLE" "$ID" </dev/null >log 2>&1 3>&- 4>&- || { cat log; false; }
	update --device-add "$PWD/one:/dev/x/one"
	inside 'stat -c "%F %u:%g" /dev/x/one; echo hello >/dev/x/one; sync'
	[ "$out" = 'block special file 0:0' ]
	[ "$(head -c 5 one)" = hello ]
	local t pid
	for t in 0.1 0.2 0.4; do
		husk update --device-add "$PWD/two:/dev/two" "$ID" >/dev/null 2>&1 &
		pid=$!
		sleep $t
		kill -9 $pid 2>/dev/null || :
		wait $pid || :
		# Whatever it left is put right by the next one: either it is there, whole, or it is not.
		expect 0 husk update --device-remove /dev/x/one "$ID"
		if devices | grep -q /dev/two; then
			inside 'head -c 1 /dev/two | wc -c'
			update --device-remove /dev/two
		fi
		is_free two one
		update --device-add "$PWD/one:/dev/x/one"
	done
	inside 'ls /dev/two 2>&1; ls /sys/class/block; ls /dev/x'
	[[ $out == *'No such file'*vd?$'\none' ]]
	husk update --device-add "$PWD/two:/dev/two" "$ID" >/dev/null 2>&1 &
	pid=$!
	sleep 0.2
	kill -9 $pid 2>/dev/null || :
	wait $pid || :
	husk delete --force "$ID"
	is_free one two
}

@test "a guest that does not let go" {
	truncate -s 8M one
	sed 's|device/\.\./remove|device/../REMOVE|g' "$BUILT/share/husk/initramfs" >stubborn
	# And raw files from the start, by an annotation that the operator allows.
	mkdir seeds
	truncate -s 1M seeds/a seeds/b
	echo seed >seeds/a
	truncate -s 1M seeds/a
	chmod 644 seeds/a seeds/b one
	(umask 077 && echo '{}' >conf)
	bundle "$(args sleep 100000)" ".annotations = {\"dev.husk.disks\": \"$PWD/seeds/a:/dev/seed/a:r  $PWD/seeds/b:/dev/b\"}" \
		'.linux.resources.devices = [{allow: false, access: "rwm"}]'
	expect 1 husk --config conf run -b "$BUNDLE" "$ID" </dev/null
	says 'config.json: annotations: dev.husk.disks: not among the "annotations" that conf allows'
	echo "{\"annotations\": [\"dev.husk.disks\"], \"paths\": [\"$PWD/seeds\"]}" >conf
	chmod 664 seeds/b
	expect 1 husk --config conf run -b "$BUNDLE" "$ID" </dev/null
	says "config.json: annotations: dev.husk.disks: $PWD/seeds/b can be written by others than its owner"
	chmod 644 seeds/b
	HUSK_INITRAMFS=$PWD/stubborn husk --config conf run -d -b "$BUNDLE" "$ID" </dev/null >log 2>&1 3>&- 4>&- || { cat log; false; }
	update --device-add "$PWD/one:/dev/one"
	expect 0 husk update --device-remove /dev/one "$ID"
	[[ $err == *"device /dev/one: taken away without the guest's consent: "*'has not let go of it'* ]]
	is_free one
	[[ $(devices) != *one* ]]
	inside 'ls /dev/one 2>&1; cat /dev/seed/a | head -n 1; echo there >/dev/b; sync; (echo x >/dev/seed/a) 2>&1; true'
	[[ $out == *'No such file or directory'$'\nseed\n'*"can't create /dev/seed/a: Operation not permitted" ]]
	[ "$(head -n 1 seeds/b)" = there ]
	husk delete --force "$ID"
}
