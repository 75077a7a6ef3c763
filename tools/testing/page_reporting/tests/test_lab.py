# SPDX-License-Identifier: GPL-2.0
"""The parts of the lab that need no guest: input, reports, curves, displays, files, and how programs fail."""

import contextlib
import errno
import io
import json
import os
import re
import signal
import socket
import subprocess
import threading

import pytest
import rich.console

from conftest import LAB, environment
from lab import (bench, chart, console, demo, display, errors, examples, fall, files, inputs, kunit, mutants, overlay,
                 paths, qemu, qmp, selftests, tap, top)
from lab.errors import BadInput, LabError
from lab.pacing import traces
from lab.process import Event, Sample

HOST_MIB = 20000


# Input

def test_good_input():
    for words, expected in ((("", "", "", ""), (4096, 3072, None, None)),
                            (("1536M", "", "", ""), (1536, 1024, None, None)),
                            (("4g", "1536m", "0", "0"), (4096, 1536, 0, 0)),
                            (("16G", "15G", "10", "3600000"), (16384, 15360, 10, 3600000)),
                            (("4G", "", "", "-1"), (4096, 3072, None, -1))):
        wanted = inputs.check_guest(*words, HOST_MIB)
        assert (wanted.mem_mib, wanted.free_mib, wanted.order, wanted.delay_ms) == expected


BAD_INPUT = {
    ("abc", "", "", ""): "MEM=abc: not a size; give a whole number of M or G, such as 4G or 1536M",
    ("4", "", "", ""): "MEM=4: not a size", ("-4G", "", "", ""): "MEM=-4G: not a size",
    ("1.5G", "", "", ""): "MEM=1.5G: not a size", ("0G", "", "", ""): "MEM=0G: not a size",
    ("1535M", "", "", ""): "MEM=1535M: too small for a demo; give at least MEM=1536M",
    ("20G", "", "", ""): "MEM=20G: the host has only 20000M available; give at most MEM=20000M",
    ("4G", "5G", "", ""): "FREE=5G: a guest of MEM=4G needs 512M for itself; give at most FREE=3584M",
    ("16G", "15872M", "", ""): "a guest of MEM=16G needs 1024M for itself; give at most FREE=15G",
    ("", "all", "", ""): "FREE=all: not a size", ("", "1023M", "", ""): "FREE=1023M: too little to see; give at least",
    ("", "", "11", ""): "ORDER=11: give a whole number from 0 to 10", ("", "", "-1", ""): "ORDER=-1: give",
    ("", "", "x", ""): "ORDER=x: give", ("", "", "", "2s"): "DELAY=2s: give a whole number from -1 to 3600000 (millis",
    ("", "", "", "-2"): "DELAY=-2: give", ("", "", "", "-0"): "DELAY=-0: give",
    ("", "", "", "3600001"): "DELAY=3600001: give", ("", "", "", "99999999999"): "DELAY=99999999999: give",
}


def test_bad_input():
    for words, message in BAD_INPUT.items():
        with pytest.raises(BadInput, match="^[^\n]+$") as error:
            inputs.check_guest(*words, HOST_MIB)
        assert message in str(error.value)


BAD_COMMANDS = (
    (["demo", "--check-only"], {"MEM": "100T"}, "MEM=100T: the host has only"),
    (["demo", "--check-only"], {"ACCEL": "foo"}, "ACCEL=foo: give tcg or kvm"),
    (["top", "--check-only"], {"TOP_S": "0"}, "TOP_S=0: give a whole number from 1 to 86400 s"),
    (["bench", "--check-only"], {"REPEAT": "0"}, "REPEAT=0: give a whole number"),
    (["deb", "--check-only", "--package", "/nowhere.deb"], {}, "--package /nowhere.deb: no such file"),
    (["run", "--mem", "1"], {}, "--mem=1: not a size"), (["run", "--smp", "0"], {}, "--smp=0: give"),
    (["run", "--", "hog", "+"], {}, "program: each + stands between"),
    (["pacing", "replay", "nosuch"], {}, "nosuch: no such file and no such trace"),
    (["pacing", "replay", __file__], {}, f"{__file__}: not lines of ms,pages"),
    (["pacing", "import", "/dev/null", "/dev/null"], {}, "/dev/null: not a run of the bench"),
    (["mutants", "X1"], {}, "X1: no such row; there is"),
    (["mutants"], {"JOBS": "0"}, "JOBS=0: give a whole number from 1 to"),
)


