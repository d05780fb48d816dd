#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Everything that is wrong with a bundle is found before anything exists, by create and run alike.
load helper
setup() { common_setup; }

refused() { # TEXT…
	local c
	for c in create run; do
		expect 1 husk $c -b "$BUNDLE" "$ID"
		says "$c failed: " "$@"
		one_line
	done
	root_empty
}

@test "no bundle, no config.json" {
	BUNDLE=/nonexistent refused 'chdir /nonexistent: '
	mkdir empty
	BUNDLE=empty refused 'JSON specification file config.json not found'
	cd empty
	expect 1 husk create "$ID"
	says 'JSON specification file config.json not found'
}

@test "a root file system that is missing, or none" {
	bundle '.root.path = "nowhere"'
	refused 'invalid rootfs' nowhere
	configure '.root.path = "config.json"'
	refused 'invalid rootfs' 'is not a directory'
	configure 'del(.root)'
	refused 'config.json: ' root
}

@test "a bundle below a path that is not UTF-8, which the state could not tell" {
	BUNDLE=$PWD/$'b\xff'
	bundle
	refused "the bundle's path " ' is not UTF-8'
}

@test "malformed JSON: the line is named" {
	bundle
	printf '{\n "ociVersion": "1.0.0",\n oops\n}' >"$BUNDLE/config.json"
	refused 'config.json: line 3'
	printf '{' >"$BUNDLE/config.json"
	refused 'config.json: '
	: >"$BUNDLE/config.json"
	refused 'config.json: '
	printf '[]' >"$BUNDLE/config.json"
	refused 'config.json: '
	head -c 100000 /dev/urandom >"$BUNDLE/config.json"
	refused 'config.json: '
}

@test "deeply nested and huge files" {
	bundle
	{ printf '{"a":'; head -c 100000 /dev/zero | tr '\0' '['; } >"$BUNDLE/config.json"
	refused 'config.json: '
	head -c 20000000 /dev/zero | tr '\0' ' ' >"$BUNDLE/config.json"
	refused 'config.json: '
}

# Within a second of the processor's time, which does not depend on what else runs: beyond it the command is killed.
refused_soon() { # TEXT…
	(ulimit -t 1; expect 1 husk create -b "$BUNDLE" "$ID"; says 'create failed: ' "$@"; one_line)
	root_empty
}

@test "what would cost much is refused soon, by name" {
	bundle
	cp "$BUNDLE/config.json" good
	truncate -s 100M "$BUNDLE/config.json"
	refused_soon 'larger than 16 MiB'
	truncate -s 1T "$BUNDLE/config.json"
	refused_soon 'larger than 16 MiB'
	{ printf '{"a":'; head -c 10000 /dev/zero | tr '\0' '['; head -c 10000 /dev/zero | tr '\0' ']'; printf '}'; } >"$BUNDLE/config.json"
	refused_soon 'nested too deeply'
	{ printf '{'; yes '"a":{' | head -n 10000; } >"$BUNDLE/config.json"
	refused_soon 'nested too deeply'
	sed 's/"ociVersion"/"ociVersion": "1.0.0", "ociVersion"/' good >"$BUNDLE/config.json"
	refused_soon 'key "ociVersion" given twice'
	{ printf '['; yes 1, | head -n 1000001; printf '1]'; } >"$BUNDLE/config.json"
	refused_soon 'too many values'
	while read -r filter; do
		read -r text
		jq -c "$filter" good >"$BUNDLE/config.json"
		refused_soon "config.json: $text"
	done <<'END'
.process.env = [range(100000) | "A\(.)=b"]
process.env: has 100000 entries, 32768 are allowed
.process.args = [range(100000) | "a"]
process.args: has 100000 entries, 32768 are allowed
.process.args = ["a" * 10000000]
process.args: 10000000 bytes in all, 2097152 are allowed
.process.env = ["A=" + "a" * 2097151]
process.env: 2097153 bytes in all, 2097152 are allowed
.process.user.additionalGids = [range(65537)]
process.user.additionalGids: has 65537 entries, 65536 are allowed
.mounts = [range(100000) | {destination: "/a\(.)", type: "tmpfs", source: "tmpfs"}]
mounts: has 100000 entries, 4096 are allowed
.linux.devices = [range(100000) | {path: "/dev/a\(.)", type: "c", major: 1, minor: 3}]
linux.devices: has 100000 entries, 4096 are allowed
.linux.maskedPaths = [range(100000) | "/a\(.)"]
linux.maskedPaths: has 100000 entries, 4096 are allowed
.linux.readonlyPaths = [range(100000) | "/a\(.)"]
linux.readonlyPaths: has 100000 entries, 4096 are allowed
.linux.sysctl = ([range(100000) | {key: "net.a\(.)", value: "v"}] | from_entries)
linux.sysctl: has 100000 entries, 4096 are allowed
.linux.resources.devices = [range(100000) | {allow: true, type: "c", access: "r"}]
linux.resources.devices: has 100000 entries, 512 are allowed
.linux.uidMappings = [range(100000) | {containerID: ., hostID: ., size: 1}]
linux.uidMappings: more than 340 mappings
.hooks.poststop = [range(100000) | {path: "/bin/true"}]
hooks.poststop: 100000 hooks, 256 are allowed
.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [range(100000) | {names: ["read"], action: "SCMP_ACT_LOG"}]}
linux.seccomp.syscalls: 100000 system calls in all, 2048 are allowed
.linux.resources.memory.limit = -2
linux.resources.memory.limit
.process.args[0] = "a\u0000b"
process.args[0]: holds a NUL byte
END
}

