# SPDX-License-Identifier: Apache-2.0
# One non-recursive Makefile. Each folder's module.mk only appends to lists (see lib/module.mk):
#   PROGRAMS += NAME            with NAME_OBJS, NAME_LIBS, and NAME_STATIC=1 for a static-PIE
#   UNIT_TESTS += NAME          tests/unit/test_NAME.c with NAME_TEST_OBJS, NAME_TEST_LIBS
#   FUZZ_TARGETS += NAME        tests/fuzz/fuzz_NAME.c with NAME_FUZZ_OBJS, NAME_FUZZ_LIBS
# Objects are named by source path without .c, and live under build/VARIANT/.
#
#   make                 every program, the guest kernel and initramfs
#   make demo            installs what it needs, builds, runs containers and shows where the time goes
#   make check           the tests; make check-long: soaks and cycles too
#   make bench           figures under the stopwatch, beside crun and runc, into docs/performance.md
#   make unit            unit tests' programs;  make fuzz: each fuzz target for FUZZ_SECONDS=30
#   make docs            docs/config-json.md, from the parser's tables
#   make install         PREFIX=/usr/local DESTDIR=;  make uninstall
#   make cross           compiles for aarch64;  make clean: removes build/ (the kernel's cache stays)
#   make SAN=address,undefined …   the same with sanitizers;  V=1: every command
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

ARCH ?= $(shell uname -m)
ifeq ($(ARCH),aarch64)
ifneq ($(shell uname -m),aarch64)
CROSS_COMPILE ?= aarch64-linux-gnu-
endif
endif
CC := $(CROSS_COMPILE)gcc
CLANG ?= clang
PKG_CONFIG ?= pkg-config
SAN ?=
V ?= 0
PREFIX ?= /usr/local
DESTDIR ?=
VERSION := 0.1.0

empty :=
space := $(empty) $(empty)
comma := ,
VARIANT := $(ARCH)$(if $(SAN),-$(subst $(comma),-,$(SAN)))
B := build/$(VARIANT)

ifeq ($(V),0)
Q := @
say = @printf '  %-7s %s\n' $(1) $(2)
else
say = @:
endif

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wcast-qual \
	-Wwrite-strings -Wvla -Wundef -Wconversion -Wformat=2 -Wno-sign-conversion -Werror
HARDEN := -fstack-protector-strong -fstack-clash-protection -fPIE
ifeq ($(ARCH),x86_64)
HARDEN += -fcf-protection
else
HARDEN += -mbranch-protection=standard
endif
CFLAGS ?= -O2 -g
ALL_CFLAGS := -std=gnu11 -fvisibility=hidden -I. -I$(B)/gen -D_GNU_SOURCE -DHUSK_VERSION='"$(VERSION)"' \
	-pthread $(WARN) $(HARDEN) $(CFLAGS)
# Headers of libraries are the same on both architectures; only objects are made when crossing.
ALL_CFLAGS += $(if $(CROSS_COMPILE),-idirafter /usr/include)
ALL_LDFLAGS := -pthread -Wl,-z,relro,-z,now,-z,noexecstack $(LDFLAGS)
ifeq ($(SAN),)
ALL_CFLAGS += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
else
ALL_CFLAGS += -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all -O1 -DHUSK_SANITIZE
ALL_LDFLAGS += -fsanitize=$(SAN)
endif

PROGRAMS :=
UNIT_TESTS :=
FUZZ_TARGETS :=
CLEAN_HOOKS :=

include lib/module.mk
include $(wildcard agent-proto/module.mk) $(wildcard vmm/*/module.mk) $(wildcard vmm/module.mk) \
	$(wildcard runtime/*/module.mk) $(wildcard runtime/module.mk rootfs-tools/module.mk tests/module.mk)

.PHONY: all help clean
.DEFAULT_GOAL := all
all: $(PROGRAMS:%=$(B)/bin/%)

# --- compiling ---------------------------------------------------------------------------------------
flags := $(CC) $(ALL_CFLAGS)
$(B)/flags: FORCE
	@mkdir -p $(@D); printf '%s\n' '$(subst ','\'',$(flags))' | cmp -s - $@ || printf '%s\n' '$(subst ','\'',$(flags))' >$@
FORCE:

