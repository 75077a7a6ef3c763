# SPDX-License-Identifier: GPL-2.0
"""`make top` on the screen: four bars that move, or a line a second where nobody watches."""

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .display import SPARK_WIDTH, sparkline

CURVE_MIN_WIDTH = 76        # columns of a terminal from which on there is room for curves
MAX_WIDTH = 110


def clock(seconds):
    """Seconds as m:ss."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def totals(reading):
    """What happened since the guest booted, in two lines of words."""
    return (f"reported {reading.sent_mib:.0f} MiB in {reading.calls} calls, failed {reading.failed_mib:.0f} MiB",
            f"refaulted {reading.refaulted_mib:.0f} MiB, {reading.passes} passes, {reading.skips} zones skipped")


def line_of(text, style=""):
    """One line, cut off where the terminal ends."""
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


class LiveView:
    """Bars; use as a context manager.

    title: what is watched; mem_mib: the guest's memory, a whole bar
    """

    ROWS = (("free", "green", "MiB"), ("- reported", "cyan", "MiB"), ("refaulted", "yellow", "MiB/s"),
            ("host resident", "magenta", "MiB"))

    def __init__(self, console, title, mem_mib):
        self._console, self._title, self._mem_mib = console, title, mem_mib
        self._history = {name: [] for name, *_ in self.ROWS}
        self._fastest = mem_mib / 16        # MiB/s of refaults that fill the bar
        self._live = Live(Text(f"{title}: boots"), console=console, auto_refresh=False)

    def __enter__(self):
        self._live.start()
        return self

    def __exit__(self, *_):
        self._live.stop()

    def show(self, reading, rate, seconds):
        """Show a Reading, with its refaults in MiB/s, `seconds` after the start."""
        self._fastest = max(self._fastest, rate)
        values = (reading.free_mib, reading.reported_mib, rate, reading.resident_mib)
        for (name, *_), value in zip(self.ROWS, values):
            self._history[name] = self._history[name][1 - SPARK_WIDTH:] + [value]
        self._live.update(self._picture(reading, seconds), refresh=True)

    def _picture(self, reading, seconds):
        width = min(self._console.width, MAX_WIDTH)
        table = Table.grid(padding=(0, 1))
        for row in self.ROWS:
            table.add_row(*self._row(*row, width))
        return Group(line_of(f"{self._title}, {clock(seconds)}", "bold"), table,
                     *(line_of(line) for line in totals(reading)), line_of("q ends it", "dim"))

    def _row(self, name, colour, unit, width):
        value = self._history[name][-1]
        top = self._fastest if unit == "MiB/s" else self._mem_mib
        curved = width >= CURVE_MIN_WIDTH
        bar = ProgressBar(total=top, completed=min(value, top), style="grey23", complete_style=colour,
                          finished_style=colour, width=max(6, width - (29 + SPARK_WIDTH if curved else 28)))
        row = [line_of(f"{name:<13}"), bar, line_of(f"{value:6.0f} {unit:<5}")]
        return row + [line_of(sparkline(self._history[name], top), colour)] if curved else row


class PlainView:
    """One line for each reading."""

    def __init__(self, title):
        self._title = title

    def __enter__(self):
        print(self._title, flush=True)
        return self

    def __exit__(self, *_):
        pass

    def show(self, reading, rate, seconds):
        """Print a Reading, with its refaults in MiB/s, `seconds` after the start."""
        print(f"{clock(seconds)} free {reading.free_mib:.0f} MiB, reported {reading.reported_mib:.0f} MiB, "
              f"refaulted {rate:.0f} MiB/s, resident {reading.resident_mib:.0f} MiB", flush=True)


def choose(console, title, mem_mib):
    """What suits `console`, a rich.console.Console, for a guest of `mem_mib`."""
    return LiveView(console, title, mem_mib) if console.is_terminal else PlainView(title)
