"""The framing `raw`: nothing on the wire tells messages apart."""

from __future__ import annotations

from array import array
from typing import ClassVar

from relay.wire.framing import Buffer, Frames, part


class Raw:
    """No framing: each read is one message. A read over the limit is cut into several, and never refused."""

    self_delimiting: ClassVar[bool] = False
    incomplete: ClassVar[str] = ""
    partial = 0

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def receive(self, data: bytes) -> list[Frames]:
        limit = self.limit
        if len(data) <= limit:
            return [Frames(data, 1, len(data))]
        return [part(data, at, min(at + limit, len(data)), 1) for at in range(0, len(data), limit)]

    @classmethod
    def frame(cls, message: bytes) -> bytes:
        if not message:
            raise ValueError("there are no empty messages")
        return message

    @classmethod
    def message(cls, frame: bytes) -> bytes:
        return frame

    @classmethod
    def ends(cls, data: Buffer) -> array[int]:
        return array("Q", [len(data)])
