#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
load helper
setup() { common_setup; }

@test "--log-format json: one object a line, and the words on standard error too" {
	expect 1 husk --log log --log-format json state nope
	[ "$err" = 'husk: container does not exist' ]
	jq -e '.level == "error" and .msg == "container does not exist" and (.time | test("^[0-9]{4}-[0-9]{2}-[0-9]{2}T.*Z$"))' log
	expect 1 husk --log log --log-format json start nope
	[ "$(wc -l <log)" = 2 ]
}

@test "--log-format json without --log goes to standard error" {
	expect 1 husk --log-format json state nope
	jq -e '.msg == "container does not exist"' err
	one_line
}

@test "text, in a file" {
	expect 1 husk --log log state nope
	grep -q 'container does not exist' log
	says 'container does not exist'
}

@test "what a caller wrote cannot break a line or an object" {
	expect 1 husk --log log --log-format json kill $'a"\\\n\x01b'
	[ "$(wc -l <log)" = 1 ]
	expect 3 husk --log log2 --log-format json $'fr"\nob'
	[ "$(wc -l <log2)" = 1 ]
	jq -e '.msg | test("fr\"")' log2
}

@test "unknown format, a log that cannot be opened" {
	expect 1 husk --log-format frob list
	says 'invalid log-format: frob'
	expect 1 husk --log /nonexistent/log list
	says 'open /nonexistent/log: '
	one_line
}

@test "--rootless takes a truth value or auto" {
	for v in auto true False 1 f ''; do expect 0 husk --rootless "$v" list; done
	expect 1 husk --rootless maybe list
	says '--rootless: maybe is not true, false or auto'
	one_line
}
