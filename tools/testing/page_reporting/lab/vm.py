# SPDX-License-Identifier: GPL-2.0
"""Boot a guest, follow it, and insist that it ends well.

    with VM(kernel, initrd, steps=[["hog", "mem=3072M", "thp=always"]]) as vm:
        freeing = vm.wait_event("freeing")
        ...
        vm.send("quit")
        result = vm.finish()

Leaving the block ends QEMU, however it is left; errors.take_signals() has SIGTERM leave it too, and
SIGKILL is covered by the kernel (see process.py).
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path

from . import arch, backing as backings, console, host, qemu
from .errors import BadInput, GuestDied, GuestError, RunTimeout
from .process import Qemu

# A KVM that hangs every guest does so at once: no need to wait as long as for TCG.
KVM_BOOT_DEADLINE_S = 20


@dataclass(frozen=True)
class Result:
    """A finished run. Times are seconds of the host's monotonic clock."""

    accel: str
    release: str | None         # the guest's kernel, if it said so
    boot_s: float               # from QEMU's start to the guest's first event
    wall_s: float               # from QEMU's start to its end
    minflt: int                 # QEMU's minor faults up to the last sample
    cpu_s: float                # QEMU's CPU time up to the last sample
    events: list
    samples: list
    console: list
    tap: list
    allowed: list               # complaints of the kernel that `allow` let pass


