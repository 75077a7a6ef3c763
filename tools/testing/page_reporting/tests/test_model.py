# SPDX-License-Identifier: GPL-2.0
"""The model of when a pass runs: it holds, each thing that it leaves out is missed, and it is of this code."""

import re

import pytest

from lab import model, paths

pytestmark = pytest.mark.product
MUTATIONS = model.mutations()
# Endless runs alone: that a block waits for ever is also found where nobody watches the states.
FORGOTTEN = model.Run(("SLEEP",), broken="WAKE_NOTIFIES", endless=True)


@pytest.fixture(scope="module")
def found():
    """{run: its fault} of all."""
    return model.faults([*model.RUNS, *map(model.run_of, MUTATIONS), FORGOTTEN])


@pytest.mark.parametrize("run", model.RUNS, ids=lambda run: run.name)
def test_protocol(found, run):
    """No deadlock, no report after unregistration, none that is forgotten, no flush that waits for a delay."""
    assert found[run] == ""


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation["name"].lower())
def test_each_barrier_and_second_look_is_needed(found, mutation):
    fault = found[model.run_of(mutation)]
    assert isinstance(fault, str) and fault.startswith(("assertion violated", "invalid end state")), fault


def test_block_that_waits_for_ever_is_found(found):
    assert found[FORGOTTEN].startswith("acceptance cycle")


def test_model_is_of_this_code():
    """What it leaves out is in the table; the table's code and the functions that it names are the engine's."""
    text = model.MODEL.read_text(encoding="utf-8")
    assert sorted(mutation["name"] for mutation in MUTATIONS) == sorted(set(re.findall(r"BREAK_([A-Z_]+)", text)))
    engine = {path.name: path.read_text(encoding="utf-8") for path in (paths.REPO / "mm").glob("page_reporting*.[ch]")}
    for mutation in MUTATIONS:
        assert engine[mutation["file"].removeprefix("mm/")].count(mutation["code"]) == 1, mutation["name"]
    named = set(re.findall(r"\b(_*page_reporting_\w+)\(\)", text))
    defined = set(re.findall(r"^(?:\w[\w *]*?[ *])?(\w+)\((?!.*;$)", "\n".join(engine.values()), re.M))
    assert len(named) > 25 and named <= defined, named - defined
