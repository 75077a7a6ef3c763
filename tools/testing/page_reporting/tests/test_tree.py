# SPDX-License-Identifier: GPL-2.0
"""What scripts/tree makes of a base, our files and the hooks, on a tiny kernel; and where a base comes from."""

import hashlib
import os
import re
import shutil
import subprocess
import tarfile

import pytest

from conftest import stand_in
from lab.paths import REPO

TREE = REPO / "scripts" / "tree"
BASES = sorted(path.name for path in (REPO / "bases").iterdir())

MAINTAINERS = """List of maintainers

How to read it

Maintainers List
----------------

ABACUS
M:\tA <a@example.org>
S:\tMaintained
F:\tabacus/

ZEBRA STRAY
S:\tOrphan
F:\tz/

BANANAS
S:	Orphan
F:	b/

CHERRIES
S:	Orphan
F:	c/

FREEVXFS FILESYSTEM
S:\tMaintained
F:\tfs/freevxfs/

FREEZER
S:\tMaintained
F:\tkernel/freezer.c

THE REST
S:\tBuried alive in reporters
F:\t*
"""
ENTRY = "FREE PAGE REPORTING\nM:\tB <b@example.org>\nS:\tMaintained\nF:\tmm/page_reporting*\n"
NUMBERS = "".join(f"line {n}\n" for n in range(1, 41))


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def hook(path, number, insertion, shift=0, context=None):
    """A git-format patch that adds one line after line `number` of the numbered file."""
    before = context or [f"line {n}" for n in range(number - 2, number + 1)]
    after = [f"line {n}" for n in range(number + 1, number + 4)]
    body = "".join(f" {line}\n" for line in before) + f"+{insertion}\n" + "".join(f" {line}\n" for line in after)
    start = number - 2 + shift
    return ("From 0 Mon Sep 17 00:00:00 2001\nFrom: A <a@example.org>\nSubject: [PATCH] hook\n\n---\n"
            f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n"
            f"@@ -{start},6 +{start},7 @@\n{body}-- \n2.39.5\n")


def make_kernel(path, sublevel=7, version="6", patchlevel="12"):
    write(path / "Makefile", f"VERSION = {version}\nPATCHLEVEL = {patchlevel}\nSUBLEVEL = {sublevel}\nall:\n")
    write(path / "MAINTAINERS", MAINTAINERS)
    write(path / "mm" / "page_alloc.c", NUMBERS)
    write(path / "mm" / "page_reporting.c", "the base's own\n")
    write(path / "mm" / "Kconfig", NUMBERS)
    write(path / "tools" / "run.sh", "#!/bin/sh\n")
    (path / "tools" / "run.sh").chmod(0o755)
    (path / "link").symlink_to("mm/Kconfig")
    return path


def make_repo(path):
    write(path / "Kconfig", "config OURS\n")
    write(path / "MAINTAINERS", ENTRY)
    write(path / "mm" / "page_reporting.c", "ours\n")
    write(path / "mm" / "tests" / "kunit.c", "tests\n")
    write(path / "tools" / "testing" / "page_reporting" / "run", "#!/bin/sh\n")
    write(path / "tools" / "testing" / "page_reporting" / "results" / "big.csv", "1,2\n")
    write(path / "hooks" / "0001-alloc.patch", hook("mm/page_alloc.c", 20, "hooked"))
    write(path / "hooks" / "series", "# in this order\n0001-alloc.patch\n")
    return path


def snapshot(path):
    """Name -> (content, mode, time) of everything below a directory."""
    return {str(p.relative_to(path)): (os.readlink(p) if p.is_symlink() else p.is_file() and p.read_bytes(),
                                       p.lstat().st_mode, p.lstat().st_mtime_ns)
            for p in path.rglob("*") if not p.is_dir() or p.is_symlink()}


