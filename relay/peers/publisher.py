"""Publishers: connections whose bytes are split into messages for the hub."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IAddress, IHalfCloseableProtocol
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from zope.interface import implementer

from relay.core.cursor import Tally
from relay.core.hub import Hub
from relay.core.state import State
from relay.peers.connection import Connection
from relay.peers.origins import Loop
from relay.peers.publisher_session import PublisherSession
from relay.peers.registry import Registry
from relay.peers.sessions import Sessions
from relay.wire import control
from relay.wire.answer import Error
from relay.wire.close_reason import CloseReason
from relay.wire.control import BadControl
from relay.wire.delimited import Delimited
from relay.wire.framing import BadFrame, Buffer, Frames, Framing, MessageTooLong
from relay.wire.framings import framing_name
from relay.wire.hello import Opening, PublisherHello
from relay.wire.signature import MOST, looks_like, opens, takes_apart, wrong_framing

PROGRESS = 2048
"""Bytes of an incomplete message that count as progress. Within the default of 30 s that asks for 69 bytes a second: a
serial line of 1,200 baud carries 120, and no peer keeps a connection open with a byte now and then."""

SILENCE = 10.0
"""Seconds without a byte after which the log says so: whoever came to the wrong port to read would wait for ever."""


class Publishers(Protocol):
    """What a publisher needs of the object that pauses and resumes all of them (`relay.peers.intake`)."""

    def add(self, publisher: Publisher) -> None:
        """Add a publisher. It may be paused at once."""
        ...

    def remove(self, publisher: Publisher) -> None:
        """Forget a publisher. It need not have been added."""
        ...

    def discard(self) -> bool:
        """Whether a message that is too long shall be dropped, without its connection. Then it counts as dropped."""
        ...


@implementer(IHalfCloseableProtocol)  # with a session it is told the rest after it has closed its sending half
class Publisher(Connection):
    """One publisher's connection."""

    logger = Logger()

    def __init__(
        self,
        registry: Registry,
        address: IAddress | None,
        hub: Hub,
        framing: Framing,
        publishers: Publishers,
        sessions: Sessions | None = None,
    ) -> None:
        """`framing`: splits this connection's stream. `publishers`: told of this one's beginning and end.

        `sessions`: what all sessions share; None for no sessions.
        """
        super().__init__(registry, address)
        self.messages = 0
        self.bytes = 0
        self.session: PublisherSession | None = None
        """The publisher's session; None without one."""
        self._framing = framing
        if isinstance(framing, Delimited):
            framing.drop = self._drop
        self._publishers = publishers
        self._sessions = sessions
        self._opening = Opening() if sessions is None else sessions.opening()
        self._receive = self._first if sessions is None else self._open
        self._pass_on = hub.publish
        self._complete = 0  # messages that were complete at the last sweep that looked for an incomplete one
        self._incomplete_for: float | None = None  # at least so many seconds; None if no sweep has seen it
        self._came = 0  # bytes of the incomplete message when that time began
        self._silent_for = 0.0  # seconds since the beginning, as long as nothing came

    def _begin(self) -> None:
        self.lifecycle.become(State.OPEN)
        self._publishers.add(self)

    def dataReceived(self, data: bytes) -> None:
        if self.reason is not None:
            return  # over TLS, bytes come until the peer has closed its side too
        try:
            frames = self._receive(data)
        except BadFrame as error:
            self._publish(error.frames)
            self._refuse(error)
        else:
            self._publish(frames)

    def _publish(self, frames: list[Frames]) -> None:
        if not frames:
            return
        for data, messages, _ in frames:
            self.messages += messages
            self.bytes += len(data)
        self._pass_on(frames)

    def _refuse(self, error: BadFrame) -> None:
        if self.session is not None:
            self.session.leave(error.reason, str(error))
            return
        self.abort(error.reason, f"it sent {error}{self._hint(error)}")

    def _drop(self, error: MessageTooLong) -> bool:
        """Whether the message is dropped, so that the connection goes on behind it."""
        if not self._publishers.discard():
            return False
        what, hint = str(error), self._hint(error)
        self.warn("publisher {peer} sent {what}, which is discarded{hint}", what=what, hint=hint)
        return True

    def _hint(self, error: BadFrame) -> str:
        """What the peer seems to speak instead, as the end of a line, if it has sent no message yet."""
        if self.messages or error.frames:
            return ""
        looks = looks_like(error.start)
        if looks:
            return f"; it looks like {looks}, which does not belong on this port"
        wrong = wrong_framing(error.start, self._framing.limit, framing_name(type(self._framing)))
        return f"; {wrong}" if wrong else ""

    # Its session

    def _open(self, data: bytes) -> list[Frames]:
        """Take the first bytes of the stream: a hello, or messages. It stands in for the framing's `receive`."""
        assert self._sessions is not None
        opening = self._opening
        try:
            rest = self._sessions.read_opening(opening, data)
        except BadControl as error:
            self._refuse_hello(error, control.frame)
            return []
        if opening.body is not None:
            self._receive = self._framing.receive
            self._begin_session(opening.body, self._sessions)
        elif opening.silent:
            self._receive = self._first
        return self._receive(rest) if rest and self.reason is None else []

    def _first(self, data: bytes) -> list[Frames]:
        """Take bytes until there is a message, which must not be of another protocol. It stands in for `receive`, too.

        Web pages can send requests to any port, and what they send must not be published.
        """
        frames = self._framing.receive(data)
        if frames:
            self._receive = self._framing.receive
            what = opens(bytes(frames[0].data[:MOST]))
            if what:
                self.abort(CloseReason.FOREIGN_PROTOCOL, f"it looks like {what}, which does not belong on this port")
                return []
            if not self._framing.self_delimiting:
                self._doubt(frames[0].data)
        return frames

    def _doubt(self, first: Buffer) -> None:
        """Say so if the first message is one that another framing would take apart. It is relayed all the same."""
        if other := takes_apart(bytes(first), self._framing.limit):
            self.warn(
                "publisher {peer} seems to send messages of --framing {other}: here what came at once is one message, "
                "with their lengths in it",
                other=other,
            )

    def _begin_session(self, body: bytes, sessions: Sessions) -> None:
        try:
            hello = sessions.read(body, PublisherHello)
            if hello.via:
                sessions.origins.note(self, hello.via)
        except (BadControl, Loop) as error:
            self._refuse_hello(error, sessions.frame)
            return
        self.name, self.in_session = hello.name, True
        self.session = PublisherSession(self, hello, sessions)
        self._pass_on = self.session.publish
        self.info("publisher {peer} begins a session at {accepted:,}", accepted=self.session.accepted)

    def _refuse_hello(self, error: BadControl | Loop, frame: Callable[[bytes], bytes]) -> None:
        """End with an answer to the hello. `frame`: makes a control frame, as the hello was written."""
        reason = CloseReason.LOOP if isinstance(error, Loop) else CloseReason.SESSION_ERROR
        self.leave(reason, frame(Error(str(error)).write()), f"it was told: {error}")

    def readConnectionLost(self) -> None:
        """The peer has closed its sending half.

        A peer without a session cannot be told that its last message was not complete, except by a reset.
        """
        self._peer_finished = True
        if self.session is not None and self.state is not State.FINISHING:
            self.session.leave(CloseReason.PEER_CLOSED)
        elif self.partial or self._opening.partial:
            self.abort(CloseReason.PEER_CLOSED)
        else:
            self._begin_end(CloseReason.PEER_CLOSED, State.FINISHING)  # a Unix socket may report a loss from here on
            self.link.loseConnection()

    def writeConnectionLost(self) -> None:
        """We closed our half; `readConnectionLost` follows when the peer has closed its own."""

    @property
    def unacknowledged(self) -> int | None:
        return None if self.session is None else self.session.unacknowledged

    @property
    def partial(self) -> int:
        """Bytes of an incomplete message that wait for its rest."""
        return self._framing.partial

    # What happens to all publishers

    def sweep(self, passed: float, timeout: float) -> None:
        """Cut the publisher if a message, or its hello, has been incomplete for `timeout` seconds; 0 for no limit.

        Each `PROGRESS` bytes of it begin the time anew. `passed`: seconds since the last sweep, during which the
        publisher was read.
        """
        self.sweep_leave()
        if self.state is State.OPEN and self._silent_for < SILENCE:
            self._sweep_silence(passed)
        if not timeout or self.lifecycle.ending:
            return
        partial = self._framing.partial or self._opening.partial
        if not partial or self.messages != self._complete:
            self._complete = self.messages
            self._incomplete_for = None
            return
        if self._incomplete_for is None or partial - self._came >= PROGRESS:
            self._incomplete_for, self._came = 0.0, partial
        else:
            self._incomplete_for += passed
        if self._incomplete_for >= timeout:
            self.abort(CloseReason.FRAME_TIMEOUT, f"it began a message and did not complete it in {timeout:g} s")

    def _sweep_silence(self, passed: float) -> None:
        if self.messages or self.in_session or self._framing.partial or self._opening.partial:
            self._silent_for = SILENCE
            return
        self._silent_for += passed
        if self._silent_for >= SILENCE:
            self.info(
                "publisher {peer} has sent nothing for {seconds:g} s: who wants to read connects to subscribers' ports",
                seconds=SILENCE,
            )

    def pause(self) -> None:
        """Read no more from this publisher. Flow control stops it once the buffers in between are full."""
        if self.state is State.OPEN:
            self.lifecycle.become(State.HELD)
        if not self.lifecycle.ending:
            self.link.pauseProducing()

    def resume(self) -> None:
        """Read from this publisher again."""
        if self.state is State.HELD:
            self.lifecycle.become(State.OPEN)
        self.link.resumeProducing()

    @property
    def tally(self) -> Tally:
        return Tally(self.messages, self.bytes, 0)

    # Its end

    def drain(self) -> None:
        if self.session is None:
            super().drain()
        elif not self.lifecycle.ending:
            self.session.leave(CloseReason.SHUTDOWN)

    def _begin_end(self, reason: CloseReason, state: State) -> bool:
        first = super()._begin_end(reason, state)
        if first and self.session is not None:
            self.session.stop()
        return first

    def _end(self) -> None:
        self._publishers.remove(self)
        if self.session is not None:
            self.session.ended()
        if self._sessions is not None:
            self._sessions.origins.forget(self)
        partial = self.partial
        if partial and self.reason is CloseReason.PEER_CLOSED:
            self._why = self._framing.incomplete
        self._log_end(
            "{messages:,} messages, {bytes:,} bytes{lost}",
            messages=self.messages,
            bytes=self.bytes,
            partial=partial,
            lost=f", {partial:,} bytes of an incomplete message dropped" if partial else "",
        )


class PublisherFactory(Factory):
    """Accepts publishers, on any number of ports."""

    noisy = False

    def __init__(
        self,
        registry: Registry,
        hub: Hub,
        publishers: Publishers,
        framing: Callable[[], Framing],
        sessions: Sessions | None = None,
    ) -> None:
        """`framing`: makes the framing of one connection. `publishers`: told of each publisher's beginning and end.

        `sessions`: what all sessions share; None for no sessions.
        """
        self.registry = registry
        self._hub = hub
        self._publishers = publishers
        self._framing = framing
        self._sessions = sessions

    def buildProtocol(self, addr: IAddress | None) -> Publisher:
        return Publisher(self.registry, addr, self._hub, self._framing(), self._publishers, self._sessions)
