// SPDX-License-Identifier: Apache-2.0
/* ACPI tables: pointers and checksums, what iasl says of each, AML lengths; event and power registers. */
#include "tests/unit/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "vmm/acpi/acpi.h"
#include "vmm/acpi/aml.h"
#include "vmm/acpi/ged.h"
#include "vmm/acpi/power.h"

#define BASE 0xa0000u

static const struct acpi_desc full = {
	.cpus = 300, .lapic_base = 0xfee00000, .ioapic_base = 0xfec00000, .ged_gsi = 5,
	.ged = { ACPI_SPACE_IO, 0x604 }, .sleep_control = { ACPI_SPACE_IO, 0x600 },
	.sleep_status = { ACPI_SPACE_IO, 0x601 }, .reset = { ACPI_SPACE_IO, 0x602 },
	.reset_value = 1, .vmgenid = 0xef000, .serial_port = 0x3f8, .serial_gsi = 4, .npci = 2,
	.pci = {
		{ 0, 0xe8000000, 0xc0000000, 0x28000000, 0x4000000000, 0x4000000000, 0, 0 },
		{ 1, 0xe8100000, 0, 0, 0x8000000000, 0x1000000000, 0xc000, 0x1000 },
	},
};

static const struct acpi_desc least = {
	.cpus = 1, .lapic_base = 0xfee00000, .ioapic_base = 0xfec00000, .ged_gsi = 5,
	.ged = { ACPI_SPACE_MEMORY, 0xfed40000 }, .sleep_control = { ACPI_SPACE_MEMORY, 0xfed40010 },
	.sleep_status = { ACPI_SPACE_MEMORY, 0xfed40011 }, .reset = { ACPI_SPACE_MEMORY, 0xfed40012 },
	.reset_value = 1, .npci = 1,
	.pci = { { 0, 0xe8000000, 0xc0000000, 0x28000000, 0, 0, 0, 0 } },
};

static uint32_t le32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

static uint64_t le64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return v;
}

static unsigned sum(const uint8_t *p, size_t n)
{
	unsigned v = 0;

	while (n--)
		v += *p++;
	return v & 0xff;
}

/* The table at guest address @at, checked; its signature in @sig. */
static const uint8_t *table(const struct buf *b, uint64_t at, char sig[5])
{
	const uint8_t *t;

	assert_true(at >= BASE && at + 36 <= BASE + b->len && at % 8 == 0);
	t = b->data + (at - BASE);
	assert_true(range_within(at - BASE, le32(t + 4), b->len));
	assert_int_equal(sum(t, le32(t + 4)), 0);
	memcpy(sig, t, 4);
	sig[4] = 0;
	return t;
}

/* Calls @fn with every table that is reachable from the RSDP. */
static unsigned walk(const struct buf *b, void (*fn)(const char *sig, const uint8_t *t))
{
	char sig[5];
	const uint8_t *xsdt, *t;
	unsigned n = 0;

	assert_memory_equal(b->data, "RSD PTR ", 8);
	assert_int_equal(sum(b->data, 20), 0);
	assert_int_equal(sum(b->data, 36), 0);
	xsdt = table(b, le64(b->data + 24), sig);
	assert_string_equal(sig, "XSDT");
	fn(sig, xsdt);
	for (size_t off = 36; off < le32(xsdt + 4); off += 8) {
		t = table(b, le64(xsdt + off), sig);
		fn(sig, t);
		n++;
		if (strcmp(sig, "FACP"))
			continue;
		assert_int_equal(le32(t + 40), 0);
		fn("DSDT", table(b, le64(t + 140), sig));
		assert_string_equal(sig, "DSDT");
		assert_true(le32(t + 112) & 1u << 20); /* hardware-reduced */
		n++;
	}
	return n;
}

static void ignore(const char *sig, const uint8_t *t)
{
	(void)sig;
	(void)t;
}

static void tables_hang_together(void **state)
{
	const struct acpi_desc *tab[] = { &full, &least };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(tab); i++) {
		struct buf b = BUF_INIT(ACPI_TABLES_MAX);
		struct err e = ERR_INIT;

		if (acpi_build(&b, tab[i], BASE, &e) < 0)
			fail_msg("%s", e.msg);
		assert_int_equal(walk(&b, ignore), 4);
		buf_free(&b);
	}
}

