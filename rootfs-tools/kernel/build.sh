#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# build.sh: builds the guest kernel, once; prints the folder that holds it.
#
#   build.sh [--arch x86_64|aarch64] [--rich] [--add FILE] [--work DIR] [--print-key] [--config-only]
#
# Prints on standard output one line, the folder with
#   vmlinux   x86_64: ELF, not compressed, PVH entry, no symbols    Image   aarch64
#   bzImage   the same kernel with its own loader (x86_64)
#   config    System.map    inputs    what it was made from
# and everything else (steps, with elapsed time) on standard error. The folder lies in a cache outside the source tree,
# ${HUSK_CACHE:-${XDG_CACHE_HOME:-~/.cache}/husk}/kernel-KEY, where KEY is a hash of everything that goes in: the
# configuration fragments and patches, these scripts, the version of the source package, the compiler. A second call with the same
# inputs answers at once. A build appears in the cache whole or not at all; two builds at once do not disturb each other.
#
#   --rich        also what few images need (rich.config): more file systems, tunnels, the rest of netfilter
#   --add FILE    one more configuration fragment (experiments); may be repeated
#   --work DIR    unpack and build in DIR and leave it there: a changed option then costs seconds to a minute
#   --print-key   print the cache folder's name without building; exit status 1 when it is not there yet
#   --config-only stop after the configuration has been made and checked; prints the .config's path (needs --work)
set -euo pipefail
export LC_ALL=C
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

die() { echo "build.sh: $*" >&2; exit 1; }
start=$SECONDS
step() { printf 'guest kernel: %3d s  %s\n' $((SECONDS - start)) "$*" >&2; }

arch=$(uname -m) work='' print_key=0 config_only=0
fragments=("$here/husk.config") extra=()
patches=("$here"/patches/*.patch)
while [ $# -gt 0 ]; do
	case $1 in
	--arch) arch=${2:?}; shift ;;
	--rich) extra+=("$here/rich.config") ;;
	--add) extra+=("$(realpath "${2:?}")"); shift ;;
	--work) mkdir -p "${2:?}"; work=$(realpath "$2"); shift ;;
	--print-key) print_key=1 ;;
	--config-only) config_only=1 ;;
	-h | --help) sed -n '4,23s/^# \{0,1\}//p' "$0"; exit 0 ;;
	*) die "unknown option $1 (--help lists them)" ;;
	esac
	shift
done
case $arch in
x86_64) karch=x86 cross='' ;;
aarch64) karch=arm64 cross=aarch64-linux-gnu- ;;
*) die "no configuration for architecture $arch" ;;
esac
[ "$arch" != "$(uname -m)" ] || cross=''
fragments+=("$here/$arch.config" "${extra[@]}")
cc=${cross}gcc

# --- what goes in -----------------------------------------------------------------------------------------------------
source=/usr/src/linux-source-6.12.tar.xz
[ -r $source ] || die "$source is missing: apt-get install linux-source-6.12"
for tool in "$cc" make flex bison bc xz patch python3; do
	command -v "$tool" >/dev/null || die "$tool is missing; packages.txt lists what a build needs"
done
version=$(dpkg-query -W -f '${Version}' linux-source-6.12 2>/dev/null) || version=$(sha256sum <$source)
inputs() {
	echo "arch $arch"
	echo "source linux-source-6.12 $version"
	echo "compiler $("$cc" -dumpfullversion) $("$cc" -dumpmachine) $("${cross}ld" --version | head -1)"
	echo "script $(cat "$here/build.sh" "$here/presort" | sha256sum)"
	echo "patches $(cat "${patches[@]}" | sha256sum)"
	# comments may change without a new kernel
	for f in "${fragments[@]}"; do
		echo "fragment ${f##*/} $(grep -vE '^(# ?(SPDX|---)|#$|$)|^# [A-Za-z].*[^t]$' "$f" | sha256sum)"
	done
}
key=$(inputs | sha256sum | cut -c1-20)
cache=${HUSK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/husk}
result=$cache/kernel-$key
image=vmlinux; [ "$arch" = x86_64 ] || image=Image

if [ $print_key = 1 ]; then
	echo "$result"
	[ -e "$result/$image" ]
	exit
fi
if [ $config_only = 0 ] && [ -e "$result/$image" ]; then
	echo "$result"
	exit 0
fi

# --- one build of one key at a time; the second waits and finds the result ----------------------------------------------
mkdir -p "$cache"
exec 9>"$cache/.kernel-$key.lock"
flock -n 9 || { step "another build of this kernel is under way; waiting"; flock 9; }
if [ $config_only = 0 ] && [ -e "$result/$image" ]; then
	echo "$result"
	exit 0
fi
new=$(mktemp -d "$cache/.kernel-new.XXXXXX")
scratch=''
trap 'rm -rf "$new" ${scratch:+"$scratch"}' EXIT
if [ -z "$work" ]; then
	scratch=$(mktemp -d "$cache/.kernel-build.XXXXXX")
	work=$scratch
fi

