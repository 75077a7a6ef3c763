# SPDX-License-Identifier: GPL-2.0
"""A base out of another suite of the archive: fetched by scripts/tree, with apt's tools as stand-ins."""

import os
import subprocess

import pytest

from test_tree import REPO, TREE, make_kernel, make_repo, write

# Two sources of packages, of which the first is not Debian's main archive.
TARGETS = "http://other.example/debian-security oldstable-security\nhttp://mirror.example/debian oldstable\n"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class Machine:
    """A repository with a base in the suite "later", and a PATH with an archive that says what a test wants."""

    def __init__(self, path):
        self.path, self.bin = path, path / "bin"
        self.repo, self.build = make_repo(path / "repo"), path / "build"
        self.kernel = make_kernel(path / "linux-source-7.3", version="7", patchlevel="3")
        write(self.repo / "bases" / "7.3", "package linux-source-7.3\nsuite later\nversion 7.3.7-1\nupstream 7.3.7\n")
        self.update, self.has = "exit 0", {"linux-source-7.3": ["7.3.7-1"]}

    def tool(self, name, script):
        write(self.bin / name, f'#!/bin/bash\necho "{name} $*" >>{self.path}/calls\n{script}\n')
        (self.bin / name).chmod(0o755)

    def package(self, version):
        """A .deb with the kernel's tarball."""
        root = self.path / "deb"
        (root / "usr" / "src").mkdir(parents=True, exist_ok=True)
        subprocess.run(["tar", "-cJf", root / "usr/src/linux-source-7.3.tar.xz", "-C", self.path,
                        "linux-source-7.3"], check=True)
        write(root / "DEBIAN" / "control", f"Package: linux-source-7.3\nVersion: {version}\nArchitecture: all\n"
              "Maintainer: A <a@example.org>\nDescription: x\n")
        subprocess.run(["dpkg-deb", "-Zxz", "-b", root, self.path / "package"], check=True, capture_output=True)

    def run(self, *arguments, base="7.3"):
        lines = "\n".join(f" {name} | {version} | http://mirror.example/debian later/main amd64 Packages"
                          for name, versions in self.has.items() for version in versions)
        names = "\n".join(self.has)
        for version in self.has.get("linux-source-7.3", ())[:1]:
            self.package(version)
        self.tool("apt-get", f"""case "$*" in
            indextargets*) printf '{TARGETS}' ;;
            *update*) {self.update} ;;
            *download*) last=${{!#}}; cp {self.path}/package "linux-source-7.3_${{last##*=}}_all.deb" ;;
            esac""")
        self.tool("apt-cache", f"""case "$*" in
            *pkgnames*) echo '{names}' ;;
            *madison*) echo '{lines}' | while read -r line; do
                [[ " $* " != *" ${{line%% *}} "* ]] || echo "$line"; done ;;
            esac""")
        env = dict(os.environ, BASE=base, PATH=f"{self.bin}:{os.environ['PATH']}")
        env.pop("KERNEL", None)
        return subprocess.run([TREE, "--repo", self.repo, "--build", self.build, *arguments], capture_output=True,
                              text=True, env=env, timeout=60)

    def good(self, *arguments):
        done = self.run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def bad(self, status=1):
        """Fails with one message, and leaves nothing half fetched."""
        done = self.run()
        assert done.returncode == status and "Traceback" not in done.stderr, done.stdout + done.stderr
        assert not list(self.build.rglob("*.deb")) and not list(self.build.rglob("*.tmp"))
        return done.stderr

    def calls(self):
        return (self.path / "calls").read_text().splitlines()


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_pinned_version_is_fetched_once(machine):
    machine.has["linux-source-7.3"] = ["7.3.7-1"]
    out = machine.good()
    assert "fetch linux-source-7.3 from later" in out and "the base moved: linux-source" not in out
    assert (machine.build / "tree" / "mm" / "page_reporting.c").read_text() == "ours\n"
    assert [path.name for path in (machine.build / "archive").glob("*7.3*")] == ["linux-source-7.3_7.3.7-1.tar.xz"]
    (machine.path / "calls").unlink()
    machine.update = "exit 100"
    assert "nothing to do" in machine.good()
    assert not (machine.path / "calls").exists() or not [call for call in machine.calls() if "update" in call]


