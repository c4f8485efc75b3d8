"""The outbox: what this relay proposes, and what it proposed and has not seen come back.

Whatever is published goes out at once while the window has room. When it has none, what waits is joined into proposals
of up to `JOINED` bytes, so that a stream that is far away costs delay and not rate.

A proposal stays in the outbox until the fold has taken it. One that was lost, or came too late, is proposed again with
all that follow it, under the same number: whatever arrives twice is ignored by everybody. Each time counts as another
*attempt*, so that of many proposals that come back ignored only the first makes the relay propose again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Protocol

from relay.backbone.proposal import PART_SIZE, Claim, Contribution, Part, again, encode_head
from relay.core.journal import Key
from relay.core.timing import Clock
from relay.wire.close_reason import CloseReason
from relay.wire.framing import Buffer, Frames
from relay.wire.lengths import LENGTH, encode_lengths

WINDOW = 4 * 1024 * 1024
"""Bytes of proposals that may be on their way: at 100 MB/s that is a round trip of 40 ms."""
MOST = 64
"""Proposals that may be on their way. With more, the cost of each one would show, and not the round trip."""
JOINED = 256 * 1024
"""Bytes up to which contributions are joined into one proposal. A single larger piece is a proposal of its own."""
PATIENCE = 2.0
"""Seconds after which the oldest proposal is given up for lost. It doubles each time, up to `MOST_PATIENCE`."""
MOST_PATIENCE = 8.0


class Claimant(Protocol):
    """A publisher with a session."""

    @property
    def key(self) -> Key:
        """Its name, which may be empty."""
        ...

    @property
    def sent(self) -> int:
        """Messages that it has sent on this connection."""
        ...

    def admit(self, known: bool, accepted: int) -> None:
        """Note whether its name was known, and what was accepted under it before this connection."""
        ...

    def acknowledge(self, accepted: int) -> None:
        """Tell it that its first `accepted` messages are accepted. The first time, welcome it."""
        ...

    def leave(self, reason: CloseReason) -> None:
        """End its connection."""
        ...


@dataclass(slots=True)
class Waiting:
    """A contribution, or a claim, that is not proposed yet."""

    part: Part
    size: int
    """Bytes that it takes in a proposal."""
    frames: list[Frames] = field(default_factory=list)
    publisher: Claimant | None = None
    """Who is told when it is accepted; None if nobody is."""
    sent: int = 0
    """How many messages that publisher had sent then."""


@dataclass(slots=True)
class Proposed:
    """A proposal that is on its way."""

    number: int
    payload: bytes
    told: list[tuple[Claimant, int]]
    """Who is told when it is folded, and how many messages it had sent then."""
    since: float
    """When it was proposed first."""
    at: float
    """When it was proposed last."""


class Outbox:
    """Numbers proposals, and keeps them until they are folded."""

    def __init__(self, relay: bytes, framing: str, self_delimiting: bool, clock: Clock, window: int = WINDOW) -> None:
        """`relay`: 8 bytes that no other process has. `self_delimiting`: as in `Framing`.

        `window`: bytes of proposals that may be on their way.
        """
        self.relay = relay
        self.waiting = 0
        """Bytes that wait for room in the window."""
        self.attempts = 0
        """How often everything on its way was proposed again."""
        self._framing = framing
        self._self_delimiting = self_delimiting
        self._clock = clock
        self._window = window
        self._queue: deque[Waiting] = deque()
        self._sent: deque[Proposed] = deque()
        self._in_flight = 0  # bytes of proposals on their way
        self._next = 1
        self._patience = PATIENCE

    @property
    def proposed(self) -> int:
        """Proposals on their way."""
        return len(self._sent)

    @property
    def in_flight(self) -> int:
        """Bytes of proposals on their way."""
        return self._in_flight

    @property
    def overdue(self) -> bool:
        """Whether what is on its way was given up for lost, and nothing of it has come back since."""
        return self._patience > PATIENCE

    @property
    def empty(self) -> bool:
        """Whether everything was folded."""
        return not self._queue and not self._sent

    # What goes in

    def open(self) -> None:
        """Have an empty proposal go out with `again`, before any other. Its coming back tells that all is read."""
        self._send(self._encode([]))

    def claim(self, number: int, key: Key) -> None:
        """Have a claim proposed."""
        claim = Claim(number, key)
        self._add(Waiting(claim, claim.size))

    def contribute(
        self, frames: Sequence[Frames], claim: int = 0, first: int = 0, publisher: Claimant | None = None, sent: int = 0
    ) -> None:
        """Have the frames of one read proposed.

        `claim`: under which; 0 for none. `first`: 1 for the first message under it. `publisher`, `sent`: who is told
        when this is accepted, and how many messages it has sent by now.
        """
        for one in frames:
            size = len(one.data) + (0 if self._self_delimiting else LENGTH * one.messages)
            last = self._queue[-1] if self._queue else None
            if (
                last is not None
                and isinstance(last.part, Contribution)
                and last.part.claim == claim
                and last.publisher is publisher
                and last.size + size <= JOINED
            ):
                was = last.part
                last.part = Contribution(claim, was.first, was.messages + one.messages, was.size + len(one.data))
                last.frames.append(one)
                last.size += size
                last.sent = sent
                self.waiting += size
            else:
                part = Contribution(claim, first, one.messages, len(one.data))
                self._add(Waiting(part, PART_SIZE + size, [one], publisher, sent))
            first += one.messages

    def _add(self, waiting: Waiting) -> None:
        self._queue.append(waiting)
        self.waiting += waiting.size

    # What goes out

    def take(self) -> list[bytes]:
        """The proposals that go out now, encoded."""
        found = []
        while self._queue and len(self._sent) < MOST and self._in_flight < self._window:
            proposed = self._encode(list(self._next_parts()))
            self._send(proposed)
            found.append(proposed.payload)
        return found

    def _send(self, proposed: Proposed) -> None:
        self._sent.append(proposed)
        self._in_flight += len(proposed.payload)

    def _next_parts(self) -> Iterator[Waiting]:
        size = 0
        while self._queue and (not size or size + self._queue[0].size <= JOINED):
            one = self._queue.popleft()
            size += one.size
            self.waiting -= one.size
            yield one

    def _encode(self, waiting: list[Waiting]) -> Proposed:
        number, self._next = self._next, self._next + 1
        head = encode_head(self.relay, number, self.attempts, self._framing, [one.part for one in waiting])
        data: list[Buffer] = [frames.data for one in waiting for frames in one.frames]
        lengths = b"" if self._self_delimiting else encode_lengths(accumulate(map(len, data)))
        told: dict[Claimant, int] = {one.publisher: one.sent for one in waiting if one.publisher is not None}
        now = self._clock()
        return Proposed(number, b"".join([head, lengths, *data]), list(told.items()), now, now)

    def again(self) -> list[bytes]:
        """Everything on its way, encoded, to be proposed again: the connection is new."""
        self.attempts += 1
        for one in self._sent:
            one.payload = again(one.payload, self.attempts)
        self.excuse()
        return [one.payload for one in self._sent]

    def excuse(self) -> None:
        """Count from now on how long everything on its way has been away."""
        now = self._clock()
        for one in self._sent:
            one.at = now

    def late(self) -> list[bytes]:
        """What must be proposed again because it has been away too long; nothing if it has not."""
        if not self._sent or self._clock() - self._sent[0].at < self._patience:
            return []
        self._patience = min(2 * self._patience, MOST_PATIENCE)
        return self.again()

    # What comes back

    def folded(self, number: int) -> Proposed | None:
        """The fold took the proposal with that number. Returns it; None if it is not on its way."""
        if not self._sent or self._sent[0].number != number:
            return None
        self._patience = PATIENCE
        proposed = self._sent.popleft()
        self._in_flight -= len(proposed.payload)
        return proposed

    def early(self, attempt: int) -> list[bytes]:
        """A proposal of `attempt` was ignored, because one before it is missing. Returns what is proposed again."""
        return self.again() if attempt == self.attempts else []
