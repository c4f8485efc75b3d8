"""Text from peers as it may be shown: whatever ends in a log, a page, a terminal or a metric goes through here."""

from __future__ import annotations

from codecs import getincrementaldecoder


def escaped(text: str) -> str:
    """`text` with Python's escapes for all that does not print: line ends, terminal sequences, marks that turn text.

    Backslashes stay as they are.
    """
    return text if text.isprintable() else "".join(map(_spell, text))


def printable(data: bytes, whole: bool = True) -> str:
    """Bytes as one line of text, decoded as UTF-8.

    Backslashes, bytes that are not UTF-8 and characters that do not print become Python's escapes. `whole`: whether
    `data` is complete; if it is not, a last character that is cut is left out.
    """
    text = getincrementaldecoder("utf-8")("surrogateescape").decode(data, final=whole)
    return escaped(text.replace("\\", "\\\\"))


def _spell(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # what "surrogateescape" makes of a byte that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character if character.isprintable() else character.encode("unicode_escape").decode()
