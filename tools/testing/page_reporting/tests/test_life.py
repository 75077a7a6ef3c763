# SPDX-License-Identifier: GPL-2.0
"""The life of a guest on its host: stopped, ballooned, saved and loaded, moved to a file and back.

A program in the guest keeps memory with a pattern. After each case, not one byte differs, what was
reported is accounted for, and the console is clean.
"""

import contextlib
import hashlib
import mmap
import os
import shutil
import signal
import time

import psutil
import pytest

from conftest import wait_until
from lab import drivers, modules, paths, programs, qmp
from lab.errors import GuestDied
from lab.vm import VM
from test_hazards import disk

pytestmark = pytest.mark.product

MEM_MIB, KEPT_MIB, SPARE_MIB = 1024, 256, 512
# At rest: the pattern, the kernel and QEMU. What is reported beyond that has gone.
LEFT_MIB = KEPT_MIB + 250
# Nothing is reported by itself within an hour.
NO_PASS = "page_reporting.page_reporting_delay_ms=3600000"


def guest(folder, options=(), kernel=None, initrd=None, extra_args=(), **arguments):
    """A guest that is not started yet; its monitor is at folder/qmp.

    options: more of guest/pattern.c's
    """
    return VM(kernel or paths.kernel(), initrd or programs.initramfs(),
              steps=[["pattern", f"mem={KEPT_MIB}", f"spare={SPARE_MIB}", *options]],
              extra_args=[*qmp.arguments(folder / "qmp"), *extra_args],
              **{"mem_mib": MEM_MIB, "run_deadline_s": 300, **arguments})


def balloon_of(*options):
    """Arguments for a guest whose balloon has a name, and more than reporting."""
    device = ",".join(("virtio-balloon-pci,id=balloon,free-page-reporting=on", *options))
    return {"balloon": None, "extra_args": ["-device", device]}


@contextlib.contextmanager
def kept(folder, options=(), image=None, **arguments):
    """A guest that has its pattern, and its monitor; with an image, the one that goes on from there.

    In the end, the pattern is checked, and the guest powers off.
    """
    (folder / "qmp").unlink(missing_ok=True)
    if image:
        arguments |= {"first": "alive", "extra_args": [*arguments.get("extra_args", ()), "-incoming",
                                                       f"exec:cat {image}"]}
    with guest(folder, options, **arguments) as vm, qmp.Monitor(folder / "qmp") as monitor:
        if arguments.get("first", "boot") == "boot":
            vm.wait_event("kept")
        yield vm, monitor
        check(vm)
        vm.send("quit")
        vm.finish()


def until(vm, condition, seconds=30):
    """Let the guest run until what the host sees is so."""
    assert wait_until(vm, condition, seconds)


def settle(vm, left_mib=LEFT_MIB, seconds=20):
    """Wait until all that is free has gone: resident MiB then."""
    wait_until(vm, lambda: vm.samples[-1].rss_mib <= left_mib, seconds)
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


def alerts(before, after):
    """The conditions of the guide's alerts that hold: those on counters over this time, the others at its end.

    See Documentation/admin-guide/mm/free_page_reporting.rst. What it wants to hold for ten minutes may not hold at all.
    """
    def bytes_per_s(name):
        rise = after.number(name) - before.number(name)
        return 4096 * rise / (after.number("t_ms") - before.number("t_ms")) * 1000

    total = 1024 * after.number("total_kib")
    conditions = {
        "FreeMemoryNotReported": (after.number("reported") < 0.5 * after.number("free") and
                                  4096 * after.number("free") > total / 4),
        "report_age_ms": after.number("age_ms") > 60000,
        "PageReportsFail": after.number("fail") > before.number("fail"),
        "PageReportingThrashes": min(bytes_per_s("refault"), bytes_per_s("report")) > 0.05 * total,
    }
    return [name for name, holds in conditions.items() if holds]


def check_alerts(vm, before):
    """At rest again, the guide has nothing to alert on: what the guest says then."""
    after = check(vm)
    assert alerts(before, after) == []
    vm.sleep(3)
    assert check(vm).number("skip") == after.number("skip"), "zones are still skipped"
    return after


