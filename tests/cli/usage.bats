#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
load helper
setup() { common_setup; }

@test "--version names husk and the specification" {
	expect 0 husk --version
	[[ $out =~ ^husk\ version\ [0-9.]+$'\n'spec:\ 1\.[0-9.]+$ ]]
	expect 0 husk -v
}

@test "--help, help and nothing at all show every command" {
	for how in --help -h help h ''; do
		expect 0 husk $how
		for c in create start state kill delete run exec list ps spec; do
			[[ $out == *$'\n'"   $c "* ]]
		done
	done
}

@test "what standard output does not take is no success" {
	full() { husk "$@" >/dev/full; }
	for words in --version --help help '' 'help run' 'run --help' 'run --detach --help' features list; do
		expect 1 full $words
		says 'No space left on device'
		one_line
	done
}

@test "every command has its own help, in three ways" {
	for c in create start state kill delete run exec list ps spec; do
		expect 0 husk "$c" --help
		[[ $out == "NAME:"$'\n'"   husk $c - "* ]]
		shown=$out
		expect 0 husk "$c" -h
		[ "$out" = "$shown" ]
		expect 0 husk help "$c"
		[ "$out" = "$shown" ]
	done
}

@test "create and run have runc's options" {
	for c in create run; do
		expect 0 husk $c --help
		for o in bundle console-socket pid-file no-pivot no-new-keyring preserve-fds; do
			[[ $out == *"--$o"* ]]
		done
	done
	for o in detach keep no-subreaper; do
		[[ $out == *"--$o"* ]]
	done
}

@test "an unknown command is named, status 3" {
	expect 3 husk frob
	says "no such command: 'frob'"
	one_line
	expect 3 husk help frob
	says "'frob'"
}

@test "checkpoint and restore are refused, whatever runc's options are" {
	expect 1 husk checkpoint "$ID"
	[ "$err" = 'husk: container does not exist' ]
	expect 1 husk checkpoint --image-path i --work-path w --parent-path p --leave-running --tcp-established --ext-unix-sk \
		--shell-job --lazy-pages --status-fd 3 --page-server a:1 --file-locks --pre-dump --manage-cgroups-mode soft \
		--empty-ns network --auto-dedup "$ID"
	[ "$err" = 'husk: container does not exist' ]
	expect 1 husk restore --console-socket s --image-path i --work-path w --tcp-established --ext-unix-sk --shell-job \
		--file-locks --manage-cgroups-mode full -b . -d --pid-file p --no-subreaper --no-pivot --empty-ns network \
		--auto-dedup --lazy-pages --lsm-profile a:b --lsm-mount-context c "$ID"
	says 'restore is not supported: '
	one_line
	expect 1 husk checkpoint --status-fd x "$ID"
	says 'invalid value "x" for flag -status-fd: parse error'
	expect 1 husk restore --frob "$ID"
	says 'flag provided but not defined: -frob'
	[ ! -e "$ROOT" ]
}

@test "an unknown option is named, globally and of a command" {
	expect 1 husk --frob
	says 'flag provided but not defined: -frob'
	one_line
	for c in create start state kill delete run exec list ps spec; do
		expect 1 husk $c --frob x
		says 'flag provided but not defined: -frob'
		one_line
	done
}

@test "options without their value, or with a wrong one" {
	expect 1 husk create --pid-file
	says 'flag needs an argument: -pid-file'
	expect 1 husk run --preserve-fds x "$ID"
	says 'invalid value "x" for flag -preserve-fds: parse error'
	expect 1 husk --systemd-cgroup=maybe list
	says 'invalid boolean value "maybe" for -systemd-cgroup: parse error'
}

@test "empty words are as good as none, as with runc, but for a format" {
	mkdir -p "$ROOT/$ID"
	cat >"$ROOT/$ID/state.json" <<-END
		{"version": 1, "id": "$ID", "ociVersion": "1.0.2", "bundle": "/", "rootfs": "/", "created": "then", "sandbox": "$ID",
		"cgroup": "", "owner": 0, "proxyPid": 2147483647, "proxyStart": 1}
	END
	expect 1 husk kill "$ID" ''
	[ "$err" = 'husk: container not running' ]
	expect 1 husk kill "$ID" ' '
	says 'unknown signal " "'
	for c in "list --format=" "ps --format= $ID"; do
		expect 1 husk $c
		says 'invalid format option'
	done
	expect 0 husk spec -b ''
	[ -s config.json ]
	expect 0 husk delete "$ID"
	root_empty
}

@test "options may stand behind the words of a command, but not behind exec's and ps's" {
	for c in "delete $ID --force" "delete $ID -f" "delete -f -- $ID"; do
		expect 0 husk $c
		[ -z "$err" ]
	done
	for c in "delete -- $ID" "kill $ID KILL --all" "kill $ID -a KILL" "events $ID --stats" "update $ID --memory 64m --pids-limit 5" \
		"start $ID" "update $ID -r /dev/null"; do
		expect 1 husk $c
		[ "$err" = 'husk: container does not exist' ]
	done
	for c in "kill $ID --frob" "kill $ID -9" "state $ID -x"; do
		expect 1 husk $c
		says 'flag provided but not defined: -'
		one_line
	done
	for c in "delete -- $ID --force" "kill $ID KILL -- --all"; do
		expect 1 husk $c
		says 'argument(s)'
	done
	expect 1 husk update "$ID" --memory
	says 'flag needs an argument: -memory'
	expect 0 husk kill "$ID" --help
	[[ "$out" == *'husk kill'* ]]
	expect 255 husk exec "$ID" --help
	[ "$err" = 'husk: exec failed: container does not exist' ]
}

