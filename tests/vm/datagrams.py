# SPDX-License-Identifier: Apache-2.0
"""Datagrams to a network namespace itself, in which this runs: datagrams.py ADDRESS... A guest returns them, at port 7000."""
import socket
import sys


def open_one(address, wait=60):
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(wait)
    return s


def returns(s, address, what):
    s.sendto(what, (address, 7000))
    try:
        got, who = s.recvfrom(65536)
    except TimeoutError:
        sys.exit(f"{address}: no answer of {len(what)} bytes")
    if (got, who[:2]) != (what, (address, 7000)):
        sys.exit(f"{address}: {len(got)} bytes of {len(what)}, from {who}")


for a in sys.argv[1:]:
    # Not connected: an answer has to be from where it was sent to, and is no question itself.
    one, two = open_one(a), open_one(a)
    returns(one, a, b"one")
    for what in (b"two", b"2" * 60000):
        returns(two, a, what)
    one.sendto(b"first", (a, 7000))
    two.sendto(b"second", (a, 7000))
    if (two.recv(100), one.recv(100)) != (b"second", b"first"):
        sys.exit(f"{a}: an answer has gone to another")

# A socket of the namespace has the port.
own, s = open_one("127.0.0.1"), open_one("127.0.0.1")
own.bind(("127.0.0.1", 7000))
s.sendto(b"own", ("127.0.0.1", 7000))
got, who = own.recvfrom(100)
own.sendto(got, who)
if s.recvfrom(100) != (b"own", ("127.0.0.1", 7000)):
    sys.exit("a socket of the namespace did not have it")
own.close()
# What is an engine's is not the guest's, and is refused by the kernel.
s = open_one("127.0.0.9")
s.connect(("127.0.0.9", 7000))
s.send(b"nobody")
try:
    s.recv(100)
    sys.exit("127.0.0.9 has answered")
except ConnectionRefusedError:
    pass
# Where the guest does not listen nothing is heard, and all else goes on.
s = open_one("127.0.0.1", 0.5)
s.connect(("127.0.0.1", 7009))
try:
    s.send(b"nobody")
    s.recv(100)
    sys.exit("port 7009 has answered")
except TimeoutError:
    pass
returns(open_one("127.0.0.1"), "127.0.0.1", b"after")
print("datagrams", *sys.argv[1:])
