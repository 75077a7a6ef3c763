# SPDX-License-Identifier: GPL-2.0
"""What breaks systems of this kind, each by name, on the debug kernel with the sample driver."""

import re
import subprocess

import pytest

from lab import drivers, kunit, paths, programs
from lab.drivers import READ_STATS, UNLOAD, await_stat, load, stats_of
from lab.errors import GuestDied
from lab.vm import VM
from test_boot import free_memory
from test_stress import stress

pytestmark = pytest.mark.product

DELAY = "page_reporting.page_reporting_delay_ms"
FILES = "/sys/kernel/mm/page_reporting"
FREE_MIB = 256
PAGES = FREE_MIB * 256


@pytest.fixture(scope="module")
def initrd(tmp_path_factory):
    return drivers.initramfs(paths.vmlinux("debug"), tmp_path_factory.mktemp("hazards"))


def machine(initrd, steps, cmdline=(), kernel=None, **arguments):
    return VM(kernel or paths.vmlinux("debug"), initrd, steps=steps, cmdline=[*drivers.PATIENCE, *cmdline],
              **{"balloon": None, "mem_mib": 1024, "parallel": True, "boot_deadline_s": 180,
                 "run_deadline_s": 300, **arguments})


def guest(*words, **arguments):
    """Run the steps in such a guest: a Result."""
    with machine(*words, **arguments) as vm:
        return vm.finish()


def hog(mib=FREE_MIB, limit=0):
    return ["hog", f"mem={mib}M", f"limit={limit}"]


# Hazard 1

@pytest.mark.parametrize("state", ["freeze", "mem"])
def test_h01_suspend_while_in_flight(initrd, state):
    """Reports stop while the system is frozen, however many are wanted, and go on afterwards."""
    result = guest(initrd, [load(order=3, capacity=1, delay_ms=100), await_stat("reports", 5),
                            ["sample", "suspend", state], ["sample", "set", "delay_ms=0"],
                            await_stat("pages", PAGES), UNLOAD], [f"{DELAY}=100"])
    assert any("suspend debug: Waiting for" in line for line in result.console)
    suspended = drivers.last(result, "suspended")
    # Of the time that it took, five seconds went by with everything frozen, as mdelay() counts them: fewer by the clock
    # if the machine was slower when the kernel measured how fast it counts.
    awake_s = suspended.number("ms") / 1000 - 5
    assert suspended.number("after") - suspended.number("before") <= max(0, awake_s) / 0.1 + 5


def disk(folder):
    """Arguments for a guest that can hibernate: a disk to swap to, which is /dev/vda."""
    image = folder / "swap"
    with open(image, "wb") as file:
        file.truncate(1 << 30)
    subprocess.run(["/sbin/mkswap", "-q", str(image)], check=True)
    return {"extra_args": ["-drive", f"file={image},format=raw,if=virtio,cache=unsafe"]}


def test_h01_suspend_to_ram(initrd):
    """The machine sleeps and is woken; nothing was lost, and reporting goes on."""
    # QEMU writes a kernel that it loads as ELF again when it wakes the machine.
    image = paths.bzimage("debug")
    result = guest(initrd, [load(order=3, capacity=1, delay_ms=20), await_stat("reports", 5),
                            ["sample", "ram"], ["sample", "set", "delay_ms=0"],
                            await_stat("pages", 700 * 256), hog(), await_stat("pages", 900 * 256), UNLOAD],
                   [f"{DELAY}=100"], kernel=image)
    for said in ("Preparing to enter system sleep state S3", "Waking up from system sleep state S3"):
        assert any(said in line for line in result.console), said


def test_h06_hibernation_here(initrd, tmp_path):
    """An image is written, loaded and entered in one machine: everything is reported again."""
    result = guest(initrd, [load(order=3), await_stat("pages", 700 * 256), ["sample", "disk", "test_resume"],
                            await_stat("pages", 1400 * 256), READ_STATS, UNLOAD],
                   [f"{DELAY}=100", "resume=/dev/vda"], **disk(tmp_path))
    assert drivers.last(result, "awake").number("pages") < 1200 * 256


def test_h06_hibernation_to_another_machine(initrd, tmp_path):
    """The image goes on in another machine, whose host has none of the memory that was reported."""
    steps = [load(order=3), await_stat("pages", 700 * 256), ["sample", "disk", "shutdown"],
             await_stat("pages", 1400 * 256), READ_STATS, UNLOAD]
    arguments = {"steps": steps, "cmdline": [f"{DELAY}=100", "resume=/dev/vda"], **disk(tmp_path)}
    with machine(initrd, **arguments) as vm:
        vm.wait_event("hibernating")
        with pytest.raises(GuestDied, match="QEMU ended with status 0"):
            vm.finish()
        assert any("reboot: Power down" in line for line in vm.console)
    result = guest(initrd, first="awake", **arguments)
    assert result.events[0].number("pages") < 1200 * 256


# Hazard 2

