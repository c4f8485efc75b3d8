"""Received bytes that wait until there is time for them. Meanwhile the peer is not read."""

from __future__ import annotations

from collections.abc import Callable

from relay.core.chores import Lane
from relay.net.transport import AcceptedTransport


class Received:
    """What one peer has sent and nobody has looked at: one read at most."""

    def __init__(
        self, lane: Lane, link: AcceptedTransport, take: Callable[[bytes], None], most: int | None = None
    ) -> None:
        """`lane`: where looking at it takes its turn. `link`: is paused while something waits.

        `take`: is given what was received, in order. `most`: bytes that it is given at once; None for all there are.
        """
        self._lane = lane
        self._link = link
        self._take = take
        self._most = most
        self._waiting = b""
        self._paused = False  # because something waits
        self._stopped = False  # because of `pause`
        self._held = False

    def receive(self, data: bytes) -> None:
        """Pass `data` on, now or later."""
        first = not self._waiting
        self._waiting += data
        if first and data and not self._held:
            self._lane(self._next)
        if self._waiting:
            self._pause()

    @property
    def waits(self) -> bool:
        """Whether something waits."""
        return bool(self._waiting)

    def pause(self) -> None:
        """Read the peer no more until `resume`. What waits is passed on all the same."""
        self._stopped = True
        self._link.pauseProducing()

    def resume(self) -> None:
        """Read the peer again, when nothing waits."""
        self._stopped = False
        if not self._paused:
            self._link.resumeProducing()

    def hold(self) -> None:
        """Pass nothing on until `go_on`."""
        self._held = True
        self._pause()

    def go_on(self) -> None:
        """Pass on what waits, when it is its turn, and what comes."""
        self._held = False
        self._lane(self._next)

    def drop(self) -> None:
        """Forget what waits: the connection has ended."""
        self._waiting = b""
        self._held = True

    def _pause(self) -> None:
        self._paused = True
        self._link.pauseProducing()  # also if it was before: somebody else may have resumed it

    def _next(self) -> None:
        if self._held:
            return
        size = self._most or len(self._waiting)
        piece, self._waiting = self._waiting[:size], self._waiting[size:]
        if self._paused and not self._waiting:
            self._paused = False
            if not self._stopped:
                self._link.resumeProducing()  # before the bytes are passed on, because whoever takes them may pause
        if piece:
            self._take(piece)
        if self._waiting and not self._held:
            self._lane(self._next)
