# SPDX-License-Identifier: GPL-2.0
"""The defects of the base's own page reporting that fixes/ has patches for.

Each test runs on the base as it is, where it has to fail, and on the base with the patches, where it
has to pass. `make test-fixes BASE=7.3` builds both kernels; no other run takes part in this.
"""

import os
import re
import subprocess

import pytest

from lab import drivers, modules, paths, programs
from lab.vm import VM
from test_hazards import DELAY, block_types, disk

__test__ = bool(os.environ.get("PR_FIXES"))

MEM_MIB = 512
# Most of the memory of such a guest is free.
MOST = 350 * 256
# Under TCG, other work on the host makes a guest slow, and one clock run away from another.
PATIENCE = [*drivers.PATIENCE, "tsc=nowatchdog"]


class Guest:
    """One of the two kernels, with the guest programs and the modules for it."""

    def __init__(self, name, folder):
        self.name, self.kernel = name, paths.BUILD / f"fixes-{name}" / "vmlinux"
        build = self.kernel.parent
        files = [modules.build(build, module) for module in ("fixes", "orders")]
        self.initrd = modules.pack(programs.build(build, paths.BUILD / "guest-programs"), files, build,
                                   folder / "fixes.cpio.gz")
        # guest/hibernate.c, which no other test needs
        program = folder / "hibernate"
        subprocess.run(["cc", "-O2", "-Wall", "-Werror", "-static", "-s", "-o", program,
                        programs.SOURCE / "hibernate.c"], check=True)
        self.initrd.write_bytes(self.initrd.read_bytes() + modules.archive(
            [f"file /bin/hibernate {program} 0755 0 0"], build))

    def boot(self, *steps, delay_ms=100, cmdline=(), **arguments):
        return VM(self.kernel, self.initrd, steps=steps, cmdline=[*PATIENCE, f"{DELAY}={delay_ms}", *cmdline],
                  balloon=None, mem_mib=MEM_MIB, parallel=True, boot_deadline_s=240, run_deadline_s=600,
                  **arguments)

    def run(self, *steps, **arguments):
        with self.boot(*steps, **arguments) as vm:
            return vm.finish()

    def line_of_console(self, pattern, *steps, **arguments):
        """Run `steps` until there is such a line: its match."""
        with self.boot(*steps, **arguments) as vm:
            while True:
                vm.sleep(0.5)
                for line in vm.console:
                    if match := re.search(pattern, line):
                        return match

    def found(self, what, *before, **arguments):
        """What module/fixes.c found, by name."""
        load = ["module", "load", "fixes", f"what={what}"]
        load += [f"count={arguments.pop('count')}"] if "count" in arguments else []
        return self.tell(numbers_of(self.run(*before, load, SHOW, **arguments))[-1])

    def tell(self, numbers):
        """Show what was measured, and return it."""
        shown = [f"{name}={number}" for name, number in numbers.items() if number]
        print(f"\n{self.name}: {', '.join(shown)}", end=" ")
        return numbers


def given(*conditions):
    """What a test builds on: without it, the base would fail for another reason than the defect."""
    if not all(conditions):
        raise RuntimeError("the guest did not get to what is tested")


SHOW = ["module", "show", "fixes"]
DEVICE = ["module", "load", "fixes", "what=device"]
UNLOAD = ["module", "unload", "fixes"]


def numbers_of(result):
    """What each SHOW of a finished run found."""
    return [{name: int(value) for name, value in event.fields.items() if re.fullmatch(r"\d+", value)}
            for event in result.events if event.name == "module"]


@pytest.fixture(scope="module", params=[
    pytest.param("stock", marks=pytest.mark.xfail(strict=True, raises=AssertionError, reason="the defect")),
    "patched"])
def guest(request, tmp_path_factory):
    return Guest(request.param, tmp_path_factory.mktemp("fixes"))


def test_checkpatch(tmp_path):
    """Who sends the patches signs them off; PAGEFLAG() takes names in CamelCase."""
    for patch in sorted((paths.REPO / "fixes").glob("*.patch")):
        run = subprocess.run([paths.BASE_TREE / "scripts" / "checkpatch.pl", "--strict", "--no-signoff",
                              "--ignore=CAMELCASE", f"--root={paths.BASE_TREE}", patch],
                             cwd=tmp_path, capture_output=True, text=True, check=False)
        assert not run.returncode, f"{patch.name}: {run.stdout}{run.stderr}"


def test_0001_mark_keeps_hwpoison(guest):
    """memory_failure() sets PG_hwpoison without zone->lock, while the mark is set under it."""
    found = guest.found("hwpoison", count=2000, delay_ms=0)
    given(found["marks"] == 2000, found["sets"] > 2000)
    assert found["lost"] == 0


def test_0002_types_stay(guest):
    """Free pageblocks of the kernel's own types are still of these types once they are reported."""
    read = ["file", "read", "/proc/pagetypeinfo"]
    result = guest.run(["module", "load", "orders", "count=24"], ["module", "unload", "orders"],
                       read, DEVICE, read, SHOW)
    before, after = (types["Unmovable"] + types["Reclaimable"] for types in block_types(result))
    guest.tell({"own_before": before, "own_after": after})
    given(numbers_of(result)[0]["reported_pages"] > MOST, before >= 24)
    assert after == before


def test_0003_isolated_half_is_not_allocated(guest):
    """A pageblock that was isolated while the device had it is not there to be allocated."""
    found = guest.found("half")
    given(found["isolated_pages"] == 512)
    assert found["handed_out"] == 0


def test_0004_next_device_gets_all(guest):
    """What one device was given is reported to the next one again."""
    first, second = map(guest.tell, numbers_of(guest.run(DEVICE, SHOW, UNLOAD, DEVICE, SHOW)))
    given(first["reported_pages"] > MOST)
    assert second["reported_pages"] > 0.9 * first["reported_pages"]


def test_0005_all_is_reported_after_hibernation(guest, tmp_path):
    """Where an image goes on, the host may have none of what was reported before."""
    line = guest.line_of_console(r"hibernated: before=(\d+) after=(\d+)", DEVICE, ["hibernate"],
                                 cmdline=["resume=/dev/vda"], **disk(tmp_path))
    before, after = map(int, line.groups())
    guest.tell({"before": before, "after": after})
    given(before > MOST)
    assert after > 0.8 * before


def test_0006_errors_are_not_the_end(guest):
    """After the device refused reports for a while, all is reported, though nothing else asks for a pass."""
    found = guest.found("error")
    given(found["errors"] > 0)
    assert found["forgotten"] == 0
    assert found["reported_pages"] > MOST


def test_0007_short_zone_is_looked_at_again(guest):
    """A zone had too little free memory for a pass; then single pages are freed, none of which asks for one."""
    found = guest.found("short")
    given(found["passes"] > 0, found["short_pages"] == 0)
    assert found["forgotten"] == 0
    assert found["reported_pages"] > 0


def test_0008_no_allocation_in_a_pass(guest):
    """A pass works where an allocation would fail."""
    failslab = "/sys/kernel/debug/failslab/"
    found = guest.found("allocate", ["file", "write", failslab + "ignore-gfp-wait", "N"],
                        ["file", "write", failslab + "verbose", "0"])
    assert found["allocations"] == 0
    assert found["reported_pages"] > MOST


def test_0009_unaccepted_memory_is_not_free(guest):
    """What is accepted stays in the guest when it is too little; all is reported once it is enough."""
    found = guest.found("unaccepted")
    given(found["unaccepted_pages"] > MOST, found["reported_pages"] > MOST)
    assert found["unaccepted_reported"] == 0
