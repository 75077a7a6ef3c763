# SPDX-License-Identifier: GPL-2.0
"""scripts/test: which tests run on which base, and the line that it ends in, in a project of stand-ins."""

import os
import shutil
import subprocess

import pytest

from lab import paths

HERE = "tools/testing/page_reporting"
# In each of them a test that passes, on any base, and says on which one it ran.
FILES = ("test_boot", "test_demo", "test_flush", "test_hazards", "test_kunit", "test_life", "test_selftests",
         "test_stress", "test_tool", "test_top", "test_tree")
TEST = """import os
import pytest
def test_one():
    with open("{calls}", "a") as file:
        print("test {name}", os.environ.get("BASE") or "6.12", file=file)
def test_without_the_feature():
    pass
"""


class Project:
    """Scripts that write down how they were called, real tests, and two bases."""

    def __init__(self, path):
        self.path, self.calls = path, path / "calls"
        for folder in (f"{HERE}/tests", "scripts", "bases"):
            (path / folder).mkdir(parents=True)
        shutil.copy(paths.REPO / "scripts" / "test", path / "scripts")
        shutil.copytree(paths.LAB / "lab", path / HERE / "lab", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(paths.LAB / "pytest.ini", path / HERE)
        shutil.copy(paths.LAB / "tests" / "conftest.py", path / HERE / "tests")
        for name in FILES:
            (path / HERE / "tests" / f"{name}.py").write_text(TEST.format(calls=self.calls, name=name))
        for base in ("6.12", "7.3"):
            (path / "bases" / base).touch()
        for name in ("setup", "tree", "build"):
            self.script(name)

    def script(self, name, more=""):
        path = self.path / "scripts" / name
        path.write_text(f'#!/bin/bash\necho "{name} ${{BASE:-6.12}} $*" >>{self.calls}\n{more}\n')
        path.chmod(0o755)

    def run(self, *arguments, base=""):
        """(exit status, last line, calls)"""
        done = subprocess.run([self.path / "scripts" / "test", *arguments], capture_output=True, text=True, timeout=120,
                              env=dict(os.environ, BASE=base, TEST_JOBS="0"))
        self.out = done.stdout + done.stderr
        return done.returncode, done.stdout.splitlines()[-1], self.calls.read_text().splitlines()


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def test_plain_run_has_part_of_it_on_the_other_base(project):
    status, last, calls = project.run("guest", "off")
    assert (status, last) == (0, f"{2 * len(FILES) + 3} passed, 0 failed"), project.out
    assert [call for call in calls if not call.startswith("test")] == [
        "setup 6.12 ", "tree 6.12 ", "build 6.12 guest", "build 6.12 off",
        "tree 7.3 ", "build 7.3 guest", "build 7.3 debug"]
    assert sorted(call for call in calls if call.endswith(" 7.3") and call.startswith("test")) == [
        "test test_boot 7.3", "test test_kunit 7.3", "test test_selftests 7.3"]


def test_run_on_one_base_is_of_its_guests(project):
    status, last, calls = project.run("guest", base="7.3")
    assert (status, last) == (0, f"{2 * len(FILES) - 2} passed, 0 failed"), project.out
    assert not [call for call in calls if "6.12" in call or "test_tree" in call]


def test_base_that_is_gone_is_skipped_and_counted(project):
    project.script("tree", "[[ ${BASE:-6.12} == 6.12 ]] || exit 4")
    status, last, calls = project.run("guest")
    assert (status, last) == (0, f"{2 * len(FILES)} passed, 0 failed, 1 skipped"), project.out
    assert "test: skipped: Linux 7.3, whose source is no longer in the archive" in project.out
    assert not [call for call in calls if call.startswith("build 7.3")]
    status, last, _ = project.run("guest", base="7.3")
    assert (status, last) == (0, "0 passed, 0 failed, 1 skipped")


@pytest.mark.parametrize("name, more, line", [
    ("setup", "exit 1", "0 passed, 1 failed"),
    ("tree", "[[ ${BASE:-6.12} == 7.3 ]] || exit 1", "0 passed, 1 failed"),
    ("tree", "[[ ${BASE:-6.12} == 6.12 ]] || exit 1", f"{2 * len(FILES)} passed, 1 failed"),
    ("build", "[[ $1 != debug ]] || exit 1", f"{2 * len(FILES)} passed, 1 failed"),
])
def test_what_fails_before_a_test_is_a_failure(project, name, more, line):
    project.script(name, more)
    status, last, _ = project.run("guest")
    assert (status, last) == (1, line), project.out


def test_a_failure_on_any_base_is_one(project):
    path = project.path / HERE / "tests" / "test_kunit.py"
    path.write_text('import os\ndef test_x():\n    assert os.environ.get("BASE") != "7.3"\n')
    status, last, _ = project.run("guest")
    assert (status, last) == (1, f"{2 * len(FILES) + 1} passed, 1 failed"), project.out


def test_unknown_arch_is_a_failure(project):
    done = subprocess.run([project.path / "scripts" / "test", "--arch=riscv"], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 1 and done.stdout.endswith("\n0 passed, 1 failed\n")