$(B)/%.o: %.c $(B)/flags | $(GENERATED)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/gen/%.o: $(B)/gen/%.c $(B)/flags
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -Wno-error -w -MMD -MP -c -o $@ $<

define program_rule
$(B)/bin/$(1): $$($(1)_OBJS:%=$(B)/%.o) $$($(1)_GEN_OBJS:%=$(B)/gen/%.o)
	$$(call say,LD,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(ALL_CFLAGS) $$(ALL_LDFLAGS) $$(if $$($(1)_STATIC),$$(if $$(SAN),-pie,-static-pie),-pie) -o $$@ $$^ $$($(1)_LIBS)
endef
# What only measures is built by its name: make build/VARIANT/bin/NAME.
BENCH_PROGRAMS ?=
TEST_PROGRAMS ?=
$(foreach p,$(PROGRAMS) $(BENCH_PROGRAMS) $(TEST_PROGRAMS),$(eval $(call program_rule,$(p))))

define unit_rule
$(B)/tests/unit/$(1): $(B)/tests/unit/test_$(1).o $$($(1)_TEST_OBJS:%=$(B)/%.o) $$($(1)_TEST_GEN_OBJS:%=$(B)/gen/%.o)
	$$(call say,LD,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(ALL_CFLAGS) $$(ALL_LDFLAGS) -pie -o $$@ $$^ $$($(1)_TEST_LIBS) -lcmocka
endef
$(foreach t,$(UNIT_TESTS),$(eval $(call unit_rule,$(t))))

# Fuzz targets are built by clang, all their sources in one go, always with sanitizers.
FUZZ_CFLAGS := -std=gnu11 -I. -Ibuild/fuzz/gen -D_GNU_SOURCE -DHUSK_VERSION='"$(VERSION)"' -DHUSK_SANITIZE -DHUSK_FUZZ -g -O1 -pthread \
	-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -Wall -Wno-unused-command-line-argument
define fuzz_rule
build/fuzz/$(1): tests/fuzz/fuzz_$(1).c $$($(1)_FUZZ_OBJS:%=%.c) $$($(1)_FUZZ_GEN_OBJS:%=build/fuzz/gen/%.c) | $$(FUZZ_GENERATED)
	$$(call say,FUZZLD,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CLANG) $$(FUZZ_CFLAGS) -MMD -MP -MF $$@.d -o $$@ $$(filter %.c,$$^) $$($(1)_FUZZ_LIBS)
endef
$(foreach t,$(FUZZ_TARGETS),$(eval $(call fuzz_rule,$(t))))

# --- the guest's half: kernel (cached outside the tree by the hash of its inputs) and initramfs ----------
SHARE := $(B)/share/husk
.PHONY: guest
guest: $(SHARE)/vmlinux $(SHARE)/initramfs
ifeq ($(ARCH)$(SAN),x86_64)
all: guest
endif
$(SHARE)/vmlinux: FORCE
	@mkdir -p $(@D)
	@dir=$$(env -u MAKEFLAGS -u MFLAGS -u MAKEOVERRIDES -u MAKELEVEL rootfs-tools/kernel/build.sh --arch $(ARCH)) && ln -sfn "$$dir/vmlinux" $@
$(SHARE)/initramfs: $(B)/bin/husk-agent rootfs-tools/initramfs/pack
	$(call say,PACK,$@)
	@mkdir -p $(@D)
	$(Q)rootfs-tools/initramfs/pack $< $@

# --- root file systems for demonstration and tests, from Debian's packages --------------------------------
ROOTFS := build/rootfs
.PHONY: rootfs
rootfs: $(ROOTFS)/busybox/.made $(ROOTFS)/debian/.made $(ROOTFS)/debs/.made
# .deb files for tests of a Debian at work
$(ROOTFS)/debs/.made: rootfs-tools/image/debs $(ROOTFS)/debian/.made
	$(call say,DEBS,$(@D))
	$(Q)rm -rf $(@D) && rootfs-tools/image/debs $(ROOTFS)/debian $(@D) sqlite3 git && touch $@
$(ROOTFS)/%/.made: rootfs-tools/image/%-rootfs
	$(call say,ROOTFS,$(@D))
	$(Q)rm -rf $(@D).new $(@D) && mkdir -p $(@D).new && $< $(@D).new && touch $(@D).new/.made && mv $(@D).new $(@D)

.PHONY: unit fuzz-build fuzz
unit: $(UNIT_TESTS:%=$(B)/tests/unit/%)
fuzz-build: $(FUZZ_TARGETS:%=build/fuzz/%)
# Each target runs FUZZ_SECONDS on its corpus, which grows in the build folder.
FUZZ_SECONDS ?= 30
fuzz: fuzz-build
	@for t in $(FUZZ_TARGETS); do \
		mkdir -p build/fuzz/corpus/$$t tests/fuzz/corpus/$$t; echo "  FUZZ    $$t"; \
		(cd build/fuzz && ./$$t -max_total_time=$(FUZZ_SECONDS) -print_final_stats=0 -verbosity=0 corpus/$$t ../../tests/fuzz/corpus/$$t) || exit 1; \
	done

# --- packages, demonstration, tests, figures ---------------------------------------------------------------
.PHONY: deps demo check check-long bench cross format-check
# Installs what packages.txt lists and is not there yet (Debian, root).
deps:
	@rootfs-tools/install-packages packages.txt

demo: deps
	@$(MAKE) --no-print-directory all rootfs
	@tests/demo

check: deps
	@tests/check

check-long: deps
	@tests/check --long

bench: deps
	@$(MAKE) --no-print-directory all rootfs
	@tests/bench/bench
	@tests/bench/engines
	@tests/bench/files
	@tests/bench/net
	@tests/bench/disk

# Everything that must compile for the other architecture (objects: its libraries are not needed for that).
cross:
	@$(MAKE) --no-print-directory ARCH=aarch64 objects

objects: $(foreach p,$(PROGRAMS),$(if $(filter host,$($(p)_KIND)),,$($(p)_OBJS:%=$(B)/%.o) $($(p)_GEN_OBJS:%=$(B)/gen/%.o)))

FORMATTED = $(shell git ls-files '*.c' '*.h')
format-check:
	@clang-format --dry-run -Werror $(FORMATTED)

# --- installing ----------------------------------------------------------------------------------------------
LIBEXEC := $(PREFIX)/libexec/husk
.PHONY: install uninstall
install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(LIBEXEC) $(DESTDIR)$(PREFIX)/share/husk \
		$(DESTDIR)$(PREFIX)/share/man/man8 $(DESTDIR)$(PREFIX)/share/man/man5
	install -m 755 $(B)/bin/husk $(B)/bin/husk-vmm $(DESTDIR)$(PREFIX)/bin/
	install -m 755 $(B)/bin/husk-machine $(B)/bin/husk-proxy $(B)/bin/husk-net $(B)/bin/husk-systemd-cgroup $(DESTDIR)$(LIBEXEC)/
	install -m 644 $(SHARE)/vmlinux $(SHARE)/initramfs $(DESTDIR)$(PREFIX)/share/husk/
	install -m 644 docs/man/*.8 $(DESTDIR)$(PREFIX)/share/man/man8/
	install -m 644 docs/man/*.5 $(DESTDIR)$(PREFIX)/share/man/man5/

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/husk $(DESTDIR)$(PREFIX)/bin/husk-vmm
	rm -f $(addprefix $(DESTDIR)$(LIBEXEC)/,husk-machine husk-proxy husk-net husk-systemd-cgroup)
	rm -f $(DESTDIR)$(PREFIX)/share/husk/vmlinux $(DESTDIR)$(PREFIX)/share/husk/initramfs
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/share/man/man8/,$(notdir $(wildcard docs/man/*.8)))
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/share/man/man5/,$(notdir $(wildcard docs/man/*.5)))
	-rmdir $(DESTDIR)$(LIBEXEC) $(DESTDIR)$(PREFIX)/share/husk

# --- documentation that is written by the programs -------------------------------------------------------------
.PHONY: docs
docs: $(B)/bin/husk
	$(Q)$< features --table >docs/config-json.md.new && mv docs/config-json.md.new docs/config-json.md

.PHONY: list-unit list-fuzz objects
list-unit:
	@printf '%s\n' $(UNIT_TESTS)
list-fuzz:
	@printf '%s\n' $(FUZZ_TARGETS)

clean:
	rm -rf build

help:
	@sed -n 's/^#  *make /  make /p' Makefile

-include $(shell find $(B) -name '*.d' 2>/dev/null)
-include $(wildcard build/fuzz/*.d)
