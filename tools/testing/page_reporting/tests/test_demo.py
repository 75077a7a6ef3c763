# SPDX-License-Identifier: GPL-2.0
"""The demo: its input, its arithmetic, and a small one from end to end."""

import csv
import errno
import io
import json
import os
import subprocess
import sys

import psutil
import pytest
import rich.console

from conftest import LAB, load_program
from lab import demo_input, display, fall, paths, qemu, vm
from lab.errors import BadInput

DEMO = str(LAB / "demo")
HOST_MIB = 20000
VARIABLES = ("MEM", "FREE", "ORDER", "DELAY", "ACCEL")


def run_demo(*arguments, interpreter=(), **variables):
    """Run the demo with only these of its variables in the environment."""
    env = {key: value for key, value in os.environ.items() if key not in VARIABLES}
    return subprocess.run([*interpreter, DEMO, *arguments], env=env | variables, text=True,
                          capture_output=True, timeout=300)


@pytest.mark.parametrize("words, expected", [
    (("", "", "", ""), (4096, 3072, None, None)),
    (("2G", "", "", ""), (2048, 1536, None, None)),
    (("1536M", "", "", ""), (1536, 1024, None, None)),
    (("4g", "1536m", "0", "0"), (4096, 1536, 0, 0)),
    (("4G", "3584M", "10", "3600000"), (4096, 3584, 10, 3600000)),
    (("16G", "15G", "", "250"), (16384, 15360, None, 250)),
    (("4G", "", "", "-1"), (4096, 3072, None, -1)),
])
def test_good_input(words, expected):
    wanted = demo_input.check(*words, HOST_MIB)
    assert (wanted.mem_mib, wanted.free_mib, wanted.order, wanted.delay_ms) == expected


@pytest.mark.parametrize("words, message", [
    (("abc", "", "", ""), "MEM=abc: not a size; give a whole number of M or G, such as 4G or 1536M"),
    (("4", "", "", ""), "MEM=4: not a size"),
    (("-4G", "", "", ""), "MEM=-4G: not a size"),
    (("1.5G", "", "", ""), "MEM=1.5G: not a size"),
    (("0G", "", "", ""), "MEM=0G: not a size"),
    (("1535M", "", "", ""), "MEM=1535M: too small for a demo; give at least MEM=1536M"),
    (("20G", "", "", ""), "MEM=20G: the host has only 20000M available; give at most MEM=20000M"),
    (("4G", "5G", "", ""), "FREE=5G: a guest of MEM=4G needs 512M for itself; give at most FREE=3584M"),
    (("4G", "3585M", "", ""), "give at most FREE=3584M"),
    (("16G", "15.5G", "", ""), "FREE=15.5G: not a size"),
    (("16G", "15872M", "", ""), "a guest of MEM=16G needs 1024M for itself; give at most FREE=15G"),
    (("", "all", "", ""), "FREE=all: not a size"),
    (("", "1023M", "", ""), "FREE=1023M: too little to see; give at least FREE=1G"),
    (("", "", "11", ""), "ORDER=11: give a whole number from 0 to 10"),
    (("", "", "-1", ""), "ORDER=-1: give a whole number from 0 to 10"),
    (("", "", "x", ""), "ORDER=x: give a whole number from 0 to 10"),
    (("", "", "", "2s"), "DELAY=2s: give a whole number from -1 to 3600000 (milliseconds)"),
    (("", "", "", "-2"), "DELAY=-2: give a whole number from -1"),
    (("", "", "", "-0"), "DELAY=-0: give a whole number from -1"),
    (("", "", "", "3600001"), "DELAY=3600001: give a whole number from -1 to 3600000"),
    (("", "", "", "99999999999"), "DELAY=99999999999: give a whole number from -1 to 3600000"),
])
def test_bad_input(words, message):
    with pytest.raises(BadInput) as error:
        demo_input.check(*words, HOST_MIB)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("variables, reason", [
    ({"MEM": "abc"}, "MEM=abc: not a size"), ({"FREE": "9G"}, "FREE=9G: a guest of MEM=4G needs 512M"),
    ({"MEM": "100T"}, "MEM=100T: the host has only"), ({"ORDER": "11"}, "ORDER=11: give"),
    ({"DELAY": "x"}, "DELAY=x: give"), ({"ACCEL": "foo"}, "ACCEL=foo: give tcg or kvm"),
])
def test_bad_input_is_one_line(variables, reason):
    """Without any of Debian's modules: the check runs before they are installed."""
    run = run_demo("--check-only", interpreter=("/usr/bin/python3", "-S"), **variables)
    assert run.returncode == 2
    assert run.stderr.startswith(f"demo: {reason}") and len(run.stderr.splitlines()) == 1


