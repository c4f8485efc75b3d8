"""What a push says, and hears, in its session: a named publisher that keeps no messages, because the log has them."""

from __future__ import annotations

from relay.client.connection import Core
from relay.reach.link import HEARTBEAT
from relay.wire.answer import Ack, Bye, Heartbeat, PublisherWelcome
from relay.wire.hello import PublisherHello

WELCOME_WITHIN = 30.0
"""Seconds that a relay has to answer the hello: one whose publishers have to wait reads none meanwhile."""


class PushCore(Core):
    """Speaks for a push: what is sent goes past it."""

    ends = 4  # a relay without sessions ends a publisher that says hello; but one that is full ends connections, too

    def __init__(self, max_message: int) -> None:
        super().__init__(True, HEARTBEAT, max_message, WELCOME_WITHIN)
        self.name = ""
        self.via: tuple[str, ...] = ()
        """The relays whose messages are sent."""
        self.known = False
        """Whether the other relay knew the name."""
        self.accepted = 0
        """Messages that it has accepted under the name."""
        self.limit = max_message
        """Bytes that a message may have there."""

    def _hello(self) -> bytes:
        return PublisherHello(HEARTBEAT, self.name, self.via).write()

    def receive(self, data: bytes, now: float) -> None:
        """Take what came: `welcomed`, `accepted` and `fault` say what it was. Messages are ignored."""
        for piece in self._split(data, now):
            if not isinstance(piece, bytes):
                continue
            match self._read(piece):
                case PublisherWelcome() as said if not self.welcomed:
                    self._welcome(said.max_message, now)
                    self.accepted, self.known, self.limit = said.accepted, said.known, said.max_message
                case Ack(accepted=accepted) if self.welcomed:
                    self.accepted = accepted
                case Heartbeat(accepted=accepted) | Bye(accepted=accepted) if self.welcomed and accepted is not None:
                    self.accepted = accepted
