"""What the connections to other relays and servers have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from twisted.internet.interfaces import IStreamClientEndpoint

from relay.client.errors import ConnectionFault, NotARelay, Refused, WrongPort
from relay.config.values import Remote
from relay.core.history import History
from relay.core.hub import Hub
from relay.core.journal import Journal
from relay.core.start import Starts
from relay.core.timing import Clock
from relay.peers.heartbeat import CallLater
from relay.peers.origins import Loop, Origins
from relay.peers.publisher import Publishers
from relay.peers.registry import Registry
from relay.reach.echo import Turn
from relay.reach.places import Places
from relay.wire.close_reason import CloseReason
from relay.wire.framing import Framing

HEARTBEAT = 10.0
"""Seconds between two heartbeats that the other relay is asked for."""
LOOK = 0.1
"""Seconds from the beginning of a connection to the look whether it leads back to this relay. By then the reactor has
accepted it, and a loop has not yet done much."""
STEADY = 1.0
"""Seconds that a connection without a session has to last before the next one comes soon after it. Else a server that
ends each connection at once, perhaps after a message, would be asked ten times a second."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What all of them share."""

    hub: Hub
    framing: Callable[[], Framing]
    """Makes the framing of one connection."""
    history: History
    max_message: int
    """Bytes that a message may have."""
    intake: Publishers
    starts: Starts
    origins: Origins
    places: Places
    sources: Registry
    """Keeps the connections from which messages are fetched."""
    pushes: Registry
    """Keeps the connections of pushes."""
    publishers: Registry
    """Those who connected to this relay to publish: itself must not be among them."""
    subscribers: Registry
    """Those who connected to this relay to subscribe."""
    endpoint: Callable[[Remote], IStreamClientEndpoint]
    call_later: CallLater
    clock: Clock
    nearby: bool = False
    """Whether the other relay is this one, in another process."""
    keepalive: int
    """Seconds of silence after which TCP asks whether the other side is there; 0 for never."""
    turn: Turn = field(default_factory=Turn)
    """Whose turn it is to look for a loop."""
    journal: Journal | None = None
    """This relay's; None without one."""


class Circular(NotARelay):
    """The connection would be part of a loop."""


def reason_for(fault: Exception) -> CloseReason:
    """Why a connection ends, if a core of the client library says `fault`."""
    if isinstance(fault, Refused) and str(fault) == str(Loop()):  # the other side has found it
        return CloseReason.LOOP
    if not isinstance(fault, ConnectionFault):
        return CloseReason.SESSION_ERROR
    told = fault.retry is not None  # by a relay that stops
    return CloseReason.PEER_CLOSED if told else CloseReason.CONNECTION_LOST


def words_for(fault: Exception) -> str:
    """What `fault` is, for the log. A core of the client library names an option of its own."""
    if isinstance(fault, Refused | WrongPort):
        return f"it says: {fault}"
    return str(fault).replace("session=False needs no answer", "without session: no answer is needed")
