# SPDX-License-Identifier: GPL-2.0
"""Single keys from the terminal."""

import os
import select
import sys
import termios
import tty


class Keys:
    """Keys of standard input, as they are pressed; none where it is no terminal. Use as a context
    manager, which puts the terminal back as it was. Ctrl-C stays an interrupt."""

    def __init__(self):
        self._fd = self._before = None

    def __enter__(self):
        if sys.stdin is not None and sys.stdin.isatty():
            self._fd = sys.stdin.fileno()
            self._before = termios.tcgetattr(self._fd)
            tty.setcbreak(self._fd)
        return self

    def __exit__(self, *_):
        if self._fd is not None:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)

    def pressed(self):
        """What was pressed since the last call, as text."""
        if self._fd is None or not select.select([self._fd], [], [], 0)[0]:
            return ""
        return os.read(self._fd, 64).decode("utf-8", "replace")
