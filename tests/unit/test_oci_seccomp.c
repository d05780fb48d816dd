// SPDX-License-Identifier: Apache-2.0
/* What becomes of linux.seccomp: each profile's program is run on calls, as a kernel would. */
#include "tests/unit/check.h"

#include <asm/unistd.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/oci/spec.h"

#define HEAD "{\"ociVersion\": \"1.0.2\", \"process\": {\"args\": [\"sh\"], \"cwd\": \"/\"}, \"root\": {\"path\": \"r\"}," \
	" \"linux\": {\"namespaces\": [{\"type\": \"pid\"}, {\"type\": \"network\"}, {\"type\": \"mount\"}], \"seccomp\": "

#define NATIVE 0 /* this machine's architecture */
#if defined(__x86_64__)
#define NATIVE_AUDIT AUDIT_ARCH_X86_64
#else
#define NATIVE_AUDIT AUDIT_ARCH_AARCH64
#endif

#define ERRNO(n) (SECCOMP_RET_ERRNO | (n))
#define FUTURE 0x1fff /* a number that no call has */

static struct oci_spec *compiled(const char *profile)
{
	struct err e = ERR_INIT;
	struct oci_spec *s;
	char *text;

	if (asprintf(&text, HEAD "%s}}", profile) < 0)
		abort();
	if (oci_spec_parse(&s, text, strlen(text), "config.json", &e) < 0 || oci_seccomp_compile(s, &e) < 0)
		fail_msg("%s: %s", profile, e.msg);
	free(text);
	return s;
}

/* The classic machine, as far as filters of system calls use it. */
static uint32_t run(const struct oci_spec *s, const struct seccomp_data *d)
{
	const struct sock_filter *f = s->seccomp.filter;
	size_t n = s->seccomp.filter_len / sizeof(*f);
	uint32_t a = 0, word;

	for (size_t pc = 0; pc < n; pc++) {
		switch (f[pc].code) {
		case BPF_LD | BPF_W | BPF_ABS:
			assert_true(f[pc].k % 4 == 0 && f[pc].k + 4 <= sizeof(*d));
			memcpy(&word, (const char *)d + f[pc].k, 4);
			a = word;
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= f[pc].k;
			break;
		case BPF_JMP | BPF_JA:
			pc += f[pc].k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			pc += a == f[pc].k ? f[pc].jt : f[pc].jf;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			pc += a > f[pc].k ? f[pc].jt : f[pc].jf;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			pc += a >= f[pc].k ? f[pc].jt : f[pc].jf;
			break;
		case BPF_RET | BPF_K:
			return f[pc].k;
		default:
			fail_msg("instruction %zu: code %#x", pc, f[pc].code);
		}
	}
	fail_msg("ran off the end");
	return 0;
}

#define ONE(action, more)                                                                          \
	"{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [{\"names\": [\"kill\", \"no_such_call\"], \"action\": \"" action \
	"\"" more "}]}"
#define ARG(op, value, two)                                                                        \
	ONE("SCMP_ACT_ERRNO",                                                                      \
	    ", \"args\": [{\"index\": 1, \"value\": " value ", \"valueTwo\": " two ", \"op\": \"SCMP_CMP_" op "\"}]")
#define ALLOWLIST(default, more)                                                                   \
	"{\"defaultAction\": \"" default "\"" more                                                 \
	", \"syscalls\": [{\"names\": [\"kill\", \"getpid\"], \"action\": \"SCMP_ACT_ALLOW\"}]}"

