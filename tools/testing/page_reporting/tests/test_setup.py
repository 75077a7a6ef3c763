# SPDX-License-Identifier: GPL-2.0
"""Set-up: what it installs, and what it says when that fails, with a machine made of stand-ins."""

from pathlib import Path
import shutil
import subprocess

import pytest

REPO = Path(__file__).resolve().parents[4]
TOOLS = ("bash", "env", "grep", "tail", "sed", "tr", "sleep", "mkdir", "dirname", "cat", "touch")


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
        (self.bin / name).unlink(missing_ok=True)
        (self.bin / name).write_text(f"#!{shutil.which('bash')}\n{script}\n")
        (self.bin / name).chmod(0o755)

    def installed(self, *missing):
        """All packages are there but these, which are once apt-get has made its mark."""
        listed = [line.split()[0] for line in (REPO / "scripts" / "setup").read_text().split("'")[1].splitlines() if line]
        lines = "\\n".join(f"{name} installed" for name in listed if name not in missing)
        late = "\\n".join(f"{name} installed" for name in missing)
        self.tool("dpkg-query", f"printf '{lines}\\n'; [[ ! -e {self.path}/done ]] || printf '{late}\\n'")

    def apt(self, script):
        self.tool("apt-get", f'echo "$*" >>{self.path}/calls; {script}')

    def run(self, wait="0", **variables):
        return subprocess.run([self.path / "scripts" / "setup"], capture_output=True, text=True, timeout=60,
                              env={"PATH": str(self.bin), "SETUP_LOCK_WAIT": wait} | variables)

    def calls(self):
        return (self.path / "calls").read_text().splitlines() if (self.path / "calls").exists() else []


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


@pytest.mark.parametrize("variable, packages", [
    ("SETUP_ARM64", ("gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross", "qemu-system-arm")),
    ("SETUP_DEB", ("dpkg-dev", "debhelper", "rsync", "cpio", "libdw-dev", "kmod", "mmdebstrap", "uidmap",
                   "genext2fs", "libvirt-daemon", "libvirt-daemon-driver-qemu", "libvirt-clients")),
])
def test_packages_of_one_target_come_with_it_alone(machine, variable, packages):
    machine.installed(*packages)
    machine.apt(f"[[ $* != *install* ]] || touch {machine.path}/done")
    assert machine.run().returncode == 0 and not machine.calls()
    done = machine.run(**{variable: "yes"})
    assert done.returncode == 0, done.stderr
    assert machine.calls()[-1].split("--no-install-recommends ")[1].split() == list(packages)


def test_nothing_missing_means_nothing_done(machine):
    machine.installed()
    machine.apt("exit 1")
    done = machine.run()
    assert (done.returncode, done.stdout + done.stderr, machine.calls()) == (0, "", [])


def test_only_what_is_missing_is_installed(machine):
    machine.apt(f"[[ $* != *install* ]] || touch {machine.path}/done")
    assert machine.run().returncode == 0
    install = machine.calls()[-1].split()
    assert "--no-install-recommends" in install and install[-1] == "sparse" and install.count("sparse") == 1


def test_old_package_lists_may_do(machine):
    """No network, but the package is in the cache."""
    machine.apt(f"[[ $* == *install* ]] && touch {machine.path}/done")
    done = machine.run()
    assert done.returncode == 0 and "apt-get update failed" in done.stdout


@pytest.mark.parametrize("says, cause, remedy", [
    ("E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 7 (unattended-upgr)",
     "held by process 7 (unattended-upgr)", "wait until it is done"),
    ("Err:1 Temporary failure resolving 'archive.example.org'", "cannot be reached", "check the network"),
    ("E: You don't have enough free space in /var/cache/apt/archives/.", "the disk is full", "free about"),
    ("E: Unable to locate package sparse", "not in the package sources of this machine: sparse", "Debian 12"),
    ("E: Package 'sparse' has no installation candidate", "of this machine: sparse", "Debian 12"),
    ("E: dpkg was interrupted, you must run it by hand", "cut short", "dpkg --configure -a"),
    ("E: something new", "apt-get failed", "setup.log"),
], ids=["lock", "network", "disk", "unknown", "no-candidate", "interrupted", "other"])
def test_failure_names_step_cause_and_remedy(machine, says, cause, remedy):
    machine.apt(f'[[ $* == *update* ]] && exit 0; cat <<"E"\n{says}\nE\nexit 100')
    done = machine.run()
    assert done.returncode == 1
    assert says in done.stderr, "the tail of apt's own words"
    assert "setup: install packages: " in done.stderr and cause in done.stderr
    assert "remedy: " in done.stderr and remedy in done.stderr
    assert (machine.path / "build/log/setup.log").read_text() == says + "\n"


def test_lock_that_is_released_is_waited_for(machine):
    machine.apt(f'''[[ $* == *install* ]] || exit 0
        [[ -e {machine.path}/once ]] && touch {machine.path}/done && exit 0
        touch {machine.path}/once; echo "E: Could not get lock. It is held by process 7 (apt-get)"; exit 100''')
    done = machine.run(wait="30")
    assert done.returncode == 0, done.stderr
    assert "waiting for the lock of apt, held by process 7 (apt-get)" in done.stdout


def test_installation_that_only_claims_success(machine):
    machine.apt("exit 0")
    done = machine.run()
    assert done.returncode == 1 and "still missing after the installation: sparse" in done.stderr


def test_neither_root_nor_sudo(machine):
    machine.tool("id", "echo 1000")
    machine.apt("exit 0")
    done = machine.run()
    assert done.returncode == 1 and machine.calls() == []
    assert "missing" in done.stderr and "sparse" in done.stderr and "apt-get install" in done.stderr


def test_user_with_sudo(machine):
    machine.tool("id", "echo 1000")
    machine.tool("sudo", f'echo "sudo" >>{machine.path}/calls; exec "$@"')
    machine.apt(f"[[ $* != *install* ]] || touch {machine.path}/done")
    assert machine.run().returncode == 0
    assert machine.calls().count("sudo") == 2


def test_no_debian(machine):
    done = machine.run()
    assert done.returncode == 1 and "no apt-get; the project needs Debian 12" in done.stderr
