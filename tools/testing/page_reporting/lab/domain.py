# SPDX-License-Identifier: GPL-2.0
"""A virtual machine under libvirt, in a session of its own that leaves nothing behind."""

import base64
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import xml.etree.ElementTree as ET
from pathlib import Path

from . import console, paths
from .errors import GuestDied, LabError, MissingTool, RunTimeout, output

NAME = "page-reporting"
NOBODY = 65534
EVENT = re.compile(r"page-reporting-demo: (event=\S+(?: \S+=\S+)*)\r?\n")
START_S = 30
VIRSH_S = 60
GONE_S = 5
EXEC_S = 120


def documented_xml():
    """The domain that the operator's guide shows."""
    text = paths.GUIDE.read_text(encoding="utf-8")
    found = re.search(r"^\t<domain .*?^\t</domain>", text, re.M | re.S)
    if not found:
        raise LabError(f"{paths.GUIDE} has no <domain>")
    return re.sub(r"^\t", "", found[0], flags=re.M)


def adapt(xml, kernel, disk, console, cmdline, accel, mem_gib):
    """The domain for a guest of ours: only names, files, memory, the accelerator and the console differ."""
    root = ET.fromstring(xml)
    root.find("memory").text = str(mem_gib)
    root.set("type", "kvm" if accel == "kvm" else "qemu")
    root.find("name").text = NAME
    root.find("os/kernel").text = str(kernel)
    root.find("os/cmdline").text += f" {cmdline}"
    root.find("devices/disk/source").set("file", str(disk))
    # libvirt's own choice is too long for the path of a socket here.
    ET.SubElement(root.find("devices/channel"), "source", mode="bind", path=str(console.with_name("agent")))
    serial = root.find("devices/serial")
    serial.set("type", "file")
    ET.SubElement(serial, "source", path=str(console))
    return ET.tostring(root, encoding="unicode")


@contextlib.contextmanager
def uninterrupted():
    """Until it is over, no signal gets in the way, nor in that of the programs that are started."""
    before = {number: signal.signal(number, signal.SIG_IGN)
              for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Session:
    """libvirt's daemon for one user, with all of its files, and those of the guest, in a directory that goes with it.

    Root has no session, so the daemon and its guest run as nobody then. SIGKILL ends us and the
    daemon, but neither the guest nor the directory, as the guest is nobody's child.
    """

    def __init__(self):
        self._daemon = self.folder = None

    def __enter__(self):
        daemon = shutil.which("libvirtd", path="/usr/sbin:/usr/bin")
        if not daemon or not shutil.which("virsh"):
            raise MissingTool("start libvirt: libvirtd or virsh is not installed: run `make deb`, or "
                              "`apt-get install libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients`")
        self.folder = Path(tempfile.mkdtemp(prefix="page-reporting-libvirt-"))
        self._own(self.folder)
        self._log = open(self.folder / "libvirtd.log", "wb")
        self._daemon = subprocess.Popen([*self._as_user(), daemon, "--timeout", "600"], env=self._env(),
                                        stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
                                        # Ctrl-C is for us, who end the guest first.
                                        start_new_session=True)
        try:
            self._wait_for_socket()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        # Who presses Ctrl-C twice has not ended the guest yet.
        with uninterrupted():
            self._end_guest()
            self._end_daemon()
            self._log.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def _end_daemon(self):
        self._daemon.terminate()
        try:
            self._daemon.wait(VIRSH_S)
        except subprocess.TimeoutExpired:
            self._daemon.kill()
            self._daemon.wait()

    def _end_guest(self):
        """End QEMU, of which the daemon is no parent that takes it along: by itself, or else by its pid."""
        if self._daemon.poll() is None:
            try:
                self.virsh("destroy", NAME)
            except LabError:
                pass            # It has ended, or what follows ends it.
        for pidfile in self.folder.rglob(f"{NAME}.pid"):
            try:
                os.kill(int(pidfile.read_text(encoding="ascii")), signal.SIGKILL)
            except (ProcessLookupError, FileNotFoundError, ValueError):
                pass

    def copy_in(self, path):
        """A copy of a file, which the guest may write, for as long as the session lasts."""
        copy = self.folder / path.name
        output(f"copy {path.name} for the guest", ["cp", "--sparse=always", "--reflink=auto", path, copy])
        self._own(copy)
        return copy

    def _own(self, path):
        if os.geteuid() == 0:
            os.chown(path, NOBODY, NOBODY)

    def _as_user(self):
        if os.geteuid():
            return ["setpriv", "--pdeathsig=TERM"]
        # So that nobody may use KVM, whose device is the group's.
        kvm = Path("/dev/kvm")
        groups = f"--groups={kvm.stat().st_gid}" if kvm.exists() else "--clear-groups"
        return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", groups, "--pdeathsig=TERM"]

    def _env(self):
        folder = str(self.folder)
        return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "HOME": folder, "XDG_RUNTIME_DIR": folder,
                "XDG_CONFIG_HOME": folder + "/config", "XDG_CACHE_HOME": folder + "/cache"}

    def _wait_for_socket(self):
        deadline = time.monotonic() + START_S
        while not (self.folder / "libvirt" / "libvirt-sock").exists():
            if self._daemon.poll() is not None or time.monotonic() > deadline:
                log = (self.folder / "libvirtd.log").read_text(encoding="utf-8", errors="replace")
                raise LabError(f"start libvirt: libvirtd does not serve a session; it says:\n{log[-1500:]}")
            time.sleep(0.1)

    def virsh(self, *words):
        """What virsh prints; LabError with what it says if it fails."""
        socket = self.folder / "libvirt" / "libvirt-sock"
        command = [*self._as_user(), "virsh", "-q", "-c", f"qemu+unix:///session?socket={socket}", *words]
        try:
            return output(f"virsh {words[0]}", command, env=self._env(), timeout=VIRSH_S)
        except subprocess.TimeoutExpired:
            raise LabError(f"virsh {words[0]}: libvirtd does not answer within {VIRSH_S} s") from None


