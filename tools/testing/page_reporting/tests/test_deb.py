# SPDX-License-Identifier: GPL-2.0
"""The package's boot: which package, the userland and what it is made from, the domain, the verdict.

The package itself, its userland and its boot take most of an hour: `make deb` is their test.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET

import pytest

from conftest import LAB, load_program
from lab import domain, image, paths
from lab.errors import BadInput, GuestDied, LabError, MissingTool, RunTimeout

deb = load_program("deb")
UP = {"state": "running", "init": "systemd", "balloons": "1", "device": "virtballoon_free_page_report",
      "release": "6.12.0"}
FIGURES = {"settled_mib": 300, "taken_mib": 1330, "done_mib": 310, "returned_pct": 99.6, "doctor": "0",
           "complaints": []}
DISK_KIB = 4096


def touch(*files):
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"package " + file.name.encode())


# Which package

@pytest.fixture
def build(tmp_path, monkeypatch):
    """A build directory of the test's own, where the kernel's makefiles leave packages."""
    monkeypatch.setattr(paths, "BUILD", tmp_path)
    return tmp_path


def test_new_package_replaces_the_old_one(build):
    out = build / "deb"
    touch(out / "linux-image-6.12.1_6.12.1-1_amd64.deb", build / "linux-image-6.12.1_6.12.1-2_amd64.deb",
          out / "linux-upstream_6.12.1-1_amd64.changes", build / "linux-upstream_6.12.1-2_amd64.changes")
    found = deb.find_package(out)
    assert found == out / "linux-image-6.12.1_6.12.1-2_amd64.deb"
    assert sorted(path.name for path in out.iterdir()) == [found.name, "linux-upstream_6.12.1-2_amd64.changes"]
    assert sorted(path.name for path in build.iterdir()) == ["deb"]


def test_new_release_replaces_the_old_one(build):
    out = build / "deb"
    touch(out / "linux-image-6.12.1_6.12.1-1_amd64.deb", build / "linux-image-6.12.2_6.12.2-1_amd64.deb")
    assert deb.find_package(out).name == "linux-image-6.12.2_6.12.2-1_amd64.deb"


def test_package_is_found_again(build):
    touch(build / "linux-image-6.12.1_6.12.1-2_amd64.deb")
    assert deb.find_package(build / "deb") == deb.find_package(build / "deb")


def test_newest_of_two_builds_is_taken(build):
    """The first one was interrupted before it was moved."""
    first, second = build / "linux-image-6.12.2_6.12.2-1_amd64.deb", build / "linux-image-6.12.1_6.12.1-2_amd64.deb"
    touch(first, second, build / "linux-libc-dev_6.12.2-1_amd64.deb")
    os.utime(first, (0, 0))
    assert deb.find_package(build / "deb").name == second.name
    assert [path.name for path in build.glob("**/*.*")] == [second.name]


def test_interrupted_move_goes_on(build, monkeypatch):
    names = ["linux-headers-6.12.1_6.12.1-2_amd64.deb", "linux-image-6.12.1_6.12.1-2_amd64.deb",
             "linux-libc-dev_6.12.1-2_amd64.deb", "linux-upstream_6.12.1-2_amd64.changes"]
    for moves in range(len(names)):
        touch(build / "deb" / "linux-image-6.12.0_6.12.0-1_amd64.deb", *(build / name for name in names))
        left, move = moves, shutil.move

        def interrupted(path, target):
            nonlocal left
            if not left:
                raise KeyboardInterrupt
            left -= 1
            return move(path, target)
        monkeypatch.setattr(shutil, "move", interrupted)
        with pytest.raises(KeyboardInterrupt):
            deb.find_package(build / "deb")
        monkeypatch.undo()
        monkeypatch.setattr(paths, "BUILD", build)
        assert deb.find_package(build / "deb").name == names[1]
        assert sorted(path.name for path in (build / "deb").iterdir()) == names
        shutil.rmtree(build / "deb")


@pytest.mark.parametrize("names", [(), ("linux-image-6.12.1_1_amd64.deb", "linux-image-6.12.2_1_amd64.deb")])
def test_not_one_package(build, names):
    touch(*(build / "deb" / name for name in names))
    with pytest.raises(BadInput, match=f"{len(names)} packages .*not one: .*make deb"):
        deb.find_package(build / "deb")


@pytest.mark.parametrize("words, variables, reason", [
    (("--package", "/nowhere.deb"), {}, "--package /nowhere.deb: no such file"),
    ((), {"ACCEL": "foo"}, "ACCEL=foo: give tcg or kvm"),
])
def test_bad_input_starts_nothing(words, variables, reason, tmp_path):
    out = tmp_path / "out"
    done = subprocess.run([sys.executable, LAB / "deb", "--out", out, *words], env=os.environ | variables,
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and reason in done.stderr and "Traceback" not in done.stderr
    assert not out.exists()


# The package of page-reporting

@pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="dpkg-deb is a program of Debian")
def test_tools_package(tmp_path):
    touch(tmp_path / "out" / "linux-page-reporting-tools_0-1_amd64.deb")
    subprocess.run([paths.REPO / "scripts" / "tools-package", tmp_path / "out"], check=True, timeout=300)
    package, = (tmp_path / "out").iterdir()
    fields = subprocess.run(["dpkg-deb", "--field", package], capture_output=True, text=True, check=True).stdout
    assert "Package: linux-page-reporting-tools\n" in fields and "Version: 0-1\n" not in fields
    assert deb.version_of(package) in fields
    subprocess.run(["dpkg-deb", "--extract", package, tmp_path / "root"], check=True)
    done = subprocess.run([tmp_path / "root/usr/sbin/page-reporting", "--help"], capture_output=True, text=True,
                          check=True)
    assert done.stdout.startswith("page-reporting [--json] COMMAND")


def test_tools_package_without_a_tree(tmp_path):
    (tmp_path / "scripts").mkdir()
    shutil.copy(paths.REPO / "scripts" / "tools-package", tmp_path / "scripts")
    done = subprocess.run([tmp_path / "scripts" / "tools-package"], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "run 'make tree' first" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["scripts"]


# The userland

@pytest.fixture
def debootstrap(tmp_path, monkeypatch):
    """A stand-in for mmdebstrap: call() says what it does; it notes its arguments in `calls`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    calls = tmp_path / "calls"

    def call(script):
        (folder / "mmdebstrap").write_text(f'#!/bin/sh\necho "$@" >>{calls}\n{script}\n')
        (folder / "mmdebstrap").chmod(0o755)

    def good():
        # Its last words are the suite, the disk and the files of sources.
        call('for word; do case $word in *.part) disk=$word ;; esac; done\n'
             f'echo "I: extracting archives..." >&2; /sbin/mke2fs -q -t ext2 "$disk" {DISK_KIB}k')

    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr(image, "SIZE_MIB", 8)
    monkeypatch.setattr(image, "sources", lambda: [])
    debootstrap.call, debootstrap.good = call, good
    debootstrap.calls = lambda: calls.read_text().splitlines() if calls.exists() else []
    return debootstrap


