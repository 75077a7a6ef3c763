# SPDX-License-Identifier: GPL-2.0
"""arm64 with pages of 4 and of 64 KiB: KUnit, the selftests and the demo, under qemu-system-aarch64."""

import json
import subprocess

import pytest
import test_kunit
import test_selftests

from conftest import LAB
from lab import drivers, kunit, paths, programs, selftests, tap
from lab.vm import VM

pytestmark = [pytest.mark.arm64, pytest.mark.product]
PAGES = ("4k", "64k")
# A few dozen blocks of the highest order, 4 or 512 MiB; what is not touched takes nothing on the host.
KUNIT_MIB = {"4k": 2048, "64k": 65536}
BOOT_S, RUN_S = 300, 600
# What a case wants that this kernel has not: lockdep, and a block larger than a pageblock; with pages of 64 KiB,
# pageblocks are too large to be emptied.
SKIPS = {"4k": {"isolation_holds_zone_lock", "pass_takes_no_memory"}}
SKIPS["64k"] = SKIPS["4k"] | {"halves_go_back_to_their_lists"} | set(
    kunit.cases_of(paths.REPO / "mm" / "tests" / "page_reporting_compact_kunit.c"))
SELFTEST_MIB = {"4k": 1024, "64k": 4096}
# What the stress cannot show here: arm64 refuses to take memory of the boot offline, see
# prevent_bootmem_remove_notifier(), and with pages of 64 KiB a huge page is of 512 MiB.
STRESS_SKIPS = {"4k": ("no block of memory can go offline", 1),
                "64k": ("no block of memory can go offline|a huge page is too large", 2)}


def kernel_build(pages):
    return paths.BUILD / f"arm64-{pages}"


def kernel(pages):
    return kernel_build(pages) / "arch" / "arm64" / "boot" / "Image"


def initramfs(pages):
    return programs.build(kernel_build(pages), paths.BUILD / "guest-programs-arm64", programs.ARM64_COMPILER)


@pytest.mark.parametrize("pages", PAGES)
def test_kunit_passes(pages):
    with VM(kernel(pages), initramfs(pages), balloon=None, mem_mib=KUNIT_MIB[pages],
            cmdline=kunit.BOOT_LINE, boot_deadline_s=RUN_S, run_deadline_s=60) as vm:
        console = vm.finish().console
    results = tap.statuses(console)
    bad = [case for case in test_kunit.CASES if results.get(case) not in ("PASS", "SKIP")]
    assert not bad, "\n".join(test_kunit.section(console, case) for case in bad)
    assert {case for case, status in results.items() if status == "SKIP"} == SKIPS[pages]


@pytest.fixture(scope="module", params=PAGES)
def reports(request, tmp_path_factory):
    """One boot with a balloon that runs the selftests: (size of a page, their reports)."""
    pages = request.param
    archive = selftests.initramfs(initramfs(pages), tmp_path_factory.mktemp("selftests") / pages,
                                  kernel_build=kernel_build(pages))
    with VM(kernel(pages), archive, mem_mib=SELFTEST_MIB[pages], cmdline=drivers.PATIENCE, boot_deadline_s=BOOT_S,
            run_deadline_s=RUN_S, steps=[test_selftests.step(name) for name in test_selftests.PROGRAMS]) as vm:
        return pages, selftests.reports(vm.finish())


@pytest.mark.parametrize("program", test_selftests.PROGRAMS)
def test_selftest_passes(reports, program):
    """Nothing is skipped but what wants the sample driver or no device, and what is not to be had here."""
    pages, all_reports = reports
    reason, counts = test_selftests.SKIPS["balloon"]
    skips = STRESS_SKIPS[pages] if program == "stress" else (reason, counts.get(program, 0))
    if pages == "64k" and program == "flush":
        skips = (f"{reason}|pages are not moved here", counts["flush"] + 2)
    test_selftests.check(all_reports[f"page_reporting_{program}"], *skips)


@pytest.mark.parametrize("pages", PAGES)
def test_demo_gives_memory_back(pages, tmp_path):
    """With the defaults, at least 90 % of what was freed, and nothing with reporting off."""
    words = ["--kernel", kernel(pages), "--initrd", initramfs(pages), "--mem", "4G", "--free", "3G", "--out", tmp_path]
    done = subprocess.run([*LAB, "demo", *words], capture_output=True, text=True, timeout=RUN_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert summary["returned_pct"] >= 90
    assert summary["off_returned_pct"] < 1
