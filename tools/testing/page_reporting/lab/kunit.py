# SPDX-License-Identifier: GPL-2.0
"""KUnit suites: which cases a source has, and what a console says about them."""

import re

RESULT = re.compile(r"\b(not )?ok \d+ (\w+)( # SKIP.*)?$")


def cases_of(source):
    """The names of the cases in a suite's source, in order, whichever of KUnit's macros adds them."""
    text = re.sub(r"/\*.*?\*/", "", source.read_text(encoding="utf-8"), flags=re.S)
    return re.findall(r"\bKUNIT_CASE(?:_\w+)?\(\s*(\w+)", text)


def not_passed(lines, cases):
    """Those of `cases` that failed, and the first without a result: where the guest got stuck."""
    results = {}
    for line in lines:
        if match := RESULT.search(line.rstrip()):
            results[match[2]] = "SKIP" if match[3] else "FAIL" if match[1] else "PASS"
    failed = [case for case in cases if results.get(case) == "FAIL"]
    return failed + [case for case in cases if case not in results][:1]