@pytest.fixture
def package(tmp_path):
    touch(tmp_path / "linux-image-1_1_amd64.deb")
    return tmp_path / "linux-image-1_1_amd64.deb"


def test_disk_is_made_once_for_a_package(debootstrap, package, tmp_path, capsys):
    debootstrap.good()
    out = tmp_path / "out"
    disk = image.make(package, out)
    assert disk.stat().st_size == 8 << 20
    assert "extracting archives" in capsys.readouterr().out
    assert image.make(package, out) == disk and len(debootstrap.calls()) == 1
    package.write_bytes(b"another")
    image.make(package, out)
    assert len(debootstrap.calls()) == 2


def test_disk_has_the_package_and_the_service(debootstrap, package, tmp_path):
    debootstrap.good()
    image.make(package, tmp_path / "out")
    call = debootstrap.calls()[0]
    assert f"upload {package}" in call and f"dpkg --install /tmp/{package.name}" in call
    assert "systemctl -q enable page-reporting-demo.service" in call and "systemd-sysv" in call


def test_disk_has_the_tools_that_lie_beside_the_package(debootstrap, package, tmp_path):
    debootstrap.good()
    tools = tmp_path / "linux-page-reporting-tools_1-1_amd64.deb"
    image.make(package, tmp_path / "out")
    assert tools.name not in debootstrap.calls()[0]
    touch(tools)
    image.make(package, tmp_path / "out")
    assert f"dpkg --install /tmp/{package.name}" in debootstrap.calls()[1]
    assert f"dpkg --install /tmp/{tools.name}" in debootstrap.calls()[1]


