# SPDX-License-Identifier: Apache-2.0
# Memory that a container does not use any more is the host's again.
load helper

setup() { vm_setup; }
teardown() { vm_teardown; }

rss() { awk '/^VmRSS:/{print $2}' "/proc/$1/status"; }

@test "what a container allocated and freed comes back within 10 seconds" {
	local mb=${HUSK_FREED_MB:-256} machine before after peak freed
	bundle "$(args sleep 100000)" ".linux.resources.memory.limit = $((mb * 3 / 2 * 1048576))"
	husk run -d -b "$BUNDLE" "$ID" </dev/null >/dev/null 2>&1 3>&- 4>&-
	machine=$(pgrep -x husk-machine)
	# what the guest's start left free comes back first
	sleep 5
	before=$(rss "$machine")
	husk exec "$ID" dd if=/dev/zero of=/dev/null bs="${mb}M" count=1
	peak=$(rss "$machine")
	[ $((peak - before)) -gt $((mb * 1024 * 9 / 10)) ]
	for _ in $(seq 100); do
		after=$(rss "$machine")
		freed=$(((peak - after) * 1000 / (peak - before)))
		[ $freed -lt 950 ] || break
		sleep 0.1
	done
	echo "before $before KiB, peak $peak, after $after: $freed per mille came back"
	[ $freed -ge 950 ]
	husk delete --force "$ID"
}