class Lab:
    """A repository, a kernel, and the script between the two."""

    def __init__(self, path):
        self.repo, self.kernel = make_repo(path / "repo"), make_kernel(path / "linux")
        self.build, self.path = path / "build", path
        self.tree = self.build / "tree"

    def run(self, *arguments, kernel=None, path=None, base=None):
        env = dict(os.environ, BASE=base or "", **({"PATH": path} if path else {}))
        command = [TREE, "--repo", self.repo, "--build", self.build, *arguments]
        if kernel is not False:
            command += ["--kernel", kernel or self.kernel]
        else:
            env.pop("KERNEL", None)
        return subprocess.run(command, capture_output=True, text=True, env=env, timeout=60)

    def good(self, *arguments, **kwargs):
        done = self.run(*arguments, **kwargs)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def bad(self, *arguments, **kwargs):
        """Fails with one message, leaves the tree alone and no half-written directory behind."""
        before = snapshot(self.tree) if self.tree.exists() else None
        done = self.run(*arguments, **kwargs)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        assert (snapshot(self.tree) if self.tree.exists() else None) == before
        assert not list(self.build.glob(".*.tmp"))
        return done.stderr

    def read(self, name):
        return (self.tree / name).read_text()


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path)


# What the tree holds

def test_our_files_hooks_and_options_are_in_the_tree(lab):
    """And the base stays as it was unpacked."""
    lab.good()
    assert lab.read("mm/page_reporting.c") == "ours\n"
    assert lab.read("mm/Kconfig.page_reporting") == "config OURS\n"
    assert lab.read("mm/page_alloc.c") == NUMBERS.replace("line 20\n", "line 20\nhooked\n")
    assert lab.read("mm/Kconfig") == NUMBERS
    assert (lab.tree / "tools/testing/page_reporting/run").is_file()
    assert not (lab.tree / "tools/testing/page_reporting/results").exists()
    assert os.access(lab.tree / "tools/run.sh", os.X_OK) and (lab.tree / "link").is_symlink()
    theirs, base = snapshot(lab.kernel), snapshot(lab.build / "base")
    assert {n: v[:2] for n, v in base.items()} == {n: v[:2] for n, v in theirs.items()}


def test_entry_goes_to_its_alphabetical_place(lab):
    lab.good()
    titles = re.findall(r"^([A-Z ]+)\n(?=[A-Z]:)", lab.read("MAINTAINERS"), re.M)
    assert titles == ["ABACUS", "ZEBRA STRAY", "BANANAS", "CHERRIES", "FREE PAGE REPORTING",
                      "FREEVXFS FILESYSTEM", "FREEZER", "THE REST"]
    assert lab.read("MAINTAINERS").replace(ENTRY + "\n", "") == MAINTAINERS


def test_ignored_files_stay_out(lab):
    subprocess.run(["git", "init", "-q", lab.repo], check=True)
    write(lab.repo / ".gitignore", "*.tmp\n")
    write(lab.repo / "mm" / "scratch.tmp", "x")
    write(lab.repo / "mm" / "new.c", "x")
    lab.good()
    assert (lab.tree / "mm/new.c").exists() and not (lab.tree / "mm/scratch.tmp").exists()


# Idempotent and incremental

def test_only_what_differs_is_written(lab):
    lab.good()
    for path, text, changed in (
            ("mm/page_reporting.c", "ours\n", set()), ("mm/page_reporting.c", "better\n", {"mm/page_reporting.c"}),
            ("hooks/0001-alloc.patch", hook("mm/page_alloc.c", 30, "elsewhere"), {"mm/page_alloc.c"})):
        before = snapshot(lab.tree)
        write(lab.repo / path, text)
        assert ("nothing to do" in lab.good()) == (not changed)
        after = snapshot(lab.tree)
        assert {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)} == changed
    assert lab.read("mm/page_alloc.c") == NUMBERS.replace("line 30\n", "line 30\nelsewhere\n")