static void what_does_not_fit_is_refused(void **state)
{
	struct acpi_desc d = least;
	struct buf b = BUF_INIT(ACPI_TABLES_MAX), whole = BUF_INIT(ACPI_TABLES_MAX);
	struct err e = ERR_INIT;

	(void)state;
	d.cpus = 0;
	assert_int_equal(acpi_build(&b, &d, BASE, &e), -EINVAL);
	d.cpus = ACPI_MAX_CPUS + 1;
	assert_int_equal(acpi_build(&b, &d, BASE, &e), -EINVAL);
	assert_int_equal(acpi_build(&whole, &full, BASE, &e), 0);
	for (size_t cap = 36; cap < whole.len; cap += 41) {
		struct buf tight = BUF_INIT(cap);

		assert_int_equal(acpi_build(&tight, &full, BASE, &e), -ENOMEM);
		buf_free(&tight);
	}
	buf_free(&whole);
	buf_free(&b);
}

static void package_lengths(void **state)
{
	static const struct {
		const char *why;
		size_t len;            /* of the string inside */
		uint8_t head[4];
		size_t n;
	} tab[] = {
		/* The body is name (4), string prefix, text, NUL. */
		{ "largest one-byte length", 63 - 1 - 6, { 63 }, 1 },
		{ "smallest two-byte length", 63 - 6, { 0x40 | 1, 4 }, 2 },
		{ "largest two-byte length", 4095 - 2 - 6, { 0x4f, 0xff }, 2 },
		{ "smallest three-byte length", 4094 - 6, { 0x80 | 1, 0, 1 }, 3 },
	};
	char text[5000];

	(void)state;
	memset(text, 'x', sizeof(text));
	for (size_t i = 0; i < ARRAY_SIZE(tab); i++) {
		struct buf b = BUF_INIT(8192);
		struct aml a;

		aml_init(&a, &b);
		aml_scope(&a, "ABCD");
		text[tab[i].len] = 0;
		aml_str(&a, text);
		text[tab[i].len] = 'x';
		assert_false(aml_done(&a));
		aml_end(&a);
		check_row(tab[i].why, aml_done(&a));
		check_row(tab[i].why, !memcmp(b.data + 1, tab[i].head, tab[i].n));
		check_row(tab[i].why, b.len == 1 + tab[i].n + 6 + tab[i].len);
		check_row(tab[i].why, !memcmp(b.data + 1 + tab[i].n, "ABCD", 4));
		buf_free(&b);
	}
}

static void terms(void **state)
{
	struct buf b = BUF_INIT(256);
	struct aml a;

	(void)state;
	aml_init(&a, &b);
	aml_int(&a, 0);
	aml_int(&a, 1);
	aml_int(&a, 0xff);
	aml_int(&a, 0x100);
	aml_int(&a, 0x10000);
	aml_int(&a, 0x100000000);
	aml_eisa_id(&a, "PNP0A03");
	aml_path(&a, "\\_SB_.PC00");
	aml_path(&a, "^A.B.C");
	assert_true(aml_done(&a));
	static const uint8_t want[] = {
		0x00, 0x01, 0x0a, 0xff, 0x0b, 0x00, 0x01, 0x0c, 0, 0, 1, 0, 0x0e, 0, 0, 0, 0, 1, 0, 0, 0,
		0x0c, 0x41, 0xd0, 0x0a, 0x03,
		'\\', 0x2e, '_', 'S', 'B', '_', 'P', 'C', '0', '0',
		'^', 0x2f, 3, 'A', '_', '_', '_', 'B', '_', '_', '_', 'C', '_', '_', '_',
	};
	assert_int_equal(b.len, sizeof(want));
	assert_memory_equal(b.data, want, sizeof(want));
	buf_free(&b);
}

/* ---- iasl ---- */

static char dir[64];
static unsigned written;

static void write_table(const char *sig, const uint8_t *t)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%u-%s.aml", dir, written++, sig);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, t, le32(t + 4)), le32(t + 4));
	close(fd);
}

/* Takes every table apart, puts it together again and apart once more: no error, no warning, no remark, and
 * the same text both times. */
