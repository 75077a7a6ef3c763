# SPDX-License-Identifier: GPL-2.0
"""The monitor: its arithmetic, its pictures, and a short look at a guest."""

import contextlib
import io
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
import rich.console

from conftest import LAB
from lab import demo_input, paths, top_view
from lab.errors import StepFailed
from lab.process import Event, Sample
from lab.vmstat import Reading

TOP = str(LAB / "top")
VARIABLES = ("MEM", "FREE", "ORDER", "DELAY", "ACCEL", "TOP_S")
SMALL = {"MEM": "1536M", "FREE": "1G", "DELAY": "100"}
LINE = re.compile(r"(\d+):(\d\d) free (\d+) MiB, reported (\d+) MiB, refaulted (\d+) MiB/s, resident (\d+) MiB")


def environment(**variables):
    return {key: value for key, value in os.environ.items() if key not in VARIABLES} | variables


def run_top(*arguments, interpreter=(), **variables):
    return subprocess.run([*interpreter, TOP, *arguments], env=environment(**variables), text=True,
                          capture_output=True, timeout=200, stdin=subprocess.DEVNULL)


def vmstat(t_ms, **counters):
    """An event as guest/top.c sends it."""
    names = ("nr_free_pages", "nr_free_reported", "pgreport", "pgreport_refault", "pgreport_fail",
             "page_reporting_pass", "page_reporting_call", "page_reporting_skip")
    fields = dict.fromkeys(names, "0") | {key: str(value) for key, value in counters.items()}
    return Event("vmstat", t_ms / 1000, Sample(0, 300.5, 0, 0), fields | {"t_ms": str(t_ms), "page_kib": "4"})


def test_reading_is_in_mib():
    reading = Reading.of(vmstat(2500, nr_free_pages=512, nr_free_reported=256, pgreport=1024,
                                pgreport_fail=128, page_reporting_pass=7))
    assert (reading.free_mib, reading.reported_mib, reading.sent_mib, reading.failed_mib) == (2, 1, 4, 0.5)
    assert (reading.guest_s, reading.passes, reading.resident_mib) == (2.5, 7, 300.5)


def test_reading_knows_the_size_of_a_page():
    event = vmstat(0, nr_free_pages=16)
    event.fields["page_kib"] = "64"
    assert Reading.of(event).free_mib == 1


@pytest.mark.parametrize("t_ms, pages, rate", [(2000, 256, 1), (3000, 256, 0.5), (1000, 256, 0), (2000, 0, 0)])
def test_refault_rate_is_by_the_guests_clock(t_ms, pages, rate):
    before, after = Reading.of(vmstat(1000)), Reading.of(vmstat(t_ms, pgreport_refault=pages))
    assert after.refault_rate(before) == rate
    assert after.refault_rate(None) == 0


def picture(width, *readings):
    """What the last of the readings looks like on a terminal."""
    console = rich.console.Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    with top_view.choose(console, "Guest of 4G", 4096) as view:
        for reading in readings:
            view.show(reading, 512, 61)
        console.file.truncate(0)
        console.file.seek(0)
        view.show(readings[-1], 512, 61)
    return [line.rstrip() for line in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "", console.file.getvalue()).split("\n")]


READING = Reading.of(vmstat(1000, nr_free_pages=524288, nr_free_reported=262144, pgreport=1 << 20))


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_picture_fits(width):
    lines = picture(width, READING)
    assert max(len(line) for line in lines) <= width
    assert [line[:13].rstrip() for line in lines[1:5]] == ["free", "- reported", "refaulted", "host resident"]


def test_picture_shows_values_bars_and_curves():
    lines = picture(100, *[READING] * 3)
    row = {re.match(r"\W*([a-z]+)", line)[1]: line for line in lines[1:5]}
    assert lines[0].startswith("Guest of 4G, 1:01")
    assert "2048 MiB" in row["free"] and "1024 MiB" in row["reported"] and "300 MiB" in row["host"]
    assert row["free"].count("━") == 19 and row["reported"].count("━") == 9
    assert row["free"].endswith("▄▄▄▄") and row["reported"].endswith("▂▂▂▂")


def test_picture_on_a_narrow_terminal_has_no_curves():
    assert all(line.endswith(("MiB", "MiB/s")) for line in picture(70, READING)[1:5])


def test_bad_input_is_one_line():
    for variables, reason in (({"TOP_S": "0"}, "TOP_S=0: give a whole number from 1 to 86400 s"),
                              ({"TOP_S": "1m"}, "TOP_S=1m: give"), ({"FREE": "9G"}, "FREE=9G: a guest of"),
                              ({"ORDER": "11"}, "ORDER=11: give"), ({"ACCEL": "x"}, "ACCEL=x: give")):
        run = run_top("--check-only", interpreter=("/usr/bin/python3", "-S"), **variables)
        assert run.returncode == 2
        assert run.stderr.startswith(f"top: {reason}") and len(run.stderr.splitlines()) == 1


def test_order_and_delay_go_to_the_boot_line():
    wanted = demo_input.check("4G", "", "3", "250", 20000)
    assert wanted.given == {"order": 3, "delay": 250}
    assert wanted.cmdline == ["page_reporting.page_reporting_order=3", "page_reporting.page_reporting_delay_ms=250"]
    assert demo_input.check("4G", "", "", "0", 20000).given == {"delay": 0}
    assert demo_input.check("4G", "", "", "", 20000).cmdline == []


def test_top_without_a_terminal():
    """A line a second; memory is reported, used again, and gone from the host in between."""
    run = run_top(TOP_S="14", **SMALL)
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


@pytest.fixture
def on_a_terminal():
    """The monitor on a terminal of its own, once it shows numbers: (Popen, the terminal's other end)."""
    ours, theirs = pty.openpty()
    run = subprocess.Popen([TOP], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
                           env=environment(TERM="xterm", COLUMNS="100", LINES="30", **SMALL))
    os.close(theirs)
    try:
        assert "resident" in read_until(run, ours, "resident")
        yield run, ours
    finally:
        run.terminate()
        run.wait(20)
        os.close(ours)


def read_until(run, terminal, word=None, seconds=90):
    """What the monitor writes until it wrote `word` or has ended."""
    seen, end = "", time.monotonic() + seconds
    while run.poll() is None and time.monotonic() < end and (word is None or word not in seen):
        if select.select([terminal], [], [], 0.2)[0]:
            with contextlib.suppress(OSError):      # the other end is closed
                seen += os.read(terminal, 65536).decode("utf-8", "replace")
    return seen


@pytest.mark.parametrize("how", ["q", "interrupt"])
def test_top_ends_and_leaves_nothing(on_a_terminal, how):
    run, terminal = on_a_terminal
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


def test_guest_program_ends_with_its_companion(boot):
    with boot(mem_mib=512, steps=[["top", "every=100", "churn", "mem=16M", "pause=100", "count=5"]]) as vm:
        result = vm.finish()
    names = [event.name for event in result.events]
    assert names.count("cycle") == 5 and names.count("vmstat") >= 4 and names[-3] == "finished"


@pytest.mark.parametrize("step, message", [
    (["top", "churn", "mem=16M"], "one of for=S and count=N are needed"),
    (["top", "every=x"], "argument 'every=x': give a whole decimal value"),
    (["top", "nosuch"], "run nosuch: No such file or directory")])
def test_guest_program_fails_with_a_reason(boot, step, message):
    with pytest.raises(StepFailed, match=message):
        with boot(mem_mib=512, steps=[step]) as vm:
            vm.finish()
