# SPDX-License-Identifier: GPL-2.0
"""The monitor: a short look at a guest, with a terminal and without."""

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import termios
import time

import psutil
import pytest

from conftest import LAB, environment
from lab import paths

SMALL = {"MEM": "1536M", "FREE": "1G", "DELAY": "100"}
LINE = re.compile(r"(\d+):(\d\d) free (\d+) MiB, reported (\d+) MiB, refaulted (\d+) MiB/s, resident (\d+) MiB")


@pytest.mark.product
def test_reported_memory_is_used_again_and_counted():
    """A line a second; memory is reported, used again, and gone from the host in between."""
    run = subprocess.run([*LAB, "top"], env=environment(TOP_S="14", **SMALL), text=True, capture_output=True,
                         timeout=200, stdin=subprocess.DEVNULL)
    assert (run.returncode, run.stderr) == (0, "")
    title, *lines, reports, uses = run.stdout.splitlines()
    assert title.startswith(f"Guest of 1536M, Linux {paths.BASE}") and "\x1b" not in run.stdout
    rows = [[int(word) for word in LINE.fullmatch(line).groups()] for line in lines]
    assert 10 <= len(rows) <= 16
    free, reported, refaulted, resident = zip(*[row[2:] for row in rows])
    assert all(part <= whole for part, whole in zip(reported, free))
    assert max(reported) > 900 and max(refaulted) > 0 and max(resident) - min(resident) > 50
    assert re.fullmatch(r"reported \d+ MiB in \d+ calls, failed 0 MiB", reports)
    assert re.fullmatch(r"refaulted \d+ MiB, \d+ passes, \d+ zones skipped", uses)


def read_until(run, terminal, word=None, seconds=90):
    """What the monitor writes until it wrote `word` or has ended."""
    seen, end = "", time.monotonic() + seconds
    while run.poll() is None and time.monotonic() < end and (word is None or word not in seen):
        if select.select([terminal], [], [], 0.2)[0]:
            with contextlib.suppress(OSError):      # the other end is closed
                seen += os.read(terminal, 65536).decode("utf-8", "replace")
    return seen


@pytest.mark.parametrize("how", ["q", "interrupt"])
def test_top_ends_and_leaves_nothing(how):
    """On a terminal of its own, once it shows numbers."""
    terminal, theirs = pty.openpty()
    run = subprocess.Popen([*LAB, "top"], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
                           env=environment(TERM="xterm", COLUMNS="100", LINES="30", **SMALL))
    os.close(theirs)
    try:
        assert "resident" in read_until(run, terminal, "resident")
        children = psutil.Process(run.pid).children()
        assert not termios.tcgetattr(terminal)[3] & termios.ICANON
        if how == "q":
            os.write(terminal, b"q")
        else:
            run.send_signal(signal.SIGINT)
        read_until(run, terminal)
        assert run.returncode == 0
        assert children and not psutil.wait_procs(children, timeout=10)[1]
        assert termios.tcgetattr(terminal)[3] & termios.ICANON
    finally:
        run.terminate()
        run.wait(20)
        os.close(terminal)


def test_guest_program_ends_with_its_companion(boot):
    with boot(mem_mib=512, steps=[["top", "every=100", "churn", "mem=16M", "pause=100", "count=5"]]) as vm:
        result = vm.finish()
    names = [event.name for event in result.events]
    assert names.count("cycle") == 5 and names.count("vmstat") >= 4 and names[-3] == "finished"
