#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What config.json asks of the guest's kernel for a process: each thing is looked at from inside, in few starts.
load helper
setup() { vm_setup; }
teardown() { vm_teardown; }

start() { # FILTER…: a container $ID that sleeps
	bundle "$(args sleep 100000)" "$@"
	husk run -d -b "$BUNDLE" "$ID" </dev/null >/dev/null 2>&1 3>&- 4>&-
}
# Each line of $out: NAME is VALUE…
is() {
	local line
	for line in "$@"; do
		grep -qxF -- "$line" <<<"$out" || { printf 'missing: %s\nout:\n%s\n' "$line" "$out"; return 1; }
	done
}
# "rule NAMES ACTION [ERRNO [ARGS]]" as jq
rule() {
	jq -cn --arg n "$1" --arg a "SCMP_ACT_$2" --argjson e "${3:-null}" --argjson args "${4:-null}" \
		'{names: ($n | split(" ")), action: $a, errnoRet: $e, args: $args} | del(..|nulls)'
}
arg() { printf '[{"index":%d,"value":%d,"op":"SCMP_CMP_%s","valueTwo":%d}]' "$1" "$3" "$2" "${4:-0}"; }
# The kernel's names of the errors that stand for the rules: nothing else gives them.
user_ns='.linux.namespaces += [{"type":"user"},{"type":"time"}]
	| .linux.uidMappings = [{"containerID":0,"hostID":100000,"size":65536}]
	| .linux.gidMappings = [{"containerID":0,"hostID":200000,"size":65536}]'

@test "seccomp: every action and operator has its effect, on the process and on execs" {
	rules=$(printf '%s\n' \
		"$(rule 'sethostname no_such_call_at_all' ERRNO 98)" \
		"$(rule 'chroot' KILL_PROCESS)" \
		"$(rule 'sync' KILL_THREAD)" \
		"$(rule 'acct swapon' TRAP)" \
		"$(rule 'swapoff' TRACE)" \
		"$(rule 'getcwd' LOG)" \
		"$(rule 'kill' ERRNO 100 "$(arg 1 EQ 10)")" \
		"$(rule 'kill' ERRNO 101 "$(arg 1 LE 2)")" \
		"$(rule 'kill' ERRNO 102 "$(arg 1 GT 60)")" \
		"$(rule 'kill' ERRNO 103 "$(arg 1 MASKED_EQ 56 24)")" \
		"$(rule 'ioprio_set' ERRNO 104 "$(arg 2 NE $((2 << 13 | 5)))")" \
		"$(rule 'ftruncate' ERRNO 105 "$(arg 1 LT 100)")" \
		"$(rule 'fchmod' ERRNO 106 "$(arg 1 GE 448)")" \
		"$(rule 'chmod' ERRNO 106 "$(arg 1 GE 448)")" \
		"$(rule 'fchmodat' ERRNO 106 "$(arg 2 GE 448)")" | jq -cs .)
	cat >check <<-'END'
		grep Seccomp: /proc/self/status /proc/1/status
		try() { name=$1; shift; text=$("$@" 2>&1); rc=$?; echo "$name $rc ${text##*: }"; }
		cd /tmp; : >f
		try errno hostname x
		try process chroot / true
		try thread sync
		try trap swapon /tmp/f
		try trace swapoff /tmp/f
		try log pwd
		try eq kill -10 1;  try eq-else kill -11 1
		try le kill -2 1;   try le-else kill -3 1
		try gt kill -61 1;  try gt-else kill -60 1
		try masked kill -25 1; try masked-else kill -33 1
		try ne ionice -c 2 -n 7 true; try ne-else ionice -c 2 -n 5 true
		try lt truncate -s 99 f; try lt-else truncate -s 100 f
		try ge chmod 700 f;  try ge-else chmod 677 f
	END
	start '.root.readonly = false' ".linux.seccomp = {defaultAction: \"SCMP_ACT_ALLOW\", syscalls: $rules,
		flags: [\"SECCOMP_FILTER_FLAG_LOG\", \"SECCOMP_FILTER_FLAG_SPEC_ALLOW\", \"SECCOMP_FILTER_FLAG_TSYNC\"]}" \
		'.process.capabilities[] += ["CAP_SYS_ADMIN", "CAP_SYS_CHROOT"]'
	cp check "$BUNDLE/rootfs/check"
	expect 0 husk exec "$ID" sh /check
	is $'/proc/self/status:Seccomp:\t2' $'/proc/1/status:Seccomp:\t2' \
		'errno 1 Address already in use' 'log 0 /tmp' \
		'eq 1 Network is down' 'eq-else 0 ' 'le 1 Network is unreachable' 'le-else 0 ' \
		'gt 1 Network dropped connection on reset' 'gt-else 0 ' \
		'masked 1 Software caused connection abort' 'masked-else 0 ' \
		'ne 1 Connection reset by peer' 'ne-else 0 ' 'lt 1 No buffer space available' 'lt-else 0 ' \
		'ge 1 Transport endpoint is already connected' 'ge-else 0 ' 'trace 1 Function not implemented'
	# 128 and SIGSYS
	for name in process thread trap; do [[ $'\n'$out == *$'\n'"$name 159 "* ]] || { echo "$name: $out"; false; }; done
	jq -n '{args: ["grep", "Seccomp:", "/proc/self/status"], cwd: "/", user: {uid: 7, gid: 8}, noNewPrivileges: false,
		env: ["PATH=/bin:/usr/bin"]}' >p.json
	expect 0 husk exec --process p.json "$ID"
	[ "$out" = $'Seccomp:\t2' ]
	husk delete --force "$ID"
}

