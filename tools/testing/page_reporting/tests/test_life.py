# SPDX-License-Identifier: GPL-2.0
"""The life of a guest on its host: stopped, ballooned, saved and loaded, moved to a file and back.

A program in the guest keeps memory with a pattern. After each case, not one byte differs, what was
reported is accounted for, and the console is clean.
"""

import os
import signal
import time

import pytest

from lab import paths, programs, qmp
from lab.vm import VM

pytestmark = pytest.mark.product

MEM_MIB, KEPT_MIB, SPARE_MIB = 1024, 256, 512
# At rest: the pattern, the kernel and QEMU. What is reported beyond that has gone.
LEFT_MIB = KEPT_MIB + 250
# Nothing is reported by itself within an hour.
NO_PASS = "page_reporting.page_reporting_delay_ms=3600000"
PATTERN = [["pattern", f"mem={KEPT_MIB}", f"spare={SPARE_MIB}"]]


def guest(folder, **arguments):
    """A guest that is not started yet; its monitor is at folder/qmp."""
    more = arguments.pop("extra_args", ())
    return VM(paths.kernel(), programs.initramfs(), steps=PATTERN, run_deadline_s=300,
              **{"mem_mib": MEM_MIB, "extra_args": [*qmp.arguments(folder / "qmp"), *more], **arguments})


def settle(vm, left_mib=LEFT_MIB, seconds=20):
    """Wait until all that is free has gone: resident MiB then."""
    end = time.monotonic() + seconds
    while vm.samples[-1].rss_mib > left_mib and time.monotonic() < end:
        vm.sleep(0.2)
    vm.sleep(1)
    assert vm.samples[-1].rss_mib <= left_mib
    return vm.samples[-1].rss_mib


def say(vm, word, event):
    """Send a word to the program: what it answers, which has to be sound."""
    vm.send(word)
    answer = vm.wait_event(event)
    assert answer.number("wrong") == 0 and answer.number("imbalance") == 0, answer.fields
    return answer


def check(vm):
    return say(vm, "check", "checked")


def end(vm):
    vm.send("quit")
    vm.finish()


def run_job(monitor, command, name, **arguments):
    """A job of QEMU's: wait until it is done, and raise what went wrong."""
    monitor.execute(command, **{"job-id": name, **arguments})
    while True:
        job, = [job for job in monitor.execute("query-jobs") if job["id"] == name]
        if job["status"] == "concluded":
            break
        time.sleep(0.1)
    monitor.execute("job-dismiss", id=name)
    assert "error" not in job, job["error"]


# Stopped

def test_stopped_for_a_minute(tmp_path):
    """By QMP: the guest's clock stands still, and nothing is to be learned from it."""
    with guest(tmp_path) as vm:
        vm.wait_event("kept")
        settle(vm)
        before = check(vm)
        with qmp.Monitor(tmp_path / "qmp") as monitor:
            monitor.execute("stop")
            time.sleep(60)
            monitor.execute("cont")
        say(vm, "take", "taken")
        settle(vm)
        assert check(vm).number("reported") > 0.9 * before.number("reported")
        end(vm)


def test_process_stopped(tmp_path):
    """By SIGSTOP: the guest's clock goes on without it, while reports may be out."""
    with guest(tmp_path) as vm:
        vm.wait_event("kept")
        vm.send("take")
        for _ in range(5):
            os.kill(vm.pid, signal.SIGSTOP)
            time.sleep(2)
            os.kill(vm.pid, signal.SIGCONT)
            vm.sleep(0.5)
        vm.wait_event("taken")
        settle(vm)
        check(vm)
        end(vm)


# Ballooned