def test_removed_files_and_hooks_give_the_base_back(lab):
    lab.good()
    began = os.stat(lab.tree / "mm/page_reporting.c").st_mtime_ns
    (lab.repo / "mm" / "page_reporting.c").unlink()
    shutil.rmtree(lab.repo / "mm" / "tests")
    write(lab.repo / "hooks" / "series", "# none\n")
    (lab.repo / "hooks" / "0001-alloc.patch").unlink()
    (lab.repo / "MAINTAINERS").unlink()
    lab.good()
    assert lab.read("mm/page_reporting.c") == "the base's own\n"
    assert os.stat(lab.tree / "mm/page_reporting.c").st_mtime_ns > began, "make has to see it"
    assert lab.read("mm/page_alloc.c") == NUMBERS and lab.read("MAINTAINERS") == MAINTAINERS
    assert not (lab.tree / "mm/tests").exists()


def test_edit_in_the_tree_is_kept_aside(lab):
    """And what a killed run left is cleared away."""
    write(lab.build / ".base.1.tmp" / "half", "x")
    lab.good()
    assert not list(lab.build.glob(".*.tmp"))
    write(lab.tree / "mm" / "page_reporting.c", "hours of work\n")
    assert "was edited in the tree" in lab.good()
    assert lab.read("mm/page_reporting.c") == "ours\n"
    assert (lab.build / "edited/mm/page_reporting.c").read_text() == "hours of work\n"


# Hooks that do not fit

def test_hook_that_does_not_fit_names_file_and_hunk(lab):
    lab.good()
    write(lab.repo / "hooks" / "0002-more.patch", hook("mm/Kconfig", 20, "x", context=["no", "such", "line"]))
    write(lab.repo / "hooks" / "series", "0001-alloc.patch\n0002-more.patch\n")
    write(lab.repo / "mm" / "page_reporting.c", "must not arrive\n")
    message = lab.bad()
    assert "hooks/0002-more.patch" in message and "mm/Kconfig: hunk #1" in message
    assert "@@ -18,6" in message and " such\n" in message


def test_fuzz_is_refused(lab):
    """One line of context off: patch would take it with its usual fuzz."""
    write(lab.repo / "hooks" / "0001-alloc.patch",
          hook("mm/page_alloc.c", 20, "hooked", context=["line 18 was other", "line 19", "line 20"]))
    plain = subprocess.run(["patch", "-p1", "--dry-run", "-d", lab.kernel, "-i",
                            lab.repo / "hooks" / "0001-alloc.patch"], capture_output=True, text=True)
    assert "with fuzz" in plain.stdout
    assert "mm/page_alloc.c: hunk #1" in lab.bad()


def test_hook_that_cannot_be_applied(lab):
    write(lab.kernel / "mm" / "page_alloc.c", NUMBERS.replace("line 20\n", "line 20\nhooked\n"))
    for patch, message in ((hook("mm/page_alloc.c", 20, "hooked"), "mm/page_alloc.c has this change already"),
                           (hook("mm/nothing.c", 20, "hooked"), "nothing.c is not in this kernel"),
                           (hook("mm/page_reporting.c", 20, "x"), "touches mm/page_reporting.c, which is our own file"),
                           ("not a patch\n", "not a patch as git format-patch writes it")):
        write(lab.repo / "hooks" / "0001-alloc.patch", patch)
        assert message in lab.bad()


def test_series_and_hooks_have_to_agree(lab):
    for series in ("0001-alloc.patch\n0009-gone.patch\n", "# 0001-alloc.patch\n"):
        write(lab.repo / "hooks" / "series", series)
        assert "hooks/series" in lab.bad()
    write(lab.repo / "hooks" / "series", "0001-alloc.patch\n")
    write(lab.repo / "hooks" / "7.3" / "0001-alloc.patch", hook("mm/page_alloc.c", 20, "x"))
    assert "hooks/0001-alloc.patch is for all bases, and there is one for 7.3 alone" in lab.bad()


# Drift

def blob(text):
    return hashlib.sha1(b"blob %d\0" % len(text) + text.encode()).hexdigest()


