# SPDX-License-Identifier: GPL-2.0
"""KUnit suites: which cases a source has, and which of them did not pass."""

import re

from . import paths, tap

# What makes the suites run at boot: a kernel with only one of the first two may run none, without a word.
BOOT = ("kunit.enable=1", "kunit.autorun=1")
BOOT_LINE = (*BOOT, "kunit.filter_glob=page_reporting*")
SUITES = sorted((paths.REPO / "mm" / "tests").glob("*_kunit.c"))
# The comment above a case begins with the rows of behaviour that it shows.
ROWS = re.compile(r"^/\*(?:\n \*)? ((?:[SBH]\d+ ?)+)\b(?:(?!\*/).)*\*/\nstatic void (\w+)\(struct kunit \*test\)",
                  re.M | re.S)


def all_cases():
    return [case for suite in SUITES for case in cases_of(suite)]


def cases_of(source):
    """The names of the cases in a suite's source, in order, whichever of KUnit's macros adds them."""
    text = re.sub(r"/\*.*?\*/", "", source.read_text(encoding="utf-8"), flags=re.S)
    return re.findall(r"\bKUNIT_CASE(?:_\w+)?\(\s*(\w+)", text)


def rows_of(source):
    """{case: its rows of behaviour} of a suite's source; a case without a comment that names them is not in it."""
    return {name: rows.split() for rows, name in ROWS.findall(source.read_text(encoding="utf-8"))}


def not_passed(console, cases):
    """Those of `cases` that failed, and the first without a result: where the guest got stuck."""
    results = tap.statuses(console)
    failed = [case for case in cases if results.get(case) == "FAIL"]
    return failed + [case for case in cases if case not in results][:1]
