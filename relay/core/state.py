"""The life of a connection: one state at a time, and a table of which may follow which.

The hub, the drain, the sweeps and the statistics all look at this state to know what a peer is doing. The words that
people read are made from it (`WORDS`); nothing is decided by a word.

    publisher     ACCEPTED ──> HANDSHAKE ──> OPEN <──> HELD

    subscriber    ACCEPTED ──> HANDSHAKE ──> LAGGING <──> LIVE
                                              ^   │
                                              │   v
                                             WAITING

Without TLS there is no HANDSHAKE. A subscriber begins as LAGGING, because there may be messages to catch up on; if
there are none it is LIVE at once. From any of these states a connection becomes FINISHING when our side ends it in an
orderly way, CUT when we abort it, and ENDED when it is gone.

The model is h11's table (python-hyper/h11, `_state.py`), which does the same for the two sides of HTTP/1.1.
"""

from __future__ import annotations

from enum import Enum, auto


class State(Enum):
    """What a connection is doing."""

    ACCEPTED = auto()
    """The kernel handed it over; its admission has not been decided."""
    HANDSHAKE = auto()
    """Its TLS handshake is not complete."""
    OPEN = auto()
    """A publisher that is read."""
    HELD = auto()
    """A publisher that is not read while publishers wait for the slowest subscriber."""
    LIVE = auto()
    """A subscriber that has everything: the next batch is given to it at once."""
    LAGGING = auto()
    """A subscriber that lacks something, and gets some of it each turn."""
    WAITING = auto()
    """A subscriber that lacks something, but whose transport takes nothing for now."""
    FINISHING = auto()
    """Our side of the stream has ended, after a whole message; the peer's has not."""
    CUT = auto()
    """We have cut it, but the transport has not yet reported that it is gone."""
    ENDED = auto()
    """It is gone."""


ATTACHED = frozenset({State.LIVE, State.LAGGING, State.WAITING})
"""States of a subscriber that the hub delivers to."""
ENDING = frozenset({State.FINISHING, State.CUT, State.ENDED})
"""States in which no more messages are taken from the connection or delivered to it."""
TRANSITIONS = {
    State.ACCEPTED: {State.HANDSHAKE, State.OPEN, State.LAGGING} | ENDING,
    State.HANDSHAKE: {State.OPEN, State.LAGGING} | ENDING,
    State.OPEN: {State.HELD} | ENDING,
    State.HELD: {State.OPEN} | ENDING,
    State.LIVE: {State.LAGGING} | ENDING,
    State.LAGGING: {State.LIVE, State.WAITING} | ENDING,
    State.WAITING: {State.LAGGING} | ENDING,
    State.FINISHING: {State.CUT, State.ENDED},
    State.CUT: {State.ENDED},
    State.ENDED: frozenset[State](),
}
"""The states that may follow each state."""
WORDS = {
    State.ACCEPTED: "handshake",
    State.HANDSHAKE: "handshake",
    State.OPEN: "open",
    State.HELD: "blocked",
    State.LIVE: "live",
    State.LAGGING: "lagging",
    State.WAITING: "lagging",
    State.FINISHING: "closing",
    State.CUT: "closing",
    State.ENDED: "closing",
}
"""What each state is called in the log, in JSON, on the status page and in the terminal."""


class ImpossibleTransition(Exception):  # noqa: N818  # named for what was tried
    """A change of state that `TRANSITIONS` does not have: our fault."""

    def __init__(self, before: State, after: State) -> None:
        super().__init__(f"a connection that is {before.name} cannot become {after.name}")


class Lifecycle:
    """Holds the state of one connection."""

    __slots__ = ("state",)

    def __init__(self) -> None:
        self.state = State.ACCEPTED

    def become(self, state: State) -> None:
        """Change the state. Raises ImpossibleTransition, and changes nothing, if `TRANSITIONS` does not allow it."""
        if state not in TRANSITIONS[self.state]:
            raise ImpossibleTransition(self.state, state)
        self.state = state

    @property
    def attached(self) -> bool:
        """Whether this is a subscriber that the hub delivers to."""
        return self.state in ATTACHED

    @property
    def ending(self) -> bool:
        """Whether the connection has begun to end, or is gone."""
        return self.state in ENDING