def write_base(lab, **changes):
    blobs = {"MAINTAINERS": blob(MAINTAINERS), "mm/page_alloc.c": blob(NUMBERS),
             "mm/page_reporting.c": blob("the base's own\n"), **changes}
    write(lab.repo / "bases" / "6.12", "# base\npackage linux-source-6.12\nversion 6.12.7-1\nupstream 6.12.7\n"
          + "".join(f"blob {i} {p}\n" for p, i in blobs.items()))


def test_offset_is_said_unless_the_file_is_the_tested_one(lab):
    write(lab.repo / "hooks" / "0001-alloc.patch", hook("mm/page_alloc.c", 20, "hooked", shift=5))
    assert re.search(r"note: hooks/0001-alloc.patch: mm/page_alloc.c: hunk #1 .*offset -5", lab.good())
    assert "line 20\nhooked\n" in lab.read("mm/page_alloc.c")
    write_base(lab)
    assert "applies at an" not in lab.good()


def test_drift_warns_and_goes_on(lab):
    write_base(lab)
    assert "warning:" not in lab.good()
    assert "the base moved: Linux 6.12.7 -> 6.12.8" in lab.good(kernel=make_kernel(lab.path / "newer", sublevel=8))
    write_base(lab, **{"mm/page_alloc.c": "0" * 40})
    out = lab.good()
    assert "warning: the base moved: mm/page_alloc.c changed" in out
    assert "mm/page_reporting.c" not in out.split("going on")[0]
    assert "hooked" in lab.read("mm/page_alloc.c")


@pytest.mark.parametrize("base", BASES)
def test_base_file_names_what_we_touch(base):
    """A file of bases/ is complete: each file that we hook into or replace is listed with an id."""
    listed = dict(reversed(line.split()[1:]) for line in (REPO / "bases" / base).read_text().splitlines()
                  if line.startswith("blob "))
    hooked = {path for folder in (REPO / "hooks", REPO / "hooks" / base) for patch in folder.glob("*.patch")
              for path in re.findall(r"^diff --git a/(\S+)", patch.read_text(), re.M)}
    folders = [REPO / name for name in ("include", "mm", "Documentation", "tools", "samples")]
    ours = {str(p.relative_to(REPO)) for folder in folders for p in folder.rglob("*") if p.is_file()}
    replaced = {name for name in ours if (REPO / "build" / "base" / name).is_file()} if base == "6.12" else set()
    assert hooked and hooked | replaced <= set(listed)
    assert all(re.fullmatch(r"[0-9a-f]{40}", i) for i in listed.values())


# Bases

def other_base(lab):
    """The kernel of another base, which the repository knows."""
    write(lab.repo / "bases" / "7.3", "package linux-source-7.3\nsuite later\nversion 7.3.4-1\n")
    return make_kernel(lab.path / "other", version="7", patchlevel="3")


def test_base_that_is_not_the_one(lab):
    kernel = other_base(lab)
    assert "BASE=8.0: there is no such base\n  remedy: BASE is one of 7.3;" in lab.bad(base="8.0")
    assert "this is Linux 7.3; the series is for 6.12\n  remedy: give BASE=7.3" in lab.bad(kernel=kernel)


def test_hooks_and_compat_of_one_base(lab):
    kernel = other_base(lab)
    write(lab.repo / "hooks" / "series", "0001-alloc.patch\n0002-kconfig.patch\n0003-new.patch\n")
    for base, word in (("6.12", "old"), ("7.3", "new")):
        write(lab.repo / "hooks" / base / "0002-kconfig.patch", hook("mm/Kconfig", 20, word))
    write(lab.repo / "hooks" / "7.3" / "0003-new.patch", hook("mm/Kconfig", 30, "only here"))
    compat(lab)
    write(lab.repo / "compat" / "6.12" / "mm" / "later.h", "a header\n")
    lab.good()
    assert "old" in lab.read("mm/Kconfig") and "only here" not in lab.read("mm/Kconfig")
    assert lab.read("mm/tests/kunit.c") == "older tests\n" and lab.read("mm/later.h") == "a header\n"
    lab.good(kernel=kernel, base="7.3")
    assert "new" in lab.read("mm/Kconfig") and "only here" in lab.read("mm/Kconfig")
    assert lab.read("mm/tests/kunit.c") == "tests\n" and not (lab.tree / "mm" / "later.h").exists()
    assert "hooked" in lab.read("mm/page_alloc.c")


