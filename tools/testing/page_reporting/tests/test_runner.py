# SPDX-License-Identifier: GPL-2.0
"""The runner: it tells what happened to a guest, and never leaves a QEMU behind."""

import concurrent.futures
import itertools
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from conftest import LAB, stand_in
from lab import host, paths, programs, qemu, vm as vm_module
from lab.errors import BadInput, DirtyConsole, GuestDied, GuestError, RunTimeout, StepFailed

RUN = [*LAB, "run"]
HOG = ["hog", "mem=32M", "limit=300"]


def start_run(tmp_path):
    """A program that boots a guest, once the guest's hog is ready: (Popen, QEMU's process)."""
    env = dict(os.environ, TMPDIR=str(tmp_path))
    # Under nohup, a hangup comes ignored.
    command = ["env", "--default-signal", *RUN, "--mem", "512M", "--", *HOG]
    run = subprocess.Popen(command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
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
    assert not psutil.wait_procs([guest], timeout=10)[1]
    run.communicate(timeout=20)
    assert run.returncode == status
    assert not list(tmp_path.iterdir())


def test_stop_ends_the_wait_of_another_thread(boot):
    """The runs of a bench are threads, which end together when it is interrupted."""
    with boot(steps=[HOG]) as vm, concurrent.futures.ThreadPoolExecutor(1) as pool:
        vm.wait_event("ready")
        waits = pool.submit(vm.sleep, 60)
        vm.stop()
        with pytest.raises(GuestDied, match="stopped"):
            waits.result(timeout=20)


def test_good_run(boot):
    """And at least ten samples a second, also while the guest is busy."""
    read = ["file", "read", "/proc/sys/kernel/ostype"]
    with boot(steps=[["hog", "mem=512M", "hold=host"], read]) as vm:
        vm.wait_event("ready")
        vm.send("go")
        freeing, freed = vm.wait_event("freeing"), vm.wait_event("freed")
        assert vm.wait_event("memfree").number("mib") > 512
        vm.send("quit")
        result = vm.finish()
    assert freeing.number("mib") == freed.number("mib") == 512
    assert freeing.t <= freed.t and freeing.number("t_ms") <= freed.number("t_ms")
    assert [event.fields["text"] for event in result.events if event.name == "value"] == ["Linux"]
    assert 0 < result.boot_s < result.wall_s
    assert result.minflt > 0 and result.cpu_s > 0 and result.release.startswith(paths.BASE)
    assert psutil.pid_exists(vm.pid) is False
    times = [sample.t for sample in result.samples]
    gaps = sorted(b - a for a, b in itertools.pairwise(times))
    assert len(times) / (times[-1] - times[0]) >= 10 and gaps[len(gaps) // 2] < 0.1


def test_kernel_that_never_starts(boot):
    start = time.monotonic()
    with pytest.raises(RunTimeout, match=r"boot.*within 2 s") as failure:
        boot(extra_args=["-S"], boot_deadline_s=2, accel="tcg").start()
    assert time.monotonic() - start < 30
    assert "(the console is empty)" in str(failure.value)
    children = [child for child in psutil.Process().children() if child.name().startswith("qemu")]
    assert not psutil.wait_procs(children, timeout=10)[1]


def test_qemu_that_does_not_start(boot):
    with pytest.raises(GuestDied, match="-no-such-option"):
        boot(extra_args=["-no-such-option"], accel="tcg").start()


def test_panic(boot):
    with pytest.raises(DirtyConsole, match="boot: the kernel panicked") as failure:
        boot(cmdline=["rdinit=/bin", "init=/bin"]).start()
    assert len(str(failure.value).splitlines()) > 20
    with pytest.raises(DirtyConsole, match="file: the kernel panicked.*sysrq triggered crash") as failure:
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


def test_what_never_comes(boot):
    with boot(steps=[HOG]) as vm:
        with pytest.raises(RunTimeout, match="'nothing' within 1 s"):
            vm.wait_event("nothing", 1)
        vm.send("quit")
        with pytest.raises(GuestDied, match="ended without reporting 'nothing'"):
            vm.wait_event("nothing")
    with pytest.raises(RunTimeout, match="hog: the guest did not report 'done' within [123] s"):
        with boot(steps=[HOG], run_deadline_s=3) as vm:
            vm.wait_event("ready")
            vm.finish()


def test_failing_program(boot):
    for step, cause in ((["nosuch"], "nosuch: run nosuch: No such file or directory"),
                        (["hog", "mem=abc"], "hog: argument 'mem=abc': give a size such as 512M or 3G"),
                        (["params", "expect", "order=7"], "params: it ended with status 1\n  # reads 9, expected 7"),
                        (["top", "churn", "mem=16M"], "one of for=S and count=N are needed"),
                        (["memory", "every=9", "churn", "nosuch=1"], "options are mem, pause")):
        with pytest.raises(StepFailed) as failure:
            with boot(steps=[step, HOG]) as vm:
                vm.finish()
        assert cause in str(failure.value).split("\nThe end of")[0]


def test_allowed_complaint_has_to_come(boot):
    with pytest.raises(GuestError, match="made only"):
        with boot(steps=[["hog", "mem=32M", "limit=1"]], allow=["oom-killer"]) as vm:
            vm.finish()


def test_unfit_qemu(tmp_path):
    for script, message in (
            (None, "qemu-system-x86_64 is not installed: run `make setup`"),
            ("echo \"'$2' is not a valid device model name\" >&2; exit 1\n", "has no virtio-balloon-pci device"),
            ("echo 'virtio-balloon-pci options:'; echo '  deflate-on-oom=<bool>'\n",
             "has a virtio-balloon without free-page-reporting")):
        if script:
            stand_in(tmp_path / qemu.BINARY, script)
            stand_in(tmp_path / "setpriv", "exec /usr/bin/setpriv \"$@\"")
        run = subprocess.run([*RUN, "--initrd", programs.initramfs()], text=True, capture_output=True, timeout=60,
                             env=dict(os.environ, PATH=str(tmp_path), ACCEL="tcg"))
        assert run.returncode == 1 and message in run.stderr and len(run.stderr.splitlines()) == 1


def test_kvm_that_does_not_boot_falls_back(boot, monkeypatch, capsys):
    """One warning, then TCG; the next guest does not try KVM again."""
    real = qemu.command

    def broken_kvm(path, accel, *rest):
        command = real(path, "tcg", *rest)
        return command + ["-S"] if accel == "kvm" else command

    monkeypatch.setattr(qemu, "choose_accel", lambda *_: ["kvm", "tcg"])
    monkeypatch.setattr(qemu, "command", broken_kvm)
    monkeypatch.setattr(vm_module, "KVM_BOOT_DEADLINE_S", 2)
    monkeypatch.setattr(qemu, "_given_up", set())
    for _ in range(2):
        with boot() as vm:
            assert vm.finish().accel == "tcg"
    warnings = capsys.readouterr().err.splitlines()
    assert len(warnings) == 1 and warnings[0].startswith("warning: kvm does not boot a guest here")


def test_bad_arguments(boot):
    for arguments, message in (({"steps": [["hog", "mem=1M x"]]}, "no blanks"),
                               ({"steps": [["hog"] * 33]}, "the kernel takes 32"),
                               ({"cmdline": ["x" * 2048]}, "the kernel takes 2047"),
                               ({"balloon": "yes"}, "give on, off or None"),
                               ({"backing": "file"}, "backing=file: give ram, memfd, shared, private"),
                               ({"backing": "memfd", "backing_file": "/dev/null"}, "takes no backing_file"),
                               ({"backing": "private"}, "backing_file=None is no file"),
                               ({"backing": "shared", "backing_file": "/nosuch"}, "/nosuch is no file"),
                               ({"backing": "shared", "backing_file": __file__}, "bytes, the guest 1073741824"),
                               ({"backing": "shared", "backing_file": __file__, "nodes": 2}, "2 NUMA nodes")):
        with pytest.raises(BadInput, match=message):
            boot(**arguments)
    with pytest.raises(BadInput, match="/nosuch does not exist"):
        vm_module.VM("/nosuch", programs.initramfs())


def resident_parts(pid):
    """RssAnon, RssFile and RssShmem of a process, in MiB."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    return tuple(int(re.search(rf"^Rss{part}:\s+(\d+) kB", text, re.M)[1]) / 1024 for part in ("Anon", "File", "Shmem"))


@pytest.mark.parametrize("backing, parts", [("ram", (0,)), ("memfd", (2,)), ("shared", (1, 2)), ("private", (0, 1))])
def test_sample_counts_the_guests_memory(boot, tmp_path, backing, parts):
    """Whatever backs it, and none of TCG's translations."""
    arguments = {"backing": backing}
    if backing in ("shared", "private"):
        # QEMU takes a comma in a name for the end of it.
        arguments["backing_file"] = tmp_path / "ram,file"
        with open(arguments["backing_file"], "wb") as file:
            file.truncate(1 << 30)
    with boot(steps=[["hog", "mem=512M", "hold=host"]], balloon="off", accel="tcg", **arguments) as vm:
        booted_mib = vm.events[0].sample.rss_mib
        ready_mib = vm.wait_event("ready").sample.rss_mib
        resident = resident_parts(vm.pid)
        in_memfd = "memfd:tcg-jit" in Path(f"/proc/{vm.pid}/maps").read_text(encoding="utf-8")
        vm.send("go")
        vm.send("quit")
        vm.finish()
    print(f"booted {booted_mib:.0f}, ready {ready_mib:.0f} MiB, of QEMU's {resident}")
    assert abs(ready_mib - booted_mib - 512) < 40
    assert abs(ready_mib - sum(resident[part] for part in parts)) < 10
    assert sum(resident) - ready_mib > 40
    assert in_memfd is (0 in parts), "translations are where the guest's memory is"


def test_huge_pages_of_a_guest(boot):
    """As the kernel has them while QEMU runs, and one message once it has ended."""
    with boot(steps=[["hog", "mem=256M", "thp=always", "hold=host"]], balloon="off") as vm:
        vm.wait_event("ready")
        rollup = Path(f"/proc/{vm.pid}/smaps_rollup").read_text(encoding="ascii")
        of_kernel, huge = int(re.search(r"AnonHugePages: +(\d+)", rollup)[1]) / 1024, vm.huge_mib()
        vm.send("go")
        vm.send("quit")
        vm.finish()
        with pytest.raises(GuestDied, match="huge pages: QEMU has ended"):
            vm.huge_mib()
    assert abs(huge - of_kernel) <= 32
    assert huge > 200 or host.no_huge_pages_reason()


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
