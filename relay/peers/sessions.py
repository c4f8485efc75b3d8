"""What the sessions of all peers share: names, acks, where subscribers begin, and what is counted of them.

A session is what a peer asks for with a hello (`docs/protocol.md`): a subscriber that can go on where it stopped, or a
publisher that is told what was accepted. Not every framing has room for one (`relay.wire.control.CARRIERS`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from relay import __version__
from relay.core.hub import Hub
from relay.core.journal import Contributor, Key
from relay.core.start import Start, Starts
from relay.peers.heartbeat import CallLater
from relay.peers.names import Names
from relay.peers.origins import Origins
from relay.wire import control
from relay.wire.control import CARRIERS, BadControl
from relay.wire.counted import Int32
from relay.wire.framing import Frames, Framing
from relay.wire.framings import framing_name
from relay.wire.hello import Hello, Opening, PublisherHello, SubscriberHello, read_hello
from relay.wire.position import new_epoch

if TYPE_CHECKING:
    from relay.peers.publisher_session import PublisherSession

SERVER = f"relay {__version__}"
"""What the relay calls itself."""
OUTCOMES = ("complete", "incomplete", "unknown")
"""How resuming can turn out: nothing is lost; a number of messages that is told is lost; nobody knows how many are."""

Role = TypeVar("Role", SubscriberHello, PublisherHello)


class Acceptance(Protocol):
    """Says when messages of publishers are accepted: a relay on its own does (`relay.peers.acks`), or its backbone."""

    def begin(self, publisher: PublisherSession) -> None:
        """Welcome `publisher`, as soon as it is known what was accepted of it before."""
        ...

    def contribute(self, key: Key, publisher: Contributor) -> None:
        """Note that what counts as `key`, and is no session's name, has gone on with what is about to be published."""
        ...

    def publishing(self, publisher: PublisherSession, frames: Sequence[Frames]) -> None:
        """Note that `publisher` is about to publish `frames`."""
        ...

    def note(self, publisher: PublisherSession) -> None:
        """Note that messages of `publisher` were just published."""
        ...

    def accepted(self, publisher: PublisherSession, known: int) -> int:
        """How many messages of `publisher` are accepted by now, of which `known` have been so far."""
        ...

    def forget(self, publisher: PublisherSession) -> None:
        """Note that `publisher` is gone."""
        ...


class Sessions:
    """What all sessions of one relay have in common."""

    ack = "relayed"
    """What an ack promises: `relayed`, `written`, `synced` or `replicated`."""

    def __init__(
        self,
        hub: Hub,
        starts: Starts,
        names: Names,
        acks: Acceptance,
        call_later: CallLater,
        *,
        max_message: int,
        framing: type[Framing] = Int32,
        frame_timeout: Callable[[], float] = lambda: 0.0,
        publish: str = "another port",
        subscribe: str = "another port",
    ) -> None:
        """`max_message`: bytes that a message may have. `framing`: how messages are told apart.

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
        self.origins = Origins(new_epoch())  # the relays whose messages come to this one
        self.open: Counter[tuple[str, str]] = Counter()
        """Sessions that are open, by role and feed."""
        self.resumed: Counter[str] = Counter()
        """How often subscribers resumed, by outcome."""
        self.lost = 0  # messages that subscribers were told of
        self.acks_sent = 0
        self.carrier = next((carrier for carrier in CARRIERS if carrier is framing), None)
        """The framing, if it has room for control frames."""
        self._framing = framing_name(framing)
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
        if self.carrier is None:
            *others, last = map(framing_name, CARRIERS)
            needed = f"{', '.join(others)} or {last}"
            raise BadControl(f"this relay has the framing {self._framing}: sessions need {needed} (--framing)")

    def frame(self, body: bytes) -> bytes:
        """The control frame for `body`, as the framing has it."""
        return control.frame(body, self.carrier or Int32)

    def opening(self) -> Opening:
        """What reads the first bytes of a peer."""
        return Opening(self.carrier or Int32)

    def read_opening(self, opening: Opening, data: bytes) -> bytes:
        """Have `opening` take the next bytes of a peer. Returns those that do not belong to a hello.

        Raises BadControl, with words for the peer, if it says a hello as in `int32`, and the framing is another, of
        which a client need not know. The hello must then be all of the data, because nearly every sequence of bytes is
        a message in some framings.
        """
        opening.silent = opening.silent or self.carrier is None
        rest = data if opening.silent else opening.receive(data)
        if opening.silent and self.carrier is not Int32 and is_hello(rest):
            self.check()
            raise BadControl(f"this relay has the framing {self._framing}, and the hello is one of int32 (--framing)")
        return rest

    def resume(self, start: Start, first: int) -> int | None:
        """Count that a subscriber begins with the message at `first`. Returns what it has lost; None: nobody knows."""
        lost = start.lost(first)
        if start.resumes:
            self.resumed["unknown" if lost is None else "incomplete" if lost else "complete"] += 1
        self.lost += lost or 0
        return lost


def is_hello(data: bytes) -> bool:
    """Whether `data` is a hello in `int32`, and nothing else."""
    opening = Opening()
    rest = opening.receive(data)
    return opening.body is not None and not rest and b'"relay"' in opening.body
