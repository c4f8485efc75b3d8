"""What tests of the backbone propose, without NATS."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from relay.backbone.fold import Decision, Fold
from relay.backbone.proposal import Claim, Contribution, Part, Proposal, encode
from relay.wire.counted import Int32
from tests.kit.fakes import frame

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
