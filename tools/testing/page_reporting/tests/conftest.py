# SPDX-License-Identifier: GPL-2.0
"""What the tests share, and the line that a test run ends with."""

import functools
import os
import signal
import threading
import time

import pytest

from lab import paths, programs
from lab.vm import VM

LAB = ["/usr/bin/python3", str(paths.LAB / "lab")]      # the lab's command line
# What a user may have set for other commands
VARIABLES = ("MEM", "FREE", "ORDER", "DELAY", "ACCEL", "TOP_S", "SCENARIO", "REPEAT", "JOBS")


def environment(**variables):
    """The environment with only these of the lab's variables."""
    return {key: value for key, value in os.environ.items() if key not in VARIABLES} | variables


def pytest_configure():
    """In the background of a shell, or under nohup, SIGINT comes ignored, for all that is started too."""
    # A worker of xdist is not in its main thread, and inherits what its parent has.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport():
    """In CI, a test that skips itself fails: scripts/setup has installed all that a test may want."""
    report = (yield).get_result()
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        report.outcome, report.longrepr = "failed", f"skipped, which is a failure in CI: {report.longrepr[2]}"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """What is no test of the product is one of the lab."""
    for item in items:
        if not item.get_closest_marker("product"):
            item.add_marker("lab")


def pytest_unconfigure(config):
    """End with "N passed, N failed"; an error while a test was set up counts as failed.

    scripts/test adds up the runs that it makes, from the file that PR_COUNTS names.
    """
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if not reporter or config.option.collectonly or hasattr(config, "workerinput"):
        return
    count = {key: len(reporter.stats.get(key, ())) for key in ("passed", "failed", "error", "skipped")}
    if counts := os.environ.get("PR_COUNTS"):
        with open(counts, "a", encoding="ascii") as file:
            print(count["passed"], count["failed"] + count["error"], count["skipped"], file=file)
    line = f"{count['passed']} passed, {count['failed'] + count['error']} failed"
    if count["skipped"]:
        line += f", {count['skipped']} skipped"
    reporter.write_line(line)


def wait_until(vm, condition, seconds):
    """Let a guest run until what the host sees is so, or the time is over: whether it is so."""
    deadline = time.monotonic() + seconds
    while not (so := condition()) and time.monotonic() < deadline:
        vm.sleep(0.1)
    return so


def stand_in(path, script, shell="/bin/sh"):
    """Write a program in place of another one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_text(f"#!{shell}\n{script}\n", encoding="utf-8")
    path.chmod(0o755)


@pytest.fixture
def boot():
    """A VM with the lab's kernel and programs, small unless the test says otherwise."""
    return functools.partial(VM, paths.kernel(), programs.initramfs(), mem_mib=1024)
