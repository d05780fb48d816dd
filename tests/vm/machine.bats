#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The machine that a container asks for: annotations, the vm object, the operator's configuration.
load helper
setup() { vm_setup; }
teardown() { vm_teardown; }

@test "memory by annotation, the operator's parameters and kernel, vm's kernel and parameters" {
	local share=$BUILT/share/husk
	install -m 600 /dev/null conf
	mkdir kernels
	install -m 644 "$share/vmlinux" kernels/own
	bundle "$(args sh -c 'cat /proc/cmdline; grep MemTotal /proc/meminfo')" '.annotations = {"dev.husk.memory": "400M"}'
	echo "{\"kernelParameters\": [\"operator=1\"], \"kernel\": \"$PWD/kernels/own\"}" >conf
	expect 0 husk --config conf run -b "$BUNDLE" "$ID" </dev/null
	[[ $out == *' operator=1'* ]]
	[ "$(awk '/MemTotal/ { print ($2 > 300000 && $2 < 409600) }' out)" = 1 ]
	echo "{\"paths\": [\"$PWD/kernels\"]}" >conf
	configure ".vm = {kernel: {path: \"$PWD/kernels/own\", parameters: [\"tenant=2\"]}, hwConfig: {memory: 300000000}}" 'del(.annotations)'
	expect 0 husk --config conf run -b "$BUNDLE" "$ID" </dev/null
	[[ $out == *' tenant=2'* ]]
	[ "$(awk '/MemTotal/ { print ($2 > 200000 && $2 < 294000) }' out)" = 1 ]
	configure '.annotations = {"dev.husk.memory": "256M"}' ".vm.kernel.path = \"$share/vmlinux\""
	expect 1 husk --config conf run -b "$BUNDLE" "$ID" </dev/null
	says "config.json: vm.kernel.path: $share/vmlinux is in none of the folders"
}

@test "console: what the guest's kernel says, live and kept; its keys" {
	expect 1 husk console nobody
	says "container does not exist"
	bundle "$(args sleep 1000)"
	husk run -d -b "$BUNDLE" "$ID" </dev/null >/dev/null 2>&1
	mkfifo keys
	"$HUSK" --root "$ROOT" console "$ID" <keys >live 3>&- 4>&- &
	pid=$!
	exec 7>keys
	printf '\0178\017m' >&7
	eventually grep -q 'Mem-Info:' live
	exec 7>&-
	kill $pid
	wait $pid || :
	expect 0 husk console --dump "$ID"
	[[ $out == *'Mem-Info:'* ]]
	husk kill "$ID" KILL
	eventually is_status "$ID" stopped
	expect 1 husk console "$ID"
	says "container not running"
	husk delete "$ID"
}

@test "doctor finds no problem where machines run" {
	expect 0 husk doctor
	[[ $out == *'kvm: a guest'"'"'s ring 0 runs at '* ]]
}
