#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Mounts, shares and the root of config.json, seen from inside; many rows in each container.
load helper
setup() {
	vm_setup
	# On a file system of its own, without flags, whatever the tests' folder lies on.
	SRC=$BATS_TEST_TMPDIR/src
	mkdir "$SRC"
	mount -t tmpfs -o size=64m,mode=755 src "$SRC"
	mounts_before=$(mounts_now)
}
teardown() {
	vm_teardown || failed=1
	umount -R "$SRC"
	[ -z "${failed-}" ]
}

# mount_row DESTINATION TYPE SOURCE OPTION…: the jq filter that adds a mount
mount_row() {
	jq -cn '$ARGS.positional | {destination: .[0], type: .[1], source: .[2], options: .[3:]} |
		".mounts += [\(tojson)]"' -r --args -- "$@"
}
# Destination, own options, whether it is shared, a slave or unbindable; sorted.
table='sed "s/ - .*//; s/\\(shared\\|master\\):[0-9]*/\\1/g" /proc/self/mountinfo | cut -d " " -f 5- | sort'

@test "the mount table is the one that runc makes" {
	mkdir -p "$SRC"/{ro,noexec,nested/in,file.d}
	echo one >"$SRC/file"
	mount -t tmpfs -o noexec,nosuid noexec "$SRC/noexec"
	mount -t tmpfs -o nodev in "$SRC/nested/in"
	mounts_before=$(mounts_now)
	bundle "$(args sh -c "$table")" '.root.readonly = true | .linux.maskedPaths = ["/sys/firmware", "/nothing"]' \
		"$(mount_row /b/ro bind "$SRC/ro" rbind ro)" \
		"$(mount_row /b/flags bind "$SRC/ro" bind nosuid nodev noexec noatime nodiratime)" \
		"$(mount_row /b/noexec bind "$SRC/noexec" bind)" \
		"$(mount_row /b/nested none "$SRC/nested" rbind ro)" \
		"$(mount_row /b/flat bind "$SRC/nested" bind)" \
		"$(mount_row /b/file bind "$SRC/file" bind ro)" \
		"$(mount_row /b/again bind "$SRC/file" rbind)" \
		"$(mount_row /t/plain tmpfs tmpfs size=64k mode=700 strictatime)" \
		"$(mount_row /t/ro tmpfs tmpfs ro nosuid sync lazytime)" \
		"$(mount_row /t/ro/in tmpfs tmpfs nodev)" \
		"$(mount_row /t/shared tmpfs tmpfs rshared)" \
		"$(mount_row /t/slave tmpfs tmpfs rslave shared)" \
		"$(mount_row /t/unbindable tmpfs tmpfs unbindable)" \
		"$(mount_row /t/twice tmpfs tmpfs nosuid)" \
		"$(mount_row /t/twice bind "$SRC" bind remount ro noexec)" \
		"$(mount_row relative tmpfs tmpfs relatime)"
	expect 0 husk run -b "$BUNDLE" "$ID"
	ours=$out
	expect 0 runc --root "$BATS_TEST_TMPDIR/runc" run -b "$BUNDLE" "$ID"
	# Known to differ: nothing propagates from the host's mounts; what masks has more flags; the flags of access times
	# of the root, which is no mount of the host's here.
	known() { grep -v '^/ ' | sed 's/ master$//; s/^\(.sys.firmware ro\),nosuid,nodev,noexec/\1/'; }
	diff <(known <<<"$ours") <(known <<<"$out")
	echo "$ours" | grep -qx '/ ro,.*'
	echo "$ours" | grep -qx '/b/nested ro,relatime'
	echo "$ours" | grep -qx '/b/nested/in rw,nodev,relatime'
	! echo "$ours" | grep -q /b/flat/in
}