def take(vm, left_mib=LEFT_MIB, seconds=20):
    """The program takes memory and frees it, and what is free leaves: resident MiB then."""
    say(vm, "take", "taken")
    return settle(vm, left_mib, seconds)


def work(vm):
    """The program takes and frees memory from now on."""
    vm.send("work")
    vm.wait_event("works")


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

@pytest.mark.waits
def test_stopped_for_a_minute(tmp_path):
    """By QMP: the guest's clock stands still, and nothing is to be learned from it."""
    with kept(tmp_path) as (vm, monitor):
        settle(vm)
        before = check(vm)
        monitor.execute("stop")
        time.sleep(60)
        qmp.cont(monitor)
        take(vm)
        until(vm, lambda: check(vm).number("reported") > 0.9 * before.number("reported"))


def test_process_stopped(tmp_path):
    """By SIGSTOP: the guest's clock goes on without it, while reports may be out."""
    with kept(tmp_path) as (vm, _):
        vm.send("take")
        for _ in range(5):
            os.kill(vm.pid, signal.SIGSTOP)
            time.sleep(2)
            os.kill(vm.pid, signal.SIGCONT)
            vm.sleep(0.5)
        vm.wait_event("taken")
        settle(vm)


# Ballooned

def inflate_to(vm, monitor, mib):
    """Have the balloon leave the guest so many MiB."""
    monitor.execute("balloon", value=mib << 20)
    until(vm, lambda: monitor.execute("query-balloon")["actual"] == mib << 20)


