# SPDX-License-Identifier: GPL-2.0
"""The bench's workloads around what a guest has of files: page cache, and the file of a snapshot.

As those of bench_runs, of which they are a part.
"""

import os
import subprocess
import tempfile
import time
from pathlib import Path

from . import files, paths, qmp
from .bench_runs import HOST_ROOT, PAGE_MIB, compile_list, follow, measured, watch
from .errors import LabError

FILE_MIB = 64
DAMON = ("enabled=Y", "skip_anon=Y",
         # By bytes in each second: a limit of CPU time is another one under TCG
         "quota_ms=0", "quota_sz=268435456",
         # Whatever is free: as it comes, it would work only while less than half of memory is
         "wmarks_high=1000", "wmarks_mid=999", "wmarks_low=0")


# cache

def disk(mib):
    """An ext2 file system with files of random data, made once."""
    image = paths.BUILD / f"files-{mib}.img"
    with files.locked(image.with_suffix(".lock")):
        if not image.is_file():
            with tempfile.TemporaryDirectory(dir=paths.BUILD) as folder:
                for number in range(mib // FILE_MIB):
                    (Path(folder) / f"{number}").write_bytes(os.urandom(FILE_MIB << 20))
                part = image.with_suffix(".part")
                part.unlink(missing_ok=True)
                subprocess.run(["/sbin/mke2fs", "-q", "-t", "ext2", "-d", folder, str(part), f"{mib * 11 // 10 + 8}M"],
                               check=True)
            part.replace(image)
    return image


def cache(boot, show, mib, rest_s, limit, damon_us=None):
    """Files read twice, a rest, and a third time: what stays of them, and what that costs.

    limit: as guest/cache.c has it; damon_us: what DAMON_RECLAIM takes for old
    """
    cmdline = [f"damon_reclaim.{word}" for word in (*DAMON, f"min_age={damon_us}")] if damon_us else []
    drive = ["-drive", f"file={disk(mib)},format=raw,if=virtio,readonly=on"]
    with boot(build="cache", steps=[["cache", "disk=/dev/vda", f"limit={limit}", f"rest={rest_s}"]], cmdline=cmdline,
              mem_mib=2 * mib, extra_args=drive, run_deadline_s=rest_s + 240) as vm:
        _, second, resting, rested, again, result = follow(vm, show, "read", "read", "resting", "rested", "read")
    figures = {"rested_mib": rested.sample.rss_mib, "read_s": second.number("took_ms") / 1000,
               "read_again_s": again.number("took_ms") / 1000, "disk_mib": again.number("disk_kib") / 1024,
               "refaulted_mib": again.number("refaults") * PAGE_MIB,
               "rest_cpu_s": rested.sample.cpu_s - resting.sample.cpu_s}
    return measured(result, figures, start=resting, end=again)


# snapshot

def migrate(monitor, path):
    """Write the file of a stopped guest: how long that takes."""
    began = time.monotonic()
    monitor.execute("migrate-set-parameters", **{"max-bandwidth": 1 << 40})
    monitor.execute("migrate", uri=f"exec:cat >{path}")
    while (status := monitor.execute("query-migrate"))["status"] not in ("completed", "failed"):
        time.sleep(0.05)
    if status["status"] == "failed":
        raise LabError(f"migrate to a file: {status.get('error-desc', 'failed')}")
    return time.monotonic() - began


def snapshot(boot, show, patterns, jobs, before, mem_mib=1024):
    """A build, then `before` as guest/snapshot.c has it, and the guest is stopped and written to a file.

    used_mib is all but free memory, with the kernel itself.
    """
    steps = [["compile", f"list={compile_list(patterns)}", f"jobs={jobs}", "tail=0"], ["snapshot", f"before={before}"]]
    with tempfile.TemporaryDirectory(prefix="page-reporting-snapshot-", dir=paths.BUILD) as folder, \
            boot(steps=steps, mem_mib=mem_mib, extra_args=[*HOST_ROOT, *qmp.arguments(f"{folder}/qmp")],
                 run_deadline_s=600) as vm, qmp.Monitor(f"{folder}/qmp") as monitor:
        ready = watch(vm, "ready", show)
        monitor.execute("stop")
        resident_mib, path = vm.samples[-1].rss_mib, Path(folder) / "image"
        took_s = migrate(monitor, path)
        size_mib = path.stat().st_size / (1 << 20)
        qmp.cont(monitor)
        vm.send("quit")
        result = vm.finish()
    used_mib = mem_mib - ready.number("free_kib") / 1024
    figures = {"size_mib": size_mib, "used_mib": used_mib, "size_per_used": size_mib / used_mib,
               "resident_mib": resident_mib, "prepare_s": ready.number("took_ms") / 1000, "write_s": took_s}
    lost = None if ready.number("known") else f"this kernel's flush does not know how to {before}"
    return measured(result, figures, start=ready, end=ready, lost=lost)


WORKLOADS = {workload.__name__: workload for workload in (cache, snapshot)}
