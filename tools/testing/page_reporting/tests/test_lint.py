# SPDX-License-Identifier: GPL-2.0
"""The static checks, one case each; and proof that the ones written here can fail."""

from pathlib import Path
import re
import shutil
import subprocess

import pytest

REPO = Path(__file__).resolve().parents[4]
SCRIPTS = REPO / "scripts"
GUEST = REPO / "build" / "guest" / "mm" / "page_alloc.o"


def run(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=600)
    return done.returncode, done.stdout + done.stderr


CHECKS = run(SCRIPTS / "lint", "--list")[1].split()


@pytest.mark.parametrize("name", CHECKS)
def test_lint(name):
    status, output = run(SCRIPTS / "lint", name)
    assert status == 0, output


def test_the_list_of_checks_is_complete():
    assert {"checkpatch", "sparse", "warnings", "kernel-doc", "shellcheck", "codespell", "functions",
            "pyflakes", "off", "key", "maintainers", "abi", "docs"} <= set(CHECKS)


# Function length

def function(lines):
    return "static int\nlong_one(int a,\n         int b)\n{\n" + "\ta++;\n" * (lines - 5) + "}\n"


@pytest.mark.parametrize("lines, status", [(50, 0), (51, 1)])
def test_functions_counts_from_first_line_to_brace(tmp_path, lines, status):
    source = tmp_path / "a.c"
    source.write_text("/* Head. */\nstruct s {\n\tint x;\n};\n\n/* Doc. */\n" + function(lines))
    found, output = run(SCRIPTS / "check-functions", source)
    assert found == status, output
    assert ("a.c:7: long_one() has 51 lines" in output) == bool(status)


def test_functions_refuses_a_file_without_any(tmp_path):
    (tmp_path / "a.c").write_text("int a;\n")
    assert run(SCRIPTS / "check-functions", tmp_path / "a.c")[0] == 1


# The feature configured out

def test_off_finds_the_feature_where_it_is_on():
    status, output = run(SCRIPTS / "check-off", GUEST)
    assert status == 1
    assert "symbol: " in output and "__page_reporting_freed" in output and "relocation: " in output


def test_off_refuses_a_file_without_symbols(tmp_path):
    stripped = tmp_path / "empty.o"
    assemble(tmp_path / "empty.c", "", stripped)
    run("strip", stripped)
    assert run(SCRIPTS / "check-off", stripped)[0] == 1


# The static key

CALL = "__page_reporting_freed"
KEY = """
extern int page_reporting_enabled, order;
void __page_reporting_freed(void);
static inline __attribute__((always_inline)) int enabled(void)
{
	asm goto("1: .byte 0x0f, 0x1f, 0x44, 0x00, 0x00\\n"
		 ".pushsection __jump_table, \\"aw\\"\\n"
		 ".balign 8\\n.long 1b - ., %l[yes] - .\\n.quad page_reporting_enabled + " BRANCH " - .\\n"
		 ".popsection" : : : : yes);
	return 0;
yes:
	return 1;
}
"""


def assemble(source, text, target, *flags):
    source.write_text(text)
    subprocess.run(["gcc", "-O2", "-c", "-fno-asynchronous-unwind-tables", "-o", target, source, *flags], check=True)
    return target


def check_key(tmp_path, body, branch=0):
    target = assemble(tmp_path / "k.c", KEY + body, tmp_path / "k.o", f'-DBRANCH="{branch}"')
    return run(SCRIPTS / "check-key", target, "--call", CALL)


def test_key_passes_a_call_behind_the_key(tmp_path):
    status, output = check_key(tmp_path, "void f(int o) { if (enabled() && o > order) __page_reporting_freed(); }")
    assert status == 0, output


def test_key_finds_a_call_beside_the_key(tmp_path):
    body = "void f(int o) { if (enabled()) order++; if (o > order) __page_reporting_freed(); }"
    status, output = check_key(tmp_path, body)
    assert status == 1 and "is reached with page_reporting_enabled off, in f" in output


def test_key_finds_one_bad_call_among_good_ones(tmp_path):
    body = """void f(int o) { if (enabled()) __page_reporting_freed(); }
	      void g(int o) { if (o > 3) __page_reporting_freed(); order = o; }"""
    status, output = check_key(tmp_path, body)
    assert status == 1 and "off, in g" in output and "off, in f" not in output


def test_key_finds_a_call_on_the_wrong_side(tmp_path):
    """The branch bit turns the meaning of the site round."""
    status, output = check_key(tmp_path, "void f(int o) { if (enabled()) __page_reporting_freed(); }", branch=1)
    assert status == 1 and "is reached" in output


def test_key_finds_a_call_behind_a_plain_variable(tmp_path):
    body = "void f(void) { if (enabled()) order++; if (page_reporting_enabled) __page_reporting_freed(); }"
    assert check_key(tmp_path, body)[0] == 1