def test_balloon_goes_up_and_down(tmp_path):
    """Ten times by half of a guest of 2 GiB: nobody has used that memory, it comes back as before, and no alert."""
    mem_mib, moved_mib = 2 * MEM_MIB, 0
    with kept(tmp_path, mem_mib=mem_mib) as (vm, monitor):
        rest_mib, before = settle(vm), check(vm)
        for _ in range(10):
            for mib in (mem_mib // 2, mem_mib):
                inflate_to(vm, monitor, mib)
            moved_mib += mem_mib // 2
        after_mib, after = settle(vm), check_alerts(vm, before)
    refaulted = after.number("refault") - before.number("refault")
    print(f"{refaulted} pages refaulted, resident: {rest_mib:.0f} MiB before, {after_mib:.0f} MiB after")
    assert refaulted < 0.01 * moved_mib * 256
    assert after_mib < rest_mib + 20


def test_balloon_that_the_guest_needs_back(tmp_path):
    """deflate-on-oom: the guest takes what the balloon has, and nothing is killed."""
    with kept(tmp_path, **balloon_of("deflate-on-oom=on")) as (vm, monitor):
        settle(vm)
        inflate_to(vm, monitor, KEPT_MIB + 200)
        say(vm, "take", "taken")
        assert monitor.execute("query-balloon")["actual"] > (KEPT_MIB + SPARE_MIB) << 20
        inflate_to(vm, monitor, MEM_MIB)
        settle(vm)


def test_balloon_is_taken_away_and_comes_back(tmp_path):
    """Ten times, while a program works: reports are out when the device goes."""
    with kept(tmp_path, **balloon_of()) as (vm, monitor):
        work(vm)
        for _ in range(10):
            vm.sleep(0.7)
            unplug(vm, monitor, "balloon")
            monitor.execute("device_add", driver="virtio-balloon-pci", id="balloon", **{"free-page-reporting": True})
        say(vm, "rest", "rested")
        settle(vm)
        assert check(vm).number("reported") > (MEM_MIB - LEFT_MIB) * 256 * 0.9


def unplug(vm, monitor, name, seconds=30):
    """Take a device away, which the guest has to agree to."""
    monitor.execute("device_del", id=name)
    until(vm, lambda: name not in [found["name"] for found in monitor.execute("qom-list", path="/machine/peripheral")],
          seconds)


# Saved and loaded

def test_snapshot_is_loaded(tmp_path):
    """QEMU writes zeroes to what it has backed since; this leaves with a flush of the word again."""
    with kept(tmp_path, cmdline=[NO_PASS]) as (vm, monitor):
        # A disk that takes snapshots
        for driver, node, options in (("file", "raw", {"filename": str(tmp_path / "disk")}),
                                      ("qcow2", "disk", {"file": "raw"})):
            run_job(monitor, "blockdev-create", f"make-{node}",
                    options={"driver": driver, "size": 16 << 20, **options})
            monitor.execute("blockdev-add", driver=driver, **{"node-name": node, **options})
        say(vm, "again", "flushed")
        rest_mib = settle(vm)
        run_job(monitor, "snapshot-save", "save", tag="rest", vmstate="disk", devices=["disk"])
        say(vm, "take", "taken")
        run_job(monitor, "snapshot-load", "load", tag="rest", vmstate="disk", devices=["disk"])
        qmp.cont(monitor)
        vm.sleep(2)
        loaded_mib = vm.samples[-1].rss_mib
        loaded = check(vm)
        say(vm, "again", "flushed")
        flushed_mib = settle(vm)
        print(f"resident: {loaded_mib:.0f} MiB after the load, {flushed_mib:.0f} MiB after the flush")
    assert loaded_mib > rest_mib + 0.8 * SPARE_MIB
    assert loaded.number("reported") > (MEM_MIB - LEFT_MIB) * 256 * 0.9, "the guest counts it as reported"


def migrate(monitor, image, meanwhile=None):
    """The guest runs meanwhile: what is stopped is stopped in the other QEMU, too.

    meanwhile: called while the migration is slow, so that the guest has time to report or to hint at what is free;
        then it ends, whatever the guest does
    """
    def limit(mib_per_s, downtime_s):
        monitor.execute("migrate-set-parameters", **{"max-bandwidth": mib_per_s << 20,
                                                     "downtime-limit": 1000 * downtime_s})
    limit(*((16, 1) if meanwhile else (4096, 20)))
    monitor.execute("migrate", uri=f"exec:cat >{image}")
    if meanwhile:
        meanwhile()
    limit(4096, 20)
    deadline = time.monotonic() + 60
    while (status := monitor.execute("query-migrate")["status"]) not in ("completed", "failed"):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert status == "completed"


def reading_backs():
    """Whether this host backs huge pages that are only read, as one without a huge zero page does."""
    size = 32 << 20
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.madvise(mmap.MADV_HUGEPAGE)
        before = psutil.Process().memory_info().rss
        assert not any(memory[::4096])
        return psutil.Process().memory_info().rss - before > size // 2


# ZONE_DMA is too small to be reported.
ZONE_DMA_MIB = 16


def flush_after_use(vm):
    """Memory is taken, freed, and reported by a flush, also where it had been reported before: resident MiB then."""
    say(vm, "take", "taken")
    say(vm, "again", "flushed")
    return settle(vm)


def tell_again(vm):
    """A migration reads all memory. Where reading backs it, what the guest has reported has to be reported again.

    Returns MiB that this host may have backed and that the guest does not report.
    """
    if not reading_backs():
        return 0
    say(vm, "again", "flushed")
    return ZONE_DMA_MIB


def test_migrated_to_a_file_and_back(tmp_path):
    """The guest goes on here, and in another QEMU that starts from the file."""
    image = tmp_path / "image"
    with kept(tmp_path) as (vm, monitor):
        settle(vm)
        check(vm)
        migrate(monitor, image)
        qmp.cont(monitor)
    with kept(tmp_path, image=image) as (vm, _):
        vm.sleep(1)
        started_mib = vm.samples[-1].rss_mib
        check(vm)
        flushed_mib = flush_after_use(vm)
        print(f"resident: {started_mib:.0f} MiB after the start, {flushed_mib:.0f} MiB after the flush")
    assert image.stat().st_size < LEFT_MIB << 20


def test_reports_while_it_is_migrated_to_a_file(tmp_path):
    """A program works meanwhile, and with a short delay, there are always reports on their way."""
    image = tmp_path / "image"

    def reports():
        """The guest reports more before the migration ends; a busy host may let it wait for seconds."""
        first = check(vm)
        until(vm, lambda: check(vm).number("report") > first.number("report"))
        assert monitor.execute("query-migrate")["status"] == "active"

    with kept(tmp_path, cmdline=["page_reporting.page_reporting_delay_ms=100"]) as (vm, monitor):
        settle(vm)
        work(vm)
        migrate(monitor, image, reports)
        qmp.cont(monitor)
        say(vm, "rest", "rested")
        tell_again(vm)
        settle(vm)
    with kept(tmp_path, image=image) as (vm, _):
        check(vm)
        say(vm, "rest", "rested")
        say(vm, "again", "flushed")
        settle(vm)


def hinting():
    """Arguments for a guest that also hints at free memory, by an I/O thread of QEMU."""
    return {"balloon": None, "extra_args": [
        "-object", "iothread,id=io", *balloon_of("free-page-hint=on", "iothread=io")["extra_args"]]}


# 256 MiB that were freed have left by then, after the hints in at most twice the time before: a busy host is slower.
LEAVES_S = 3


def leaves_s(vm, rest_mib):
    """Seconds from when a program has freed its memory until it has left."""
    taken = say(vm, "take", "taken")
    until(vm, lambda: vm.samples[-1].rss_mib < rest_mib + 20)
    return vm.samples[-1].t - taken.t


def test_migrated_with_hinting(tmp_path):
    """Hints are no use of what was reported: nothing is learned, and no alert. The guest goes on here, as after a
    migration that was called off, and from the file."""
    image = tmp_path / "image"
    with kept(tmp_path, ["later=256"], **hinting()) as (vm, monitor):
        rest_mib = settle(vm)
        left_s = [leaves_s(vm, rest_mib)]
        before = check(vm)
        migrate(monitor, image, lambda: vm.sleep(5))
        qmp.cont(monitor)
        rest_mib += tell_again(vm)
        settle(vm, rest_mib + 20)
        after = check_alerts(vm, before)
        left_s.append(leaves_s(vm, rest_mib))
    print(f"256 MiB have left after {left_s[0]:.1f} s before, {left_s[1]:.1f} s after hinting")
    assert left_s[1] < max(LEAVES_S, 2 * left_s[0])
    hinted = after.number("clear") - before.number("clear")
    assert hinted > (MEM_MIB - LEFT_MIB) * 256 * 0.5, "what was reported was not hinted at"
    assert after.number("refault") - before.number("refault") < 0.01 * hinted
    with kept(tmp_path, image=image, **hinting()) as (vm, _):
        check(vm)
        flush_after_use(vm)


# A program that works while hinting holds all other free memory uses ZONE_DMA, and leaves fragments. No round is worth
# less than one of 64 pages.
SCATTERED_MIB = ZONE_DMA_MIB + MEM_MIB // 64


def test_reports_while_it_is_migrated_with_hinting(tmp_path):
    """A program works meanwhile: memory is hinted at, taken, freed and reported by turns."""
    with kept(tmp_path, **hinting()) as (vm, monitor):
        rest_mib = settle(vm)
        work(vm)
        migrate(monitor, tmp_path / "image", lambda: vm.sleep(5))
        qmp.cont(monitor)
        say(vm, "rest", "rested")
        settle(vm, rest_mib + 20 + SCATTERED_MIB)


# Memory that comes and goes

# take uses all that is plugged. What is left later has room for both parts with the pattern, and for the program that
# works meanwhile.
PLUGGED_MIB, LATER_MIB, BUSY_MIB, MORE_MIB = 1024, 1140, 160, 256
MOVABLE = "memhp_default_state=online_movable"


def leave_in_use(vm, unplugging):
    """Fill plugged memory with a pattern, and take it away while a program works: the kernel has to move the pattern.

    The kernel takes movable memory first, and no other is in a movable zone.
    """
    filled = say(vm, "fill", "filled").number("movable")
    assert filled > 0.9 * MORE_MIB * 256, "the pattern is not in the memory that is to go"
    work(vm)
    unplugging()
    assert check(vm).number("movable") == 0, "there is a movable zone after all has gone"
    say(vm, "rest", "rested")
    settle(vm, LEFT_MIB + MORE_MIB, 60)
    check(vm)


def unplug_dimm(vm, monitor):
    """Take the DIMM away, and the memory behind it."""
    unplug(vm, monitor, "dimm", 60)
    monitor.execute("object-del", id="more")


def test_dimm_is_unplugged(tmp_path):
    """Twice, a DIMM is plugged, used, reported, filled with a pattern, and unplugged while a program works."""
    with kept(tmp_path, [f"later={LATER_MIB}", f"busy={BUSY_MIB}", f"more={MORE_MIB}"], cmdline=[MOVABLE],
              extra_args=["-m", "slots=2,maxmem=4G"]) as (vm, monitor):
        for _ in range(2):
            monitor.execute("object-add", **{"qom-type": "memory-backend-ram", "id": "more",
                                             "size": PLUGGED_MIB << 20, "reserve": False})
            monitor.execute("device_add", driver="pc-dimm", id="dimm", memdev="more")
            vm.sleep(1)
            take(vm, LEFT_MIB + MORE_MIB)
            check(vm)
            leave_in_use(vm, lambda: unplug_dimm(vm, monitor))


VIRTIO_MEM = ("-m", "maxmem=4G", "-object", f"memory-backend-ram,id=more,size={2048}M,reserve=off",
              "-device", "virtio-mem-pci,id=plugged,memdev=more,requested-size=0")


@pytest.mark.parametrize("rounds, period_s", [(2, 2), pytest.param(5, 30, marks=pytest.mark.nightly)])
def test_virtio_mem(tmp_path, rounds, period_s):
    """2 GiB are plugged, used, filled with a pattern in part, and unplugged while a program works, by turns.

    In each round, what is free leaves within 60 s, both before and after the unplug, and the counters add up.
    """
    with kept(tmp_path, [f"later={LATER_MIB + 1024}", f"busy={BUSY_MIB}", f"more={MORE_MIB}"], cmdline=[MOVABLE],
              extra_args=VIRTIO_MEM, run_deadline_s=300 * rounds) as (vm, monitor):
        settle(vm)

        def request(mib):
            monitor.execute("qom-set", path="/machine/peripheral/plugged", property="requested-size", value=mib << 20)
            until(vm, lambda: monitor.execute("qom-get", path="/machine/peripheral/plugged",
                                              property="size") == mib << 20, 120)
        for _ in range(rounds):
            request(2048)
            take(vm, LEFT_MIB + MORE_MIB, 60)
            vm.sleep(period_s)
            check(vm)
            leave_in_use(vm, lambda: request(0))
            vm.sleep(period_s)


# Asleep

def sleeper(**arguments):
    """Arguments for a guest of the kernel with locks and lists checked."""
    # QEMU writes a kernel that it loads as ELF again when it wakes the machine.
    image = paths.bzimage("debug")
    return {"kernel": image, "parallel": True, "boot_deadline_s": 180, "cmdline": drivers.PATIENCE, **arguments}


def use_after_sleep(vm, monitor):
    """The guest is awake: its balloon has a quarter again, and gives it back."""
    until(vm, lambda: monitor.execute("query-balloon")["actual"] == (MEM_MIB - 256) << 20)
    inflate_to(vm, monitor, MEM_MIB)
    take(vm)


def test_balloon_of_a_guest_that_sleeps(tmp_path):
    """S3, with a balloon of a quarter of the guest, which it has again when it wakes."""
    with kept(tmp_path, **sleeper()) as (vm, monitor):
        settle(vm)
        inflate_to(vm, monitor, MEM_MIB - 256)
        vm.send("ram")
        until(vm, lambda: monitor.execute("query-status")["status"] == "suspended")
        monitor.execute("system_wakeup")
        awake = vm.wait_event("awake")
        assert awake.number("imbalance") == 0
        use_after_sleep(vm, monitor)


def hibernator(folder, **arguments):
    """Arguments for a guest that hibernates to a disk of its own."""
    return sleeper(cmdline=[*drivers.PATIENCE, "resume=/dev/vda"], **disk(folder), **arguments)


def test_balloon_of_a_guest_that_hibernates_to_another_machine(tmp_path):
    """S4, with the same balloon; the image goes on in another machine, which inflates its balloon only then."""
    # The fewer pages, the shorter the test. What is free is not in the image.
    arguments = hibernator(tmp_path, options=["mem=64"])
    with guest(tmp_path, **arguments) as vm, qmp.Monitor(tmp_path / "qmp") as monitor:
        vm.wait_event("kept")
        settle(vm)
        inflate_to(vm, monitor, MEM_MIB - 256)
        assert check(vm).number("reported") > 0
        vm.send("off")
        with pytest.raises(GuestDied, match="QEMU ended with status 0"):
            vm.finish()
        assert any("reboot: Power down" in line for line in vm.console)
    with kept(tmp_path, first="awake", **arguments) as (vm, monitor):
        assert vm.events[0].number("imbalance") == 0
        check(vm)
        inflate_to(vm, monitor, MEM_MIB - 256)
        use_after_sleep(vm, monitor)


def test_balloon_of_a_guest_that_hibernates(tmp_path):
    """S4, with the same balloon; the image goes on in this machine."""
    with kept(tmp_path, **hibernator(tmp_path)) as (vm, monitor):
        settle(vm)
        inflate_to(vm, monitor, MEM_MIB - 256)
        say(vm, "disk", "awake")
        use_after_sleep(vm, monitor)


# Started anew

@pytest.mark.parametrize("how", ["reboot", "kexec"])
def test_started_anew(tmp_path, how):
    """While a program works: what the first kernel has reported is nothing to the second."""
    build = paths.kernel().parent
    lines = ["dir /kexec 0755 0 0", f"file /kexec/kernel {build / 'arch/x86/boot/bzImage'} 0644 0 0",
             f"file /kexec/initrd {programs.initramfs()} 0644 0 0"]
    initrd = tmp_path / "initrd"
    initrd.write_bytes(programs.initramfs().read_bytes() + modules.archive(lines, build))
    with kept(tmp_path, initrd=initrd, extra_args=["-action", "reboot=reset"]) as (vm, _):
        work(vm)
        vm.sleep(3)
        assert check(vm).number("report") > 0, "the first kernel has reported nothing"
        vm.send(how)
        vm.wait_event("boot", 60)
        vm.wait_event("kept")
        settle(vm)
        take(vm)


# Other machines

def test_microvm(tmp_path):
    """virtio-mmio, and no PCI.

    With ACPI, its only clock is KVM's; without, a guest cannot switch it off, but resets it.
    """
    # QEMU would write where its devices are behind the guest's programs, where the kernel does not look.
    places = [f"virtio_mmio.device=512@{0xfeb00000 + 512 * number:#x}:{5 + number}" for number in range(8)]
    with guest(tmp_path, machine="microvm,acpi=off,auto-kernel-cmdline=off", cmdline=["reboot=t", *places]) as vm:
        vm.wait_event("kept")
        settle(vm)
        take(vm)
        check(vm)
        vm.send("reboot")
        with pytest.raises(GuestDied, match="QEMU ended with status 0"):
            vm.finish()
        assert any("reboot: Restarting system" in line for line in vm.console)


def test_two_numa_nodes(tmp_path):
    """What is free leaves from both."""
    with kept(tmp_path, nodes=2) as (vm, _):
        settle(vm)
        take(vm)
        assert check(vm).number("reported") > (MEM_MIB - LEFT_MIB) * 256 * 0.9
        assert len([line for line in vm.console if "Initmem setup node" in line]) == 2


# Memory that is a memfd or a file

HOG_MIB = 512


def free_hog(vm, gone, seconds):
    """The hog frees its memory, and the host gets it: until gone() says so, or the time is over."""
    vm.send("go")
    vm.wait_event("freed")
    wait_until(vm, gone, seconds)
    vm.sleep(1)


def allocated_mib(path):
    """What a file takes of its file system."""
    return os.stat(path).st_blocks / 2048


@pytest.mark.parametrize("backing", ["memfd", "shared"])
def test_shared_memory(tmp_path, backing):
    """Memory that another process uses, as for vhost-user: QEMU punches holes into it, and the file system gets the
    blocks of a file back."""
    ram = tmp_path / "ram" if backing == "shared" else None
    if ram:
        ram.touch()
        os.truncate(ram, MEM_MIB << 20)
    with VM(paths.kernel(), programs.initramfs(), mem_mib=MEM_MIB, backing=backing, backing_file=ram,
            steps=[["hog", f"mem={HOG_MIB}M", "thp=always", "hold=host"]]) as vm:
        before = [vm.wait_event("ready").sample.rss_mib, *([allocated_mib(ram)] if ram else [])]
        free_hog(vm, lambda: vm.samples[-1].rss_mib <= before[0] - 0.9 * HOG_MIB, 20)
        after = [vm.samples[-1].rss_mib, *([allocated_mib(ram)] if ram else [])]
        vm.send("quit")
        vm.finish()
    print(f"{backing}, resident, and of the file: {before} -> {after} MiB")
    assert min(before) > HOG_MIB
    assert all(was - left >= 0.9 * HOG_MIB for was, left in zip(before, after))


# A template of memory: "Setups in which dropped memory does harm" of the operator's guide

TEMPLATE_MIB = 512


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A file without holes, which no test may change."""
    path = tmp_path_factory.mktemp("template") / "template"
    piece = os.urandom(1 << 20)
    path.write_bytes(piece * TEMPLATE_MIB)
    return path


def checksum(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def run_on(path, backing, balloon):
    """A guest that starts from the file, and frees memory until the host had time to drop it: MiB that are left."""
    with VM(paths.kernel(), programs.initramfs(), mem_mib=TEMPLATE_MIB, balloon=balloon, backing=backing,
            backing_file=path, steps=[["hog", "mem=128M", "hold=host"]]) as vm:
        vm.wait_event("ready")
        free_hog(vm, lambda: allocated_mib(path) <= TEMPLATE_MIB / 2, 10 if balloon == "on" else 4)
        vm.send("quit")
        vm.finish()
    print(f"{backing}, reporting {balloon}: {allocated_mib(path):.0f} of {TEMPLATE_MIB} MiB are left of the file")
    return allocated_mib(path)


def test_template_without_reporting_is_safe_and_with_it_is_not(tmp_path, template):
    """Each guest should see only its own changes; QEMU drops what is reported from the file."""
    before = checksum(template)
    assert run_on(template, "private", "off") >= TEMPLATE_MIB and checksum(template) == before
    copy = tmp_path / "copy"
    shutil.copyfile(template, copy)
    assert run_on(copy, "private", "on") < TEMPLATE_MIB / 2 and checksum(copy) != before


def test_copy_of_a_template(tmp_path, template):
    """What the guide says to do instead: the copy shrinks, and the template does not change."""
    before, copy = checksum(template), tmp_path / "copy"
    shutil.copyfile(template, copy)
    assert allocated_mib(copy) >= TEMPLATE_MIB
    assert run_on(copy, "shared", "on") < TEMPLATE_MIB / 2
    assert checksum(template) == before and allocated_mib(template) >= TEMPLATE_MIB


# Small

@pytest.mark.parametrize("mem_mib, smp", [(1024, 1), (256, 2)])
def test_small_guest(tmp_path, mem_mib, smp):
    """One CPU, and a quarter of a GiB."""
    mem, spare = (KEPT_MIB, SPARE_MIB) if mem_mib == MEM_MIB else (32, 100)
    with kept(tmp_path, [f"mem={mem}", f"spare={spare}"], mem_mib=mem_mib, smp=smp, run_deadline_s=120) as (vm, _):
        settle(vm, mem + 150)
        check(vm)
        take(vm, mem + 150)
