"""Messages as server-sent events (HTML standard, section 9.2), each in one chunk (RFC 9112, section 7.1).

A message that is UTF-8 without CR, which the format cannot carry, becomes an event `text` with the message as it is.
Any other becomes an event `base64`. The id of an event is the position of its message.
"""

from __future__ import annotations

from array import array
from base64 import b64encode
from collections.abc import Iterable

from relay.wire.framing import Buffer


class EventEncoding:
    """Writes each message as one event."""

    name = "events"

    def __init__(self, epoch: str) -> None:
        """Write events with positions in `epoch`."""
        self.epoch = epoch
        """The epoch in the messages' positions."""

    def encode(self, messages: Iterable[bytes], number: int) -> bytes:
        epoch = self.epoch.encode()
        parts = []
        for at, message in enumerate(messages, number):
            kind, data = b"text", message
            try:
                message.decode()
            except UnicodeDecodeError:
                kind = b"base64"
            if kind == b"base64" or b"\r" in data:
                kind, data = b"base64", b64encode(message)
            elif b"\n" in data:
                data = data.replace(b"\n", b"\ndata: ")
            event = b"id: %b-%d\nevent: %b\ndata: %b\n\n" % (epoch, at, kind, data)
            parts.append(b"%x\r\n%b\r\n" % (len(event), event))
        return b"".join(parts)

    def ends(self, data: Buffer) -> array[int]:
        whole = bytes(data)
        found: array[int] = array("Q")
        stop = 0
        while stop < len(whole):
            line = whole.index(b"\r\n", stop)
            stop = line + 2 + int(whole[stop:line], 16) + 2
            found.append(stop)
        return found


def chunk(data: bytes) -> bytes:
    """`data` as a chunk of HTTP's chunked coding. The chunk without data is the last of a response."""
    return b"%x\r\n%b\r\n" % (len(data), data)