def test_bad_input_is_one_line_and_starts_nothing(tmp_path):
    """A check of the input comes before Debian's modules are installed."""
    for words, variables, reason in BAD_COMMANDS:
        plain = ["-S"] if "--check-only" in words else []
        run = subprocess.run([LAB[0], *plain, *LAB[1:], *words], env=environment(**variables), cwd=tmp_path, text=True,
                             capture_output=True, timeout=60)
        assert run.returncode == 2 and run.stderr.startswith(f"{words[0]}: {reason}"), run.stderr
        assert len(run.stderr.splitlines()) == 1 and not list(tmp_path.iterdir())


def test_good_input_is_silent():
    run = subprocess.run([LAB[0], "-S", *LAB[1:], "demo", "--check-only"], env=environment(MEM="2G"), text=True,
                         capture_output=True, timeout=60)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


# Files

def test_failed_write_leaves_what_was_there(tmp_path):
    (tmp_path / "x.json").write_text("before")
    with pytest.raises(ValueError):
        files.write_json(tmp_path / "x.json", {"t50_s": float("nan")})
    with pytest.raises(OSError), files.replacing(tmp_path / "x.json") as temporary:
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, "No space left", "x.json")
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"] and (tmp_path / "x.json").read_text() == "before"
    assert files.read_json(tmp_path / "x.json") is None and files.read_json(tmp_path / "nosuch") is None


def test_program_says_what_went_wrong(monkeypatch, capsys):
    monkeypatch.setattr(errors, "take_signals", lambda: None)
    for error, status, said in (
            (LabError("a step", "a cause", "a remedy"), 1, "x: a step: a cause\n  remedy: a remedy\n"),
            (BadInput("X=1: wrong"), 2, "x: X=1: wrong\n"),
            (KeyboardInterrupt(), 130, "x: interrupted; the next run goes on"),
            (OSError(errno.ENOSPC, "No space left", "file"), 1, "x: disk full: no space left while writing file\n  r"),
            (OSError(errno.EACCES, "Permission denied", "file"), 1, "x: file: Permission denied\n")):
        def main(error=error):
            raise error
        with pytest.raises(SystemExit) as left:
            errors.run_main("x", main)
        assert left.value.code == status and capsys.readouterr().err.startswith(said)


