# SPDX-License-Identifier: GPL-2.0
"""Ten of the mutations of the engine, others each day; `make mutants` tries all."""

import datetime
import random

import pytest

from lab import mutants

pytestmark = [pytest.mark.product, pytest.mark.ci]
COUNT = 10
DAY = datetime.datetime.now(datetime.timezone.utc).date()
# What CI has no time for in one run, it has in a few weeks.
TODAY = random.Random(DAY.isoformat()).sample(mutants.select([]), COUNT)


@pytest.fixture(scope="module")
def entries():
    """What noticed each of them, by its number from 1 up."""
    return dict(mutants.try_all(TODAY))


@pytest.mark.parametrize("number", range(1, COUNT + 1), ids=[mutation["about"].replace(" ", "-") for mutation in TODAY])
def test_mutation_is_noticed(entries, number):
    assert entries[number]["caught"], mutants.verdict(entries[number])
