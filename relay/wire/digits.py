"""Framings with a length in decimal digits before each message.

- `octet`: the octet counting of syslog over TCP and TLS (RFC 6587, section 3.4.1; RFC 5425, section 4.3): the length, a
  space, the message.
- `netstring`: D. J. Bernstein's netstrings (https://cr.yp.to/proto/netstrings.txt): the length, a colon, the message, a
  comma.
"""

from __future__ import annotations

import re
from typing import ClassVar

from relay.wire.framing import Buffer
from relay.wire.headed import Headed

MOST = 10
"""Digits of a length, at most: those of 4 GiB."""


class Digits(Headed):
    """The length of each message before it, in digits without leading zeros."""

    pattern: ClassVar[re.Pattern[bytes]]
    """The digits, and the byte behind them if it is there already."""
    mark: ClassVar[bytes]
    """The byte behind the digits."""

    @classmethod
    def measure(cls, data: Buffer | bytearray, start: int) -> tuple[int, int] | None:
        found = cls.pattern.match(data, start)
        if found is not None:
            digits, mark = found.groups()
            if mark:
                return len(digits) + 1, int(digits)
            if found.end() == len(data):
                return None
        elif start == len(data):
            return None
        raise ValueError(f"{bytes(data[start : start + MOST + 1])!r} where a length in digits begins")

    @classmethod
    def head(cls, length: int) -> bytes:
        return b"%d%b" % (length, cls.mark)


class Octet(Digits):
    """Digits and a space before each message. RFC 6587 has no empty messages."""

    pattern = re.compile(rb"([1-9][0-9]{0,%d})( ?)" % (MOST - 1))
    mark = b" "

    @classmethod
    def head(cls, length: int) -> bytes:
        if not length:
            raise ValueError("there are no empty messages")
        return super().head(length)


class Netstring(Digits):
    """Digits and a colon before each message, and a comma behind it."""

    pattern = re.compile(rb"(0|[1-9][0-9]{0,%d})(:?)" % (MOST - 1))
    mark = b":"
    trailer = b","
