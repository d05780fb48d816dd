# SPDX-License-Identifier: Apache-2.0
# husk-vmm and husk-machine with a guest of one program (tests/guest/init.c): CPUs, memory, devices, every end, the jail.
bats_require_minimum_version 1.5.0
load vmm
KERNEL=${HUSK_KERNEL:-$B/share/husk/vmlinux}
GUEST=$B/tests/guest/initramfs

# The guest does WORDS; output in $out, exit status must be STATUS.
guest() { # STATUS WORDS OPTION…
	local want=$1 words=$2 got=0
	shift 2
	timeout "${HUSK_GUEST_SECONDS:-120}" "$VMM" --kernel "$KERNEL" --initramfs "$GUEST" --memory size=256M \
		--cmdline "console=hvc0 quiet panic=-1 guest=$words" "$@" </dev/null >out 2>err || got=$?
	out=$(tr -d '\r' <out) err=$(cat err)
	[ "$got" = "$want" ] || { printf 'status %d, not %d\nout: %s\nerr: %s\n' "$got" "$want" "$out" "$err"; return 1; }
}

has() { # TEXT…
	local t
	for t in "$@"; do [[ $out == *"$t"* ]] || { printf 'not there: %s\nout: %s\nerr: %s\n' "$t" "$out" "$err"; return 1; }; done
}

# A guest that stays, in the background: $pid.
guest_stays() { # OPTION…
	"$VMM" --kernel "$KERNEL" --initramfs "$GUEST" --memory size=256M \
		--cmdline "console=hvc0 quiet panic=-1 guest=hang" --console file="$PWD/console" "$@" </dev/null 2>err &
	pid=$!
	for _ in $(seq 600); do ! grep -q 'up after' console 2>/dev/null || return 0; sleep 0.1; done
	cat err console
	return 1
}

@test "1, 2 and 8 vCPUs boot and power off" {
	for n in 1 2 8 ${HUSK_MANY_CPUS-}; do
		guest 0 '' --cpus boot=$n
		has "$n cpus" 'guest: bye'
	done
}

@test "entropy" {
	guest 0 entropy
	has 'entropy: ok'
}

@test "a host folder by virtio-fs, written by the guest" {
	mkdir share
	echo 'hello, guest' >share/from-host
	guest 0 fs:data --fs tag=data,path="$PWD/share"
	has "the host's file says: hello, guest" 'fs: ok'
	[ "$(cat share/from-guest)" = 'hello, host' ]
	[ "$(stat -c %a:%u share/from-guest)" = 600:0 ]
}

@test "a read-only share is read-only" {
	mkdir share
	guest 0 fs:data --fs tag=data,path="$PWD/share",readonly=on
	has 'fs: FAILED create: Read-only file system'
	[ -z "$(ls -A share)" ]
}

@test "vsock both ways" {
	timeout 100 python3 - "$PWD/vs_6000" <<'P' &
import socket, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(1)
c, _ = s.accept(); assert c.recv(100) == b"hello\n"; c.sendall(b"well met\n")
P
	server=$!
	for _ in $(seq 100); do [ ! -S vs_6000 ] || break; sleep 0.1; done
	(
		for _ in $(seq 600); do ! grep -q listening out 2>/dev/null || break; sleep 0.1; done
		timeout 60 python3 - "$PWD/vs" >answer <<'P'
import os, socket, sys, threading
s = socket.socket(socket.AF_UNIX); s.settimeout(60); s.connect(sys.argv[1]); s.sendall(b"CONNECT 5000\n")
f = s.makefile("rb"); assert f.readline() == b"OK 5000\n"
data = os.urandom(1000000)
t = threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR))); t.start()
print("same" if f.read() == data else "differs"); t.join()
P
	) &
	client=$!
	guest 0 connect:6000,connect:6001,listen:5000 --vsock cid=3,socket="$PWD/vs"
	wait "$server" "$client"
	has 'connect: ok, the host says well met' 'connect: FAILED' 'listen: ok, 1000000 bytes'
	[ "$(cat answer)" = same ]
	[ ! -e vs ]
}

@test "vsock: connections to the host in storms: refused beyond a few, and the machine lives" {
	timeout 100 python3 - "$PWD/vs_6000" <<'P' &
import socket, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(64)
while True:
    c, _ = s.accept()
    if c.recv(100) == b"hello\n": c.sendall(b"well met\n"); break
P
	server=$!
	for _ in $(seq 100); do [ ! -S vs_6000 ] || break; sleep 0.1; done
	guest 0 storm:6001/400,storm:6000/400,storm:6001/400,connect:6000 --vsock cid=3,socket="$PWD/vs"
	wait "$server"
	has 'storm: ok, 400 refused, 0 open' 'connect: ok, the host says well met'
}

