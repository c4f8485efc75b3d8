"""A subscriber's session: it is told the position of its first message, and from there it counts.

What it is told goes between two messages, by the cursor's tail. The same session serves TCP and WebSocket. They differ
in what a control frame looks like on the wire, and in the source of messages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from relay.core.cursor import NO_LAG, Lag
from relay.core.start import Start
from relay.peers.heartbeat import Heartbeat
from relay.peers.publisher_session import RETRY
from relay.peers.sessions import SERVER, Sessions
from relay.wire import answer
from relay.wire.answer import Answer, Bye, Gap, SubscriberWelcome, Via
from relay.wire.close_reason import CloseReason
from relay.wire.hello import SubscriberHello
from relay.wire.position import Position

if TYPE_CHECKING:
    from relay.peers.subscriber import Subscriber

EPOCHS = 30
"""The newest epochs that a mirror is told: a control frame has room for them beside all else."""


class SubscriberSession:
    """One subscriber's session."""

    def __init__(
        self,
        hello: SubscriberHello,
        start: Start,
        sessions: Sessions,
        frame: Callable[[bytes], bytes] | None = None,
    ) -> None:
        """`start`: what `hello` asks for. `frame`: makes a control frame of its body; None: as the framing has it."""
        self.hello = hello
        self._start = start
        self._sessions = sessions
        self._frame = frame or sessions.frame
        self._lost = 0  # messages in the latest gap
        self._via: tuple[str, ...] = ()  # the origins that a relay was told
        self._mirrors = hello.mirror is not None
        self._subscriber: Subscriber | None = None
        self._heartbeat: Heartbeat | None = None

    def begin(self, subscriber: Subscriber) -> None:
        """Begin the session of `subscriber`, which gets the welcome next."""
        self._subscriber = subscriber
        subscriber.name = self.hello.name
        subscriber.in_session = True
        self._sessions.open[subscriber.role, subscriber.feed] += 1
        self._heartbeat = Heartbeat(self._sessions.call_later, self.hello.heartbeat, self._beat)
        if self.hello.via:
            self._sessions.origins.listeners[self._tell_via] = None

    def welcome(self, first: int) -> bytes:
        """The welcome. `first`: position of the message that follows it."""
        sessions = self._sessions
        self._via = sessions.origins.all if self.hello.via else ()
        lost = sessions.resume(self._start, first)
        starts = sessions.starts
        return self._write(
            SubscriberWelcome(
                next=self._position(first),
                oldest=min(first, starts.history.first),
                lost=lost,
                max_message=sessions.max_message,
                server=SERVER,
                ahead=self._start.ahead,
                via=self._via,
                epochs=tuple(starts.epochs[-EPOCHS:]) if self._mirrors else (),
                behind=sessions.hub.log.next - first if self._mirrors else 0,
            ),
        )

    def gap(self, gap: Lag, first: int, again: bool) -> bytes:
        """What to tell of a gap (see `Consumer.skipped`)."""
        self._lost = gap.messages + (self._lost if again else 0)
        self._sessions.lost += gap.messages
        return self._write(Gap(self._lost, self._position(first)))

    def bye(self, reason: CloseReason) -> bytes:
        """The last thing to tell the subscriber."""
        assert self._subscriber is not None
        following = self._subscriber.source.next()
        retry = RETRY if reason is CloseReason.SHUTDOWN else None
        return self._write(Bye(str(reason), self._position(following), retry=retry))

    def stop(self) -> None:
        """Say nothing more: the connection has begun to end. May be called again, and before `begin`."""
        if self._heartbeat is not None and self._subscriber is not None:
            self._heartbeat.stop()
            self._heartbeat = None
            self._sessions.origins.listeners.pop(self._tell_via, None)
            self._sessions.open[self._subscriber.role, self._subscriber.feed] -= 1

    def _beat(self) -> None:
        assert self._subscriber is not None
        if self._via:
            self._tell_via()
        following = self._position(self._subscriber.source.next())
        lag = self._subscriber.lag(self._sessions.starts.clock) or NO_LAG
        behind = (lag.messages, round(lag.seconds, 3)) if self._mirrors else None
        self._subscriber.insert(self._write(answer.Heartbeat(next=following, behind=behind)))

    def _tell_via(self) -> None:
        """Tell a relay that the origins have changed; if there is no room for it, the next heartbeat does."""
        assert self._subscriber is not None
        relays = self._sessions.origins.all
        if relays != self._via and self._subscriber.insert(self._write(Via(relays))):
            self._via = relays

    def _position(self, number: int) -> Position:
        return Position(self._sessions.starts.epoch, number)

    def _write(self, said: Answer) -> bytes:
        return self._frame(said.write())


class SessionDialogue:
    """The dialogue of a subscriber by TCP that has a session. What it sends after its hello is thrown away."""

    def __init__(self, session: SubscriberSession) -> None:
        self._session = session

    def begin(self, subscriber: Subscriber) -> None:
        """The subscriber is attached already: it has said its hello."""

    def greeting(self, first: int) -> bytes:
        return b""

    def farewell(self, reason: CloseReason) -> bytes:
        return self._session.bye(reason)

    def received(self, subscriber: Subscriber, data: bytes) -> None:
        """Ignore what follows the hello."""

    def skipped(self, gap: Lag, first: int, again: bool) -> bytes:
        return self._session.gap(gap, first, again)

    def cut(self, subscriber: Subscriber, reason: CloseReason) -> None:
        """Tell the peer `reason`, if its transport takes that at once."""
        subscriber.last_word(self._session.bye(reason))

    def sweep(self, subscriber: Subscriber) -> None:
        """Nothing is due: a heartbeat has a timer of its own."""

    def ended(self) -> None:
        self._session.stop()
