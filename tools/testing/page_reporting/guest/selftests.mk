# SPDX-License-Identifier: GPL-2.0
# The kernel's selftests of page reporting, and an archive that is unpacked behind the initramfs.
#
#   make -f selftests.mk TREE=<a patched kernel's source> KBUILD=<a built kernel's directory> \
#	OUT=<directory>
#
# writes OUT/selftests.cpio.gz. As selftests/mm/Makefile builds them, but static, as a guest has no
# libraries, and with more warnings, which are errors. page-reporting of tools/mm is beside them, for
# the one that runs it. KBUILD is only needed for usr/gen_init_cpio.

TREE     ?= $(error give TREE=, a patched kernel's source)
OUT      ?= $(error give OUT=, the directory to write to)
KBUILD   ?= $(error give KBUILD=, a directory in which the guest kernel was built)
IN       := $(TREE)/tools/testing/selftests/mm
COMMON   := page_reporting_util
PROGRAMS := $(filter-out $(COMMON),$(basename $(notdir $(wildcard $(IN)/page_reporting_*.c))))
BINARIES := $(PROGRAMS:%=$(OUT)/%)
TOOL     := page-reporting
CFLAGS   := -O2 -Wall -Wextra -Werror -D_GNU_SOURCE=
HERE     := $(dir $(abspath $(lastword $(MAKEFILE_LIST))))
PACKER   := $(KBUILD)/usr/gen_init_cpio

$(OUT)/selftests.cpio.gz: $(BINARIES) $(OUT)/$(TOOL) $(IN)/run_vmtests.sh $(HERE)selftests.mk | $(PACKER)
	{ echo "dir /selftests 0755 0 0"; \
	  echo "file /selftests/run_vmtests.sh $(IN)/run_vmtests.sh 0755 0 0"; \
	  for name in $(PROGRAMS) $(TOOL); do echo "file /selftests/$$name $(OUT)/$$name 0755 0 0"; done; \
	} > $(OUT)/selftests.list
	$(PACKER) -t 0 $(OUT)/selftests.list > $(OUT)/selftests.cpio
	gzip -9 -n -c $(OUT)/selftests.cpio > $@.tmp
	mv $@.tmp $@

$(BINARIES): $(OUT)/%: $(IN)/%.c $(IN)/$(COMMON).c $(IN)/$(COMMON).h $(IN)/../kselftest.h | $(OUT)
	$(CC) $(CFLAGS) -static -s -o $@ $< $(IN)/$(COMMON).c

$(OUT)/$(TOOL): $(TREE)/tools/mm/$(TOOL).c | $(OUT)
	$(CC) $(CFLAGS) -static -s -o $@ $<

$(OUT):
	mkdir -p $@

$(PACKER):
	@echo "$@ is missing: build the guest kernel first (make demo does)" >&2; false