def test_h02_no_allocation_succeeds(initrd):
    """Passes do not need memory; and nothing is silent afterwards."""
    # Of 1024 MiB; half of them are freed twice. A worker that cannot be created is not tried again before the next work,
    # and the work of deferred probes, 10 s after boot, waits for one more: power off would wait for ever.
    result = guest(initrd, [load(order=3), await_stat("pages", 700 * 256), ["faults", "on"], hog(512),
                            await_stat("pages", 1100 * 256), ["faults", "off"], hog(512),
                            await_stat("pages", 1500 * 256), READ_STATS, UNLOAD],
                   [f"{DELAY}=100", "deferred_probe_timeout=0"])
    assert drivers.last(result, "failing").number("workers") > 2
    assert stats_of(result)[0]["errors"] == 0


# Hazard 3

@pytest.mark.parametrize("capacity", [0, 1, 3, 31, 33, 256])
def test_h03_capacity(initrd, capacity):
    """Batches get as long as that, and not longer than 32."""
    result = guest(initrd, [load(order=3, capacity=capacity), hog(), await_stat("pages", PAGES), READ_STATS,
                            UNLOAD], [f"{DELAY}=100"], mem_mib=2048)
    stats = stats_of(result)[0]
    assert stats["longest"] == min(capacity or 32, 32)
    assert stats["errors"] == 0


# Hazard 4

@pytest.mark.parametrize("fail_percent", [0, 100])
def test_h04_delay_0_is_no_busy_loop(initrd, fail_percent):
    """An idle guest stays idle, also when the host refuses everything."""
    idle_s = 10
    with machine(initrd, [load(fail_percent=fail_percent), READ_STATS, await_stat("reports", 1), hog(limit=600),
                          READ_STATS, UNLOAD], [f"{DELAY}=0"]) as vm:
        vm.wait_event("memfree")
        vm.sleep(15)        # for all there is to report
        start = vm.samples[-1]
        vm.sleep(idle_s)
        end = vm.samples[-1]
        vm.send("quit")
        result = vm.finish()
    first, last = stats_of(result)
    if first["t_ms"] - result.events[1].number("t_ms") < 2000:
        assert first["reports"] == 0, "reported before the device could be ready"
    assert end.cpu_s - start.cpu_s < 0.5 * idle_s
    assert last["reports"] < 500


# Hazard 5

def test_h05_all_is_reported_within_two_minutes_of_the_last_error(initrd):
    """With the defaults, and nothing freed that would ask for a pass."""
    result = guest(initrd, [load(fail_percent=100), await_stat("errors", 5), ["sample", "set", "fail_percent=0"],
                            await_stat("pages", 700 * 256), UNLOAD])
    failing, reported = [event.number("t_ms") for event in result.events if event.name == "reached"]
    assert reported - failing < 120000
    assert sum("a report failed with error" in line for line in result.console) == 1


# Hazard 8

def block_types(result):
    """Each table of /proc/pagetypeinfo that was read: pageblocks by type, all zones together."""
    tables = []
    for event in result.events:
        if event.name == "value" and event.fields["path"] == "/proc/pagetypeinfo":
            names, rows = event.fields["text"].split("Number of blocks type")[1].split("Node", 1)
            counts = [list(map(int, row.split()))
                      for row in re.findall(r"zone +\w+ ((?: *\d+)+)", "Node" + rows)]
            tables.append(dict(zip(names.split(), map(sum, zip(*counts)))))
    return tables


def test_h08_types_stay(initrd):
    """Free pageblocks of the kernel's own types keep them while they are reported."""
    read = ["file", "read", "/proc/pagetypeinfo"]
    result = guest(initrd, [["module", "load", "orders", "count=24"], ["module", "unload", "orders"],
                            read, load(order=9), await_stat("pages", PAGES), read, UNLOAD], [f"{DELAY}=100"])
    before, after = block_types(result)
    assert before["Unmovable"] >= 16 and before["Reclaimable"] >= 8, before
    assert after == before


# Hazards 9 and 10

def test_h09_offline_and_contiguous_allocations(tmp_path):
    """Memory goes offline and CMA allocates while blocks are away, and nothing is lost."""
    _, sums, stressed = stress(paths.vmlinux("debug"), tmp_path, 30, "device=sample", "fail=0",
                               "only=device,replug,contiguous,huge")
    assert sums.number("offlined") >= 3
    assert sums.number("contiguous") >= 5
    assert stressed.number("blocks") > 0
    assert stressed.number("missing") < drivers.MISSING_KIB


def test_h10_hwpoison(tmp_path):
    """Free pages and used ones go bad beside reporting: they are lost, and no others."""
    result, sums, stressed = stress(paths.vmlinux("debug"), tmp_path, 30, "device=sample", "fail=0",
                                    "only=device,poison,huge,order")
    assert sums.number("poisoned") >= 5
    assert any("recovery action for free buddy page: Recovered" in line for line in result.console)
    assert stressed.number("missing") < drivers.MISSING_KIB


# Hazard 12