@test "fields of the wrong kind, each named" {
	bundle
	cp "$BUNDLE/config.json" good
	while IFS='|' read -r filter name; do
		cp good "$BUNDLE/config.json"
		configure "$filter"
		refused "config.json: " "$name"
	done <<-'END'
		.ociVersion = "9.9"|ociVersion
		del(.process)|process
		.process.args = []|process.args
		.process.args = ["a", 7]|process.args[1]
		.process.cwd = "etc"|process.cwd
		.process.user.uid = -1|process.user.uid
		.process.user.uid = 4294967296|process.user.uid
		.process.user.gid = 1.5|process.user.gid
		.process.env = "A=b"|process.env
		.process.scheduler = {"policy": "SCHED_FROB"}|process.scheduler.policy
		.process.ioPriority = {"class": "IOPRIO_CLASS_RT", "priority": 8}|process.ioPriority.priority
		.process.execCPUAffinity = {"initial": "3-1"}|process.execCPUAffinity.initial
		.linux.personality = {"domain": "FROB"}|linux.personality.domain
		.linux.memoryPolicy = {"mode": "MPOL_FROB"}|linux.memoryPolicy.mode
		.linux.seccomp = {"defaultAction": "SCMP_ACT_FROB"}|linux.seccomp.defaultAction
		.linux.seccomp = {"syscalls": [{"names": ["read"], "action": "SCMP_ACT_LOG"}]}|linux.seccomp
		.linux.namespaces += [{"type": "user"}]|linux: user namespaces enabled, but no namespace path to join or mappings to apply specified
		.linux.timeOffsets = {"boottime": {"secs": 1}}|linux: time namespace offsets specified, but time namespace isn't enabled in the config
		.linux.sysctl = {"vm.overcommit_memory": "1"}|linux.sysctl: sysctl "vm.overcommit_memory" is not in a separate kernel namespace
		.linux.namespaces = (.linux.namespaces - [{"type": "uts"}])|hostname: unable to set hostname without a private UTS namespace
		.process.rlimits[0].type = "RLIMIT_FROB"|process.rlimits[0].type
		.linux.namespaces[0].type = "frob"|linux.namespaces[0]
		.mounts[0].destination = null|mounts[0]
		.hostname = 5|hostname
		.hooks.prestart = [{"path": "bin/true"}]|hooks.prestart[0].path
		.hooks.poststop = [{"args": ["x"]}]|hooks.poststop[0]
		.hooks.createContainer = [{"path": "/x", "timeout": -1}]|hooks.createContainer[0].timeout
	END
}

