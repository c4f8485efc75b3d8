"""What the relay tells the service manager that started it: that it is ready, how it is, and that it is still alive.

The protocol is that of sd_notify(3): datagrams of `VARIABLE=value` lines to the Unix socket that `$NOTIFY_SOCKET`
names. It needs nothing of systemd but that socket, and others speak it too.

Nothing here waits and nothing raises. A datagram that cannot be sent at once is lost if the next one of its kind says
the same or better (a status, a ping); what says that the relay is in another state now is kept, and sent before the
next one: a start whose READY=1 got lost is one that failed.

The *watchdog* is a deadline that every ping moves. The pings come from the reactor, so that a reactor which hangs
misses it, and the manager ends the process and starts another.
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
"""Datagrams kept for a socket that has no room: there are no more states than that."""

logger: Final = Logger()


class Supervisor:
    """Whoever started the relay, and may want to know how it is; this one does not, a shell for example."""

    watchdog: float | None = None
    """How often `alive` has to be called, in seconds; None: never."""

    def ready(self) -> None:
        """Every port listens. Also the end of what `reloading` began."""

    def reloading(self) -> None:
        """The configuration is being read again; `ready` has to follow, whatever comes of it."""

    def stopping(self, seconds: float) -> None:
        """The relay begins to stop, which may take so many seconds."""

    def status(self, text: str) -> None:
        """How the relay is, in a line for people."""

    def alive(self) -> None:
        """The reactor turns."""


class NotifySocket(Supervisor):
    """A service manager that listens on a socket."""

    def __init__(self, path: str, watchdog: float | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """`path`: as in `$NOTIFY_SOCKET`, that of a file, or with an `@` first the name of an abstract socket.

        `watchdog`: how often `alive` has to be called, in seconds. `clock`: CLOCK_MONOTONIC, in seconds.

        Raises OSError if there can be no such socket here.
        """
        self.watchdog = watchdog
        self._address = os.fsencode("\0" + path[1:] if path.startswith("@") else path)
        self._clock = clock
        self._kept: deque[bytes] = deque(maxlen=MAX_KEPT)
        # One for all: when descriptors run out, the pings must go on. It is never connected, because a manager that
        # was started again has another socket at that path.
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def ready(self) -> None:
        self._tell_state("READY=1")

    def reloading(self) -> None:
        # The time lets a manager with Type=notify-reload tell an answer to its signal from an earlier reload.
        self._tell_state(f"RELOADING=1\nMONOTONIC_USEC={self._clock() * 1e6:.0f}")

    def stopping(self, seconds: float) -> None:
        # The extension is for who configured a longer drain and left TimeoutStopSec= as it is.
        self._tell_state(f"STOPPING=1\nEXTEND_TIMEOUT_USEC={seconds * 1e6:.0f}")

    def status(self, text: str) -> None:
        self._tell("STATUS=" + " ".join(text.splitlines()))  # another line would be another variable

    def alive(self) -> None:
        self._tell("WATCHDOG=1")

    def _tell_state(self, lines: str) -> None:
        self._kept.append(lines.encode())
        self._send_kept()

    def _tell(self, line: str) -> None:
        if self._send_kept():
            self._send(line.encode(errors="replace"))

    def _send_kept(self) -> bool:
        """Send what was kept; True if nothing is left."""
        while self._kept and self._send(self._kept[0]):
            self._kept.popleft()
        return not self._kept

    def _send(self, datagram: bytes) -> bool:
        try:
            self._socket.sendto(datagram, self._address)
        except OSError:  # no room, or nobody listens now: the relay goes on as if it had been told
            return False
        return True


def supervisor(environ: MutableMapping[str, str], pid: int) -> Supervisor:
    """Who started this process, as its environment says. `pid` is the number of this process.

    The variables are taken out of the environment, so that no program that is started from here speaks for the relay.
    """
    path = environ.pop("NOTIFY_SOCKET", "")
    watchdog = _ping_interval(environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", ""), pid)
    if not path:
        return Supervisor()
    try:
        if path[0] not in "/@":
            raise ValueError("neither a path nor an abstract socket")  # such as vsock:, which is for whole machines
        return NotifySocket(path, watchdog)
    except (OSError, ValueError) as error:
        logger.warn("$NOTIFY_SOCKET {path} is not used: {error}", path=path, error=error)
        return Supervisor()


def _ping_interval(deadline: str, addressee: str, pid: int) -> float | None:
    """How often the watchdog wants to hear from us, in seconds: in half its time, as sd_watchdog_enabled(3) advises.

    `deadline` is that time in microseconds, and `addressee` the number of the process that is watched. None if there is
    no watchdog, or it watches another process than `pid`: a wrapper that started this one, for example.
    """
    if addressee not in ("", str(pid)) or not re.fullmatch("[0-9]{1,20}", deadline):  # 64 bits
        return None
    return int(deadline) / 1e6 / 2 or None
