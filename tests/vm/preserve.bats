#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# --preserve-fds: pipes and sockets of the caller's as descriptors 3 and on of the process in the machine.
load helper
setup() { vm_setup; }
teardown() { vm_teardown; }

@test "run: pipes both ways, the null device, a socket; every byte of megabytes; LISTEN_FDS" {
	bundle "$(args sh -c 'ls -l /proc/self/fd | grep -o " [3-9] -> [a-z/]*"; cat <&3 >&4; cat <&6 >&6; echo "$LISTEN_FDS $LISTEN_PID"; echo end >&4')"
	head -c 3000000 /dev/urandom >sent
	cat >caller.py <<-'END'
		import os, socket, subprocess, sys, threading
		data = open("sent", "rb").read()
		ours, theirs = socket.socketpair()
		from_r, from_w = os.pipe()
		to_r, to_w = os.pipe()
		null = os.open("/dev/null", os.O_RDWR)
		fds = [to_r, from_w, null, theirs.fileno()]
		def child():
		    high = [os.dup(f) for f in fds]
		    for i, f in enumerate(high): os.dup2(f, 20 + i)
		    os.closerange(3, 20)
		    for i in range(len(fds)): os.dup2(20 + i, 3 + i)
		    os.closerange(7, 64)
		    os.environ["LISTEN_PID"] = str(os.getpid())
		    os.environ["LISTEN_FDS"] = "1"
		    os.execv(sys.argv[1], sys.argv[1:])
		pid = os.fork()
		if pid == 0: child()
		for f in (to_r, from_w): os.close(f)
		theirs.close()
		def put(write, close):
		    at = 0
		    while at < len(data): at += write(data[at:at + 65536])
		    close()
		threading.Thread(target=put, args=(lambda b: os.write(to_w, b), lambda: os.close(to_w))).start()
		back = b""
		def pipe():
		    global back
		    while True:
		        b = os.read(from_r, 65536)
		        if not b: break
		        back += b
		reader = threading.Thread(target=pipe); reader.start()
		threading.Thread(target=put, args=(ours.send, lambda: ours.shutdown(socket.SHUT_WR))).start()
		echo = b""
		while True:
		    b = ours.recv(65536)
		    if not b: break
		    echo += b
		reader.join()
		_, st = os.waitpid(pid, 0)
		print("status", os.waitstatus_to_exitcode(st), back == data + b"end\n", echo == data, len(back), len(echo))
	END
	expect 0 python3 caller.py "$HUSK" --root "$ROOT" run --preserve-fds 3 -b "$BUNDLE" "$ID" </dev/null
	echo "$out"
	[ "$(grep -o ' [0-9] -> [a-z/]*' out)" = $' 3 -> pipe\n 4 -> pipe\n 5 -> /dev/null\n 6 -> socket' ]
	grep -qx '1 1' out
	grep -qx 'status 0 True True 3000004 3000000' out
}

@test "exec: the last of the output arrives; a closed end is a broken pipe; nothing more is open" {
	bundle "$(args sleep 1000)"
	husk run -d -b "$BUNDLE" "$ID" </dev/null >/dev/null
	expect 0 husk exec "$ID" sh -c 'ls /proc/$$/fd; :' 3</dev/null
	[ "$(grep -c '^[3-9]$' out)" = 0 ]
	{ husk exec --preserve-fds 1 "$ID" sh -c 'head -c 200000 /dev/zero >&3; echo last >&3' 3>&1 >o </dev/null; } | tee whole | tail -n 1 | grep -a -q last
	[ "$(wc -c <whole)" = 200005 ]
	# A reader that goes: the writer gets SIGPIPE.
	{ husk exec --preserve-fds 1 "$ID" sh -c 'while :; do echo x >&3; done' 3>&1 >o 2>e </dev/null || echo "$?" >status; } | head -n 1 >/dev/null
	[ "$(cat status)" != 0 ]
	expect 255 husk exec --preserve-fds 2 "$ID" true 3</dev/null 4<"$BUNDLE/config.json"
	says 'exec failed: --preserve-fds: descriptor 4 is a regular file: '
	husk delete --force "$ID"
}

# A server that takes its three listening sockets as a service manager's, in the container, by the host's Python.
listeners_server() {
	cat >"$1" <<-'END'
		import os, socket, threading
		def one(c):
		    while True:
		        b = c.recv(65536)
		        if not b: break
		        c.sendall(b)
		    c.close()
		def serve(s):
		    while True: threading.Thread(target=one, args=(s.accept()[0],)).start()
		assert os.environ["LISTEN_FDS"] == "3"
		for fd in 3, 4, 5:
		    s = socket.socket(fileno=fd)
		    print(s.family.name, s.getsockname()[1] if fd > 3 else "", s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN), flush=True)
		    threading.Thread(target=serve, args=(s,)).start()
	END
}