@test "shares: nested, files, links, names, submounts, read-only; each folder is a device of its own" {
	long=$(printf 'd%.0s' $(seq 200))
	mkdir -p "$SRC"/{a/b,over,other} "$SRC/sp ace, and \"quote" "$SRC"/$'new\nline' "$SRC/$long/$long/$long"
	echo deep >"$SRC/$long/$long/$long/f"
	echo a >"$SRC/a/f"
	echo b >"$SRC/a/b/f"
	echo over >"$SRC/over/f"
	echo odd >"$SRC/sp ace, and \"quote/f"
	echo line >"$SRC"/$'new\nline/f'
	ln -s a "$SRC/link"
	ln -s a/f "$SRC/flink"
	mount -t tmpfs other "$SRC/other"
	mkdir "$SRC/other/in"
	mount -t tmpfs in "$SRC/other/in"
	echo other >"$SRC/other/f"
	echo in >"$SRC/other/in/f"
	mkdir "$BUNDLE" "$BUNDLE/rel"
	echo rel >"$BUNDLE/rel/f"
	mounts_before=$(mounts_now)
	cat >"$SRC/script" <<-'END'
		cat /d/f /d/b/f /d/one /d/link/f /d/flink "/d/sp ace,/f" "/d/new
		line/f" /d/long/f /d/rel/f /d/other/f /d/other/in/f /d/twice1/f
		echo changed >/d/twice1/new; cat /d/twice2/new
		[ "$(stat -c %d /d)" != "$(stat -c %d /d/b)" ] && [ "$(stat -c %d /d)" != "$(stat -c %d /)" ] && echo devices
		[ "$(stat -c %d /d/other)" != "$(stat -c %d /d/other/in)" ] && echo more devices
		for f in /d/rro/in/x /d/rro/x /d/ro/x; do touch $f 2>&1; done
		touch /d/ro/in/x && echo not recursive
		ls -A /d/flat/in
		mount -o remount,rw,bind /d/rro && ! touch /d/rro/y 2>&1
	END
	bundle "$(args sh /script)" \
		'.process.capabilities |= map_values(. + ["CAP_SYS_ADMIN"])' \
		"$(mount_row /script bind "$SRC/script" bind ro)" \
		"$(mount_row /d bind "$SRC/a" bind)" \
		"$(mount_row /d/b bind "$SRC/over" bind)" \
		"$(mount_row /d/one bind "$SRC/a/f" bind)" \
		"$(mount_row /d/link bind "$SRC/link" bind)" \
		"$(mount_row /d/flink bind "$SRC/flink" bind)" \
		"$(mount_row '/d/sp ace,' bind "$SRC/sp ace, and \"quote" bind)" \
		"$(mount_row $'/d/new\nline' bind "$SRC"/$'new\nline' bind)" \
		"$(mount_row /d/long bind "$SRC/$long/$long/$long" bind)" \
		"$(mount_row /d/rel bind rel bind)" \
		"$(mount_row /d/other bind "$SRC/other" rbind)" \
		"$(mount_row /d/flat bind "$SRC/other" bind)" \
		"$(mount_row /d/ro bind "$SRC/other" rbind ro)" \
		"$(mount_row /d/rro bind "$SRC/other" rbind rro)" \
		"$(mount_row /d/twice1 bind "$SRC/a" bind)" \
		"$(mount_row /d/twice2 bind "$SRC/a" bind)"
	expect 0 husk run -b "$BUNDLE" "$ID"
	[ "$out" = "a
over
a
a
a
odd
line
deep
rel
other
in
a
changed
devices
more devices
touch: /d/rro/in/x: Read-only file system
touch: /d/rro/x: Read-only file system
touch: /d/ro/x: Read-only file system
not recursive
touch: /d/rro/y: Read-only file system" ] || { echo "$out"; false; }
	# What is read-only in the guest is so on the host's side too, whatever the guest thinks.
	[ ! -e "$SRC/other/y" ] && [ -e "$SRC/other/in/x" ]
}

