"""The subscribing side of a connection to a relay, in each framing."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted
from twisted.internet.protocol import Protocol
from twisted.protocols.basic import Int32StringReceiver, LineOnlyReceiver
from twisted.python.failure import Failure

from tester.client.printer import Printer
from tester.connection import Say, explain
from tester.tally import plural


class Subscriber(Protocol):
    """One connection that receives: whole messages go to `printer`. A subclass knows the framing.

    `ended`: fires when `printer` is done, and fails with its OSError if it cannot print. `longest`: bytes that a
    message may have; a longer one ends the connection. `say`: shows lines to a person.
    """

    transport: Any  # ITCPTransport; Twisted says ITransport or None

    def __init__(self, printer: Printer, ended: Deferred[None], longest: int, say: Say) -> None:
        self.MAX_LENGTH = longest  # the attribute that Twisted's receivers use
        self._printer = printer
        self._ended = ended
        self._say = say
        self._incomplete = 0  # bytes received of a message that is not complete
        self._refused = False

    def split(self, data: bytes) -> None:
        """Call `deliver` for each message that `data` completes."""
        raise NotImplementedError

    def deliver(self, payload: bytes, framing: int) -> None:
        """Print a whole message; `framing`: how many bytes of framing came with it."""
        self._incomplete -= len(payload) + framing
        self._printer.message(payload)

    def refuse(self, length: int) -> None:
        """End the connection because of a message that is too long; it has at least `length` bytes."""
        self._refused = True
        self._say(f"a message of at least {length:,} bytes is longer than --max-message {self.MAX_LENGTH}")
        self.transport.abortConnection()

    def dataReceived(self, data: bytes) -> None:
        if self._refused or self._ended.called:
            return
        self._incomplete += len(data)
        try:
            self.split(data)
            self._printer.flush()
        except OSError:
            self._ended.errback(Failure())
        else:
            if self._printer.done:
                self._ended.callback(None)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """Say why the connection ended and whether a message was cut, unless this side ended it."""
        if self._refused or self._ended.called or reason.check(ConnectionAborted):
            return
        cut = f", within a message: {plural(self._incomplete, 'byte')} of it had come" if self._incomplete else ""
        self._say(explain(reason) + cut)


class Int32Subscriber(Subscriber, Int32StringReceiver):
    """Parses frames with Twisted's `Int32StringReceiver`."""

    def split(self, data: bytes) -> None:
        Int32StringReceiver.dataReceived(self, data)

    def stringReceived(self, string: bytes) -> None:
        self.deliver(string, framing=self.prefixLength)

    def lengthLimitExceeded(self, length: int) -> None:
        self.refuse(length)


class LineSubscriber(Subscriber, LineOnlyReceiver):
    """Parses frames with Twisted's `LineOnlyReceiver`."""

    delimiter = b"\n"

    def split(self, data: bytes) -> None:
        LineOnlyReceiver.dataReceived(self, data)

    def lineReceived(self, line: bytes) -> None:
        self.deliver(line, framing=len(self.delimiter))

    def lineLengthExceeded(self, line: bytes) -> None:
        self.refuse(len(line))


class RawSubscriber(Subscriber):
    """Takes the bytes of each read as one message."""

    def split(self, data: bytes) -> None:
        self.deliver(data, framing=0)


SUBSCRIBERS: dict[str, type[Subscriber]] = {"int32": Int32Subscriber, "line": LineSubscriber, "raw": RawSubscriber}
