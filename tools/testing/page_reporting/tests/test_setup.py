# SPDX-License-Identifier: GPL-2.0
"""Set-up: what it installs, and what it says when that fails, with a machine made of stand-ins."""

import shutil
import subprocess

import pytest

from conftest import stand_in
from lab.paths import REPO

TOOLS = ("bash", "env", "grep", "tail", "mkdir", "dirname", "touch")


class Machine:
    """A PATH with stand-ins for the package tools, and the set-up script in a project of its own."""

    def __init__(self, path):
        self.path, self.bin = path, path / "bin"
        self.bin.mkdir()
        (path / "scripts").mkdir()
        shutil.copy(REPO / "scripts" / "setup", path / "scripts")
        for name in TOOLS:
            (self.bin / name).symlink_to(shutil.which(name))
        self.tool("id", "echo 0")
        self.installed("sparse")

    def tool(self, name, script):
        stand_in(self.bin / name, script, shutil.which("bash"))

    def installed(self, *missing):
        """All packages are there but these, which are once apt-get has made its mark."""
        setup = (REPO / "scripts" / "setup").read_text()
        listed = [line.split()[0] for line in setup.split("'")[1].splitlines() if line]
        lines = "\\n".join(f"{name} installed" for name in listed if name not in missing)
        late = "\\n".join(f"{name} installed" for name in missing)
        self.tool("dpkg-query", f"printf '{lines}\\n'; [[ ! -e {self.path}/done ]] || printf '{late}\\n'")

    def apt(self, script):
        self.tool("apt-get", f'echo "$*" >>{self.path}/calls; {script}')

    def run(self, **variables):
        return subprocess.run([self.path / "scripts" / "setup"], capture_output=True, text=True, timeout=60,
                              env={"PATH": str(self.bin), "SETUP_LOCK_WAIT": "0"} | variables)

    def calls(self):
        return (self.path / "calls").read_text().splitlines() if (self.path / "calls").exists() else []


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


@pytest.mark.parametrize("variable, packages", [
    ("SETUP_ARM64", ("gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross", "qemu-system-arm")),
    ("SETUP_USERLAND", ("mmdebstrap", "uidmap", "genext2fs")),
    ("SETUP_DEB", ("mmdebstrap", "uidmap", "genext2fs", "dpkg-dev", "debhelper", "rsync", "cpio", "libdw-dev",
                   "kmod", "libvirt-daemon", "libvirt-daemon-driver-qemu", "libvirt-clients")),
])
def test_packages_of_one_target_come_with_it_alone(machine, variable, packages):
    machine.installed(*packages)
    machine.apt(f"[[ $* != *install* ]] || touch {machine.path}/done")
    assert machine.run().returncode == 0 and not machine.calls()
    done = machine.run(**{variable: "yes"})
    assert done.returncode == 0, done.stderr
    assert machine.calls()[-1].split("--no-install-recommends ")[1].split() == list(packages)


def test_only_what_is_missing_is_installed(machine):
    """Old lists may do where there is no network, but the package is in the cache."""
    machine.installed()
    machine.apt("exit 1")
    done = machine.run()
    assert (done.returncode, done.stdout + done.stderr, machine.calls()) == (0, "", [])
    machine.installed("sparse")
    machine.apt(f"[[ $* == *install* ]] && touch {machine.path}/done")
    done = machine.run()
    assert done.returncode == 0 and "setup: package lists: apt-get failed" in done.stderr
    install = machine.calls()[-1].split()
    assert "--no-install-recommends" in install and install[-1] == "sparse" and install.count("sparse") == 1


def test_failure_has_what_apt_said_and_a_remedy(machine):
    says = "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 7 (unattended-upgr)"
    machine.apt(f'[[ $* == *update* ]] && exit 0; echo "{says}"; exit 100')
    done = machine.run()
    assert done.returncode == 1
    assert f"setup: install packages: apt-get failed: {says}\n" in done.stderr and "remedy: mend" in done.stderr
    assert "-o DPkg::Lock::Timeout=0 install" in machine.calls()[-1]


def test_root_sudo_or_neither(machine):
    machine.tool("id", "echo 1000")
    machine.apt(f"[[ $* != *install* ]] || touch {machine.path}/done")
    done = machine.run()
    assert done.returncode == 1 and machine.calls() == []
    assert "missing" in done.stderr and "sparse" in done.stderr and "apt-get install" in done.stderr
    machine.tool("sudo", f'echo "sudo" >>{machine.path}/calls; exec "$@"')
    assert machine.run().returncode == 0
    assert machine.calls().count("sudo") == 2
