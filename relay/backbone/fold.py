"""The fold: decides which proposals of a stream count. All relays fold the same stream, so all decide the same.

It is a pure function, kept as an object: `decide` is given the messages of the stream one by one, in the order of the
stream, and depends on nothing else. `docs/backbone.md` has the rules, and why they suffice.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from relay.backbone.proposal import Claim, Contribution, NoProposal, Proposal, decode
from relay.core.journal import Key
from relay.wire.framing import Buffer

MAX_RELAYS = 4096
"""Processes whose proposals are counted. A relay that begins takes the place of the one that was silent longest."""
MAX_NAMES_SIZE = 512 * 1024
"""Bytes that names may take in a snapshot: some 10,000 names. So a snapshot is one message with NATS' defaults (1 MB).
"""
NAME_SIZE = 32
"""Bytes that a name takes in a snapshot besides its words."""
SNAPSHOT_SIZE = 4 * 1024 * 1024
"""Bytes of the stream after which a snapshot is due: what a relay that begins reads at most without need, in 50 ms."""
SNAPSHOT_MESSAGES = 10_000
"""Messages of the stream after which a snapshot is due: small ones take more time than their bytes tell."""

Owner = tuple[bytes, int]
"""A relay, and the number of a claim of it."""


class Verdict(StrEnum):
    """What becomes of a proposal. The words are those of the metrics."""

    FOLDED = "folded"
    """It counts."""
    REPEATED = "repeated"
    """It is ignored, because it was folded before."""
    EARLY = "early"
    """It is ignored, because one that its relay numbered before it is missing."""
    FOREIGN = "foreign"
    """It is ignored, because no relay wrote it, or one with another framing."""


@dataclass(slots=True)
class Standing:
    """What is known of a name."""

    count: int = 0
    """Messages that were ever accepted under the name."""
    owner: Owner | None = None
    """The claim that holds the name."""
    taken: int = 0
    """Messages that were accepted under that claim."""


class Claimed(NamedTuple):
    """A claim that was folded."""

    number: int
    key: Key
    known: bool
    """Whether the name was known before."""
    accepted: int
    """Messages that were accepted under the name before."""
    before: Owner | None
    """The claim that held the name until now."""


class Accepted(NamedTuple):
    """Whole frames that all relays hand out, as one batch."""

    data: Buffer
    messages: int
    ends: array[int] | None
    """Where each message ends in `data`, for a framing whose frames cannot tell; else None."""


@dataclass(slots=True)
class Decision:
    """What one message of the stream means."""

    verdict: Verdict
    proposal: Proposal | None = None
    """None if it is none."""
    claims: list[Claimed] = field(default_factory=list)
    stale: list[int] = field(default_factory=list)
    """Claims whose contributions were ignored, because another claim holds the name by now."""
    batches: list[Accepted] = field(default_factory=list)
    snapshot: bool = False
    """Whether a snapshot is due, of which the relay that proposed takes care."""


class Fold:
    """The state of a stream after some of its messages."""

    def __init__(self, *, max_relays: int = MAX_RELAYS, max_names_size: int = MAX_NAMES_SIZE) -> None:
        """The state before the first message of a stream. All relays must have the same limits."""
        self.sequence = 0
        """The stream's number of the last message that was folded."""
        self.next = 1
        """Position of the next message that is accepted."""
        self.size = 0
        """Bytes of the stream that were folded."""
        self.epoch = ""
        """The epoch of all positions; empty before the first proposal."""
        self.framing = ""
        """The framing of all messages; empty before the first proposal."""
        self.relays: dict[bytes, int] = {}
        """The number that the next proposal of each relay must have; the relay that was silent longest is first."""
        self.names: dict[Key, Standing] = {}
        """All names that are known; the one that was unused longest is first."""
        self.names_size = 0
        """Bytes that the names take in a snapshot."""
        self._owners: dict[Owner, Key] = {}
        self._max_relays = max_relays
        self._max_names_size = max_names_size

    def restore(self, key: Key, standing: Standing) -> None:
        """Add a name, as the most recently used one."""
        self.names[key] = standing
        self.names_size += name_size(key)
        if standing.owner is not None:
            self._owners[standing.owner] = key

    def decide(self, sequence: int, payload: bytes) -> Decision:
        """Fold one message, the stream's number `sequence`. Raises NewerVersion, after which nothing can be folded."""
        try:
            proposal = decode(payload)
        except NoProposal:
            decision = Decision(Verdict.FOREIGN)
        else:
            decision = Decision(self._judge(proposal), proposal)
        before, self.size = self.size, self.size + len(payload)
        decision.snapshot = (
            before // SNAPSHOT_SIZE != self.size // SNAPSHOT_SIZE
            or self.sequence // SNAPSHOT_MESSAGES != sequence // SNAPSHOT_MESSAGES
        )
        self.sequence = sequence
        if decision.verdict is Verdict.FOLDED:
            assert decision.proposal is not None
            self._fold(decision.proposal, decision)
        return decision

    def _judge(self, proposal: Proposal) -> Verdict:
        if self.framing and proposal.framing != self.framing:
            return Verdict.FOREIGN
        expected = self.relays.get(proposal.relay, 1)
        if proposal.number == expected:
            return Verdict.FOLDED
        return Verdict.REPEATED if proposal.number < expected else Verdict.EARLY

    def _fold(self, proposal: Proposal, decision: Decision) -> None:
        relay = proposal.relay
        self.epoch = self.epoch or relay.hex()[:12]
        self.framing = proposal.framing
        self.relays.pop(relay, None)
        self.relays[relay] = proposal.number + 1
        if len(self.relays) > self._max_relays:
            del self.relays[next(iter(self.relays))]
        good: list[tuple[int, Contribution]] = []  # with where its frames begin
        offset = 0
        for part in proposal.parts:
            if isinstance(part, Claim):
                decision.claims.append(self._claim((relay, part.number), part))
                continue
            if not part.claim or self._goes_on((relay, part.claim), part):
                good.append((offset, part))
            else:
                decision.stale.append(part.claim)
            offset += part.size
        for accepted in _batches(proposal, good, whole=not decision.stale):
            decision.batches.append(accepted)
            self.next += accepted.messages

    def _claim(self, owner: Owner, claim: Claim) -> Claimed:
        key = claim.key
        standing = self.names.pop(key, None)
        known = standing is not None
        if standing is None:
            standing = Standing()
            self.names_size += name_size(key)
        before = standing.owner
        if before is not None:
            self._owners.pop(before, None)
        standing.owner, standing.taken = owner, 0
        self._owners[owner] = key
        self.names[key] = standing
        while self.names_size > self._max_names_size and len(self.names) > 1:
            self._forget(next(iter(self.names)))
        return Claimed(claim.number, key, known, standing.count, before)

    def _forget(self, key: Key) -> None:
        standing = self.names.pop(key)
        self.names_size -= name_size(key)
        if standing.owner is not None:
            self._owners.pop(standing.owner, None)

    def _goes_on(self, owner: Owner, contribution: Contribution) -> bool:
        """Whether a contribution under a claim counts. If so, count it."""
        key = self._owners.get(owner)
        if key is None:
            return False
        standing = self.names[key]
        if contribution.first != standing.taken + 1:
            return False
        standing.taken += contribution.messages
        standing.count += contribution.messages
        self.names[key] = self.names.pop(key)
        return True


def name_size(key: Key) -> int:
    """Bytes that a name takes in a snapshot."""
    return NAME_SIZE + len(key[0].encode()) + len(key[1].encode())


def _batches(proposal: Proposal, good: list[tuple[int, Contribution]], whole: bool) -> Iterator[Accepted]:
    """What is handed out of a proposal: in one batch if that is the `whole` of it."""
    if whole:
        messages = sum([part.messages for _, part in good])
        if messages:
            yield Accepted(proposal.data, messages, proposal.ends)
        return
    for offset, part in good:
        stop = offset + part.size
        ends = None
        if proposal.ends is not None:
            begin = bisect_left(proposal.ends, offset + 1)
            ends = array("I", [end - offset for end in proposal.ends[begin : begin + part.messages]])
        yield Accepted(proposal.data[offset:stop], part.messages, ends)
