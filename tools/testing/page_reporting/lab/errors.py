# SPDX-License-Identifier: GPL-2.0
"""What can go wrong in the lab.

Every message names the step, the cause and, where there is one, the remedy.
"""


class LabError(Exception):
    """Base of all; `exit_code` is what a program ends with."""

    exit_code = 1


class BadInput(LabError):
    """An argument or a variable of the environment is wrong: nothing was started."""

    exit_code = 2


class MissingTool(LabError):
    """QEMU, or something that it needs, is not there."""


class GuestError(LabError):
    """A guest did not do what it had to; the message ends with the console's tail."""


class BootTimeout(GuestError):
    """The guest sent nothing before the deadline for its boot."""


class RunTimeout(GuestError):
    """The guest booted and then did not finish, or not report, in time."""


class GuestDied(GuestError):
    """QEMU ended although the guest was not done."""


class DirtyConsole(GuestError):
    """The guest's kernel complained."""


class StepFailed(GuestError):
    """A guest program failed."""
