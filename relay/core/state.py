"""The life of a connection: one state at a time, and a table of which may follow which.

Whoever wants to know what a peer is doing looks at its state: the hub, the drain, the sweeps, the statistics. The words
that people read are made from it (`WORDS`), and nothing is decided by a word.

    publisher     ACCEPTED ──> HANDSHAKE ──> OPEN <──> HELD

    subscriber    ACCEPTED ──> HANDSHAKE ──> LAGGING <──> LIVE
                                              ^   │         │
                                              │   v         v
                                              WAITING <─────┘

Without TLS there is no HANDSHAKE. A subscriber begins as LAGGING, because there may be messages to catch up with, and
is LIVE at once if there are none. From all of these a connection becomes FINISHING when our side of it ends in an
orderly way, CUT when it is aborted, and ENDED when it is gone.

The model is h11's table (python-hyper/h11, `_state.py`), which does the same for the two sides of HTTP/1.1.
"""

from __future__ import annotations

from enum import Enum, auto


class State(Enum):
    """What a connection is doing."""

    ACCEPTED = auto()
    """The kernel handed it over; whether it is admitted was not decided yet."""
    HANDSHAKE = auto()
    """Its TLS handshake is not complete."""
    OPEN = auto()
    """A publisher that is read."""
    HELD = auto()
    """A publisher that is not read, until the slowest subscriber has caught up."""
    LIVE = auto()
    """A subscriber that has everything: the next batch is given to it at once."""
    LAGGING = auto()
    """A subscriber that lacks something, and is given some of it each turn."""
    WAITING = auto()
    """A subscriber that lacks something, and whose transport takes nothing for now."""
    FINISHING = auto()
    """Our side has ended, after whole messages; the peer's has not."""
    CUT = auto()
    """We have aborted it; the transport has not yet said that it is gone."""
    ENDED = auto()
    """It is gone."""


ATTACHED = frozenset({State.LIVE, State.LAGGING, State.WAITING})
"""A subscriber that the hub delivers to."""
ENDING = frozenset({State.FINISHING, State.CUT, State.ENDED})
"""Nothing more is read from it, or delivered to it."""
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
"""Which states may follow each."""
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
"""How each is called in the log, in JSON, on the status page and in the terminal."""


class ImpossibleTransition(Exception):  # noqa: N818  # it is what was tried
    """A state was to follow another that it cannot follow: a fault of ours."""

    def __init__(self, before: State, after: State) -> None:
        super().__init__(f"a connection that is {before.name} cannot become {after.name}")


class Lifecycle:
    """Holds the state of one connection."""

    __slots__ = ("state",)

    def __init__(self) -> None:
        self.state = State.ACCEPTED

    def become(self, state: State) -> None:
        """Change the state. Raises ImpossibleTransition, and changes nothing, if the table does not have that."""
        if state not in TRANSITIONS[self.state]:
            raise ImpossibleTransition(self.state, state)
        self.state = state

    @property
    def attached(self) -> bool:
        """Whether it is a subscriber that the hub delivers to."""
        return self.state in ATTACHED

    @property
    def ending(self) -> bool:
        """Whether its end has begun."""
        return self.state in ENDING
