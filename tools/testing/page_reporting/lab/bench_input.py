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
    """Checked input: a scenario, "scenario/variant", or an empty word for all of them."""

    scenario: str
    repeat: int


def known(scenario):
    """What could have been meant: the variants of a scenario that there is, or all scenarios."""
    name = scenario.partition("/")[0]
    if name in bench_plan.SCENARIOS:
        return ", ".join(f"{name}/{variant.name}" for variant in bench_plan.chosen(name))
    return ", ".join(bench_plan.SCENARIOS)


def check(scenario, repeat, selfcheck=False):
    """A BenchInput from the user's words; an empty word means the default."""
    if not bench_plan.chosen(scenario):
        raise BadInput(f"SCENARIO={scenario}: no such scenario; there are: {known(scenario)}")
    if not bench_plan.chosen(scenario, selfcheck):
        raise BadInput(f"SCENARIO={scenario}: it counts, and counts have no spread to check; give a "
                       "scenario that takes time, such as release")
    number = parse_whole("REPEAT", repeat, 1, MAX_REPEAT) if repeat else DEFAULT_REPEAT
    if selfcheck and number < 2:
        raise BadInput(f"REPEAT={repeat}: a self-check compares spreads; give 2 or more")
    return BenchInput(scenario, number)
