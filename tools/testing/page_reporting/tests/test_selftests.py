# SPDX-License-Identifier: GPL-2.0
"""The kernel's selftests of page reporting, in guests with a balloon, with the sample driver, with neither."""

import re
import shutil
import subprocess

import pytest

from lab import drivers, paths, programs, selftests
from lab.vm import VM

pytestmark = pytest.mark.product

# Movable memory, to take offline.
MOVABLE = "movablecore=384M"
STRESS_S = 10
PROGRAMS = ("counters", "files", "flush", "input", "stress", "tool")

# Why a case may skip itself in each guest, and how many of each program do. None does with the sample driver.
SKIPS = {
    "balloon": ("there is a device|the device is not the sample driver",
                {"counters": 5, "files": 8, "flush": 17, "tool": 3}),
    "sample": ("nothing", {}),
    "nothing": ("no device, and no module|no module",
                {"counters": 9, "files": 13, "flush": 25, "stress": 4, "tool": 4}),
}
# In so small a guest, what fills it may leave each of its zones enough.
MAY_SKIP = {"zones that are short of memory are left alone, which counts"}

# Files that are written to, and the least number of writes to each that the tables have.
MIN_WRITES = 25
FILES = ("page_reporting_order", "page_reporting_delay_ms", "flush", "device", "order", "state",
         "report_age_ms", "compact")


def step(program):
    words = ["selftest", f"page_reporting_{program}"]
    return words + [str(STRESS_S)] if program == "stress" else words


def archive(folder, *more):
    """The guest programs with the selftests and what else there is."""
    return selftests.initramfs(programs.initramfs(), folder / "initramfs", *more)


def run_balloon(folder):
    return VM(paths.kernel(), archive(folder), mem_mib=1024, cmdline=[MOVABLE, *drivers.PATIENCE],
              steps=[step(program) for program in PROGRAMS], boot_deadline_s=180, run_deadline_s=600)


def run_sample(folder):
    # The parameters' tables need a device that is there all the time.
    steps = [step("counters"), step("files"), step("flush"), step("stress"), step("tool"), drivers.load(),
             step("input"), drivers.UNLOAD]
    kernel = paths.vmlinux("debug")
    return VM(kernel, drivers.initramfs(kernel, folder, archive(folder)), mem_mib=1024, balloon=None, parallel=True,
              cmdline=[MOVABLE, *drivers.PATIENCE], steps=steps, boot_deadline_s=180, run_deadline_s=900)


def run_nothing(folder):
    return VM(paths.kernel(), archive(folder), mem_mib=1024, balloon=None, cmdline=drivers.PATIENCE,
              steps=[step(program) for program in PROGRAMS])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The reports of all programs in a guest, each guest run once."""
    done = {}

    def once(guest):
        if guest not in done:
            folder = tmp_path_factory.mktemp(guest)
            done[guest] = None
            with globals()[f"run_{guest}"](folder) as vm:
                done[guest] = selftests.reports(vm.finish())
        assert done[guest], f"the guest '{guest}' has failed before"
        return done[guest]
    return once


def test_all_programs_are_run():
    assert selftests.names() == [f"page_reporting_{program}" for program in PROGRAMS]


def check(report, reason, count):
    """Every case passes but for so many, which say why they cannot."""
    assert report.skipped is None and report.status == 0, "\n".join(report.lines)
    assert [case.name for case in report.cases if not case.ok] == [], "\n".join(report.lines)
    skipped = {case.name: case.skip for case in report.cases if case.skip}
    said = {name: why for name, why in skipped.items() if re.match(reason, why)}
    assert skipped.keys() - said.keys() <= MAY_SKIP and len(said) == count, skipped


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("guest", SKIPS)
def test_selftest(run, guest, program):
    reason, counts = SKIPS[guest]
    check(run(guest)[f"page_reporting_{program}"], reason, counts.get(program, 0))


@pytest.mark.parametrize("guest", ["balloon", "sample"])
def test_enough_writes(run, guest):
    """Bad input to every file, and not only to some."""
    cases = run(guest)["page_reporting_input"].cases
    refused = {name: sum(case.name.startswith(f"{name} refuses ") for case in cases) for name in FILES}
    assert min(refused.values()) >= MIN_WRITES, refused


@pytest.mark.parametrize("kernel, words, balloon, reason", [
    ("guest", ["selftest", "user=65534"], "on", "not root"),
    ("off", ["selftest"], None, "no CONFIG_PAGE_REPORTING"),
], ids=["without_root", "without_the_feature"])
def test_skips(tmp_path, kernel, words, balloon, reason):
    kernel = paths.vmlinux("off") if kernel == "off" else paths.kernel()
    steps = [[*words, f"page_reporting_{program}"] for program in PROGRAMS]
    with VM(kernel, archive(tmp_path), mem_mib=512, steps=steps, balloon=balloon) as vm:
        reports = selftests.reports(vm.finish())
    assert len(reports) == len(PROGRAMS)
    assert {(report.status, report.skipped) for report in reports.values()} == {(4, reason)}


def test_run_vmtests(tmp_path):
    """As a user runs them: the category, in its turn, with the kernel's own script."""
    initrd = archive(tmp_path, selftests.shell(tmp_path / "shell"))
    with VM(paths.kernel(), initrd, mem_mib=1024, cmdline=[MOVABLE, *drivers.PATIENCE], run_deadline_s=300,
            steps=[["selftest", "run_vmtests.sh", "-t", "page_reporting"]]) as vm:
        report = selftests.reports(vm.finish())["run_vmtests.sh"]
    assert [(case.name, case.ok) for case in report.cases] == \
        [(f"page_reporting_{program}", True) for program in PROGRAMS], "\n".join(report.lines)
    assert report.status == 0


def test_run_vmtests_names_the_category():
    said = subprocess.run(["bash", paths.TREE / selftests.FOLDER / "run_vmtests.sh", "-h"],
                          capture_output=True, text=True, check=True).stdout
    assert re.search(r"^- page_reporting\n\t", said, re.M)


def test_kernels_own_makefile(tmp_path):
    """selftests/mm/Makefile builds them, without a warning."""
    for name in ("tools/testing/selftests/mm", "tools/include/uapi", "tools/arch/x86/include/uapi"):
        shutil.copytree(paths.TREE / name, tmp_path / name)
    for name in ("lib.mk", "kselftest.h", "kselftest_harness.h"):
        shutil.copy(paths.TREE / "tools/testing/selftests" / name, tmp_path / "tools/testing/selftests")
    (tmp_path / "mm").mkdir()
    shutil.copy(paths.TREE / "mm/gup_test.h", tmp_path / "mm")
    (tmp_path / "out").mkdir()
    targets = [tmp_path / "out" / name for name in selftests.names()]
    made = subprocess.run(["make", "-C", tmp_path / selftests.FOLDER, f"OUTPUT={tmp_path / 'out'}", *targets],
                          env=programs.environment(), capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    assert "warning" not in made.stderr
    assert all(target.is_file() for target in targets)
