"""A subscriber in the framings without sessions: all but `int32`."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from relay.wire.framing import BadFrame, Framing, MessageTooLong
from relay.wire.framings import framing_name
from relay.wire.signature import wrong_framing
from tester.client.printer import Printer
from tester.connection import Say, explain
from tester.tally import plural


class Subscriber(Protocol):
    """One connection that receives: whole messages go to `printer`.

    `ended`: fires when `printer` is done; fails with its OSError if it cannot print, and with SystemExit if the stream
    is not what `framing` reads. `say`: shows lines to a person.
    """

    transport: Any  # ITCPTransport; Twisted says ITransport or None

    def __init__(self, framing: Framing, printer: Printer, ended: Deferred[None], say: Say) -> None:
        self._framing = framing
        self._printer = printer
        self._ended = ended
        self._say = say

    def dataReceived(self, data: bytes) -> None:
        if self._ended.called:
            return
        refusal: SystemExit | None = None
        try:
            runs = self._framing.receive(data)
        except BadFrame as error:
            runs, refusal = error.frames, self._refuse(error)
        try:
            for frames in runs:
                self._printer.run(frames)
        except OSError:
            self._ended.errback(Failure())
            return
        if self._printer.done:
            self._ended.callback(None)
        elif refusal is not None:
            self.transport.abortConnection()
            self._ended.errback(Failure(refusal))

    def _refuse(self, error: BadFrame) -> SystemExit:
        name = framing_name(type(self._framing))
        looks = wrong_framing(error.start, self._framing.limit, name)
        larger = "give a larger --max-message, or " if isinstance(error, MessageTooLong) else ""
        return SystemExit(f"there is {error}: {larger}the relay's --framing is not {name}{looks and '; '}{looks}")

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """Say why the connection ended and whether a message was cut, unless this side ended it."""
        if self._ended.called or reason.check(ConnectionAborted):
            return
        rest = self._framing.partial
        cut = f", within a message: {plural(rest, 'byte')} of it had come" if rest else ""
        self._say(explain(reason) + cut)
