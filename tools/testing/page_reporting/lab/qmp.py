# SPDX-License-Identifier: GPL-2.0
"""A client of QEMU's monitor, QMP, over a unix socket.

    with qmp.Monitor(path) as monitor:
        monitor.execute("stop")

for a QEMU that was started with qmp.arguments(path).
"""

import json
import socket

from .errors import LabError

TIMEOUT_S = 30


def arguments(path):
    """What to add to QEMU's command line, for it to listen at `path`."""
    return ("-qmp", f"unix:{path},server=on,wait=off")


class Monitor:
    """A connection; whatever QEMU refuses, or says that is no QMP, is a LabError."""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(TIMEOUT_S)
        try:
            self._socket.connect(str(path))
            self._lines = self._socket.makefile("rb")
            if "QMP" not in self._read("greet"):
                raise LabError("QMP greet: QEMU sent no greeting")
            self.execute("qmp_capabilities")
        except OSError as error:
            self._socket.close()
            raise LabError(f"QMP: connect to {path}: {error.strerror or error}") from error
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._lines.close()
        self._socket.close()

    def _read(self, command):
        """The next message, an object."""
        try:
            line = self._lines.readline()
            message = json.loads(line)
        except OSError as error:
            raise LabError(f"QMP {command}: {error.strerror or error}") from error
        except ValueError as error:
            said = line.decode("utf-8", "replace").strip() or "nothing: the connection is closed"
            raise LabError(f"QMP {command}: QEMU sent {said}") from error
        if not isinstance(message, dict):
            raise LabError(f"QMP {command}: QEMU sent {line.decode('utf-8', 'replace').strip()}")
        return message

    def execute(self, command, **arguments_):
        """What QEMU returns for `command`; its events are left out."""
        request = {"execute": command} | ({"arguments": arguments_} if arguments_ else {})
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise LabError(f"QMP {command}: {error.strerror or error}") from error
        while "event" in (message := self._read(command)):
            pass
        if "return" not in message:
            raise LabError(f"QMP {command}: {message.get('error', {}).get('desc') or message}")
        return message["return"]
