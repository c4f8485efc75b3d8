"""Splits what a relay sends to a session into runs of whole frames and the bodies of control frames, in order."""

from __future__ import annotations

from relay.wire import control
from relay.wire.counted import HEADER, Int32
from relay.wire.framing import Frames, MessageTooLong, part

Piece = Frames | bytes
"""Whole frames of messages, or the body of one control frame."""


class SessionStream(Int32):
    """The framing `int32` with control frames between the messages. Use `split`, not `receive`.

    `limit` may be changed between two calls, because a session learns it from the welcome. The cost depends on the
    bytes and the control frames, not on the number of messages.
    """

    def __init__(self, limit: int) -> None:
        """`limit`: bytes that a message may have."""
        super().__init__(limit)
        self.pieces: list[Piece] = []
        """What the last call of `split` found, also if it raised."""

    def split(self, data: bytes) -> list[Piece]:
        """Take the next bytes of the stream. Returns the pieces that they complete, in order.

        Raises MessageTooLong once; `pieces` then has what came before that message. After that it returns nothing.
        """
        self.pieces = []
        if self._failed:
            return []
        start = 0
        while start < len(data):
            start = self._next(data, start)
        return self.pieces

    def _next(self, data: bytes, start: int) -> int:
        """Take one run of frames, one control frame, or what there is of a frame. Returns where it ends."""
        if self._partial or len(data) - start < HEADER.size:
            return self._join(data, start)
        (header,) = HEADER.unpack_from(data, start)
        if control.is_control(header):
            stop: int = start + HEADER.size + header - control.CONTROL
            if stop > len(data):
                self._partial += memoryview(data)[start:]
                return len(data)
            self.pieces.append(data[start + HEADER.size : stop])
            return stop
        stop, messages = self._whole(data, start)
        if messages:
            self.pieces.append(part(data, start, stop, messages))
            return stop
        self._check_length(header, data[start : start + HEADER.size])
        self._partial += memoryview(data)[start:]
        return len(data)

    def _join(self, data: bytes, start: int) -> int:
        """Add to the partial frame what it needs, from `start` on. Returns where that ends."""
        partial = self._partial
        if len(partial) < HEADER.size:
            stop = min(len(data), start + HEADER.size - len(partial))
            partial += memoryview(data)[start:stop]
            if len(partial) < HEADER.size:
                return stop
            start = stop
        (header,) = HEADER.unpack_from(partial)
        is_control = control.is_control(header)
        if not is_control:
            self._check_length(header, bytes(partial[: HEADER.size]))
        size: int = HEADER.size + (header - control.CONTROL if is_control else header)
        stop = min(len(data), start + size - len(partial))
        partial += memoryview(data)[start:stop]
        if len(partial) == size:
            whole = bytes(partial)
            self._partial = bytearray()
            self.pieces.append(whole[HEADER.size :] if is_control else Frames(whole, 1, size))
        return stop

    def _check_length(self, length: int, start: bytes) -> None:
        if length > self.limit:
            self._refuse(MessageTooLong(length, self.limit, start, []))
