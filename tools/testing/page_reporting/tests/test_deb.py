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
from pathlib import Path

import pytest

from conftest import stand_in
from lab import deb, domain, freeze, image, paths
from lab.errors import BadInput, GuestDied, LabError, MissingTool, RunTimeout

UP = {"state": "running", "init": "systemd", "balloons": "1", "device": "virtballoon_free_page_report",
      "release": "6.12.0"}
FIGURES = {"settled_mib": 300, "taken_mib": 1330, "done_mib": 310, "returned_pct": 99.6, "doctor": "0",
           "complaints": [], "freeze": {"rest_mib": 300, "hook": {"s": 0.9, "mib": 320}, "exec": {"s": 0.5, "mib": 310},
                                        "no_hook": {"s": 0.3, "mib": 3390}}}
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


def test_newest_package_replaces_the_others(build):
    """Of two builds, the first one was interrupted before it was moved."""
    out, first = build / "deb", build / "linux-image-6.12.2_6.12.2-1_amd64.deb"
    touch(out / "linux-image-6.12.1_6.12.1-1_amd64.deb", out / "linux-upstream_6.12.1-1_amd64.changes", first,
          build / "linux-image-6.12.1_6.12.1-2_amd64.deb", build / "linux-upstream_6.12.1-2_amd64.changes")
    os.utime(first, (0, 0))
    found = deb.find_package(out)
    assert found == out / "linux-image-6.12.1_6.12.1-2_amd64.deb" == deb.find_package(out)
    assert sorted(path.name for path in out.iterdir()) == [found.name, "linux-upstream_6.12.1-2_amd64.changes"]
    assert sorted(path.name for path in build.iterdir()) == ["deb"]


def test_interrupted_move_goes_on(build, monkeypatch):
    names = ["linux-headers-6.12.1_6.12.1-2_amd64.deb", "linux-image-6.12.1_6.12.1-2_amd64.deb",
             "linux-upstream_6.12.1-2_amd64.changes"]
    for moves in range(len(names)):
        touch(build / "deb" / "linux-image-6.12.0_6.12.0-1_amd64.deb", *(build / name for name in names))

        def interrupted(path, target, left=iter(range(moves)), move=shutil.move):
            if next(left, None) is None:
                raise KeyboardInterrupt
            move(path, target)
        with monkeypatch.context() as patch:
            patch.setattr(shutil, "move", interrupted)
            with pytest.raises(KeyboardInterrupt):
                deb.find_package(build / "deb")
        assert deb.find_package(build / "deb").name == names[1]
        assert sorted(path.name for path in (build / "deb").iterdir()) == names
        shutil.rmtree(build / "deb")


def test_not_one_package(build):
    for names in ((), ("linux-image-6.12.1_1_amd64.deb", "linux-image-6.12.2_1_amd64.deb")):
        touch(*(build / "deb" / name for name in names))
        with pytest.raises(BadInput, match=f"{len(names)} packages .*not one: .*make deb"):
            deb.find_package(build / "deb")


# The package of page-reporting

@pytest.fixture(scope="module")
def tools(tmp_path_factory):
    """The package, made where an older one was, and a folder with what is in it."""
    if not shutil.which("dpkg-deb"):
        pytest.skip("dpkg-deb is a program of Debian")
    folder = tmp_path_factory.mktemp("tools")
    touch(folder / "out" / "linux-page-reporting-tools_0-1_amd64.deb")
    subprocess.run([paths.REPO / "scripts" / "tools-package", folder / "out"], check=True, timeout=300)
    package, = (folder / "out").iterdir()
    for option, part in (("--extract", "root"), ("--control", "control")):
        subprocess.run(["dpkg-deb", option, package, folder / part], check=True)
    return package, folder


