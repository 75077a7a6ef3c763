# SPDX-License-Identifier: GPL-2.0
"""The runner: it tells what happened to a guest, and never leaves a QEMU behind."""

import itertools
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from conftest import LAB
from lab import console, paths, programs, qemu, vm as vm_module
from lab.errors import (BadInput, BootTimeout, DirtyConsole, GuestDied, GuestError, LabError,
                        MissingTool, RunTimeout, StepFailed)

RUN = str(LAB / "run")
HOG = ["hog", "mem=32M", "limit=300"]


def gone(process, seconds=10):
    """Whether `process` ends within some seconds."""
    return process not in psutil.wait_procs([process], timeout=seconds)[1]


def start_run(tmp_path, *command):
    """A program that boots a guest, once the guest's hog is ready: (Popen, QEMU's process)."""
    env = dict(os.environ, TMPDIR=str(tmp_path))
    run = subprocess.Popen(command or [RUN, "--mem", "512M", "--", *HOG], env=env, text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for line in run.stdout:
        if "ready" in line:
            children = psutil.Process(run.pid).children()
            assert [child.name()[:11] for child in children] == ["qemu-system"]
            return run, children[0]
    pytest.fail(f"the guest did not get ready: {run.stderr.read()}")


@pytest.mark.parametrize("number, status", [
    (signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGKILL, -9)])
def test_signal_leaves_no_qemu(tmp_path, number, status):
    run, guest = start_run(tmp_path)
    run.send_signal(number)
    assert gone(guest)
    run.communicate(timeout=20)
    assert run.returncode == status
    assert not list(tmp_path.iterdir())


def test_crash_leaves_no_qemu(tmp_path):
    program = ("from lab import paths, programs\nfrom lab.vm import VM\n"
               f"with VM(paths.kernel(), programs.initramfs(), mem_mib=512, steps=[{HOG}]) as vm:\n"
               "    vm.wait_event('ready'); print('ready', flush=True)\n"
               "    input(); raise RuntimeError('crash')\n")
    command = ["env", "-C", str(LAB), sys.executable, "-c", program]
    run = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True,
                           env=dict(os.environ, TMPDIR=str(tmp_path)))
    assert run.stdout.readline() == "ready\n"
    guest, = psutil.Process(run.pid).children()
    _, stderr = run.communicate("\n", timeout=20)
    assert "RuntimeError: crash" in stderr
    assert gone(guest)
    assert not list(tmp_path.iterdir())


def test_good_run(boot):
    read = ["file", "read", "/proc/sys/kernel/ostype"]
    with boot(steps=[["hog", "mem=64M", "hold=host"], read]) as vm:
        vm.wait_event("ready")
        vm.send("go")
        freeing, freed = vm.wait_event("freeing"), vm.wait_event("freed")
        assert vm.wait_event("memfree").number("mib") > 512
        vm.send("quit")
        result = vm.finish()
    assert freeing.number("mib") == freed.number("mib") == 64
    assert freeing.t <= freed.t and freeing.number("t_ms") <= freed.number("t_ms")
    assert [event.fields["text"] for event in result.events if event.name == "value"] == ["Linux"]
    assert 0 < result.boot_s < result.wall_s
    assert result.minflt > 0 and result.cpu_s > 0 and result.release.startswith("6.")
    assert psutil.pid_exists(vm.pid) is False


