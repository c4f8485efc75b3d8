"""Keeps a connection to one other relay or server: makes it, and makes it again whenever it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from relay.client.backoff import Backoff
from relay.client.errors import ClientError, ConnectionFault
from relay.net.outgoing import unreachable
from relay.peers.heartbeat import CallLater, Delayed
from relay.reach.echo import GoesRound

HOPELESS = 10.0
"""Seconds, at least, to the next try where somebody has to do something first: another port, or another option."""
FAR = 300.0
"""The same after a loop that was found by what went round: each try lets some messages go round again."""


class Connections(Factory):
    """Makes the protocol of each connection."""

    noisy = False

    def __init__(self, make: Callable[[], Protocol]) -> None:
        self._make = make

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        return self._make()


class Dialler:
    """Has at most one connection at a time."""

    logger = Logger()

    def __init__(
        self,
        who: str,
        endpoint: Callable[[], IStreamClientEndpoint],
        make: Callable[[], Protocol],
        call_later: CallLater,
        backoff: Backoff | None = None,
    ) -> None:
        """`who`: for the log. `endpoint`: returns where to connect, asked for each connection.

        `make`: makes the protocol of a connection; whoever does calls `worked` and `ended`. `backoff`: the waits
        between tries; None for the usual ones.
        """
        self.stopped = True
        self._who = who
        self._endpoint = endpoint
        self._factory = Connections(make)
        self._call_later = call_later
        self._backoff = backoff or Backoff()
        self.trouble = ""
        """Why there was no connection that worked, in words, since the last that did; empty if there was no trouble."""
        self._connecting: Deferred[Any] | None = None  # Any: nobody looks at the protocol
        self._next: Delayed | None = None

    def start(self) -> None:
        """Make a connection, and another one whenever it ends, until `stop`."""
        self.stopped = False
        self._dial()

    def stop(self) -> None:
        """Make no connection any more. One that is there is left alone."""
        self.stopped = True
        if self._next is not None:
            self._next.cancel()
            self._next = None
        connecting, self._connecting = self._connecting, None
        if connecting is not None:
            connecting.cancel()

    def worked(self) -> None:
        """Note that the connection is a good one: if it ends, the next try comes soon."""
        self._backoff.succeeded()
        self.trouble = ""

    def is_new(self, trouble: str) -> bool:
        """Note why there is no connection that works. Returns whether that has to be told: the same is told once."""
        known, self.trouble = self.trouble, trouble
        return trouble != known

    def ended(self, fault: Exception | None) -> None:
        """Note that the connection has ended, for `fault` if somebody found one, and plan the next."""
        if self.stopped:
            return
        match fault:
            case GoesRound():
                retry: float | None = FAR
            case ClientError():
                retry = HOPELESS
            case ConnectionFault():
                retry = fault.retry
            case _:
                retry = None
        wait = self._backoff.failed(retry)
        self._next = self._call_later(wait, self._dial)

    def _dial(self) -> None:
        self._next = None
        connecting = self._endpoint().connect(self._factory)
        self._connecting = connecting
        connecting.addCallbacks(self._made, self._failed)

    def _made(self, protocol: object) -> None:
        self._connecting = None

    def _failed(self, failure: Failure) -> None:
        self._connecting = None
        if self.stopped:
            return
        why = unreachable(failure)
        if self.is_new(why):
            self.logger.warn("{who} cannot connect: {why}; it goes on trying", who=self._who, why=why)
        self.ended(None)