def test_h12_dead_host_out_of_memory(initrd):
    """With memory in the hands of a host that does not answer, one process is killed, and no other."""
    result = guest(initrd, [load(order=9, delay_ms=4000000), await_stat("reports", 1),
                            ["deadhost", "oom"], ["deadhost", "unload"], hog(640)],
                   [f"{DELAY}=100"], allow=["invoked oom-killer"])
    assert len(result.allowed) == 1
    killed = [line for line in result.console if "Out of memory: Killed process" in line]
    assert len(killed) == 1 and "(deadhost)" in killed[0]


def test_h12_dead_host_unregister(initrd):
    """Unregistering waits for the answer, and ends when it comes."""
    result = guest(initrd, [load(order=9, delay_ms=4000000), await_stat("reports", 1), ["deadhost", "unload"],
                            load(), await_stat("reports", 1), UNLOAD], [f"{DELAY}=100"])
    waiting, unloaded = drivers.last(result, "waiting"), drivers.last(result, "unloaded")
    waited_ms = unloaded.number("t_ms") - waiting.number("t_ms")
    print(f"unloaded {waited_ms} ms after the answer")
    assert waited_ms < 2000


def stamp_ms(line):
    """When the kernel said a line of the console."""
    return 1000 * float(re.search(r"\[ *(\d+\.\d+)\]", line)[1])


@pytest.mark.parametrize("how, said", [("poweroff", "reboot: Power down"), ("reboot", "reboot: Restarting system")])
def test_h12_dead_host_does_not_hold_up_the_end(initrd, how, said):
    """A guest goes down at once, while the host has not answered a report and never does."""
    with machine(initrd, [load(order=9, delay_ms=4000000), await_stat("reports", 1), ["deadhost", how]],
                 [f"{DELAY}=100"]) as vm:
        leaving = vm.wait_event("leaving")
        with pytest.raises(GuestDied, match="QEMU ended with status 0"):
            vm.finish()
        lines = [line for line in vm.console if said in line]
    assert leaving.number("age_ms") > 0, "no report is out"
    assert len(lines) == 1
    left_ms = stamp_ms(lines[0]) - leaving.number("t_ms")
    print(f"{how}: went down after {left_ms:.0f} ms")
    assert left_ms < 2000


@pytest.mark.waits
def test_h12_dead_host_is_named(initrd):
    """After a minute, once, with the driver and the size; and not when it answers in time."""
    result = guest(initrd, [load(order=9, capacity=2, delay_ms=75000), await_stat("reports", 1),
                            ["file", "read", f"{FILES}/report_age_ms"], await_stat("pages", 1),
                            ["sample", "set", "delay_ms=0"], await_stat("pages", PAGES),
                            ["file", "read", f"{FILES}/report_age_ms"], UNLOAD], [f"{DELAY}=100"])
    said = [line for line in result.console if "has not returned" in line]
    assert len(said) == 1, said
    assert re.search(r"page_reporting: sample_report \[page_reporting_sample\] has not returned from a report of "
                     r"[12] blocks \(\d+ KiB\) for 6\d s$", said[0]), said
    reached = [event for event in result.events if event.name == "reached"]
    assert 59000 < stamp_ms(said[0]) - reached[0].number("t_ms") < 70000
    young, none = [int(event.fields["text"]) for event in result.events if event.name == "value"]
    assert 0 < young < 30000 and none == 0


# Hazard 14

@pytest.mark.parametrize("parameter", ["page_poison=1", "init_on_free=1"])
def test_h14_driver_says_why_there_is_no_device(parameter):
    """The host cannot keep what free pages have in them, and the driver switches reporting off."""
    result = guest(programs.initramfs(), [["file", "read", f"{FILES}/device"]], [parameter], mem_mib=512, balloon="on",
                   extra_args=["-global", "virtio-balloon-device.page-poison=off"])
    assert drivers.last(result, "value").fields["text"].strip() == "none"
    assert sum("no free page reporting: page_poison or init_on_free" in line for line in result.console) == 1


# QEMU keeps memory of a guest that wants to find its own pattern in free pages.
CONTENTS = [("page_poison=1", False), ("init_on_free=1", True), ("debug_pagealloc=on", True),
            ("page_alloc.shuffle=1", True)]


@pytest.mark.parametrize("parameter, comes_back", CONTENTS)
def test_h14_demo(parameter, comes_back):
    def boot(**arguments):
        return VM(paths.vmlinux("debug"), programs.initramfs(), mem_mib=1024, parallel=True,
                  boot_deadline_s=180, run_deadline_s=300, **arguments)

    _, fall = free_memory(boot, [*drivers.PATIENCE, parameter], seconds=60 if comes_back else 10)
    assert fall.returned_pct >= 95 if comes_back else fall.returned_pct < 5


@pytest.mark.parametrize("parameter", [parameter for parameter, _ in CONTENTS])
def test_h14_kunit(parameter):
    """The suites in which blocks are marked and put back."""
    result = guest(programs.initramfs(), [], [parameter, *kunit.BOOT, "kunit.filter_glob=page_reporting_[mw]*"],
                   mem_mib=2048, boot_deadline_s=900)
    cases = [case for name in ("mark", "walk")
             for case in kunit.cases_of(paths.REPO / "mm" / "tests" / f"page_reporting_{name}_kunit.c")]
    assert cases and kunit.not_passed(result.console, cases) == []
