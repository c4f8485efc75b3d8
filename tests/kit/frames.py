"""What a WebSocket peer may send and what it may not, by RFC 6455, and what must come of each."""

from __future__ import annotations

from struct import pack

from websockets.frames import BINARY, CLOSE, CONT, PING, PONG, TEXT, Frame, Opcode

NOT_UTF_8 = (b"\xff", b"a\xe2\x82", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x80")  # RFC 3629
MASK = b"\xa5\x00\x3c\xff"
MOST = 4096
"""Bytes of a message from a peer, at most."""


def raw(first: int, payload: bytes = b"", announced: bytes | None = None) -> bytes:
    """A frame that need not be one: its first byte, and the bytes that tell the length, with the bit for the mask."""
    if announced is None:
        size = len(payload)
        announced = bytes([0x80 | size]) if size < 126 else pack("!BH", 0xFE, size)
    return bytes([first]) + announced + MASK + bytes(byte ^ MASK[at % 4] for at, byte in enumerate(payload))


def legal(opcode: Opcode, payload: bytes = b"", fin: bool = True) -> bytes:
    return Frame(opcode, payload, fin).serialize(mask=True)


def closing(code: int, reason: bytes = b"") -> bytes:
    return raw(0x88, pack("!H", code) + reason)


HALF = legal(TEXT, b"a", fin=False)
"""The beginning of a message."""
IGNORED: list[tuple[bytes, list[bytes]]] = [
    *((legal(PING, payload), [payload]) for payload in (b"", b"ping", bytes(125))),
    (b"\x89\x81" + bytes(4) + b"p", [b"p"]),  # the mask is all zeros
    (legal(PONG, b"nobody asked for it") + legal(PONG), []),
    *((legal(TEXT, "\u20ac".encode()) + legal(TEXT), []), (legal(BINARY, b"\xff") + legal(BINARY), [])),
    (legal(BINARY, bytes(MOST)) + legal(TEXT, bytes(MOST)), []),
    (legal(BINARY, bytes(MOST // 8)) * 15, []),
    (HALF + legal(CONT, b"b", fin=False) + legal(CONT), []),
    (legal(BINARY, bytes(MOST // 2), fin=False) + legal(CONT, bytes(MOST // 2)), []),
    (legal(TEXT, b"\xe2\x82", fin=False) + legal(CONT, b"\xac"), []),  # one character
    (HALF + legal(PING, b"p") + legal(CONT, b"b"), [b"p"]),
    (legal(TEXT, b"\xe2", fin=False) + legal(PONG) + legal(CONT, b"\x82\xac"), []),
]
"""What is sent, and the payloads of the pongs that answer it."""

CONTROL = (0x8, 0x9, 0xA)
ENDS: list[tuple[int | None, bytes]] = [
    *((code, closing(code)) for code in (1000, 1001, 1003, 1007, 1011, 3000, 3999, 4000, 4999)),
    *((None, raw(0x88)), (1000, closing(1000, "\u20ac".encode() * 41)), (1000, HALF + closing(1000))),
    (1001, legal(PING) * 50 + legal(BINARY, b"x") * 50 + closing(1001)),
    # Closes that none may send (section 7.4)
    *((1002, closing(code)) for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)),
    *((1002, raw(0x88, b"\x03")), (1007, closing(1000, b"\xff")), (1007, closing(1000, b"\xe2\x82"))),
    # Without a mask (section 5.1)
    *((1002, Frame(code, b"\x03\xe8").serialize(mask=False)) for code in (TEXT, BINARY, PING, CLOSE)),
    # Reserved bits and opcodes, and what a control frame cannot be (sections 5.2 and 5.5)
    *((1002, raw(first | bit)) for first in (0x82, 0x89) for bit in (0x40, 0x20, 0x10)),
    *((1002, raw(0x80 | code, b"x")) for code in (*range(3, 8), *range(11, 16))),
    *((1002, raw(code)) for code in CONTROL),
    *((1002, raw(0x80 | code, bytes(126))) for code in CONTROL),
    # Fragments (section 5.4)
    *((1002, legal(CONT, b"x")), (1002, legal(CONT, fin=False)), (1002, HALF + legal(CONT) + legal(CONT))),
    *((1002, HALF + legal(TEXT, b"b")), (1002, HALF + legal(BINARY, b"b", fin=False))),
    # Text (section 8.1)
    *((1007, legal(TEXT, text)) for text in NOT_UTF_8),
    (1007, HALF + legal(CONT, b"\xe2") + legal(CONT, b"a")),
    # Lengths (section 5.2): as short as can be, and the first bit is 0
    *((1009, legal(BINARY, bytes(MOST + 1))), (1009, legal(BINARY, bytes(65536)))),
    (1009, legal(TEXT, "\u20ac".encode() * (MOST // 3 + 1))),
    (1009, legal(BINARY, bytes(MOST), fin=False) + legal(CONT, b"x", fin=False)),
    (1009, raw(0x82, bytes(MOST + 1), b"\xff" + pack("!Q", 2**63 - 1))),
    (1002, raw(0x82, b"x", b"\xff" + pack("!Q", 2**63))),
    *((1002, raw(0x82, b"x", b"\xfe\x00\x01")), (1002, raw(0x82, bytes(126), b"\xff" + pack("!Q", 126)))),
]
"""The code of the close that answers it, None for one without a code, and what is sent."""
