"""Publishers with sessions, below a backbone: they are welcomed and acknowledged when the fold says so.

To the sessions this is what `relay.peers.acks` is to those of a relay on its own. Names are the fold's: a name is
claimed, and who claims it is told the count with which its claim was folded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from relay.backbone.fold import Claimed
from relay.backbone.outbox import Claimant, Outbox
from relay.backbone.pending import Proposed
from relay.core.journal import Contributor, Key
from relay.wire.close_reason import CloseReason
from relay.wire.framing import Frames


@dataclass(slots=True)
class _Held:
    """What a publisher has claimed."""

    claim: int
    before: int | None = None
    """Messages accepted under its name before; None until the claim is folded."""


class Claims:
    """Claims names, and acknowledges what was folded."""

    def __init__(
        self, outbox: Outbox, pending: Proposed, flush: Callable[[], object], filled: Callable[[], None]
    ) -> None:
        """`flush`: moves what was published into the outbox. `filled`: called when something was put into it."""
        self._outbox = outbox
        self._pending = pending
        self._flush = flush
        self._filled = filled
        self._held: dict[Claimant, _Held] = {}
        self._claimants: dict[int, Claimant] = {}  # by number of claim
        self._claims = 0

    # What sessions call

    def begin(self, publisher: Claimant) -> None:
        """Claim the name of `publisher`, and welcome it when it has that; one without a name at once."""
        if not publisher.key[1]:
            self._held[publisher] = _Held(0, 0)
            publisher.acknowledge(0)
            return
        self._flush()  # what an older connection of the name has sent goes before the claim
        self._claims += 1
        self._held[publisher] = _Held(self._claims)
        self._claimants[self._claims] = publisher
        self._outbox.claim(self._claims, publisher.key)
        self._filled()

    def contribute(self, key: Key, publisher: Contributor) -> None:
        """Nothing: only names of publishers with sessions are the fold's."""

    def publishing(self, publisher: Claimant, frames: Sequence[Frames]) -> None:
        """Note that `frames` of `publisher` are about to be published."""
        if held := self._held.get(publisher):
            sent = publisher.sent
            first = sent - sum([one.messages for one in frames]) + 1
            self._pending.mark(len(frames), held.claim, first, publisher, sent)

    def note(self, publisher: Claimant) -> None:
        """Nothing: what was published is acknowledged when it comes back."""

    def accepted(self, publisher: Claimant, known: int) -> int:
        """How many messages of `publisher` are accepted by now: as many as it was told."""
        return known

    def forget(self, publisher: Claimant) -> None:
        """Note that `publisher` is gone."""
        if held := self._held.pop(publisher, None):
            self._claimants.pop(held.claim, None)

    # What the backbone calls

    def claimed(self, claim: Claimed) -> None:
        """A claim of this relay was folded: welcome who has made it."""
        if publisher := self._claimants.get(claim.number):
            self._held[publisher].before = claim.accepted
            publisher.admit(claim.known, claim.accepted)
            publisher.acknowledge(claim.accepted)

    def lost(self, claim: int) -> None:
        """Another claim has the name by now: end the connection of who made this one."""
        if publisher := self._claimants.get(claim):
            publisher.leave(CloseReason.REPLACED)

    def standing(self, told: Iterable[tuple[Claimant, int]], stale: Sequence[int]) -> Iterator[tuple[Claimant, int]]:
        """Those of `told` that are here, and whose claims are not `stale`."""
        for publisher, sent in told:
            if (held := self._held.get(publisher)) and held.claim not in stale:
                yield publisher, sent

    def acknowledge(self, publisher: Claimant, sent: int) -> None:
        """Acknowledge to a publisher the first `sent` messages of its connection."""
        held = self._held.get(publisher)
        if held is not None and held.before is not None:
            publisher.acknowledge(held.before + sent)
