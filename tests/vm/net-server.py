# SPDX-License-Identifier: Apache-2.0
"""The host's end of the test guest's streams (tests/guest/net.c): net-server.py PORT
Port PORT takes what "put" sends, compares it and answers "ok"; PORT + 1 is for "get"; PORT + 2 counts datagrams;
PORT + 3 sends them back.
Ends when its standard input does, and prints what it did."""
import socket
import sys
import threading

BLOCK = bytes(((i * 7 + (i >> 8)) & 255) for i in range(65536))
count = {"put": 0, "bad": 0, "got": 0, "datagrams": 0}


def take(c):
    same, n = True, 0
    while True:
        data = c.recv(65536)
        if not data:
            break
        at = n % 65536
        same &= data == (BLOCK + BLOCK)[at:at + len(data)]
        n += len(data)
    count["put" if same and n else "bad"] += 1
    c.sendall(b"ok" if same else b"no")
    c.close()


def give(c):
    try:
        while True:
            c.sendall(BLOCK)
            count["got"] += 1
    except OSError:
        pass
    c.close()


def serve(s, fn):
    while True:
        c, _ = s.accept()
        threading.Thread(target=fn, args=(c,), daemon=True).start()


def datagrams(s):
    while True:
        s.recv(65536)
        count["datagrams"] += 1


def echo(s):
    while True:
        s.sendto(*s.recvfrom(65536))


port = int(sys.argv[1])
for i, fn in enumerate((take, give)):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("", port + i))
    s.listen(16)
    threading.Thread(target=serve, args=(s, fn), daemon=True).start()
for i, fn in enumerate((datagrams, echo)):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("", port + 2 + i))
    threading.Thread(target=fn, args=(s,), daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
print(*(f"{k}={v}" for k, v in count.items()), flush=True)
