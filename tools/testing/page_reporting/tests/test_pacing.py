# SPDX-License-Identifier: GPL-2.0
"""The policy of mm/page_reporting_pacing.c, in user space: cases, properties, mutations, traces, fuzzing."""

import json
import re
import shutil
import subprocess

import pytest

from conftest import LAB
from lab import paths
from lab.pacing import ablations, breakage

pytestmark = pytest.mark.product
PACING, BUILD, RESULTS = paths.PACING, paths.BUILD / "pacing", paths.PACING / "results"
FUZZ_RUNS, FUZZ_DEADLINE_S = 20000, 300
OURS, FIXED = "pacing", ("fixed 2 s", "fixed 250 ms", "fixed 100 ms")


def cases():
    """The names of all cases, as their sources have them."""
    text = "".join((PACING / name).read_text(encoding="utf-8") for name in ("table.c", "property.c"))
    return re.findall(r"^CASE\((\w+)\)", text, re.M)


def tool(*arguments):
    return subprocess.run([*LAB, "pacing", "--build", str(BUILD), *map(str, arguments)], text=True,
                          check=False, capture_output=True, stdin=subprocess.DEVNULL, timeout=300)


@pytest.fixture(scope="module")
def fuzzer():
    """libFuzzer at work while the other tests run; None with the reason if it cannot be built."""
    if missing := fuzzer_missing():
        yield None, missing
        return
    breakage.make(BUILD, str(BUILD / "fuzz"))
    with open(BUILD / "fuzz.log", "w", encoding="utf-8") as log:
        process = subprocess.Popen(["make", "-s", "-C", str(PACING), f"O={BUILD}", f"RUNS={FUZZ_RUNS}", "fuzz"],
                                   stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    yield process, BUILD / "fuzz.log"
    process.kill()
    process.wait()


def fuzzer_missing():
    """Why there is no libFuzzer here, or "". "make setup" installs it."""
    if not shutil.which("clang"):
        return "clang is not installed"
    source = "int LLVMFuzzerTestOneInput(const char *data, long size) { return 0; }"
    done = subprocess.run(["clang", "-fsanitize=fuzzer,address,undefined", "-x", "c", "-", "-o", "/dev/null"],
                          input=source, text=True, check=False, capture_output=True)
    return f"clang has no libFuzzer: {done.stderr}" if done.returncode else ""


@pytest.fixture(scope="module")
def outcomes(fuzzer):
    """All cases, built, in one run: (their output, the names of those that passed)."""
    breakage.make(BUILD, "all")
    output = subprocess.run([BUILD / "pacing-test"], text=True, check=False, capture_output=True).stdout
    return output, re.findall(r"^ok \d+ (\w+)$", output, re.M)


@pytest.fixture(scope="module")
def replayed(tmp_path_factory):
    """The folder with the results of a fresh replay of all traces."""
    out = tmp_path_factory.mktemp("replay")
    done = tool("replay", "--out", out)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def rows(replayed):
    """What each policy came to on each trace."""
    results = json.loads((replayed / "results.json").read_text(encoding="utf-8"))
    return {name: result["policies"] for name, result in results.items()}


@pytest.mark.parametrize("case", cases())
def test_case(outcomes, case):
    output, passed = outcomes
    assert case in passed, output


@pytest.mark.parametrize("mutation", breakage.mutations(), ids=lambda m: m["about"].replace(" ", "-"))
def test_mutation_is_noticed(outcomes, mutation):
    assert mutation["caught_by"] in outcomes[1], "fails without a mutation"
    assert breakage.try_one(BUILD, mutation) == [mutation["caught_by"]]


def test_nothing_but_its_arguments(tmp_path):
    """No global, no clock, no lock: nothing is called, and there is no data."""
    policy = tmp_path / "pacing.o"
    subprocess.run(["gcc", "-O2", f"-I{PACING}", "-c", str(breakage.SOURCE), "-o", str(policy)], check=True)
    symbols = subprocess.run(["nm", str(policy)], text=True, check=True, capture_output=True).stdout
    kinds = [line.split()[-2:] for line in symbols.splitlines()]
    assert [name for kind, name in kinds if kind == "U"] == []
    assert {kind for kind, _ in kinds} <= {"T", "t", "r", "U"}


def test_results_are_those_of_this_policy(replayed):
    """The figures that are kept are what comes out, to the letter."""
    assert (replayed / "results.json").read_bytes() == (RESULTS / "results.json").read_bytes(), \
        f"{paths.shown(RESULTS)} is of another policy: make -C {paths.shown(PACING)} replay"
    assert (replayed / "tradeoff.png").read_bytes().startswith(b"\x89PNG")


def test_churn_that_comes_back_soon(rows):
    """In five minutes, with the five seconds in which it is learned."""
    for name, churned_gib in (("churn-512m-0.9s", 123), ("churn-128m-0.5s", 67)):
        assert rows[name][OURS]["refaulted_gib"] <= churned_gib / 100


def test_churn_with_long_pauses(rows):
    for name in ("churn-512m-10s", "churn-512m-30s"):
        ours, fixed = rows[name][OURS], rows[name]["fixed 2 s"]
        assert ours["refaulted_gib"] <= fixed["refaulted_gib"]
        assert ours["held_gib_s"] < fixed["held_gib_s"] / 2


def test_cpu_time(rows):
    assert all(row[OURS]["report_cpu_pct"] <= 1 for row in rows.values())


def test_known_future_is_the_best(rows):
    """If not, it was computed wrongly, or a policy had its refaults for nothing."""
    for name, row in rows.items():
        ratios = [figures["cost_to_known_future"] for figures in row.values()]
        assert all(ratio is None or ratio >= 1 for ratio in ratios), name


def test_never_far_from_a_known_future(rows):
    """2.6 times the cost at most on each trace, and no fixed delay can say that."""
    def worst(policy):
        return max(row[policy]["cost_to_known_future"] or 0 for row in rows.values())

    assert worst(OURS) <= 2.6
    assert all(worst(policy) > 2.6 for policy in FIXED)


def test_an_ablation_makes_figures_worse():
    done = tool("ablations", "tau is B")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^tau is B .* worse$", done.stdout, re.M), done.stdout


def test_ablations_fit():
    for ablation in ablations.ablations():
        ablations.copy(BUILD / "ablation")
        ablations.change(BUILD / "ablation", ablation)


def test_fuzz(fuzzer):
    """What has failed before, and then the same inputs in each run, so that who changes nothing breaks nothing."""
    process, log = fuzzer
    if process is None:
        pytest.skip(log)
    process.wait(FUZZ_DEADLINE_S)
    text = log.read_text(encoding="utf-8", errors="replace")
    assert process.returncode == 0, text[-3000:]
    seeds = len(list((PACING / "corpus").iterdir()))
    assert f"Done {FUZZ_RUNS} runs" in text and re.search(rf"INFO: seed corpus: files: {seeds} ", text), text[-3000:]