@test "seccomp: a list of what is allowed, in an engine's manner, without no_new_privs and rights" {
	# All that a shell and its tools call but mkdir; a call newer than all of them is not known, whatever the default.
	allowed='access arch_prctl brk chdir clone clone3 close close_range dup dup2 dup3 execve exit exit_group faccessat
		faccessat2 fchown fcntl fstat futex getcwd getdents64 getegid geteuid getgid getgroups getpgrp getpid getppid
		getrandom getuid ioctl lseek lstat mmap mprotect mremap munmap newfstatat openat pipe pipe2 poll ppoll pread64
		prlimit64 read readlink readlinkat restart_syscall rseq rt_sigaction rt_sigprocmask rt_sigreturn sendfile
		set_robust_list set_tid_address setgid setuid stat statfs statx sysinfo umask uname vfork wait4 write writev'
	bundle '.process.noNewPrivileges = false' '.process.user = {uid: 1000, gid: 1000}' 'del(.process.capabilities)' \
		'.root.readonly = false' "$(args sh -c 'mkdir /tmp/x; grep -E "^(Seccomp|NoNewPrivs|CapPrm|CapEff):" /proc/self/status')" \
		".linux.seccomp = {defaultAction: \"SCMP_ACT_ERRNO\", architectures: [\"SCMP_ARCH_X86_64\", \"SCMP_ARCH_X86\", \"SCMP_ARCH_X32\",
			\"SCMP_ARCH_AARCH64\", \"SCMP_ARCH_LOONGARCH64\"], syscalls: [{names: [\"$(echo $allowed | sed 's/ /", "/g')\"], action: \"SCMP_ACT_ALLOW\"}]}"
	chmod 777 "$BUNDLE/rootfs/tmp"
	expect 0 husk run -b "$BUNDLE" "$ID"
	says "mkdir: can't create directory '/tmp/x': Operation not permitted"
	is $'Seccomp:\t2' $'NoNewPrivs:\t0' $'CapPrm:\t0000000000000000' $'CapEff:\t0000000000000000'
}

