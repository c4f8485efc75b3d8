"""Proposals: what a relay asks all relays of a stream to hand out. `docs/backbone.md` has the bytes.

A proposal is one message of the stream. It has a head, its contributions, and at its end the frames of all of them, as
they go out to subscribers: where nothing of it is ignored, they are one batch as they stand.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import accumulate
from struct import Struct, error
from typing import NamedTuple

from relay.core.journal import Key
from relay.wire.framing import Buffer
from relay.wire.framings import FRAMINGS
from relay.wire.lengths import LENGTH, decode_lengths, encode_lengths

MAGIC = b"RB"
VERSION = 1
_HEAD = Struct("!2sBB8sQII")
_ATTEMPT = Struct("!I")
_ATTEMPT_AT = 20  # bytes before the attempt in a head
_PART = Struct("!BIQII")
_CLAIM, _MESSAGES = 1, 2
MAX_WORD = 2**16 - 1
"""Bytes that a name, or a certificate's subject, can have: a snapshot has two bytes for that."""
HEAD_SIZE = _HEAD.size
PART_SIZE = _PART.size
FRAMING_CODES = {
    "int32": 1,
    "line": 2,
    "raw": 3,
    "int16": 4,
    "varint": 5,
    "octet": 6,
    "netstring": 7,
    "cr": 8,
    "nul": 9,
}
"""The number that stands for each framing. None stands for one of a user's own."""
FRAMING_NAMES = {number: name for name, number in FRAMING_CODES.items()}
"""The framing that each number stands for."""


class NoProposal(ValueError):  # noqa: N818  # named for what was found
    """A message of the stream is none that a relay wrote."""


class NewerVersion(Exception):  # noqa: N818  # named for what was found
    """A relay that is newer than this one takes part: what it writes cannot be understood here."""


class Claim(NamedTuple):
    """A publisher with a name has connected: what other connections of that name send counts no more."""

    number: int
    """Number of the claim among those of its relay, from 1 on."""
    key: Key

    @property
    def size(self) -> int:
        """Bytes that it takes in a proposal."""
        return PART_SIZE + sum(len(word.encode()) for word in self.key)


class Contribution(NamedTuple):
    """Messages of one publisher that follow each other."""

    claim: int
    """Number of the claim under which they are sent; 0 for a publisher without a name."""
    first: int
    """1 for the first message under the claim; not looked at without one."""
    messages: int
    size: int
    """Bytes of their frames."""


Part = Claim | Contribution


class Proposal(NamedTuple):
    """One proposal, as it stands in the stream."""

    relay: bytes
    """8 bytes that name the process that proposes."""
    number: int
    """1 for the first proposal of that relay."""
    attempt: int
    """How often its relay had begun to propose again; says nothing about whether it counts."""
    framing: str
    parts: Sequence[Part]
    data: Buffer
    """The frames of all contributions, in their order."""
    ends: array[int] | None
    """Where each message ends in `data`, for a framing whose frames cannot tell; else None."""


def encode_head(relay: bytes, number: int, attempt: int, framing: str, parts: Sequence[Part]) -> bytes:
    """All of a proposal that stands before lengths and frames."""
    pieces = [_HEAD.pack(MAGIC, VERSION, FRAMING_CODES[framing], relay, number, attempt, len(parts))]
    for part in parts:
        if isinstance(part, Claim):
            words = part.key[0].encode(), part.key[1].encode()
            pieces += [_PART.pack(_CLAIM, part.number, 0, len(words[0]), len(words[1])), *words]
        else:
            pieces.append(_PART.pack(_MESSAGES, part.claim, part.first, part.messages, part.size))
    return b"".join(pieces)


def encode(proposal: Proposal) -> bytes:
    """A proposal as a message of the stream."""
    head = encode_head(proposal.relay, proposal.number, proposal.attempt, proposal.framing, proposal.parts)
    return b"".join([head, encode_lengths(proposal.ends or ()), proposal.data])


def again(payload: bytes, attempt: int) -> bytes:
    """An encoded proposal with another attempt."""
    return payload[:_ATTEMPT_AT] + _ATTEMPT.pack(attempt) + payload[_ATTEMPT_AT + _ATTEMPT.size :]


def decode(payload: bytes) -> Proposal:
    """The proposal in a message of the stream; its frames are a view. Raises NoProposal and NewerVersion."""
    try:
        magic, version, code, relay, number, attempt, count = _HEAD.unpack_from(payload)
        if magic != MAGIC:
            raise NoProposal("it does not begin as a proposal does")
        if version > VERSION:
            raise NewerVersion(f"version {version} of the backbone's format; this relay knows {VERSION}")
        framing = FRAMING_NAMES[code]
        parts, offset = _decode_parts(payload, count)
    except (error, KeyError, UnicodeDecodeError) as reason:
        raise NoProposal(f"it cannot be read: {reason}") from None
    contributions = [part for part in parts if isinstance(part, Contribution)]
    ends = None
    if not FRAMINGS[framing].self_delimiting:
        messages = sum(part.messages for part in contributions)
        try:
            ends = array("I", accumulate(decode_lengths(memoryview(payload)[offset:], messages)))
        except (ValueError, OverflowError):
            raise NoProposal("its lengths cannot be read") from None
        offset += messages * LENGTH
    data = memoryview(payload)[offset:]
    if len(data) != sum(part.size for part in contributions) or (ends and ends[-1] != len(data)):
        raise NoProposal("its sizes contradict each other")
    return Proposal(relay, number, attempt, framing, parts, data, ends)


def _decode_parts(payload: bytes, count: int) -> tuple[list[Part], int]:
    """`count` parts, and where they end."""
    parts: list[Part] = []
    offset = HEAD_SIZE
    for _ in range(count):
        kind, claim, first, one, two = _PART.unpack_from(payload, offset)
        offset += PART_SIZE
        if kind == _MESSAGES:
            parts.append(Contribution(claim, first, one, two))
        elif kind == _CLAIM and max(one, two) <= MAX_WORD and offset + one + two <= len(payload):
            subject, name = payload[offset : offset + one], payload[offset + one : offset + one + two]
            offset += one + two
            parts.append(Claim(claim, (subject.decode(), name.decode())))
        else:
            raise NoProposal(f"it has a part of kind {kind}")
    return parts, offset
