# SPDX-License-Identifier: GPL-2.0
"""TAP reports of guest programs."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """One line of a report; skip is the reason, or None."""

    ok: bool
    name: str
    skip: str | None


def parse(lines):
    """The cases of one report; ValueError when it has no plan or not as many cases as planned."""
    plans = [int(match[1]) for line in lines if (match := re.fullmatch(r"1\.\.(\d+)", line))]
    # The kernel's own programs have no dash.
    matches = (re.fullmatch(r"(not )?ok (\d+)(?: -)? (.*?)(?: # SKIP (.*))?", line) for line in lines)
    found = [match for match in matches if match]
    if len(plans) != 1 or [int(match[2]) for match in found] != list(range(1, plans[0] + 1)):
        raise ValueError(f"a TAP report with plans {plans} and {len(found)} results")
    return [Case(not match[1], match[3], match[4]) for match in found]
