#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A user without any right on the host but the one to use /dev/kvm, in a user namespace of their own: what rootless engines are.
load helper
setup() {
	vm_setup
	chmod 755 "$BATS_TEST_TMPDIR" "$BATS_FILE_TMPDIR" "$BATS_RUN_TMPDIR"
	# where that user comes to
	mkdir -p all/bin all/share
	cp "$(dirname "$HUSK")"/husk* all/bin
	cp -rL "$(dirname "$HUSK")/../share/husk" all/share
	chmod -R a+rX all
	HUSK=$PWD/all/bin/husk
}
teardown() { vm_teardown; }

# root of a user namespace in which nobody else is
user() {
	setpriv --reuid 1001 --regid 1001 --groups "$(stat -c %g /dev/kvm)" --inh-caps -all --bounding-set -all \
		unshare --user --map-root-user --mount --propagation slave env HUSK="$HUSK" ROOT="$ROOT" BUNDLE="$BUNDLE" ID="$ID" "$@"
}

@test "no control group of its own, namespaces that can be joined, connections to the network namespace itself; nothing is left" {
	mkdir -m 755 src
	mount -t tmpfs -o mode=755 src src && mount --make-shared src && mkdir src/old src/new && mount -t tmpfs old src/old && echo old >src/old/f
	bundle "$(args sh -c "nc -ll -p 7000 -e cat & exec /udp-echo 7000")" '.linux.resources.memory.limit = 50000000' '.linux.cgroupsPath = "/husk/of/a/user"' \
		'.mounts += [{destination: "/mnt", type: "bind", source: "'"$PWD/src"'", options: ["rbind", "rslave"]}]'
	mkdir "$ROOT"
	cp "$BUILT/bin/udp-echo" "$BUNDLE/rootfs"
	cp "$BATS_TEST_DIRNAME/datagrams.py" .
	chown 1001:1001 "$ROOT" "$BUNDLE"
	cat >steps <<-'END'
		set -e
		husk() { "$HUSK" --root "$ROOT" "$@"; }
		husk run -d -b "$BUNDLE" --pid-file "$BUNDLE/pid" "$ID" </dev/null >/dev/null 2>"$BUNDLE/err" || { cat "$BUNDLE/err" >&2; exit 1; }
		pid=$(cat "$BUNDLE/pid")
		echo "group $(cmp /proc/self/cgroup "/proc/$pid/cgroup" && echo own) $(husk exec "$ID" cat /sys/fs/cgroup/memory.max)"
		# what the host's root mounts there comes and goes; what was there is not this user's to take apart, and stays
		echo "$(husk exec "$ID" sh -c 'cat /mnt/old/f; n=0; until [ -e /mnt/new/f ] || [ $((n += 1)) = 200 ]; do sleep 0.1; done
			cat /mnt/new/f')" $(touch "$BUNDLE/seen"
			husk exec "$ID" sh -c 'n=0; while [ -e /mnt/new/f ] && [ $((n += 1)) != 200 ]; do sleep 0.1; done; ls /mnt/new')
		# as podman cp does; nothing there can be executed on the host
		python3 -c '
		import ctypes, os, sys
		libc = ctypes.CDLL(None, use_errno=True)
		for kind, flag in ("pid", 0x20000000), ("mnt", 0x20000):
		    if libc.setns(os.open(f"/proc/{sys.argv[1]}/ns/{kind}", os.O_RDONLY), flag):
		        sys.exit(f"{kind}: {os.strerror(ctypes.get_errno())}")
		print("joined", open("/etc/nsswitch.conf").read().strip())' "$pid"
		for a in TCP:127.0.0.1 TCP6:[::1]; do
			for i in $(seq 50); do
				back=$(echo there | nsenter -t "$pid" -n socat -t 60 - "$a:7000" 2>/dev/null) && [ -n "$back" ] && break
				sleep 0.1
			done
			echo "$a $back"
		done
		nsenter -t "$pid" -n /usr/bin/python3 datagrams.py 127.0.0.1 ::1
		nsenter -t "$pid" -n socat -u TCP-LISTEN:7001,bind=127.0.0.9,reuseaddr - &
		echo 'to the own server' | nsenter -t "$pid" -n socat -u - TCP:127.0.0.9:7001,retry=300,interval=0.1
		wait
		husk delete --force "$ID"
		husk --rootless false create -b "$BUNDLE" "$ID" </dev/null 2>&1 && echo created
		husk list -q
	END
	(
		eventually test -e "$BUNDLE/pid"
		mount -t tmpfs new src/new
		echo new >src/new/f
		eventually test -e "$BUNDLE/seen"
		umount src/new
	) 3>&- &
	expect 0 user bash steps
	wait $!
	umount src/old src
	echo "$out"
	[ "$out" = "group own 49999872
old
new
joined hosts: files dns
TCP:127.0.0.1 there
TCP6:[::1] there
datagrams 127.0.0.1 ::1
to the own server
husk: create failed: cannot make the cgroup /husk: Permission denied" ]
}

