# SPDX-License-Identifier: Apache-2.0
#
# For figures in real time inside the testbed: husk-vmm and QEMU with the same guest kernel and test guest (tests/guest) at once, one
# waiting while the other works, so that what else the host does hits both alike. The caller defines with_husk and with_qemu,
# each of which runs one machine in the foreground, its console on standard input and output; the guest's last word is "console".
#
#   pair_start          starts both and waits for their consoles; what they said when it fails
#   pair_ask WHO WORD   lets WHO's guest do WORD; sets `did` and `us`: what was done, how long it took
#   pair_order I        sets `order`: who goes first in round I, by turns, so that what one leaves to the next hits both alike
#   pair_end            powers both off
declare -A to from pid

pair_errors() { tail -n 20 /tmp/husk.errors /tmp/qemu.errors >&2; return 1; }

pair_line() { # WHO PATTERN
	local text
	while IFS= read -r -t 300 text <&${from[$1]}; do
		text=${text%$'\r'}
		case $text in
		*FAILED* | *'Kernel panic'*) echo "$1: $text" >&2; return 1 ;;
		esac
		[[ $text =~ $2 ]] && return 0
	done
	echo "$1: nothing like \"$2\" on its console" >&2
	return 1
}

pair_start() {
	local who
	for who in husk qemu; do
		rm -f /tmp/$who.in /tmp/$who.out
		mkfifo /tmp/$who.in /tmp/$who.out
		exec {to[$who]}<>/tmp/$who.in {from[$who]}<>/tmp/$who.out
		"with_$who" </tmp/$who.in >/tmp/$who.out 2>/tmp/$who.errors &
		pid[$who]=$!
	done
	for who in husk qemu; do pair_line $who '^guest: console: ready' || pair_errors || return 1; done
}

pair_ask() {
	echo "$2" >&${to[$1]}
	pair_line "$1" "^guest: ${2%%:*}: ok, ([0-9]+) .* ([0-9]+) us" || pair_errors || return 1
	did=${BASH_REMATCH[1]} us=${BASH_REMATCH[2]}
}

pair_order() { if [ $(($1 % 2)) = 0 ]; then order=(husk qemu); else order=(qemu husk); fi; }

pair_end() {
	local who
	for who in husk qemu; do echo end >&${to[$who]}; done
	wait "${pid[@]}"
	for who in husk qemu; do exec {to[$who]}>&- {from[$who]}>&-; done
}
