/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between husk and husk-systemd-cgroup, on its descriptor 3 (SEQPACKET): one request, one reply.
 *
 * The helper is a program of its own because libsystemd comes as a shared library alone. It is born with an
 * empty environment and nothing but this socket, does one thing and ends. SYSTEMD_START differs: the
 * helper is the scope's first process and stays in it until the other end of the socket closes. So
 * a husk that is killed leaves an empty scope, which systemd takes away by itself.
 *
 * Behind the request come its properties, a line each: NAME SPACE TYPE SPACE VALUE NEWLINE. TYPE is of
 * D-Bus: b i u x t d s, "as" (elements behind a tab each), "ay" (two hexadecimal digits a byte).
 */
#ifndef RUNTIME_SYSTEMD_WIRE_H
#define RUNTIME_SYSTEMD_WIRE_H

#include <stdint.h>
#include "runtime/systemd/unit.h"

#define SYSTEMD_WIRE_VERSION 1
#define SYSTEMD_REQUEST_MAX  65536 /* with the properties */
#define SYSTEMD_BUS_MAX      512
#define SYSTEMD_PROPERTY_MAX 64 /* bytes of a name */

enum systemd_op {
	SYSTEMD_START = 1, /* makes the scope around the helper; answered when the job is done */
	SYSTEMD_STOP, /* kills what is in it, stops it, forgets a failure; fine when there is none */
	SYSTEMD_ATTACH, /* moves process pid into it */
	SYSTEMD_SET, /* properties of the living unit */
};

struct systemd_request {
	uint32_t version, op;
	uint32_t timeout_ms; /* for all of it */
	uint32_t pid;
	uint32_t len; /* bytes of properties behind this */
	uint32_t direct; /* bus is a peer's address, not a bus's */
	char bus[SYSTEMD_BUS_MAX]; /* "": the system's manager */
	char unit[SYSTEMD_UNIT_MAX];
	char description[SYSTEMD_UNIT_MAX]; /* STOP leaves a unit of another description alone */
};

struct systemd_reply {
	uint32_t version;
	int32_t rc; /* 0 or a negative errno */
	char text[400];
};

#endif
