"""A framing as a user of the relay may write one: messages of four bytes, without anything that frames them."""

from __future__ import annotations

from relay.wire.framing import Buffer
from relay.wire.headed import Headed

SIZE = 4


class Own(Headed):
    """The first byte of a message is any letter."""

    @classmethod
    def measure(cls, data: Buffer | bytearray, start: int) -> tuple[int, int] | None:
        if start == len(data):
            return None
        if not bytes(data[start : start + 1]).isalpha():
            raise ValueError("a message that does not begin with a letter")
        return 1, SIZE - 1

    @classmethod
    def message(cls, frame: bytes) -> bytes:
        return frame

    @classmethod
    def frame(cls, message: bytes) -> bytes:
        if len(message) != SIZE or not message[:1].isalpha():
            raise ValueError(f"a message has {SIZE} bytes and begins with a letter")
        return message


own = Own(SIZE)