def compat(lab, path="mm/tests/kunit.c", old="tests"):
    write(lab.repo / "compat" / "6.12" / "0001-older.patch",
          f"Subject: [PATCH] x\n\n---\ndiff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n"
          f"@@ -1 +1 @@\n-{old}\n+older {old}\n-- \n2.39.5\n")


def test_compat_that_does_not_fit_is_named(lab):
    lab.good()
    for path, old, message in (("mm/tests/kunit.c", "something else", "kunit.c: hunk #1 does not fit our file"),
                               ("mm/Kconfig", "line 1", "touches mm/Kconfig, which is not our file")):
        compat(lab, path, old)
        assert message in lab.bad()
    write(lab.repo / "compat" / "6.12" / "mm" / "tests" / "kunit.c", "another\n")
    assert "mm/tests/kunit.c is there already" in lab.bad()


# The package

def test_make_base_writes_base(lab):
    """A machine whose dpkg knows the source package, or does not."""
    tarball, tool = lab.path / "linux-source-6.12.tar.xz", lab.path / "bin" / "dpkg-query"
    with tarfile.open(tarball, "w:xz") as archive:
        archive.add(lab.kernel, "linux-source-6.12")
    package = {"kernel": False, "path": f"{tool.parent}:{os.environ['PATH']}"}
    stand_in(tool, "exit 1")
    assert re.search("linux-source-6.12 is not installed\n.*make setup", lab.bad(**package))
    stand_in(tool, f"case $1 in -W) printf 6.12.7-1;; *) echo {tarball};; esac")
    lab.good("--update-base", **package)
    assert lab.read("mm/page_reporting.c") == "ours\n"
    write_base(lab, **{"mm/page_alloc.c": "0" * 40})
    assert "the base moved" in lab.good(**package)
    lab.good("--update-base", **package)
    record = (lab.repo / "bases" / "6.12").read_text()
    assert f"blob {blob(NUMBERS)} mm/page_alloc.c\n" in record and "version 6.12.7-1\n" in record
    assert "warning:" not in lab.good(**package)
    assert "only the Debian package" in lab.bad("--update-base")


# KERNEL=

def test_own_directory_is_only_read(lab):
    write(lab.kernel / ".config", "CONFIG_X=y\n")
    write(lab.kernel / "Makefile", (lab.kernel / "Makefile").read_text() + "mrproper:\n\t@rm -f .config\n")
    write(lab.kernel / "mm" / "page_alloc.o", "object")
    before = snapshot(lab.kernel)
    lab.good()
    assert snapshot(lab.kernel) == before
    assert not (lab.tree / ".config").exists() and not (lab.tree / "mm/page_alloc.o").exists()
    write(lab.kernel / "mm" / "Kconfig", NUMBERS + "more\n")
    lab.good()
    assert lab.read("mm/Kconfig") == NUMBERS + "more\n" and lab.read("mm/page_reporting.c") == "ours\n"


