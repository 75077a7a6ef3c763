# SPDX-License-Identifier: GPL-2.0
"""Whole guests: memory comes back, whatever the boot line says."""

import functools

import pytest

from conftest import wait_until
from lab import paths, programs
from lab.fall import measure
from lab.vm import VM

pytestmark = pytest.mark.product
FREE_MIB = 256


def free_memory(boot, cmdline=(), expect=(), seconds=60, balloon="on", steps=(), thp="always", free_mib=FREE_MIB):
    """Boot, check the parameters, free memory: (Result, Fall after most of it, or `seconds`)."""
    # What the CPUs' own lists keep is no free memory to the buddy allocator: up to 28 MiB each.
    steps = [*steps, ["file", "write", "/proc/sys/vm/percpu_pagelist_high_fraction", "100000"]]
    steps += [["params", "expect", *expect]] if expect else []
    steps.append(["hog", f"mem={free_mib}M", f"thp={thp}"])
    with boot(steps=steps, cmdline=cmdline, balloon=balloon) as vm:
        freeing = vm.wait_event("freeing")
        wait_until(vm, lambda: vm.samples[-1].rss_mib <= freeing.sample.rss_mib - 0.97 * free_mib, seconds)
        vm.sleep(1)         # the fall's end is what its last second shows
        vm.send("quit")
        result = vm.finish()
    points = [(0, freeing.sample.rss_mib)]
    points += [(s.t - freeing.t, s.rss_mib) for s in result.samples if s.t > freeing.t]
    return result, measure(points, free_mib)


@pytest.mark.parametrize("cmdline, expect", [
    ([], ["delay=-1", "order=9"]),
    (["page_reporting.page_reporting_delay_ms=2000"], ["delay=2000", "order=9"]),
    (["page_reporting.page_reporting_order=3"], ["order=3"]),
], ids=["defaults", "delay", "order"])
def test_memory_comes_back(boot, cmdline, expect):
    _, fall = free_memory(boot, cmdline, expect)
    assert fall.returned_pct >= 95


def test_delay_beyond_an_hour_is_told_of_once(boot):
    """As any number is valid; on the boot line, and again from a file."""
    path = "/sys/module/page_reporting/parameters/page_reporting_delay_ms"
    steps = [["params", "expect", "delay=3600000"], ["file", "write", path, "4294967295"],
             ["params", "expect", "delay=3600000"]]
    with boot(steps=steps, cmdline=["page_reporting.page_reporting_delay_ms=7200000"]) as vm:
        console = vm.finish().console
    assert sum("a delay of 7200000 ms is taken as 3600000 ms, an hour" in line for line in console) == 1
    assert not [line for line in console if "4294967295 ms" in line]


def test_memory_stays_without_reporting(boot):
    """The counterproof: nothing but reporting gives memory back."""
    _, fall = free_memory(boot, seconds=8, balloon="off")
    assert fall.returned_pct < 5


@pytest.mark.ci
def test_kernel_without_migration():
    """It has no switch for what it cannot do, says so, and reports as any other; a flush that asks for it is one of
    all."""
    files = "/sys/kernel/mm/page_reporting"
    steps = [["file", "write", f"{files}/flush", "compact"], ["file", "read", f"{files}/flush"],
             ["file", "read", f"{files}/compact"]]
    boot = functools.partial(VM, paths.vmlinux("nomigration"), programs.initramfs(), mem_mib=1024)
    result, fall = free_memory(boot, expect=["delay=-1", "order=9"], steps=steps, thp="system")
    assert fall.returned_pct >= 95
    read = [event.fields["text"] for event in result.events if event.name == "value"]
    assert read[0].startswith("pages=") and read[0].endswith("error=0 moved=0")
    assert int(read[0].split()[0].removeprefix("pages=")) > 0
    assert read[1] == "unable"


@pytest.mark.parametrize("value", ["99", "abc", "-2"])
def test_invalid_order_on_boot_line(boot, value):
    """The kernel says so, the default stays, reporting works."""
    result, fall = free_memory(boot, [f"page_reporting.page_reporting_order={value}"], ["order=9"])
    said = [line for line in result.console if "invalid for parameter" in line]
    assert len(said) == 1
    assert f"`{value}' invalid for parameter" in said[0]     # under load, the early console loses letters behind it
    assert fall.returned_pct >= 95


@pytest.mark.parametrize("balloon, cmdline, order", [
    ("off", [], -1), (None, [], -1), (None, ["page_reporting.page_reporting_order=5"], 5)])
def test_order_without_device(boot, balloon, cmdline, order):
    with boot(steps=[["params", "expect", f"order={order}"]], balloon=balloon, cmdline=cmdline) as vm:
        vm.finish()


def test_minus_one_gives_the_choice_back(boot):
    steps = [["params", "expect", "order=3"],
             ["file", "write", "/sys/module/page_reporting/parameters/page_reporting_order", "-1"],
             ["params", "expect", "order=9"]]
    with boot(steps=steps, cmdline=["page_reporting.page_reporting_order=3"]) as vm:
        vm.finish()
