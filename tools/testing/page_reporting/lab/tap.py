# SPDX-License-Identifier: GPL-2.0
"""Reports in TAP, of guest programs, and in KTAP, of the kernel's own tests."""

import re
from dataclasses import dataclass

from .errors import LabError

# The kernel's own programs have no dash; its console has a time before it all.
RESULT = re.compile(r"(?P<not>not )?ok (?P<number>\d+)(?: -)? (?P<name>.*?)(?: # SKIP ?(?P<skip>.*))?")
PLAN = re.compile(r"1\.\.(\d+)")
IN_CONSOLE = re.compile(rf"(?:^|\] |\s){RESULT.pattern}$")
PLAN_IN_CONSOLE = re.compile(rf"(?:^|\] |\s){PLAN.pattern}$")


@dataclass(frozen=True)
class Case:
    """One line of a report; skip is the reason, or None."""

    ok: bool
    name: str
    skip: str | None


def parse(lines):
    """The cases of one report; LabError when it has no plan or not as many cases as planned."""
    plans = [int(match[1]) for line in lines if (match := PLAN.fullmatch(line))]
    found = [match for line in lines if (match := RESULT.fullmatch(line))]
    if len(plans) != 1 or [int(match["number"]) for match in found] != list(range(1, plans[0] + 1)):
        raise LabError(f"a TAP report with plans {plans} and {len(found)} results")
    return [Case(not match["not"], match["name"], match["skip"]) for match in found]


def statuses(console):
    """{name: PASS, FAIL or SKIP} of all cases and suites on a console; one that failed once has failed.

    LabError without a plan: a kernel that boots well and runs no suite must not look like one without failures.
    """
    results, planned = {}, False
    for line in map(str.rstrip, console):
        if match := IN_CONSOLE.search(line):
            status = "FAIL" if match["not"] else "PASS" if match["skip"] is None else "SKIP"
            if results.get(match["name"]) != "FAIL":
                results[match["name"]] = status
        elif match := PLAN_IN_CONSOLE.search(line):
            planned = planned or int(match[1]) > 0
    if not planned:
        raise LabError("read the results of KUnit: no plan on the guest's console, so no suite has run")
    return results
