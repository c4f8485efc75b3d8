"""The dialogue of a subscriber by TCP until it says something: it may begin with a hello, and then has a session."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from relay.core.cursor import Lag
from relay.core.start import EARLY, LOOK, Start, locate
from relay.peers.dialogue import Silence
from relay.peers.publisher_session import RETRY
from relay.peers.sessions import Sessions
from relay.peers.subscriber_session import SessionDialogue, SubscriberSession
from relay.wire import control
from relay.wire.answer import Bye, Error, Via
from relay.wire.close_reason import CloseReason
from relay.wire.control import BadControl
from relay.wire.hello import Opening, SubscriberHello

if TYPE_CHECKING:
    from relay.peers.subscriber import Subscriber

EARLY_WORDS = "this relay has not got as far as the one that it comes from, or not reached the one that it mirrors"


class Listening:
    """Waits for the first bytes. Most subscribers never send any."""

    __slots__ = ("_locating", "_opening", "_publish", "_sessions", "_sweeps", "_via")

    def __init__(self, sessions: Sessions, publish: str) -> None:
        """`publish`: where publishers connect, as a hint for a peer that took the wrong port."""
        self._sessions = sessions
        self._publish = publish
        self._opening: Opening | None = None
        self._locating = False  # whether a hello is whole, and where the session begins is looked up
        self._via: tuple[str, ...] = ()  # the origins that a relay was told while it waits
        self._sweeps = 0  # since a hello began

    def begin(self, subscriber: Subscriber) -> None:
        """Nothing to prepare."""

    def greeting(self, first: int) -> bytes:
        return b""

    def farewell(self, reason: CloseReason) -> bytes:
        return b""

    def received(self, subscriber: Subscriber, data: bytes) -> None:
        if self._locating:
            return
        opening = self._opening = self._opening or self._sessions.opening()
        try:
            data = self._sessions.read_opening(opening, data)
        except BadControl as error:
            self._refuse(subscriber, str(error), control.frame)
            return
        if opening.body is not None:
            self._begin_session(subscriber, opening.body)
        elif opening.silent:
            subscriber.dialogue = silence = Silence(self._publish)
            silence.received(subscriber, data)

    def _begin_session(self, subscriber: Subscriber, body: bytes) -> None:
        if not subscriber.lifecycle.attached:
            return
        sessions = self._sessions
        try:
            hello = sessions.read(body, SubscriberHello)
        except BadControl as error:
            self._refuse(subscriber, str(error), sessions.frame)
            return
        self._opening = None
        self._locating = True
        self._locate(subscriber, hello, int(EARLY / LOOK))

    def _locate(self, subscriber: Subscriber, hello: SubscriberHello, looks: int) -> None:
        """Find where a session begins. One that is early is looked at `looks` times more, and then has to come back."""
        sessions = self._sessions
        if sessions.starts.early(hello):
            if hello.via and not self._tell_relay(subscriber):
                return
            if looks:
                sessions.call_later(LOOK, lambda: self._locate(subscriber, hello, looks - 1))
            else:
                bye = Bye(str(CloseReason.NOT_READY), retry=RETRY)
                subscriber.leave(CloseReason.NOT_READY, sessions.frame(bye.write()), EARLY_WORDS)
        else:
            locate(sessions.hub, sessions.starts.find(hello), partial(self._welcome, subscriber, hello))

    def _tell_relay(self, subscriber: Subscriber) -> bool:
        """Tell a relay that waits whose messages would come, so that a loop is found. False if it waits in vain."""
        sessions = self._sessions
        if sessions.starts.refusal:
            self._refuse(subscriber, sessions.starts.refusal, sessions.frame)
            return False
        relays = sessions.origins.all
        if relays != self._via and subscriber.insert(sessions.frame(Via(relays).write())):
            self._via = relays
        return True

    def _refuse(self, subscriber: Subscriber, words: str, frame: Callable[[bytes], bytes]) -> None:
        """End a peer with an answer to its hello. `frame`: makes a control frame, as the hello was written."""
        subscriber.leave(CloseReason.SESSION_ERROR, frame(Error(words).write()), f"it was told: {words}")

    def _welcome(self, subscriber: Subscriber, hello: SubscriberHello, start: Start) -> None:
        """Begin the session of a subscriber that says `hello`, and so begins with `start`."""
        if not subscriber.lifecycle.attached:
            return
        sessions = self._sessions
        first = sessions.starts.first(start)
        session = SubscriberSession(hello, start, sessions)
        subscriber.dialogue = SessionDialogue(session)
        session.begin(subscriber)
        subscriber.move(first, session.welcome(first))
        subscriber.info("{role} {peer} begins a session at {position:,}", role=subscriber.role, position=first)

    def skipped(self, gap: Lag, first: int, again: bool) -> bytes:
        return b""

    def cut(self, subscriber: Subscriber, reason: CloseReason) -> None:
        """The reset of the connection tells the peer."""

    def sweep(self, subscriber: Subscriber) -> None:
        """End a peer that does not complete its hello in time."""
        if self._opening is None or not self._opening.partial:
            return
        self._sweeps += 1
        timeout = self._sessions.frame_timeout()
        if 0 < timeout < self._sweeps:
            subscriber.abort(CloseReason.FRAME_TIMEOUT, f"it began a hello and did not complete it in {timeout:g} s")

    def ended(self) -> None:
        """Nothing is held."""