class Domain:
    """A running domain: its console's events and its resident memory."""

    def __init__(self, session, xml, console):
        self._session, self._console = session, console
        path = session.folder / "domain.xml"
        path.write_text(xml, encoding="utf-8")
        path.chmod(0o644)
        session.virsh("create", str(path))

    def resident_mib(self):
        """Of QEMU, as virsh dommemstat has it; None once the guest is off; LabError if libvirt does not say."""
        lines = self._memory_statistics()
        if lines is None:
            return None
        values = dict(line.split() for line in lines if line)
        if "rss" not in values:
            raise LabError(f"virsh dommemstat: no rss in: {' '.join(lines)}")
        return int(values["rss"]) / 1024

    def _memory_statistics(self):
        """What virsh says, as lines; None for a guest that is off, which libvirt forgets in a moment."""
        deadline = time.monotonic() + GONE_S
        while True:
            try:
                return self._session.virsh("dommemstat", NAME).split("\n")
            except LabError:
                if NAME not in self._session.virsh("list", "--all", "--name").split():
                    return None
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.2)

    def text(self):
        return self._console.read_text(encoding="utf-8", errors="replace") if self._console.exists() else ""

    def tail(self):
        """Its end, for a message."""
        return console.tail(self.text().splitlines())

    def events(self):
        """{name: fields} of what the guest has said."""
        found = [dict(word.split("=", 1) for word in match.split()) for match in EVENT.findall(self.text())]
        return {fields["event"]: fields for fields in found}

    def wait(self, name, deadline_s, see):
        """Wait for an event while `see` gets the resident MiB: its fields."""
        end = time.monotonic() + deadline_s
        while name not in (events := self.events()):
            mib = self.resident_mib()
            if mib is None:
                raise GuestDied(f"wait for '{name}': the guest is off; the end of its console:\n{self.tail()}")
            if time.monotonic() > end:
                raise RunTimeout(f"wait for '{name}': not within {deadline_s} s; the end of its console:\n"
                                 f"{self.tail()}")
            see(mib)
            time.sleep(0.2)
        # The last one was before the event; after a late one, the guest may be off already.
        if (mib := self.resident_mib()) is not None:
            see(mib)
        return events[name]


class Agent:
    """QEMU's agent in the running domain, which can start programs there as root."""

    def __init__(self, session):
        self._session = session

    def execute(self, command, **arguments):
        """What the agent returns for a command of its own; LabError if it refuses, or is not there."""
        request = json.dumps({"execute": command} | ({"arguments": arguments} if arguments else {}))
        return json.loads(self._session.virsh("qemu-agent-command", NAME, request))["return"]

    def run(self, *words):
        """Run a program in the guest, and wait until it has ended; LabError unless it ended with 0."""
        pid = self.execute("guest-exec", path=words[0], arg=list(words[1:]), **{"capture-output": True})["pid"]
        deadline = time.monotonic() + EXEC_S
        while not (status := self.execute("guest-exec-status", pid=pid))["exited"]:
            if time.monotonic() > deadline:
                raise RunTimeout(f"guest-exec {' '.join(words)}: not within {EXEC_S} s")
        if status.get("exitcode") != 0:
            raise LabError(f"guest-exec {' '.join(words)}: status {status.get('exitcode')}: "
                           f"{base64.b64decode(status.get('err-data', '')).decode('utf-8', 'replace').strip()}")
