# SPDX-License-Identifier: GPL-2.0
"""A flush in a whole guest: when it returns, the host has the memory."""

import pytest

from lab import paths, programs
from lab.vm import VM

pytestmark = pytest.mark.product

FREE_MIB = 3072
# Nothing leaves by itself within an hour: what is gone, the flush has reported.
NO_PASS = "page_reporting.page_reporting_delay_ms=3600000"


def test_memory_is_back_when_a_flush_returns():
    """A guest frees 3 of 4 GiB: nothing leaves without a flush, and 95 % with one, which takes at most 3 s."""
    steps = [["hog", f"mem={FREE_MIB}M", "thp=always"], ["flush", "wait=0"]]
    with VM(paths.kernel(), programs.initramfs(), mem_mib=4096, steps=steps, cmdline=[NO_PASS]) as vm:
        freed = vm.wait_event("freed")
        vm.sleep(3)
        before = vm.samples[-1]
        vm.send("quit")
        after = vm.wait_event("flushed")
        vm.finish()
    assert before.rss_mib > freed.sample.rss_mib - 0.02 * FREE_MIB
    assert before.rss_mib - after.sample.rss_mib >= 0.95 * FREE_MIB
    assert after.number("took_ms") <= 3000
