# SPDX-License-Identifier: GPL-2.0
"""The commands that a document shows, and a script that runs them one after the other."""

import re
import shlex
from dataclasses import dataclass

from .errors import BadInput

BEGIN, END = "@begin", "@end"
LIMIT_S = 300


@dataclass(frozen=True)
class Ran:
    """One command, what it said, and its exit status."""

    command: str
    output: list
    status: int


def section(text, title):
    """The part of a document in reStructuredText below the heading `title`, up to the next one."""
    match = re.search(rf"^{re.escape(title)}\n=+\n(.*?)(?=^\S[^\n]*\n=+$|\Z)", text, re.M | re.S)
    if not match:
        raise BadInput(f"{title}: the document has no such section")
    return match[1]


def commands(text):
    """What stands behind a "# " prompt that opens a literal block; a backslash continues a line.

    Below it is what the command said, of which lines may begin with "# " as well.
    """
    found = re.findall(r"::\n\n[ \t]+# ((?:.*\\\n)*.*)$", text, re.M)
    return [re.sub(r"\\\n\s*", "", command) for command in found]


def update(text, ran):
    """The document with what the commands said below them, in place of what stood there."""
    said = {example.command: example.output for example in ran}
    lines, result = text.split("\n"), []
    while lines:
        line = lines.pop(0)
        found = re.match(r"([ \t]+)# (.*)", line)
        opens = len(result) > 1 and not result[-1] and result[-2].endswith("::")
        result.append(line)
        if not (found and opens):
            continue
        indent, command = found.groups()
        while command.endswith("\\"):
            result.append(lines.pop(0))
            command = command[:-1] + result[-1].lstrip()
        if command in said:
            while lines and (not lines[0].strip() or lines[0].startswith(indent)):
                lines.pop(0)
            result += [*(f"{indent}{each}".rstrip() for each in trim(said[command])), ""]
    return "\n".join(result)


def trim(output):
    """The lines without empty ones at the beginning and the end."""
    return re.sub(r"\A\s*\n|\s*\Z", "", "\n".join(output)).split("\n")


def script(all_commands):
    """A script for bash that runs the commands and marks where the output of each begins and ends."""
    lines = ["exec 2>&1 </dev/null", "cd /tmp"]
    for number, command in enumerate(all_commands):
        lines += [f"echo {BEGIN} {number}", f"timeout {LIMIT_S} bash -o pipefail -c {shlex.quote(command)}",
                  f"echo {END} {number} $?"]
    return "".join(f"{line}\n" for line in lines)


def outputs(all_commands, lines):
    """What each command said, as Ran, from the script's lines; BadInput if one did not end."""
    found, output = [], []
    for line in lines:
        if line.startswith(BEGIN):
            output = []
        elif line.startswith(END):
            number, status = (int(word) for word in line.split()[1:])
            found.append(Ran(all_commands[number], output, status))
        else:
            output.append(line)
    if len(found) != len(all_commands):
        raise BadInput(f"only {len(found)} of {len(all_commands)} commands came to an end")
    return found
