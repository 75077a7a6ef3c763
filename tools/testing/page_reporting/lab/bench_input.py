# SPDX-License-Identifier: GPL-2.0
"""What `make bench` takes. Checked before anything is built, so with the standard library alone."""

from dataclasses import dataclass

from . import bench_plan
from .errors import BadInput
from .units import parse_whole

DEFAULT_REPEAT = 3
MAX_REPEAT = 99


@dataclass(frozen=True)
class BenchInput:
    """Checked input; an empty scenario means all of them."""

    scenario: str
    repeat: int


def check(scenario, repeat):
    """A BenchInput from the user's words; an empty word means the default."""
    if scenario and scenario not in bench_plan.SCENARIOS:
        raise BadInput(f"SCENARIO={scenario}: no such scenario; there are: "
                       + ", ".join(bench_plan.SCENARIOS))
    number = parse_whole("REPEAT", repeat, 1, MAX_REPEAT) if repeat else DEFAULT_REPEAT
    return BenchInput(scenario, number)