@test "file systems of the guest, with all that they are told" {
	bundle
	mkdir -m 2755 "$BUNDLE/rootfs/up"
	echo up >"$BUNDLE/rootfs/up/f"
	chown 12:13 "$BUNDLE/rootfs/up/f"
	ln -s f "$BUNDLE/rootfs/up/l"
	cat >"$BUNDLE/rootfs/script" <<-'END'
		o() { grep " $1 " /proc/self/mountinfo | sed 's/.* - //'; }
		o /t/super; o /t/size | grep -o 'size=64k.*'
		stat -c '%a %u %g' /t/size
		stat -c '%a %u:%g %F' /up /up/f /up/l; cat /up/l; touch /up/x && rm /up/f && echo writable
		ls /cg/cgroup.procs
		(echo 1 >/cg/cgroup.max.depth) 2>&1
		mkdir /cgrw/sub && rmdir /cgrw/sub && echo cgroup writable
		ls -d /sec/. /bpf/. /ro/made/in/it; o /q | cut -d ' ' -f 1
		ln -s f /t/nosym/l; echo x >/t/nosym/f; cat /t/nosym/l 2>&1
		ls /hidden; cat /masked; ! touch /frozen/x 2>&1
	END
	mkdir "$BUNDLE/rootfs/hidden" "$BUNDLE/rootfs/frozen"
	touch "$BUNDLE/rootfs/hidden/x"
	echo secret >"$BUNDLE/rootfs/masked"
	configure "$(args sh /script)" '.root.readonly = true' \
		'.linux.maskedPaths += ["/hidden", "/masked"] | .linux.readonlyPaths += ["/frozen"]' \
		"$(mount_row /t/super tmpfs super sync dirsync lazytime mand iversion silent noatime 'context="a:b:c0,c1"')" \
		"$(mount_row /t/size tmpfs tmpfs size=64k mode=710 uid=5 gid=6)" \
		"$(mount_row /up tmpfs tmpfs tmpcopyup)" \
		"$(mount_row /cg cgroup cgroup ro nosuid)" \
		"$(mount_row /cgrw cgroup2 cgroup2 rw nsdelegate)" \
		"$(mount_row /sec securityfs securityfs)" \
		"$(mount_row /bpf bpf bpf mode=700)" \
		"$(mount_row /q mqueue mqueue)" \
		"$(mount_row /ro tmpfs tmpfs ro)" \
		"$(mount_row /ro/made/in/it tmpfs tmpfs)" \
		"$(mount_row /t/nosym tmpfs tmpfs nosymfollow)"
	expect 0 husk run -b "$BUNDLE" "$ID"
	[ "$out" = "tmpfs super rw,sync,dirsync,mand,lazytime
size=64k,mode=710,uid=5,gid=6
710 5 6
2755 0:0 directory
644 12:13 regular file
777 0:0 symbolic link
up
writable
/cg/cgroup.procs
/script: line 6: can't create /cg/cgroup.max.depth: Read-only file system
cgroup writable
/bpf/.
/ro/made/in/it
/sec/.
mqueue
cat: can't open '/t/nosym/l': Too many levels of symbolic links
touch: /frozen/x: Read-only file system" ] || { echo "$out"; false; }
	[ "$(cat "$BUNDLE/rootfs/up/f")" = up ] && [ ! -e "$BUNDLE/rootfs/up/x" ]
}

@test "what belongs to the host's kernel is the guest's own" {
	mkdir "$SRC/shm"
	mount -t tmpfs -o size=1m shm "$SRC/shm"
	touch "$SRC/shm/hosts"
	mounts_before=$(mounts_now)
	bundle "$(args sh -c 'readlink /h/proc/self; cat /h/random; cat /h/uptime | cut -d . -f 1
		ls /h/net; ls -d /h/sys/fs/cgroup/cgroup.procs; stat -c %t:%T /h/null /dev/null
		[ -c /h/dev/null ] && [ -c /h/dev/urandom ] && echo dev; ls -A /dev/shm; df -k /dev/shm | tail -n 1 | cut -c 1-30
		ls /h/cg/cgroup.procs; echo x >/h/null && echo written; ! (echo x >/h/random) 2>&1')" \
		"$(mount_row /h/proc bind /proc rbind)" \
		"$(mount_row /h/random bind /proc/sys/kernel/random/poolsize bind ro)" \
		"$(mount_row /h/uptime bind /proc/uptime bind)" \
		"$(mount_row /h/net bind /sys/class/net bind)" \
		"$(mount_row /h/sys bind /sys rbind ro)" \
		"$(mount_row /h/null bind /dev/null bind)" \
		"$(mount_row /h/dev bind /dev rbind)" \
		"$(mount_row /h/cg bind /sys/fs/cgroup rbind ro)" \
		"$(mount_row /dev/shm bind "$SRC/shm" bind nosuid noexec nodev)"
	local begin=$SECONDS
	expect 0 husk run -b "$BUNDLE" "$ID"
	local took=$((SECONDS - begin + 1))
	[ "$(sed '1s/.*/PID/; 3s/.*/UP/; s/^\(tmpfs\|shm\) */shm /; s/^\(shm 1024\) .*/\1/' <<<"$out")" = "PID
256
UP
lo
/h/sys/fs/cgroup/cgroup.procs
1:3
1:3
dev
shm 1024
/h/cg/cgroup.procs
written
sh: can't create /h/random: Read-only file system" ] || { echo "$out"; false; }
	# The guest's clock, not the host's.
	[ "$(sed -n 3p <<<"$out")" -le $took ]
}

@test "what cannot be shared is refused by name, and nothing is left" {
	mkfifo "$SRC/fifo"
	touch "$SRC/file"
	bundle "$(args true)"
	cp "$BUNDLE/config.json" plain.json
	n=$(jq '.mounts | length' plain.json)
	while IFS='|' read -r row text; do
		cp plain.json "$BUNDLE/config.json"
		eval "configure \"\$(mount_row $row)\""
		expect 1 husk run -b "$BUNDLE" "$ID"
		says "${text//@/mounts[$n]}"
		one_line
		root_empty
	done <<-END
		/x bind /nope bind|error mounting "/nope" to rootfs at "/x": config.json: @.source: stat /nope: no such file or directory
		/x bind $SRC/file/x bind|@.source: stat $SRC/file/x: Not a directory
		/x bind $SRC/fifo bind|@.source: $SRC/fifo is a FIFO, which a virtual machine cannot share
		/x bind /dev/kvm bind|@.source: /dev/kvm is a device of the host
		/x bind /proc/1/ns/net bind|belongs to the host's kernel
		/x bind /nope bind remount|stat /nope: no such file or directory
		/x overlay overlay lowerdir=/a:/b|@: type "overlay" is not supported
	END
}

@test "what the guest refuses names the mount, too" {
	bundle "$(args true)"
	cp "$BUNDLE/config.json" plain.json
	n=$(jq '.mounts | length' plain.json)
	ln -s /proc "$BUNDLE/rootfs/toproc"
	mkdir "$SRC/d"
	while IFS='|' read -r row text; do
		cp plain.json "$BUNDLE/config.json"
		eval "configure \"\$(mount_row $row)\""
		expect 1 husk run -b "$BUNDLE" "$ID"
		says "${text//@/mounts[$n]}"
		one_line
	done <<-END
		/proc/foo bind $SRC/d bind|error mounting "$SRC/d" to rootfs at "/proc/foo": @: "/proc/foo" cannot be mounted because it is inside /proc
		/toproc bind $SRC/d bind|at "/toproc": @: "/proc" cannot be mounted because it is not of type proc
		/x tmpfs tmpfs size=many|error mounting "tmpfs" to rootfs at "/x": @: 
		/x nofs nofs|@: file system nofs: No such device
	END
}

@test "the root's propagation, and a mount's own under it" {
	bundle "$(args sh -c "$table | grep -e '^/ ' -e '^/[ab] '")" '.linux.rootfsPropagation = "rshared"' \
		"$(mount_row /a tmpfs tmpfs)" "$(mount_row /b tmpfs tmpfs rprivate)"
	expect 0 husk run -b "$BUNDLE" "$ID"
	[ "$(echo "$out" | sed 's/ r[ow],[^ ]*//')" = $'/ shared\n/a shared\n/b' ] || { echo "$out"; false; }
}

@test "id-mapped mounts: shares with what is below, files, and file systems of the guest" {
	mkdir -p "$SRC/data/in"
	mount -t tmpfs in "$SRC/data/in"
	for f in a b c in/a one; do touch "$SRC/data/$f"; done
	chown 0:0 "$SRC/data" "$SRC/data/a" "$SRC/data/in" "$SRC/data/in/a"
	chown 1:1 "$SRC/data/b"
	chown 100:100 "$SRC/data/c"
	chown 1:0 "$SRC/data/one"
	chmod 777 "$SRC/data"
	mounts_before=$(mounts_now)
	maps='{uidMappings: [{containerID: 0, hostID: 1000, size: 1}, {containerID: 1, hostID: 0, size: 1}],
		gidMappings: [{containerID: 0, hostID: 0, size: 10}]}'
	bundle "$(args sh -c 'cd /m; stat -c "%n %u:%g" a b c in/a /one; touch new in/new 2>&1; mkdir dir; ln -s x link
		stat -c "%n %u:%g" new dir link; chown 1000:5 new && stat -c "%n %u:%g" new; chown 77 new 2>&1
		stat -c %u /flat/in/a; mv new moved; rm -r dir; touch /tmpfs/x; stat -c %u:%g /tmpfs/x; echo done')" \
		'.process.capabilities |= map_values(. + ["CAP_CHOWN", "CAP_FOWNER", "CAP_DAC_OVERRIDE"])' \
		"$(mount_row /m bind "$SRC/data" rbind ridmap)" "$(mount_row /one bind "$SRC/data/one" bind)" \
		"$(mount_row /flat bind "$SRC/data" rbind idmap)" "$(mount_row /tmpfs tmpfs tmpfs)" \
		".mounts[-4:][] += $maps"
	expect 0 husk run -b "$BUNDLE" "$ID"
	[ "$out" = "a 1000:0
b 0:1
c 65534:65534
in/a 1000:0
/one 0:0
new 0:0
dir 0:0
link 0:0
new 1000:5
chown: new: Value too large for defined data type
0
0:0
done" ] || { echo "$out"; false; }
	[ "$(stat -c %u:%g "$SRC/data/moved")" = 0:5 ]
	[ "$(stat -c %u:%g "$SRC/data/link" "$SRC/data/in/new")" = $'1:0\n1:0' ]
}

# As engines give volumes to containers whose ids are mapped: on the host they are the volume's own, and the container's see them so.
@test "id-mapped mounts in a user namespace: by its own mappings, by others, in what is below" {
	mkdir -p "$SRC"/data/{in,late}
	mount --make-shared "$SRC"
	mount -t tmpfs in "$SRC/data/in"
	for f in a b in/a; do touch "$SRC/data/$f"; done
	chown 0:0 "$SRC/data" "$SRC/data/a" "$SRC/data/in" "$SRC/data/in/a"
	chown 7:8 "$SRC/data/b"
	chmod 755 "$SRC/data" "$SRC/data/in"
	mounts_before=$(mounts_now)
	bundle "$(args sh -c 'cd /own; stat -c "%n %u:%g" a b in/a; touch new in/new && stat -c "%n %u:%g" new in/new
		stat -c "%n %u:%g" /plain/a /other/b /file; touch /plain/x /ro/x 2>&1
		stat -c "%n %u:%g" /slave/in/a; : >up; n=0; until [ -e /slave/late/f ] || [ $((n += 1)) = 100 ]; do sleep 0.1; done
		cat /slave/late/f; echo done')" \
		'.linux.namespaces += [{type: "user"}] | .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 65536}]
		| .linux.gidMappings = [{containerID: 0, hostID: 200000, size: 65536}]' '.root.readonly = false' \
		"$(mount_row /own bind "$SRC/data" rbind ridmap)" "$(mount_row /plain bind "$SRC/data" rbind)" \
		"$(mount_row /file bind "$SRC/data/b" bind idmap)" "$(mount_row /ro bind "$SRC/data" bind idmap ro)" \
		"$(mount_row /slave bind "$SRC/data" rbind rslave)" "$(mount_row /other bind "$SRC/data" bind)" \
		'.mounts[-1] += {uidMappings: [{containerID: 7, hostID: 100009, size: 1}], gidMappings: [{containerID: 8, hostID: 200000, size: 1}]}'
	chown 100000:200000 "$BUNDLE/rootfs"
	(
		eventually test -e "$SRC/data/up"
		mount -t tmpfs late "$SRC/data/late"
		echo late >"$SRC/data/late/f"
	) 3>&- &
	expect 0 husk run -b "$BUNDLE" "$ID"
	wait $!
	umount "$SRC/data/late"
	[ "$out" = "a 0:0
b 7:8
in/a 0:0
new 0:0
in/new 0:0
/plain/a 65534:65534
/other/b 9:0
/file 7:8
touch: /plain/x: Permission denied
touch: /ro/x: Read-only file system
/slave/in/a 65534:65534
late
done" ] || { echo "$out"; false; }
	[ "$(stat -c %u:%g "$SRC/data/new" "$SRC/data/in/new")" = $'0:0\n0:0' ]
	[ ! -e "$SRC/data/x" ]
}

@test "changes on the host: at once in a ConfigMap's volume, within a second elsewhere" {
	vol=$SRC/pods/1/volumes/kubernetes.io~configmap/cfg
	mkdir -p "$vol/..1" "$SRC/plain"
	echo 1 >"$vol/..1/key"
	ln -s ..1 "$vol/..data"
	ln -s ..data/key "$vol/key"
	echo 1 >"$SRC/plain/f"
	bundle "$(args sh -c 'echo ready; while read -r what; do cat $what; done')" \
		"$(mount_row /cfg bind "$vol" rbind ro)" "$(mount_row /plain bind "$SRC/plain" rbind)"
	mkfifo in
	husk run -b "$BUNDLE" "$ID" <in >o 2>e & pid=$!
	exec 7>in
	eventually grep -q ready o
	lines() { [ "$(wc -l <o)" = "$1" ]; }
	for i in 2 3 4 5 6; do
		echo /cfg/key >&7
		eventually lines $i
		mkdir "$vol/..$i"
		echo $i >"$vol/..$i/key"
		ln -s ..$i "$vol/..data_tmp"
		mv -T "$vol/..data_tmp" "$vol/..data"
		rm -r "$vol/..$((i - 1))"
	done
	echo /cfg/key >&7
	eventually lines 7
	[ "$(tail -n +2 o | tr '\n' ' ')" = '1 2 3 4 5 6 ' ] || { cat o e; false; }
	echo /plain/f >&7
	eventually lines 8
	echo longer >"$SRC/plain/f"
	echo 2 >"$SRC/plain/new"
	sleep 1.5
	echo /plain/f /plain/new >&7
	eventually lines 10
	[ "$(tail -n 2 o | tr '\n' ' ')" = 'longer 2 ' ] || { cat o e; false; }
	exec 7>&-
	wait $pid
}

# What a container's process does with the next line, and what it says.
inside() { # COMMAND
	local turns
	turns=$(grep -c '^== ' o)
	echo "$1" | tr '\n' ' ' >&7
	echo >&7
	eventually turned
	sed -n "/^== $((turns - 1))\$/,/^== $turns\$/p" o | sed '/^== /d'
}
turned() { grep -qx "== $turns" o; }
shows() { [ "$(inside "cat $1 2>&1")" = "$2" ] || { cat o e; false; }; }

@test "slave propagation: what the host mounts below a source comes and goes, in the container too" {
	mkdir -p "$SRC"/s/{old,gone,over} "$SRC/files" "$SRC/own"
	mount --make-shared "$SRC"
	echo file >"$SRC/files/f"
	mount -t tmpfs old "$SRC/s/old" && echo old >"$SRC/s/old/f"
	mount -t tmpfs -o noexec,nosuid gone "$SRC/s/gone" && echo gone >"$SRC/s/gone/f"
	mkfs.ext4 -q -F "$SRC/disk.img" 8m
	mounts_before=$(mounts_now)
	bundle "$(args sh -c 'echo "== 0"; n=0; while read -r what; do eval "$what"; echo "== $((n += 1))"; done')" \
		"$(mount_row /s bind "$SRC/s" rbind rslave)" "$(mount_row /rr bind "$SRC/s" rbind rro rslave)" \
		"$(mount_row /p bind "$SRC/s" rbind rprivate)" "$(mount_row /s/over tmpfs tmpfs)" \
		"$(mount_row /own bind "$SRC/own" bind slave)"
	mkfifo in
	husk --log log --log-format text run -b "$BUNDLE" "$ID" <in >o 2>e & pid=$!
	exec 7>in
	eventually grep -q '== 0' o || { cat o e log; false; }
	shows /s/old/f old
	shows /rr/gone/f gone
	shows /p/gone/f gone
	inside 'grep " /s/\|/rr/" /proc/self/mountinfo | cut -d " " -f 5,6 | sort' >table
	diff table - <<-'END'
		/rr/gone ro,nosuid,noexec,relatime
		/rr/old ro,relatime
		/s/gone rw,nosuid,noexec,relatime
		/s/old rw,relatime
		/s/over rw,relatime
	END

	# Folders that the host has just made, one in the other; a file; read-only; all of a source.
	mkdir "$SRC/s/new" && mount -t tmpfs -o nosuid,nodev new "$SRC/s/new" && mkdir "$SRC/s/new/in"
	mount -t tmpfs in "$SRC/s/new/in" && echo in >"$SRC/s/new/in/f"
	: >"$SRC/s/file" && mount --bind "$SRC/files/f" "$SRC/s/file"
	mkdir "$SRC/s/ro" && mount -t tmpfs -o ro ro "$SRC/s/ro"
	mount -t tmpfs hidden "$SRC/s/over" && touch "$SRC/s/over/f"
	mount -t tmpfs own "$SRC/own" && echo own >"$SRC/own/f"
	[ "$(inside 'k=0; until [ -e /own/f ] || [ $((k += 1)) = 150 ]; do sleep 0.1; done; echo $((k < 150))')" = 1 ] || { cat o e log; false; }
	shows /s/new/in/f in
	shows /rr/new/in/f in
	shows /s/file file
	[ "$(inside 'ls -A /rr/over; ls -A /s/over')" = f ] || { cat o; false; }
	shows /own/f own
	[ "$(inside 'echo there >/s/new/in/w; (: >/s/ro/w) 2>&1; (: >/rr/new/w) 2>&1; ls -A /p/new' | sed 's/.*: //')" = \
		"$(printf 'Read-only file system\nRead-only file system')" ]
	[ "$(cat "$SRC/s/new/in/w")" = there ]
	[ "$(inside 'grep " /s/new " /proc/self/mountinfo | cut -d " " -f 6')" = rw,nosuid,nodev,relatime ]

	# What is open does not keep the host from anything.
	mkdir "$SRC/s/disk" && mount -o loop "$SRC/disk.img" "$SRC/s/disk" && echo disk >"$SRC/s/disk/f"
	inside 'k=0; until [ -e /s/disk/f ] || [ $((k += 1)) = 150 ]; do sleep 0.1; done; exec 9</s/disk/f; cat <&9' | grep -qx disk
	umount "$SRC/s/disk"
	released() { [ -z "$(losetup -j "$SRC/disk.img")" ]; }
	eventually released
	[ "$(inside '[ -e /s/disk/f ] || echo gone; cat /proc/self/fd/9 2>&1; exec 9<&-' | sed 's/.*: //')" = "$(printf 'gone\nStale file handle')" ] || { cat o; false; }
	umount "$SRC/s/over" "$SRC/s/new/in" "$SRC/s/new" "$SRC/s/file" "$SRC/s/ro" "$SRC/s/gone" "$SRC/own"
	inside 'k=0; while [ -e /s/gone/f ] && [ $((k += 1)) != 150 ]; do sleep 0.1; done; grep "/s/\|/rr/\|/own/" /proc/self/mountinfo |
		cut -d " " -f 5 | sort' | tr '\n' ' ' >table
	[ "$(cat table)" = '/rr/old /s/old /s/over ' ] || { cat table o e log; false; }
	shows /s/new/in/f 'cat: can'\''t open '\''/s/new/in/f'\'': No such file or directory'
	shows /p/gone/f gone

	# Nothing hangs on a container that stands still, and it has all of it when it goes on.
	husk pause "$ID"
	mount -t tmpfs new "$SRC/s/new" && echo paused >"$SRC/s/new/f"
	sleep 0.5
	husk resume "$ID"
	eventually shows /s/new/f paused
	# Without the follower the container goes on as it is; one line says so.
	locked_in husk-follower 0000000000200004 # CAP_SYS_ADMIN, CAP_DAC_READ_SEARCH
	kill -9 "$(pgrep -x husk-follower)"
	eventually grep -q 'husk-follower has ended' log
	umount "$SRC/s/new"
	shows /s/new/f paused
	[ "$(grep -c 'husk-follower has ended' log)" = 1 ] || { cat log; false; }
	exec 7>&-
	wait $pid
	! pgrep -x husk-follower
	umount "$SRC/s/old" "$SRC/s/gone" || :
	mounts_before=$(mounts_now)
}

# A server of the host that says who connected, sends a lot, and reads all of what comes back before it answers.
server() { # SOCKET
	python3 -c 'import os, socket, struct, sys, threading
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); os.chmod(sys.argv[1], 0o660); os.chown(sys.argv[1], 1000, 0); s.listen(64)
def one(c):
    uid = struct.unpack("3i", c.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1]
    c.sendall(b"uid %d\n" % uid)
    n = 0
    while True:
        d = c.recv(65536)
        if not d: break
        n += len(d)
    try: c.sendall(b"%d bytes\n" % n)
    except OSError: pass
    c.close()
    open(sys.argv[2], "a").write("%d\n" % n)
while True: threading.Thread(target=one, args=(s.accept()[0],)).start()' "$1" "$SRC/log" 3>&- &
	server=$!
	eventually test -S "$1"
}

