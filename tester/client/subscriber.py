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
    """One connection, for receiving: whole messages go to `printer`. A subclass knows the framing.

    `ended` fires when `printer` has as many as it wants, or with its error when it cannot print.
    Messages of more than `longest` bytes end the connection.
    """

    transport: Any  # ITCPTransport; Twisted says ITransport or None

    def __init__(self, printer: Printer, ended: Deferred[None], longest: int, say: Say) -> None:
        self.MAX_LENGTH = longest  # where Twisted's receivers look
        self._printer = printer
        self._ended = ended
        self._say = say
        self._incomplete = 0  # bytes that came and belong to no whole message yet
        self._refused = False

    def split(self, data: bytes) -> None:
        """Call `deliver` for each message that `data` completes."""
        raise NotImplementedError

    def deliver(self, payload: bytes, framing: int) -> None:
        """One whole message, which came with so many bytes of framing."""
        self._incomplete -= len(payload) + framing
        self._printer.message(payload)

    def refuse(self, length: int) -> None:
        """A message is too long: it has at least `length` bytes."""
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
        """Say why, unless this side ended it, and whether a message was cut."""
        if self._refused or self._ended.called or reason.check(ConnectionAborted):
            return
        cut = f", within a message: {plural(self._incomplete, 'byte')} of it had come" if self._incomplete else ""
        self._say(explain(reason) + cut)


class Int32Subscriber(Subscriber, Int32StringReceiver):
    """Frames as Twisted's own `Int32StringReceiver` understands them."""

    def split(self, data: bytes) -> None:
        Int32StringReceiver.dataReceived(self, data)

    def stringReceived(self, string: bytes) -> None:
        self.deliver(string, framing=self.prefixLength)

    def lengthLimitExceeded(self, length: int) -> None:
        self.refuse(length)


class LineSubscriber(Subscriber, LineOnlyReceiver):
    """Frames as Twisted's own `LineOnlyReceiver` understands them."""

    delimiter = b"\n"

    def split(self, data: bytes) -> None:
        LineOnlyReceiver.dataReceived(self, data)

    def lineReceived(self, line: bytes) -> None:
        self.deliver(line, framing=len(self.delimiter))

    def lineLengthExceeded(self, line: bytes) -> None:
        self.refuse(len(line))


class RawSubscriber(Subscriber):
    """No frames: what one read brings counts as a message."""

    def split(self, data: bytes) -> None:
        self.deliver(data, framing=0)


SUBSCRIBERS: dict[str, type[Subscriber]] = {"int32": Int32Subscriber, "line": LineSubscriber, "raw": RawSubscriber}
