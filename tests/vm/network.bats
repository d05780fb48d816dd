# SPDX-License-Identifier: Apache-2.0
# The network of a container: $NS is its namespace, $PEER that of those it speaks to. The whole of it in few machines.
load helper

load netns

setup() { netns_setup && vm_setup; }
teardown() { netns_teardown; }

inode() { stat -Lc %i "$1"; }
guest() { husk exec "$ID" "$@"; }

has() { guest ip -o addr show | grep -qF "$1"; }
has_not() { ! has "$1"; }

# A name server as an engine's: on the namespace's loopback. Every name's IPv4 address is 203.0.113.7.
name_server() {
	cat >server.py <<-'END'
		import socket, threading
		def answer(q):
		    end = q.index(0, 12) + 5
		    a = q[end - 4:end - 2] == b"\0\1"
		    return q[:2] + b"\x81\x80\0\1\0" + (b"\1" if a else b"\0") + b"\0\0\0\0" + q[12:end] + \
		        (b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xcb\0\x71\7" if a else b"")
		def tcp(s):
		    while True:
		        c = s.accept()[0]
		        q = c.recv(4096)
		        r = answer(q[2:])
		        c.sendall(len(r).to_bytes(2, "big") + r)
		        c.close()
		t = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
		t.bind(("127.0.0.11", 53)); t.listen()
		threading.Thread(target=tcp, args=(t,), daemon=True).start()
		u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		u.bind(("127.0.0.11", 53))
		while True:
		    q, who = u.recvfrom(4096)
		    u.sendto(answer(q), who)
	END
	ip netns exec "$NS" /usr/bin/python3 server.py 3>&- &
	SERVER=$!
	echo 'nameserver 127.0.0.11' >"$BUNDLE/rootfs/etc/resolv.conf"
}

# A tap that a program of the engine's serves, as slirp4netns does; its frames go to one of the peer's.
user_mode_tap() {
	peer socat TUN:10.82.0.1/24,tun-type=tap,tun-name=tap1,iff-no-pi,iff-up UNIX-LISTEN:"$PWD/tap",type=5 3>&- &
	TAPS=$!
	eventually test -S tap
	ip netns exec "$NS" socat TUN:10.82.0.2/24,tun-type=tap,tun-name=tap0,iff-no-pi,iff-up UNIX-CONNECT:"$PWD/tap",type=5,retry=100,interval=0.1 3>&- &
	TAPS="$TAPS $!"
	eventually sh -c "ip -n $NS addr show up dev tap0 | grep -q 10.82.0.2"
}

# above LETTER KIND MODE NET: NET.2 on an interface LETTERv0 of that kind, whose link leads to the peer's NET.1
above() {
	ip -n "$PEER" link add "${1}0" type veth peer name "${1}1"
	ip -n "$PEER" addr add "$4.1/24" dev "${1}0"
	ip -n "$PEER" link set "${1}0" up
	ip -n "$PEER" link set "${1}1" up
	ip -n "$PEER" link add "${1}v0" link "${1}1" type "$2" mode "$3"
	ip -n "$PEER" link set "${1}v0" netns "$NS"
	ip -n "$NS" addr add "$4.2/24" dev "${1}v0"
	ip -n "$NS" link set "${1}v0" up
}

# What is added to the namespace for the machine's sake.
traces() {
	ip -n "$NS" -o link | grep -o 'husk[0-9]*' || :
	tc -n "$NS" qdisc | grep ingress || :
}
no_trace() { [ -z "$(traces)" ]; }

@test "interfaces of every kind, before the start and while it runs, carry what the host's do" {
	veth eth0 10.77.0.2/24 10.77.0.1/24 mtu 1400
	ip -n "$NS" -6 addr add fd77::2/64 dev eth0 nodad
	ip -n "$PEER" -6 addr add fd77::1/64 dev far-eth0 nodad
	ip -n "$NS" route add default via 10.77.0.1
	ip -n "$NS" route add 198.51.100.0/24 via 10.77.0.1 metric 50 src 10.77.0.2
	ip -n "$NS" route add 203.0.113.0/24 nexthop via 10.77.0.1 dev eth0 weight 2 nexthop via 10.77.0.3 dev eth0
	ip -n "$NS" -6 route add default via fd77::1
	ip -n "$NS" rule add from 10.77.0.2 lookup 100 priority 1000
	# Nothing would go anywhere if what narrows these were lost.
	ip -n "$NS" rule add not from 0.0.0.0/0 prohibit priority 1001
	ip -n "$NS" route add default via 10.77.0.77 dev eth0 table 101
	ip -n "$NS" rule add lookup 101 suppress_prefixlength 0 priority 1002
	ip -n "$NS" rule add ipproto 250 sport 9-10 dport 7 tos 4 prohibit priority 1003
	ip -n "$NS" neigh add 10.77.0.9 lladdr 02:00:00:00:00:99 dev eth0 nud permanent
	above m macvlan bridge 10.79.0
	above i ipvlan l2 10.83.0
	bundle "$(args sh -c "nc -ll -p 7000 -e cat & exec /udp-echo 7000")" \
		'.linux.namespaces[1].path = "/run/netns/'"$NS"'"'
	cp "$BUILT/bin/udp-echo" "$BUNDLE/rootfs"
	name_server
	user_mode_tap

	# What cannot be carried is named, and nothing stays.
	ip -n "$NS" tuntap add dev tun9 mode tun
	ip -n "$NS" link set tun9 up
	expect 1 husk create -b "$BUNDLE" "$ID" </dev/null
	says 'network: interface tun9: a virtual machine cannot have one that is not Ethernet'
	one_line
	no_trace
	ip -n "$NS" link del tun9

	expect 0 husk create -b "$BUNDLE" --pid-file pid "$ID" </dev/null
	[ "$(inode "/proc/$(cat pid)/ns/net")" = "$(inode "/run/netns/$NS")" ]
	# As an engine does that plugs between create and start.
	veth net1 10.78.0.2/24 10.78.0.1/24
	expect 0 husk start "$ID"
	guest ip addr >addr
	guest ip route >route
	guest ip -6 route >>route
	guest ip neigh >neigh
	guest ip rule >rules
	grep -q '1000:.*from 10.77.0.2 lookup 100' rules
	for priority in 1001 1002 1003; do grep -q "^$priority:" rules; done
	cat addr route neigh
	grep -q 'eth0: .*UP.* mtu 1400 ' addr
	for a in 10.77.0.2/24 fd77::2/64 10.78.0.2/24 10.79.0.2/24 10.83.0.2/24; do grep -qF " $a " addr; done
	[ "$(guest cat /sys/class/net/mv0/address)" = "$(ip netns exec "$NS" cat /sys/class/net/mv0/address)" ]
	grep -q 'default via 10.77.0.1 dev eth0' route
	grep -q '198.51.100.0/24 via 10.77.0.1 dev eth0 *metric 50 *src 10.77.0.2\|198.51.100.0/24 via 10.77.0.1 dev eth0 *src 10.77.0.2 *metric 50' route
	grep -q '203.0.113.0/24' route
	grep -q 'default via fd77::1 dev eth0' route
	grep -q '10.77.0.9 .*02:00:00:00:00:99 .*PERMANENT' neigh

	for a in 10.77.0.2 fd77::2 10.78.0.2 10.79.0.2 10.82.0.2 10.83.0.2; do eventually reaches "$a"; done
	# There and back by the guest's server; then to one of the peer's over IPv6.
	head -c 300000 /dev/urandom >data
	peer socat -t 60 - TCP:10.77.0.2:7000 <data >back
	cmp data back
	peer socat -u TCP6-LISTEN:7001,reuseaddr CREATE:got 3>&- &
	listener=$!
	eventually peer sh -c 'ss -ltn | grep -q :7001'
	guest sh -c 'head -c 100000 /dev/zero | nc fd77::1 7001'
	wait $listener
	[ "$(stat -c %s got)" = 100000 ]

	# Who connects to the namespace itself means the container; where it does not listen the connection ends.
	for a in TCP:127.0.0.1 TCP6:[::1] TCP:10.77.0.2; do
		ip netns exec "$NS" socat -t 60 - "$a:7000" <data >back
		cmp data back
	done
	[ -z "$(ip netns exec "$NS" socat -t 5 - TCP:127.0.0.1:7009 </dev/null 2>/dev/null | head -c 100)" ]
	eventually guest grep -q ' 00000000000000000000000000000000:1B58 ' /proc/net/udp6
	ip netns exec "$NS" /usr/bin/python3 "$BATS_TEST_DIRNAME/datagrams.py" 127.0.0.1 ::1 10.77.0.2 fd77::2

	# The engine's name server, by UDP and by TCP.
	guest nslookup db.test >names
	cat names
	grep -q 203.0.113.7 names
	guest sh -c 'printf "\0\31\22\64\1\0\0\1\0\0\0\0\0\0\2db\4test\0\0\1\0\1" | nc 127.0.0.11 53 | hexdump -C' | tee names
	grep -q 'cb *00 71 07' names
	kill $SERVER $TAPS

	# Its figures are the guest's.
	expect 0 husk events --stats "$ID"
	[ "$(jq -r '.data.network_interfaces[] | select(.Name == "eth0") | .RxBytes > 300000 and .TxBytes > 400000' <<<"$out")" = true ]

	# Another machine would take it away from this one; and of one of another folder of containers nobody here can know.
	expect 1 "$HUSK" --root "$PWD/elsewhere" create -b "$BUNDLE" "$ID-2" </dev/null
	says 'leads to husk' 'another virtual machine has it'
	[ -z "$(ls -A elsewhere)" ]

	veth net2 10.80.0.2/24 10.80.0.1/24
	eventually has 10.80.0.2/24
	eventually reaches 10.80.0.2
	# What comes and cannot be carried does not keep the rest from coming.
	ip -n "$NS" tuntap add dev tun9 mode tun
	ip -n "$NS" link set tun9 up
	ip -n "$NS" addr add 10.80.0.22/24 dev net2
	eventually has 10.80.0.22/24
	ip -n "$NS" link del net1
	eventually has_not net1
	eventually reaches 10.77.0.2
	expect 0 husk delete --force "$ID"
	no_trace
}

@test "an MTU beyond what a tap can have is that, from the start and later" {
	mtu_is() { expect 0 husk exec "$ID" cat /sys/class/net/eth0/mtu && [ "$out" = "$1" ]; }
	veth eth0 10.77.0.2/24 10.77.0.1/24 mtu 65535
	bundle "$(args sleep 1000)" '.linux.namespaces[1].path = "/run/netns/'"$NS"'"'
	expect 0 husk run -d -b "$BUNDLE" "$ID" </dev/null
	mtu_is 65521
	ip -n "$NS" link set eth0 mtu 1500
	eventually mtu_is 1500
	ip -n "$NS" link set eth0 mtu 65535
	veth net1 10.78.0.2/24 10.78.0.1/24
	eventually mtu_is 65521
	eventually reaches 10.78.0.2
	husk delete --force "$ID"
}

@test "a link whose hook is somebody's: carried beside their filters, which stay; one in the mirror's place is named" {
	hook() { tc -n "$NS" qdisc show dev eth0; tc -n "$NS" filter show dev eth0 ingress; tc -n "$NS" filter show dev eth0 egress; }
	veth eth0 10.77.0.2/24 10.77.0.1/24
	bundle "$(args sleep 1000)" '.linux.namespaces[1].path = "/run/netns/'"$NS"'"'
	tc -n "$NS" qdisc add dev eth0 clsact
	tc -n "$NS" filter add dev eth0 ingress prio 5 protocol all matchall classid 1:1
	tc -n "$NS" filter add dev eth0 egress prio 1 protocol all matchall classid 1:1
	hook >before
	expect 0 husk run -d -b "$BUNDLE" "$ID" </dev/null
	hook | grep -q mirred
	eventually reaches 10.77.0.2
	husk delete --force "$ID"
	hook | diff before -
	for kind in matchall 'u32 match u32 0 0'; do
		tc -n "$NS" filter add dev eth0 ingress prio 1 protocol all $kind classid 1:1
		hook >taken
		expect 1 husk run -d -b "$BUNDLE" "$ID" </dev/null
		says "interface eth0: somebody's filter has the priority 1 on its ingress hook"
		one_line
		hook | diff taken -
		tc -n "$NS" filter del dev eth0 ingress prio 1 protocol all
	done
	# What a killed one left is nobody's.
	expect 0 husk run -d -b "$BUNDLE" "$ID" </dev/null
	hook >ours
	kill -9 $(jq '.netPid, .machinePid' "$ROOT/@sandbox/$ID/state.json")
	husk delete --force "$ID"
	expect 0 husk run -d -b "$BUNDLE" "$ID" </dev/null
	eventually reaches 10.77.0.2
	[ "$(hook | grep -c mirred)" = "$(grep -c mirred ours)" ]
	husk delete --force "$ID"
	hook | diff before -
}

@test "a device of the host moves in; a machine that is killed leaves nothing in a namespace that stays" {
	veth eth0 10.77.0.2/24 10.77.0.1/24
	ip link add "d$$" type veth peer name "e$$"
	ip link set "e$$" netns "$PEER"
	ip addr add 10.81.0.2/24 dev "d$$"
	# With a user namespace the network namespace in the guest is another one.
	bundle "$(args sleep 1000)" '.linux.namespaces[1].path = "/run/netns/'"$NS"'" | .linux.netDevices = {"d'$$'": {"name": "net9"}}' \
		'.linux.namespaces += [{type: "user"}] | .linux.uidMappings = [{containerID: 0, hostID: 0, size: 65536}] |
		.linux.gidMappings = .linux.uidMappings'
	expect 0 husk run -d -b "$BUNDLE" --pid-file pid "$ID" </dev/null
	[ "$(traces | wc -l)" = 6 ]
	guest ip -o addr | grep 'net9.* 10.81.0.2/24 '
	eventually reaches 10.77.0.2
	veth net1 10.78.0.2/24 10.78.0.1/24
	eventually has 10.78.0.2/24
	eventually reaches 10.78.0.2
	ip -n "$NS" link del net1
	eventually has_not net1
	kill -9 "$(cat pid)"
	eventually no_trace
	expect 0 husk delete --force "$ID"
}

@test "a sysctl of an interface is set once that is there, in a user namespace too" {
	veth eth0 10.77.0.2/24 10.77.0.1/24
	bundle "$(args cat /proc/sys/net/ipv4/conf/eth0/rp_filter)" '.linux.namespaces[1].path = "/run/netns/'"$NS"'"' \
		'.linux.sysctl = {"net.ipv4.conf.eth0.rp_filter": "2"}'
	expect 0 husk run -b "$BUNDLE" "$ID" </dev/null
	[ "$out" = 2 ]
	# On two processors the process runs while the interface is on its way.
	configure '.annotations = {"dev.husk.vcpus": "2"}' '.linux.namespaces += [{type: "user"}]' \
		'.linux.uidMappings = [{containerID: 0, hostID: 0, size: 65536}] | .linux.gidMappings = .linux.uidMappings'
	for _ in 1 2 3; do
		expect 0 husk run -b "$BUNDLE" "$ID" </dev/null
		[ "$out" = 2 ]
	done
}