def test_samples_often_enough(boot):
    """At least ten samples a second, also while the guest is busy."""
    with boot(steps=[["hog", "mem=512M"]]) as vm:
        vm.wait_event("freed")
        vm.sleep(2)
        times = [sample.t for sample in vm.samples]
        vm.send("quit")
        vm.finish()
    assert len(times) / (times[-1] - times[0]) >= 10
    gaps = sorted(b - a for a, b in itertools.pairwise(times))
    assert gaps[len(gaps) // 2] < 0.1


def test_kernel_that_never_starts(boot):
    start = time.monotonic()
    with pytest.raises(BootTimeout, match=r"boot.*within 2 s") as failure:
        boot(extra_args=["-S"], boot_deadline_s=2, accel="tcg").start()
    assert time.monotonic() - start < 30
    assert "(the console is empty)" in str(failure.value)
    assert not psutil.Process().children()


def test_exit_code_of_a_failed_guest():
    run = subprocess.run([RUN, "--mem", "512M", "--qemu-arg=-S", "--boot-deadline", "1"], text=True,
                         capture_output=True, timeout=60, env=dict(os.environ, ACCEL="tcg"))
    assert run.returncode == 1
    assert run.stderr.startswith("run: boot: the guest did not report 'boot' within 1 s")


def test_qemu_that_does_not_start(boot):
    with pytest.raises(GuestDied, match="-no-such-option"):
        boot(extra_args=["-no-such-option"], accel="tcg").start()


def test_panic_at_boot(boot):
    with pytest.raises(DirtyConsole, match="boot: the kernel panicked") as failure:
        boot(cmdline=["rdinit=/bin", "init=/bin"]).start()
    assert len(str(failure.value).splitlines()) > 20


def test_panic_in_a_program(boot):
    with pytest.raises(DirtyConsole, match="file: the kernel panicked") as failure:
        with boot(steps=[["file", "write", "/proc/sysrq-trigger", "c"]]) as vm:
            vm.finish()
    assert "sysrq_handle_crash" in str(failure.value)


def test_complaint_in_a_program(boot):
    """A waiting host wakes up at once, although the guest goes on, and says nothing else."""
    steps = [["hog", "mem=32M", "limit=5"], ["file", "write", "/dev/kmsg", "UBSAN:x"], HOG]
    with pytest.raises(DirtyConsole, match="UBSAN found undefined behaviour: .*UBSAN:x"):
        with boot(steps=steps, run_deadline_s=200) as vm:
            start = time.monotonic()
            vm.wait_event("nothing")
    assert time.monotonic() - start < 60


def test_guest_out_of_memory(boot):
    with pytest.raises(DirtyConsole, match="hog: the guest ran out of memory"):
        with boot(steps=[["hog", "mem=8G", "thp=never"]]) as vm:
            vm.finish()


def test_reset_is_no_power_off(boot):
    with pytest.raises(GuestDied, match="before the guest was done"):
        with boot(steps=[["file", "write", "/proc/sysrq-trigger", "b"]]) as vm:
            vm.finish()


def test_guest_that_never_ends(boot):
    with pytest.raises(RunTimeout, match="hog: the guest did not report 'done' within [123] s"):
        with boot(steps=[HOG], run_deadline_s=3) as vm:
            vm.wait_event("ready")
            vm.finish()


def test_event_that_never_comes(boot):
    with boot(steps=[HOG]) as vm:
        with pytest.raises(RunTimeout, match="'nothing' within 1 s"):
            vm.wait_event("nothing", 1)
        vm.send("quit")
        with pytest.raises(GuestDied, match="ended without reporting 'nothing'"):
            vm.wait_event("nothing")


@pytest.mark.parametrize("step, cause", [
    (["nosuch"], "nosuch: run nosuch: No such file or directory"),
    (["hog", "mem=abc"], "hog: argument 'mem=abc': give a size such as 512M or 3G"),
    (["file", "read", "/nosuch"], "file: read /nosuch: No such file or directory"),
    (["params", "expect", "order=7"], "params: it ended with status 1\n  # reads 9, expected 7"),
])
def test_failing_program(boot, step, cause):
    with pytest.raises(StepFailed) as failure:
        with boot(steps=[step, HOG]) as vm:
            vm.finish()
    assert str(failure.value).startswith(cause)


# One line per way in which a pattern may match; taken from real kernels.
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
    "BUG: sleeping function called from invalid context at mm/page_reporting.c:12",
    "BUG: Bad page state in process hog  pfn:12345",
    "BUG kmalloc-64 (Not tainted): Redzone overwritten",
    "WARNING: CPU: 0 PID: 7 at mm/page_reporting.c:12 page_reporting_drain+0x10/0x20",
    "hog invoked oom-killer: gfp_mask=0x140dca(GFP_HIGHUSER_MOVABLE), order=0, oom_score_adj=0",
    "Call Trace:",
]

