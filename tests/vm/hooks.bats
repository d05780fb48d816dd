#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Hooks: when each runs, where, with what on its standard input, and what becomes of a failure.
load helper
setup() {
	vm_setup
	LOG=$BATS_TEST_TMPDIR/hooks.log
	HOOK=$BATS_TEST_TMPDIR/hook
	# hook NAME [MORE…]: a line "NAME STATUS PID net=… uts=…" into the log, the state into NAME.json
	cat >"$HOOK" <<-'END'
		#!/bin/sh
		PATH=/usr/sbin:/usr/bin:/sbin:/bin
		cat >"$DIR/$1.json"
		pid=$(jq -r '.pid // "-"' "$DIR/$1.json")
		echo "$1 $(jq -r .status "$DIR/$1.json") net=$(readlink /proc/self/ns/net) mnt=$(readlink /proc/self/ns/mnt)" \
			"of=$(readlink "/proc/$pid/ns/net" || echo -) cwd=$(pwd) env=$(env | cut -d= -f1 | sort | tr '\n' ,)" >>"$DIR/hooks.log"
		shift
		[ $# = 0 ] || eval "$@"
	END
	chmod +x "$HOOK"
}
teardown() { vm_teardown; }

# hooks KIND WORD…: a jq filter that adds one
hook() { # KIND [SHELL]
	jq -cn --arg k "$1" --arg p "$HOOK" --arg d "$BATS_TEST_TMPDIR" --arg more "${2-}" \
		'"hooks." + $k + " += [" + ({path: $p, args: (["hook", $k] + if $more == "" then [] else [$more] end), env: ["DIR=" + $d]} | tojson) + "]"' -r | sed 's/^/./'
}
all_hooks() {
	local k
	for k in prestart createRuntime createContainer poststart poststop; do hook $k; done
}
names() { cut -d' ' -f1,2 "$LOG" | tr '\n' ' '; }
field() { sed -n "s/^$1 .* $2=\([^ ]*\).*/\1/p" "$LOG"; }

@test "a caller that ignores the ends of its children: a hook that fails fails the command, and the command comes back" {
	ignoring() { timeout 120 env --ignore-signal=CHLD "$HUSK" --root "$ROOT" "$@"; }
	bundle "$(args sh -c 'exit 5')" "$(hook createRuntime 'exit 3')"
	expect 1 ignoring run -b "$BUNDLE" "$ID" </dev/null
	says 'exit status 3'
	bundle "$(args sh -c 'exit 5')"
	expect 5 ignoring run -b "$BUNDLE" "$ID" </dev/null
}

@test "all six, in order, each in its place with its state" {
	mapfile -t h < <(all_hooks)
	bundle "$(args sleep 1000)" '.annotations = {"a": "b \"c\""}' '.root.readonly = false' "${h[@]}" \
		'.hooks.startContainer = [{path: "/bin/sh", args: ["sh", "-c", "cat >/started.json; pwd >/started; id -u >>/started; tr \"\\\\0\" \"\\\\n\" </proc/$$/environ >>/started; true"], env: ["X=y"]}]' \
		'.process.user = {uid: 0, gid: 0}'
	expect 0 husk create --pid-file pid -b "$BUNDLE" "$ID" </dev/null
	pid=$(cat pid)
	cat "$LOG"
	[ "$(names)" = 'prestart creating createRuntime creating createContainer creating ' ]
	[ ! -e "$BUNDLE/rootfs/started" ]
	# The network namespace that a plug-in finds is the proxy's; hooks of the runtime are outside of it, createContainer inside.
	net=$(readlink "/proc/$pid/ns/net")
	own=$(readlink /proc/self/ns/net)
	[ "$net" != "$own" ]
	for k in prestart createRuntime; do
		[ "$(field $k of)" = "$net" ]
		[ "$(field $k net)" = "$own" ]
		[ "$(field $k mnt)" = "$(readlink /proc/self/ns/mnt)" ]
	done
	[ "$(field createContainer net)" = "$net" ]
	[ "$(field createContainer mnt)" = "$(readlink "/proc/$pid/ns/mnt")" ]
	[ "$(field prestart cwd)" = "$BUNDLE" ]
	[ "$(field createContainer cwd)" = "$BUNDLE/rootfs" ]
	# Nothing but its own (and what sh adds).
	[ "$(field prestart env)" = 'DIR,PWD,' ]
	expect 0 husk start "$ID"
	[ "$(names)" = 'prestart creating createRuntime creating createContainer creating poststart running ' ]
	expect 0 husk delete --force "$ID"
	[ "$(names)" = 'prestart creating createRuntime creating createContainer creating poststart running poststop stopped ' ]
	for k in prestart createRuntime createContainer poststart; do
		jq -e --arg b "$BUNDLE" --arg id "$ID" --argjson pid "$pid" --arg v "$(jq -r .ociVersion "$BUNDLE/config.json")" \
			'keys == ["annotations", "bundle", "id", "ociVersion", "pid", "status"] and .id == $id and .bundle == $b and .pid == $pid
			 and .ociVersion == $v and .annotations == {"a": "b \"c\""}' $k.json
	done
	jq -e 'has("pid") | not' poststop.json
	jq -e '.status == "created" and .pid == 1 and .annotations.a == "b \"c\""' "$BUNDLE/rootfs/started.json"
	[ "$(tr '\n' ' ' <"$BUNDLE/rootfs/started")" = '/ 0 X=y ' ] || { cat "$BUNDLE/rootfs/started"; false; }
}

@test "the environment of a hook without one: husk's own outside, the process's inside; an empty one is empty" {
	local k
	cat >show <<-END
		#!/bin/sh
		cat >/dev/null
		echo "\$1 \${OF_HUSK-no} \${OF_PROCESS-no} \${HOME-no}" >>$PWD/env.log
	END
	chmod +x show
	bundle "$(args sh -c 'cat /dev/shm/env')" '.process.env += ["OF_PROCESS=container"]' "$(
		for k in prestart createRuntime createContainer poststart poststop; do
			printf '%s.hooks.%s = [{path: "%s", args: ["show", "%s"]}, {path: "%s", args: ["show", "%s-empty"], env: []}]' \
				"${all:-}" $k "$PWD/show" $k "$PWD/show" $k
			all=' | '
		done)" '.hooks.startContainer = [{path: "/bin/sh", args: ["sh", "-c", "echo $OF_PROCESS $HOME >/dev/shm/env"]},
			{path: "/bin/sh", args: ["sh", "-c", "echo ${OF_PROCESS-no} ${HOME-no} >>/dev/shm/env"], env: []}]'
	OF_HUSK=host HOME=/h expect 0 husk run -b "$BUNDLE" "$ID" </dev/null
	[ "$out" = $'container /root\nno no' ] || { echo "$out"; false; }
	cat env.log
	[ "$(<env.log)" = "$(printf '%s\n' 'prestart host no /h' 'prestart-empty no no no' 'createRuntime host no /h' \
		'createRuntime-empty no no no' 'createContainer no container no' 'createContainer-empty no no no' \
		'poststart host no /h' 'poststart-empty no no no' 'poststop host no /h' 'poststop-empty no no no')" ]
}