def test_key_wants_the_call_and_the_table(tmp_path):
    status, output = check_key(tmp_path, "void f(void) { if (enabled()) order++; }")
    assert status == 1 and "never called" in output
    plain = assemble(tmp_path / "p.c", "void __page_reporting_freed(void); void f(void) { __page_reporting_freed(); }",
                     tmp_path / "p.o")
    status, output = run(SCRIPTS / "check-key", plain, "--call", CALL)
    assert status == 1 and "no jump table" in output


def other_keys():
    """The keys of the real object that have nothing to do with the call."""
    table = run("objdump", "-r", "-j", "__jump_table", GUEST)[1]
    return sorted(set(re.findall(r"R_X86_64_PC64 +(\w+)", table)) - {"page_reporting_enabled"})


def test_key_is_told_from_the_others_of_the_real_object():
    """The same object, asked whether some other key of it guards the call."""
    for key in other_keys() or pytest.fail("no other key to try"):
        status, output = run(SCRIPTS / "check-key", GUEST, "--key", key, "--call", CALL)
        assert status == 1 and f"is reached with {key} off" in output, output


# The entry in MAINTAINERS, the file lists

@pytest.fixture
def copy(tmp_path):
    """This repository with the built tree beside it, to be spoilt."""
    target = tmp_path / "repo"
    ignore = shutil.ignore_patterns("build", ".git", "__pycache__", "results")
    shutil.copytree(REPO, target, ignore=lambda folder, names: ignore(folder, names) if folder == str(REPO) else [])
    (target / "build" / "log").mkdir(parents=True)
    (target / "build" / "tree").symlink_to(REPO / "build" / "tree")
    return target


@pytest.mark.parametrize("name, path, text, reason", [
    ("shellcheck", "scripts/test", "#!/bin/bash\nrm $1\n", "SC2086"),
    ("pyflakes", "scripts/check-off", "#!/usr/bin/python3\nimport os\n", "'os' imported but unused"),
    ("codespell", "README", "".join(["t", "eh\n"]), "the"),
    ("maintainers", "MAINTAINERS", "FREE PAGE REPORTING\nF:\tmm/no_such_file.c\n", "matches nothing"),
    ("functions", "mm/page_reporting.c", function(60), "long_one() has 60 lines"),
])
def test_check_names_file_and_finding(copy, name, path, text, reason):
    (copy / path).write_text(text)
    status, output = run(copy / "scripts" / "lint", name)
    assert status == 1
    assert path in output and reason in output, output


# ABI entries and documents

ENTRY = "Documentation/ABI/testing/sysfs-kernel-mm-page-reporting"
GUIDE = "Documentation/admin-guide/mm/free_page_reporting.rst"


def spoil(copy, path, old, new):
    text = (copy / path).read_text(encoding="utf-8")
    assert old in text
    (copy / path).write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.mark.parametrize("old, new, reason", [
    ("What:\t\t/sys/kernel/mm/page_reporting/flush", "What:\t\t/sys/kernel/mm/page_reporting/flash",
     "/sys/kernel/mm/page_reporting/flush: no ABI entry"),
    ("KernelVersion:\t6.12\n", "", "/sys/kernel/mm/page_reporting/: no KernelVersion:"),
    ("What:\t\t/sys/kernel/mm/page_reporting/order", "Where:\t\t/sys/kernel/mm/page_reporting/order",
     "tag 'Where' is invalid"),
])
def test_abi_finds_wrong_entries(copy, old, new, reason):
    spoil(copy, ENTRY, old, new)
    status, output = run(copy / "scripts" / "lint", "abi")
    assert status == 1 and reason in output, output


@pytest.mark.parametrize("path, old, new, reason", [
    (GUIDE, "\nCounters\n========\n", "\nCounters\n====\n", "Title underline too short"),
    (GUIDE, "`Neighbours`_", "`Nobody`_", "Unknown target name"),
    (GUIDE, "Documentation/mm/free_page_reporting.rst", "Documentation/mm/no_such_page.rst",
     "Documentation/mm/no_such_page.rst does not exist"),
    ("Documentation/mm/free_page_reporting.rst", ":doc: model", ":doc: no_such_section", "no_such_section"),
    (ENTRY, "======  ===", "===  ======", "Malformed table"),
])
def test_docs_finds_what_sphinx_warns_of(copy, path, old, new, reason):
    spoil(copy, path, old, new)
    status, output = run(copy / "scripts" / "lint", "docs")
    assert status == 1 and reason in output, output


def test_misplaced_entry_is_found(copy):
    tree = copy / "build" / "tree"
    tree.unlink()
    (tree / "scripts").mkdir(parents=True)
    shutil.copy(REPO / "build/tree/scripts/parse-maintainers.pl", tree / "scripts")
    text = (REPO / "build/tree/MAINTAINERS").read_text(errors="replace")
    entry = (REPO / "MAINTAINERS").read_text()
    (tree / "MAINTAINERS").write_text(text.replace(entry + "\n", "").replace("\nTHE REST\n", f"\n{entry}\nTHE REST\n"))
    status, output = run(copy / "scripts" / "lint", "maintainers")
    assert status == 1 and "not in its alphabetical place" in output, output
