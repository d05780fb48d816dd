#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What husk says of itself: the features document, and the table in docs/ that is made from the same rows.
load helper
setup() { common_setup; }

@test "features: the document of the specification, whole" {
	expect 0 husk features
	jq -e '.ociVersionMin == "1.0.0" and (.ociVersionMax | test("^1\\."))
		and .hooks == ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
		and (.mountOptions | index("rbind") and index("ro") and index("rslave")) and (.mountOptions | . == sort)
		and (.linux.namespaces | index("pid") and index("mount")) and (.linux.capabilities | index("CAP_SYS_ADMIN"))
		and .linux.cgroup.v2 and .linux.cgroup.v1 == false and .linux.cgroup.systemd and .linux.cgroup.systemdUser
		and ([.linux | .seccomp, .apparmor, .selinux, .intelRdt, .mountExtensions.idmap, .netDevices | .enabled | type] | unique) == ["boolean"]
		and (.linux.intelRdt | [.schemata, .monitoring] | map(type) | unique) == ["boolean"]
		and (.linux.memoryPolicy.modes | length == 7 and index("MPOL_BIND")) and (.linux.memoryPolicy.flags | length == 3)
		and .annotations["dev.husk.version"] and (.annotations["io.github.seccomp.libseccomp.version"] | test("^2\\.[0-9]+\\.[0-9]+$"))
		and .potentiallyUnsafeConfigAnnotations == ["dev.husk.", "org.systemd.property."]' out
	expect 1 husk features x
	says '"features" requires exactly 0 argument(s)'
}

# Each claim tried: what is listed gets past the reading of config.json, which refuses what is not.
@test "features: what is listed is accepted, what is not is refused" {
	local o
	bundle '.root.path = "nowhere"'
	cp "$BUNDLE/config.json" good
	husk features >f
	for o in $(jq -r '.mountOptions[]' f); do
		cp good "$BUNDLE/config.json"
		configure ".mounts[1].source = \"/x\" | .mounts[1].options = [\"$o\"]"
		case $o in # means nothing without
		*idmap) configure '.mounts[1] += ({uidMappings: [{containerID: 0, hostID: 1000, size: 1}]} | .gidMappings = .uidMappings)' ;;
		esac
		expect 1 husk create -b "$BUNDLE" "$ID"
		says 'invalid rootfs'
	done
	for o in $(jq -r '.linux.memoryPolicy.modes[]' f); do
		cp good "$BUNDLE/config.json"
		configure ".linux.memoryPolicy = {mode: \"$o\", nodes: \"0\"}"
		expect 1 husk create -b "$BUNDLE" "$ID"
		says 'invalid rootfs'
	done
	for o in $(jq -r '["user", "time"] - .linux.namespaces | .[]' f); do
		cp good "$BUNDLE/config.json"
		configure ".linux.namespaces += [{type: \"$o\"}]"
		expect 1 husk create -b "$BUNDLE" "$ID"
		says "config.json: linux.namespaces" "$o"
	done
}

@test "docs/config-json.md is what the parser's tables say" {
	expect 0 husk features --table
	if ! diff -u "$TOP/docs/config-json.md" out; then
		echo 'docs/config-json.md is not up to date. Run: make docs, and commit it.'
		return 1
	fi
}
