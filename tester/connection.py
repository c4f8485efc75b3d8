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

from tester.handshake import TlsEndpoint
from tester.tls import Tls, TlsError, words

Say = Callable[[str], None]  # shows a person one line of text

# Delays in seconds, plus up to 0.2 at random. They are short enough that whoever restarts a relay sees its peers return
# at once, and long enough that a tester left running overnight without a relay only costs a packet every few seconds.
RETRY = backoffPolicy(initialDelay=0.2, maxDelay=5.0, jitter=lambda: random.uniform(0, 0.2))


def connect(
    reactor: Any, address: str, tls: Tls | None, build: Callable[[], Protocol], say: Say, give_up: Say
) -> ClientService:
    """A service, not yet started, that keeps a protocol connected to `address` and tells a person how that goes.

    `address`: an endpoint string such as `tcp:127.0.0.1:8001`, or HOST:PORT; anything else ends the program. With TLS
    it has to be HOST:PORT. `tls`: None to connect without TLS. `build`: makes the protocol for each connection.
    `say`: shows lines to a person. `give_up`: called with the reason when TLS fails in a way that retrying cannot mend.
    """
    if tls is None:
        endpoint = parse_endpoint(reactor, address)
    else:
        host, port = parse_host(address)
        endpoint = TlsEndpoint(reactor, host, port, tls, lambda why: give_up(f"{address}: {why}"))
    return ClientService(
        SpokenEndpoint(endpoint, address, say), SpokenFactory(build, address, say), RETRY, clock=reactor
    )


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


class SpokenFactory(Factory):
    """Tells a person of each connection, before its protocol can say anything."""

    noisy = False

    def __init__(self, build: Callable[[], Protocol], address: str, say: Say) -> None:
        self._build = build
        self._address = address
        self._say = say

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        self._say(f"connected to {self._address}")
        return self._build()


@implementer(IStreamClientEndpoint)
class SpokenEndpoint:
    """Tells a person why no connection can be made: once for several attempts in a row that fail."""

    def __init__(self, endpoint: IStreamClientEndpoint, address: str, say: Say) -> None:
        self._endpoint = endpoint
        self._address = address
        self._say = say
        self._said = False

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        return self._endpoint.connect(protocolFactory).addCallbacks(self._made, self._failed)

    def _made(self, protocol: IProtocol) -> IProtocol:
        self._said = False
        return protocol

    def _failed(self, failure: Failure) -> Failure:
        if not self._said and not failure.check(CancelledError, ConnectingCancelledError, TlsError):
            self._said = True
            self._say(f"waiting for a relay at {self._address}: {failure.getErrorMessage()}")
        return failure


def explain(reason: Failure) -> str:
    """Why a connection ended, as a line for people."""
    if reason.check(ConnectionDone):
        return "the relay closed the connection"
    return f"the connection broke: {words(reason.value) or reason.getErrorMessage()}"