@test "createContainer sees the root file system with its mounts at its path, and changes it" {
	mkdir data
	echo inside >data/file
	bundle "$(args cat /made /data/file)" '.root.readonly = false' \
		".mounts += [{destination: \"/data\", source: \"$PWD/data\", options: [\"rbind\"]}]" \
		"$(hook createContainer "cat $BUNDLE/rootfs/data/file >$BUNDLE/rootfs/made; [ -x $HOOK ]")" \
		"$(hook createContainer "mountpoint -q $BUNDLE/rootfs")"
	expect 0 husk run -b "$BUNDLE" "$ID" </dev/null
	[ "$out" = $'inside\ninside' ]
}

@test "createContainer mounts below the root file system, the container has it" {
	mkdir data
	echo seen >data/file
	mkdir -p "$BUNDLE"
	mounts=$(wc -l </proc/self/mountinfo)
	bundle "$(args sh -c 'cat /mnt/file /tmp/dir/file; grep -c /mnt /proc/mounts')" \
		"$(hook createContainer "mkdir -p $BUNDLE/rootfs/mnt; mount --bind $PWD/data $BUNDLE/rootfs/mnt")" \
		"$(hook createContainer "mkdir -p $BUNDLE/rootfs/tmp; mount -t tmpfs x $BUNDLE/rootfs/tmp; mkdir $BUNDLE/rootfs/tmp/dir; echo too >$BUNDLE/rootfs/tmp/dir/file")"
	expect 0 husk run -b "$BUNDLE" "$ID" </dev/null
	[ "$out" = $'seen\ntoo\n1' ] || { echo "$out"; cat err; false; }
	[ "$(wc -l </proc/self/mountinfo)" = "$mounts" ]
	bundle "$(args true)" "$(hook createContainer "mount -t proc p $BUNDLE/rootfs/mnt")"
	expect 1 husk create -b "$BUNDLE" "$ID" </dev/null
	says "mounts of createContainer hooks: $BUNDLE/rootfs/mnt belongs to the host's kernel"
	one_line
	nothing_left
}

