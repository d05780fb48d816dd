#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# lanes: long
# The same config.json in crun and in husk: what a process finds about itself must be the same, line by line.
load helper
setup() { vm_setup; }
teardown() { vm_teardown; }

# All that is told in one go; what is the machine's own (memory, times, pids of the host) is left out, and what crun does in a way of
# its own: it gives the null device to the user when that is standard input, and covers hidden paths with other flags than runc.
probe='
	grep -E "^(Uid|Gid|Groups|Cap...|NoNewPrivs|Seccomp):" /proc/self/status
	grep -E "core|stack|open files|msgqueue|nice|timeout" /proc/self/limits
	umask; pwd; hostname; env | grep -v SHLVL | sort
	cat /proc/self/oom_score_adj /proc/self/uid_map /proc/sys/kernel/domainname
	cut -d" " -f19,40,41 /proc/self/stat; ionice
	stat -c "%n %F %a %t,%T" /dev/null
	for f in zero full random urandom tty fd stdin stdout stderr ptmx; do stat -c "%n %F %a %u:%g %t,%T" /dev/$f; done
	ls /dev /dev/pts | grep -v core; readlink /dev/ptmx /dev/fd
	for p in /sys/firmware /etc/passwd /etc /home /nowhere; do
		echo "$p $(ls -A $p 2>&1 | head -n 3 | tr "\n" " ") $(head -c 1 $p 2>&1 | wc -c)"
	done
	for p in /proc/sys/kernel/hostname /proc/sysrq-trigger /etc/x /etc/passwd; do (: >>$p) 2>&1 | sed "s/.*: //"; done
	awk "{ print \$5, \$5 ~ /^.(etc|home)/ ? \"\" : \$6 }" /proc/self/mountinfo | grep -vE "^/(proc|sys)/" | sort
	cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax 2>/dev/null
	stat -c "%n %F %a %u:%g %t,%T" /dev/extra /dev/pipe /dev/fuse 2>/dev/null
	uname -m
'

# What a process has without asking is its parent's, and so the machine's.
limits='[{type: "RLIMIT_CORE", soft: 0, hard: 0}, {type: "RLIMIT_NOFILE", soft: 1024, hard: 1024}, {type: "RLIMIT_STACK", soft: 8388608,
	hard: 8388608}, {type: "RLIMIT_MSGQUEUE", soft: 819200, hard: 819200}, {type: "RLIMIT_NICE", soft: 0, hard: 0}, {type: "RLIMIT_RTTIME",
	soft: 1000000, hard: 1000000}]'

# The two programs' outputs side by side; a row that differs fails with the difference.
@test "what a process finds about itself is what crun gives it" {
	bundle '.process.args = ["sh", "/probe"]' '.mounts |= map(select(.type != "cgroup"))' \
		'.process.env += ["A=b c", "HOME=/home/x"]' '.ociVersion = "1.0.2"' ".process.rlimits = $limits"
	printf '%s\n' "$probe" >"$BUNDLE/rootfs/probe"
	cp "$BUNDLE/config.json" good
	local n=0 bad=0 line name filter
	while IFS='|' read -r name filter; do
		[ -n "$name" ] || continue
		cp good "$BUNDLE/config.json"
		configure "${filter//¦/|}"
		n=$((n + 1))
		crun --cgroup-manager=disabled run -b "$BUNDLE" "c$n-$$" </dev/null >crun.out 2>crun.err || echo "crun: $? $(cat crun.err)" >>crun.out
		husk run -b "$BUNDLE" "$ID-$n" </dev/null >husk.out 2>husk.err || echo "husk: $? $(cat husk.err)" >>husk.out
		diff -U0 crun.out husk.out >diff.out || { echo "$name:"; cat diff.out; bad=1; }
	done <<-'END'
		default|.
		a user with groups, umask, cwd|.process.user = {uid: 1000, gid: 100, umask: 7, additionalGids: [5, 1234]} ¦ .process.cwd = "/tmp" ¦ .root.readonly = false
		rights that a user keeps|.process.user.uid = 3 ¦ .process.capabilities = {bounding: ["CAP_KILL", "CAP_CHOWN"], permitted: ["CAP_KILL"], effective: ["CAP_KILL"], inheritable: ["CAP_KILL"], ambient: ["CAP_KILL"]} ¦ .process.noNewPrivileges = false
		no word of capabilities|del(.process.capabilities)
		limits and a score|.process.rlimits = [{type: "RLIMIT_CORE", soft: 1, hard: 2}, {type: "RLIMIT_NOFILE", soft: 99, hard: 100}, {type: "RLIMIT_STACK", soft: 4194304, hard: 4194304}, {type: "RLIMIT_MSGQUEUE", soft: 5, hard: 6}, {type: "RLIMIT_NICE", soft: 7, hard: 8}, {type: "RLIMIT_RTTIME", soft: 9, hard: 10}] ¦ .process.oomScoreAdj = 77
		names and sysctls|.hostname = "box" ¦ .domainname = "example.org" ¦ .linux.sysctl = {"net.ipv4.ip_forward": "1", "kernel.msgmax": "4242"}
		devices|.linux.devices = [{path: "/dev/extra", type: "c", major: 1, minor: 5, fileMode: 416, uid: 3, gid: 4}, {path: "/dev/pipe", type: "p", fileMode: 384}, {path: "/dev/fuse", type: "c", major: 10, minor: 229}]
		paths that are hidden or frozen|.linux.maskedPaths += ["/etc/passwd", "/home", "/nowhere"] ¦ .linux.readonlyPaths += ["/tmp", "/nowhere/else"] ¦ .root.readonly = false
		a seccomp profile|.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["ioprio_get"], action: "SCMP_ACT_ERRNO", errnoRet: 98}]}
		a personality|.linux.personality = {domain: "LINUX32"}
	END
	[ $n -ge 10 ]
	return $bad
}
