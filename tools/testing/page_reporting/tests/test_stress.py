# SPDX-License-Identifier: GPL-2.0
"""Memory used in every way at once, beside a device that comes, fails and goes."""

import functools
import os

import pytest

from lab import drivers, kunit, paths, programs
from lab.vm import VM
from test_boot import free_memory

pytestmark = pytest.mark.product

SHORT_S = 60
# The length of the long one, and how many blocks are reported in it at least.
LONG_S = int(os.environ.get("STRESS_S") or 600)
LONG_BLOCKS_PER_S = 100000 / 600
SHORT_BLOCKS_PER_S = 20
# What KCSAN says of races with code of ours: functions' names, or the sample's as their module.
RACES = "page_reporting"


def stress(kernel, folder, seconds, *options, image=None, **arguments):
    """Run the stress, of `image` if it is not the vmlinux: (Result, the events sums and stressed)."""
    steps = [["stress", f"for={seconds}", *options]]
    with VM(image or kernel, drivers.initramfs(kernel, folder), steps=steps, parallel=True,
            **{"balloon": None, "mem_mib": 3072, "smp": 4, "cmdline": drivers.STRESS_CMDLINE, "boot_deadline_s": 300,
               "run_deadline_s": 3 * seconds + 900, "console_log": folder / "console.log",
               **arguments}) as vm:
        result = vm.finish()
    # The guest has compared it with the other counters.
    assert drivers.last(result, "counters").number("reported") > 0
    return result, drivers.last(result, "sums"), drivers.last(result, "stressed")


def image_of(name):
    """What to boot of a kernel. Started as a vmlinux, by PVH, KCSAN's hooks run before the kernel has set up per-CPU
    memory, and count down in the boot line, of which two letters change."""
    image = paths.bzimage(name) if name == "kcsan" else paths.vmlinux(name)
    if not image.is_file():
        pytest.fail(f"{paths.shown(image)} is missing: `scripts/build {name}` builds it")
    return image


# Of ten minutes, `CI=full make test` has one.
@pytest.mark.parametrize("name, seconds, blocks_per_s", [
    ("debug", SHORT_S, SHORT_BLOCKS_PER_S), pytest.param("kasan", SHORT_S, SHORT_BLOCKS_PER_S, marks=pytest.mark.ci),
    *(pytest.param(name, LONG_S, LONG_BLOCKS_PER_S, marks=pytest.mark.sanitize) for name in ("kasan", "kcsan"))])
def test_stress(tmp_path, name, seconds, blocks_per_s):
    """Everything takes place, and no memory is missing."""
    _, sums, stressed = stress(paths.vmlinux(name), tmp_path, seconds, "device=sample", "failslab=10",
                               "failpages=5", image=image_of(name), races=RACES)
    assert stressed.number("blocks") >= blocks_per_s * seconds
    assert stressed.number("errors") >= 0.2 * stressed.number("reports")
    assert stressed.number("missing") < drivers.MISSING_KIB
    assert sums.number("loads") >= seconds / 30
    assert sums.number("offlined") >= seconds / 30
    assert sums.number("contiguous") >= seconds / 30
    assert sums.number("moved") >= 5 * seconds      # 30 a second, one run


def test_moves_beside_memory_that_goes_offline(tmp_path):
    """The struct pages of what is offline are poisoned, so that a look at one of them is an oops."""
    _, sums, _ = stress(paths.vmlinux("debug"), tmp_path, SHORT_S, "only=small,moves,replug", balloon="on",
                        cmdline=drivers.MOVING_CMDLINE)
    assert sums.number("offlined") >= SHORT_S / 30
    assert sums.number("moved") >= 5 * SHORT_S


@pytest.mark.sanitize
@pytest.mark.parametrize("name", ["kasan", "kcsan"])
def test_sanitizer_kunit(name):
    with VM(image_of(name), programs.initramfs(), balloon=None, mem_mib=2048, parallel=True, races=RACES,
            cmdline=[*drivers.PATIENCE, *kunit.BOOT_LINE],
            boot_deadline_s=1800, run_deadline_s=300) as vm:
        result = vm.finish()
    assert kunit.not_passed(result.console, kunit.all_cases()) == []


@pytest.mark.parametrize("name, rounds, mib", [
    ("debug", 20, 256), pytest.param("kasan", 1000, 1024, marks=pytest.mark.sanitize)])
def test_memory_survives_moves(name, rounds, mib):
    """Memory in single pages of which half is given back; each round replaces some of what is left, moves it together by
    a flush, and compares all of it with what was written."""
    steps = [["scatter", f"mib={mib}", "free=50", "wait=0", f"rounds={rounds}"]]
    with VM(image_of(name), programs.initramfs(), steps=steps, mem_mib=2 * mib, parallel=True, boot_deadline_s=300,
            run_deadline_s=3600) as vm:
        result = vm.finish()
    assert drivers.last(result, "rounds").number("moved") >= rounds * 100


@pytest.mark.sanitize
@pytest.mark.parametrize("name", ["kasan", "kcsan"])
def test_sanitizer_demo(name):
    """The demo's workload: memory comes back from a guest with a balloon."""
    boot = functools.partial(VM, image_of(name), programs.initramfs(), mem_mib=4608, parallel=True, races=RACES,
                             boot_deadline_s=300, run_deadline_s=900)
    _, fall = free_memory(boot, drivers.PATIENCE, seconds=300, free_mib=3072)
    assert fall.returned_pct >= 95