@test "NOTIFY_SOCKET in a folder that is bound reaches who has it; a link in its place reaches nobody" {
	mkdir -p "$SRC/notify" "$SRC/link" lib
	socat -u UNIX-RECV:"$SRC/notify/notify.sock" - >notified 3>&- & log=$!
	eventually test -S "$SRC/notify/notify.sock"
	ln -s ../notify/notify.sock "$SRC/link/notify.sock"
	cp "$(command -v socat)" $(ldd "$(command -v socat)" | grep -o '/[^ ]*') lib/
	bundle "$(args sh -c 'echo "$0=1" | /l/ld-linux-x86-64.so.2 --library-path /l /l/socat -u - UNIX-SENDTO:$NOTIFY_SOCKET' READY)" \
		"$(mount_row /run/notify bind "$SRC/notify" rbind,rw)" "$(mount_row /l bind "$PWD/lib" bind,ro)" \
		'.process.env += ["NOTIFY_SOCKET=/run/notify/notify.sock"]'
	expect 0 husk run -b "$BUNDLE" "$ID" </dev/null
	eventually grep -qx READY=1 notified
	configure '.mounts |= map(if .destination == "/run/notify" then .source = "'"$SRC/link"'" else . end)' '.process.args[3] = "LINK"'
	husk run -b "$BUNDLE" "$ID" </dev/null || :
	configure '.mounts |= map(if .destination == "/run/notify" then .source = "'"$SRC/notify"'" else . end)' '.process.args[3] = "LAST"'
	expect 0 husk run -b "$BUNDLE" "$ID" </dev/null
	eventually grep -qx LAST=1 notified
	[ "$(cat notified)" = $'READY=1\nLAST=1' ]
	kill "$log"
	wait "$log" || :
}