# Keeps no copy of the sockets, so that they are the proxy's alone; connects before the start and after, halves closed, and once more at the end.
listeners_client() {
	cat >"$1" <<-'END'
		import os, socket, subprocess, sys, threading
		husk = sys.argv[1:4]; ID = sys.argv[4]; bundle = sys.argv[5]
		a = socket.socket(socket.AF_UNIX); a.bind("l")
		b = socket.socket(); b.bind(("127.0.0.1", 0))
		c = socket.socket(socket.AF_INET6); c.bind(("::1", 0))
		for s in a, b, c: s.listen(20)
		places = [(s.family, s.getsockname()) for s in (a, b, c)]
		print(places[1][1][1], places[2][1][1])
		def child():
		    for i, s in enumerate((a, b, c)): os.dup2(s.fileno(), 20 + i)
		    os.closerange(3, 20)
		    for i in range(3): os.dup2(20 + i, 3 + i)
		    os.closerange(6, 64)
		    os.dup2(os.open("o", os.O_WRONLY | os.O_CREAT), 1)
		    os.environ["LISTEN_PID"] = str(os.getpid()); os.environ["LISTEN_FDS"] = "3"
		    os.execv(husk[0], husk + ["create", "-b", bundle, ID])
		pid = os.fork()
		if pid == 0: child()
		assert os.waitpid(pid, 0)[1] == 0
		for s in a, b, c: s.close()
		good = []
		def client(family, at, n):
		    data = os.urandom(n)
		    s = socket.socket(family); s.settimeout(250); s.connect(at)
		    def put(): s.sendall(data); s.shutdown(socket.SHUT_WR)
		    threading.Thread(target=put).start()
		    back = b""
		    while True:
		        d = s.recv(65536)
		        if not d: break
		        back += d
		    if back == data: good.append(n)
		def many(k): return [threading.Thread(target=client, args=(*p, 100000 * (i + 1))) for p in places for i in range(k)]
		early, late = many(1), many(4)
		for t in early: t.start()
		subprocess.run(husk + ["start", ID], check=True)
		for t in late: t.start()
		for t in early + late: t.join()
		print("good", len(good))
		last = socket.socket(socket.AF_INET); last.connect(places[1][1]); last.sendall(b"x")
		assert last.recv(1) == b"x"
		subprocess.run(husk + ["kill", ID, "KILL"], check=True)
		print("end", last.recv(1))
		try:
		    while True: socket.socket(socket.AF_INET).connect(places[1][1])
		except ConnectionRefusedError: print("refused")
	END
}

@test "create: listening sockets: what is connected to on the host the process accepts, from before its start on" {
	local lib=/usr/lib/$(uname -m)-linux-gnu
	mkdir s
	listeners_server s/serve.py
	listeners_client client.py
	bundle "$(args "$(readlink -f "$lib"/ld-linux-*.so.*)" --library-path "$lib" /usr/bin/python3 -S -E /s/serve.py)" \
		'.mounts += [("/usr", env.PWD + "/s" | {destination: (if . == "/usr" then . else "/s" end), type: "bind", source: ., options: ["bind", "ro"]})]'
	expect 0 timeout 280 python3 client.py "$HUSK" --root "$ROOT" "$ID" "$BUNDLE" </dev/null
	{ read -r v4 v6; read -r good; read -r end; read -r refused; } <<<"$out"
	echo "$out"; cat o
	[ "$good/$end/$refused" = "good 15/end b''/refused" ]
	[ "$(cat o)" = "AF_UNIX  1
AF_INET $v4 1
AF_INET6 $v6 1" ]
	eventually is_status "$ID" stopped
	husk delete "$ID"
}

@test "create: they are kept for the start, and gone with the container" {
	bundle "$(args sh -c 'cat <&3; sleep 1000')"
	mkfifo in
	exec 8<>in
	husk create --preserve-fds 1 -b "$BUNDLE" "$ID" 3<in >o </dev/null 8>&-
	husk start "$ID"
	echo hello >&8
	eventually grep -q hello o
	exec 8>&-
	husk kill "$ID" KILL
	eventually is_status "$ID" stopped
	husk delete "$ID"
}