def test_failed_userland_leaves_no_disk(debootstrap, package, tmp_path):
    debootstrap.call('echo "E: dpkg failed" >&2; exit 25')
    with pytest.raises(LabError, match="mmdebstrap failed.*\n.*E: dpkg failed"):
        image.make(package, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mmdebstrap.log"]


def test_interrupted_userland_leaves_no_disk_and_no_process(debootstrap, package, tmp_path):
    debootstrap.call(f'for word; do case $word in *.part) : >"$word" ;; esac; done\n'
                     f'echo $$ >{tmp_path}/pid; echo "I: downloading packages" >&2; exec sleep 60')
    program = ("import sys; from pathlib import Path; from lab import image; from lab.vm import exit_on_signals\n"
               "exit_on_signals(); image.sources = lambda: []\n"
               "image.make(Path(sys.argv[1]), Path(sys.argv[2]))")
    child = subprocess.Popen([sys.executable, "-c", program, package, tmp_path / "out"], cwd=LAB,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    while "downloading" not in child.stdout.readline():
        pass
    child.terminate()
    assert child.wait(timeout=20) != 0
    assert not (tmp_path / "out" / "disk.part").exists() and not (tmp_path / "out" / "disk.img").exists()
    assert not os.path.exists(f"/proc/{(tmp_path / 'pid').read_text().strip()}")


def test_userland_that_is_too_large(debootstrap, package, tmp_path, monkeypatch):
    debootstrap.good()
    monkeypatch.setattr(image, "SIZE_MIB", 2)
    with pytest.raises(LabError, match="it takes 4 MiB, more than the 2 of the disk"):
        image.make(package, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mmdebstrap.log"]


def test_kernel_that_is_cut_short(tmp_path, monkeypatch):
    def tool(_name, _flag, command, _disk):
        if command.startswith("ls"):
            return "/12/100644/0/0/vmlinuz-6.12/4096/\n"
        (tmp_path / "vmlinuz.part").write_bytes(b"x" * 4095)
        return "dump: No space left on device\n"
    monkeypatch.setattr(image, "tool", tool)
    with pytest.raises(LabError, match="read /boot/vmlinuz-6.12 .*not all of its 4096 bytes: dump: No space"):
        image.installed_kernel(tmp_path / "disk", tmp_path)
    assert list(tmp_path.iterdir()) == []


class Accelerators:
    """A boot() that fails with some, with or without a word on the console."""

    def __init__(self, monkeypatch, out, failing, said=""):
        self.tried, self.failing, self.said, self.out = [], failing, said, out
        monkeypatch.setattr(deb, "boot", self)

    def __call__(self, _kernel, _disk, accel, _out):
        self.tried.append(accel)
        (self.out / "console.log").write_text(self.said)
        if accel in self.failing:
            raise LabError(f"{accel} hangs")
        return UP, FIGURES


def test_accelerator_that_hangs_is_left(monkeypatch, tmp_path, capsys):
    boots = Accelerators(monkeypatch, tmp_path, ["kvm"])
    assert deb.boot_with_any(None, None, ["kvm", "tcg"], tmp_path) == (UP, FIGURES)
    assert boots.tried == ["kvm", "tcg"] and "kvm does not boot a guest here (kvm hangs)" in capsys.readouterr().err


@pytest.mark.parametrize("failing, said", [(["kvm"], "Kernel panic"), (["kvm", "tcg"], "")])
def test_kernel_that_fails_is_not_the_accelerators_fault(monkeypatch, tmp_path, failing, said):
    boots = Accelerators(monkeypatch, tmp_path, failing, said)
    with pytest.raises(LabError):
        deb.boot_with_any(None, None, ["kvm", "tcg"], tmp_path)
    assert boots.tried == failing


def test_missing_mmdebstrap(package, tmp_path, monkeypatch):
    monkeypatch.setattr(image, "sources", lambda: [])
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingTool, match="mmdebstrap is not installed: run `make deb`"):
        image.make(package, tmp_path / "out")


def test_no_package_sources(monkeypatch, tmp_path):
    monkeypatch.setattr(image, "SOURCES", (tmp_path / "sources.list", tmp_path / "sources.list.d"))
    with pytest.raises(LabError, match="no package sources"):
        image.sources()
    touch(tmp_path / "sources.list.d" / "debian.sources", tmp_path / "sources.list.d" / "old.save")
    assert image.sources() == [tmp_path / "sources.list.d" / "debian.sources"]


@pytest.mark.parametrize("kernels", [("vmlinuz-6.12.1",), (), ("vmlinuz-6.12.1", "vmlinuz-6.12.2")])
def test_kernel_is_read_from_the_disk(kernels, tmp_path):
    disk = tmp_path / "disk.img"
    subprocess.run(["/sbin/mke2fs", "-q", "-t", "ext2", disk, f"{DISK_KIB}k"], check=True, capture_output=True)
    commands = ["mkdir /boot"] + [f"write {__file__} /boot/{name}" for name in (*kernels, "System.map")]
    for command in commands:
        subprocess.run(["/sbin/debugfs", "-w", "-R", command, disk], check=True, capture_output=True)
    if len(kernels) != 1:
        with pytest.raises(LabError, match=f"has {len(kernels)} kernels in /boot, not one"):
            image.installed_kernel(disk, tmp_path)
        return
    kernel = image.installed_kernel(disk, tmp_path)
    assert kernel.name == kernels[0]
    assert kernel.read_text(encoding="utf-8") == open(__file__, encoding="utf-8").read()


# The domain

@pytest.mark.parametrize("accel, kind", [("kvm", "kvm"), ("tcg", "qemu")])
def test_domain_is_the_documented_one(accel, kind, tmp_path):
    xml = domain.adapt(domain.documented_xml(), tmp_path / "vmlinuz", tmp_path / "disk", tmp_path / "console",
                       "extra", accel)
    documented, root = ET.fromstring(domain.documented_xml()), ET.fromstring(xml)
    assert root.get("type") == kind
    assert root.find("devices/memballoon").attrib == {"model": "virtio", "freePageReporting": "on"}
    assert root.find("os/kernel").text == str(tmp_path / "vmlinuz")
    assert root.find("os/cmdline").text == documented.find("os/cmdline").text + " extra"
    assert root.find("devices/disk/source").get("file") == str(tmp_path / "disk")
    assert root.find("devices/serial/source").get("path") == str(tmp_path / "console")
    assert {el.tag for el in documented.iter()} == {el.tag for el in root.iter()}


class FakeSession:
    """virsh, as far as a domain calls it; the guest is off once `on` is False."""

    def __init__(self, folder):
        self.folder, self.on, self.calls = folder, True, []
        self.answer, self.listed = "actual 2097152\nrss 524288\n\n", 0

    def virsh(self, *words):
        self.calls.append(words)
        if words[0] == "list":
            self.listed -= 1
            return f"{domain.NAME}\n\n" if self.on or self.listed >= 0 else "\n"
        if not self.on or not self.answer:
            raise LabError("virsh dommemstat: it does not say")
        return self.answer


@pytest.fixture
def guest(tmp_path):
    return domain.Domain(FakeSession(tmp_path), "<domain/>", tmp_path / "console.log")


def test_events_and_memory_of_a_domain(guest, tmp_path):
    (tmp_path / "console.log").write_text("[ 1.0] Linux\r\npage-reporting-demo: event=up state=running "
                                          "release=6.12\r\npage-reporting-demo: event=taken\r\n")
    seen = []
    assert guest.wait("up", 5, seen.append) == {"event": "up", "state": "running", "release": "6.12"}
    assert guest.sample().rss_mib == 512
    assert guest.wait("taken", 5, seen.append) == {"event": "taken"}


def test_half_a_line_is_no_event_yet(guest, tmp_path):
    (tmp_path / "console.log").write_text("page-reporting-demo: event=up state=running rel")
    assert guest.events() == {}
    (tmp_path / "console.log").write_text("page-reporting-demo: event=up state=running release=6.12\r\n")
    assert guest.events() == {"up": {"event": "up", "state": "running", "release": "6.12"}}


def test_memory_is_looked_at_after_the_event(guest, tmp_path):
    (tmp_path / "console.log").write_text("page-reporting-demo: event=taken\n")
    seen = []
    guest.wait("taken", 5, seen.append)
    assert [sample.rss_mib for sample in seen] == [512]


def test_domain_that_says_nothing_is_timed_out(guest, tmp_path):
    (tmp_path / "console.log").write_text("Kernel panic\n")
    began, seen = time.monotonic(), []
    with pytest.raises(RunTimeout, match="(?s)'up': not within 0.5 s.*Kernel panic"):
        guest.wait("up", 0.5, seen.append)
    assert seen and time.monotonic() - began < 5


def test_domain_that_is_off_has_died(guest, tmp_path):
    (tmp_path / "console.log").write_text("reboot: Power down\n")
    guest._session.on, guest._session.listed = False, 2
    with pytest.raises(GuestDied, match="(?s)'up': the guest is off.*Power down"):
        guest.wait("up", 5, lambda sample: None)


@pytest.mark.parametrize("answer, said", [("", "it does not say"), ("actual 2097152\n", "no rss in: actual 2097152")])
def test_libvirt_that_fails_is_no_guest_that_is_off(guest, answer, said, monkeypatch):
    monkeypatch.setattr(domain, "GONE_S", 0.5)
    guest._session.answer = answer
    with pytest.raises(LabError, match=f"^virsh dommemstat: {said}"):
        guest.wait("up", 5, lambda sample: None)


def test_missing_libvirt(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(MissingTool, match="libvirtd or virsh is not installed: run `make deb`"):
        domain.Session().__enter__()


libvirt = pytest.mark.skipif(not (shutil.which("libvirtd", path="/usr/sbin:/usr/bin") and shutil.which("virsh")),
                             reason="libvirt is installed by `make deb`")


@libvirt
def test_guest_of_libvirt_is_on_and_then_off(tmp_path):
    """Of ours, and without a disk to boot from, which it need not come to."""
    touch(tmp_path / "disk")
    with domain.Session() as session:
        log = session.folder / "console.log"
        kernel, disk = session.copy_in(paths.kernel()), session.copy_in(tmp_path / "disk")
        started = domain.Domain(session, domain.adapt(domain.documented_xml(), kernel, disk, log, "", "tcg"), log)
        assert started.sample().rss_mib > 1
        session.virsh("destroy", domain.NAME)
        assert started.sample() is None


@libvirt
def test_session_serves_and_leaves_nothing_behind():
    with domain.Session() as session:
        folder, daemon = session.folder, session._daemon
        assert "hvm" in session.virsh("capabilities")
        with pytest.raises(LabError, match="virsh dominfo: .*page-reporting"):
            session.virsh("dominfo", domain.NAME)
    assert not folder.exists() and daemon.returncode is not None


def test_second_signal_does_not_keep_the_guest(tmp_path):
    """It comes while virsh ends the guest."""
    (tmp_path / "bin").mkdir()
    for name, script in {
            "libvirtd": 'mkdir -p "$XDG_RUNTIME_DIR/libvirt"; : >"$XDG_RUNTIME_DIR/libvirt/libvirt-sock"; exec sleep 60',
            "virsh": f'case " $* " in *" destroy "*) : >{tmp_path}/there; sleep 1; : >{tmp_path}/destroyed;; esac'}.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    program = ("import shutil, sys, time; from lab import domain; from lab.vm import exit_on_signals\n"
               "exit_on_signals(); which = shutil.which\n"
               f"shutil.which = lambda name, path=None: which(name, path='{tmp_path}/bin')\n"
               "domain.Session._as_user = lambda self: []\n"
               f"domain.Session._env = lambda self: {{'PATH': '{tmp_path}/bin:/usr/bin:/bin',"
               "'XDG_RUNTIME_DIR': str(self._folder)}\n"
               "with domain.Session() as session:\n"
               "    print(session.folder, session._daemon.pid, flush=True); time.sleep(60)\n")
    child = subprocess.Popen([sys.executable, "-c", program], cwd=LAB, stdout=subprocess.PIPE, text=True)
    folder, daemon = child.stdout.readline().split()
    child.terminate()
    deadline = time.monotonic() + 20
    while not (tmp_path / "there").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    child.terminate()
    assert child.wait(timeout=20) == 128 + signal.SIGTERM
    assert (tmp_path / "destroyed").exists() and not os.path.exists(folder) and not os.path.exists(f"/proc/{daemon}")


# The verdict

def test_console_is_read_for_complaints():
    text = "[ 0.1] Linux\r\n[ 1.0] WARNING: CPU: 0 PID: 1 at mm/page_alloc.c:1\r\nvm login: \r\n"
    assert deb.complaints(text) == ["[ 1.0] WARNING: CPU: 0 PID: 1 at mm/page_alloc.c:1"]


def test_good_verdict():
    assert deb.verdict(UP, FIGURES) == []


@pytest.mark.parametrize("up, figures, reason", [
    ({"state": "degraded"}, {}, "systemd is degraded, not running"),
    ({"init": "init"}, {}, "process 1 is init"),
    ({"balloons": "0"}, {}, "0 devices are bound to virtio_balloon"),
    ({"device": "none"}, {}, "reports go to none"),
    ({}, {"taken_mib": 1000}, "the guest took 700 MiB, not 1024"),
    ({}, {"doctor": "127"}, "page-reporting doctor ended with status 127"),
    ({}, {"complaints": ["WARNING: CPU: 0"]}, "the kernel complained: WARNING: CPU: 0"),
    ({}, {"returned_pct": 89.9}, "89.9 % of 1024 MiB came back, not 90"),
])
def test_bad_verdict(up, figures, reason):
    wrong = deb.verdict(UP | up, FIGURES | figures)
    assert len(wrong) == 1 and reason in wrong[0]
