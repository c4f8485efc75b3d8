"""What the relay tells the service manager that started it: that it is ready, how it is, and that it is still alive.

The protocol is that of sd_notify(3): datagrams of `VARIABLE=value` lines to the Unix socket that `$NOTIFY_SOCKET`
names. It needs nothing from systemd but that socket, and other service managers speak it too.

Telling never waits and never raises. A status or a ping that cannot be sent at once is dropped, because the next one
replaces it. A change of state is kept instead, and sent before the next datagram: to the manager, a start without
READY=1 is a start that failed.

The *watchdog* is a deadline that every ping moves. The pings come from the reactor: if it hangs, the deadline passes,
and the manager ends the process and starts another.
"""

from __future__ import annotations

import os
import re
import socket
import time
from collections import deque
from collections.abc import Callable, MutableMapping
from typing import Final

from twisted.logger import Logger

MAX_KEPT = 4
"""Datagrams kept while the socket has no room; the oldest is dropped for a fifth. There are only three states."""

logger: Final = Logger()


class Supervisor:
    """What started the relay. This one, such as a shell, does not want to be told anything."""

    watchdog: float | None = None
    """Seconds between calls of `alive`; None: it need not be called."""

    def ready(self) -> None:
        """Tell that every port listens, or that a reload is over."""

    def reloading(self) -> None:
        """Tell that a reload begins. `ready` has to follow, also if the reload fails."""

    def stopping(self, seconds: float) -> None:
        """Tell that the relay begins to stop; `seconds`: how long that may take."""

    def status(self, text: str) -> None:
        """Tell how the relay is, in a line for people."""

    def alive(self) -> None:
        """Tell that the reactor still turns."""


class NotifySocket(Supervisor):
    """A service manager that listens on a socket."""

    def __init__(self, path: str, watchdog: float | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """`path`: of the socket's file, or the name of an abstract socket after an `@`, as in `$NOTIFY_SOCKET`.

        `watchdog`: seconds between calls of `alive`, None if there is no watchdog. `clock`: CLOCK_MONOTONIC, in
        seconds.

        Raises OSError if this system has no such sockets.
        """
        self.watchdog = watchdog
        self._address = os.fsencode("\0" + path[1:] if path.startswith("@") else path)
        self._clock = clock
        self._kept: deque[bytes] = deque(maxlen=MAX_KEPT)
        # One socket for all datagrams, because pings must go on when descriptors run out. It is not connected, because
        # a manager that restarts makes another socket at that path.
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def ready(self) -> None:
        self._tell_state("READY=1")

    def reloading(self) -> None:
        # By the time, a manager with Type=notify-reload tells the answer to its own signal from an earlier reload.
        self._tell_state(f"RELOADING=1\nMONOTONIC_USEC={self._clock() * 1e6:.0f}")

    def stopping(self, seconds: float) -> None:
        # The extension helps where the drain timeout was raised and TimeoutStopSec= was not.
        self._tell_state(f"STOPPING=1\nEXTEND_TIMEOUT_USEC={seconds * 1e6:.0f}")

    def status(self, text: str) -> None:
        self._tell("STATUS=" + " ".join(text.splitlines()))  # a second line would be a second variable

    def alive(self) -> None:
        self._tell("WATCHDOG=1")

    def _tell_state(self, lines: str) -> None:
        self._kept.append(lines.encode())
        self._send_kept()

    def _tell(self, line: str) -> None:
        if self._send_kept():
            self._send(line.encode(errors="replace"))

    def _send_kept(self) -> bool:
        """Send the datagrams that were kept. True if none is left."""
        while self._kept and self._send(self._kept[0]):
            self._kept.popleft()
        return not self._kept

    def _send(self, datagram: bytes) -> bool:
        try:
            self._socket.sendto(datagram, self._address)
        except OSError:  # no room, or nobody listens: never a reason for the relay to stop
            return False
        return True


def supervisor(environ: MutableMapping[str, str], pid: int) -> Supervisor:
    """The service manager that `environ` tells of; `pid`: the number of this process.

    Removes the variables from `environ`, so that no child process speaks to the manager in the relay's name.
    """
    path = environ.pop("NOTIFY_SOCKET", "")
    watchdog = _ping_interval(environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", ""), pid)
    if not path:
        return Supervisor()
    try:
        if path[0] not in "/@":
            raise ValueError("neither a path nor an abstract socket")  # such as vsock:, which virtual machines use
        return NotifySocket(path, watchdog)
    except (OSError, ValueError) as error:
        logger.warn("$NOTIFY_SOCKET {path} is not used: {error}", path=path, error=error)
        return Supervisor()


def _ping_interval(deadline: str, addressee: str, pid: int) -> float | None:
    """Seconds between two pings: half of the watchdog's deadline, as sd_watchdog_enabled(3) advises.

    `deadline`: in microseconds, as `$WATCHDOG_USEC` has it. `addressee`: the number of the process that is watched, as
    `$WATCHDOG_PID` has it. None if there is no watchdog, or it watches another process than `pid`, such as a wrapper
    that started this one.
    """
    if addressee not in ("", str(pid)) or not re.fullmatch("[0-9]{1,20}", deadline):  # 64 bits
        return None
    return int(deadline) / 1e6 / 2 or None
