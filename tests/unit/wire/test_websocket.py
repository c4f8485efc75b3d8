"""WebSocket frames against a naive reader, written from the standard: what goes in comes out."""

from __future__ import annotations

from hypothesis import given
from twisted.trial.unittest import SynchronousTestCase

from relay.wire.websocket import binary, text
from tests.kit.encodings import messages


def unframed(stream: bytes) -> list[tuple[int, bytes]]:
    """The first byte and the payload of each WebSocket frame of a server (RFC 6455, section 5.2)."""
    found = []
    while stream:
        first, second = stream[0], stream[1]
        assert second < 128, "a server's frames are not masked"
        extra = {126: 2, 127: 8}.get(second, 0)
        length = int.from_bytes(stream[2 : 2 + extra], "big") if extra else second
        assert length >= {0: 0, 2: 126, 8: 2**16}[extra], "the length is not written in the shortest way"
        start = 2 + extra
        assert len(stream) >= start + length, "a frame is not whole"
        found.append((first, stream[start : start + length]))
        stream = stream[start + length :]
    return found


class WebSocketEncodingTests(SynchronousTestCase):
    @given(messages)
    def test_every_message_is_a_binary_frame(self, sent: list[bytes]) -> None:
        self.assertEqual(unframed(binary().encode(sent, 1)), [(0x82, message) for message in sent])

    @given(messages)
    def test_as_text_what_is_utf_8_is_a_text_frame(self, sent: list[bytes]) -> None:
        def first(message: bytes) -> int:
            try:
                message.decode()
            except UnicodeDecodeError:
                return 0x82
            return 0x81

        self.assertEqual(unframed(text().encode(sent, 1)), [(first(message), message) for message in sent])

    def test_lengths_at_which_the_header_changes(self) -> None:
        for length, header in ((0, 2), (125, 2), (126, 4), (65535, 4), (65536, 10), (70000, 10)):
            encoded = binary().encode([bytes(length)], 1)
            self.assertEqual(len(encoded), header + length)
            self.assertEqual(unframed(encoded), [(0x82, bytes(length))])