HARMLESS = [
    "[    1.6] Free page reporting enabled",
    "page_reporting: 'abc' invalid for parameter `page_reporting_order'",
    "rcu: Hierarchical RCU implementation.",
    "rcu: INFO: everything is fine",
    "[    0.1] Kernel command line: console=ttyS0 -- file write /dev/kmsg UBSAN:x",
    "[    0.0] Command line: console=ttyS0 -- file write /dev/kmsg UBSAN:x",
    "Unknown kernel command line parameters \"x=UBSAN:\", will be passed to user space.",
    "Spectre V2 : WARNING: Unprivileged eBPF is enabled with eIBRS on",
    "Lock dependency validator: Copyright (c) 2006 Red Hat, Inc., Ingo Molnar",
    "ODEBUG: 0 of 0 active objects replaced",
    "kmemleak: Kernel memory leak detector initialized",
    "kasan: KernelAddressSanitizer initialized",
    "DEBUG: a line that only looks like a complaint",
    "random: crng init done",
    "    ok 7 page_reporting_warns_of_nothing",
    "# Subtest: page_reporting_BUGs",
]


@pytest.mark.parametrize("line", COMPLAINTS)
def test_complaint_is_seen(line):
    assert console.complaint(line)


@pytest.mark.parametrize("line", HARMLESS)
def test_harmless_line_is_not_a_complaint(line):
    assert console.complaint(line) is None


@pytest.mark.parametrize("pattern, reason", console.DIRTY)
def test_each_pattern_has_an_example_of_its_own(pattern, reason):
    """Without the pattern, some example would not be seen, or would be given another reason."""
    assert [line for line in COMPLAINTS if pattern.search(line)
            and console.complaint(line) == reason], pattern.pattern


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


def test_races_of_others_are_counted():
    ours, theirs = console.Judge(races="page_reporting"), console.Judge(races="no_such_function")
    assert complaints(ours, RACE) == ["KCSAN found a data race"] and ours.foreign == 0
    assert complaints(theirs, RACE + OOM[:1]) == ["the guest ran out of memory"] and theirs.foreign == 1
    assert complaints(console.Judge(), RACE)


def test_allowed_complaint_has_to_come(boot):
    with pytest.raises(GuestError, match="made only"):
        with boot(steps=[["hog", "mem=32M", "limit=1"]], allow=["oom-killer"]) as vm:
            vm.finish()


def with_path(tmp_path, script=None):
    """The environment with a PATH of tmp_path alone, in which QEMU is `script` or missing."""
    if script:
        fake = tmp_path / qemu.BINARY
        fake.write_text("#!/bin/sh\n" + script)
        fake.chmod(0o755)
        (tmp_path / "setpriv").symlink_to("/usr/bin/setpriv")
    return dict(os.environ, PATH=str(tmp_path), ACCEL="tcg", PR_INITRD=str(programs.initramfs()))


@pytest.mark.parametrize("script, message", [
    (None, "qemu-system-x86_64 is not installed: run `make setup`"),
    ("echo \"'$2' is not a valid device model name\" >&2; exit 1\n",
     "has no virtio-balloon-pci device"),
    ("echo 'virtio-balloon-pci options:'; echo '  deflate-on-oom=<bool>'\n",
     "has a virtio-balloon without free-page-reporting"),
])
def test_unfit_qemu(tmp_path, script, message):
    run = subprocess.run([RUN], env=with_path(tmp_path, script), text=True, capture_output=True,
                         timeout=60)
    assert run.returncode == 1
    assert message in run.stderr
    assert len(run.stderr.splitlines()) == 1


def test_missing_setpriv(tmp_path, monkeypatch):
    (tmp_path / qemu.BINARY).symlink_to("/bin/true")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingTool, match="setpriv"):
        qemu.find()


@pytest.mark.parametrize("choice, virtualizes, kvm_error, expected", [
    (None, True, None, ["kvm", "tcg"]), (None, False, None, ["tcg"]),
    (None, True, "No such file or directory", ["tcg"]), ("tcg", True, None, ["tcg"]),
    ("kvm", False, None, ["kvm"])])
def test_choice_of_accelerator(monkeypatch, choice, virtualizes, kvm_error, expected):
    monkeypatch.delenv("ACCEL", raising=False)
    monkeypatch.setattr(qemu, "cpu_virtualizes", lambda: virtualizes)
    monkeypatch.setattr(qemu, "kvm_error", lambda: kvm_error)
    assert qemu.choose_accel(choice) == expected
    if choice:
        monkeypatch.setenv("ACCEL", choice)
        assert qemu.choose_accel() == expected


