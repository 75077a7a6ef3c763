# SPDX-License-Identifier: GPL-2.0
"""Whether two kernels were built with the same configuration, by the same compiler."""

import re

from .errors import LabError

OPTION = re.compile(r"^(CONFIG_\w+)=(.*)$|^# (CONFIG_\w+) is not set$", re.M)


def options(text):
    """Option -> value in the text of a .config; "n" for one that is not set."""
    return {match[1] or match[3]: match[2] or "n" for match in OPTION.finditer(text)}


def compare(stock, ours):
    """The options that exist on one side only; LabError if another one differs."""
    both = sorted(stock.keys() & ours.keys())
    different = [f"{name}: {stock[name]} and {ours[name]}" for name in both if stock[name] != ours[name]]
    if different:
        raise LabError("compare the configurations: stock and ours differ: " + ", ".join(different[:8])
                       + ": remove build/stock and build/ours, and run `make bench` again")
    return {"same": len(both), "only_stock": one_side(stock, ours), "only_ours": one_side(ours, stock)}


def one_side(these, those):
    """What only `these` has."""
    return {name: these[name] for name in sorted(these.keys() - those.keys())}


def compare_files(stock, ours):
    """compare() for two .config files."""
    return compare(*(options(path.read_text(encoding="utf-8")) for path in (stock, ours)))
