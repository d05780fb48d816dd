#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
load helper
setup() { vm_setup; }
teardown() { vm_teardown; }

@test "kill by name, by number, by real-time name; --all" {
	bundle "$(args sh -c 'trap "echo usr1" USR1; trap "echo hup" HUP; trap "echo winch" WINCH; echo ready; while :; do sleep 0.05; done')"
	husk run -d -b "$BUNDLE" "$ID" >o </dev/null
	eventually grep -q ready o
	husk kill "$ID" USR1
	eventually grep -q usr1 o
	husk kill "$ID" SIGHUP
	eventually grep -q hup o
	husk kill "$ID" 28
	eventually grep -q winch o
	expect 0 husk kill "$ID" 0
	expect 1 husk kill "$ID" FROB
	says 'unknown signal "FROB"'
	expect 1 husk kill "$ID" 65
	says 'unknown signal "65"'
	husk kill --all "$ID" KILL
	eventually is_status "$ID" stopped
	husk delete "$ID"
}

@test "a signal to the pid of the pid file reaches the process, and its end is the pid's" {
	bundle "$(args sh -c 'trap "exit 9" TERM; echo ready; while :; do sleep 0.05; done')"
	# The caller is the parent, as conmon is by being a subreaper.
	cat >parent.py <<-END
		import ctypes, os, subprocess, sys, time
		ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
		out = open("o", "w")
		subprocess.run(["$HUSK", "--root", "$ROOT", "run", "-d", "--pid-file", "pid", "-b", "$BUNDLE", "$ID"], stdin=subprocess.DEVNULL, stdout=out, check=True)
		pid = int(open("pid").read())
		while "ready" not in open("o").read(): time.sleep(0.05)
		os.kill(pid, 15)
		while True:
		    got, st = os.waitpid(-1, 0)
		    if got == pid: break
		print(os.WEXITSTATUS(st) if os.WIFEXITED(st) else -os.WTERMSIG(st))
	END
	expect 0 python3 parent.py
	[ "$out" = 9 ]
	husk delete "$ID"
}

@test "the default action of SIGKILL and SIGTERM on a process that wants neither" {
	bundle "$(args sh -c 'trap "" TERM; echo ready; while :; do sleep 0.05; done')"
	husk run -d -b "$BUNDLE" "$ID" >o </dev/null
	eventually grep -q ready o
	husk kill "$ID"
	sleep 0.5
	is_status "$ID" running
	husk kill "$ID" KILL
	eventually is_status "$ID" stopped
	husk delete "$ID"
}
