# SPDX-License-Identifier: GPL-2.0
"""Sizes and numbers as a user writes them."""

import re

from .errors import BadInput

_MIB = {"M": 1, "G": 1024, "T": 1024 * 1024}


def parse_mib(name, text):
    """The MiB in a size such as "512M" or "4G"; BadInput, naming `name`, for anything else."""
    match = re.fullmatch(r"([1-9][0-9]{0,8})([MGT])", text.strip().upper())
    if not match:
        raise BadInput(f"{name}={text}: not a size; give a whole number of M or G, such as 4G or 1536M")
    return int(match[1]) * _MIB[match[2]]


def parse_whole(name, text, low, high, unit=""):
    """An integer from `low` to `high`; BadInput, naming `name`, for anything else."""
    if not re.fullmatch(r"[0-9]{1,9}|-[1-9][0-9]{0,8}", text.strip()) or not low <= int(text) <= high:
        raise BadInput(f"{name}={text}: give a whole number from {low} to {high}{unit}")
    return int(text)


def format_mib(mib):
    """A size as parse_mib() reads it, in the largest unit that loses nothing."""
    return f"{mib // 1024}G" if mib % 1024 == 0 else f"{mib}M"
