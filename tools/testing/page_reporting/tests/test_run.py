# SPDX-License-Identifier: GPL-2.0
"""scripts/test, scripts/nightly and .ci/run: what they run, and the line that they end in, in a project of stand-ins."""

import os
import re
import shutil
import subprocess

import pytest

from conftest import stand_in
from lab import paths

HERE = "tools/testing/page_reporting"
# In each of them a test that passes, on any base, and says on which one it ran.
FILES = ("test_boot", "test_demo", "test_flush", "test_hazards", "test_kunit", "test_life", "test_selftests",
         "test_stress", "test_tool", "test_top", "test_tree")
TEST = """import os
import pytest
@pytest.mark.product
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
        stand_in(self.path / "scripts" / name, f'echo "{name} ${{BASE:-6.12}} $*" >>{self.calls}\n{more}', "/bin/bash")

    def run(self, *arguments, base="", ci=None):
        """(exit status, last line, calls)"""
        variables = {key: value for key, value in os.environ.items() if key != "CI"} | ({"CI": ci} if ci else {})
        done = subprocess.run([self.path / "scripts" / "test", *arguments], capture_output=True, text=True, timeout=120,
                              env=dict(variables, BASE=base, TEST_JOBS="0"))
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
        "tree 7.3 ", "build 7.3 debug"]
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


@pytest.mark.parametrize("marker, line", [
    ("lab", r"\d+ passed, [1-9] failed"),           # by a worker of xdist
    ("product", rf"{len(FILES)} passed, 1 failed"),     # by pytest itself
])
def test_process_that_dies_in_a_test_is_a_failure(project, marker, line):
    """And the run comes to its end."""
    path = project.path / HERE / "tests" / "test_tree.py"
    path.write_text(f"import os, pytest\n@pytest.mark.{marker}\ndef test_one():\n    os._exit(1)\n"
                    "def test_two():\n    pass\n")
    status, last, _ = project.run("guest")
    assert status == 1 and re.fullmatch(line, last), project.out


def test_unknown_arch_is_a_failure(project):
    done = subprocess.run([project.path / "scripts" / "test", "--arch=riscv"], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 1 and done.stdout.endswith("\n0 passed, 1 failed\n")


SKIP = """import pytest
def test_x():
    pytest.skip("libvirt is not installed")
"""


def test_skip_is_a_failure_in_ci(project):
    """Else CI is green where a tool was missing. With CI=full, it builds the kernel of the tests that only that has."""
    (project.path / HERE / "tests" / "test_demo.py").write_text(SKIP)
    status, last, calls = project.run("guest")
    assert (status, last) == (0, f"{2 * len(FILES) + 1} passed, 0 failed, 1 skipped"), project.out
    assert "build 6.12 kasan" not in calls
    status, last, calls = project.run("guest", ci="true")
    assert (status, last) == (1, f"{2 * len(FILES) + 1} passed, 1 failed"), project.out
    assert "skipped, which is a failure in CI: Skipped: libvirt is not installed" in project.out
    assert "build 6.12 kasan" not in calls
    assert "build 6.12 kasan" in project.run("guest", ci="full")[2]


def test_only_a_full_run_has_tests_of_its_own(project):
    path = project.path / HERE / "tests" / "test_boot.py"
    path.write_text(path.read_text() + "@pytest.mark.ci\ndef test_two():\n    pass\n")
    for ci, number in ((None, 2), ("true", 2), ("full", 3)):
        project.run("guest", ci=ci)
        assert len([line for line in project.out.splitlines() if "test_boot.py::" in line and "PASSED" in line]) == \
            number + 1, project.out     # two of the other base, but without the feature


def test_that_waits_runs_once(project):
    path = project.path / HERE / "tests" / "test_life.py"
    path.write_text(path.read_text() + "@pytest.mark.product\n@pytest.mark.waits\ndef test_two():\n    pass\n")
    status, last, _ = project.run("guest")
    assert (status, last) == (0, f"{2 * len(FILES) + 4} passed, 0 failed"), project.out
    assert len([line for line in project.out.splitlines()
                if "test_life.py::test_two" in line and "PASSED" in line]) == 1


def test_tests_of_the_other_base_boot_its_kernel(project):
    path = project.path / HERE / "tests" / "test_boot.py"
    path.write_text(path.read_text() + "def test_two():\n    assert os.environ.get('PR_KERNEL', '').endswith("
                    "'build/7.3/debug/vmlinux') == (os.environ.get('BASE') == '7.3')\n")
    status, last, _ = project.run("guest")
    assert (status, last) == (0, f"{2 * len(FILES) + 5} passed, 0 failed"), project.out


LEAKS = ("PR_KERNEL", "PR_FIXES", "PR_COUNTS", "STRESS_S", "ACCEL", "SCENARIO", "BASE", "REPEAT", "KERNEL", "ARCH",
         "MAKEFLAGS", "SETUP_DEB", "JOBS", "PYTEST_ADDOPTS", "MEM", "DELAY")


def test_ci_has_nothing_of_its_caller(project):
    (project.path / ".ci").mkdir()
    shutil.copy(paths.REPO / ".ci" / "run", project.path / ".ci")
    (project.path / "Makefile").write_text("test:\n\t@env\n")
    plain = {key: value for key, value in os.environ.items() if key not in LEAKS}
    said = [subprocess.run([project.path / ".ci" / "run"], env=plain | more, capture_output=True, text=True,
                           check=True).stdout.splitlines() for more in ({}, dict.fromkeys(LEAKS, "1"))]
    assert sorted(said[0]) == sorted(said[1]) and {"CI=true", "TEST_JOBS=0"} <= set(said[0])


def nightly(project, *steps, fails="nothing"):
    """scripts/nightly with a make that fails for one of its targets: (exit status, its lines)."""
    shutil.copy(paths.REPO / "scripts" / "nightly", project.path / "scripts")
    stand_in(project.path / "bin" / "make", f'echo "it was $*"\n[ "$1" != {fails} ]')
    done = subprocess.run([project.path / "scripts" / "nightly", *steps], capture_output=True, text=True, check=False,
                          env=dict(os.environ, PATH=f"{project.path / 'bin'}:{os.environ['PATH']}"))
    return done.returncode, (done.stdout + done.stderr).splitlines()


def test_nightly(project):
    """One step that fails stops no other one, and is what it ends in."""
    assert nightly(project, "deb", "arm64")[1][-1] == "2 passed, 0 failed"
    status, lines = nightly(project, "mutants", "arm64", "deb", fails="mutants")
    assert status == 1 and lines[-1] == "2 passed, 1 failed" and "nightly deb: ok, 0 min" in lines
    assert "nightly mutants: FAILED, see build/log/nightly-mutants.log: it was mutants, 0 min" in lines
    assert nightly(project, "nosuch") == (
        2, ["nightly: nosuch: no such step; scripts/nightly --list has them all"])


def test_nightly_has_make_targets():
    """Each is one of ours, and none is left out that `make test` does not run."""
    steps = subprocess.run([paths.REPO / "scripts" / "nightly", "--list"], capture_output=True, text=True, check=True)
    named = {line.split()[2] for line in steps.stdout.splitlines() if line.split()[1] == "make"} - {"-C"}
    targets = re.findall(r"^([a-z-]+):.*## ", (paths.REPO / "Makefile").read_text(encoding="utf-8"), re.M)
    assert named <= set(targets)
    assert named == {"test", "mutants", "test-sanitize", "test-fixes", "check-series", "deb", "bench-selfcheck",
                     "trace-examples"}
