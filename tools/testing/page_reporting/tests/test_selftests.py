# SPDX-License-Identifier: GPL-2.0
"""The kernel's selftests of page reporting, in guests with a balloon, with the sample driver, with neither."""

import re
import shutil
import subprocess

import pytest

from lab import drivers, paths, programs, selftests, tap
from lab.vm import VM

# Movable memory, to take offline.
MOVABLE = "movablecore=384M"
STRESS_S = 10
PROGRAMS = ("counters", "files", "flush", "input", "stress", "tool")

NEEDS_NO_DEVICE = {
    "counters": {"without a device nothing is counted"},
    "files": {"device and state say that there is no device"},
    "flush": {"without a device there is nothing to flush to"},
    "tool": {"flush says that there is no device", "doctor says that there is no device"},
}

NEEDS_SAMPLE = {
    "counters": {
        "pages that the driver refused count",
        "the driver counts the same",
        "no block below the order is reported",
        "unregistration clears all marks, which counts",
    },
    "files": {
        "the device is the driver's callback and module",
        "the order may change while a report is under way",
        "-1 gives the choice of the order back",
        "what is saved and restored leaves no trace",
        "the state is idle, requested, active and idle again",
        "a report has an age until the driver has answered",
        "no delay brings a report before the driver is ready",
    },
    "flush": {
        "a size is reported, and no more than a block beyond it",
        "a byte is a block",
        "the duration is what it took",
        "it waits for every batch",
        "it takes over from a pass that runs",
        "a signal interrupts it",
        "the next flush is not interrupted",
        "it goes on after a signal, with SA_RESTART",
        "the process can be killed",
        "a signal interrupts the wait for another flush",
        "an error of the driver is passed on",
        "an error of the driver ends it, and what was reported counts",
        "a single block that the driver refuses is told of",
        "it does not wait because of earlier errors",
        "it ends when the device goes",
        "those that wait end when the device goes",
    },
    "tool": {"doctor sees a host that does not answer"},
}

NEEDS_DEVICE = {
    "counters": {
        "a report counts, in pages, calls and passes",
        "an allocation of reported memory counts",
        "merging reported blocks counts",
        "a pass by itself counts",
        "zones that are short of memory are left alone, which counts",
    },
    "files": {
        "device, state and order say something",
        "the order follows the parameter",
        "a shorter delay brings forward what is queued",
        "a longer delay puts off what is queued",
        "a refused delay changes nothing",
    },
    "flush": {
        "all that is free is reported",
        "a second flush finds nothing",
        "what is reported is reported again",
        "all that is free is reported, down to single pages",
        "a size is reported",
        "more than there is means all",
        "several at a time all end well",
    },
    "stress": {
        "memory is used beside reporting",
        "huge pages are allocated beside reporting",
        "memory goes offline beside reporting",
        "what is free now can be reported",
    },
    "tool": {
        "flush reports all that is free",
        "flush again reports what is reported",
        "doctor finds nothing wrong with a device that reports",
    },
}

# What may, and has to, be skipped in each guest.
SKIPS = {
    "balloon": [NEEDS_NO_DEVICE, NEEDS_SAMPLE],
    "sample": [],
    "nothing": [NEEDS_SAMPLE, NEEDS_DEVICE],
}

# In so small a guest, what fills it may leave each of its zones enough.
MAY_SKIP = {"counters": {"zones that are short of memory are left alone, which counts"}}

# Files that are written to, and the least number of writes to each that the tables have.
MIN_WRITES = 25
FILES = ("page_reporting_order", "page_reporting_delay_ms", "flush", "device", "order", "state",
         "report_age_ms")


def step(program):
    """The step that runs one program."""
    words = ["selftest", f"page_reporting_{program}"]
    return words + [str(STRESS_S)] if program == "stress" else words


def run_balloon(folder):
    initrd = selftests.initramfs(programs.initramfs(), folder / "initramfs")
    return VM(paths.kernel(), initrd, mem_mib=1024, cmdline=[MOVABLE, *drivers.PATIENCE],
              steps=[step(program) for program in PROGRAMS], boot_deadline_s=180, run_deadline_s=600)


