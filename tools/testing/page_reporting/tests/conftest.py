# SPDX-License-Identifier: GPL-2.0
"""What the tests share, and the line that a test run ends with."""

import functools
import importlib.machinery
import importlib.util
import os
import signal
import sys
from pathlib import Path

import pytest

from lab import paths, programs
from lab.vm import VM

LAB = Path(__file__).resolve().parents[1]


def pytest_configure():
    """In the background of a shell, or under nohup, SIGINT comes ignored, for all that is started too."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure(config):
    """End with "N passed, N failed"; an error while a test was set up counts as failed.

    scripts/test adds up the runs that it makes, from the file that PR_COUNTS names.
    """
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if not reporter or config.option.collectonly:
        return
    count = {key: len(reporter.stats.get(key, ())) for key in ("passed", "failed", "error", "skipped")}
    if counts := os.environ.get("PR_COUNTS"):
        with open(counts, "a", encoding="ascii") as file:
            print(count["passed"], count["failed"] + count["error"], count["skipped"], file=file)
    line = f"{count['passed']} passed, {count['failed'] + count['error']} failed"
    if count["skipped"]:
        line += f", {count['skipped']} skipped"
    reporter.write_line(line)


def load_program(name):
    """One of the lab's programs, whose file has no ending, as a new module."""
    loader = importlib.machinery.SourceFileLoader(name, str(LAB / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    sys.modules[name] = module      # where dataclasses look
    loader.exec_module(module)
    return module


@pytest.fixture
def boot():
    """A VM with the lab's kernel and programs, small unless the test says otherwise."""
    return functools.partial(VM, paths.kernel(), programs.initramfs(), mem_mib=1024)