@test "sockets of the host: connections both ways, several at a time, as the user, to the last byte; datagrams" {
	server "$SRC/s"
	socat -u UNIX-RECV:"$SRC/d" - >datagrams 3>&- & log=$!
	eventually test -S "$SRC/d"
	# the host's socat in the container
	mkdir lib
	cp "$(command -v socat)" $(ldd "$(command -v socat)" | grep -o '/[^ ]*') lib/
	bundle "$(args sh -c '
		so() { /l/ld-linux-x86-64.so.2 --library-path /l /l/socat "$@"; }
		stat -c "%F %a %u" /run/s
		echo hello | so -t 60 - UNIX:/run/s
		head -c 3000000 /dev/zero | so -t 60 - UNIX:/run/s | tail -n 1
		for i in 1 2 3; do (echo $i | so -t 60 - UNIX:/run/s >/tmp/$i) & done; wait; cat /tmp/1 /tmp/2 /tmp/3 | sort | uniq -c | tr -s " "
		echo one | so -u - UNIX-SENDTO:/dev/log; echo two | so -u - UNIX-SENDTO:/dev/log
		head -c 70000 /dev/zero | so -u - UNIX:/run/s')" "$(mount_row /run/s bind "$SRC/s" bind)" "$(mount_row /dev/log bind "$SRC/d" bind)" "$(mount_row /l bind "$PWD/lib" bind,ro)" \
		"$(mount_row /tmp tmpfs tmpfs '')"
	expect 0 husk run -b "$BUNDLE" "$ID" </dev/null
	[ "$out" = 'socket 660 1000
uid 0
6 bytes
3000000 bytes
 3 2 bytes
 3 uid 0' ] || { echo "$out"; return 1; }
	# what was written just before the end has arrived
	eventually grep -qx 70000 "$SRC/log"
	eventually grep -qx two datagrams
	[ "$(cat datagrams)" = 'one
two' ]
	# another user
	configure '.process.user = {uid: 1000, gid: 0} | .process.args[2] = "/l/ld-linux-x86-64.so.2 --library-path /l /l/socat -t 60 - UNIX:/run/s </dev/null"'
	# CAP_SETUID, CAP_SETGID, CAP_DAC_OVERRIDE: sockets may be another user's
	(eventually locked_in husk-connector 00000000000000c2) >locked 2>&1 3>&- & watch=$!
	expect 0 husk run -b "$BUNDLE" "$ID" </dev/null
	[[ $out == *'uid 1000'* ]] || { echo "$out"; return 1; }
	# a member of its group, as of docker for docker.sock
	chgrp 998 "$SRC/s"
	configure '.process.user = {uid: 1001, gid: 1001, additionalGids: [5, 998]}'
	expect 0 husk run -b "$BUNDLE" "$ID" </dev/null
	[[ $out == *'uid 1001'* ]] || { echo "$out"; return 1; }
	configure '.process.user.additionalGids = [5]'
	expect 1 husk run -b "$BUNDLE" "$ID" </dev/null
	[[ $err == *'Permission denied'* ]] || { echo "$out"; return 1; }
	wait $watch || { cat locked; false; }
	kill "$server" "$log"
	# $SRC is busy as long as they have their sockets
	wait "$server" "$log" || :
}

@test "sockets of the host: a container with a user namespace connects as who its users are on the host, or not at all" {
	python3 -c 'import os, socket, struct, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); os.chmod(sys.argv[1], 0o666); s.listen(8)
while True:
    c = s.accept()[0]
    c.sendall(b"%d %d\n" % struct.unpack("3i", c.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1:]); c.close()' "$SRC/s" 3>&- &
	server=$!
	eventually test -S "$SRC/s"
	mkdir lib
	cp "$(command -v socat)" $(ldd "$(command -v socat)" | grep -o '/[^ ]*') lib/
	so='/l/ld-linux-x86-64.so.2 --library-path /l /l/socat -u UNIX-CONNECT:/s -'
	bundle "$(args sh -c "$so; echo end")" "$(mount_row /s bind "$SRC/s" bind)" "$(mount_row /l bind "$PWD/lib" bind,ro)" \
		'.linux.namespaces += [{type: "user"}] | .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 1000}]
		| .linux.gidMappings = [{containerID: 0, hostID: 200000, size: 1000}] | .root.readonly = false'
	chown 100000:200000 "$BUNDLE/rootfs"
	expect 0 husk run -b "$BUNDLE" "$ID" </dev/null
	[ "$out" = $'100000 200000\nend' ] || { echo "$out"; return 1; }
	configure '.process.user = {uid: 7, gid: 8}'
	expect 0 husk run -b "$BUNDLE" "$ID" </dev/null
	[ "$out" = $'100007 200008\nend' ] || { echo "$out"; return 1; }
	# By a husk that may become nobody else: not as the one who runs it either.
	expect 0 setpriv --inh-caps=-setuid,-setgid --bounding-set=-setuid,-setgid "$HUSK" --root "$ROOT" run -b "$BUNDLE" "$ID" </dev/null
	[ "$out" = end ] || { echo "$out"; return 1; }
	kill "$server"
	wait "$server" || :
}