static const struct {
	const char *why, *profile;
	uint32_t arch;
	int nr;
	uint64_t arg1;
	uint32_t want;
} rows[] = {
	{ "another call", ONE("SCMP_ACT_KILL", ""), NATIVE, __NR_getpid, 0, SECCOMP_RET_ALLOW },
	{ "kill", ONE("SCMP_ACT_KILL", ""), NATIVE, __NR_kill, 0, SECCOMP_RET_KILL_THREAD },
	{ "kill thread", ONE("SCMP_ACT_KILL_THREAD", ""), NATIVE, __NR_kill, 0, SECCOMP_RET_KILL_THREAD },
	{ "kill process", ONE("SCMP_ACT_KILL_PROCESS", ""), NATIVE, __NR_kill, 0, SECCOMP_RET_KILL_PROCESS },
	{ "trap", ONE("SCMP_ACT_TRAP", ""), NATIVE, __NR_kill, 0, SECCOMP_RET_TRAP },
	{ "log", ONE("SCMP_ACT_LOG", ""), NATIVE, __NR_kill, 0, SECCOMP_RET_LOG },
	{ "trace", ONE("SCMP_ACT_TRACE", ""), NATIVE, __NR_kill, 0, SECCOMP_RET_TRACE | EPERM },
	{ "trace with a number", ONE("SCMP_ACT_TRACE", ", \"errnoRet\": 7"), NATIVE, __NR_kill, 0, SECCOMP_RET_TRACE | 7 },
	{ "errno", ONE("SCMP_ACT_ERRNO", ""), NATIVE, __NR_kill, 0, ERRNO(EPERM) },
	{ "errno with a number", ONE("SCMP_ACT_ERRNO", ", \"errnoRet\": 98"), NATIVE, __NR_kill, 0, ERRNO(98) },
	{ "errno beside what has none", ONE("SCMP_ACT_TRAP", ", \"errnoRet\": 7"), NATIVE, __NR_kill, 0, SECCOMP_RET_TRAP },
	{ "a default errno beside what has none", "{\"defaultAction\": \"SCMP_ACT_LOG\", \"defaultErrnoRet\": 7}",
	  NATIVE, __NR_kill, 0, SECCOMP_RET_LOG },
	{ "a rule for nothing",
	  "{\"defaultAction\": \"SCMP_ACT_LOG\", \"syscalls\": [{\"names\": [], \"action\": \"SCMP_ACT_KILL\"}]}",
	  NATIVE, __NR_kill, 0, SECCOMP_RET_LOG },
	{ "errno 0", ONE("SCMP_ACT_ERRNO", ", \"errnoRet\": 0"), NATIVE, __NR_kill, 0, ERRNO(0) },
	{ "the default's own action", ONE("SCMP_ACT_ALLOW", ""), NATIVE, __NR_kill, 0, SECCOMP_RET_ALLOW },

	{ "equal", ARG("EQ", "5", "0"), NATIVE, __NR_kill, 5, ERRNO(EPERM) },
	{ "equal in the low half", ARG("EQ", "5", "0"), NATIVE, __NR_kill, 5 | 1ull << 32, SECCOMP_RET_ALLOW },
	{ "equal of 64 bits", ARG("EQ", "18446744073709551615", "0"), NATIVE, __NR_kill, UINT64_MAX, ERRNO(EPERM) },
	{ "not equal", ARG("NE", "5", "0"), NATIVE, __NR_kill, 6, ERRNO(EPERM) },
	{ "not not equal", ARG("NE", "5", "0"), NATIVE, __NR_kill, 5, SECCOMP_RET_ALLOW },
	{ "less", ARG("LT", "5", "0"), NATIVE, __NR_kill, 4, ERRNO(EPERM) },
	{ "not less", ARG("LT", "5", "0"), NATIVE, __NR_kill, 5, SECCOMP_RET_ALLOW },
	{ "less or equal", ARG("LE", "5", "0"), NATIVE, __NR_kill, 5, ERRNO(EPERM) },
	{ "not less or equal", ARG("LE", "5", "0"), NATIVE, __NR_kill, 6, SECCOMP_RET_ALLOW },
	{ "greater or equal", ARG("GE", "5", "0"), NATIVE, __NR_kill, 5, ERRNO(EPERM) },
	{ "not greater or equal", ARG("GE", "5", "0"), NATIVE, __NR_kill, 4, SECCOMP_RET_ALLOW },
	{ "greater", ARG("GT", "5", "0"), NATIVE, __NR_kill, 6, ERRNO(EPERM) },
	{ "greater by the high half", ARG("GT", "5", "0"), NATIVE, __NR_kill, 1ull << 32, ERRNO(EPERM) },
	{ "not greater", ARG("GT", "5", "0"), NATIVE, __NR_kill, 5, SECCOMP_RET_ALLOW },
	{ "masked: value is the mask", ARG("MASKED_EQ", "240", "32"), NATIVE, __NR_kill, 0x2f, ERRNO(EPERM) },
	{ "not masked", ARG("MASKED_EQ", "240", "32"), NATIVE, __NR_kill, 0x3f, SECCOMP_RET_ALLOW },
	{ "one argument twice: either will do",
	  ONE("SCMP_ACT_ERRNO", ", \"args\": [{\"index\": 1, \"value\": 5, \"op\": \"SCMP_CMP_EQ\"},"
				" {\"index\": 1, \"value\": 7, \"op\": \"SCMP_CMP_EQ\"}]"),
	  NATIVE, __NR_kill, 7, ERRNO(EPERM) },
	{ "two arguments: both must",
	  ONE("SCMP_ACT_ERRNO", ", \"args\": [{\"index\": 1, \"value\": 5, \"op\": \"SCMP_CMP_EQ\"},"
				" {\"index\": 0, \"value\": 7, \"op\": \"SCMP_CMP_EQ\"}]"),
	  NATIVE, __NR_kill, 5, SECCOMP_RET_ALLOW },

	{ "a list of what is allowed", ALLOWLIST("SCMP_ACT_ERRNO", ""), NATIVE, __NR_getpid, 0, SECCOMP_RET_ALLOW },
	{ "not in the list", ALLOWLIST("SCMP_ACT_ERRNO", ""), NATIVE, __NR_read, 0, ERRNO(EPERM) },
	{ "with a number", ALLOWLIST("SCMP_ACT_ERRNO", ", \"defaultErrnoRet\": 13"), NATIVE, __NR_read, 0, ERRNO(13) },
	{ "a call of the future", ALLOWLIST("SCMP_ACT_ERRNO", ""), NATIVE, FUTURE, 0, ERRNO(ENOSYS) },
	{ "the same where others are killed", ALLOWLIST("SCMP_ACT_KILL", ""), NATIVE, FUTURE, 0, ERRNO(ENOSYS) },
	{ "a default that lets through", ALLOWLIST("SCMP_ACT_LOG", ""), NATIVE, FUTURE, 0, SECCOMP_RET_LOG },
	{ "a tracer sees them", ALLOWLIST("SCMP_ACT_TRACE", ""), NATIVE, FUTURE, 0, SECCOMP_RET_TRACE | EPERM },
	{ "nothing named", "{\"defaultAction\": \"SCMP_ACT_KILL_PROCESS\"}", NATIVE, FUTURE, 0, SECCOMP_RET_KILL_PROCESS },
	{ "a foreign architecture", ALLOWLIST("SCMP_ACT_ERRNO", ""), AUDIT_ARCH_S390X, 20, 0, SECCOMP_RET_KILL_THREAD },
#if defined(__x86_64__)
#define X86_LIST ", \"architectures\": [\"SCMP_ARCH_X86\", \"SCMP_ARCH_X32\", \"SCMP_ARCH_S390X\", \"SCMP_ARCH_SHEB\"]"
	{ "32 bits not listed", ALLOWLIST("SCMP_ACT_ERRNO", ""), AUDIT_ARCH_I386, 20, 0, SECCOMP_RET_KILL_THREAD },
	{ "32 bits, by its own numbers", ALLOWLIST("SCMP_ACT_ERRNO", X86_LIST), AUDIT_ARCH_I386, 20, 0, SECCOMP_RET_ALLOW },
	{ "32 bits, not in the list", ALLOWLIST("SCMP_ACT_ERRNO", X86_LIST), AUDIT_ARCH_I386, 3, 0, ERRNO(EPERM) },
	{ "32 bits, newer", ALLOWLIST("SCMP_ACT_ERRNO", X86_LIST), AUDIT_ARCH_I386, 38, 0, ERRNO(ENOSYS) },
	{ "x32", ALLOWLIST("SCMP_ACT_ERRNO", X86_LIST), AUDIT_ARCH_X86_64, 0x40000000 + 39, 0, SECCOMP_RET_ALLOW },
	{ "x32, newer", ALLOWLIST("SCMP_ACT_ERRNO", X86_LIST), AUDIT_ARCH_X86_64, 0x40000000 + 63, 0, ERRNO(ENOSYS) },
	{ "x32 not listed", ALLOWLIST("SCMP_ACT_ERRNO", ""), AUDIT_ARCH_X86_64, 0x40000000 + 39, 0, SECCOMP_RET_KILL_THREAD },
	{ "native, in a list of others", ALLOWLIST("SCMP_ACT_ERRNO", X86_LIST), NATIVE, 63, 0, ERRNO(ENOSYS) },
#endif
};

