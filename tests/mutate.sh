#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Takes checks out of the parsers of hostile bytes, one at a time, and runs the unit test of each: a test
# must fail. Taken out are whole conditions of an `if`, and single operands of || and && in an `if` or a
# `return`. A change that does not compile counts as nothing.
#
#   tests/mutate.sh              all of the list below
#   tests/mutate.sh FILE.c TEST  one file against one test, or several: TEST+TEST
#
# Survivors that are no weakness are named, with the reason, in tests/mutate.known. Exit status 1 when
# there are others.
set -u
cd "$(dirname "$0")/.." || exit 2

LIST="vmm/virtio/vq.c:vq vmm/virtio/vq_state.c:vq vmm/virtio/net_ctrl.c:net_lies vmm/virtio/net_filter.c:net_lies
	vmm/virtio/net_rx.c:net_lies+net vmm/mem/gmem.c:gmem vmm/snapshot/snap.c:snap
	vmm/snapshot/snap_file.c:snap
	vmm/fs/dispatch.c:fs_hostile+fs_ops+fs_lies+fs_fds+fs_shares vmm/fs/state_load.c:fs_state vmm/fs/state_save.c:fs_state
	vmm/fs/node_reopen.c:fs_races+fs_lies+fs_fds+fs_ops vmm/fs/beneath.c:fs_races+fs_hostile+fs_fds
	vmm/fs/lock_wait.c:fs_lies+fs_ops vmm/fs/special.c:fs_lies+fs_meta+fs_fds"
[ $# -eq 2 ] && LIST="$1:$2"

work=$(mktemp -d) || exit 2
mkdir "$work/tmp" || exit 2 # what a test that crashes leaves
trap 'rm -rf "$work"' EXIT
san=address,undefined # a stray read is noticed by these alone
build=build/$(uname -m)-${san/,/-}
survived=0 killed=0 skipped=0

# Writes each mutation of file $1 as $work/N.c, its description as $work/N.what.
mutations()
{
	perl -0777 -e '
		my ($file, $out) = @ARGV;
		open my $f, "<", $file or die; my $s = <$f>; close $f;
		my $n = 0;
		sub emit {
			my ($at, $len, $new) = @_;
			my $t = $s; substr($t, $at, $len) = $new;
			my $line = 1 + (substr($s, 0, $at) =~ tr/\n//);
			my $what = substr($s, $at, $len);
			s/\s+/ /g, s/^ | $//g for $what, $new;
			open my $o, ">", "$out/$n.c"; print $o $t; close $o;
			open $o, ">", "$out/$n.what"; print $o "$line $new for $what\n"; close $o;
			$n++;
		}
		# The operands of $op at depth 0 of the text at $at.
		sub operands {
			my ($at, $text, $op) = @_;
			my ($depth, $start, @r) = (0, 0);
			for (my $i = 0; $i < length $text; $i++) {
				my $c = substr($text, $i, 1);
				$depth++ if $c =~ /[(\[{]/;
				$depth-- if $c =~ /[)\]}]/;
				if ($depth == 0 && substr($text, $i, 2) eq $op) {
					push @r, [$at + $start, $i - $start];
					$start = ++$i + 1;
				}
			}
			push @r, [$at + $start, length($text) - $start];
			return @r;
		}
		sub mutate {
			my ($at, $text) = @_;
			for my $op ("||", "&&") {
				my @o = operands($at, $text, $op);
				next if @o < 2;
				emit($_->[0], $_->[1], $op eq "||" ? " 0 " : " 1 ") for @o;
				# And inside one operand in parentheses.
				last;
			}
		}
		my $paren; $paren = qr/\((?:[^()]++|(??{$paren}))*\)/;
		while ($s =~ /\bif (\((?:[^()]++|$paren)*\))/g) {
			my ($at, $text) = ($-[1] + 1, substr($1, 1, -1));
			emit($at, length $text, " 0 ");
			mutate($at, $text);
			while ($text =~ /($paren)/g) {
				mutate($at + $-[1] + 1, substr($1, 1, -1)) if $1 =~ /\|\||&&/;
			}
		}
		while ($s =~ /\breturn ([^;]*(?:\|\||&&)[^;]*);/g) {
			mutate($-[1], $1);
		}
	' "$1" "$2"
}

# The command by which make would link test $2 after a change of $1.
link_command()
{
	make -n V=1 SAN=$san -W "$1" "$build/tests/unit/$2" | grep -- "-o $build/tests/unit/$2 " | tail -n 1
}

# Compiles mutation $1 in place of $2 and links it into test $4 with the command $3. 1: does not compile.
link_with()
{
	local cmd

	gcc -std=gnu11 -I. -D_GNU_SOURCE -O1 -g -w -pthread -fPIE -fsanitize=$san \
		-fno-sanitize-recover=all -DHUSK_SANITIZE -c -o "$work/mutant.o" "$1" 2>/dev/null || return 1
	cmd=${3/ $build\/${2%.c}.o / $work/mutant.o }
	[ "$cmd" != "$3" ] || { echo "$2 is not part of the test" >&2; exit 2; }
	sh -c "${cmd/-o $build\/tests\/unit\/$4 /-o $work/test }" 2>/dev/null
}

# Do all tests of the list $1 pass with mutation $2 of $3 in them? 2: it does not compile.
survives()
{
	local test

	for test in ${1//+/ }; do
		link_with "$2" "$3" "${link[$test]}" "$test" || return 2
		{ TMPDIR=$work/tmp timeout 60 "$work/test" >/dev/null 2>&1; } 2>/dev/null || return 1
	done
}

declare -A link
for pair in $LIST; do
	file=${pair%:*} tests=${pair#*:}
	for test in ${tests//+/ }; do
		make -s SAN=$san "$build/tests/unit/$test" || exit 2
		if ! "$build/tests/unit/$test" >/dev/null 2>&1; then
			echo "$test fails as it is" >&2
			exit 2
		fi
		link[$test]=$(link_command "$file" "$test")
	done
	rm -f "$work"/*.c "$work"/*.what
	mutations "$file" "$work"
	for what in $(cd "$work" && ls -- *.what | sort -n); do
		text=$(cat "$work/$what")
		rc=0
		survives "$tests" "$work/${what%.what}.c" "$file" || rc=$?
		if [ $rc = 2 ]; then
			skipped=$((skipped + 1))
		elif [ $rc = 1 ] || grep -qxF -- "$file: ${text#* }" tests/mutate.known; then
			killed=$((killed + 1))
		else
			echo "SURVIVED line ${text%% *} of $file: ${text#* }"
			survived=$((survived + 1))
		fi
	done
done
echo "$killed noticed (or known), $survived survived, $skipped do not compile"
[ $survived -eq 0 ]
