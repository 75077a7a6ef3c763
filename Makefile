# SPDX-License-Identifier: GPL-2.0
# The front door. Every target is a script that runs on its own too.

lab	:= /usr/bin/python3 tools/testing/page_reporting/lab
kernels	:= guest debug debug/bzImage off hyperv
bases	:= $(notdir $(wildcard bases/*))
out	:= build$(patsubst %,/%,$(filter-out 6.12,$(BASE)))
sanitizers := kasan kcsan
# Those of another ARCH
kernels-arm64 := arm64-4k arm64-64k
arch	:= $(filter-out x86 x86_64,$(ARCH))

# In the environment it may be meant for others.
ifneq ($(and $(arch),$(filter command,$(origin ARCH)),$(filter-out test,$(MAKECMDGOALS))),)
$(error ARCH=$(ARCH) is for "make test" alone: the other targets are of x86-64)
endif

ifneq ($(BASE),$(filter $(or $(BASE),none),$(bases)))
$(error BASE=$(BASE): no such base; there are: $(bases))
endif

# The kernel's own make must not see this one's flags and variables.
unexport MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
export BASE MEM FREE ORDER DELAY KERNEL BRANCH VERSION SIGNOFF ACCEL SCENARIO REPEAT EARLIER STRESS_S TOP_S JOBS

# "make test" ends in the line that counts passed and failed, also when it fails: in question
# mode (which runs a recipe only with a +) the exit status 1 of the recipe becomes make's own,
# and make says nothing more. Not so for "make -n test".
ifeq ($(MAKECMDGOALS)$(findstring n,$(firstword -$(MAKEFLAGS))),test)
MAKEFLAGS += --question
always := +
endif

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo top trace-examples deb test test-sanitize bench bench-selfcheck lint kunit mutants test-fixes nightly series check-series install-tree series-edit series-save kernel tree setup base clean distclean python

# What "make help" shows, in this order
groups := See it=demo top bench bench-selfcheck trace-examples;
groups += Install it=deb install-tree;
groups += Test it=test lint kunit mutants test-sanitize test-fixes nightly;
groups += Send it=series check-series series-edit series-save;
groups += Parts of these=setup tree kernel base;
groups += Clean up=clean distclean

help:
	@echo 'usage: make TARGET [VARIABLE=value ...]'
	@awk -F ':[^#]*## ' -v groups='$(groups)' ' \
		/^[a-z-]+:.*## / { said[$$1] = $$2 } \
		END { \
			count = split(groups, group, "; *"); \
			for (i = 1; i <= count; i++) { \
				split(group[i], part, "="); \
				printf "\n%s\n", part[1]; \
				names = split(part[2], name, " "); \
				for (j = 1; j <= names; j++) \
					printf "  %-17s%s\n", name[j], said[name[j]]; \
			} \
		}' $(MAKEFILE_LIST)
	@echo
	@echo 'Variables'
	@echo '  for the guest of demo and top:'
	@echo '    MEM=4G  FREE=3G   its memory, and how much of that it takes and frees'
	@echo '    ORDER=n DELAY=ms  page_reporting_order and page_reporting_delay_ms'
	@echo '    TOP_S=n           seconds until top ends by itself'
	@echo '  for bench:          SCENARIO=name (default: all)  REPEAT=n runs of each kernel (default: 3)'
	@echo '                      EARLIER=p runs.json of another bench: its runs of these kernels count'
	@echo '  for test:           ARCH=arm64: arm64 guests, with pages of 4 and 64 KiB'
	@echo '  for mutants:        JOBS=n mutants in parallel (default: as many as there are CPUs)'
	@echo '  for test-sanitize:  STRESS_S=n seconds of stress on each kernel (default: 600)'
	@echo '  for series:         VERSION=n: [PATCH vn]  SIGNOFF="Name <mail>": a Signed-off-by in each patch'
	@echo '  for all targets:'
	@echo '    BASE=b    another kernel than 6.12: $(filter-out 6.12,$(bases))'
	@echo '    KERNEL=p  for install-tree: your git tree, which gets a new branch, named by BRANCH=name'
	@echo '              for others: source to use in place of the Debian package: a tarball, or a tree, which is'
	@echo '              copied and not changed'
	@echo '    ACCEL=a   kvm or tcg (default: what the machine can do)'

demo: python	## Boot a guest that frees its memory, and watch the host get it back
	@$(lab) demo --check-only
	@scripts/setup
	@scripts/tree
	@scripts/build guest
	@$(lab) demo

top: python	## Watch a guest that takes and frees memory, once a second; q ends it
	@$(lab) top --check-only
	@scripts/setup
	@scripts/tree
	@scripts/build guest
	@$(lab) top

trace-examples: tree	## Run the guide's perf, trace-cmd and bpftrace commands in a guest
	@$(lab) examples --check-only
	@scripts/build observe
	@$(lab) examples

test:		## Build kernels, run KUnit, guests and static checks; then KUnit and guests on the other bases
	$(always)@scripts/test $(if $(arch),"--arch=$(arch)" $(kernels-$(arch)),$(kernels))

test-sanitize:	## Run KUnit, ten minutes of stress and the demo's workload under KASAN and KCSAN
	@scripts/test --sanitize $(sanitizers)

bench: python	## Measure the stock kernel and this series side by side: table, charts, results.json
	@$(lab) bench --check-only
	@SETUP_USERLAND=yes scripts/setup
	@scripts/tree
	@scripts/build $$($(lab) bench --kernels)
	@$(lab) bench

bench-selfcheck: python	## Bench the stock kernel against itself: each ratio has to be within its spread
	@$(lab) bench --selfcheck --check-only
	@scripts/setup
	@scripts/tree
	@scripts/build $$($(lab) bench --selfcheck --kernels)
	@$(lab) bench --selfcheck

deb: python	## Make Debian packages of the kernel and the tool, and boot them in a guest
	@$(lab) deb --check-only
	@SETUP_DEB=yes scripts/setup
	@scripts/tree
	@scripts/build package
	@scripts/tools-package
	@$(lab) deb

lint: kernel-lint	## Run static checks: checkpatch, sparse, W=1, kernel-doc, spelling and more
	@scripts/lint

kunit: tree	## Run the KUnit suites with the kernel's own kunit.py, under UML
	@cd $(out)/tree && /usr/bin/python3 tools/testing/kunit/kunit.py run \
		--kunitconfig=mm/tests/.kunitconfig --build_dir=../kunit

mutants: tree	## Break the engine on purpose, one place at a time: its KUnit case has to fail
	@scripts/build guest
	@$(lab) mutants

test-fixes: tree	## Test the kernel's own reporting without and with fixes/; needs BASE=7.3
	@scripts/tree --fixes
	@scripts/build fixes-stock fixes-patched
	@cd tools/testing/page_reporting && PR_FIXES=yes /usr/bin/python3 -m pytest -s tests/test_fixes.py

nightly:	## Run what make test leaves out; takes hours; scripts/nightly --list shows the steps
	@scripts/nightly

series: python	## Make the patches, one idea each, and cover letters in build/series
	@scripts/series make --check-only
	@scripts/setup
	@scripts/tree
	@scripts/series make

check-series: series	## Check the patches: git am, checkpatch; build and test each state; revert and boot
	@scripts/check-series

install-tree: python	## Apply the series to your git tree of 6.12 (or of BASE=): KERNEL=its path, BRANCH=new branch
	@scripts/series install --check-only
	@scripts/setup
	@env -u KERNEL scripts/tree
	@scripts/series install

series-edit: tree	## Make build/series-git, with the steps of series/ as commits to edit
	@scripts/series edit

series-save: tree	## Write series/ from the commits of build/series-git
	@scripts/series save

kernel: tree	## Build the guest kernel
	@scripts/build guest

tree: setup	## Unpack the base, copy our files into it, apply the hooks
	@scripts/tree

setup:		## Install the Debian packages that are missing
	@scripts/setup

base: setup	## Update bases/6.12, or the one of BASE=, to the newest linux-source package
	@scripts/tree --update-base

clean:		## Remove what was built; the unpacked bases stay
	@for folder in build $(bases:%=build/%); do \
		test ! -d $$folder || find $$folder -mindepth 1 -maxdepth 1 ! -name base ! -name base.json \
			! -name archive $(bases:%=! -name %) -exec rm -rf {} +; \
	done

distclean:	## Remove build/ with all kernels and results, and Python's caches
	@rm -rf build
	@find . -name __pycache__ -prune -exec rm -rf {} +

.PHONY: kernel-lint
kernel-lint: tree
	@scripts/build guest hyperv off

python:
	@test -x /usr/bin/python3 || scripts/setup
