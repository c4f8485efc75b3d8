"""A framing of one's own: tells packets of MAVLink apart, the protocol of drones, in versions 1 and 2.

    PYTHONPATH=examples relay serve --framing mavlink:Mavlink

A packet has its length in its second byte (https://mavlink.io/en/guide/serialization.html). A version 1 packet has 8
bytes around its payload, a version 2 packet 12, and 13 more if the first bit of its third byte says that it is signed.
Checksums are left to those who read the packets: they depend on the dialect.
"""

from relay.wire.framing import Buffer
from relay.wire.headed import Headed

V1, V2 = 0xFE, 0xFD
SIGNED = 0x01


class Mavlink(Headed):
    """Every packet is a message, from its first byte to its last."""

    @classmethod
    def measure(cls, data: Buffer | bytearray, start: int) -> tuple[int, int] | None:
        """The bytes at `start` that tell how long the packet is, and how many follow them; None for too few."""
        head = data[start : start + 3]
        if len(head) and head[0] not in (V1, V2):
            raise ValueError(f"a byte {head[0]:#04x} where a MAVLink packet begins")
        if len(head) < 3:
            return None
        signature = 13 if head[0] == V2 and head[2] & SIGNED else 0
        return 3, head[1] + (5 if head[0] == V1 else 9) + signature

    @classmethod
    def message(cls, frame: bytes) -> bytes:
        return frame

    @classmethod
    def frame(cls, message: bytes) -> bytes:
        measured = cls.measure(message, 0)
        if measured is None or sum(measured) != len(message):
            raise ValueError("a message is a whole MAVLink packet")
        return message