def test_balloon_goes_up_and_down(tmp_path):
    """Ten times by half of the guest: nobody has used that memory, and it comes back as before."""
    with guest(tmp_path) as vm, qmp.Monitor(tmp_path / "qmp") as monitor:
        vm.wait_event("kept")
        rest_mib, before = settle(vm), check(vm)
        moved_mib = 0
        for _ in range(10):
            for mib in (MEM_MIB // 2, MEM_MIB):
                monitor.execute("balloon", value=mib << 20)
                deadline = time.monotonic() + 30
                while monitor.execute("query-balloon")["actual"] != mib << 20:
                    assert time.monotonic() < deadline
                    vm.sleep(0.1)
            moved_mib += MEM_MIB // 2
        after_mib, after = settle(vm), check(vm)
        end(vm)
    assert after.number("refault") - before.number("refault") < 0.01 * moved_mib * 256
    assert after_mib < rest_mib + 20


# Saved and loaded

@pytest.fixture
def snapshots(tmp_path):
    """Arguments for a guest with a disk that takes snapshots, which QEMU makes."""
    def make(monitor):
        disk = {"filename": str(tmp_path / "disk")}
        for driver, node, options in (("file", "raw", disk), ("qcow2", "disk", {"file": "raw"})):
            run_job(monitor, "blockdev-create", f"make-{node}",
                    options={"driver": driver, "size": 16 << 20, **options})
            monitor.execute("blockdev-add", driver=driver, **{"node-name": node, **options})
    return make


def test_snapshot_is_loaded(tmp_path, snapshots):
    """QEMU writes zeroes to what it has backed since; this leaves with a flush of the word again."""
    with guest(tmp_path, cmdline=[NO_PASS]) as vm, qmp.Monitor(tmp_path / "qmp") as monitor:
        vm.wait_event("kept")
        snapshots(monitor)
        say(vm, "again", "flushed")
        rest_mib = settle(vm)
        run_job(monitor, "snapshot-save", "save", tag="rest", vmstate="disk", devices=["disk"])
        say(vm, "take", "taken")
        run_job(monitor, "snapshot-load", "load", tag="rest", vmstate="disk", devices=["disk"])
        monitor.execute("cont")
        vm.sleep(2)
        loaded_mib = vm.samples[-1].rss_mib
        loaded = check(vm)
        say(vm, "again", "flushed")
        flushed_mib = settle(vm)
        print(f"resident: {loaded_mib:.0f} MiB after the load, {flushed_mib:.0f} MiB after the flush")
        check(vm)
        end(vm)
    assert loaded_mib > rest_mib + 0.8 * SPARE_MIB
    assert loaded.number("reported") > (MEM_MIB - LEFT_MIB) * 256 * 0.9, "the guest counts it as reported"


def test_migrated_to_a_file_and_back(tmp_path):
    """Another QEMU starts from the file."""
    image = tmp_path / "image"
    with guest(tmp_path) as vm, qmp.Monitor(tmp_path / "qmp") as monitor:
        vm.wait_event("kept")
        settle(vm)
        check(vm)
        # The guest runs meanwhile: what is stopped is stopped in the other QEMU, too.
        monitor.execute("migrate", uri=f"exec:cat >{image}")
        deadline = time.monotonic() + 120
        while (status := monitor.execute("query-migrate")["status"]) not in ("completed", "failed"):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert status == "completed"
    (tmp_path / "qmp").unlink(missing_ok=True)
    with guest(tmp_path, first="alive", extra_args=["-incoming", f"exec:cat {image}"]) as vm:
        vm.sleep(1)
        started_mib = vm.samples[-1].rss_mib
        check(vm)
        say(vm, "take", "taken")
        say(vm, "again", "flushed")
        flushed_mib = settle(vm)
        print(f"resident: {started_mib:.0f} MiB after the start, {flushed_mib:.0f} MiB after the flush")
        check(vm)
        end(vm)
    assert image.stat().st_size < LEFT_MIB << 20


# Small

@pytest.mark.parametrize("mem_mib, smp", [(1024, 1), (256, 2)])
def test_small_guest(tmp_path, mem_mib, smp):
    """One CPU, and a quarter of a GiB."""
    mem, spare = (KEPT_MIB, SPARE_MIB) if mem_mib == MEM_MIB else (32, 100)
    with VM(paths.kernel(), programs.initramfs(), steps=[["pattern", f"mem={mem}", f"spare={spare}"]], mem_mib=mem_mib,
            smp=smp, run_deadline_s=120) as vm:
        vm.wait_event("kept")
        settle(vm, mem + 150)
        check(vm)
        say(vm, "take", "taken")
        settle(vm, mem + 150)
        check(vm)
        end(vm)