static void iasl_has_nothing_to_say(void **state)
{
	const struct acpi_desc *tab[] = { &full, &least };
	/* Without the compiler's own name and what depends on it. */
	const char *same = "grep -vE '^ [*]|Compiler|Checksum|^ +[0-9A-F]+: |^DefinitionBlock'";
	char cmd[1024];

	(void)state;
	if (system("command -v iasl >/dev/null 2>&1") != 0) {
		print_message("# skipped: no iasl\n");
		skip();
	}
	snprintf(dir, sizeof(dir), "%s/husk-acpi.XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; i < ARRAY_SIZE(tab); i++) {
		struct buf b = BUF_INIT(ACPI_TABLES_MAX);

		assert_int_equal(acpi_build(&b, tab[i], BASE, NULL), 0);
		walk(&b, write_table);
		buf_free(&b);
	}
	snprintf(cmd, sizeof(cmd),
		 "cd %s && for f in [0-9]*.aml; do n=${f%%.aml}; { iasl -p $n -d $f && "
		 "iasl -oa -we -p $n-new $n.dsl && iasl -p $n-again -d $n-new.aml; } >$n.log 2>&1 && "
		 "! grep -E '[1-9][0-9]* (Errors|Warnings|Remarks)' $n.log && "
		 "[ \"$(%s $n.dsl)\" = \"$(%s $n-again.dsl)\" ] || "
		 "{ cat $n.log; exit 1; }; done",
		 dir, same, same);
	assert_int_equal(system(cmd), 0);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	assert_int_equal(system(cmd), 0);
}

/* ---- registers ---- */

struct line {
	struct irq_line l;
	unsigned edges;
};

static void on_line(struct irq_line *l, bool level)
{
	container_of(l, struct line, l)->edges += level;
}

static void events_are_told_once(void **state)
{
	struct line irq = { .l = { on_line } };
	struct buf b = BUF_INIT(256);
	struct snap_w w = { .b = &b };
	struct snap_r r;
	struct ged *g, *other;

	(void)state;
	assert_int_equal(ged_new(&g, &irq.l, NULL), 0);
	ged_raise(g, GED_POWER_BUTTON);
	ged_raise(g, GED_VMGENID);
	assert_int_equal(irq.edges, 2);
	assert_int_equal(ged_ops.read(g, 0, 2), 0);
	assert_int_equal(ged_ops.read(g, 2, 2), 0);
	ged_ops.write(g, 0, 4, 0);
	ged_save(g, &w, 1);
	assert_int_equal(ged_ops.read(g, 0, 4), 3);
	assert_int_equal(ged_ops.read(g, 0, 4), 0);
	assert_int_equal(ged_new(&other, &irq.l, NULL), 0);
	assert_int_equal(snap_r_init(&r, b.data, b.len, NULL), 0);
	assert_int_equal(ged_load(other, &r, 1, NULL), 0);
	assert_int_equal(ged_ops.read(other, 0, 4), 3);
	buf_free(&b);
	snap_w_u32(&w, 1, 4);
	assert_int_equal(snap_r_init(&r, b.data, b.len, NULL), 0);
	assert_int_equal(ged_load(other, &r, 1, NULL), -EBADMSG);
	buf_free(&b);
	ged_free(g);
	ged_free(other);
}

static void on_power(void *arg, enum power_event ev)
{
	*(int *)arg = (int)ev + 1;
}

static void power_registers(void **state)
{
	static const struct {
		const char *why;
		uint64_t off;
		unsigned size;
		uint64_t value;
		int want;
	} tab[] = {
		{ "S5", POWER_SLEEP_CONTROL, 1, 5 << 2 | 1 << 5, POWER_OFF + 1 },
		{ "not enabled", POWER_SLEEP_CONTROL, 1, 5 << 2, 0 },
		{ "another sleep state", POWER_SLEEP_CONTROL, 1, 4 << 2 | 1 << 5, 0 },
		{ "too wide", POWER_SLEEP_CONTROL, 4, 5 << 2 | 1 << 5, 0 },
		{ "status", POWER_SLEEP_STATUS, 1, 0x80, 0 },
		{ "reset", POWER_RESET, 1, POWER_RESET_VALUE, POWER_CYCLE + 1 },
		{ "not the reset value", POWER_RESET, 1, 2, 0 },
		{ "reset at the wrong place", 3, 1, POWER_RESET_VALUE, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(tab); i++) {
		int got = 0;
		struct power p = { .event = on_power, .arg = &got };

		power_ops.write(&p, tab[i].off, tab[i].size, tab[i].value);
		check_row(tab[i].why, got == tab[i].want);
		check_row(tab[i].why, power_ops.read(&p, tab[i].off, 1) == 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_hang_together),
		cmocka_unit_test(what_does_not_fit_is_refused),
		cmocka_unit_test(package_lengths),
		cmocka_unit_test(terms),
		cmocka_unit_test(iasl_has_nothing_to_say),
		cmocka_unit_test(events_are_told_once),
		cmocka_unit_test(power_registers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
