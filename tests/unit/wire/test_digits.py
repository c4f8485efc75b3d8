"""Lengths in digits: `octet` and `netstring`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.wire.digits import Netstring, Octet
from relay.wire.framing import BadFrame, MessageTooLong
from tests.kit.framings import LIMIT, FramingContract, wire


class OctetTests(FramingContract, SynchronousTestCase):
    framing = Octet
    wrong = (
        *((bad, bad[:2]) for bad in (b"41 ", b"9999999999 ")),
        *((bad, bad[:1]) for bad in (b"0 ", b" ", b"x", b"4:abcd", b"-1 ", b"\n", b"12345678901 ")),
    )

    @classmethod
    def allowed(cls, message: bytes) -> bytes:
        return message or b"-"

    def test_it_is_octet_counting(self) -> None:
        message = b"<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - failed"  # RFC 5424, section 6.5
        self.assertEqual(Octet.frame(message), b"%d " % len(message) + message)
        self.assertRaises(ValueError, Octet.frame, b"")

    def test_leading_zeros_are_none_of_a_length(self) -> None:
        self.assertRaises(BadFrame, Octet(LIMIT).receive, b"05 hello")
        self.assertRaises(BadFrame, Netstring(LIMIT).receive, b"05:hello,")


class NetstringTests(FramingContract, SynchronousTestCase):
    framing = Netstring
    wrong = (
        *((bad, bad[:2]) for bad in (b"41:", b"9999999999:", b"2:abc", b"0:;", b"3:abc\n,")),
        *((bad, bad[:1]) for bad in (b"00:,", b":", b"x", b"4 abcd", b"-1:,", b"\n", b"12345678901:")),
    )

    def test_it_is_what_its_author_wrote(self) -> None:
        hello = b"12:hello world!,"  # from the specification
        self.assertEqual(Netstring.frame(b"hello world!"), hello)
        self.assertEqual(Netstring.frame(b""), b"0:,")
        self.assertEqual(wire(Netstring(LIMIT).receive(hello + b"0:,")), hello + b"0:,")

    def test_the_error_says_what_came_instead(self) -> None:
        for data, words in (
            (b"3:abc;", "a message that ends with b';' instead of b','"),
            (b"x", "b'x' where a length"),
        ):
            error = self.assertRaises(BadFrame, Netstring(LIMIT).receive, data)
            self.assertIn(words, str(error))
        self.assertRaises(MessageTooLong, Netstring(LIMIT).receive, b"41:")

    def test_a_run_ends_where_a_comma_is_missing(self) -> None:
        for at in range(30):
            stream = [b"1:a,"] * 30
            stream[at] = b"1:a;"
            framing = Netstring(LIMIT)
            error = self.assertRaises(BadFrame, framing.receive, b"".join(stream))
            self.assertEqual(wire(error.frames), b"1:a," * at)