def test_good_input_is_silent():
    run = run_demo("--check-only", interpreter=("/usr/bin/python3", "-S"), MEM="2G", FREE="")
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_available_memory_is_the_kernels():
    assert demo_input.available_mib() == pytest.approx(psutil.virtual_memory().available >> 20, rel=0.1)


STEPS = [(0, 1000)] + [(0.1 * i, 1000 - 100 * (i // 10)) for i in range(1, 101)] + \
        [(10 + 0.1 * i, 0) for i in range(1, 21)]


def test_fall_in_steps():
    """1000 MiB that leave in ten steps, one a second: the first at 1 s."""
    got = fall.measure(STEPS, 1000)
    assert (got.start_mib, got.end_mib, got.returned_mib, got.returned_pct) == (1000, 0, 1000, 100)
    assert {share: round(t, 3) for share, t in got.times_s.items()} == {50: 5, 90: 9, 99: 10}


def test_fall_is_timed_by_what_came_back():
    """Half of 2000 MiB came back: 50 % of that half is 500 MiB."""
    got = fall.measure(STEPS, 2000)
    assert got.returned_pct == 50
    assert round(got.times_s[50], 3) == 5


def test_fall_ends_at_the_median_of_the_last_second():
    points = [(0, 1000), (1, 100)] + [(1 + 0.1 * i, 100) for i in range(1, 20)] + [(3, 900)]
    assert fall.measure(points, 900).end_mib == 100


@pytest.mark.parametrize("end_mib, pct", [(1000, 0), (1100, 0), (960, 4)])
def test_fall_of_nothing_has_no_times(end_mib, pct):
    got = fall.measure([(0, 1000), (5, end_mib), (6, end_mib)], 1000)
    assert got.returned_pct == pct
    assert got.times_s == {50: None, 90: None, 99: None}


def test_settling():
    settling = fall.Settling(quiet_s=5)
    assert not settling.settled(0, 1000)
    assert not settling.settled(4, 500)
    assert not settling.settled(8.9, 495)       # a fall by less than 8 MiB is quiet
    assert settling.settled(9, 495)
    assert not settling.settled(10, 480)
    assert not settling.settled(14.9, 600)
    assert settling.settled(15, 600)


def test_sparkline():
    assert display.sparkline([0, 50, 100, 200], 100)[-4:] == " ▄██"
    assert len(display.sparkline(range(100), 100)) == len(display.sparkline([], 1))


@pytest.fixture(scope="module")
def small_demo(tmp_path_factory):
    """One finished demo of 1280 MiB: (the process, its folder)."""
    out = tmp_path_factory.mktemp("demo")
    return run_demo("--out", str(out), MEM="2G", FREE="1280M"), out


def read_curve(out, run):
    with open(out / "rss.csv", encoding="ascii") as rows:
        return [(float(row["t_s"]), float(row["rss_mib"])) for row in csv.DictReader(rows)
                if row["run"] == run]


def test_demo_succeeds(small_demo):
    run, out = small_demo
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.splitlines()[-1].startswith("OK: ")
    assert sorted(path.name for path in out.iterdir()) == ["rss.csv", "rss.png", "summary.json"]
    assert (out / "rss.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_demo_without_a_terminal_is_brief(small_demo):
    """No control characters, no flood of lines."""
    run, _ = small_demo
    assert "\x1b" not in run.stdout
    assert 5 < len(run.stdout.splitlines()) < 80


def test_demo_summary(small_demo):
    summary = json.loads((small_demo[1] / "summary.json").read_text(encoding="ascii"))
    assert summary["freed_mib"] == 1280 and summary["mem_mib"] == 2048
    assert summary["kernel"].startswith(paths.BASE) and summary["accel"] in ("tcg", "kvm")
    assert 95 <= summary["returned_pct"] <= 110
    assert summary["returned_pct"] == pytest.approx(100 * summary["returned_mib"] / 1280, abs=0.1)
    assert 0 < summary["t50_s"] <= summary["t90_s"] <= summary["t99_s"] < 60
    assert summary["off_returned_pct"] < 5


def test_demo_curve_agrees_with_its_summary(small_demo):
    _, out = small_demo
    summary = json.loads((out / "summary.json").read_text(encoding="ascii"))
    on = read_curve(out, "on")
    assert [t for t, _ in on] == sorted(t for t, _ in on) and on[0][0] < 0
    again = fall.measure([point for point in on if point[0] >= 0], 1280)
    assert again.returned_mib == pytest.approx(summary["returned_mib"], abs=0.2)
    assert again.times_s[90] == pytest.approx(summary["t90_s"], abs=0.11)
    off = [mib for t, mib in read_curve(out, "off") if t >= 0]
    assert min(off) > max(off) - 0.05 * 1280


@pytest.fixture
def demo(monkeypatch, tmp_path):
    """The demo as a module, whose main() writes to tmp_path and lets the test run's signals be."""
    module = load_program("demo")
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(vm, "exit_on_signals", lambda: None)
    monkeypatch.setattr(sys, "argv", ["demo", "--mem", "1536M", "--out", str(tmp_path / "out")])
    return module


def test_demo_fails_when_nothing_comes_back(demo, monkeypatch, capsys):
    real = demo.make_vm
    monkeypatch.setattr(demo, "make_vm", lambda args, wanted, balloon: real(args, wanted, "off"))
    monkeypatch.setattr(demo, "WINDOW_S", 3)
    assert demo.main() == 1
    assert "FAILED: reporting on: only 0" in capsys.readouterr().out


def test_demo_fails_when_the_guest_does(demo, monkeypatch, capsys, tmp_path):
    """Here, because the boot line does not carry the order that was asked for; nothing is written."""
    real = qemu.boot_line
    monkeypatch.setattr(qemu, "boot_line", lambda _cmdline, steps, arch: real([], steps, arch))
    monkeypatch.setattr(sys, "argv", sys.argv + ["--order", "3"])
    assert demo.main() == 1
    assert "reads 9, expected 3" in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())


def test_demo_without_room(demo, monkeypatch, capsys, tmp_path):
    """A full disk shows as an error of the first write; what was there before stays as it was."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "summary.json").write_text("before", encoding="ascii")
    run = demo.Run([(0.0, 1000.0), (1.0, 0.0), (3.0, 0.0)], 1024, "6.12", "tcg")

    def full(path, *_):
        path.write_text("half", encoding="ascii")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(demo, "run_both", lambda *_: (run, run))
    monkeypatch.setattr(demo, "write_csv", full)
    assert demo.main() == 1
    assert "No space left on device: nothing was written" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["summary.json"]
    assert (tmp_path / "out" / "summary.json").read_text(encoding="ascii") == "before"


def test_display_on_a_terminal():
    screen = io.StringIO()
    console = rich.console.Console(file=screen, force_terminal=True, width=120)
    with display.choose(console, 2048) as live:
        live.show("reporting on", 1024, "50 % back")
    assert "reporting on" in screen.getvalue() and "1024 MiB" in screen.getvalue()
    assert "50 % back" in screen.getvalue() and "▄" in screen.getvalue()


@pytest.mark.parametrize("on, off, expected", [
    (95.0, 4.9, None), (101.5, 0.0, None), (94.9, 0.0, "reporting on: only 94.9 %"),
    (99.0, 5.0, "reporting off: 5.0 % came back")])
def test_verdict(demo, on, off, expected):
    wrong = demo.verdict({"returned_pct": on, "off_returned_pct": off})
    assert wrong is None if expected is None else wrong.startswith(expected)


@pytest.mark.parametrize("delay_ms, expected", [(None, 40), (-1, 40), (0, 40), (2000, 40), (10000, 136)])
def test_window_grows_with_the_delay(demo, delay_ms, expected):
    assert demo.window_s(demo_input.DemoInput(4096, 3072, None, delay_ms)) == expected


def test_demo_without_kernel(tmp_path):
    run = run_demo("--kernel", "/nosuch", "--out", str(tmp_path), MEM="2G")
    assert run.returncode != 0
    assert run.stderr == "demo: start a guest: /nosuch does not exist: `make test` builds it\n"
    assert paths.shown("/nosuch") == "/nosuch" and paths.shown(paths.REPO / "build" / "x") == "build/x"