@test "fields that are not supported are refused by name, never passed over" {
	bundle
	cp "$BUNDLE/config.json" good
	while IFS='|' read -r filter name; do
		cp good "$BUNDLE/config.json"
		configure "$filter"
		refused "config.json: " "$name"
	done <<-'END'
		.linux.seccomp = {"defaultAction": "SCMP_ACT_NOTIFY"}|linux.seccomp.defaultAction: SCMP_ACT_NOTIFY is not supported
		.linux.seccomp = {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/x"}|linux.seccomp.listenerPath
		.linux.netDevices = {"a/b": {}}|linux.netDevices.a/b: invalid network device name "a/b"
		.linux.netDevices = {"eth0": {"name": "an interface"}}|invalid network device name "an interface"
		.linux.netDevices = {"eth0": {"name": "abcdefghijklmnop"}}|invalid network device name "abcdefghijklmnop"
		.linux.netDevices = {"eth0": {}, "eth1": {"name": "eth0"}}|linux.netDevices.eth1: another is named "eth0"
		.linux.namespaces[1].path = "/proc/self/ns/net"|linux.namespaces: network: /proc/self/ns/net is the host's: sharing the host's network
		.linux.namespaces[1].path = "/proc/self/ns/ipc"|network: /proc/self/ns/ipc is not a network namespace
		.linux.namespaces[1].path = "/dev/null"|network: /dev/null is not a network namespace
		.linux.namespaces[1].path = "/nonexistent"|network: cannot open /nonexistent: No such file
		.linux.namespaces[2].path = "/proc/self/ns/ipc"|linux.namespaces: ipc: /proc/self/ns/ipc is the host's: sharing the host's shared memory
		.linux.namespaces[3].path = "/proc/self/ns/uts"|linux.namespaces: uts: /proc/self/ns/uts is the host's: sharing the host's name
		.linux.namespaces[3].path = "/proc/self/ns/ipc"|linux.namespaces: uts: /proc/self/ns/ipc is not a uts namespace
		.linux.namespaces[0].path = "/proc/1/ns/pid"|linux.namespaces: joining a pid namespace by path is not supported unless
		.linux.resources.unified = {"cgroup.freeze": "1"}|linux.resources.unified: "cgroup.freeze" is not supported
		.linux.resources.unified = {"../cgroup.procs": "1"}|linux.resources.unified: "../cgroup.procs" must be a file name
		.linux.intelRdt = {"closID": "x"}|linux.intelRdt
	END
}

@test "terminals and console sockets, in runc's words" {
	bundle '.process.terminal = true'
	expect 1 husk create -b "$BUNDLE" "$ID"
	says 'cannot allocate tty if husk will detach without setting console socket'
	expect 1 husk run -d -b "$BUNDLE" "$ID"
	says 'cannot allocate tty if husk will detach without setting console socket'
	expect 1 husk run -b "$BUNDLE" --console-socket /nonexistent "$ID"
	says 'cannot use console socket if husk will not detach or allocate tty'
	expect 1 husk create -b "$BUNDLE" --console-socket /nonexistent "$ID"
	says 'dial unix /nonexistent: connect: '
	expect 1 setsid -w "$HUSK" --root "$ROOT" run -b "$BUNDLE" "$ID" </dev/null
	says 'open /dev/tty: '
	configure '.process.terminal = false'
	expect 1 husk create -b "$BUNDLE" --console-socket /nonexistent "$ID"
	says 'cannot use console socket if husk will not detach or allocate tty'
	root_empty
}

@test "a kernel that is not there" {
	bundle
	export HUSK_KERNEL=/nonexistent/vmlinux
	expect 1 husk run -b "$BUNDLE" "$ID"
	if [ -w /dev/kvm ]; then says "cannot open the guest's vmlinux at /nonexistent/vmlinux"; else says 'cannot open /dev/kvm'; fi
	one_line
	root_empty
}

@test "spec: writes runc's default, never over another" {
	mkdir d
	expect 0 husk spec -b d
	jq -e '.process.args == ["sh"] and .process.terminal and .root.readonly and .process.noNewPrivileges' d/config.json
	jq -e '[.linux.namespaces[].type] | sort == ["cgroup", "ipc", "mount", "network", "pid", "uts"] or sort == ["ipc", "mount", "network", "pid", "uts"]' d/config.json
	cp d/config.json before
	expect 1 husk spec --bundle d
	[ "$err" = 'husk: File config.json exists. Remove it first' ]
	cmp d/config.json before
	rm d/config.json
	expect 0 husk spec --rootless -b d
	jq -e '[.mounts[] | select(.type == "devpts") | .options[]] | index("gid=5") | not' d/config.json
	expect 1 husk spec -b /nonexistent
	says 'chdir /nonexistent: '
}
