"""Origins: the relays whose messages come to this one, itself included. Where one of them is itself, there is a loop.

A relay names itself with an id that no other has. Relays that are connected by a session, because one of them pulls
from the other or pushes to it, tell each other the origins of the messages that go over the connection, and tell them
again when they change. So every relay of a loop hears of itself in the end, however long the loop is, and whoever hears
of itself ends the connection over which it did.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from relay.wire.hello import MAX_VIA


class Loop(Exception):  # noqa: N818  # named for what was found
    """What comes from there comes from this relay."""

    def __init__(self) -> None:
        super().__init__("this would be a loop: messages would come back to the relay that they come from")


class Origins:
    """The origins of one relay's messages."""

    def __init__(self, own: str) -> None:
        """`own`: the id of this relay."""
        self.own = own
        self.all: tuple[str, ...] = (own,)
        """This relay, and all whose messages come to it; at most as many as a control frame has room for."""
        self.listeners: dict[Callable[[], None], None] = {}
        """Called when `all` has changed."""
        self._found: dict[object, tuple[str, ...]] = {}

    def note(self, connection: object, relays: Sequence[str]) -> None:
        """Note whose messages come over `connection`. Raises Loop, and forgets the connection, if ours do."""
        if self.own in relays:
            self.forget(connection)
            raise Loop
        self._found[connection] = tuple(relays)
        self._look()

    def forget(self, connection: object) -> None:
        """Note that nothing comes over `connection` any more. It need not be known."""
        if self._found.pop(connection, None) is not None:
            self._look()

    def _look(self) -> None:
        others = sorted({relay for relays in self._found.values() for relay in relays})
        found = (self.own, *others)[:MAX_VIA]
        if found != self.all:
            self.all = found
            for listener in tuple(self.listeners):
                listener()
