# SPDX-License-Identifier: Apache-2.0
# Networks of husk-vmm, with a guest of one program (tests/guest/net.c): a tap in a network namespace, frames both ways,
# several queues, limits, devices that come and go.
bats_require_minimum_version 1.5.0
TOP=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
load vmm
KERNEL=${HUSK_KERNEL:-$B/share/husk/vmlinux}
GUEST=$B/tests/guest/initramfs

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	NS=hv$$
	ip netns add $NS
	ip -n $NS link set lo up
}

teardown() {
	[ -z "${server-}" ] || kill $server 2>/dev/null || true
	# Taps that husk-vmm made go with it.
	for _ in $(seq 400); do [ "$(ip -n $NS -o link | wc -l)" != 1 ] || break; sleep 0.1; done
	local left
	left=$(ip -n $NS -o link | grep -v ': lo:' || :)
	ip netns del $NS
	[ -z "$left" ] || { printf 'left: %s\n' "$left"; return 1; }
	no_machine_left
}

inside() { ip netns exec $NS "$@"; }

# The host's end of streams: ports 7000 to 7002.
serve() {
	mkfifo stop
	PATH=/usr/bin:$PATH inside python3 "$TOP/tests/vm/net-server.py" 7000 <stop >served 2>&1 3>&- &
	server=$!
	exec 9>stop
	for _ in $(seq 300); do ! grep -q ready served || return 0; sleep 0.1; done
	cat served
	return 1
}
served() { # TEXT…
	local t
	exec 9>&-
	wait $server
	server=
	for t in "$@"; do grep -q " *$t\b" served || { cat served; return 1; }; done
}

vmm() { # WORDS OPTION…
	local words=$1
	shift
	inside timeout 280 "${VMM:-$B/bin/husk-vmm}" --kernel "$KERNEL" --initramfs "$GUEST" --memory size=256M \
		--cmdline "console=hvc0 quiet panic=-1 guest=$words" "$@" </dev/null >out 2>err
}

# The guest does WORDS, all of them, and powers off.
guest() { # WORDS OPTION…
	local got=0
	vmm "$@" || got=$?
	[ $got = 0 ] && grep -q 'guest: bye' out && ! grep FAILED out || { cat out err; return 1; }
}

# The same, ends by a reset, and the guest that follows does it all again.
guest_twice() { # WORDS OPTION…
	local words=$1 got=0 i
	shift
	: >out
	vmm "$words,reset" "$@" 3>&- 9>&- &
	local pid=$!
	for i in $(seq 1000); do [ "$(grep -c 'guest: resetting' out)" -lt 2 ] && ! grep -q FAILED out && kill -0 $pid || break; sleep 0.1; done
	pkill -TERM -P "$(pgrep -P $pid -x ip || pgrep -P $pid -x timeout)" || pkill -TERM -P $pid
	wait $pid || got=$?
	[ "$(grep -c 'guest: resetting' out)" -ge 2 ] && ! grep FAILED out || { cat out err; return 1; }
}

A=10.7.0.1
@test "frames both ways, with offloads and without; another address; a filter" {
	serve
	guest net:10.7.0.2,ping:$A,put:$A/7000/4/1,get:$A/7001/4/1,spray:$A/7002/300/1000,mac:42,ping:$A,offload:off,put:$A/7000/1/1,get:$A/7001/1/1,offload:on,ping:$A \
		--net tap=hv0,ip=$A,mask=255.255.255.0,mac=02:00:00:00:00:07
	grep -q 'mtu 1500' out
	served put=2 bad=0 'datagrams=[1-9][0-9]*'
}

@test "a guest that floods its neighbours: by ARP, by IPv6, by headers that lie; all else goes on" {
	serve
	guest net:10.7.0.2,ping:$A,noise:8000,put:$A/7000/1/2,get:$A/7001/1/2,turns:$A/7003/20/64,quiet:,ping:$A,put:$A/7000/1/1 \
		--net tap=hv3,ip=$A,mask=255.255.255.0
	grep 'noise: ok, 8000 frames' out
	# Whoever runs it has no log full of it.
	[ "$(wc -l <err)" -lt 20 ] || { cat err; return 1; }
	served put=3 bad=0
}

