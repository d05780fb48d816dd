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
