"""The drain: what the relay still does for its subscribers when it stops.

No connection is accepted and no message is read any more. A subscriber is given what the log still has for it, and then
the end of the stream, between two messages. Its connection ends when the peer has closed its side too, or when its
kernel has everything and it sends nothing. A connection that takes longer than the drain timeout is cut, and so is one
that turns up after that: each look sees all that are there.
"""

from __future__ import annotations

from collections.abc import Iterable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from relay.core.state import State
from relay.peers.connection import Connection
from relay.peers.registry import Registry

LOOK = 0.02
"""Seconds between two checks for subscribers that have been given everything."""


class Drain:
    """Ends all connections in an orderly way, within a time limit."""

    def __init__(self, registries: Iterable[Registry], timeout: float, reactor: IReactorTime) -> None:
        """`registries`: whose connections to end. `timeout`: seconds after which the remaining ones are cut."""
        self._registries = tuple(registries)
        self._timeout = timeout
        self._reactor = reactor
        self._deadline = 0.0
        self._done: Deferred[None] = Deferred()

    def begin(self) -> Deferred[None]:
        """End all connections. The Deferred fires when the last one is gone."""
        self._deadline = self._reactor.seconds() + self._timeout
        self._look()
        return self._done

    def _open(self) -> list[Connection]:
        return [connection for registry in self._registries for connection in registry.open]

    def _look(self) -> None:
        late = self._reactor.seconds() >= self._deadline
        for connection in self._open():
            if not late:
                connection.drain()
            elif connection.state is not State.CUT:
                connection.cut()
        if self._open():
            self._reactor.callLater(LOOK, self._look)
        else:
            self._done.callback(None)

    def cut(self) -> None:
        """There is no time left: from the next look on, those that are still there are cut."""
        self._deadline = self._reactor.seconds()