static void each_call_gets_its_action(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct oci_spec *s = compiled(rows[i].profile);
		struct seccomp_data d = { .nr = rows[i].nr,
					  .arch = rows[i].arch ? rows[i].arch : NATIVE_AUDIT,
					  .args = { 1, rows[i].arg1 } };
		uint32_t got = run(s, &d);

		if (got != rows[i].want)
			fail_msg("%s: %#x, not %#x", rows[i].why, got, rows[i].want);
		oci_spec_free(s);
	}
}

static void flags_and_none_at_all(void **state)
{
	static const struct {
		const char *profile;
		bool present;
		uint32_t flags;
	} list[] = {
		{ "null", false, 0 },
		{ "{}", false, 0 },
		{ "{\"syscalls\": []}", false, 0 },
		{ "{\"defaultAction\": \"\"}", false, 0 },
		{ "{\"defaultAction\": \"\", \"syscalls\": [], \"architectures\": [\"SCMP_ARCH_X86_64\"]}", false, 0 },
		{ ONE("SCMP_ACT_KILL", ""), true, SECCOMP_FILTER_FLAG_SPEC_ALLOW },
		{ "{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"flags\": []}", true, 0 },
		{ "{\"defaultAction\": \"SCMP_ACT_ALLOW\","
		  " \"flags\": [\"SECCOMP_FILTER_FLAG_LOG\", \"SECCOMP_FILTER_FLAG_TSYNC\","
		  " \"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV\"]}", true, SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_TSYNC },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
		struct oci_spec *s = compiled(list[i].profile);

		check_row(list[i].profile, s->seccomp.present == list[i].present);
		check_row(list[i].profile, (s->seccomp.filter_len != 0) == list[i].present);
		check_row(list[i].profile, s->seccomp.flags == list[i].flags);
		oci_spec_free(s);
	}
}

