# SPDX-License-Identifier: GPL-2.0
"""Run the tracing examples of the operator's guide, and print their output.

Boots the kernel "observe" with the host's root over 9p, so that the host's perf, trace-cmd and
bpftrace work on it, while memory is taken and freed beside them. Exit status: 0 if every command
succeeded and saw an event, 1 if not, 2 for bad input.
"""

import re
import shlex
import shutil
from pathlib import Path

from . import paths, programs
from .errors import BadInput, LabError, MissingTool

SECTION = "Tracepoints"
TOOLS = ("perf", "trace-cmd", "bpftrace")
DEADLINE_S, LIMIT_S = 1800, 300     # of all, and of each
# Runs a command as a terminal would show it, and says whether it fails or says nothing.
RUN = f"""cd /tmp; wrong=0
run() {{
    echo "# $1"
    said=$(timeout {LIMIT_S} bash -o pipefail -c "$1" 2>&1 </dev/null) || {{ echo "# FAILED: status $?"; wrong=1; }}
    [[ $said ]] && echo "$said" || {{ echo "# FAILED: it says nothing"; wrong=1; }}
    echo
}}
"""


def arguments(parser):
    parser.add_argument("--kernel", default=paths.vmlinux("observe"), type=Path, help="kernel to boot (%(default)s)")
    parser.add_argument("--check-only", action="store_true", help="check the input and start nothing")
    parser.add_argument("--console", metavar="FILE", help="copy the guest's console to this file")


def commands(document):
    """What stands behind a "# " prompt that opens a literal block of SECTION; a backslash continues a line.

    Below it is what the command said, of which lines may begin with "# " as well.
    """
    section = re.search(rf"^{SECTION}\n=+\n(.*?)(?=^\S[^\n]*\n=+$|\Z)", document, re.M | re.S)
    found = re.findall(r"::\n\n[ \t]+# ((?:.*\\\n)*.*)$", section[1], re.M) if section else []
    return [re.sub(r"\\\n\s*", "", command) for command in found]


def script(all_commands):
    """A script for bash that runs the commands; it ends with 1 if anything was wrong."""
    return RUN + "".join(f"run {shlex.quote(command)}\n" for command in all_commands) + "exit $wrong\n"


def main(args):
    """Run the commands in a guest whose memory comes and goes."""
    from .bench_runs import HOST_ROOT
    from .run import follow
    from .vm import VM
    if missing := [tool for tool in TOOLS if not shutil.which(tool)]:
        raise MissingTool(f"run the examples: {', '.join(missing)} not installed: "
                          "`apt-get install linux-perf trace-cmd bpftrace`")
    found = commands(paths.GUIDE.read_text(encoding="utf-8"))
    if not found:
        raise LabError(f"run the examples: {paths.GUIDE} has none")
    if args.check_only:
        return 0
    if not args.kernel.is_file():
        raise BadInput(f"run the examples: {args.kernel} does not exist: `make trace-examples` builds it")
    initrd = programs.build(args.kernel.parent, paths.BUILD / "guest-programs")
    path = paths.BUILD / "trace-examples.sh"
    path.write_text(script(found), encoding="utf-8")
    steps = [["hosted", f"script={path}", "churn", "mem=1024M", "pause=8000", f"for={DEADLINE_S}", "thp=always"]]
    with VM(args.kernel, initrd, mem_mib=2048, steps=steps, extra_args=HOST_ROOT,
            run_deadline_s=DEADLINE_S, console_log=args.console) as vm:
        result = follow(vm, events=False)
    return int(any(event.name == "hosted" and event.number("status") for event in result.events))
