# SPDX-License-Identifier: GPL-2.0
"""The demo, small and from end to end, and how it fails."""

import csv
import json
import subprocess
import types

import pytest

from conftest import LAB, environment
from lab import demo, paths, qemu
from lab.errors import StepFailed


@pytest.fixture(scope="module")
def small_demo(tmp_path_factory):
    """One finished demo of 1280 MiB: (the process, its summary, its curves by run, its folder)."""
    out = tmp_path_factory.mktemp("demo")
    run = subprocess.run([*LAB, "demo", "--out", out], env=environment(MEM="2G", FREE="1280M"), text=True,
                         capture_output=True, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
    curves = {}
    with open(out / "rss.csv", encoding="ascii") as rows:
        for row in csv.DictReader(rows):
            curves.setdefault(row["run"], []).append((float(row["t_s"]), float(row["rss_mib"])))
    return run, json.loads((out / "summary.json").read_text(encoding="ascii")), curves, out


@pytest.mark.product
def test_memory_comes_back_and_only_with_reporting(small_demo):
    _, summary, curves, _ = small_demo
    assert summary["freed_mib"] == 1280 and summary["mem_mib"] == 2048
    assert summary["kernel"].startswith(paths.BASE) and summary["accel"] in ("tcg", "kvm")
    assert 95 <= summary["returned_pct"] <= 110 and summary["off_returned_pct"] < 5
    assert 0 < summary["t50_s"] <= summary["t90_s"] <= summary["t99_s"] < 60
    off = [mib for t, mib in curves["off"] if t >= 0]
    assert min(off) > max(off) - 0.05 * 1280


def test_demo_without_a_terminal_is_brief(small_demo):
    """No control characters, no flood of lines, and the verdict at the end."""
    lines = small_demo[0].stdout.splitlines()
    assert not any("\x1b" in line for line in lines) and 5 < len(lines) < 80 and lines[-1].startswith("OK: ")


def arguments(tmp_path, order=""):
    return types.SimpleNamespace(mem="1536M", free="", order=order, delay="", check_only=False, kernel=paths.kernel(),
                                 initrd=None, out=tmp_path / "out")


def test_demo_fails_when_nothing_comes_back(tmp_path, monkeypatch, capsys):
    real = demo.make_vm
    monkeypatch.delenv("ACCEL", raising=False)
    monkeypatch.setattr(demo, "make_vm", lambda args, wanted, balloon: real(args, wanted, "off"))
    monkeypatch.setattr(demo, "WINDOW_S", 3)
    assert demo.main(arguments(tmp_path)) == 1
    assert "FAILED: reporting on: only 0" in capsys.readouterr().out


def test_demo_fails_when_the_guest_does(tmp_path, monkeypatch):
    """Here, because the boot line does not carry the order that was asked for; nothing is written."""
    real = qemu.boot_line
    monkeypatch.setattr(qemu, "boot_line", lambda _cmdline, steps, arch: real([], steps, arch))
    with pytest.raises(StepFailed, match="reads 9, expected 3"):
        demo.main(arguments(tmp_path, order="3"))
    assert not list((tmp_path / "out").iterdir())
