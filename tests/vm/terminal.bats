#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Terminals: through a console socket as engines do it, and the caller's own.
load helper
setup() { vm_setup; }
teardown() { vm_teardown; }

# An engine's half: takes the master from the console socket, sets its size, types, and shows what comes back.
engine() {
	cat >engine.py <<-'END'
		import array, fcntl, os, select, socket, struct, subprocess, sys, termios, time
		argv, typed, size = eval(sys.argv[1]), sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None
		s = socket.socket(socket.AF_UNIX); s.bind("console.sock"); s.listen(1)
		p = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
		c, _ = s.accept()
		msg, anc, *_ = c.recvmsg(100, socket.CMSG_SPACE(4))
		master = array.array("i", anc[0][2])[0]
		assert p.wait() == 0
		out = b""
		def read_for(t, until=None):
		    global out
		    end = time.time() + t
		    while time.time() < end:
		        r, _, _ = select.select([master], [], [], 0.1)
		        if r:
		            try: d = os.read(master, 65536)
		            except OSError: return False
		            if not d: return False
		            out += d
		            if until and until in out: return True
		    return True
		if size:
		    rows, cols = map(int, size.split("x"))
		    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
		read_for(100, b"$ ") if "$" in typed or typed else None
		for line in typed.split("|"):
		    os.write(master, line.encode() + b"\n")
		    time.sleep(0.7)
		read_for(100) # its end comes before
		sys.stdout.buffer.write(out)
	END
}

# What the shell is to run: its terminal's size, once that has come to it.
sized() { echo 'until set -- $(stty size); [ "$1$2" = '"$1"' ]; do sleep 0.1; done; stty size'; }

@test "run --detach --console-socket: a shell on a terminal, with its size" {
	engine
	bundle '.process.terminal = true' '.process.args = ["sh"]' '.process.env += ["PS1=$ "]'
	expect 0 timeout 250 python3 engine.py \
		"['$HUSK','--root','$ROOT','run','-d','-b','$BUNDLE','--console-socket','console.sock','$ID']" \
		"tty|$(sized 33101)|echo a\$((1+1))b|exit" 33x101
	[[ $out == *"/dev/pts/"* || $out == *"/dev/console"* ]] || { echo "$out"; false; }
	[[ $out == *"33 101"* ]] || { echo "$out"; false; }
	[[ $out == *"a2b"* ]]
	eventually is_status "$ID" stopped
	husk delete "$ID"
}

@test "consoleSize is the size at the start" {
	engine
	bundle '.process.terminal = true' '.process.args = ["sh", "-c", "sleep 1; stty size"]' '.process.consoleSize = {"height": 21, "width": 77}'
	expect 0 timeout 250 python3 engine.py \
		"['$HUSK','--root','$ROOT','run','-d','-b','$BUNDLE','--console-socket','console.sock','$ID']" ''
	[[ $out == *"21 77"* ]] || { echo "$out"; false; }
	eventually is_status "$ID" stopped
	husk delete "$ID"
}

@test "exec -t --console-socket" {
	engine
	bundle "$(args sleep 1000)"
	husk run -d -b "$BUNDLE" "$ID" </dev/null >/dev/null
	expect 0 timeout 250 python3 engine.py \
		"['$HUSK','--root','$ROOT','exec','-d','-t','-e','PS1=$ ','--console-socket','console.sock','$ID','sh']" \
		"$(sized 40120)|echo x\$((2+3))|exit" 40x120
	[[ $out == *"40 120"* && $out == *"x5"* ]] || { echo "$out"; false; }
	husk delete --force "$ID"
}

@test "the caller's own terminal: raw meanwhile, as before afterwards, its size told, control-C goes to the guest" {
	bundle '.process.terminal = true' '.process.args = ["sh"]' '.process.env += ["PS1=$ "]'
	cat >user.py <<-END
		import fcntl, os, pty, select, struct, sys, termios, time
		gate, open_gate = os.pipe()
		pid, master = pty.fork()
		if pid == 0:
		    os.read(gate, 1) # husk finds the terminal as it is to be
		    os.execvp("$HUSK", ["husk", "--root", "$ROOT", "run", "-b", "$BUNDLE", "$ID"])
		out = b""
		def read_until(what, t=90):
		    global out
		    end = time.time() + t
		    while time.time() < end and what not in out:
		        r, _, _ = select.select([master], [], [], 0.1)
		        if r:
		            try: out += os.read(master, 65536)
		            except OSError: return
		    assert what in out, out
		def types(text, what):
		    global out
		    out = b""
		    os.write(master, text)
		    read_until(what)
		def size_is(rows, cols):
		    end = time.time() + 90
		    size = b"%d %d" % (rows, cols)
		    while time.time() < end and size not in out: types(b"stty size\n", b"\n$ ")
		    assert size in out, out
		before = termios.tcgetattr(master)
		fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 22, 66, 0, 0))
		os.write(open_gate, b"x")
		read_until(b"$ ")
		assert not termios.tcgetattr(master)[3] & termios.ECHO
		size_is(22, 66)
		fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 25, 77, 0, 0))
		size_is(25, 77)
		types(b"sh -c 'echo u\$((1))p; exec sleep 1000'\n", b"u1p")
		types(b"\x03", b"$ ")
		types(b"echo rc\$?\n", b"rc130")
		os.write(master, b"exit 4\n")
		_, st = os.waitpid(pid, 0)
		after = termios.tcgetattr(master)
		assert after == before, (before, after)
		print(os.WEXITSTATUS(st))
	END
	expect 0 timeout 250 python3 user.py
	[ "$out" = 4 ]
}

@test "what is typed where a container was detached is for who reads there, not for it" {
	bundle "$(args sleep 1000)"
	cat >typed.py <<-END
		import os, pty, select, subprocess, tty
		master, slave = pty.openpty()
		tty.setraw(slave)
		husk = ['$HUSK', '--root', '$ROOT']
		def run(*args): subprocess.run(husk + list(args), stdin=slave, check=True)
		def is_ours(word):
		    got = b""
		    os.write(master, word)
		    # Whoever reads there, too, would be the quicker one some time.
		    for _ in range(20):
		        os.write(master, b".")
		        while select.select([slave], [], [], 0.05)[0]: got += os.read(slave, 100)
		    while len(got) < len(word) + 20 and select.select([slave], [], [], 60)[0]: got += os.read(slave, 100)
		    assert got == word + b"." * 20, got
		run("create", "-b", "$BUNDLE", "$ID")
		is_ours(b"created")
		run("start", "$ID")
		is_ours(b"started")
		run("exec", "-d", "$ID", "sleep", "1000")
		is_ours(b"exec")
	END
	expect 0 timeout 250 python3 typed.py
	husk delete --force "$ID"
	bundle "$(args sh -c 'read x; echo "$x"')"
	expect 0 husk run -b "$BUNDLE" "$ID" <<<'in the foreground it is read'
	[ "$out" = 'in the foreground it is read' ]
}
