# SPDX-License-Identifier: GPL-2.0
"""KUnit suites: which cases a source has, and what a console says about them."""

import json
import re
import subprocess
import sys

from . import paths
from .errors import LabError

# What makes the suites run at boot: a kernel with only one of the first two may run none, without a word.
BOOT = ("kunit.enable=1", "kunit.autorun=1")
BOOT_LINE = (*BOOT, "kunit.filter_glob=page_reporting*")
PLAN = re.compile(r"(?:^|\] |\s)1\.\.[1-9]\d*\s*$", re.M)
PARSER = paths.TREE / "tools" / "testing" / "kunit" / "kunit.py"
RESULT = re.compile(r"\b(not )?ok \d+ (\w+)( # SKIP.*)?$")
SUITES = sorted((paths.REPO / "mm" / "tests").glob("*_kunit.c"))
# The comment above a case begins with the rows of behaviour that it shows.
ROWS = re.compile(r"^/\*(?:\n \*)? ((?:[SBH]\d+ ?)+)\b(?:(?!\*/).)*\*/\nstatic void (\w+)\(struct kunit \*test\)",
                  re.M | re.S)


def cases_of(source):
    """The names of the cases in a suite's source, in order, whichever of KUnit's macros adds them."""
    text = re.sub(r"/\*.*?\*/", "", source.read_text(encoding="utf-8"), flags=re.S)
    return re.findall(r"\bKUNIT_CASE(?:_\w+)?\(\s*(\w+)", text)


def rows_of(source):
    """{case: its rows of behaviour} of a suite's source; a case without a comment that names them is not in it."""
    return {name: rows.split() for rows, name in ROWS.findall(source.read_text(encoding="utf-8"))}


def not_passed(lines, cases):
    """Those of `cases` that failed, and the first without a result: where the guest got stuck."""
    results = {}
    for line in lines:
        if match := RESULT.search(line.rstrip()):
            results[match[2]] = "SKIP" if match[3] else "FAIL" if match[1] else "PASS"
    failed = [case for case in cases if results.get(case) == "FAIL"]
    return failed + [case for case in cases if case not in results][:1]


def statuses(group):
    """{name: status} of every case, with a case that has parameters under its own name."""
    found = {case["name"]: case["status"] for case in group["test_cases"]}
    for inner in group["sub_groups"]:
        below = statuses(inner)
        found.update(below)
        if not inner["sub_groups"]:
            found.setdefault(inner["name"], worst(below.values()))
    return found


def worst(values):
    """The status of a case with parameters: a failure if there is one."""
    return next((value for value in values if value not in ("PASS", "SKIP")), "PASS")


def parse(log):
    """What the kernel's own parser makes of a console: {case: PASS, FAIL, SKIP or ERROR}."""
    if not PLAN.search(log.read_text(encoding="utf-8", errors="replace")):
        raise LabError("read the results of KUnit: no plan on the guest's console, so no suite has run")
    report = log.with_suffix(".json")
    report.unlink(missing_ok=True)
    done = subprocess.run([sys.executable, PARSER, "parse", f"--json={report}", log],
                          capture_output=True, text=True, timeout=120, check=False)
    if not report.exists():
        raise LabError(f"read the results of KUnit: {(done.stdout + done.stderr).strip()}")
    return statuses(json.loads(report.read_text(encoding="utf-8")))
