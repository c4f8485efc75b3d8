"""What tests of the backbone propose, without NATS."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from relay.backbone.backbone import FULL, SharedOrder
from relay.backbone.claims import Claims
from relay.backbone.fold import Decision, Fold
from relay.backbone.outbox import Outbox
from relay.backbone.pending import Proposed
from relay.backbone.proposal import Claim, Contribution, Part, Proposal, encode
from relay.wire.close_reason import CloseReason
from relay.wire.counted import Int32
from relay.wire.framing import Buffer, Frames
from tests.kit.fakes import frame, frames

RELAY_A = b"relay-a-"
RELAY_B = b"relay-b-"


def messages_in(data: bytes | memoryview) -> list[bytes]:
    """The messages in whole `int32` frames."""
    whole = bytes(data)
    ends = Int32.ends(whole)
    return [whole[begin + 4 : end] for begin, end in zip([0, *ends], ends, strict=False)]


def contribution(*messages: bytes, claim: int = 0, first: int = 0) -> tuple[Contribution, bytes]:
    """A contribution of these messages, and their frames."""
    data = b"".join(map(frame, messages))
    return Contribution(claim, first, len(messages), len(data)), data


def proposal(
    number: int,
    *parts: Claim | tuple[Contribution, bytes],
    relay: bytes = RELAY_A,
    framing: str = "int32",
    ends: Sequence[int] | None = None,
    attempt: int = 0,
) -> bytes:
    """A proposal as it stands in the stream."""
    plain: list[Part] = [part if isinstance(part, Claim) else part[0] for part in parts]
    data = b"".join(part[1] for part in parts if not isinstance(part, Claim))
    return encode(Proposal(relay, number, attempt, framing, plain, data, array("I", ends) if ends else None))


class Stream:
    """A stream without NATS: whatever is appended is folded at once."""

    def __init__(self) -> None:
        self.fold = Fold()
        self.payloads: list[bytes] = []
        self.handed_out: list[bytes] = []

    def append(self, payload: bytes) -> Decision:
        """Append a message to the stream, and fold it."""
        self.payloads.append(payload)
        decision = self.fold.decide(len(self.payloads), payload)
        for batch in decision.batches:
            self.handed_out += messages_in(batch.data)
        return decision


class FakeConnection:
    """Keeps what it is given to send."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.asked: list[bool] = []
        """For each of `sent`, whether failures are to be told."""
        self.kept: list[tuple[int, bool]] = []
        """The sequences of snapshots, and whether they were urgent."""
        self.waits = False

    def send(self, payloads: Sequence[bytes], ask: bool) -> None:
        self.sent += payloads
        self.asked += [ask] * len(payloads)

    def keep(self, sequence: int, snapshot: bytes, urgent: bool) -> None:
        self.kept.append((sequence, urgent))

    def wait(self) -> None:
        self.waits = True

    def go_on(self) -> None:
        self.waits = False

    def take(self) -> list[bytes]:
        """What was sent since the last time."""
        taken, self.sent = self.sent, []
        return taken


class FakeKeeper:
    """Keeps what a backbone says."""

    def __init__(self) -> None:
        self.said: list[str] = []
        """Each `hold` with its reason, each `release`, and why it was `lost`."""
        self.servers: list[str] = []
        self.lent = 0
        self.handed_out: list[bytes] = []

    def hold(self, reason: str) -> None:
        self.said.append(f"hold {reason}".strip())

    def release(self) -> None:
        self.said.append("release")

    def connected(self, server: str) -> None:
        self.servers.append(server)

    def lend(self, size: int) -> None:
        self.lent = size

    def arrive(self, frames: list[Frames]) -> None:
        for one in frames:
            self.handed_out += messages_in(one.data)

    def lost(self, reason: str) -> None:
        self.said.append(f"lost {reason}")


class FakeClaimant:
    """A publisher with a session, which keeps what it is told."""

    def __init__(self, member: Member, name: str = "") -> None:
        self.key = "", name
        self.sent = self.accepted = 0
        self.told: list[object] = []
        """`(known, accepted)` when it is admitted, each ack, and why it had to leave."""
        self._member = member

    def begin(self) -> None:
        self._member.claims.begin(self)

    def send(self, *messages: bytes) -> None:
        """Publish messages, in a turn of their own."""
        self.sent += len(messages)
        read = frames(*messages)
        self._member.claims.publishing(self, read)
        self._member.publish(read)
        self._member.claims.note(self)

    def admit(self, known: bool, accepted: int) -> None:
        self.told.append((known, accepted))

    def acknowledge(self, accepted: int) -> None:
        self.told.append(accepted)

    def leave(self, reason: CloseReason) -> None:
        self.told.append(str(reason))
        self._member.claims.forget(self)


class Member:
    """One relay of a backbone, without sockets and without NATS: `pass_on` moves what it proposes to the stream."""

    def __init__(self, relay: bytes = RELAY_A, full: int = FULL, framing: str = "int32") -> None:
        self.now = 100.0
        self.keeper, self.connection = FakeKeeper(), FakeConnection()
        self.fold = Fold()
        self.outbox = Outbox(relay, framing, True, lambda: self.now)
        self.pending = Proposed(self.outbox, lambda: self.order.pump())
        self.claims = Claims(self.outbox, self.pending, self.flush, lambda: self.order.pump())
        self.order = SharedOrder(
            self.fold, self.outbox, self.claims, self.keeper, self.connection, lambda: self.now, full
        )

    def publish(self, read: list[Frames]) -> None:
        """As a hub does at the end of a turn in which `read` was read."""
        self.pending.frames += read
        self.pending.size += sum(len(one.data) for one in read)
        self.flush()

    def flush(self) -> bool:
        """As a hub does."""
        return self.pending.move_to(NOWHERE, lambda: self.now)

    def pass_on(self, stream: list[bytes]) -> None:
        """Append what was sent to `stream`, and read all of it."""
        stream += self.connection.take()
        self.read(stream)

    def read(self, stream: list[bytes], behind: int = 0) -> None:
        """Fold all of `stream` that is not folded."""
        first = self.fold.sequence
        self.order.receive(list(enumerate(stream[first:], first + 1)), behind)


class _Nowhere:
    """A log that must not be given anything."""

    def append(self, data: Buffer, messages: int, held: int, time: float, ends: array[int] | None = None) -> None:
        raise AssertionError("what is proposed is not in the log yet")


NOWHERE = _Nowhere()
