"""The backbone as the rest of a relay sees it: what is published is proposed, and what counts is handed out.

It lives in one thread, the caller's, and does no I/O: a `Connection` carries proposals to the stream and brings back
what stands in it (`relay.backbone.link`). While there is none, publishers wait, and subscribers keep what they have.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from relay.backbone.claims import Claims
from relay.backbone.fold import Claimed, Decision, Fold, Verdict
from relay.backbone.outbox import Claimant, Outbox
from relay.backbone.proposal import NewerVersion, Proposal
from relay.backbone.snapshot import encode_snapshot
from relay.core.backbone import BackboneFigures
from relay.core.timing import SWEEP, Clock, Every
from relay.wire.framing import Frames

FULL = 8 * 1024 * 1024
"""Most bytes that wait for room in the window before publishers wait. They go on when it is half of that."""
SNAPSHOT = 60.0
"""Seconds between two looks at whether the bucket has a snapshot that is new enough."""
SNAPSHOT_PAUSE = 1.0
"""Seconds between two snapshots of one relay, at least: one of many names takes 20 ms."""
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the round trips' buckets, in seconds: a stream on loopback takes half of the first."""
CAUSES = (Verdict.REPEATED, Verdict.EARLY, Verdict.FOREIGN, "stale")
"""Why proposals, or contributions, are ignored: the words of the metrics."""


class Connection(Protocol):
    """Carries proposals to the stream. It says what it found by calling the methods of `Backbone`."""

    def send(self, payloads: Sequence[bytes], ask: bool) -> None:
        """Append messages to the stream. `ask`: whether failures are told."""
        ...

    def keep(self, sequence: int, snapshot: bytes, urgent: bool) -> None:
        """Put a snapshot into the bucket; unless `urgent`, only if the newest there is older."""
        ...

    def wait(self) -> None:
        """Bring nothing until `go_on`."""
        ...

    def go_on(self) -> None:
        """Bring what was read meanwhile, and what comes."""
        ...


class Keeper(Protocol):
    """What the backbone tells the relay."""

    def hold(self, reason: str) -> None:
        """Stop reading from publishers. `reason` is for people; empty: they are only faster than the stream."""
        ...

    def release(self) -> None:
        """Read from publishers again."""
        ...

    def connected(self, server: str) -> None:
        """Note that the stream can be reached."""
        ...

    def lend(self, size: int) -> None:
        """Note that the backbone holds `size` bytes of memory for messages."""
        ...

    def arrive(self, frames: list[Frames]) -> None:
        """Append frames to the log, and deliver them."""
        ...

    def lost(self, reason: str) -> None:
        """End the process: it cannot know any more what the others hand out."""
        ...