@test "user and time namespaces: ids, files, devices, sysctls, the group, execs" {
	cat >check <<-'END'
		id -u; cat /proc/self/setgroups
		echo map $(cat /proc/self/uid_map /proc/self/gid_map)
		echo made >/made; : >/tmp/t; stat -c 'made %u:%g' /made
		stat -c 'mine %u:%g %a %F %t,%T' /dev/mine; stat -c 'pipe %u:%g %a %F' /dev/pipe
		head -c 3 /dev/mine | wc -c; echo x >/dev/null
		stat -c 'null %t,%T' /dev/null
		cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax; hostname
		[ $(cut -d. -f1 /proc/uptime) -ge 300000 ] && echo later
		mkdir /sys/fs/cgroup/sub && echo delegated
		mount -t tmpfs x /mnt && echo mounted
		echo to >/dev/stdout
		grep -E '^(Seccomp|NoNewPrivs|CapBnd):' /proc/self/status
		echo score $(cat /proc/self/oom_score_adj); ulimit -n; ulimit -Hn
		echo sched $(cut -d' ' -f40,41 /proc/self/stat)
	END
	bundle "$user_ns" '.root.readonly = false' "$(args sh -c 'while :; do sleep 1; done')" '.hostname = "inside"' \
		'.linux.timeOffsets = {boottime: {secs: 300000}, monotonic: {secs: 5, nanosecs: 7}}' \
		'.linux.devices = [{path: "/dev/mine", type: "c", major: 1, minor: 5, fileMode: 416, uid: 3, gid: 4},
			{path: "/dev/pipe", type: "p", fileMode: 384, uid: 5, gid: 6}]' \
		'.linux.sysctl = {"net.ipv4.ip_forward": "1", "kernel.msgmax": "9000"}' \
		'.mounts |= map(if .type == "cgroup" then .options -= ["ro"] else . end)' \
		'.process.oomScoreAdj = -500' '.process.rlimits = [{type: "RLIMIT_NOFILE", soft: 5000, hard: 1048576}]' \
		'.process.scheduler = {policy: "SCHED_FIFO", priority: 7}' '.process.noNewPrivileges = false' \
		'.process.capabilities[] += ["CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE"]' \
		'.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["swapoff"], action: "SCMP_ACT_KILL"}]}'
	chown -R 100000:200000 "$BUNDLE/rootfs"
	cp check "$BUNDLE/rootfs/check"
	husk run -d -b "$BUNDLE" "$ID" </dev/null >/dev/null 2>&1 3>&- 4>&-
	expect 0 husk exec "$ID" sh /check
	is 0 allow 'map 0 100000 65536 0 200000 65536' 'made 0:0' 'mine 3:4 640 character special file 1,5' 'pipe 5:6 600 fifo' 3 \
		'null 1,3' 1 9000 inside later delegated mounted to $'Seccomp:\t2' $'NoNewPrivs:\t0' 'score -500' 5000 1048576 'sched 7 1'
	[ "$(stat -c %u:%g "$BUNDLE/rootfs/made")" = 100000:200000 ]
	# The container's own process is where its execs are.
	expect 0 husk exec "$ID" sh -c 'for n in user time mnt pid; do [ $(readlink /proc/1/ns/$n) = $(readlink /proc/self/ns/$n) ] && echo $n; done'
	is user time mnt pid
	expect 0 husk exec -u 7:8 "$ID" sh -c 'id -u; id -g; grep CapEff /proc/self/status; echo x >/dev/stdout'
	is 7 8 $'CapEff:\t0000000000000000' x
	expect 0 husk exec -t "$ID" stat -c '%u:%g' /dev/console <<<'' 2>&1 || true
	husk delete --force "$ID"
	# A device of a user that is not there.
	configure '.linux.devices[0].uid = 70000' "$(args stat -c %u:%g /dev/mine)"
	expect 0 husk run -b "$BUNDLE" "$ID"
	[ "$out" = 65534:4 ]
}

@test "scheduler, I/O priority, CPUs, memory policy, personality; an exec has them too, or its own" {
	start '.process.scheduler = {policy: "SCHED_RR", priority: 9, flags: ["SCHED_FLAG_RESET_ON_FORK"]}' \
		'.process.ioPriority = {class: "IOPRIO_CLASS_BE", priority: 6}' '.process.user.umask = 63' \
		'.linux.personality = {domain: "LINUX32"}' '.linux.memoryPolicy = {mode: "MPOL_BIND", nodes: "0"}' \
		'.process.execCPUAffinity = {initial: "0", final: "0-63"}' '.process.username = "x"' '.process.commandLine = "y"' \
		'.process.user.username = "z"' '.process.apparmorProfile = "docker-default"' '.process.selinuxLabel = "a:b:c:d"' \
		'.process.capabilities.bounding += ["CAP_OF_THE_FUTURE"]'
	expect 0 husk exec "$ID" sh -c 'ionice -p 1; echo $(cut -d" " -f40,41 /proc/1/stat)'
	is 'best-effort: prio 6' '9 2'
	expect 0 husk exec "$ID" sh -c 'cut -d" " -f41 /proc/self/stat; uname -m; umask; grep Cpus_allowed_list /proc/self/status'
	is i686 0077
	jq -n '{args: ["sh", "-c", "echo $(cut -d\" \" -f19,41 /proc/$$/stat); ionice -p $$; ulimit -n; umask; grep CapBnd /proc/self/status"], cwd: "/",
		env: ["PATH=/bin:/usr/bin"], user: {uid: 0, gid: 0, umask: 18}, scheduler: {policy: "SCHED_BATCH", nice: 4},
		ioPriority: {class: "IOPRIO_CLASS_IDLE"}, rlimits: [{type: "RLIMIT_NOFILE", soft: 77, hard: 88}],
		capabilities: {bounding: ["CAP_KILL"]}, execCPUAffinity: {initial: "0"}}' >p.json
	expect 0 husk exec --process p.json "$ID"
	is '4 3' idle 77 0022 $'CapBnd:\t0000000000000020'
	jq '.execCPUAffinity.final = "700"' p.json >q.json
	expect 255 husk exec --process q.json "$ID"
	says 'process.execCPUAffinity.final: none of these CPUs is in the virtual machine'
	# What a file leaves open is the container's.
	jq 'del(.scheduler, .ioPriority, .rlimits, .capabilities, .user.umask, .execCPUAffinity)' p.json >q.json
	expect 0 husk exec --process q.json "$ID"
	is 'best-effort: prio 6' 1024 0077
	husk delete --force "$ID"
	configure '.linux.memoryPolicy.nodes = "1"'
	expect 1 husk run -b "$BUNDLE" "$ID"
	says 'failed to set memory policy' 'ignoring unknown or unavailable capabilities: [CAP_OF_THE_FUTURE]'
}

