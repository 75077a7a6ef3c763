# SPDX-License-Identifier: GPL-2.0
"""The KUnit suites, in one boot of the debug kernel: a test here per KUNIT_CASE."""

import re

import pytest
from conftest import load_program

from lab import paths, programs
from lab.errors import LabError
from lab.kunit import BOOT_LINE, SUITES, cases_of, parse, rows_of
from lab.vm import VM

DEADLINE_S = 900        # a kernel with sanitizers, under TCG
CASES = [case for suite in SUITES for case in cases_of(suite)]
TABLE = paths.REPO / "mm" / "tests" / "page_reporting_rows.rst"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One boot that runs the suites: (its console's file, what went wrong with the guest or None)."""
    log = tmp_path_factory.mktemp("kunit") / "console.log"
    log.touch()
    try:
        with VM(paths.debug_kernel(), programs.initramfs(), balloon=None, mem_mib=2048, console_log=log,
                parallel=True,
                cmdline=BOOT_LINE,
                boot_deadline_s=DEADLINE_S, run_deadline_s=120) as vm:
            vm.finish()
    except LabError as error:
        return log, error
    return log, None


@pytest.fixture(scope="module")
def results(run):
    """The cases that ran."""
    return parse(run[0])


def section(log, case):
    """What the console says about a case that did not pass."""
    lines = log.read_text(encoding="utf-8").splitlines()
    end = next((i for i, line in enumerate(lines) if re.search(rf"ok \d+ {case}\b", line)), len(lines))
    return "\n".join(lines[max(0, end - 20):end + 1])


def test_there_are_cases():
    assert CASES, "no KUNIT_CASE in mm/tests/*_kunit.c"


def test_guest_ends_well(run):
    """It booted, complained of nothing on its console, and powered off by itself."""
    if run[1]:
        raise run[1]


def test_case_names_are_unique():
    """Results and mutations name a case without its suite."""
    assert len(set(CASES)) == len(CASES)


def test_each_case_names_its_rows():
    """And each row of the table has a case."""
    rows = {case: rows for suite in SUITES for case, rows in rows_of(suite).items()}
    assert sorted(rows) == sorted(CASES)
    table = re.findall(r"^([SBH]\d+)  ", TABLE.read_text(encoding="utf-8"), re.M)
    assert sorted(table) == sorted({row for of_case in rows.values() for row in of_case})


@pytest.mark.parametrize("case", CASES)
def test_kunit(results, run, case):
    assert case in results, "not in the guest's report: see test_guest_ends_well"
    # This guest has all that a case may want: one that skips itself has not been shown to pass.
    assert results[case] == "PASS", section(run[0], case)


def test_parser_sees_failures(tmp_path):
    """Statuses come out of the kernel's parser as this module reads them."""
    log = tmp_path / "log"
    log.write_text("KTAP version 1\n1..1\n    KTAP version 1\n    # Subtest: s\n    1..4\n"
                   "    ok 1 good\n    not ok 2 bad\n    ok 3 left # SKIP why\n"
                   "        KTAP version 1\n        # Subtest: many\n        ok 1 one\n"
                   "        not ok 2 two\n    not ok 4 many\nnot ok 1 s\n", encoding="ascii")
    found = parse(log)
    assert {case: found.get(case) for case in ("good", "bad", "left", "many", "lost")} == {
        "good": "PASS", "bad": "FAIL", "left": "SKIP", "many": "FAIL", "lost": None}


def test_no_plan_is_an_error(tmp_path):
    """A kernel that boots well and runs no suite must not look like one without failures."""
    log = tmp_path / "log"
    log.write_text("[    0.1] KTAP version 1\n[    0.1] 1..0\n[    0.2] a line that ends in 1..2.\n")
    with pytest.raises(LabError, match="no plan .*no suite has run"):
        parse(log)
    log.write_text("[    0.1] KTAP version 1\n[    0.1] 1..1\n")
    parse(log)


def test_mutations_fit_the_code():
    """What `make mutants` breaks is there, once, and the case that is to notice exists."""
    mutants = load_program("mutants")
    mutations = mutants.select([])
    assert len(mutations) > 50
    mutants.check_fit(mutations, mutants.originals(mutations))


def test_mutation_that_does_not_fit_is_named():
    mutants = load_program("mutants")
    mutation = {"about": "a thing is broken", "file": "mm/x.c", "old": "old"}
    for count, text in ((0, "new"), (2, "old old")):
        with pytest.raises(LabError, match=f"\"a thing is broken\" fits {count} places of mm/x.c, not one"):
            mutants.check_fit([mutation], {"mm/x.c": text})