@test "createRuntime mounts below the root file system, the container has it" {
	mkdir data
	echo seen >data/file
	mkdir -p "$BUNDLE"
	bundle "$(args cat /mnt/file)" "$(hook createRuntime "mkdir -p $BUNDLE/rootfs/mnt; mount --bind $PWD/data $BUNDLE/rootfs/mnt")" \
		"$(hook poststop "umount $BUNDLE/rootfs/mnt")"
	expect 0 husk run -b "$BUNDLE" "$ID" </dev/null
	[ "$out" = seen ]
}

@test "a failure before the start: told, rolled back, poststop runs, later hooks do not" {
	local k
	for k in prestart createRuntime createContainer; do
		rm -f "$LOG"
		bundle "$(args true)" "$(hook $k)" "$(hook $k 'echo out; echo because >&2; exit 3')" "$(hook $k)" "$(hook poststart)" \
			"$(hook poststop)"
		expect 1 husk create -b "$BUNDLE" "$ID" </dev/null
		[ "$err" = "husk: create failed: error running $k hook #1: exit status 3, stdout: out, stderr: because" ]
		[ "$(names)" = "$k creating $k creating poststop stopped " ]
		expect 1 husk state "$ID"
		nothing_left
	done
}

@test "startContainer fails: start says why and the container has stopped; run leaves nothing" {
	bundle "$(args touch /tmp/ran)" "$(hook poststart)" "$(hook poststop)" \
		'.hooks.startContainer = [{path: "/bin/true"}, {path: "/bin/sh", args: ["sh", "-c", "echo because >&2; exit 4"]}]'
	husk create -b "$BUNDLE" "$ID" </dev/null >/dev/null
	expect 1 husk start "$ID"
	says 'error running startContainer hook #1: exit status 4, stdout: , stderr: because'
	one_line
	eventually is_status "$ID" stopped
	expect 0 husk delete "$ID"
	[ "$(names)" = 'poststop stopped ' ]
	expect 1 husk run -b "$BUNDLE" "$ID" </dev/null
	says 'run failed: error running startContainer hook #1: exit status 4'
	one_line
	[ "$(names)" = 'poststop stopped poststop stopped ' ]
	configure '.hooks.startContainer = [{path: "/nowhere"}]'
	expect 1 husk run -b "$BUNDLE" "$ID" </dev/null
	says 'error running startContainer hook #0: exec /nowhere: No such file or directory'
}

@test "poststart fails: told, the container is stopped, later hooks do not run; run leaves nothing" {
	bundle "$(args sleep 1000)" "$(hook poststart 'echo because >&2; exit 3')" "$(hook poststart)" "$(hook poststop)"
	husk create -b "$BUNDLE" "$ID" </dev/null >/dev/null
	expect 1 husk start "$ID"
	[ "$err" = "husk: error running poststart hook #0: exit status 3, stdout: , stderr: because" ]
	eventually is_status "$ID" stopped
	[ "$(names)" = 'poststart running ' ]
	expect 0 husk delete "$ID"
	[ "$(names)" = 'poststart running poststop stopped ' ]
	expect 1 husk run -b "$BUNDLE" "$ID" </dev/null
	[ "$err" = "husk: run failed: error running poststart hook #0: exit status 3, stdout: , stderr: because" ]
	[ "$(names)" = 'poststart running poststop stopped poststart running poststop stopped ' ]
}

