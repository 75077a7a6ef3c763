# SPDX-License-Identifier: GPL-2.0
"""The demo on the screen: a bar and a curve that move, or plain lines where nobody watches."""

import time

from rich.progress import BarColumn, Progress, TextColumn

SPARKS = " ▁▂▃▄▅▆▇█"
SPARK_WIDTH = 32
PLAIN_PERIOD_S = 2


def sparkline(values, top):
    """The last values as a line of blocks, each from 0 to `top`."""
    steps = len(SPARKS) - 1
    return "".join(SPARKS[max(0, min(steps, round(steps * value / top)))]
                   for value in values[-SPARK_WIDTH:]).rjust(SPARK_WIDTH)


class LiveDisplay:
    """One moving line per run; use as a context manager."""

    def __init__(self, console, mem_mib):
        self._mem_mib = mem_mib
        self._progress = Progress(
            TextColumn("{task.description:<13}"), BarColumn(20), TextColumn("{task.fields[curve]}"),
            TextColumn("{task.completed:>6.0f} MiB"), TextColumn("{task.fields[note]}"),
            console=console, refresh_per_second=10)
        self._tasks, self._history, self._next = {}, {}, 0

    def __enter__(self):
        self._progress.start()
        return self

    def __exit__(self, *_):
        self._progress.stop()

    def show(self, run, rss_mib, note):
        """Show what `run` has resident now; the curve has one column per half second."""
        if run not in self._tasks:
            self._tasks[run] = self._progress.add_task(run, total=self._mem_mib, curve="", note="")
            self._history[run] = []
        if time.monotonic() >= self._next:
            self._history[run].append(rss_mib)
            self._next = time.monotonic() + 0.5
        self._progress.update(self._tasks[run], completed=rss_mib, note=note,
                              curve=sparkline(self._history[run], self._mem_mib))


class PlainDisplay:
    """A line when something new begins, and every PLAIN_PERIOD_S seconds."""

    def __init__(self):
        self._next, self._run = 0, None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def show(self, run, rss_mib, note):
        """Print what `run` has resident now, unless the last line is too fresh."""
        now = time.monotonic()
        if run == self._run and now < self._next:
            return
        self._run, self._next = run, now + PLAIN_PERIOD_S
        print(f"{run}: {rss_mib:.0f} MiB resident, {note}", flush=True)


def choose(console, mem_mib):
    """What suits `console`, a rich.console.Console, for a VM of `mem_mib`."""
    return LiveDisplay(console, mem_mib) if console.is_terminal else PlainDisplay()