@test "a reset starts the guest anew, or ends" {
	guest 0 reset --on-reset exit
	[ "$(grep -c 'up after' out)" = 1 ]
	"$VMM" --kernel "$KERNEL" --initramfs "$GUEST" --memory size=256M --cmdline 'console=hvc0 quiet guest=reset' \
		</dev/null >again 2>err &
	pid=$!
	for _ in $(seq 600); do [ "$(grep -c 'up after' again)" -lt 3 ] || break; sleep 0.1; done
	kill -TERM $pid
	wait $pid
	pid=
	[ "$(grep -c 'up after' again)" -ge 3 ]
}

@test "a triple fault ends it, with the reason" {
	guest 1 reset --on-reset exit --cmdline 'console=hvc0 quiet reboot=t guest=reset'
	[[ $err == *'triple fault'* ]]
}

@test "a panic that only a triple fault follows: its words are found in memory" {
	guest 1 panic --on-reset exit --cmdline 'console=ttyS9 quiet panic=-1 reboot=t guest=panic'
	[[ $err == *'triple fault'*'Kernel panic - not syncing: sysrq triggered crash'* ]]
	[[ $err != *crashsh* ]]
}

@test "a panic of the guest's kernel is told as one" {
	guest 1 panic --pvpanic --on-reset exit
	[[ $err == *'guest kernel panic'* ]]
	has 'Kernel panic - not syncing'
}

@test "what a guest writes after it said that it panicked is had; then it ends, or is ended" {
	guest 1 panicked:reset --pvpanic
	[[ $err == *'guest kernel panic'* && $err != *'triple fault'* ]]
	has 'guest: written after it'
	guest 1 panicked:hang --pvpanic
	[[ $err == *'guest kernel panic'* ]]
	has 'guest: written after it'
}

@test "SIGTERM ends it with status 0" {
	guest_stays
	kill -TERM $pid
	wait $pid
	pid=
}

@test "a husk-vmm that is killed leaves no machine" {
	guest_stays
	pgrep -x husk-machine >/dev/null
	kill -9 $pid
	for _ in $(seq 100); do pgrep -x husk-machine >/dev/null || break; sleep 0.1; done
	pid=
}

@test "a machine that is killed is told as dead" {
	guest_stays
	pkill -9 -P $pid -x husk-machine
	local status=0
	wait $pid || status=$?
	pid=
	[ $status = 1 ]
	[[ $(cat err) == *'husk-machine died'* ]]
}

@test "a file that is no kernel" {
	head -c 100000 /dev/urandom >noise
	: >empty
	for k in noise empty /bin/true "$GUEST"; do
		local got=0
		timeout 60 "$VMM" --kernel $k </dev/null >out 2>err || got=$?
		[ $got = 1 ]
		[[ $(cat err) == 'husk-vmm: '*kernel* ]]
		[ "$(wc -l <err)" = 1 ]
	done
}

@test "the jail: namespaces, an empty root, capabilities, filters on every thread" {
	mkdir share
	guest_stays --cpus boot=2 --fs tag=data,path="$PWD/share" --vsock cid=3,socket="$PWD/vs"
	local m t ns
	m=$(pgrep -P $pid -x husk-machine)
	for ns in user mnt net ipc uts; do
		[ "$(readlink /proc/$m/ns/$ns)" != "$(readlink /proc/self/ns/$ns)" ]
	done
	[ -z "$(ls -A /proc/$m/root/)" ]
	run ! touch /proc/$m/root/x
	for t in /proc/$m/task/*; do
		grep -q '^Seccomp:[[:space:]]*2$' $t/status
		grep -q '^NoNewPrivs:[[:space:]]*1$' $t/status
		# CHOWN DAC_OVERRIDE FOWNER FSETID SETGID SETUID SETFCAP, in the own namespace
		grep -q '^CapEff:[[:space:]]*00000000800000db$' $t/status
	done
	# no descriptor of a file of the host but the share's, which is dissolved: its mount is in no table
	! ls -l /proc/$m/fd | grep -E "$KERNEL|$GUEST"
	kill -TERM $pid
	wait $pid
	pid=
}

@test "husk-machine's own memory is at most 5 MiB" {
	guest_stays --cpus boot=2 --vsock cid=3,socket="$PWD/vs"
	local own
	# private pages outside of the guest's memory, which is the one mapping of 256 MiB
	own=$(awk '/^[0-9a-f]+-[0-9a-f]+ /{guest=0} /^Size:/{guest=$2 >= 262144} /^Private_(Clean|Dirty):/{if (!guest) n+=$2}
		END{print n}' /proc/"$(pgrep -P $pid -x husk-machine)"/smaps)
	echo "$own KiB"
	[ "$own" -le 5120 ]
	kill -TERM $pid
	wait $pid
	pid=
}
