"""Snapshots: the state of a fold as bytes, so that a relay that begins need not read the whole stream.

`docs/backbone.md` has the bytes.
"""

from __future__ import annotations

from struct import Struct, error
from zlib import crc32

from relay.backbone.fold import NAME_SIZE, Fold, Standing
from relay.backbone.proposal import FRAMING_CODES, FRAMING_NAMES

MAGIC = b"RS"
VERSION = 1
_HEAD = Struct("!2sBBQQQ32sII")
_RELAY = Struct("!8sQ")
_NAME = Struct("!HHQ8sIQ")
_CHECKSUM = Struct("!I")
_NOBODY = bytes(8)  # stands for no owner; a relay's name is random

assert _NAME.size == NAME_SIZE


class BadSnapshot(ValueError):  # noqa: N818  # named for what was found
    """The bytes are no snapshot that this relay understands."""


def encode_snapshot(fold: Fold) -> bytes:
    """The state of `fold`: the same bytes for the same state."""
    framing = FRAMING_CODES.get(fold.framing, 0)
    counts = len(fold.relays), len(fold.names)
    head = (MAGIC, VERSION, framing, fold.sequence, fold.next, fold.size, fold.epoch.encode())
    parts = [_HEAD.pack(*head, *counts)]
    parts += [_RELAY.pack(relay, number) for relay, number in fold.relays.items()]
    for (subject, name), standing in fold.names.items():
        words = subject.encode(), name.encode()
        relay, claim = standing.owner or (_NOBODY, 0)
        parts.append(_NAME.pack(len(words[0]), len(words[1]), standing.count, relay, claim, standing.taken))
        parts += words
    data = b"".join(parts)
    return data + _CHECKSUM.pack(crc32(data))


def decode_snapshot(data: bytes) -> Fold:
    """The fold whose state `data` is. Raises BadSnapshot."""
    body, check = data[: -_CHECKSUM.size], data[-_CHECKSUM.size :]
    if len(data) < _HEAD.size or check != _CHECKSUM.pack(crc32(body)):
        raise BadSnapshot("its checksum is wrong")
    try:
        return _decode(body)
    except (error, UnicodeDecodeError, KeyError) as reason:
        raise BadSnapshot(f"it cannot be read: {reason}") from None


def _decode(body: bytes) -> Fold:
    magic, version, framing, sequence, position, size, epoch, relays, names = _HEAD.unpack_from(body)
    if (magic, version) != (MAGIC, VERSION):
        raise BadSnapshot("it is of another version")
    fold = Fold()
    fold.sequence, fold.next, fold.size = sequence, position, size
    fold.epoch = epoch.rstrip(b"\0").decode("ascii")
    fold.framing = FRAMING_NAMES[framing] if framing else ""
    offset = _HEAD.size
    for _ in range(relays):
        relay, number = _RELAY.unpack_from(body, offset)
        fold.relays[relay] = number
        offset += _RELAY.size
    for _ in range(names):
        subject, name, count, relay, claim, taken = _NAME.unpack_from(body, offset)
        offset += _NAME.size
        key = body[offset : offset + subject].decode(), body[offset + subject : offset + subject + name].decode()
        offset += subject + name
        fold.restore(key, Standing(count, None if relay == _NOBODY else (relay, claim), taken))
    if offset != len(body):
        raise BadSnapshot("something is behind it")
    return fold