@test "update: devices that cannot be meant are named before anything is looked for" {
	while IFS='|' read -r args says; do
		# shellcheck disable=SC2086 # words
		expect 1 husk update $args c
		says "$says"
		one_line
	done <<-'END'
		--device-add :/dev/x|invalid value for device-add: ':/dev/x' is not HOSTPATH[:CONTAINERPATH[:ACCESS]]
		--device-add /dev/a:/dev/x:q|invalid value for device-add: '/dev/a:/dev/x:q': the access is not r, w and m
		--device-add /dev/a:dev/x|invalid value for device-add: 'dev/x' is not the absolute path of a device
		--device-add /dev/a:/dev/../x|invalid value for device-add: '/dev/../x' is not the shortest way to write a path
		--device-add /dev/a:/dev/x:m|invalid value for device-add: '/dev/a:/dev/x:m': a device that is neither read nor written
		--device-add disk.img|invalid value for device-add: 'disk.img' is not the absolute path of a device
		--device-remove x|invalid value for device-remove: 'x' is not the absolute path of a device
		--device-add /dev/a --memory 1g|device-add and device-remove cannot be used together with other options
		--device-remove /dev/a -r f|device-add and device-remove cannot be used together with other options
		--device-add /dev/a|container does not exist
		--device-remove /dev/a|container does not exist
	END
}

@test "numbers of arguments are checked, in runc's words" {
	for c in create start state delete run; do
		expect 1 husk $c
		says "\"$c\" requires exactly 1 argument(s)"
		one_line
		expect 1 husk $c a b
		says "\"$c\" requires exactly 1 argument(s)"
	done
	expect 1 husk list x
	says '"list" requires exactly 0 argument(s)'
	for c in kill exec ps; do
		expect 1 husk $c
		says "\"$c\" requires a minimum of 1 argument(s)"
	done
	expect 1 husk kill a b c
	says '"kill" requires a maximum of 2 argument(s)'
}

@test "--preserve-fds: each descriptor that cannot be passed is named" {
	bundle
	mkfifo fifo
	refused() { # STATUS TEXT, for what stands on descriptor 4
		for c in "create -b $BUNDLE" "run -b $BUNDLE"; do
			expect "$1" husk $c --preserve-fds 2 "$ID" 3</dev/null
			says "$2"
			one_line
		done
	}
	exec 4>&-
	refused 1 'unable to stat preserved-fd 1 (of 2): descriptor 4 is not open'
	exec 4<"$BUNDLE/config.json"
	refused 1 'descriptor 4 is a regular file: only pipes and connected or listening stream sockets'
	exec 4<"$BUNDLE"
	refused 1 'descriptor 4 is a folder: '
	exec 4<>fifo
	refused 1 'descriptor 4 is a pipe that is open both ways: '
	exec 4</dev/zero
	refused 1 'descriptor 4 is a character device: '
	exec 4>&-
	for what in 'socket.socket(socket.AF_INET, socket.SOCK_DGRAM):a socket that is no stream' \
		'socket.socket(socket.AF_UNIX):a socket without a peer' \
		'socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.bind("l"); s.listen():a socket that is no stream'; do
		rm -f l
		expect 1 python3 -c 'import os, socket, sys
s = '"${what%%:*}"'
os.dup2(s.fileno(), 3)
os.execv(sys.argv[1], sys.argv[1:])' "$HUSK" --root "$ROOT" create -b "$BUNDLE" --preserve-fds 1 "$ID"
		says "descriptor 3 is ${what##*:}: "
	done
	expect 1 husk create -b "$BUNDLE" --preserve-fds 17 "$ID"
	says '--preserve-fds: 17 descriptors, 16 can be passed on'
	expect 1 husk create -b "$BUNDLE" --preserve-fds -1 "$ID"
	says '--preserve-fds -1 is negative'
	# Those of socket activation are for the process whose pid is told with them.
	expect 1 bash -c 'export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@" 3>&-' - "$HUSK" --root "$ROOT" create -b "$BUNDLE" "$ID"
	says 'LISTEN_FDS: descriptor 3 is not open'
	root_empty
}

@test "exec --cgroup, in the words of runc on such a host" {
	bundle
	expect 255 husk exec --cgroup a --cgroup b "$ID" true
	says 'invalid --cgroup argument: a (missing <controller>: prefix)'
	expect 255 husk exec --cgroup cpu:a "$ID" true
	says 'unknown controller cpu in SubCgroupPaths'
	expect 255 husk exec --cgroup a:b:c "$ID" true
	says 'invalid --cgroup argument: a:b:c'
	root_empty
}

@test "husk-systemd-cgroup is for husk to start" {
	expect 1 "${HUSK%/*}/husk-systemd-cgroup" </dev/null 3>&-
	says 'husk-systemd-cgroup is started by husk alone'
	one_line
}