@test "two pairs on two vCPUs, an MTU, a limit; a reset keeps the taps" {
	serve
	guest_twice net:10.7.0.2,pairs:2,put:$A/7000/1/4,get:$A/7001/1/4,pairs:1,ping:$A,pairs:2 --cpus boot=2 \
		--net tap=hv1,ip=$A,mask=255.255.255.0,num_queues=4,mtu=1400,bw_size=4000000,bw_refill_time=1000
	grep -q 'mtu 1400' out
	grep -q 'pairs: ok, 2 of 2' out
	served put=8 bad=0
}

@test "vhost-net moves the frames, of the next machine too; an interface that was there keeps its address" {
	[ -e /dev/vhost-net ] || modprobe vhost_net
	ip -n $NS tuntap add hv2 mode tap multi_queue
	ip -n $NS addr add $A/24 dev hv2
	serve
	guest_twice net:10.7.0.2,ping:$A,put:$A/7000/2/1,get:$A/7001/2/1,pairs:2,put:$A/7000/1/2,pairs:1,ping:$A --cpus boot=2 \
		--net tap=hv2,ip=10.8.0.1,mask=255.255.255.0,vhost=on,num_queues=4
	ip -n $NS addr show hv2 | grep -q "$A/24"
	ip -n $NS link del hv2
	served put=6 bad=0
}

# How often the machine's thread NAME has slept, as last seen while process PID lived.
sleeps() { # NAME PID
	local task found='' key value last=0
	# Looked for once: to go through all that runs here may take longer than the machine lives.
	until [ -n "$found" ] || ! kill -0 "$2" 2>/dev/null; do
		for task in $(cd /proc && grep -lx "$1" [0-9]*/task/*/comm 2>/dev/null); do
			[ "$(cat "/proc/${task%%/*}/comm" 2>/dev/null)" != husk-machine ] || found=/proc/${task%comm}status
		done
		sleep 0.1
	done
	while [ -n "$found" ] && kill -0 "$2" 2>/dev/null; do
		{ while read -r key value; do [ "$key" != voluntary_ctxt_switches: ] || last=$value; done <"$found"; } 2>/dev/null || break
		sleep 0.1
	done
	echo "$last"
}

@test "vhost-net works with no thread of ours in between; a tap that goes meanwhile is noticed" {
	[ -e /dev/vhost-net ] || modprobe vhost_net
	serve
	vmm net:10.7.0.2,turns:$A/7003/1000/64 --net tap=hv4,ip=$A,mask=255.255.255.0,vhost=on 3>&- &
	local machine=$! n
	n=$(sleeps io $machine)
	wait $machine
	cat out
	grep -q 'turns: ok, 1000 of 1000' out
	echo "slept $n times"
	[ "$n" -gt 5 ] && [ "$n" -lt 300 ]

	ip -n $NS tuntap add hv4 mode tap
	rm out err
	vmm net:10.7.0.2,turns:$A/7003/1000000/64 --net tap=hv4,ip=$A,mask=255.255.255.0,vhost=on 3>&- &
	machine=$!
	for _ in $(seq 300); do ! grep -qs 'net: ok' out || break; sleep 0.1; done
	ip -n $NS link del hv4
	for _ in $(seq 600); do ! grep -q 'its tap has gone' err || break; sleep 0.1; done
	kill $(pgrep -x -P $machine husk-vmm || pgrep -x husk-vmm)
	wait $machine || :
	cat out err
	grep -q 'its tap has gone' err
	served bad=0
}

@test "devices that come and go while the guest runs, by exits and by memory" {
	for how in '' memory; do
		HUSK_LIBEXEC=$B/bin inside timeout 280 "$B/bin/net-hotplug" "$KERNEL" "$GUEST" 2 $how >out 2>&1 || { cat out; return 1; }
		[ "$(grep -c 'frames both ways' out)" = 2 ]
		grep -q 'end: guest powered off' out
	done
}

@test "a network that cannot be: one line that names it, and nothing is left" {
	ip -n $NS tuntap add hv3 mode tap
	for net in tap=hv3,num_queues=4 tap=lo fd=5 tap=hv/3; do
		local got=0
		inside "$B/bin/husk-vmm" --kernel "$KERNEL" --cpus boot=2 --net $net </dev/null >out 2>err 5</dev/null || got=$?
		[ $got = 1 ]
		[[ $(cat err) == 'husk-vmm: --net '* ]]
		[ "$(wc -l <err)" = 1 ]
	done
	ip -n $NS link del hv3
}
