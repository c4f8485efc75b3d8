"""A connection to a relay that is made again and again: if the relay starts later, restarts, or drops it."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

from twisted.application.internet import ClientService, backoffPolicy
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import clientFromString
from twisted.internet.error import ConnectingCancelledError, ConnectionDone
from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from relay.client.backoff import Backoff
from relay.client.errors import ClientError
from relay.client.retry import Retry
from tester.handshake import TlsEndpoint
from tester.tls import Tls, TlsError, words

Say = Callable[[str], None]  # shows a person one line of text

# Seconds between two attempts. They are short enough that whoever restarts a relay sees its peers return at once, and
# long enough that a tester left running overnight without a relay only costs a packet every few seconds.
FIRST, LONGEST = 0.2, 5.0
RETRY = backoffPolicy(initialDelay=FIRST, maxDelay=LONGEST, jitter=lambda: random.uniform(0, 0.2))


def spoken_endpoint(reactor: Any, address: str, tls: Tls | None, say: Say, give_up: Say) -> SpokenEndpoint:
    """Where `address` is: an endpoint that tells a person how it goes.

    `address`: an endpoint string such as `tcp:127.0.0.1:8001`, or HOST:PORT; anything else ends the program. With TLS
    it has to be HOST:PORT. `tls`: None to connect without TLS. `say`: shows lines to a person. `give_up`: called with
    the reason when TLS fails in a way that retrying cannot mend.
    """
    if tls is None:
        endpoint = parse_endpoint(reactor, address)
    else:
        host, port = parse_host(address)
        endpoint = TlsEndpoint(reactor, host, port, tls, lambda why: spoken.refused(why, give_up))
    spoken = SpokenEndpoint(endpoint, address, say)
    return spoken


def keep_connected(reactor: Any, endpoint: SpokenEndpoint, build: Callable[[], Protocol]) -> ClientService:
    """A service, not yet started, that keeps a protocol connected. `build`: makes it for each connection."""
    return ClientService(endpoint, Builder(build), RETRY, clock=reactor)


def same_pace() -> Retry:
    """The same pace for the client library."""
    return Retry(backoff=Backoff(first=FIRST, most=LONGEST))


def parse_endpoint(reactor: Any, address: str) -> IStreamClientEndpoint:
    """The endpoint that `address` names. Ends the program if it names none."""
    if re.fullmatch(r"(?!tcp:|unix:)[\w.-]+:\d+", address):
        address = f"tcp:{address}"
    try:
        endpoint: IStreamClientEndpoint = clientFromString(reactor, address)
    except (ValueError, TypeError, KeyError) as error:  # TypeError and KeyError: a part is missing, or one too many
        raise SystemExit(f"{address!r} is no HOST:PORT and no endpoint string: {error}") from None
    return endpoint


def parse_host(address: str) -> tuple[str, int]:
    """The host and the port of HOST:PORT, where an IPv6 host is in brackets. Ends the program for anything else."""
    found = re.fullmatch(r"(?:tcp:)?(?:([\w.-]+)|\[([\da-fA-F:.]+)\]):(\d+)", address)
    if found is None:
        raise SystemExit(f"--tls needs a HOST:PORT whose certificate it can verify, and {address!r} is none")
    return found[1] or found[2], int(found[3])


class Builder(Factory):
    """Makes the protocol of each connection."""

    noisy = False

    def __init__(self, build: Callable[[], Protocol]) -> None:
        self._build = build

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        return self._build()


@implementer(IStreamClientEndpoint)
class SpokenEndpoint:
    """Tells a person of each connection, and why none can be made: once for several attempts in a row that fail."""

    def __init__(self, endpoint: IStreamClientEndpoint, address: str, say: Say) -> None:
        self.address = address
        self._endpoint = endpoint
        self._say = say
        self._said = False
        self._connected = False

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        connecting = self._endpoint.connect(SpokenFactory(protocolFactory, self._tell))
        return connecting.addErrback(self._failed)

    def lost(self, fault: Exception) -> None:
        """Say why a connection of the client library has ended, if there was one."""
        if self._connected:
            self._connected = False
            self._say(str(fault))

    def refused(self, why: str, give_up: Say) -> None:
        """Give up, and say no more: TLS failed for good."""
        self._connected = False
        give_up(f"{self.address}: {why}")

    def _tell(self) -> None:
        self._said, self._connected = False, True
        self._say(f"connected to {self.address}")

    def _failed(self, failure: Failure) -> Failure:
        if not self._said and not failure.check(CancelledError, ConnectingCancelledError, TlsError):
            self._said = True
            self._say(f"waiting for a relay at {self.address}: {failure.getErrorMessage()}")
        return failure


@implementer(IProtocolFactory)
class SpokenFactory:
    """Tells a person of each connection, before its protocol can say anything."""

    def __init__(self, factory: IProtocolFactory, tell: Callable[[], None]) -> None:
        self._factory = factory
        self._tell = tell

    def buildProtocol(self, addr: IAddress | None) -> IProtocol | None:
        self._tell()
        return self._factory.buildProtocol(addr)  # type: ignore[arg-type]  # endpoints pass None, too

    def doStart(self) -> None:
        self._factory.doStart()

    def doStop(self) -> None:
        self._factory.doStop()


def explain(reason: Failure) -> str:
    """Why a connection ended, as a line for people."""
    if reason.check(ConnectionDone):
        return "the relay closed the connection"
    return f"the connection broke: {words(reason.value) or reason.getErrorMessage()}"


def in_options(error: ClientError, silent: str) -> str:
    """Why the client library gave up, for somebody who has options. `silent`: what stands for its `session=False`."""
    return str(error).replace("session=False", silent).replace("max_message", "--max-message")
