# SPDX-License-Identifier: GPL-2.0
"""What a program shows while it works: bars that move on a terminal, a line now and then elsewhere."""

import sys
import time
from dataclasses import dataclass

PLAIN_PERIOD_S = 10
SPARKS, SPARK_WIDTH = " ▁▂▃▄▅▆▇█", 32
CURVE_MIN_WIDTH = 76        # columns of a terminal from which on there is room for curves
MAX_WIDTH = 110


class Pace:
    """Says when a line is due again."""

    def __init__(self, period_s=PLAIN_PERIOD_S, at_once=False):
        self._period_s, self._next = period_s, 0 if at_once else time.monotonic() + period_s

    def due(self):
        """Whether the time is over; the next one begins then."""
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + self._period_s
        return True


class Progress:
    """How much of a task is done: one bar, or a line every ten seconds; without python3-rich, too."""

    def __init__(self, title, total=None):
        self.title, self.total, self.done = title, total, 0
        self._began, self._pace, self._bar, self._task = time.monotonic(), Pace(), None, None

    def __enter__(self):
        try:
            from rich import progress
        except ImportError:
            progress = None
        if progress and sys.stdout.isatty():
            self._bar = progress.Progress(progress.TextColumn("{task.description}"), progress.BarColumn(),
                                          progress.TaskProgressColumn(), progress.TimeElapsedColumn(), transient=True)
            self._bar.start()
            self._task = self._bar.add_task(self.title, total=self.total)
        else:
            print(f"{self.title} ...", flush=True)
        return self

    def __exit__(self, *_):
        if self._bar:
            self._bar.stop()

    def advance(self, step=1):
        self.done += step
        if self.total:
            self.total = max(self.total, self.done)
        if self._bar:
            self._bar.update(self._task, completed=self.done, total=self.total)
        elif self._pace.due():
            share = f"{100 * self.done // self.total} %" if self.total else f"{self.done} steps"
            print(f"{self.title}: {share} after {time.monotonic() - self._began:.0f} s", flush=True)


def sparkline(values, top):
    """The last values as a line of blocks, each from 0 to `top`."""
    steps = len(SPARKS) - 1
    return "".join(SPARKS[max(0, min(steps, round(steps * value / top)))]
                   for value in values[-SPARK_WIDTH:]).rjust(SPARK_WIDTH)


@dataclass(frozen=True)
class Row:
    """One value: of how much, in which unit, in which colour, and what there is to say of it."""

    value: float
    top: float
    unit: str = "MiB"
    colour: str = "cyan"
    note: str = ""


class Rows:
    """Values that move: bars and curves on a terminal, lines elsewhere; use as a context manager.

    console: a rich.console.Console
    period_s: from one line, or one column of the curves, to the next
    """

    def __init__(self, console, period_s):
        self._console, self._pace, self._rows, self._history = console, Pace(period_s, at_once=True), {}, {}
        self._live = None

    def __enter__(self):
        from rich.live import Live
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()
        return self

    def __exit__(self, *_):
        if self._live:
            self._live.stop()

    def show(self, rows, plain, head="", foot=()):
        """Show {name: Row}, or print the line `plain` when one is due, or a row is new."""
        due = self._pace.due() or not rows.keys() <= self._rows.keys()
        self._rows |= rows
        for name, row in rows.items() if due else ():
            self._history[name] = [*self._history.get(name, [])[1 - SPARK_WIDTH:], row.value]
        if self._live:
            self._live.update(self._picture(head, foot), refresh=True)
        elif due:
            print(plain, flush=True)

    def _picture(self, head, foot):
        from rich.console import Group
        from rich.table import Table
        width, table = min(self._console.width, MAX_WIDTH), Table.grid(padding=(0, 1))
        for name, row in self._rows.items():
            table.add_row(*self._cells(name, row, width))
        return Group(*([line_of(head, "bold")] if head else []), table, *(line_of(line) for line in foot))

    def _cells(self, name, row, width):
        from rich.progress_bar import ProgressBar
        curved = width >= CURVE_MIN_WIDTH
        room = width - 28 - (SPARK_WIDTH + 1) * curved - (len(row.note) + 1) * bool(row.note)
        bar = ProgressBar(total=row.top, completed=min(row.value, row.top), style="grey23", width=max(6, room),
                          complete_style=row.colour, finished_style=row.colour)
        return [line_of(f"{name:<13}"), bar, line_of(f"{row.value:6.0f} {row.unit:<5}"),
                *([line_of(sparkline(self._history[name], row.top), row.colour)] if curved else []),
                *([line_of(row.note)] if row.note else [])]


def line_of(text, style=""):
    """One line, cut off where the terminal ends."""
    from rich.text import Text
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")