def test_own_git_tree_as_it_stands(lab):
    """Tracked files with their changes; nothing that git does not know."""
    git = ["git", "-C", lab.kernel, "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "base"]):
        subprocess.run(git + words, check=True)
    write(lab.kernel / "mm" / "Kconfig", "work in progress\n")
    write(lab.kernel / "notes.txt", "private\n")
    (lab.kernel / "tools" / "run.sh").unlink()
    before = snapshot(lab.kernel)
    lab.good()
    assert lab.read("mm/Kconfig") == "work in progress\n"
    assert not (lab.tree / "notes.txt").exists() and not (lab.tree / "tools/run.sh").exists()
    assert not (lab.tree / ".git").exists()
    assert snapshot(lab.kernel) == before


def test_own_tarball(lab):
    for suffix in (".tar", ".tar.gz", ".tar.xz", ".tar.zst"):
        tarball = lab.path / f"linux-6.12.7{suffix}"
        subprocess.run(["tar", "-c", "-a", "-f", tarball, "-C", lab.path, "linux"], check=True)
        assert "Linux 6.12.7" in lab.good(kernel=tarball)
        assert lab.read("mm/page_reporting.c") == "ours\n" and "hooked" in lab.read("mm/page_alloc.c")


def test_wrong_kernel_is_one_line_and_changes_nothing(lab):
    lab.good()
    base = snapshot(lab.build / "base")
    write(lab.path / "empty" / "readme", "no kernel here\n")
    write(lab.path / "kernel.txt", "x")
    old = make_kernel(lab.path / "old", patchlevel="1")
    subprocess.run(["tar", "-cJf", lab.path / "old.tar.xz", "-C", lab.path, "old"], check=True)
    (lab.path / "cut.tar.xz").write_bytes((lab.path / "old.tar.xz").read_bytes()[:200])
    for kernel, reason in ((lab.path / "nowhere", "no such file"), (lab.path / "empty", "not a kernel source tree"),
                           (lab.path / "kernel.txt", "neither a directory nor one of .tar"),
                           (old, "this is Linux 6.1; the series is for 6.12"),
                           (lab.path / "old.tar.xz", "this is Linux 6.1; the series is for 6.12"),
                           (lab.path / "cut.tar.xz", "does not unpack"), (lab.tree, "writes to")):
        message = lab.bad(kernel=kernel)
        assert reason in message and f"KERNEL={kernel}" in message
        assert len([line for line in message.splitlines() if "remedy" not in line]) == 1
    assert snapshot(lab.build / "base") == base


# A base out of another suite of the archive, with apt's tools as stand-ins

# Two sources of packages, of which the first is not Debian's main archive.
TARGETS = "http://other.example/debian-security oldstable-security\nhttp://mirror.example/debian oldstable\n"


class Archive(Lab):
    """A repository with a base in the suite "later", and a PATH with an archive that says what a test wants."""

    def __init__(self, path):
        super().__init__(path)
        self.bin, self.calls_file = path / "bin", path / "calls"
        make_kernel(path / "linux-source-7.3", version="7", patchlevel="3")
        write(self.repo / "bases" / "7.3", "package linux-source-7.3\nsuite later\nversion 7.3.7-1\nupstream 7.3.7\n")
        self.targets, self.update, self.has = TARGETS, "exit 0", {"linux-source-7.3": ["7.3.7-1"]}

    def tool(self, name, script):
        stand_in(self.bin / name, f'echo "{name} $*" >>{self.calls_file}\n{script}', "/bin/bash")

    def package(self, version):
        """A .deb with the kernel's tarball."""
        root = self.path / "deb"
        (root / "usr" / "src").mkdir(parents=True, exist_ok=True)
        subprocess.run(["tar", "-cJf", root / "usr/src/linux-source-7.3.tar.xz", "-C", self.path,
                        "linux-source-7.3"], check=True)
        write(root / "DEBIAN" / "control", f"Package: linux-source-7.3\nVersion: {version}\nArchitecture: all\n"
              "Maintainer: A <a@example.org>\nDescription: x\n")
        subprocess.run(["dpkg-deb", "-Zxz", "-b", root, self.path / "package"], check=True, capture_output=True)

    def run(self, *arguments, **_):
        lines = "\n".join(f" {name} | {version} | http://mirror.example/debian later/main amd64 Packages"
                          for name, versions in self.has.items() for version in versions)
        for version in self.has.get("linux-source-7.3", ())[:1]:
            self.package(version)
        self.tool("apt-get", f"""case "$*" in
            indextargets*) printf '{self.targets}' ;;
            *update*) {self.update} ;;
            *download*) last=${{!#}}; cp {self.path}/package "linux-source-7.3_${{last##*=}}_all.deb" ;;
            esac""")
        self.tool("apt-cache", f"""case "$*" in
            *pkgnames*) printf '%s\\n' {' '.join(self.has)} ;;
            *madison*) echo '{lines}' | while read -r line; do
                [[ " $* " != *" ${{line%% *}} "* ]] || echo "$line"; done ;;
            esac""")
        return super().run(*arguments, kernel=False, path=f"{self.bin}:{os.environ['PATH']}", base="7.3")

    def calls(self, words):
        return [call for call in self.calls_file.read_text().splitlines() if words in call]


@pytest.fixture
def archive(tmp_path):
    return Archive(tmp_path)


def test_pinned_version_is_fetched_once(archive):
    """By an apt with a configuration, a keyring and folders of its own, from the machine's own mirror."""
    archive.has["linux-source-7.3"] = ["7.3.9-1", "7.3.7-1"]
    out, folder = archive.good(), archive.build / "archive"
    assert "fetch linux-source-7.3 from later" in out and "linux-source-7.3 7.3.7-1 ->" not in out
    assert archive.read("mm/page_reporting.c") == "ours\n"
    assert [path.name for path in folder.glob("*7.3*")] == ["linux-source-7.3_7.3.7-1.tar.xz"]
    assert (folder / "sources.list").read_text() == ("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg "
                                                     "target=Packages] http://mirror.example/debian later main\n")
    assert archive.calls("update") and all(f"-c {folder}/apt.conf" in call for call in archive.calls("update"))
    said = subprocess.run(["/usr/bin/apt-config", "-c", folder / "apt.conf", "dump"], env={"LC_ALL": "C"},
                          capture_output=True, text=True, check=True).stdout
    for name, part in (("State::lists", "lists"), ("Etc::sourceparts", "none"), ("Cache", "cache")):
        assert f'Dir::{name} "{folder}/{part}";' in said
    assert "APT::Update::Post-Invoke::" not in said and "APT::Update::Post-Invoke-Success::" not in said
    archive.calls_file.unlink()
    archive.update = "exit 100"
    assert "nothing to do" in archive.good() and not archive.calls_file.exists()


def test_newer_version_is_a_warning_and_for_make_base(archive):
    archive.has["linux-source-7.3"] = ["7.3.9-1"]
    out = archive.good()
    assert "warning: the base moved: linux-source-7.3 7.3.7-1 -> 7.3.9-1" in out and "going on" in out
    archive.has["linux-source-7.3"] = ["7.3.11-1", "7.3.9-1"]
    archive.good("--update-base")
    assert "suite later\nversion 7.3.11-1\n" in (archive.repo / "bases" / "7.3").read_text()


def test_archive_that_has_it_not(archive):
    """What is gone can be skipped, what fails cannot; nothing is left half fetched."""
    archive.has = {"linux-source-7.10": ["7.10.2-1"], "linux-source-7.5": ["7.5.1-1"]}
    for says, status, cause in (
            ("", 4, "linux-source-7.3 is gone from later, which has linux-source-7.5 7.5.1-1, linux-source-7.10 7.10"),
            ("E: The repository 'x' does not have a Release file.", 4, "the archive has no suite later any more\n"),
            ("E: Failed to fetch http://x  Temporary failure resolving 'x'", 1, "the index of later: E: Failed to"),
            ("W: GPG error: x: The following signatures couldn't be verified", 1, "the index of later: W: GPG error"),
            (None, 1, "none of this machine's package sources is Debian's main archive")):
        if says:
            archive.update = f'echo "{says}" >&2; exit 100'
        elif says is None:
            archive.targets = "http://other.example/ubuntu x"
        done = archive.run()
        assert done.returncode == status and f"tree: fetch the base: {cause}" in done.stderr, done.stdout + done.stderr
        assert not list(archive.build.rglob("*.deb")) and not list(archive.build.rglob("*.tmp"))
