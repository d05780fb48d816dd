# SPDX-License-Identifier: Apache-2.0
#
# What the rows of the table may use. A row is a bash script under `set -eu`: it passes when no command of it fails.
#
#   gives STATUS TEXT CMD…    runs CMD: exit status STATUS, and all it writes to standard output is TEXT
#   has TEXT CMD…             runs CMD: exit status 0, TEXT somewhere in what it writes
#   fails STATUS TEXT CMD…    runs CMD: exit status STATUS, TEXT somewhere in what it writes
#   eventually CMD…           until CMD succeeds; 300 s
#   logged ENGINE ID TEXT     TEXT is in the last line of a container's log
#   terminal CMD…             CMD with a terminal of its own
#   page PORT [ADDRESS]       what a web server on that port answers, of this host if nothing is said
#   datagram HOST PORT TEXT   what is answered to a datagram
#   lend_socat DIR            the host's socat for a container that has DIR as /l: `$SOCAT ...` there
#   lend_echo DIR             likewise a server that returns datagrams: `/l/udp-echo PORT`; socat's, which fork, lose some
#   nothing_left              all that the last rows started has gone: processes, control groups, mounts

# what a command wrote, as one line for the table
said() { tr -d '\r' <"$1" | tail -n 1 | cut -c 1-200; }

run_it() { # STATUS CMD…
	local want=$1 got=0
	shift
	"$@" >"$ROW_DIR/out" 2>"$ROW_DIR/err" </dev/null || got=$?
	tr -d '\r' <"$ROW_DIR/out" >"$ROW_DIR/text"
	if [ "$got" != "$want" ]; then
		printf 'status %d, not %d: %s\n' "$got" "$want" "$*" >&2
		tail -n 5 "$ROW_DIR/out" "$ROW_DIR/err" >&2
		why "status $got, not $want: $(said "$ROW_DIR/err")"
		return 1
	fi
}

# The reason that the table shows for a row that failed; the first one counts.
why() { [ -e "$ROW_DIR/why" ] || printf '%s\n' "$1" >"$ROW_DIR/why"; }

gives() { # STATUS TEXT CMD…
	local text=$2
	run_it "$1" "${@:3}" || return 1
	[ "$(cat "$ROW_DIR/text")" = "$text" ] || {
		printf 'not "%s" but "%s": %s\n' "$text" "$(cat "$ROW_DIR/text")" "${*:3}" >&2
		why "wrote \"$(said "$ROW_DIR/text")\", not \"$(tr '\n' ' ' <<<"$text")\""
		return 1
	}
}

fails() { # STATUS TEXT CMD…
	run_it "$1" "${@:3}" || return 1
	grep -qF -- "$2" "$ROW_DIR/text" "$ROW_DIR/err" || {
		printf 'no "%s" in what was said: %s\n' "$2" "${*:3}" >&2
		tail -n 20 "$ROW_DIR/text" "$ROW_DIR/err" >&2
		why "did not say \"$2\" but \"$(cat "$ROW_DIR/text" "$ROW_DIR/err" | tail -n 1 | cut -c 1-160)\""
		return 1
	}
}
has() { fails 0 "$@"; }

eventually() {
	local end=$((SECONDS + 300))
	until "$@" >"$ROW_DIR/eventually" 2>&1; do
		if [ $SECONDS -ge $end ]; then
			echo "never: $*" >&2
			cat "$ROW_DIR/eventually" >&2
			why "never: $*"
			return 1
		fi
		sleep 0.2
	done
}

logged() { [[ $("$1" logs --tail 1 "$2" 2>&1) == *"$3"* ]]; }

# a shell that fails to open what it is told to ends; a forwarder takes a connection before it knows whether there is anybody
page() (
	exec 3<>"/dev/tcp/${2:-127.0.0.1}/$1"
	printf 'GET / HTTP/1.0\r\n\r\n' >&3
	timeout 60 tail -n 1 <&3 | grep .
)

datagram() (
	exec 3<>"/dev/udp/${1//[][]/}/$2"
	echo "$3" >&3
	timeout 60 head -n 1 <&3
)
export -f datagram
export SOCAT='/l/ld-linux-x86-64.so.2 --library-path /l /l/socat'
lend_socat() { # DIR
	mkdir -p "$1"
	cp "$(command -v socat)" $(ldd "$(command -v socat)" | grep -o '/[^ ]*') "$1/"
}

lend_echo() { # DIR
	mkdir -p "$1"
	cp "$TOP/build/$HOSTTYPE/bin/udp-echo" "$1/"
}

terminal() { script -qec "$(printf '%q ' "$@")" /dev/null; }

# What an engine may leave of a container: processes of husk, its control groups and mounts, its network namespaces.
left_now() {
	ps -eo comm= | grep -E '^(husk|conmon|containerd-shim)' | sort || :
	find /sys/fs/cgroup -mindepth 1 -type d | grep -E 'libpod-[0-9a-f]{64}|/docker/[0-9a-f]{64}|/default/|/kubepods/.*[0-9a-f]{64}|/buildah-' || :
	grep -cE ' (/var/lib/containers/storage/overlay/[^ ]+/merged|/var/lib/docker/overlay2/[^ ]+/merged|/run/containerd/[^ ]+/(rootfs|shm)) ' /proc/self/mountinfo || :
	ls /run/husk 2>/dev/null || :
	ls -d /run/netns/cni-* 2>/dev/null || :
}
same_as() { [ "$("$2")" = "$(cat "$1")" ]; }
nothing_left() { eventually same_as "$LEFT_BEFORE" left_now || { diff "$LEFT_BEFORE" <(left_now) >&2; return 1; }; }
