"""How a message is shown to a person: by the publisher that sent it and by the client that received it alike."""

from __future__ import annotations

from datetime import datetime
from zlib import crc32

SHOWN = 40  # characters; with what stands before them they fit a terminal of 100 columns


def describe(number: int, payload: bytes, when: datetime) -> str:
    """One line without its end: time, number, length, checksum and first characters.

    Length, checksum and characters depend on the payload alone, so two programs that show the same
    message show the same words.
    """
    time = f"{when:%H:%M:%S}.{when.microsecond // 1000:03}"
    return f"{time}  #{number}  {len(payload):,} B  crc32 {crc32(payload):08x}  {beginning(payload)}"


def beginning(payload: bytes, width: int = SHOWN) -> str:
    """The first `width` characters, read as UTF-8. An ellipsis stands for the rest.

    Safe for a terminal whatever a peer sent: all that does not print, from escape sequences to
    marks that reverse the direction of writing, is spelled as a Python escape, and so is a backslash.
    """
    # A character is at most 4 bytes long, so this cut never reaches into the characters that are shown.
    text = payload[: 4 * width + 4].decode("utf-8", "surrogateescape")
    rest = "…" if len(text) > width else ""
    return "".join(map(_spell, text[:width])) + rest


def _spell(character: str) -> str:
    if character.isprintable() and character != "\\":
        return character
    if "\udc80" <= character <= "\udcff":  # how "surrogateescape" hands on a byte that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