# --- unpack -------------------------------------------------------------------------------------------------------------
src=$work/linux-$version-$(cat "${patches[@]}" | sha256sum | cut -c1-8)
if [ ! -e "$src/.unpacked" ]; then
	step "unpacking $source"
	rm -rf "$src"
	mkdir -p "$src"
	# other architectures, documentation and most drivers' folders are not needed, but Kconfig reads them all
	tar -C "$src" --strip-components=1 -xf $source --exclude='*/Documentation/*/*' --exclude='*/tools/testing/*'
	for p in "${patches[@]}"; do
		patch -d "$src" -p1 -s --fuzz=1 --no-backup-if-mismatch <"$p" >&2 || die "${p##*/} does not apply to linux-source-6.12 $version"
	done
	touch "$src/.unpacked"
fi

# --- configure and check ------------------------------------------------------------------------------------------------
out=$work/build-$arch
mkdir -p "$out"
# the same text in the kernel whoever builds it, whenever and wherever
export KBUILD_BUILD_TIMESTAMP='1970-01-01' KBUILD_BUILD_USER=husk KBUILD_BUILD_HOST=husk KBUILD_BUILD_VERSION=1
export SOURCE_DATE_EPOCH=0
kmake() {
	make -C "$src" O="$out" ARCH=$karch CROSS_COMPILE="$cross" -s -j"$(nproc)" \
		KCFLAGS="-fdebug-prefix-map=$src=. -ffile-prefix-map=$src=." "$@"
}
cat "${fragments[@]}" >"$out/.fragments"
step "configuring ($(printf '%s ' "${fragments[@]##*/}"))"
mv "$out/.config" "$out/.config.before" 2>/dev/null || :
kmake KCONFIG_ALLCONFIG="$out/.fragments" allnoconfig >"$out/.configure.log" 2>&1 ||
	{ cat "$out/.configure.log" >&2; die "configuring failed"; }
cmp -s "$out/.config" "$out/.config.before" && cp -p "$out/.config.before" "$out/.config"

# Each option asked for must be what it was asked to be; the last word on an option wins.
awk '
	function name(line) { match(line, /CONFIG_[A-Za-z0-9_]+/); return substr(line, RSTART, RLENGTH) }
	function value(line) { return line ~ /is not set$/ ? "n" : substr(line, index(line, "=") + 1) }
	/^CONFIG_[A-Za-z0-9_]+=/ || /^# CONFIG_[A-Za-z0-9_]+ is not set$/ {
		if (FILENAME ~ /fragments$/) { if (!(name($0) in want)) order[++n] = name($0); want[name($0)] = value($0) }
		else have[name($0)] = value($0)
	}
	END {
		for (i = 1; i <= n; i++) {
			o = order[i]; h = (o in have) ? have[o] : "n"
			if (h != want[o]) { printf "  %s: asked for %s, is %s\n", o, want[o], h; bad++ }
		}
		exit bad ? 1 : 0
	}' "$out/.fragments" "$out/.config" >"$out/.missing" ||
	{ echo "build.sh: options that did not come out as asked (dependencies? renamed?):" >&2; cat "$out/.missing" >&2; exit 1; }
# A new mitigation in a newer source package must not stay off because nobody has heard of it.
undecided=$(sed -n 's/.*\(CONFIG_MITIGATION_[A-Z0-9_]*\).*/\1/p' "$out/.config" | sort -u |
	while read -r option; do grep -qw "$option" "$out/.fragments" || echo "$option"; done)
[ -z "$undecided" ] || die "mitigations that no fragment decides on:" $undecided
if [ $config_only = 1 ]; then
	echo "$out/.config"
	exit 0
fi

# --- build --------------------------------------------------------------------------------------------------------------
# Progress: a compilation is an object file; say how many there are every ten seconds.
step "compiling on $(nproc) CPUs (about 5 minutes on two)"
(
	while sleep 10; do
		step "$(find "$out" -name '*.o' -newer "$out/.fragments" 2>/dev/null | wc -l) objects"
	done
) &
ticker=$!
targets=(vmlinux bzImage); [ "$arch" = x86_64 ] || targets=(Image)
rc=0
kmake "${targets[@]}" >"$out/.build.log" 2>&1 || rc=$?
kill $ticker 2>/dev/null || :
wait $ticker 2>/dev/null || :
[ $rc = 0 ] || { tail -40 "$out/.build.log" >&2; die "the build failed; its log's end is above"; }

# --- store --------------------------------------------------------------------------------------------------------------
step "storing"
if [ "$arch" = x86_64 ]; then
	"$here/presort" "$out/vmlinux"
	# what is loaded stays, symbol tables go; the PVH note is a loaded section
	"${cross}objcopy" --strip-all "$out/vmlinux" "$new/vmlinux"
	readelf -n "$new/vmlinux" 2>/dev/null | grep -q Xen || die "vmlinux lost its PVH note"
	cp "$out/arch/x86/boot/bzImage" "$new/bzImage"
else
	cp "$out/arch/arm64/boot/Image" "$new/Image"
fi
cp "$out/System.map" "$new/System.map"
cp "$out/.config" "$new/config"
inputs >"$new/inputs"
chmod 755 "$new"
mv -T "$new" "$result" 2>/dev/null || [ -e "$result/$image" ] || die "cannot store $result"
step "done: $result/$image ($(stat -c %s "$result/$image") bytes)"
echo "$result"