def test_tools_package(tools):
    package, folder = tools
    fields = (folder / "control" / "control").read_text()
    assert "Package: linux-page-reporting-tools\n" in fields and "Version: 0-1\n" not in fields
    assert deb.version_of(package) in fields
    program = folder / "root/usr/sbin/page-reporting"
    done = subprocess.run([program, "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("page-reporting [--json] COMMAND")


@pytest.mark.product
@pytest.mark.parametrize("word, status, said", [("freeze", 0, "flush\n"), ("thaw", 0, ""), ("freeze", 1, "flush\n")])
def test_hook_of_the_agent(tools, tmp_path, word, status, said):
    """The package has it where Debian's agent looks, and it stays away once it was removed."""
    _, folder = tools
    assert (folder / "control/conffiles").read_text() == f"{freeze.HOOK}\n"
    unit = folder / "root/usr/lib/systemd/system/qemu-guest-agent.service.d/page-reporting.conf"
    assert unit.read_text().endswith("ExecStart=\nExecStart=-/usr/sbin/qemu-ga --fsfreeze-hook\n")
    hook = tmp_path / "hook"
    hook.write_text((folder / "root" / freeze.HOOK[1:]).read_text().replace("PATH=", f"PATH={tmp_path}:"))
    hook.chmod(0o755)
    stand_in(tmp_path / "page-reporting", f'echo "$@"\nexit {status}')
    done = subprocess.run([hook, word], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (status if said else 0, said)


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
    folder, calls = tmp_path / "bin", tmp_path / "calls"

    def call(script):
        stand_in(folder / "mmdebstrap", f'echo "$@" >>{calls}\n{script}')

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
    first, _ = debootstrap.calls()
    assert f"upload {package}" in first and f"dpkg --install /tmp/{package.name}" in first
    assert "systemctl -q enable page-reporting-demo.service" in first and "systemd-sysv" in first


def test_failed_userland_leaves_no_disk(debootstrap, package, tmp_path, monkeypatch):
    debootstrap.call('echo "E: dpkg failed" >&2; exit 25')
    with pytest.raises(LabError, match="mmdebstrap failed.*\n.*E: dpkg failed"):
        image.make(package, tmp_path / "out")
    debootstrap.good()
    monkeypatch.setattr(image, "SIZE_MIB", 2)
    with pytest.raises(LabError, match="it takes 4 MiB, more than the 2 of the disk"):
        image.make(package, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mmdebstrap.log"]
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingTool, match="mmdebstrap is not installed: run `make deb`"):
        image.make(package, tmp_path / "out")


def test_interrupted_userland_leaves_no_disk_and_no_process(debootstrap, package, tmp_path):
    debootstrap.call(f'for word; do case $word in *.part) : >"$word" ;; esac; done\n'
                     f'echo $$ >{tmp_path}/pid; echo "I: downloading packages" >&2; exec sleep 60')
    program = ("import sys; from pathlib import Path; from lab import image; from lab.errors import take_signals\n"
               "take_signals(); image.sources = lambda: []\n"
               "image.make(Path(sys.argv[1]), Path(sys.argv[2]))")
    child = subprocess.Popen([sys.executable, "-c", program, package, tmp_path / "out"], cwd=paths.LAB,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    while "downloading" not in child.stdout.readline():
        pass
    child.terminate()
    assert child.wait(timeout=20) != 0
    assert not (tmp_path / "out" / "disk.part").exists() and not (tmp_path / "out" / "disk.img").exists()
    assert not os.path.exists(f"/proc/{(tmp_path / 'pid').read_text().strip()}")


def test_kernel_is_read_from_the_disk(tmp_path):
    disk = tmp_path / "disk.img"

    def debugfs(command):
        subprocess.run(["/sbin/debugfs", "-w", "-R", command, disk], check=True, capture_output=True)
    subprocess.run(["/sbin/mke2fs", "-q", "-t", "ext2", disk, f"{DISK_KIB}k"], check=True, capture_output=True)
    debugfs("mkdir /boot")
    with pytest.raises(LabError, match="has 0 kernels in /boot, not one"):
        image.installed_kernel(disk, tmp_path)
    debugfs(f"write {__file__} /boot/vmlinuz-6.12.1")
    kernel = image.installed_kernel(disk, tmp_path)
    assert kernel.name == "vmlinuz-6.12.1" and kernel.read_bytes() == Path(__file__).read_bytes()
    debugfs(f"write {__file__} /boot/vmlinuz-6.12.2")
    with pytest.raises(LabError, match="has 2 kernels in /boot, not one"):
        image.installed_kernel(disk, tmp_path)


# The domain

def test_domain_is_the_documented_one(tmp_path):
    xml = domain.adapt(domain.documented_xml(), tmp_path / "vmlinuz", tmp_path / "disk", tmp_path / "console",
                       "extra", "tcg", 4)
    documented, root = ET.fromstring(domain.documented_xml()), ET.fromstring(xml)
    assert root.get("type") == "qemu"
    assert root.find("devices/memballoon").attrib == {"model": "virtio", "freePageReporting": "on"}
    assert root.find("os/kernel").text == str(tmp_path / "vmlinuz")
    assert root.find("os/cmdline").text == documented.find("os/cmdline").text + " extra"
    assert root.find("memory").text == "4" and root.find("memory").get("unit") == "GiB"
    assert root.find("devices/channel/target").get("name") == "org.qemu.guest_agent.0"
    assert root.find("devices/disk/source").get("file") == str(tmp_path / "disk")
    assert root.find("devices/serial/source").get("path") == str(tmp_path / "console")
    assert {el.tag for el in documented.iter()} == {el.tag for el in root.iter()}


class FakeSession:
    """virsh, as far as a domain calls it; the guest is off once `on` is False."""

    def __init__(self, folder):
        self.folder, self.on = folder, True
        self.answer, self.listed = "actual 2097152\nrss 524288\n\n", 0

    def virsh(self, *words):
        if words[0] == "list":
            self.listed -= 1
            return f"{domain.NAME}\n\n" if self.on or self.listed >= 0 else "\n"
        if not self.on or not self.answer:
            raise LabError("virsh dommemstat: it does not say")
        return self.answer


@pytest.fixture
def guest(tmp_path):
    return domain.Domain(FakeSession(tmp_path), "<domain/>", tmp_path / "console.log")


def test_half_a_line_is_no_event_yet(guest, tmp_path):
    """And memory is looked at after the event."""
    (tmp_path / "console.log").write_text("page-reporting-demo: event=up state=running rel")
    assert guest.events() == {}
    (tmp_path / "console.log").write_text("page-reporting-demo: event=up state=running release=6.12\r\n")
    seen = []
    assert guest.wait("up", 5, seen.append) == {"event": "up", "state": "running", "release": "6.12"}
    assert seen == [512]


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
        guest.wait("up", 5, print)


def test_libvirt_that_fails_is_no_guest_that_is_off(guest, monkeypatch):
    monkeypatch.setattr(domain, "GONE_S", 0.5)
    for answer, said in (("", "it does not say"), ("actual 2097152\n", "no rss in: actual 2097152")):
        guest._session.answer = answer
        with pytest.raises(LabError, match=f"^virsh dommemstat: {said}"):
            guest.wait("up", 5, print)


def test_second_signal_does_not_keep_the_guest(tmp_path):
    """It comes while virsh ends the guest."""
    for name, script in {
            "libvirtd": 'mkdir "$XDG_RUNTIME_DIR/libvirt"; : >"$XDG_RUNTIME_DIR/libvirt/libvirt-sock"; exec sleep 60',
            "virsh": f'case $* in *" destroy "*) : >{tmp_path}/there; sleep 1; : >{tmp_path}/destroyed;; esac'}.items():
        stand_in(tmp_path / "bin" / name, script)
    program = ("import shutil, sys, time; from lab import domain; from lab.errors import take_signals\n"
               "take_signals(); which = shutil.which\n"
               f"shutil.which = lambda name, path=None: which(name, path='{tmp_path}/bin')\n"
               "domain.Session._as_user = lambda self: []\n"
               f"domain.Session._env = lambda self: {{'PATH': '{tmp_path}/bin:/usr/bin:/bin',"
               "'XDG_RUNTIME_DIR': str(self.folder)}\n"
               "with domain.Session() as session:\n"
               "    print(session.folder, session._daemon.pid, flush=True); time.sleep(60)\n")
    child = subprocess.Popen([sys.executable, "-c", program], cwd=paths.LAB, stdout=subprocess.PIPE, text=True)
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

def test_verdict_of_a_freeze():
    good = FIGURES["freeze"]
    for change, reason in (({"hook": {"s": 0.9, "mib": 361}}, "hook: 61 MiB more are resident than at rest"),
                           ({"exec": {"s": 0.9, "mib": 400}}, "exec: 100 MiB more"),
                           ({"hook": {"s": 1.4, "mib": 320}}, "a freeze takes 1.10 s longer"),
                           ({"no_hook": {"s": 0.3, "mib": 320}}, "it is not off")):
        wrong = freeze.verdict(good | change)
        assert len(wrong) == 1 and reason in wrong[0]
    assert freeze.verdict(good) == []


def test_verdict():
    text = "[ 0.1] Linux\r\n[ 1.0] WARNING: CPU: 0 PID: 1 at mm/page_alloc.c:1\r\nvm login: \r\n"
    assert deb.complaints(text) == ["[ 1.0] WARNING: CPU: 0 PID: 1 at mm/page_alloc.c:1"]
    assert deb.verdict(UP, FIGURES) == []
    for up, figures, reason in (({"state": "degraded"}, {}, "systemd is degraded, not running"),
                                ({"init": "init"}, {}, "process 1 is init"),
                                ({"balloons": "0"}, {}, "0 devices are bound to virtio_balloon"),
                                ({"device": "none"}, {}, "reports go to none"),
                                ({}, {"taken_mib": 1000}, "the guest took 700 MiB, not 1024"),
                                ({}, {"doctor": "127"}, "page-reporting doctor ended with status 127"),
                                ({}, {"complaints": ["WARNING: CPU: 0"]}, "the kernel complained: WARNING: CPU: 0"),
                                ({}, {"returned_pct": 89.9}, "89.9 % of 1024 MiB came back, not 90")):
        wrong = deb.verdict(UP | up, FIGURES | figures)
        assert len(wrong) == 1 and reason in wrong[0]
