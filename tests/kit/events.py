"""A reader of server-sent events, written from the standards and not from the relay."""

from __future__ import annotations

import re
from base64 import b64decode
from typing import NamedTuple


class Event(NamedTuple):
    """A server-sent event as a page would be given it."""

    kind: str
    data: str
    id: str

    @property
    def position(self) -> int:
        """That of the message, of which the id tells besides the run."""
        return int(self.id.rpartition("-")[2])

    @property
    def message(self) -> bytes:
        """What was published."""
        assert self.kind in ("text", "base64"), self
        return b64decode(self.data, validate=True) if self.kind == "base64" else self.data.encode()


class Parser:
    """Reads an event stream by the rules of the HTML standard, sections 9.2.5 and 9.2.6."""

    def __init__(self) -> None:
        self.last = ""
        """The last event ID."""
        self.retry: int | None = None
        self.rest = b""
        """Of a line that has not ended yet."""
        self._began = False
        self._kind = self._id = ""
        self._data = ""

    @property
    def between(self) -> bool:
        """Whether nothing was begun that did not end."""
        return not (self.rest or self._kind or self._data)

    def feed(self, stream: bytes) -> list[Event]:
        """The events that these bytes complete."""
        *lines, self.rest = re.split(rb"\r\n|\n|\r(?!\Z)", self.rest + stream)
        found = []
        for line in lines:
            event = self._line(line.decode(errors="replace"))
            if event:
                found.append(event)
        return found

    def _line(self, line: str) -> Event | None:
        if not self._began:
            self._began = True
            line = line.removeprefix("\ufeff")
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._kind = value
        elif name == "data":
            self._data += value + "\n"
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and re.fullmatch("[0-9]+", value):
            self.retry = int(value)
        return None

    def _dispatch(self) -> Event | None:
        self.last = self._id
        kind, data = self._kind or "message", self._data
        self._kind = self._data = ""
        return Event(kind, data.removesuffix("\n"), self.last) if data else None


def unchunked(stream: bytes) -> bytes:
    """What is in these chunks (RFC 9112, section 7.1), which have to be whole."""
    pieces, at = [], 0
    while at < len(stream):
        begin = stream.find(b"\r\n", at) + 2
        assert begin > 1, "a chunk without its size"
        end = begin + int(stream[at : begin - 2], 16)
        assert stream[end : end + 2] == b"\r\n", "a chunk does not end where it says"
        pieces.append(stream[begin:end])
        at = end + 2
    return b"".join(pieces)


def events(chunks: bytes) -> list[Event]:
    """The events in whole chunks, which are whole too."""
    parser = Parser()
    found = parser.feed(unchunked(chunks))
    assert parser.between, "an event is incomplete"
    return found
