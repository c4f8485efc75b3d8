"""How a message is shown to a person: the same by the publisher that sent it and by the client that received it."""

from __future__ import annotations

from datetime import datetime
from zlib import crc32

SHOWN = 40  # characters of a message: a line of `describe` then fits a terminal of 100 columns


def describe(number: int, payload: bytes, when: datetime) -> str:
    """One line, without a newline: time, number, length, checksum and first characters.

    Length, checksum and characters depend on the payload alone, so that two programs show the same for the same
    message.
    """
    time = f"{when:%H:%M:%S}.{when.microsecond // 1000:03}"
    return f"{time}  #{number}  {len(payload):,} B  crc32 {crc32(payload):08x}  {beginning(payload)}"


def beginning(payload: bytes, width: int = SHOWN) -> str:
    """The first `width` characters, read as UTF-8. An ellipsis stands for the rest.

    The result is safe for a terminal, whatever a peer sent. Whatever does not print, from escape sequences to marks
    that reverse the direction of writing, becomes a Python escape, and so does a backslash.
    """
    # A character is at most 4 bytes long, so this cut never reaches into the characters that are shown.
    text = payload[: 4 * width + 4].decode("utf-8", "surrogateescape")
    rest = "…" if len(text) > width else ""
    return "".join(map(_spell, text[:width])) + rest


def _spell(character: str) -> str:
    if character.isprintable() and character != "\\":
        return character
    if "\udc80" <= character <= "\udcff":  # what "surrogateescape" makes of a byte that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