@test "as many processes as anybody wants: the machine's memory at its start bounds neither them nor the kernel's other tables" {
	# Each is a copy of the shell that waits for a line.
	cat >many <<-'END'
		mkfifo /dev/shm/f && exec 3<>/dev/shm/f
		i=0
		while [ $i -lt 2500 ]; do read x <&3 & i=$((i + 1)); done
		set -- /proc/[0-9]*
		[ $# -gt 2500 ] && echo many
		id -u; ulimit -u; ulimit -Hu
		grep 'pending signals' /proc/self/limits | tr -s ' '
		cd /proc/sys
		least() { set -- $1 $2 $(cat $1); [ $3 -ge $2 ] && echo "$1 does" || echo "$1 is $3"; }
		least kernel/threads-max 4194304; least kernel/pid_max 4194304; least fs/file-max 1000000
		least fs/inotify/max_user_watches 1048576; least fs/epoll/max_user_watches 100000
		least user/max_user_namespaces 10000; least net/ipv4/tcp_mem 10000; least net/ipv4/tcp_max_orphans 4096
		least net/ipv4/tcp_max_tw_buckets 4096; least net/netfilter/nf_conntrack_max 65536
	END
	bundle '.process.user = {uid: 1000, gid: 1000}' "$(args sh /many)" 'del(.process.rlimits)'
	cp many "$BUNDLE/rootfs/many"
	expect 0 husk run -b "$BUNDLE" "$ID" </dev/null
	is many 1000 'Max pending signals unlimited unlimited signals ' {kernel/{threads-max,pid_max},fs/file-max}' does' \
		{fs/inotify,fs/epoll}'/max_user_watches does' 'user/max_user_namespaces does' \
		net/ipv4/tcp_{mem,max_orphans,max_tw_buckets}' does' 'net/netfilter/nf_conntrack_max does'
	[ "$(grep -cx unlimited <<<"$out")" = 2 ]
}

@test "descriptors: beyond a million where asked for; without a word of them as many as husk's caller may have; execs as the container" {
	bundle "$(args sh -c 'ulimit -n; ulimit -Hn')" '.process.rlimits = [{type: "RLIMIT_NOFILE", soft: 2097152, hard: 1073741816}]'
	expect 0 husk run -b "$BUNDLE" "$ID" </dev/null
	[ "$out" = $'2097152\n1073741816' ] || { echo "$out"; false; }
	configure 'del(.process.rlimits)' "$(args sleep 100000)"
	(
		ulimit -Sn 1500
		ulimit -Hn 5000
		husk run -d -b "$BUNDLE" "$ID" </dev/null >/dev/null 2>&1 3>&- 4>&-
	)
	ulimit -Sn 700
	expect 0 husk exec "$ID" sh -c 'ulimit -n; ulimit -Hn'
	[ "$out" = $'1500\n5000' ] || { echo "$out"; false; }
	jq -n '{args: ["sh", "-c", "ulimit -n; ulimit -c"], cwd: "/", env: ["PATH=/bin:/usr/bin"],
		rlimits: [{type: "RLIMIT_CORE", soft: 512, hard: 512}]}' >p.json
	expect 0 husk exec --process p.json "$ID"
	[ "$out" = $'700\n1' ] || { echo "$out"; false; }
	husk delete --force "$ID"
}

@test "exec --cap is a user's, too, where the configuration makes it inheritable" {
	start '.process.capabilities = {bounding: ["CAP_KILL"], inheritable: ["CAP_KILL"]}' '.process.noNewPrivileges = false'
	expect 0 husk exec -u 1000 --cap CAP_KILL --cap CAP_CHOWN "$ID" grep -E '^Cap(Eff|Bnd)' /proc/self/status
	is $'CapEff:\t0000000000000020' $'CapBnd:\t0000000000000021'
	expect 0 husk exec -u 1000 "$ID" grep CapEff /proc/self/status
	is $'CapEff:\t0000000000000000'
	husk delete --force "$ID"
}
