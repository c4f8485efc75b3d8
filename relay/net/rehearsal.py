"""Tries to make Unix sockets, before the relay leaves the terminal that would read why one cannot be made.

A daemon makes its Unix sockets when it is on its own: the lock beside each has the number of its process.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from contextlib import ExitStack, chdir

from twisted.internet.address import UNIXAddress
from twisted.internet.error import CannotListenError
from twisted.python.lockfile import FilesystemLock

from relay.net import left_behind
from relay.net.ports import cannot_listen
from relay.net.unavailable import why


class Rehearsed:
    """A Unix socket that is there, with its lock, until it is closed. Nobody is served there."""

    def __init__(self, path: str, *, locked: bool) -> None:
        """Make the socket, with a lock if `locked`. Raises CannotListenError or OSError, as Twisted's port does."""
        name = os.fsencode(path)
        with ExitStack() as made:
            if locked:
                lock = FilesystemLock(path + ".lock")
                if not lock.lock():
                    raise CannotListenError(None, name, "Cannot acquire lock")
                made.callback(lock.unlock)
            listening = made.enter_context(socket.socket(socket.AF_UNIX))
            try:
                listening.bind(path)
            except OSError as error:
                raise CannotListenError(None, name, error) from None
            made.callback(os.unlink, path)
            listening.listen()  # as one that nobody serves, `left_behind.clear` would remove it
            self.close = made.pop_all().close
        self._address = UNIXAddress(name)

    def getHost(self) -> UNIXAddress:
        """Its address, as a port tells it."""
        return self._address


def rehearse(asked: Iterable[tuple[str, str]], folder: str) -> None:
    """Raise CannotStart if one of the Unix sockets that are asked for cannot be made. Leaves nothing behind.

    `asked`: options, each with its endpoint, a string as for Twisted's `serverFromString`; what is no Unix socket is
    passed over. `folder`: where relative paths begin.
    """
    own: list[tuple[str, Rehearsed]] = []
    with chdir(folder), ExitStack() as stack:
        for option, endpoint in asked:
            path, locked = left_behind.unix_socket(endpoint)
            if not path:
                continue
            left_behind.clear(endpoint)
            try:
                made = Rehearsed(path, locked=locked)
            except (CannotListenError, OSError) as error:
                raise cannot_listen(option, endpoint, why(error, own)) from None
            stack.callback(made.close)
            own.append((option, made))
