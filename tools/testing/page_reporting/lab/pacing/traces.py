# SPDX-License-Identifier: GPL-2.0
"""Memory demand over time: made ones, the same in every run, and recorded ones from a CSV file.

A trace is a list of (ms, pages in use), pages of 4 KiB, from which on so many are in use.
"""

import csv
import json
import math
import random
from pathlib import Path

from .. import paths

MIB = 256                   # pages
GUEST = 4096 * MIB          # the guest that all made traces are of
KERNEL = 200 * MIB          # what such a guest uses when it does nothing
SAMPLE_MS = 50              # how often slow curves move
TOUCH_MS = 10               # how often fast ones do
RECORDED = paths.PACING / "recorded"


def ramp(start_ms, took_ms, low, high):
    """Memory that is touched bit by bit."""
    steps = max(1, took_ms // TOUCH_MS)
    return [(start_ms + took_ms * step // steps, low + (high - low) * step // steps)
            for step in range(1, steps + 1)]


def churn(mib, touch_ms, pause_ms, for_s):
    """Take, touch, give back, pause; again and again, in a guest that has been up for five seconds."""
    trace, now = [(0, KERNEL)], 5000
    while now < for_s * 1000:
        trace += ramp(now, touch_ms, KERNEL, KERNEL + mib * MIB)
        now += touch_ms
        trace.append((now, KERNEL))
        now += pause_ms
    return trace + [(now, KERNEL)]


def steady(for_s=300):
    """A service: two GiB, and requests that take some blocks for a moment."""
    draw = random.Random(1)
    return [(ms, KERNEL + 2048 * MIB + draw.randrange(0, 16) * MIB)
            for ms in range(0, for_s * 1000, SAMPLE_MS)]


def events_to_trace(events, for_s):
    """The sum of changes (ms, pages), in steps of TOUCH_MS."""
    trace, level = {0: KERNEL}, KERNEL
    for ms, change in sorted(events):
        level += change
        trace[ms // TOUCH_MS * TOUCH_MS] = level
    trace[for_s * 1000] = KERNEL
    return sorted((ms, pages) for ms, pages in trace.items() if ms <= for_s * 1000)


def job(start_ms, touch_ms, for_ms, pages):
    """One that touches memory bit by bit and frees all of it at its end."""
    steps = max(1, touch_ms // TOUCH_MS)
    marks = [pages * step // steps for step in range(steps + 1)]
    return [(start_ms + touch_ms * step // steps, marks[step] - marks[step - 1])
            for step in range(1, steps + 1)] + [(start_ms + touch_ms + for_ms, -pages)]


def bursts(for_s=600):
    """Now and then something large: up to 2 GiB for up to 20 s, one at a time."""
    draw, events, now = random.Random(2), [], 5000
    while now < (for_s - 60) * 1000:
        touch, busy = draw.randrange(200, 1500), draw.randrange(500, 20000)
        events += job(now, touch, busy, draw.randrange(128, 2048) * MIB)
        now += touch + busy + int(draw.expovariate(1 / 15000))
    return events_to_trace(events, for_s)


def diurnal(for_s=720):
    """A day in twelve minutes: from 0.5 to 2.5 GiB and back, twice, with noise on it."""
    draw, trace = random.Random(3), []
    for ms in range(0, for_s * 1000, SAMPLE_MS):
        wave = 1 - math.cos(4 * math.pi * ms / (for_s * 1000))
        trace.append((ms, KERNEL + int((512 + 1024 * wave) * MIB) + draw.randrange(0, 32) * MIB))
    return trace


def compiler(for_s=300):
    """Three compilers at a time, each file 60 to 400 MiB, then a linker, then nothing."""
    draw, events, ends = random.Random(4), [], []
    for _ in range(3):
        now = 1000
        while now < 200_000:
            touch = draw.randrange(300, 4000)
            events += job(now, touch, 20, draw.randrange(60, 400) * MIB)
            now += touch + 20 + draw.randrange(10, 60)
        ends.append(now)
    events += job(max(ends), 5000, 3000, 1800 * MIB)
    return events_to_trace(events, for_s)


def release(for_s=30):
    """Three of four GiB, freed at once after a minute's work."""
    held = [(ms, KERNEL + 3072 * MIB) for ms in (0, 60_000)]
    return held + [(60_000 + 300 * step // 10, KERNEL + 3072 * MIB * (10 - step) // 10)
                   for step in range(1, 11)] + [(60_000 + for_s * 1000, KERNEL)]


MADE = {
    "steady": steady,
    "churn-512m-0.9s": lambda: churn(512, 300, 900, 300),
    "churn-128m-0.5s": lambda: churn(128, 50, 500, 300),
    "churn-512m-10s": lambda: churn(512, 300, 10_000, 300),
    "churn-512m-30s": lambda: churn(512, 300, 30_000, 600),
    "bursts": bursts,
    "diurnal": diurnal,
    "compile": compiler,
    "release": release,
}


def load(path):
    """A trace from a CSV file of ms,pages; lines that begin with # are comments."""
    with open(path, newline="", encoding="utf-8") as lines:
        rows = csv.reader(line for line in lines if not line.startswith("#"))
        return [(int(ms), int(pages)) for ms, pages in rows]


def from_bench(path):
    """What a run of the bench recorded, as a trace: the guest's resident memory on the host.

    That is what the guest uses and what it freed a while ago. Changes of less than a block of 2 MiB
    are left out.
    """
    points = json.loads(Path(path).read_text(encoding="utf-8"))["points"]
    trace = []
    for s, mib in points:
        if not trace or abs(round(mib * MIB) - trace[-1][1]) >= 2 * MIB or s == points[-1][0]:
            trace.append((round((s - points[0][0]) * 1000), round(mib * MIB)))
    return trace


def everything():
    """All traces by name, recorded ones last."""
    traces = {name: make() for name, make in MADE.items()}
    return traces | {path.stem: load(path) for path in sorted(RECORDED.glob("*.csv"))}