/* 4096 instructions are the most that a kernel takes. */
static void a_program_that_is_too_long_is_refused(void **state)
{
	struct err e = ERR_INIT;
	struct oci_spec *s;
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	fputs(HEAD "{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [", f);
	/* Each is several, and all of them are few enough to be read (runtime/oci/counts.c). */
	for (int i = 0; i < 1500; i++)
		fprintf(f, "%s{\"names\": [\"kill\"], \"action\": \"SCMP_ACT_ERRNO\", \"args\": ["
			   "{\"index\": 0, \"value\": %d, \"op\": \"SCMP_CMP_EQ\"},"
			   "{\"index\": 1, \"value\": %d, \"op\": \"SCMP_CMP_EQ\"},"
			   "{\"index\": 2, \"value\": %d, \"op\": \"SCMP_CMP_EQ\"}]}", i ? "," : "", i, 2 * i, 3 * i);
	fputs("]}}}", f);
	fclose(f);
	if (oci_spec_parse(&s, text, len, "config.json", &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(oci_seccomp_compile(s, &e), -E2BIG);
	assert_non_null(strstr(e.msg, "config.json: linux.seccomp: makes "));
	oci_spec_free(s);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_call_gets_its_action),
		cmocka_unit_test(flags_and_none_at_all),
		cmocka_unit_test(a_program_that_is_too_long_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