@test "poststop fails: a warning each, and on it goes" {
	bundle "$(args sh -c 'exit 7')" "$(hook poststop 'kill -9 $$')" "$(hook poststop)"
	expect 7 husk run -b "$BUNDLE" "$ID" </dev/null
	says 'error running poststop hook #0: killed by signal 9'
	[ "$(names)" = 'poststop stopped poststop stopped ' ]
}

@test "a hook that hangs, one that reads nothing, one that writes much, one that is not there" {
	bundle "$(args true)" '.hooks.createRuntime = [{path: "/bin/sleep", args: ["sleep", "1000"], timeout: 1}]'
	expect 1 husk create -b "$BUNDLE" "$ID" </dev/null
	says 'error running createRuntime hook #0: ran past its timeout of 1 seconds'
	[ -z "$(pgrep -fx '(/bin/)?sleep 1000')" ]
	# A state much larger than a pipe, and nobody who reads it.
	configure '.hooks.createRuntime = [{path: "/bin/true"}]' '.annotations = {"a": ("a" * 200000)}'
	expect 0 husk run -b "$BUNDLE" "$ID" </dev/null
	configure '.hooks.createRuntime = [{path: "/bin/sh", args: ["sh", "-c", "head -c 1048576 /dev/zero | tr \"\\\\0\" x >&2; echo END >&2; exit 9"]}]'
	expect 1 husk create -b "$BUNDLE" "$ID" </dev/null
	says 'error running createRuntime hook #0: exit status 9' 'xEND'
	one_line
	configure '.hooks.createRuntime = [{path: "/nowhere/hook"}]'
	expect 1 husk create -b "$BUNDLE" "$ID" </dev/null
	says 'error running createRuntime hook #0: exec /nowhere/hook: No such file or directory'
}

@test "husk killed while a hook runs: the hook goes too, delete --force clears up and runs poststop" {
	local k
	for k in prestart createContainer; do
		rm -f "$LOG" hookpid
		bundle "$(args true)" "$(hook $k "echo \$\$ >$PWD/hookpid; sleep 1000")" "$(hook poststop)"
		"$HUSK" --root "$ROOT" create -b "$BUNDLE" "$ID" >/dev/null 2>&1 </dev/null &
		pid=$!
		eventually test -s hookpid
		is_status "$ID" creating
		kill -9 $pid
		wait $pid || :
		eventually hook_gone "$(cat hookpid)"
		expect 0 husk delete --force "$ID"
		[ "$(names)" = "$k creating poststop stopped " ]
		nothing_left
		[ -z "$(pgrep -fx '(/bin/)?sleep 1000')" ]
	done
}
hook_gone() { ! kill -0 "$1" 2>/dev/null; }

@test "delete --force does not wait for ever for a create that hangs in a hook" {
	bundle "$(args true)" "$(hook createRuntime "echo \$\$ >$PWD/hookpid; sleep 1000")"
	"$HUSK" --root "$ROOT" create -b "$BUNDLE" "$ID" >/dev/null 2>&1 </dev/null 3>&- &
	pid=$!
	eventually test -s hookpid
	expect 1 husk delete --force "$ID"
	[ "$err" = "husk: container $ID is being created or changed by another husk command" ]
	is_status "$ID" creating
	kill -TERM $pid
	wait $pid || :
	eventually hook_gone "$(cat hookpid)"
	expect 0 husk delete --force "$ID"
	nothing_left
}

@test "husk run is interrupted while a hook hangs" {
	bundle "$(args true)" "$(hook createRuntime "echo \$\$ >$PWD/hookpid; sleep 1000")" "$(hook poststop)"
	"$HUSK" --root "$ROOT" run -b "$BUNDLE" "$ID" >o 2>&1 </dev/null &
	pid=$!
	eventually test -s hookpid
	kill -TERM $pid
	rc=0
	wait $pid || rc=$?
	[ $rc = 1 ]
	grep -q 'run failed: error running createRuntime hook #0: interrupted by a signal' o
	eventually hook_gone "$(cat hookpid)"
}