def test_apt_has_a_configuration_of_its_own(machine):
    """The archive's keyring verifies what comes from the machine's own mirror, and nothing else is read or written."""
    machine.good()
    folder = machine.build / "archive"
    assert (folder / "sources.list").read_text() == \
        f"deb [signed-by={KEYRING} target=Packages] http://mirror.example/debian later main\n"
    own = [call for call in machine.calls() if "indextargets" not in call]
    assert own and all(f"-c {folder}/apt.conf" in call for call in own)
    settings = (folder / "apt.conf").read_text()
    for name in ("Etc::SourceList", "Etc::SourceParts", "Etc::Preferences", "Etc::PreferencesParts", "State::lists",
                 "Cache"):
        assert f'Dir::{name} "{folder}' in settings
    assert "#clear APT::Update::Post-Invoke;" in settings


def test_real_apt_reads_that_configuration(machine, tmp_path):
    machine.good()
    env = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
    command = ["apt-config", "-c", machine.build / "archive" / "apt.conf", "dump"]
    said = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    assert f'Dir::State::lists "{machine.build}/archive/lists";' in said
    assert "APT::Update::Post-Invoke::" not in said and "APT::Update::Post-Invoke-Success::" not in said


def test_newer_version_is_a_warning(machine):
    machine.has["linux-source-7.3"] = ["7.3.9-1"]
    out = machine.good()
    assert "warning: the base moved: linux-source-7.3 7.3.7-1 -> 7.3.9-1" in out and "going on" in out


def test_pinned_version_is_taken_while_it_is_there(machine):
    machine.has["linux-source-7.3"] = ["7.3.9-1", "7.3.7-1"]
    assert "linux-source-7.3 7.3.7-1 ->" not in machine.good()


def test_make_base_takes_the_newest(machine):
    machine.good()
    machine.has["linux-source-7.3"] = ["7.3.9-1", "7.3.7-1"]
    machine.good("--update-base")
    record = (machine.repo / "bases" / "7.3").read_text()
    assert "suite later\nversion 7.3.9-1\n" in record


def test_package_that_is_gone_is_one_line(machine):
    machine.has = {"linux-source-7.10": ["7.10.2-1"], "linux-source-7.5": ["7.5.1-1"]}
    assert machine.bad(status=4) == ("tree: fetch the base: linux-source-7.3 is gone from later, which has "
                                     "linux-source-7.5 7.5.1-1, linux-source-7.10 7.10.2-1 now\n")


def test_suite_that_is_gone_is_one_line(machine):
    machine.update = "echo \"E: The repository 'x' does not have a Release file.\" >&2; exit 100"
    assert machine.bad(status=4) == "tree: fetch the base: the archive has no suite later any more\n"


@pytest.mark.parametrize("says, cause", [
    ("E: Failed to fetch http://x  Temporary failure resolving 'x'", "the package archive cannot be reached"),
    ("W: GPG error: x: The following signatures couldn't be verified", "the index of later: W: GPG error"),
])
def test_archive_that_fails_is_no_archive_without_the_package(machine, says, cause):
    machine.update = f'echo "{says}" >&2; exit 100'
    assert cause in machine.bad()


def test_no_debian_among_the_sources(machine):
    machine.run()
    machine.tool("apt-get", "echo http://other.example/ubuntu x")
    env = dict(os.environ, BASE="7.3", PATH=f"{machine.bin}:{os.environ['PATH']}")
    done = subprocess.run([TREE, "--repo", machine.repo, "--build", machine.path / "second"], capture_output=True,
                          text=True, env=env, check=False)
    assert done.returncode == 1 and "none of this machine's package sources is Debian's main archive" in done.stderr


def test_no_host_of_an_archive_is_written_down():
    """The mirror is the machine's own."""
    for path in [*(REPO / "bases").iterdir(), REPO / "scripts" / "archive.py", REPO / "scripts" / "tree"]:
        assert "http" not in path.read_text(), path
