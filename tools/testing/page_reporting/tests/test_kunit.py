# SPDX-License-Identifier: GPL-2.0
"""The KUnit suites, in one boot of the debug kernel: a test here per KUNIT_CASE."""

import re

import pytest

from lab import kunit, paths, programs, tap
from lab.errors import LabError
from lab.vm import VM

pytestmark = pytest.mark.product
DEADLINE_S = 900        # a kernel with sanitizers, under TCG
CASES = kunit.all_cases()
TABLE = paths.REPO / "mm" / "tests" / "page_reporting_rows.rst"


@pytest.fixture(scope="module")
def run():
    """One boot that runs the suites: (its console, what went wrong with the guest or None)."""
    vm = VM(paths.vmlinux("debug"), programs.initramfs(), balloon=None, mem_mib=2048, parallel=True,
            cmdline=kunit.BOOT_LINE, boot_deadline_s=DEADLINE_S, run_deadline_s=120)
    try:
        with vm:
            vm.finish()
    except LabError as error:
        return vm.console, error
    return vm.console, None


@pytest.fixture(scope="module")
def results(run):
    return tap.statuses(run[0])


def section(lines, case):
    """What the console says about a case that did not pass."""
    end = next((i for i, line in enumerate(lines) if re.search(rf"ok \d+ {case}\b", line)), len(lines))
    return "\n".join(lines[max(0, end - 20):end + 1])


def test_guest_ends_well(run):
    """It booted, complained of nothing on its console, and powered off by itself."""
    if run[1]:
        raise run[1]


def test_each_case_names_its_rows():
    """And each row of the table has a case. Results and mutations name a case without its suite."""
    assert CASES and len(set(CASES)) == len(CASES)
    rows = {case: rows for suite in kunit.SUITES for case, rows in kunit.rows_of(suite).items()}
    assert sorted(rows) == sorted(CASES)
    table = re.findall(r"^([SBH]\d+)  ", TABLE.read_text(encoding="utf-8"), re.M)
    assert sorted(table) == sorted({row for of_case in rows.values() for row in of_case})


@pytest.mark.parametrize("case", CASES)
def test_kunit(results, run, case):
    assert case in results, "not in the guest's report: see test_guest_ends_well"
    # This guest has all that a case may want: one that skips itself has not been shown to pass.
    assert results[case] == "PASS", section(run[0], case)
