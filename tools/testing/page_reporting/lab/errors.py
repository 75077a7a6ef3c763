# SPDX-License-Identifier: GPL-2.0
"""What can go wrong in the lab and in scripts/, and how a program says so."""

import errno
import importlib.util
import signal
import subprocess
import sys


class LabError(Exception):
    """An expected failure: the step, the cause and, where there is one, the remedy; `exit_code` is the program's."""

    exit_code = 1

    def __init__(self, step, cause="", remedy=""):
        super().__init__(step + (cause and f": {cause}") + (remedy and f"\n  remedy: {remedy}"))


class BadInput(LabError):
    """An argument or a variable of the environment is wrong: nothing was started."""

    exit_code = 2


class MissingTool(LabError):
    """QEMU, or something that it needs, is not there."""


class GuestError(LabError):
    """A guest did not do what it had to; the message ends with the console's tail."""


class RunTimeout(GuestError):
    """The guest did not boot, not report, or not finish in time."""


class GuestDied(GuestError):
    """QEMU ended although the guest was not done."""


class DirtyConsole(GuestError):
    """The guest's kernel complained."""


class StepFailed(GuestError):
    """A guest program failed."""


def output(step, command, remedy="", **kwargs):
    """What a program prints; LabError with what it says if it fails, MissingTool with the remedy if there is none."""
    try:
        done = subprocess.run([str(word) for word in command], text=True, errors="replace", check=False,
                              **{"capture_output": True, "stdin": subprocess.DEVNULL, **kwargs})
    except FileNotFoundError as error:
        raise MissingTool(f"{step}: {command[0]} is not installed: {remedy or 'run `make setup`'}") from error
    if done.returncode:
        raise LabError(f"{step}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def need_modules(step, *names):
    """MissingTool unless Debian's modules are there, which a check of the input does without."""
    if missing := [f"python3-{name}" for name in names if not importlib.util.find_spec(name)]:
        raise MissingTool(f"{step}: {', '.join(missing)} not installed: run `make setup`")


def explain(error):
    """One message for an OSError."""
    name = error.filename2 or error.filename or "a file"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return LabError("disk full", f"no space left while writing {name}",
                        "free some space (a full build takes about 5 GiB), then run the same command again")
    return LabError(f"{name}: {error.strerror}")


def take_signals():
    """Have SIGTERM and SIGHUP end the program through its cleanup, as Ctrl-C does.

    In the background of a shell, SIGINT comes ignored, and under nohup SIGHUP, which stays so.
    """
    def leave(number, _frame):
        sys.exit(128 + number)

    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, leave)


def run_main(name, main):
    """Call main() and end with its exit status; what went wrong becomes one message."""
    take_signals()
    try:
        sys.exit(main())
    except LabError as error:
        status, said = error.exit_code, error
    except KeyboardInterrupt:
        status, said = 130, "interrupted; the next run goes on from here"
    except OSError as error:
        if error.errno is None or isinstance(error, BrokenPipeError):
            raise
        status, said = 1, explain(error)
    print(f"{name}: {said}", file=sys.stderr, flush=True)
    sys.exit(status)
