# SPDX-License-Identifier: GPL-2.0
"""README, docs/ and the guide: tables come from results.json, and what they name is there."""

import json
import subprocess

import pytest
import texts

from lab import paths

META = {"accel": "tcg", "qemu": "QEMU emulator version 7.2.22", "base": "6.12.1", "cpus": 2, "repeat": 3,
        "date": "2026-11-28T00:00:00+00:00", "commit": "0123456789abcdef", "host_thp": "madvise"}


def row(stock, ours, spread_pct=10.0, better="lower", name="release/4g/t90_s"):
    scenario, variant, figure = name.split("/")
    return {"scenario": scenario, "variant": variant, "figure": figure, "unit": "s", "stock": stock, "ours": ours,
            "off": None, "ratio": ours / stock if stock else None, "spread_pct": spread_pct, "better": better}


def results(tmp_path, *rows):
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"meta": META, "rows": rows}), encoding="utf-8")
    return texts.Results(path)


# Tables of results

def test_verdict():
    for made, word in (
            (row(10, 1), "better"), (row(1, 10), "worse"), (row(1, 10, better="higher"), "better"),
            (row(100, 101), "same"), (row(10, 1, spread_pct=None), "no verdict"), (row(0, 0, spread_pct=None), "same"),
            (None, "not measured"),
            ({**row(10, 1), "ours": None, "ratio": None, "spread_pct": None}, "not measured")):
        assert texts.verdict(made) == word


def test_summary_tells_what_was_measured_and_what_not(tmp_path):
    lines = texts.summary(results(tmp_path, row(10.6, 0.854), row(1, 2, name="release/4g/t99_s"))).split("\n")
    assert lines[2].endswith("| 10.6 s | 0.854 s | better |")
    assert lines[3].endswith("| 1 s | 2 s | worse |")
    assert [line[-24:] for line in lines[4:12]] == ["| - | - | not measured |"] * 8
    assert "at commit 0123456789ab, up to 3 runs of each kernel: QEMU 7.2.22, TCG, 2" in "\n".join(lines[12:])


def test_all_rows_are_in_the_long_table(tmp_path):
    text = texts.everything(results(tmp_path, row(10, 1), row(1, 10, name="release/4g/t99_s")))
    assert "2 figures: 1 better, 0 same, 1 worse, 0 no verdict, 0 not measured." in text
    assert "Worse than stock: release 4g t99_s." in text
    assert "| 4g | t90_s | 10 s | 1 s | - | 0.100 | 10.0 % | better |" in text


@pytest.mark.parametrize("head, end", [("<!-- results: summary -->\n", "<!-- results: end -->\n"),
                                       (".. results: cost\n", ".. results: end\n")])
def test_fill_replaces_the_table_and_nothing_else(tmp_path, head, end):
    found = results(tmp_path, row(10, 1))
    text = texts.fill(f"before\n{head}old | 1\n{end}after\n", found)
    assert text.startswith(f"before\n{head}") and text.endswith(f"{end}after\n") and "old" not in text
    assert texts.fill(text, found) == text


def test_unknown_table_and_figure_are_errors(tmp_path):
    found = results(tmp_path, row(10, 1))
    with pytest.raises(texts.Fail, match="results: nosuch: no such table"):
        texts.fill("<!-- results: nosuch -->\n<!-- results: end -->", found)
    with pytest.raises(texts.Fail, match="release/4g/t98_s: the bench has no such figure"):
        texts.named(found, [("release/4g/t98_s", "words")])


def test_check_names_what_differs(tmp_path):
    found, readme = results(tmp_path, row(10, 1)), tmp_path / "README.md"
    readme.write_text("<!-- results: summary -->\n<!-- results: end -->\n", encoding="utf-8")
    assert texts.check(tmp_path, found) == ["README.md: a table differs from results.json: run scripts/texts.py"]
    filled = texts.fill(readme.read_text(encoding="utf-8"), found)
    readme.write_text(filled, encoding="utf-8")
    assert texts.check(tmp_path, found) == []
    readme.write_text(filled.replace("| 10 s |", "| 11 s |"), encoding="utf-8")
    assert texts.check(tmp_path, found) == ["README.md: a table differs from results.json: run scripts/texts.py"]
    readme.write_text(filled + "Of commit 89abcdef0123, too.\n", encoding="utf-8")
    assert texts.check(tmp_path, found) == ["README.md: commit 89abcdef0123 is not that of results.json"]
    readme.write_text("no table\n", encoding="utf-8")
    assert texts.check(tmp_path, found) == ["no text has a table of results"]


# Links

def dead(tmp_path, text):
    (tmp_path / "a.md").write_text(text, encoding="utf-8")
    return texts.dead_links(tmp_path / "a.md", [paths.REPO])


def test_links_that_are_alive(tmp_path):
    (tmp_path / "b.md").write_text("# Two words, one `comma`\n", encoding="utf-8")
    assert dead(tmp_path, "[b](b.md) [h](b.md#two-words-one-comma) [w](https://host/none) `scripts/lint` `mm/tests/`\n"
                          "`mm/page_reporting*.c` `make test ARCH=x`\n\n    make -k -C x nosuch\n    make demo test\n"
                ) == []


def test_dead_links_are_named(tmp_path):
    for text, reason in (
            ("[b](none.md)", "link to none.md: no such file"), ("[b](a.md#none)", "link to a.md#none: no such heading"),
            ("see `scripts/none`", "scripts/none: no such file"), ("see `mm/none*.c`", "mm/none*.c: no such file"),
            ("type `make none`", "make none: no such target"),
            ("type\n\n    cd x && make none\n", "make none: no such target"),
            ("type `make demo none VERSION=2`", "make none: no such target")):
        assert dead(tmp_path, text) == [reason]


# make help

def test_help_names_each_target_that_has_a_description():
    """In a group; a target that is in none is not shown."""
    makefile = (paths.REPO / "Makefile").read_text(encoding="utf-8")
    described = dict(line.split(":", 1) for line in makefile.split("\n") if ":" in line and "\t## " in line)
    done = subprocess.run(["make", "-s", "-C", paths.REPO, "help"], capture_output=True, text=True, check=True,
                          timeout=60)
    shown = dict(line.split(None, 1) for line in done.stdout.split("\n") if line.startswith("  ")
                 and line[2:3].islower() and not line.startswith("  for "))
    assert shown == {name: words.split("\t## ")[1] for name, words in described.items()} and len(shown) > 15
