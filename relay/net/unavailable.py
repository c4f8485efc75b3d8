"""Why a port cannot be listened on, in words that say what to do: who has it, or what is missing.

Linux tells in /proc which process has a port, to root and for processes of the same user. Elsewhere nobody is named.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from errno import EACCES, EADDRINUSE, EADDRNOTAVAIL
from pathlib import Path
from typing import Any, Protocol

from twisted.internet.address import UNIXAddress
from twisted.internet.error import CannotListenError

LISTENS = "0A"
"""The state of a listening socket in /proc/net/tcp (TCP_LISTEN in Linux' net/tcp_states.h)."""
PRIVILEGED = 1024
"""Ports below need a privilege on Linux, unless the system is set otherwise."""


class Listening(Protocol):
    """A port of this relay, which tells its address as Twisted's IListeningPort does."""

    def getHost(self) -> Any:  # Any: one class for each kind of address
        ...


def why(error: BaseException | None, own: Iterable[tuple[str, Listening]]) -> str:
    """Why Twisted raised `error` when it should listen.

    `own`: the ports that this relay listens on by now, each with its option.
    """
    if isinstance(error, CannotListenError):
        if isinstance(error.port, int):
            return _why_not_tcp(error.port, error.socketError, own)
        return _why_not_unix(os.fsdecode(error.port), error.socketError, own)
    if isinstance(error, OSError) and error.strerror:
        path = error.filename2 or error.filename  # that of the lock is the second: a symbolic link is made
        return f"{os.path.dirname(os.fsdecode(path))}: {error.strerror}" if path else error.strerror
    return str(error)


def _why_not_tcp(port: int, error: BaseException, own: Iterable[tuple[str, Listening]]) -> str:
    code = error.errno if isinstance(error, OSError) else None
    if code == EADDRINUSE:
        mine = [option for option, other in own if getattr(other.getHost(), "port", None) == port]
        hint = f"ss -ltnp sport = :{port} shows it to root"
        return f"port {port} is taken, by {_holder(mine, _listener(port), hint)}"
    if code == EACCES and port < PRIVILEGED:
        return (
            f"port {port} needs the capability CAP_NET_BIND_SERVICE, as all below {PRIVILEGED} do: under systemd "
            f"AmbientCapabilities= gives it, or sysctl net.ipv4.ip_unprivileged_port_start={port} does without"
        )
    if code == EADDRNOTAVAIL:
        return "no interface of this machine has that address"
    return f"cannot listen on port {port}: {getattr(error, 'strerror', None) or error}"


def _why_not_unix(path: str, error: object, own: Iterable[tuple[str, Listening]]) -> str:
    """Why a Unix socket cannot be made. Twisted's lock is a symbolic link to the number of a process."""
    if isinstance(error, OSError) and error.errno != EADDRINUSE:
        return f"{path}: {error.strerror or error}"
    if isinstance(error, OSError):
        return f"{path} is there already: remove it, if nobody needs it"
    mine = [option for option, other in own if other.getHost() == UNIXAddress(os.fsencode(path))]
    process = ""
    with suppress(OSError):
        process = _name(Path(f"/proc/{os.readlink(f'{path}.lock')}"))
    return f"{path} is taken, by {_holder(mine, process, f'see {path}.lock')}"


def _holder(mine: list[str], process: str, hint: str) -> str:
    """Who has it: an option of this relay, or a process, which is empty if it is not known; then `hint` says more."""
    if mine:
        return f"--{mine[0]} of this relay"
    return process or f"another program ({hint})"


def _listener(port: int) -> str:
    """The process that listens on a TCP port; empty if the system does not tell."""
    sockets = set()
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            rows = [row.split() for row in Path("/proc/net", table).read_text().splitlines()[1:]]
            sockets |= {f"socket:[{row[9]}]" for row in rows if row[3] == LISTENS and int(row[1][-4:], 16) == port}
    for process in Path("/proc").glob("[0-9]*") if sockets else ():
        with suppress(OSError):  # it has ended, or is another user's
            if any(os.readlink(opened) in sockets for opened in (process / "fd").iterdir()):
                return _name(process)
    return ""


def _name(process: Path) -> str:
    """What a process in /proc is called, with its number."""
    return f"{(process / 'comm').read_text().strip()} (process {process.name})"
