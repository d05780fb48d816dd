#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# husk doctor, and the operator's configuration as a user meets it.
load helper
setup() {
	common_setup
	install -m 600 /dev/null conf
}

@test "doctor: a line for each check, each with a verdict; the status says whether there is a problem" {
	local rc=0
	"$HUSK" doctor >text || rc=$?
	[ "$(grep -cvE '^(ok|warning|problem) +[a-z/]' text)" = 0 ]
	for c in kvm kernel namespaces cgroup limits /dev/net/tun programs guest configuration; do grep -qE "^[a-z]+ +$c: " text; done
	if grep -q ^problem text; then [ $rc = 1 ]; else [ $rc = 0 ]; fi
	rc=0
	"$HUSK" doctor --format json >json || rc=$?
	jq -e --argjson ok "$([ $rc = 0 ] && echo true || echo false)" '.ok == $ok and (.checks | length >= 9)
		and ([.checks[] | .verdict] - ["ok", "warning", "problem"] == []) and (.ok == ([.checks[] | select(.verdict == "problem")] | length == 0))' json
	[ "$(jq '.checks | length' json)" = "$(wc -l <text)" ]
	expect 1 husk doctor --format xml
	says 'invalid format option: xml'
}

@test "doctor: a part that is missing is a problem, with what to do" {
	HUSK_KERNEL=/nonexistent expect 1 husk doctor
	[[ $out == *$'\n'"problem  guest: /nonexistent: No such file or directory; install husk whole"* ]]
}

@test "doctor --bundle: what is refused, what has no effect" {
	bundle '.process.selinuxLabel = "a"' '.linux.mountLabel = "b"' '.linux.frob = 1'
	expect 0 husk doctor --bundle "$BUNDLE"
	[ "$(sort <<<"$out")" = 'ok       config.json: would be accepted
warning  linux.frob: not of the specification: passed over
warning  linux.mountLabel: accepted without effect
warning  process.selinuxLabel: accepted without effect' ]
	configure '.vm = {kernel: {path: "/k"}, hwConfig: {deviceTree: "/d"}}'
	expect 1 husk doctor -b "$BUNDLE" -f json
	jq -e '.ok == false and ([.checks[] | select(.name == "vm.hwConfig.deviceTree" and .verdict == "problem")] | length == 1)' out
	expect 1 husk doctor -b /nonexistent
}

@test "the operator's configuration: each mistake names file and field, and nothing starts" {
	bundle
	while IFS='|' read -r text name; do
		echo "$text" >conf
		expect 1 husk --config conf create -b "$BUNDLE" "$ID"
		says "create failed: conf: $name"
		one_line
		expect 1 husk --config conf doctor
		[[ $out == *"problem  configuration: conf: $name"* ]]
	done <<-'END'
		{|line 1
		{"frob": 1}|frob: unknown field
		{"vcpus": {"max": 0}}|vcpus.max: 0 is not between 1 and 64
		{"memory": {"default": "1T"}}|memory.default: must be bytes
		{"kernel": "vmlinux"}|kernel: must be an absolute path
		{"kernelParameters": ["a b"]}|kernelParameters[0]: "a b" is not one kernel parameter
		{"annotations": ["dev.husk.x"]}|annotations[0]: "dev.husk.x" is not an annotation
	END
	expect 1 husk --config /nonexistent create -b "$BUNDLE" "$ID"
	says '/nonexistent: No such file or directory'
	echo '{}' >conf
	chmod 666 conf
	expect 1 husk --config conf create -b "$BUNDLE" "$ID"
	says 'configuration: conf can be written by others than its owner'
	chown 1000 conf
	chmod 600 conf
	expect 1 husk --config conf create -b "$BUNDLE" "$ID"
	says 'configuration: conf does not belong to root'
	root_empty
}

@test "what a container may not ask of its machine is refused by name" {
	bundle
	cp "$BUNDLE/config.json" good
	echo '{"vcpus": {"max": 2}, "paths": ["/usr/share"]}' >conf
	while IFS='|' read -r filter text; do
		cp good "$BUNDLE/config.json"
		configure "$filter"
		expect 1 husk --config conf create -b "$BUNDLE" "$ID"
		says "create failed: config.json: $text"
		one_line
	done <<-'END'
		.annotations = {"dev.husk.frob": "1"}|annotations: dev.husk.frob: there is no such annotation
		.annotations = {"dev.husk.vcpus": "3"}|annotations: dev.husk.vcpus: 3 are more than the 2 that conf allows
		.annotations = {"dev.husk.memory": "1"}|annotations: dev.husk.memory: "1" is not bytes
		.annotations = {"dev.husk.kernel": "/usr/share/k"}|annotations: dev.husk.kernel: not among the "annotations" that conf allows
		.vm.kernel.path = "/etc/passwd"|vm.kernel.path: /etc/passwd is in none of the folders
		.vm = {kernel: {path: "/usr/share/k"}, hwConfig: {vcpus: 3}}|vm.hwConfig.vcpus: 3 are more than the 2
		.vm = {kernel: {path: "/usr/share/k"}, image: {path: "/i", format: "vhd"}}|vm.image.format: vhd is not supported, raw is
		.vm = {image: {path: "/i", format: "raw"}}|vm.image.path: /i: No such file or directory
		.vm = {kernel: {path: "/usr/share/k"}, hwConfig: {deviceTree: "/d"}}|vm.hwConfig.deviceTree: not supported
		.vm = {kernel: {path: "/usr/share/k"}, hypervisor: {path: "/bin/qemu"}}|vm.hypervisor.path: /bin/qemu is not the "hypervisor" of conf
		.vm = {hwConfig: {vcpus: 1}}|vm: kernel is missing
	END
	root_empty
}