class SharedOrder:
    """Proposes what is published, folds what stands in the stream, and hands that out."""

    _waits = False  # whether nothing is taken from the stream for now

    def __init__(
        self,
        fold: Fold,
        outbox: Outbox,
        claims: Claims,
        keeper: Keeper,
        connection: Connection,
        clock: Clock,
        full: int = FULL,
    ) -> None:
        """`fold`: up to where the stream was read. `full`: bytes that may wait before publishers do."""
        self.trouble = "connecting to the backbone"
        """Why the stream takes nothing, in words for people; empty if it does."""
        self.snapshot = 0
        """The stream's number of the last message in the newest snapshot that this relay wrote; 0: none."""
        self.behind = 0
        """Messages of the stream that were not read when the last one was."""
        self.refusal = ""
        """What NATS answered last to a proposal that it did not take."""
        self._fold = fold
        self._outbox = outbox
        self._claims = claims
        self._keeper = keeper
        self._connection = connection
        self._clock = clock
        self._full = full
        self._connected = False
        self._caught_up = False  # whether the first proposal has come back
        self._told = False  # whether the keeper was told of the trouble
        self._paced = False  # whether publishers wait because they are too fast
        self._held_since: float | None = None  # when publishers began to wait, for whichever reason
        self._held_before = 0.0  # seconds in which they waited, without what `_held_since` says
        self._proposed = 1
        self._verdicts: Counter[str] = Counter()
        self._trips = [0] * (len(BOUNDS) + 1)
        self._trip_seconds = 0.0
        self._kept = -SNAPSHOT_PAUSE  # when the last snapshot was written
        self._looked = 0.0  # seconds since the last look at the snapshots
        outbox.open()
        self._stop_publishers("")

    # What goes out

    def pump(self) -> None:
        """Send what the outbox has. Call it after something was put there."""
        if self._connected and (payloads := self._outbox.take()):
            self._proposed += len(payloads)
            self._connection.send(payloads, ask=False)
        waiting = self._outbox.waiting
        self._keeper.lend(waiting + self._outbox.in_flight)
        if waiting > self._full and not self._paced:
            self._paced = True
            if not self.trouble:
                self._stop_publishers("")
        elif self._paced and waiting <= self._full // 2:
            self._paced = False
            self._release()

    def _send_again(self, payloads: Sequence[bytes]) -> None:
        if payloads:
            self._connection.send(payloads, ask=True)

    def _hold(self, reason: str) -> None:
        """Make publishers wait, and say so once, however often the reason changes until they go on."""
        self.trouble = reason
        if not self._told:
            self._told = True
            self._stop_publishers(reason)

    def _stop_publishers(self, reason: str) -> None:
        if self._held_since is None:
            self._held_since = self._clock()
        self._keeper.hold(reason)

    def _release(self) -> None:
        if not self.trouble and not self._paced:
            self._held_before, self._held_since = self._held_seconds, None
            self._keeper.release()

    @property
    def _held_seconds(self) -> float:
        return self._held_before + (0.0 if self._held_since is None else self._clock() - self._held_since)

    # What comes back

    def wait(self) -> None:
        """Take nothing from the stream until `go_on`. What is proposed meanwhile stands there."""
        self._waits = True
        self._connection.wait()

    def go_on(self) -> None:
        """Take what has come meanwhile, and what comes."""
        self._waits = False
        self._outbox.excuse()
        self._connection.go_on()

    # What the connection calls

    def connected(self, server: str) -> None:
        """The stream can be reached, at `server`: everything on its way goes out again."""
        self._connected = True
        self._keeper.connected(server)
        self._send_again(self._outbox.again())
        self.pump()
        self._recover()

    def disconnected(self, reason: str) -> None:
        """The stream cannot be reached. `reason`: why, for people."""
        self._connected = False
        self._hold(f"the backbone cannot be reached: {reason}")

    def refused(self, answer: str) -> None:
        """NATS did not take a proposal."""
        self.refusal = answer

    def receive(self, messages: Sequence[tuple[int, bytes]], behind: int) -> None:
        """Fold messages of the stream: the stream's number, and the payload, of each.

        `behind`: how many there are that are not read yet. What was folded before is ignored.
        """
        self.behind = behind
        found = _Found()
        for sequence, payload in messages:
            if sequence <= self._fold.sequence:
                continue
            if sequence != self._fold.sequence + 1:
                gap = f"{self._fold.sequence + 1:,} to {sequence - 1:,}"
                self._keeper.lost(f"the stream has lost its messages {gap}, which this relay has not read")
                return
            try:
                self._take(self._fold.decide(sequence, payload), found, len(payload))
            except NewerVersion as error:
                self._keeper.lost(f"a newer relay is on the stream: it writes {error}")
                return
        if found.frames:
            self._keeper.arrive(found.frames)
        self._tell(found)
        self.pump()

    def _take(self, decision: Decision, found: _Found, held: int) -> None:
        """Find what a decision means for this relay. `held`: bytes of memory that its frames keep alive."""
        self._verdicts[decision.verdict] += 1
        self._verdicts["stale"] += len(decision.stale)
        for data, messages, ends in decision.batches:
            if ends is None:
                found.frames.append(Frames(data, messages, held))
            else:
                found.frames += [Frames(data[at:end], 1, held) for at, end in zip([0, *ends], ends, strict=False)]
        proposal, own = decision.proposal, self._outbox.relay
        if proposal is None:
            return
        found.lost += [claim.before[1] for claim in decision.claims if claim.before and claim.before[0] == own]
        if proposal.relay == own:
            self._take_own(decision, proposal, found)

    def _take_own(self, decision: Decision, proposal: Proposal, found: _Found) -> None:
        if decision.verdict is Verdict.EARLY:
            if self._caught_up and proposal.relay not in self._fold.relays:
                self._keeper.lost("the other relays have forgotten this one, which was silent too long")
            else:
                self._send_again(self._outbox.early(proposal.attempt))
        elif decision.verdict is Verdict.FOREIGN:
            self._keeper.lost(f"the stream has the framing {self._fold.framing}, and this relay {proposal.framing}")
        elif decision.verdict is Verdict.FOLDED and (proposed := self._outbox.folded(proposal.number)):
            took = self._clock() - proposed.since
            self._trips[bisect_left(BOUNDS, took)] += 1
            self._trip_seconds += took
            self._caught_up = True
            found.claimed += decision.claims
            found.lost += decision.stale
            found.told.update(self._claims.standing(proposed.told, decision.stale))
            if decision.snapshot and self._clock() - self._kept >= SNAPSHOT_PAUSE:
                self._keep(urgent=True)

    def _tell(self, found: _Found) -> None:
        """Tell publishers what has become of what they sent, now that it is handed out."""
        for claim in found.claimed:
            self._claims.claimed(claim)
        for publisher, sent in found.told.items():
            self._claims.acknowledge(publisher, sent)
        for lost in found.lost:
            self._claims.lost(lost)
        self._recover()

    def _recover(self) -> None:
        if self.trouble and self._connected and self._caught_up and not self._outbox.overdue:
            self.trouble, self._told = "", False
            self._release()

    # Now and then

    def register(self, every: Every) -> None:
        """Have `sweep` called every `SWEEP` seconds."""
        every(SWEEP, self.sweep)

    def sweep(self, passed: float) -> None:
        """Propose again what is away too long, and look after the snapshots. `passed`: seconds since the last sweep."""
        if not self._connected or self._waits:
            return
        if payloads := self._outbox.late():
            self._hold(f"the backbone takes no proposals{self.refusal and ': '}{self.refusal}")
            self._send_again(payloads)
        self._looked += passed
        if self._looked >= SNAPSHOT:
            self._looked = 0.0
            self._keep(urgent=False)

    def _keep(self, urgent: bool) -> None:
        if self._fold.sequence > self.snapshot:
            self._kept = self._clock()
            self.snapshot = self._fold.sequence
            self._connection.keep(self._fold.sequence, encode_snapshot(self._fold), urgent)

    def names_of(self, subject: str) -> list[tuple[str, int]]:
        """The names that belong to `subject`, with their counts; the one used last is last."""
        return [(name, one.count) for (owner, name), one in self._fold.names.items() if owner == subject]

    @property
    def done(self) -> bool:
        """Whether everything that was published here is folded."""
        return self._outbox.empty

    def figures(self) -> BackboneFigures:
        """As `relay.core.backbone.Backbone`."""
        verdicts = self._verdicts
        return BackboneFigures(
            proposed=self._proposed,
            again=self._outbox.attempts,
            folded=verdicts[Verdict.FOLDED],
            ignored={cause: verdicts[cause] for cause in CAUSES},
            window=self._outbox.proposed,
            window_bytes=self._outbox.in_flight,
            waiting=self._outbox.waiting,
            bounds=BOUNDS,
            trips=tuple(self._trips),
            trip_seconds=self._trip_seconds,
            behind=self.behind,
            names=len(self._fold.names),
            sequence=self._fold.sequence,
            snapshot=self.snapshot,
            trouble=self.trouble,
            held=self._held_since is not None,
            held_seconds=self._held_seconds,
        )


@dataclass(slots=True)
class _Found:
    """What some messages of the stream mean for this relay."""

    frames: list[Frames] = field(default_factory=list)
    claimed: list[Claimed] = field(default_factory=list)
    """Claims of this relay that were folded."""
    told: dict[Claimant, int] = field(default_factory=dict)
    """Publishers of this relay, and how many messages each had sent by what was folded last."""
    lost: list[int] = field(default_factory=list)
    """Claims of this relay that hold nothing any more."""