@test "who is root nowhere is told so, and how to change it" {
	local user=(setpriv --reuid 1001 --regid 1001 --groups "$(stat -c %g /dev/kvm)" --inh-caps -all --bounding-set -all)

	bundle
	mkdir "$ROOT"
	chown 1001:1001 "$ROOT" "$BUNDLE"
	expect 1 "${user[@]}" "$HUSK" --root "$ROOT" run -b "$BUNDLE" "$ID"
	says 'husk is neither root nor in a user namespace of its own: unshare --user --map-root-user --mount husk'
	one_line
	[ ! -e "$ROOT/$ID" ]
	"${user[@]}" "$HUSK" doctor >doctor || :
	grep -q 'this user is root in none' doctor
	"$HUSK" doctor >doctor || :
	grep -q 'UTS namespaces can be made' doctor
}

# As Podman does: a namespace by path, which passt, beside it as the same user, gives a tap with the host's address and routes.
# The container ends a connection after the host: where it is the quicker one, Debian 12's passt may forget the host's end.
@test "a network of passt's: out to the host, and in by a port that it publishes" {
	bundle "$(args sh -c 'ip -4 addr show dev ext0 | grep -o "inet [0-9./]*"; sleep 1000 | nc 10.9.0.1 7003 & exec nc -ll -p 7002 -e cat')" \
		'.linux.namespaces |= map(if .type == "network" then .path = "'"$PWD/all/ns"'" else . end)'
	mkdir "$ROOT"
	: >all/ns
	chown 1001:1001 "$ROOT" "$BUNDLE" all/ns
	cat >steps <<-'END'
		set -e
		husk() { "$HUSK" --root "$ROOT" "$@"; }
		unshare --net="$1" true
		pasta --config-net -4 --quiet -t 7002 -u none -T none -U none --pid "$BUNDLE/passt" --netns-only --netns "$1"
		socat -u SYSTEM:'echo from the host' TCP-LISTEN:7003,bind=127.0.0.1,reuseaddr &
		husk run -b "$BUNDLE" "$ID" </dev/null >"$BUNDLE/out" 2>&1 &
		run=$!
		# the container is up
		for i in $(seq 300); do grep -q 'from the host' "$BUNDLE/out" && break; sleep 0.2; done
		for i in $(seq 100); do
			back=$(echo there and back | socat -t 20 - TCP:127.0.0.1:7002 2>/dev/null) && [ -n "$back" ] && break
			sleep 0.2
		done
		echo "${back:-none in $i tries}"
		husk delete --force "$ID"
		wait $run || :
		cat "$BUNDLE/out"
		passt=$(cat "$BUNDLE/passt")
		kill "$passt"
		# As long as it lives it has the namespace open.
		for i in $(seq 100); do kill -0 "$passt" 2>/dev/null || break; sleep 0.1; done
		umount "$1"
	END
	cat >host <<-'END'
		ip link set lo up
		ip link add ext0 type dummy
		ip addr add 10.9.0.2/24 dev ext0
		ip link set ext0 up
		ip route add default via 10.9.0.1
		exec "$@"
	END
	export -f user
	export HUSK ROOT BUNDLE ID
	expect 0 unshare -n bash host bash -c 'user bash steps "$1"' user "$PWD/all/ns"
	echo "$out"
	[ "$out" = 'there and back
inet 10.9.0.2/24
from the host' ]
}
