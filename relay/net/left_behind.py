"""What a Unix socket leaves behind when its relay was killed: the socket's file, and Twisted's lock beside it.

The lock is a symbolic link to the number of a process. Numbers are given again: in a container that is started anew the
relay is often process 1, as the one before was, and so finds a lock that is its own, or another program's. So it is not
the number that counts but whether anybody answers at the socket.
"""

from __future__ import annotations

import os
import socket
import stat
import time
from contextlib import suppress

from twisted.internet.endpoints import _parse

YOUNG = 1.0
"""Seconds after a lock is made in which its owner, if it is another living process, may not listen yet."""


def clear(endpoint: str) -> None:
    """Remove what is left of a Unix socket that nobody serves. Does nothing for other endpoints.

    `endpoint`: a string as for Twisted's `serverFromString`, on which it is about to listen.
    """
    path, locked = unix_socket(endpoint)
    if not locked or not (os.path.lexists(path) or os.path.lexists(f"{path}.lock")):
        return
    if _served(path) or _begins(path):
        return
    with suppress(OSError):  # then listening fails, and says why
        if os.path.lexists(path) and stat.S_ISSOCK(os.lstat(path).st_mode):
            os.unlink(path)
        if os.path.islink(f"{path}.lock"):
            os.unlink(f"{path}.lock")


def unix_socket(endpoint: str) -> tuple[str, bool]:
    """The file of a Unix socket's endpoint, and whether Twisted makes a lock beside it.

    The file is empty, and there is no lock, for any other endpoint and for what is no endpoint.
    """
    try:
        words, named = _parse(endpoint.removeprefix("haproxy:"))
    except ValueError:
        return "", False
    if not words or words[0] != "unix":
        return "", False
    file = str(named.get("address") or "".join(words[1:2]))
    return file, bool(file) and named.get("lockfile") != "0"


def _served(path: str) -> bool:
    """Whether somebody accepts connections to a socket, or may do so: it is not certain that nobody does."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(YOUNG)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True
    return True


def _begins(path: str) -> bool:
    """Whether another process has just made the lock, so that it may be about to listen."""
    try:
        owner, made = os.readlink(f"{path}.lock"), os.lstat(f"{path}.lock").st_mtime
    except OSError:
        return False
    return owner != str(os.getpid()) and os.path.exists(f"/proc/{owner}") and abs(time.time() - made) < YOUNG