class VM:
    """A guest under QEMU.

    kernel, initrd: files; an initrd of None boots without one
    steps: the guest's programs in turn, each a list of words
    first: the guest's first event; another one than "boot" if it goes on where an image ended
    cmdline: parameters for the boot line
    mem_mib, smp: size; memory is not reserved on the host
    nodes: how many NUMA nodes the memory is in, with a CPU each
    backing: what backs the memory, "ram", "memfd", or a file that is mapped "shared" or "private",
        as backing.py describes
    backing_file: that file, as large as the memory
    machine: QEMU's board, if not that of the architecture
    balloon: "on" or "off" is its free-page-reporting; None is a guest without a balloon
    extra_args: more arguments for QEMU
    host_thp: whether QEMU gets huge pages of the host, where the host has any
    parallel: under TCG, run each CPU in a thread of its own. Not for a kernel with CONFIG_JUMP_LABEL:
        QEMU 7.2 may still run the int3 that stood in a static branch while another CPU patched
        it, and the guest oopses. Without it the CPUs take turns
    accel: "tcg", "kvm", or None for what ACCEL in the environment or the machine says
    boot_deadline_s: for that event
    run_deadline_s: from then on, for everything
    console_log: a file that gets a copy of the console
    allow, tolerate, races: those of console.Judge; each complaint that `allow` lets pass has to come
    """

    def __init__(self, kernel, initrd, *, steps=(), cmdline=(), mem_mib=4096, smp=2, balloon="on",
                 extra_args=(), host_thp=True, parallel=False, accel=None, boot_deadline_s=60, run_deadline_s=120,
                 console_log=None, allow=(), tolerate=(), races=None, first="boot", machine=None,
                 nodes=None, backing="ram", backing_file=None):
        if balloon not in ("on", "off", None):
            raise BadInput(f"balloon={balloon}: give on, off or None")
        for path in filter(None, (kernel, initrd)):
            if not Path(path).is_file():
                raise BadInput(f"start a guest: {path} does not exist: `make test` builds it")
        self.kernel, self.initrd = kernel, initrd
        self.mem_mib, self.smp, self.balloon = mem_mib, smp, balloon
        self.machine, self.nodes = machine, nodes
        self.backing = backings.choose(backing, backing_file, mem_mib, nodes)
        self.extra_args, self.host_thp, self.parallel = extra_args, host_thp, parallel
        self.arch = arch.of(kernel)
        self.boot_line = qemu.boot_line(cmdline, steps, self.arch)
        self._nr_steps = len(steps)
        self.boot_deadline_s, self.run_deadline_s = boot_deadline_s, run_deadline_s
        self.accel = None
        self._choice, self._console_log = accel, console_log
        self._allow, self._tolerate, self._races, self._first = allow, tolerate, races, first
        self._qemu = None
        self._returned = {}         # per event name, how many wait_event() has returned

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        """Boot the guest; returns with its first event."""
        path = qemu.find(self.arch)
        if self.balloon:
            qemu.check_balloon(path)
        try:
            qemu.with_any(qemu.choose_accel(self._choice, self.arch), lambda *how: self._boot(path, *how),
                          lambda: not self.console)
        except BaseException:
            self.stop()
            raise

    def _boot(self, path, accel, last):
        """Boot with one accelerator, of which there may be another one to try."""
        self.stop()         # what the one before has started
        deadline_s = self.boot_deadline_s if last else min(self.boot_deadline_s, KVM_BOOT_DEADLINE_S)
        self.accel = accel
        self._qemu = Qemu(lambda channel, console: qemu.command(path, accel, self, channel, console),
                          self._console_log, console.Judge(self._allow, self._races, self._tolerate),
                          self.backing.counted)
        self._run_end = time.monotonic() + deadline_s
        boot = self.wait_event(self._first)
        self._run_end = boot.t + self.run_deadline_s

    @property
    def events(self):
        return list(self._qemu.events)

    @property
    def samples(self):
        return list(self._qemu.samples)

    @property
    def console(self):
        return list(self._qemu.console)

    @property
    def progress(self):
        """The lines of the progress channel so far, events and TAP."""
        return list(self._qemu.progress)

    @property
    def done(self):
        """Whether the guest's programs are through."""
        return self._qemu.done

    @property
    def pid(self):
        return self._qemu.process.pid

    def huge_mib(self):
        """The guest's memory that the host has in huge pages now, in MiB; raises once QEMU has ended.

        Too dear for each sample: the kernel walks all of QEMU's page tables. Call it right after
        an event whose sample it goes with.
        """
        try:
            return host.sizes_mib(f"/proc/{self.pid}/smaps_rollup", self.backing.huge)
        except (FileNotFoundError, ProcessLookupError) as error:
            raise self._qemu.error(GuestDied, f"{self._qemu.step}: read QEMU's huge pages: QEMU has ended") from error

    def wait_event(self, name, timeout_s=None):
        """The next event `name` that was not yet returned; raises when the guest fails, ends or takes too long."""
        run, start = self._qemu, time.monotonic()
        deadline = self._run_end if timeout_s is None else min(self._run_end, start + timeout_s)
        with run.changed:
            while True:
                run.check()
                index = self._returned.get(name, 0)
                found = [event for event in run.events if event.name == name][index:]
                if found:
                    self._returned[name] = index + 1
                    # On a busy host, QEMU may have ended before its last event is read.
                    return found[0] if found[0].sample else replace(found[0], sample=run.samples[-1])
                if run.ended:
                    raise run.error(GuestDied, f"the guest ended without reporting '{name}'")
                left = deadline - time.monotonic()
                if left <= 0:
                    raise run.error(RunTimeout, f"{run.step}: the guest did not report '{name}' "
                                                f"within {deadline - start:.0f} s")
                run.changed.wait(left)

    def sleep(self, seconds):
        """Let the guest run, at most until it is done; raises when it fails or is out of time."""
        run = self._qemu
        with run.changed:
            run.changed.wait_for(lambda: run.check() or run.done, min(seconds, self._run_end - time.monotonic()))
            if time.monotonic() >= self._run_end:
                raise run.error(RunTimeout, f"{run.step}: not over {self.run_deadline_s} s after boot")

    def send(self, line):
        self._qemu.send(line)

    def finish(self):
        """Wait until the guest has powered off by itself, with a clean console: a Result."""
        done = self.wait_event("done")
        run = self._qemu
        with run.changed:
            if not run.changed.wait_for(lambda: run.ended, self._run_end - time.monotonic()):
                raise run.error(RunTimeout, f"{run.step}: the guest is still on {self.run_deadline_s} s after boot")
            run.check()
        if done.number("steps") != self._nr_steps:
            raise run.error(GuestError, f"{run.step}: the guest ran {done.number('steps')} programs "
                                        f"of {self._nr_steps}")
        if run.process.returncode or not any("reboot: Power down" in line for line in run.console):
            raise run.error(GuestDied, f"{run.step}: the guest did not power off by itself; QEMU "
                                       f"ended with status {run.process.returncode}")
        if len(run.judge.allowed) != len(self._allow):
            raise run.error(GuestError, f"{run.step}: of the complaints {self._allow} the kernel "
                                        f"made only {run.judge.allowed}")
        boot, last = run.events[0], run.samples[-1]
        return Result(accel=self.accel, release=boot.fields.get("release"), boot_s=boot.t - run.started,
                      wall_s=time.monotonic() - run.started, minflt=last.minflt, cpu_s=last.cpu_s, events=run.events,
                      samples=run.samples, console=run.console, tap=run.tap, allowed=run.judge.allowed)

    def stop(self):
        if self._qemu:
            self._qemu.stop()
