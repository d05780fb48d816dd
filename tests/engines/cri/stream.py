#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""stream.py [--port] URL: a connection that Exec, Attach or PortForward of the Container Runtime Interface names, as a WebSocket.

Standard input goes to the first channel and its end ends nothing, as the protocol has it; what comes goes to standard output and error.
Exec's exit status is this one's. --port: a forwarded port, until the other side closes."""
import base64
import json
import os
import socket
import struct
import sys
import threading
from urllib.parse import urlsplit

STDIN, STDOUT, STDERR, STATUS = range(4)


def send(s, channel, data):
    data = bytes([channel]) + data
    size = struct.pack(">B", 0x80 | len(data)) if len(data) < 126 else struct.pack(">BH", 0xFE, len(data))
    s.sendall(b"\x82" + size + b"\0\0\0\0" + data)  # a mask of zeros


def frames(f):
    while head := f.read(2):
        size = head[1] & 0x7F
        if size >= 126:
            size = int.from_bytes(f.read(2 if size == 126 else 8), "big")
        data = f.read(size)
        if head[0] & 0xF == 8:  # close
            return
        if data:
            yield data[0], data[1:]


def status(data):
    end = json.loads(data)
    if end["status"] == "Success":
        return 0
    for cause in end.get("details", {}).get("causes", []):
        if cause["reason"] == "ExitCode":
            return int(cause["message"])
    print(end["message"], file=sys.stderr)
    return 1


def feed(s):
    while data := os.read(0, 1000):
        send(s, STDIN, data)


def main():
    port = sys.argv[1] == "--port"
    url = urlsplit(sys.argv[-1])
    s = socket.create_connection((url.hostname, url.port))
    s.sendall((f"GET {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
               f"Origin: http://{url.netloc}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n"
               f"Sec-WebSocket-Protocol: v4.channel.k8s.io\r\n\r\n").encode())
    f = s.makefile("rb", buffering=0)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += f.read(1) or sys.exit(f"stream.py: {head.decode()}")
    if b" 101 " not in head.split(b"\r\n")[0]:
        sys.exit(f"stream.py: {head.decode()}")
    f = s.makefile("rb")
    threading.Thread(target=feed, args=(s,), daemon=True).start()
    begun = set()
    for channel, data in frames(f):
        if port and channel not in begun:  # which port it is of
            begun.add(channel)
            data = data[2:]
        if channel == STATUS and not port:
            sys.exit(status(data))
        os.write(2 if channel == STDERR or (port and channel) else 1, data)


main()