@pytest.mark.parametrize("choice, message", [
    ("foo", "ACCEL=foo: give tcg or kvm"), ("kvm", "ACCEL=kvm: /dev/kvm: No such file")])
def test_bad_accelerator(monkeypatch, choice, message):
    monkeypatch.setattr(qemu, "kvm_error", lambda: "No such file or directory")
    monkeypatch.setenv("ACCEL", choice)
    with pytest.raises(BadInput, match=message):
        qemu.choose_accel()


def test_kvm_that_does_not_boot_falls_back(boot, monkeypatch, capsys):
    """One warning, then TCG; the next guest does not try KVM again."""
    real = qemu.command

    def broken_kvm(path, accel, *rest):
        command = real(path, "tcg", *rest)
        return command + ["-S"] if accel == "kvm" else command

    monkeypatch.setattr(qemu, "choose_accel", lambda *_: ["kvm", "tcg"])
    monkeypatch.setattr(qemu, "command", broken_kvm)
    monkeypatch.setattr(vm_module, "KVM_BOOT_DEADLINE_S", 2)
    monkeypatch.setattr(vm_module, "_given_up", set())
    for _ in range(2):
        with boot() as vm:
            assert vm.finish().accel == "tcg"
    warnings = capsys.readouterr().err.splitlines()
    assert len(warnings) == 1 and warnings[0].startswith("warning: kvm does not boot a guest here")


@pytest.mark.parametrize("arguments, message", [
    ({"steps": [["hog", "mem=1M x"]]}, "no blanks"),
    ({"steps": [["hog"] * 33]}, "the kernel takes 32"),
    ({"cmdline": ["x" * 2048]}, "the kernel takes 2047"),
    ({"balloon": "yes"}, "give on, off or None"),
])
def test_bad_arguments(boot, arguments, message):
    with pytest.raises(BadInput, match=message):
        boot(**arguments)


def test_missing_kernel():
    with pytest.raises(BadInput, match="/nosuch does not exist"):
        vm_module.VM("/nosuch", programs.initramfs())


def test_guest_programs_without_a_kernel(tmp_path):
    with pytest.raises(LabError, match=r"usr/gen_init_cpio is missing: build the guest kernel first"):
        programs.build(tmp_path / "nosuch", tmp_path / "out")


def test_guest_programs_are_built_once(tmp_path):
    archive = programs.build(paths.kernel().parent, tmp_path)
    before = archive.stat().st_mtime_ns
    assert programs.build(paths.kernel().parent, tmp_path).stat().st_mtime_ns == before


@pytest.mark.parametrize("arguments, message", [
    (["--mem", "1"], "run: --mem=1: not a size"), (["--smp", "0"], "run: --smp=0: give a whole number"),
    (["--", "hog", "+"], "run: program: each + stands between"),
])
def test_bad_command_line(arguments, message):
    run = subprocess.run([RUN, *arguments], text=True, capture_output=True, timeout=60)
    assert run.returncode == 2
    assert run.stderr.startswith(message) and len(run.stderr.splitlines()) == 1


def test_failure_of_the_runner_is_raised(boot, monkeypatch):
    """What goes wrong in the watching thread is not left to the deadline."""
    def broken(_self, _line):
        raise KeyError("name")

    monkeypatch.setattr("lab.process.Qemu._on_progress", broken)
    start = time.monotonic()
    with pytest.raises(GuestError, match="the runner itself failed: KeyError"):
        boot(steps=[["hog", "mem=64M", "limit=1"]]).start()
    assert time.monotonic() - start < 30


def test_guest_that_fails_under_kvm_is_a_failure(boot, monkeypatch):
    """Only an accelerator that starts nothing at all is given up for another."""
    monkeypatch.setattr(qemu, "choose_accel", lambda *_: ["tcg", "kvm"])
    with pytest.raises(DirtyConsole, match="boot: the kernel panicked"):
        boot(cmdline=["rdinit=/bin", "init=/bin"]).start()
