# SPDX-License-Identifier: GPL-2.0
"""The tracing examples of the guide: how they are found and run, without a guest."""

import subprocess

import pytest

from conftest import LAB
from lab import examples, paths
from lab.errors import BadInput

GUIDE = paths.REPO / "Documentation/admin-guide/mm/free_page_reporting.rst"

DOCUMENT = """\
Title
=====

One
===

Text::

\t# ls -l
\ttotal 0

Tracepoints
===========

Text # with a hash::

    # perf stat -a \\
          sleep 1
    some output
    # of a command
    #
    # 3

::

    # second 'command'

Three
=====

::

\t# third
"""


def test_commands_of_one_section():
    text = examples.section(DOCUMENT, "Tracepoints")
    assert examples.commands(text) == ["perf stat -a sleep 1", "second 'command'"]
    assert examples.commands(examples.section(DOCUMENT, "Three")) == ["third"]


def test_section_that_is_not_there():
    with pytest.raises(BadInput, match="Four: the document has no such section"):
        examples.section(DOCUMENT, "Four")


def test_script_tells_outputs_and_statuses_apart(tmp_path):
    commands = ["echo 'one two' | tr o 0; echo three >&2", "false | true", "exit 3"]
    (tmp_path / "script").write_text(examples.script(commands))
    run = subprocess.run(["bash", tmp_path / "script"], text=True, capture_output=True, timeout=20)
    assert run.stderr == ""
    ran = examples.outputs(commands, run.stdout.splitlines())
    assert [(each.output, each.status) for each in ran] == [(["0ne tw0", "three"], 0), ([], 1), ([], 3)]
    assert [each.command for each in ran] == commands


def test_script_that_was_cut_short():
    with pytest.raises(BadInput, match="only 1 of 2 commands"):
        examples.outputs(["a", "b"], ["@begin 0", "x", "@end 0 0", "@begin 1"])


def test_update_puts_the_output_below_the_command():
    ran = [examples.Ran("perf stat -a sleep 1", ["", "one", "", "  # two", ""], 0), examples.Ran("third", ["3"], 0)]
    text = examples.update(DOCUMENT, ran)
    assert "    # perf stat -a \\\n          sleep 1\n    one\n\n      # two\n\n::\n\n    # second" in text
    assert text.endswith("\t# third\n\t3\n") and "\t# ls -l\n\ttotal 0\n\nTracepoints" in text
    assert examples.update(text, ran) == text


def test_guide_has_examples_for_each_tool():
    commands = examples.commands(examples.section(GUIDE.read_text(encoding="utf-8"), "Tracepoints"))
    for tool in ("perf", "trace-cmd", "bpftrace"):
        assert [command for command in commands if command.startswith(f"{tool} ")], tool


def test_kernel_that_was_not_built():
    run = subprocess.run([LAB / "trace-examples", "--kernel", "/nosuch"], text=True, capture_output=True, timeout=60)
    assert run.returncode == 2 and "/nosuch does not exist" in run.stderr or "not installed" in run.stderr