def run_sample(folder):
    initrd = drivers.initramfs(paths.debug_kernel(), folder,
                               selftests.initramfs(programs.initramfs(), folder / "initramfs"))
    # The parameters' tables need a device that is there all the time.
    steps = [step("counters"), step("files"), step("flush"), step("stress"), step("tool"), drivers.load(),
             step("input"), drivers.UNLOAD]
    return VM(paths.debug_kernel(), initrd, mem_mib=1024, cmdline=[MOVABLE, *drivers.PATIENCE], steps=steps,
              balloon=None, parallel=True, boot_deadline_s=180, run_deadline_s=900)


def run_nothing(folder):
    initrd = selftests.initramfs(programs.initramfs(), folder / "initramfs")
    return VM(paths.kernel(), initrd, mem_mib=1024, balloon=None, cmdline=drivers.PATIENCE,
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


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("guest", SKIPS)
def test_selftest(run, guest, program):
    """Every case passes but for those that need what is not there."""
    report = run(guest)[f"page_reporting_{program}"]
    assert report.skipped is None
    failed = [case.name for case in report.cases if not case.ok]
    assert not failed, "\n".join(report.lines)
    skipped = {case.name: case.skip for case in report.cases if case.skip}
    for case in MAY_SKIP.get(program, ()):
        skipped.pop(case, None)
    wanted = set().union(*(needs.get(program, set()) for needs in SKIPS[guest]))
    assert skipped.keys() == wanted - MAY_SKIP.get(program, set()), skipped
    assert report.status == 0


@pytest.mark.parametrize("guest", ["balloon", "sample"])
def test_enough_writes(run, guest):
    """Bad input to every file, and not only to some."""
    cases = run(guest)["page_reporting_input"].cases
    refused = {name: sum(case.name.startswith(f"{name} refuses ") for case in cases) for name in FILES}
    assert min(refused.values()) >= MIN_WRITES, refused


def test_skips_without_root(tmp_path):
    initrd = selftests.initramfs(programs.initramfs(), tmp_path / "initramfs")
    steps = [["selftest", "user=65534", f"page_reporting_{program}"] for program in PROGRAMS]
    with VM(paths.kernel(), initrd, mem_mib=512, steps=steps) as vm:
        reports = selftests.reports(vm.finish())
    assert len(reports) == len(PROGRAMS)
    assert {(report.status, report.skipped) for report in reports.values()} == {(4, "not root")}


def test_skips_without_the_feature(tmp_path):
    initrd = selftests.initramfs(programs.initramfs(), tmp_path / "initramfs")
    steps = [step(program) for program in PROGRAMS]
    with VM(paths.BUILD / "off" / "vmlinux", initrd, mem_mib=512, steps=steps, balloon=None) as vm:
        reports = selftests.reports(vm.finish())
    assert len(reports) == len(PROGRAMS)
    assert {(report.status, report.skipped) for report in reports.values()} == {(4, "no CONFIG_PAGE_REPORTING")}


def test_run_vmtests(tmp_path):
    """As a user runs them: the category, in its turn, with the kernel's own script."""
    initrd = selftests.initramfs(programs.initramfs(), tmp_path / "initramfs",
                                 selftests.shell(tmp_path / "shell"))
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


def test_tap_of_the_kernels_programs():
    cases = tap.parse(["TAP version 13", "1..3", "ok 1 a", "not ok 2 b", "ok 3 c # SKIP why", "# Totals: pass:1"])
    assert [(case.ok, case.name, case.skip) for case in cases] == \
        [(True, "a", None), (False, "b", None), (True, "c", "why")]
    with pytest.raises(ValueError, match="plans"):
        selftests.report(1, ["TAP version 13", "1..2", "ok 1 a", "Bail out! it broke"])
    assert selftests.report(4, ["TAP version 13", "1..0 # SKIP not root"]).skipped == "not root"
