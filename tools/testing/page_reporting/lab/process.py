# SPDX-License-Identifier: GPL-2.0
"""One QEMU process: started so that it cannot outlive the lab, and watched by one thread.

The guest's console and its progress channel are socket pairs, so that a run leaves nothing on
disk, and a QEMU that is gone shows as the end of the stream.
"""

import os
import selectors
import shlex
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field

from . import console, host
from .errors import DirtyConsole, GuestDied, GuestError, StepFailed

SAMPLE_PERIOD_S = 0.02
# How long to go on reading after the first sign of a failure: what follows explains it.
GRACE_S = 0.5

_PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / (1 << 20)
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Sample:
    """QEMU on the host at one instant: resident MiB, as backing.py counts them, minor faults and CPU seconds since its
    start."""

    t: float                    # time.monotonic()
    rss_mib: float
    minflt: int
    cpu_s: float


@dataclass(frozen=True)
class Event:
    """A line of the guest's progress, with the host's time and QEMU's state at its receipt."""

    name: str
    t: float
    sample: Sample | None
    fields: dict = field(default_factory=dict)

    def number(self, key):
        """The whole number that the guest gave for `key`."""
        return int(self.fields[key])


def read_sample(pid, counted=None):
    """A Sample of process `pid`, from the kernel's tables; None once it has ended. `counted` is that of a Backing."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            text = stat.read()
        with open(f"/proc/{pid}/statm", encoding="ascii") as statm:
            _, resident, shared, *_ = map(int, statm.read().split())
        rss_mib = (resident - shared) * _PAGE_MIB
        if counted and resident:
            rss_mib = host.sizes_mib(f"/proc/{pid}/status", counted)
    except (FileNotFoundError, ProcessLookupError):
        return None
    # proc(5): the name, in parentheses, may hold blanks; these are fields 3 and up.
    fields = text.rpartition(")")[2].split()
    if not resident:
        return None
    return Sample(t=time.monotonic(), rss_mib=rss_mib, minflt=int(fields[7]),
                  cpu_s=(int(fields[11]) + int(fields[12])) / _TICKS_PER_S)


class _Lines:
    """Whole lines out of the chunks of a stream."""

    def __init__(self):
        self._rest = b""

    def feed(self, data):
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [line.decode("utf-8", "replace").rstrip("\r") for line in lines]


class Qemu:
    """A running QEMU, its guest's events, console and resident memory.

    `build(channel_fd, console_fd)` gives the command line; `console_log` is a file that gets a
    copy of the console, `judge` says which of its lines are complaints. Start it from a thread that
    lives as long as the guest may: setpriv has the kernel kill QEMU when the thread that started it
    dies, even by SIGKILL. `counted` is that of read_sample().
    """

    def __init__(self, build, console_log=None, judge=None, counted=None):
        self._counted = counted
        self.progress, self.events, self.tap = [], [], []
        self.samples, self.console, self.stderr = [], [], []
        self.step = "boot"          # what the guest is at, for messages
        self.done = False           # the guest's programs are through
        self.ended = False          # QEMU is gone, and everything that it sent has been read
        self.changed = threading.Condition()
        self._failure = None        # (class, cause), once certain
        self._suspicion = None      # (class, cause, time), until GRACE_S is over
        self._stopping = False
        self.judge = judge or console.Judge()
        self._log = open(console_log, "w", encoding="utf-8") if console_log else None
        self._channel, guest_channel = socket.socketpair()
        self._console, guest_console = socket.socketpair()
        with guest_channel, guest_console:
            self._start(build(guest_channel.fileno(), guest_console.fileno()),
                        (guest_channel.fileno(), guest_console.fileno()))
        self._thread = threading.Thread(target=self._watch, name="watch QEMU", daemon=True)
        self._thread.start()

    def _start(self, command, fds):
        self.started = time.monotonic()
        # A session of its own: Ctrl-C reaches the lab alone, which then stops QEMU.
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", *command], pass_fds=fds,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            start_new_session=True)

    # The watching thread

    def _watch(self):
        """The thread: what goes wrong in here is raised by the thread that waits."""
        try:
            self._serve()
        except Exception as error:      # pylint: disable=broad-except
            with self.changed:
                self._fail(GuestError, f"{self.step}: the runner itself failed: {error!r}")
            self.process.kill()
        self.process.wait()
        self._end()

    def _serve(self):
        """Read what the guest sends and sample QEMU, until QEMU is gone."""
        handlers = {self._channel: (_Lines(), self._on_progress),
                    self._console: (_Lines(), self._on_console),
                    self.process.stderr: (_Lines(), self.stderr.append)}
        with selectors.DefaultSelector() as selector:
            for stream, handler in handlers.items():
                selector.register(stream, selectors.EVENT_READ, handler)
            due = time.monotonic()
            while selector.get_map():
                if time.monotonic() >= due:
                    self._take_sample()
                    due = max(due + SAMPLE_PERIOD_S, time.monotonic())
                for key, _ in selector.select(max(0, due - time.monotonic())):
                    if not self._read(key.fileobj, *key.data):
                        selector.unregister(key.fileobj)
                with self.changed:      # A suspicion becomes a failure when its time is over.
                    if self._suspicion and time.monotonic() - self._suspicion[2] > GRACE_S:
                        self._fail(*self._suspicion[:2])

    def _read(self, stream, lines, handle):
        """Handle the lines that have arrived; False at the end of the stream."""
        try:
            data = os.read(stream.fileno(), 65536)
        except ConnectionResetError:
            data = b""
        with self.changed:
            for line in lines.feed(data or b"\n"):
                if data or line:
                    handle(line)
            self.changed.notify_all()
        return bool(data)

    def _take_sample(self):
        sample = read_sample(self.process.pid, self._counted)
        if sample:
            self.samples.append(sample)
        return sample

    def _on_console(self, line):
        self.console.append(line)
        if self._log:
            print(line, file=self._log, flush=True)
        reason = self.judge.complaint(line)
        if reason:
            self._suspect(DirtyConsole, f"{reason}: {line}")

    def _on_progress(self, line):
        self.progress.append(line)
        if not line.startswith("event="):
            self.tap.append(line)
            return
        try:
            fields = dict(word.split("=", 1) for word in shlex.split(line))
        except ValueError:
            self._suspect(GuestError, f"the guest sent a line that is no event: {line}")
            return
        name = fields.pop("event")
        event = Event(name, time.monotonic(), self._take_sample(), fields)
        self.events.append(event)
        self._follow(event)

    def _follow(self, event):
        """Keep track of what the guest is at."""
        if event.name == "step":
            self.step = event.fields["name"]
        elif event.name == "error":
            self._suspect(StepFailed, event.fields["text"])
        elif event.name == "exit" and event.fields.get("status") != "0":
            self._suspect(StepFailed, self._why_failed(event))
        elif event.name == "done":
            self.step = "power off"
            self.done = True

    def _why_failed(self, event):
        how = " ".join(f"{key} {event.fields[key]}" for key in ("status", "signal", "error")
                       if key in event.fields)
        wrong = [line for line in self.tap if line.startswith(("not ok", "Bail out!", "#"))]
        return "\n".join([f"it ended with {how}"] + ["  " + line for line in wrong])

    def _suspect(self, kind, cause):
        """Note a failure. The first counts, except that a dirty console explains the others."""
        if not self._suspicion or (kind is DirtyConsole and self._suspicion[0] is not kind):
            self._suspicion = (kind, f"{self.step}: {cause}", time.monotonic())

    def _fail(self, kind, cause):
        if not self._failure:
            self._failure = (kind, cause)
            self.changed.notify_all()

    def _end(self):
        with self.changed:
            if self._suspicion:
                self._fail(*self._suspicion[:2])
            elif self._stopping and not self.done:
                self._fail(GuestDied, f"{self.step}: stopped before the guest was done")
            elif not self.done:
                said = "".join(f"\n  {line}" for line in self.stderr)
                self._fail(GuestDied, f"{self.step}: QEMU ended with status "
                                      f"{self.process.returncode} before the guest was done{said}")
            self.ended = True
            self.changed.notify_all()

    # For the thread that started it

    def error(self, kind, cause):
        """The exception to raise, its message ending with the console's tail."""
        return kind(f"{cause}\nThe end of the guest's console:\n{console.tail(self.console)}")

    def check(self):
        """Raise what went wrong, if anything has. The caller holds self.changed."""
        if self._failure:
            raise self.error(*self._failure)

    def send(self, line):
        try:
            self._channel.sendall(line.encode() + b"\n")
        except OSError as error:
            self._thread.join(GRACE_S)
            with self.changed:
                self.check()
            raise self.error(GuestDied, f"{self.step}: sending '{line}': {error}") from error

    def stop(self):
        """End QEMU, whatever its state, and everything that belongs to it."""
        self._stopping = True
        self.process.kill()
        self._thread.join()
        for stream in (self._channel, self._console, self.process.stderr, self._log):
            if stream:
                stream.close()
