"""What the sessions of all peers share: names, acks, where subscribers begin, and what is counted of them.

A session is what a peer asks for with a hello (`docs/protocol.md`): a subscriber that can go on where it stopped, or a
publisher that is told what was accepted. Only the framing `int32` has room for one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from relay import __version__
from relay.core.hub import Hub
from relay.core.start import Start, Starts
from relay.peers.acks import Acks
from relay.peers.heartbeat import CallLater
from relay.peers.names import Names
from relay.wire.control import BadControl
from relay.wire.hello import Hello, Opening, PublisherHello, SubscriberHello, read_hello

SERVER = f"relay {__version__}"
"""What the relay calls itself."""
OUTCOMES = ("complete", "incomplete", "unknown")
"""How resuming can turn out: nothing is lost; a number of messages that is told is lost; nobody knows how many are."""

Role = TypeVar("Role", SubscriberHello, PublisherHello)


class Sessions:
    """What all sessions of one relay have in common."""

    ack = "relayed"
    """What an ack promises: `relayed`, `written` or `synced`."""

    def __init__(
        self,
        hub: Hub,
        starts: Starts,
        names: Names,
        acks: Acks,
        call_later: CallLater,
        *,
        max_message: int,
        framing: str = "int32",
        frame_timeout: Callable[[], float] = lambda: 0.0,
        publish: str = "another port",
        subscribe: str = "another port",
    ) -> None:
        """`max_message`: bytes that a message may have. `framing`: the word for it.

        `frame_timeout`: returns the seconds that a hello may take, 0 for no limit. `publish`, `subscribe`: where each
        role connects, as hints for peers that took the wrong port.
        """
        self.hub = hub
        self.starts = starts
        self.names = names
        self.acks = acks
        self.call_later = call_later
        self.max_message = max_message
        self.frame_timeout = frame_timeout
        self.open: Counter[tuple[str, str]] = Counter()
        """Sessions that are open, by role and feed."""
        self.resumed: Counter[str] = Counter()
        """How often subscribers resumed, by outcome."""
        self.lost = 0
        """Messages that subscribers were told they have lost."""
        self.acks_sent = 0
        self.available = framing == "int32"
        """Whether the framing has room for control frames."""
        self._framing = framing
        self._elsewhere = {
            SubscriberHello: f"this port is for publishers: subscribers connect to {subscribe}",
            PublisherHello: f"this port is for subscribers: publishers connect to {publish}",
        }

    def read(self, body: bytes, role: type[Role]) -> Role:
        """The hello of a peer with `role`. Raises BadControl, with words for the peer, if it is none."""
        hello: Hello = read_hello(body)
        self.check()
        if not isinstance(hello, role):
            raise BadControl(self._elsewhere[type(hello)])
        return hello

    def check(self) -> None:
        """Raise BadControl, with words for the peer, if there are no sessions with this framing."""
        if not self.available:
            raise BadControl(f"this relay has the framing {self._framing}: sessions need int32 (--framing)")

    def resume(self, start: Start, first: int) -> int | None:
        """Count that a subscriber begins with the message at `first`. Returns what it has lost; None: nobody knows."""
        lost = start.lost(first)
        if start.resumes:
            self.resumed["unknown" if lost is None else "incomplete" if lost else "complete"] += 1
        self.lost += lost or 0
        return lost


def whole_hello(data: bytes) -> bytes | None:
    """The body of the hello that `data` consists of; None if it is anything else.

    It is for framings without sessions, where nearly every sequence of bytes is a message.
    """
    opening = Opening()
    rest = opening.receive(data)
    body = opening.body
    return body if body is not None and not rest and b'"relay"' in body else None
