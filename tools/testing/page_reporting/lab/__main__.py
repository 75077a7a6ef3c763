# SPDX-License-Identifier: GPL-2.0
"""The lab's one command line: python3 tools/testing/page_reporting/lab COMMAND ..."""

import argparse
import importlib
import sys
from pathlib import Path

# Of a folder that is run, the path has the folder and not what it is in.
sys.path[0] = str(Path(__file__).resolve().parents[1])

COMMANDS = {
    "run": "boot one guest, run programs in it, print what they report",
    "demo": "show that memory which a guest frees comes back to the host",
    "top": "watch a guest that takes and frees memory",
    "bench": "measure the stock kernel and this series side by side",
    "mutants": "break the engine on purpose, one place at a time: its KUnit case has to fail",
    "model": "have spin check the model of when a pass runs",
    "pacing": "try out the pacing policy without a kernel",
    "deb": "boot the kernel's Debian package under libvirt",
    "examples": "run the perf, trace-cmd and bpftrace commands of the guide",
}


def main():
    """Each command is the module of its name: arguments() says what it takes, main() does it."""
    table = "".join(f"  {name:10}{text}\n" for name, text in COMMANDS.items())
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="lab", epilog=f"commands:\n{table}", formatter_class=raw)
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="see below; each has its own --help")
    name = parser.parse_args(sys.argv[1:2]).command
    command = importlib.import_module(f"lab.{name}")
    parser = argparse.ArgumentParser(prog=f"lab {name}", description=command.__doc__, formatter_class=raw)
    command.arguments(parser)
    from lab.errors import run_main
    run_main(name, lambda: command.main(parser.parse_args(sys.argv[2:])))


if __name__ == "__main__":
    main()
