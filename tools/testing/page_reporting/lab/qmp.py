# SPDX-License-Identifier: GPL-2.0
"""A client of QEMU's monitor, QMP, over a unix socket, for a QEMU that was started with qmp.arguments(path)."""

import json
import socket
import time

from .errors import LabError

TIMEOUT_S = 30


def arguments(path):
    """What to add to QEMU's command line, for it to listen at `path`."""
    return ("-qmp", f"unix:{path},server=on,wait=off")


class Monitor:
    """A connection, as a context manager; what QEMU refuses, or says that is no QMP, is a LabError."""

    def __init__(self, path):
        self._path, self._socket = str(path), socket.socket(socket.AF_UNIX)

    def __enter__(self):
        self._socket.settimeout(TIMEOUT_S)
        try:
            self._socket.connect(self._path)
            self._lines = self._socket.makefile("rb")
            if "QMP" not in self._read("greet"):
                raise LabError("QMP greet: QEMU sent no greeting")
            self.execute("qmp_capabilities")
        except OSError as error:
            self._socket.close()
            raise LabError(f"QMP: connect to {self._path}: {error.strerror or error}") from error
        except LabError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._lines.close()
        self._socket.close()

    def _read(self, command):
        """The next message."""
        line = b""
        try:
            line = self._lines.readline()
            return dict(json.loads(line))
        except (OSError, ValueError, TypeError) as error:
            raise LabError(f"QMP {command}: QEMU sent {line.decode('utf-8', 'replace').strip() or error}") from error

    def execute(self, command, **arguments_):
        """What QEMU returns for `command`; its events are left out."""
        request = {"execute": command} | ({"arguments": arguments_} if arguments_ else {})
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        while "event" in (message := self._read(command)):
            pass
        if "return" not in message:
            raise LabError(f"QMP {command}: {message.get('error', {}).get('desc') or message}")
        return message["return"]


def cont(monitor):
    """Let the guest go on. Right after a migration has completed, QEMU refuses that for a moment more."""
    deadline = time.monotonic() + TIMEOUT_S
    while monitor.execute("query-status")["status"] == "finish-migrate" and time.monotonic() < deadline:
        time.sleep(0.05)
    monitor.execute("cont")