def test_interrupt_reaches_a_program_in_the_background():
    """For what is started by "make test &" or by cron, the shell has SIGINT ignored."""
    program = "import time\nfrom lab import errors\nerrors.run_main('x', lambda: print('on', flush=True) or time.sleep(60))"
    with subprocess.Popen(["sh", "-c", 'trap "" INT; exec "$@"', "sh", "/usr/bin/python3", "-c", program],
                          cwd=paths.LAB, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdout.readline() == "on\n"
        run.send_signal(signal.SIGINT)
        assert run.wait(timeout=20) == 130 and run.stderr.read().startswith("x: interrupted")


# Reports

def test_tap():
    cases = tap.parse(["TAP version 13", "1..3", "ok 1 a", "not ok 2 - b", "ok 3 c # SKIP why", "# Totals: pass:1"])
    assert [(case.ok, case.name, case.skip) for case in cases] == \
        [(True, "a", None), (False, "b", None), (True, "c", "why")]
    for lines, said in ((["TAP version 14", "1..2", "ok 1 - x"], "1 results"), (["ok 1 - x"], r"plans \[\]")):
        with pytest.raises(LabError, match=said):
            tap.parse(lines)
    assert selftests.report(4, ["TAP version 13", "1..0 # SKIP not root"]).skipped == "not root"


def test_ktap():
    """A case with parameters has a result of its own, and the console has times and other lines."""
    lines = ["[    0.1] KTAP version 1", "[    0.1] 1..1", "    # Subtest: s", "    1..4", "    ok 1 good",
             "[    0.2]     not ok 2 bad", "    ok 3 left # SKIP why", "        # Subtest: many", "        ok 1 one",
             "        not ok 2 two", "    not ok 4 many", "[    0.3] it is not ok 7 thing but", "not ok 1 s\r"]
    wanted = {"good": "PASS", "bad": "FAIL", "left": "SKIP", "many": "FAIL", "lost": None}
    found = tap.statuses(lines)
    assert {case: found.get(case) for case in wanted} == wanted
    assert kunit.not_passed(lines, list(wanted)) == ["bad", "many", "lost"]
    assert tap.statuses([*lines, "    ok 5 bad"])["bad"] == "FAIL"
    for nothing in ([], ["[    0.1] 1..0", "a line that ends in 1..2."]):
        with pytest.raises(LabError, match="no plan .*no suite has run"):
            tap.statuses(nothing)


# One line for each way in which a pattern may match; taken from real kernels.
COMPLAINTS = [
    "[    0.915810] Kernel panic - not syncing: sysrq triggered crash",
    "BUG: KASAN: slab-use-after-free in page_reporting_process+0x12/0x80",
    "BUG: KCSAN: data-race in page_reporting_notify / page_reporting_process",
    "UBSAN: shift-out-of-bounds in mm/page_reporting.c:12:34",
    "kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
    "pagealloc: memory corruption",
    "pagealloc: single bit error",
    "list_add corruption. prev->next should be next (ffff8880), but was dead000000000100.",
    "list_del corruption, ffff888->next is LIST_POISON1 (dead000000000100)",
    "[   10.2] WARNING: possible circular locking dependency detected",
    "WARNING: possible recursive locking detected",
    "WARNING: inconsistent lock state",
    "DEBUG_LOCKS_WARN_ON(lock->magic != lock)",
    "WARNING: suspicious RCU usage",
    "rcu: INFO: rcu_sched self-detected stall on CPU",
    "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
    "INFO: rcu_sched self-detected stall on CPU { 0}",
    "rcu_sched detected stalls on CPUs/tasks",
    "rcu: rcu_sched kthread starved for 2500 jiffies! g1 f0x0 RCU_GP_WAIT_FQS(5)",
    "watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [kworker/0:1:7]",
    "BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 30s!",
    "INFO: task kworker/0:1:7 blocked for more than 120 seconds.",
    "Oops: 0002 [#1] PREEMPT SMP NOPTI",
    "Oops: general protection fault, probably for non-canonical address 0xdead: 0000 [#1]",
    "general protection fault, maybe for address 0x0: 0000 [#1]",
    "kernel BUG at mm/page_alloc.c:641!",
    "BUG: unable to handle page fault for address: ffff8880",
    "BUG kmalloc-64 (Not tainted): Redzone overwritten",
    "WARNING: CPU: 0 PID: 7 at mm/page_reporting.c:12 page_reporting_drain+0x10/0x20",
    "hog invoked oom-killer: gfp_mask=0x140dca(GFP_HIGHUSER_MOVABLE), order=0, oom_score_adj=0",
    "Call Trace:",
]

HARMLESS = [
    "rcu: INFO: everything is fine",
    "[    0.1] Kernel command line: console=ttyS0 -- file write /dev/kmsg UBSAN:x",
    "[    0.0] Command line: console=ttyS0 -- file write /dev/kmsg UBSAN:x",
    "Unknown kernel command line parameters \"x=UBSAN:\", will be passed to user space.",
    "Spectre V2 : WARNING: Unprivileged eBPF is enabled with eIBRS on",
    "ODEBUG: 0 of 0 active objects replaced",
    "kmemleak: Kernel memory leak detector initialized",
    "kasan: KernelAddressSanitizer initialized",
    "DEBUG: a line that only looks like a complaint",
    "    ok 7 page_reporting_warns_of_nothing",
    "# Subtest: page_reporting_BUGs",
]


def test_complaints_of_a_console():
    assert [line for line in COMPLAINTS if not console.complaint(line)] == []
    assert [line for line in HARMLESS if console.complaint(line)] == []
    # Without its pattern, some example of each would not be seen, or would be given another reason.
    assert [pattern.pattern for pattern, reason in console.DIRTY if not any(
        pattern.search(line) and console.complaint(line) == reason for line in COMPLAINTS)] == []


OOM = ["[  5.1] hog invoked oom-killer: gfp_mask=0x140dca, order=0", "[  5.1] CPU: 0", "[  5.1] Call Trace:"]
RACE = ["=" * 66, "BUG: KCSAN: data-race in a / b", "read to 0x1 by task 7:", " page_reporting_work+0x1/0x2", "=" * 66]


def complaints(judge, lines):
    return [reason for reason in map(judge.complaint, lines) if reason]


def test_allowed_complaint_passes_once():
    """Its stack dump passes with it; a second one does not, and neither does a dump of its own."""
    judge = console.Judge(allow=["oom-killer"])
    assert complaints(judge, OOM) == [] and judge.allowed == OOM[:1]
    assert len(complaints(judge, OOM)) == 2
    assert complaints(console.Judge(allow=["oom-killer"]), OOM[1:]) == ["a stack dump"]


def test_warning_of_the_stock_kernel_does_not_end_the_bench():
    """It comes in few runs, at power off, if at all; nothing else passes with it."""
    warning = ["[ 37.3] WARNING: CPU: 1 PID: 22 at virtio_balloon.c:218 virtballoon_free_page_report+0xe1/0xf0", OOM[2]]
    judge = console.Judge(tolerate=bench.STOCK_WARNS)
    assert complaints(judge, warning + warning) == [] and judge.allowed == []
    assert complaints(judge, OOM) == ["the guest ran out of memory", "a stack dump"]
    assert complaints(console.Judge(), warning) == ["a WARN()", "a stack dump"]


def test_races_of_others_are_left_out():
    ours, theirs = console.Judge(races="page_reporting"), console.Judge(races="no_such_function")
    assert complaints(ours, RACE) == ["KCSAN found a data race"]
    assert complaints(theirs, RACE + OOM[:1]) == ["the guest ran out of memory"]
    assert complaints(console.Judge(), RACE) == ["KCSAN found a data race"]


# Curves and pictures

STEPS = [(0, 1000)] + [(0.1 * i, 1000 - 100 * (i // 10)) for i in range(1, 101)] + \
        [(10 + 0.1 * i, 0) for i in range(1, 21)]


def test_fall():
    """1000 MiB that leave in ten steps, one a second: of all that was freed, or of half of it."""
    whole, half = fall.measure(STEPS, 1000), fall.measure(STEPS, 2000)
    assert (whole.start_mib, whole.end_mib, whole.returned_mib, whole.returned_pct) == (1000, 0, 1000, 100)
    assert {share: round(t, 3) for share, t in whole.times_s.items()} == {50: 5, 90: 9, 99: 10}
    assert half.returned_pct == 50 and half.times_s == whole.times_s
    odd = [(0, 1000), (1, 100)] + [(1 + 0.1 * i, 100) for i in range(1, 20)] + [(3, 900)]
    assert fall.measure(odd, 900).end_mib == 100, "the median of the last second"
    for end_mib, pct in ((1000, 0), (1100, 0), (960, 4)):
        nothing = fall.measure([(0, 1000), (5, end_mib), (6, end_mib)], 1000)
        assert nothing.returned_pct == pct and nothing.times_s == {50: None, 90: None, 99: None}


def test_settling():
    settling = fall.Settling(quiet_s=5)
    seen = [(0, 1000), (4, 500), (8.9, 495), (9, 495), (10, 480), (14.9, 600), (15, 600)]
    # A fall by less than 8 MiB is quiet.
    assert [settling.settled(*point) for point in seen] == [False, False, False, True, False, False, True]


def test_verdict_of_the_demo():
    for on, off, expected in ((95.0, 4.9, "None"), (94.9, 0.0, "reporting on: only 94.9 %"),
                              (99.0, 5.0, "reporting off: 5.0 % came back")):
        assert str(demo.verdict({"returned_pct": on, "off_returned_pct": off})).startswith(expected)


def test_demo_without_room(monkeypatch, tmp_path):
    """What an earlier run left stays as it was."""
    run = demo.Run([(0.0, 1000.0), (1.0, 0.0), (3.0, 0.0)], 1024, "6.12", "tcg")
    summary = {"mem_mib": 2048, "kernel": "6.12", "qemu": "QEMU"}
    demo.write_results(tmp_path, run, run, summary)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert sorted(before) == ["rss.csv", "rss.png", "summary.json"]

    def full(figure, path):
        path.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device", str(path))
    monkeypatch.setattr(chart, "save", full)
    with pytest.raises(OSError):
        demo.write_results(tmp_path, run, run, summary | {"mem_mib": 4096})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def vmstat(t_ms, page_kib=4, **counters):
    """An event as guest/top.c sends it."""
    names = ("nr_free_pages", "nr_free_reported", "pgreport", "pgreport_refault", "pgreport_fail",
             "page_reporting_pass", "page_reporting_call", "page_reporting_skip")
    fields = dict.fromkeys(names, 0) | counters | {"t_ms": t_ms, "page_kib": page_kib}
    return Event("vmstat", t_ms / 1000, Sample(0, 300.5, 0, 0), {key: str(value) for key, value in fields.items()})


def test_readings_of_a_guest():
    """In MiB, with the guest's size of a page; refaults by the guest's clock."""
    reading = top.Reading(vmstat(2500, nr_free_pages=512, nr_free_reported=256, pgreport=1024, pgreport_fail=128))
    assert (reading.free_mib, reading.reported_mib, reading.guest_s, reading.resident_mib) == (2, 1, 2.5, 300.5)
    assert reading.totals[0] == "reported 4 MiB in 0 calls, failed 0 MiB"
    assert top.Reading(vmstat(0, 64, nr_free_pages=16)).free_mib == 1
    before = top.Reading(vmstat(1000))
    for t_ms, pages, rate in ((2000, 256, 1), (3000, 256, 0.5), (1000, 256, 0), (2000, 0, 0)):
        after = top.Reading(vmstat(t_ms, pgreport_refault=pages))
        assert after.refault_rate(before) == rate and after.refault_rate(None) == 0


def test_picture_fits_and_shows_values_bars_and_curves():
    reading = top.Reading(vmstat(1000, nr_free_pages=524288, nr_free_reported=262144))
    for width in (40, 60, 80, 200):
        screen = rich.console.Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
        with display.Rows(screen, 0) as rows:
            view = top.View(rows, "Guest of 4G", 4096)
            for _ in range(2):
                screen.file.truncate(0)
                screen.file.seek(0)
                view.show(reading, 512, 61)
            lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "", screen.file.getvalue()).split("\n")
        assert max(map(len, lines)) <= width and lines[0].startswith("Guest of 4G, 1:01")
        assert [line[:13].rstrip() for line in lines[1:5]] == ["free", "- reported", "refaulted", "host resident"]
        assert "2048 MiB" in lines[1] and "1024 MiB" in lines[2] and "512 MiB/s" in lines[3] and "300 MiB" in lines[4]
        assert lines[1].count("━") > lines[2].count("━") > 0
        assert ("▄▄" in lines[1]) == (width >= display.CURVE_MIN_WIDTH)


def test_lines_where_nobody_watches(capsys):
    """The first of each row, and then one a period."""
    with display.Rows(rich.console.Console(file=io.StringIO()), 60) as rows:
        for name, plain in (("on", "one"), ("on", "two"), ("off", "three"), ("off", "four")):
            rows.show({name: display.Row(1, 2)}, plain)
    with display.Progress("build", 2) as progress:
        progress.advance(3)
    assert capsys.readouterr().out == "one\nthree\nbuild ...\n" and (progress.done, progress.total) == (3, 3)


# The host, QEMU and its monitor

def test_choice_of_accelerator(monkeypatch):
    for choice, virtualizes, kvm_error, expected in (
            ("", True, None, ["kvm", "tcg"]), ("", False, None, ["tcg"]), ("", True, "No such file", ["tcg"]),
            ("tcg", True, None, ["tcg"]), ("kvm", False, None, ["kvm"]),
            ("foo", True, None, "ACCEL=foo: give tcg or kvm"), ("kvm", True, "No such file", "/dev/kvm: No such file")):
        monkeypatch.setenv("ACCEL", choice)
        monkeypatch.setattr(qemu, "cpu_virtualizes", lambda value=virtualizes: value)
        monkeypatch.setattr(qemu, "kvm_error", lambda value=kvm_error: value)
        if isinstance(expected, str):
            with pytest.raises(BadInput, match=expected):
                qemu.choose_accel()
        else:
            assert qemu.choose_accel() == qemu.choose_accel(choice) == expected


def test_guest_goes_on_once_its_migration_is_finalized(monkeypatch):
    """QEMU says "completed" before it has left this state, and refuses to go on in it."""
    states, calls = ["finish-migrate", "finish-migrate", "postmigrate"], []

    class Fake:
        @staticmethod
        def execute(command):
            calls.append(command)
            return {"status": states.pop(0)} if command == "query-status" else {}
    monkeypatch.setattr(qmp.time, "sleep", lambda _: None)
    qmp.cont(Fake)
    assert calls == ["query-status"] * 3 + ["cont"] and not states


def test_monitor(tmp_path):
    """A QEMU of words alone, which sends a line at once and one for each request; events are left out."""
    def answer(server, lines):
        connection, _ = server.accept()
        with connection, connection.makefile("rb") as requests:
            for line in ['{"QMP": {}}', *lines]:
                connection.sendall(line.encode() + b"\n")
                if '"event"' not in line:
                    asked.append(requests.readline())

    asked, greeted = [], '{"return": {}}'
    for lines, said in (([greeted, '{"event": "STOP"}', '{"return": {"a": 1}}'], None),
                        ([greeted, '{"error": {"desc": "The command has not been found"}}'], "x: The command has not"),
                        ([greeted, "no json"], "QMP x: QEMU sent no json"), ([greeted, "[1]"], r"QEMU sent \[1\]"),
                        ([greeted, '{"id": 1}'], "QMP x: {'id': 1}"), (["{}"], "QMP qmp_capabilities: {}")):
        (tmp_path / "qmp").unlink(missing_ok=True)
        with socket.create_server(str(tmp_path / "qmp"), family=socket.AF_UNIX) as server:
            thread = threading.Thread(target=answer, args=(server, lines))
            thread.start()
            with contextlib.nullcontext() if said is None else pytest.raises(LabError, match=said):
                with qmp.Monitor(tmp_path / "qmp") as monitor:
                    assert monitor.execute("x", wanted=2) == {"a": 1}
            thread.join(20)
    assert [json.loads(line) for line in asked[:2]] == [
        {"execute": "qmp_capabilities"}, {"execute": "x", "arguments": {"wanted": 2}}]
    with pytest.raises(LabError, match="QMP: connect to .*nosuch: No such file"), qmp.Monitor(tmp_path / "nosuch"):
        pass


# Mutations, examples, traces

def test_mutations_fit_the_code():
    """What `make mutants` breaks is there, once, and the case that is to notice exists."""
    mutations = mutants.select([])
    texts = mutants.originals(mutations)
    assert len(mutations) > 50
    for mutation in mutations:
        assert mutants.broken(mutation, texts) != texts
    mutation = {"about": "a thing is broken", "file": "mm/x.c", "old": "old", "new": ""}
    for count, text in ((0, "new"), (2, "old old")):
        with pytest.raises(LabError, match=f"\"a thing is broken\" fits {count} places of mm/x.c, not one"):
            mutants.broken(mutation, {"mm/x.c": text})


def test_overlay_changes_its_own_files_only(tmp_path):
    """A file that is written has a new time, one that is not keeps its own; another list begins anew."""
    tree, out = tmp_path / "tree", tmp_path / "out"
    for name in ("Makefile", "mm/a.c", "mm/b.c", "mm/tests/t.c", "include/linux/x.h", "fs/f.c"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(name)
    own = ["mm/a.c", "mm/tests/t.c"]
    overlay.lay(tree, own, out)
    copied = [path for path in (out / "tree").rglob("*") if not path.is_symlink() and path.is_file()]
    assert sorted(str(path.relative_to(out / "tree")) for path in copied) == own
    assert (out / "tree/mm/b.c").read_text() == "mm/b.c" and (out / "tree/fs").readlink() == tree / "fs"
    files.update(out / "tree/mm/a.c", "broken")
    (out / "object").touch()
    os.utime(out / "tree/mm/tests/t.c", (1, 1))
    overlay.lay(tree, own, out)
    assert (out / "tree/mm/a.c").read_text() == (tree / "mm/a.c").read_text() == "mm/a.c"
    assert (out / "tree/mm/tests/t.c").stat().st_mtime == 1 and (out / "object").exists()
    overlay.lay(tree, own[:1], out)
    assert (out / "tree/mm/tests").is_symlink() and not (out / "object").exists()


class Site(mutants.Site):
    """One without a tree."""

    def prepare(self):
        pass


def test_mutants_side_by_side():
    """As many at a time as there are sites: each of these waits for the other one."""
    barrier = threading.Barrier(2, timeout=20)
    tasks = [lambda site, number=number: (barrier.wait(), number)[1] for number in range(4)]
    assert sorted(mutants.in_parallel(tasks, [Site(0), Site(1)])) == [(number, number) for number in range(4)]


def test_mutant_that_does_not_build_is_missed(monkeypatch):
    """And the others are tried all the same."""
    mutation = {"row": "S1", "about": "x", "caught_by": "case", "file": "mm/x.c", "old": "a", "new": "b"}
    monkeypatch.setattr(Site, "put", lambda *_: None)
    monkeypatch.setattr(Site, "build", lambda site: site.run("build", ["sh", "-c", "echo x.c:1: error; exit 1"]))
    entry = Site(0).try_one(mutation, {"mm/x.c": "a"})
    assert not entry["caught"] and mutants.verdict(entry) == "S1 x: MISSED (build: x.c:1: error; 0 s)"


END_OF_SITES = """
import signal, sys, threading
import psutil
from lab import mutants
from lab.errors import LabError

class Site(mutants.Site):
    def prepare(self):
        pass

def wait(site, mine):
    mine.set()
    site.run("wait", ["sleep", "1000"])

def end(site):
    for event in started:
        assert event.wait(20)
    if sys.argv[1] == "LabError":
        raise LabError("a site failed")
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
started = [threading.Event(), threading.Event()]
tasks = [*(lambda site, mine=mine: wait(site, mine) for mine in started), end]
try:
    list(mutants.in_parallel(tasks, [Site(number) for number in range(3)]))
except (LabError, KeyboardInterrupt) as error:
    print(type(error).__name__, *(child.name() for child in psutil.Process().children(recursive=True)))
"""


@pytest.mark.parametrize("how", ("KeyboardInterrupt", "LabError"))
def test_mutants_leave_no_process(how):
    """Whatever ends one site ends what the others are at."""
    # A program of its own: Ctrl-C comes to the main thread, where a worker of xdist need not run its tests.
    run = subprocess.run(["/usr/bin/python3", "-c", END_OF_SITES, how], cwd=paths.LAB, text=True, timeout=60,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    assert (run.stdout, run.stderr) == (f"{how}\n", "")


DOCUMENT = """\
Title
=====

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

::

    # second 'command'

Three
=====

::

\t# third
"""


def test_examples_of_the_guide():
    assert examples.commands(DOCUMENT) == ["perf stat -a sleep 1", "second 'command'"]
    assert examples.commands("Title\n=====\n\n::\n\n\t# ls\n") == []
    programs = {command.split()[0] for command in examples.commands(paths.GUIDE.read_text(encoding="utf-8"))}
    assert programs == {"perf", "trace-cmd", "bpftrace"}


def test_script_of_examples(tmp_path):
    for commands, said in ((["echo 'one two' | tr o 0; echo three >&2"], "0ne tw0\nthree\n\n"),
                           (["false | echo x"], "# FAILED: status 1\nx\n\n"),
                           (["true"], "# FAILED: it says nothing\n\n")):
        (tmp_path / "script").write_text(examples.script([*commands, "echo good"]))
        run = subprocess.run(["bash", tmp_path / "script"], text=True, capture_output=True, timeout=20)
        assert run.stdout == f"# {commands[0]}\n{said}# echo good\ngood\n\n"
        assert run.returncode == ("FAILED" in said)


def test_a_trace_from_the_bench(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"points": [[-1, 10], [0, 11.5], [1, 300], [2.5, 12]]}))
    subprocess.run([*LAB, "pacing", "import", tmp_path / "run.json", tmp_path / "run.csv"], check=True, timeout=60)
    assert traces.load(tmp_path / "run.csv") == [(0, 2560), (2000, 76800), (3500, 3072)]
