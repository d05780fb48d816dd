# SPDX-License-Identifier: Apache-2.0
# For every test that goes through the husk command. HUSK names the program (default: the build's).
#
#   husk ARG…            husk with a root folder of the test's own
#   bundle [FILTER…]     makes $BUNDLE: busybox and husk's own default configuration without a terminal, changed by jq filters
#   args WORD…           the jq filter that sets the process's arguments
#   expect STATUS CMD…   runs it, checks the exit status; $out, $err
#   says TEXT…           each is found in $err
bats_require_minimum_version 1.5.0
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILT=${BUILT:-$TOP/build/$HOSTTYPE}
HUSK=${HUSK:-$BUILT/bin/husk}
BUSYBOX=${BUSYBOX:-$TOP/build/rootfs/busybox}

husk() { "$HUSK" --root "$ROOT" "$@"; }

common_setup() {
	ROOT=$BATS_TEST_TMPDIR/run
	BUNDLE=$BATS_TEST_TMPDIR/bundle
	ID=t$BATS_TEST_NUMBER-$$
	cd "$BATS_TEST_TMPDIR" || return 1
}

# Without jq, which takes a fifth of a second to start in an emulated machine, as most of what follows.
args() {
	local word list=
	for word; do
		word=${word//\\/\\\\} word=${word//\"/\\\"} word=${word//$'\n'/\\n} word=${word//$'\t'/\\t}
		list+=,\"${word//$'\r'/\\r}\"
	done
	printf '.process.args = [%s]\n' "${list:1}"
}

# The value of a plain member of JSON text: a word or a number.
json_field() { # NAME TEXT
	[[ $2 =~ \"$1\":\ *\"?([^\",}[:space:]]*) ]] && printf '%s\n' "${BASH_REMATCH[1]}"
}

# The root file system lies in memory once for a whole run: where the checkout is another machine's, its many links take
# long to read.
rootfs_copy() { # TO
	local all=$BATS_RUN_TMPDIR/rootfs
	if [ ! -e "$all" ]; then
		mkdir "$all.$$" && tar -C "$BUSYBOX" -cf - . | tar -C "$all.$$" -xf - && mv -T "$all.$$" "$all"
	fi
	cp -a "$all" "$1"
}

bundle() {
	mkdir -p "$BUNDLE"
	[ -e "$BUNDLE/rootfs" ] || rootfs_copy "$BUNDLE/rootfs"
	rm -f "$BUNDLE/config.json"
	"$HUSK" spec -b "$BUNDLE"
	configure '.process.terminal = false' "$@"
}

configure() { # FILTER…
	local f all=. new
	for f in "$@"; do all+=" | ($f"$'\n'')'; done
	new=$(jq "$all" "$BUNDLE/config.json") && printf '%s\n' "$new" >"$BUNDLE/config.json"
}

expect() { # STATUS COMMAND…
	local want=$1 got=0
	shift
	"$@" >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" || got=$?
	out=$(<"$BATS_TEST_TMPDIR/out")
	err=$(<"$BATS_TEST_TMPDIR/err")
	if [ "$got" != "$want" ]; then
		printf 'status %d, not %d: %s\nout: %s\nerr: %s\n' "$got" "$want" "$*" "$out" "$err"
		return 1
	fi
}

says() { # TEXT…
	local t
	for t in "$@"; do
		[[ $err == *"$t"* ]] || { printf 'not said: %s\nbut: %s\n' "$t" "$err"; return 1; }
	done
}

# Exactly one line of error.
one_line() {
	[ -n "$err" ] && [[ $err != *$'\n'* ]] || { printf 'not one line: %s\n' "$err"; return 1; }
}

# Nothing of this test's folder of containers is left.
root_empty() {
	[ ! -e "$ROOT" ] || [ -z "$(ls -A "$ROOT")" ] || { ls -lR "$ROOT"; return 1; }
}
