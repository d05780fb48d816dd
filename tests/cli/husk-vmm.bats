# SPDX-License-Identifier: Apache-2.0
# husk-vmm where no machine is needed: what it refuses, and how.
load helper

VMM=${VMM:-$BUILT/bin/husk-vmm}

setup() { common_setup; }

# One line that says it, and how to learn more.
refuses() { # STATUS TEXT ARG…
	local status=$1 text=$2
	shift 2
	expect "$status" "$VMM" "$@"
	says "husk-vmm: $text"
	[ -z "$out" ]
}

@test "help and version" {
	expect 0 "$VMM" --help
	[[ $out == *--kernel* && $out == *"Exit status"* ]]
	expect 0 "$VMM" --version
	[[ $out == "husk-vmm "[0-9]* ]]
}

@test "what standard output does not take is no success" {
	full() { "$VMM" "$@" >/dev/full; }
	for o in --help --version; do
		expect 1 full $o
		says 'cannot write to standard output: No space left on device'
		one_line
	done
}

@test "wrong options have status 2" {
	refuses 2 '--kernel is missing'
	refuses 2 'unknown option "--nope"' --kernel k --nope
	refuses 2 '--cpus boot: "0" is not 1 to 254' --kernel k --cpus boot=0
	refuses 2 '--memory size: "lots" is not a size (such as 512M)' --kernel k --memory size=lots
	refuses 2 '--fs: path= is missing' --kernel k --fs tag=x
}

@test "what Cloud Hypervisor has and husk-vmm has not is refused by name" {
	refuses 2 '--pmem: not supported' --kernel k --pmem file=x
	refuses 2 '--disk image_type: qcow2 is not supported, only raw is' --kernel k --disk path=x,image_type=qcow2
	refuses 2 '--cpus topology: not supported' --kernel k --cpus boot=1,topology=1:1:1:1
	refuses 2 '--seccomp false: not supported' --kernel k --seccomp false
}

@test "files that are not there are named with their option" {
	refuses 1 '--kernel: cannot open /nonexistent: No such file or directory' --kernel /nonexistent
	: >k
	refuses 1 '--initramfs: cannot open /nonexistent' --kernel k --initramfs /nonexistent
	refuses 1 '--console: cannot open /nonexistent/x' --kernel k --console file=/nonexistent/x
	refuses 1 '--log-file: cannot open /nonexistent/x' --kernel k --log-file /nonexistent/x
	refuses 1 '--rng src: cannot open /nonexistent' --kernel k --rng src=/nonexistent
}

@test "husk-machine is for husk and husk-vmm to start" {
	expect 1 "$BUILT/bin/husk-machine" --kernel x
	says "started by husk or husk-vmm"
}
