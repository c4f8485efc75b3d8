"""First bytes that tell what a peer speaks: those that real clients send, and none that a publisher may send."""

from __future__ import annotations

import ssl

from h11 import CLIENT, Connection, Request
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relay.wire.signature import looks_like, opens, takes_apart, wrong_framing
from tests.kit.fakes import frame

FEWEST = 4
"""Bytes of the beginning that are always known: those of a length (see `MessageTooLong.start`)."""


def client_hello(**versions: ssl.TLSVersion) -> bytes:
    """What a TLS client says first."""
    context = ssl.create_default_context()
    for which, version in versions.items():
        setattr(context, f"{which}_version", version)
    said = ssl.MemoryBIO()
    try:
        context.wrap_bio(ssl.MemoryBIO(), said, server_hostname="relay.example").do_handshake()
    except ssl.SSLWantReadError:
        return said.read()
    raise AssertionError("nobody answered, and the handshake is complete")


def request(method: str) -> bytes:
    """What an HTTP client says first."""
    return Connection(CLIENT).send(Request(method=method, target="/", headers=[("Host", "relay.example")])) or b""


class SignatureTests(SynchronousTestCase):
    def test_clients_of_other_protocols_are_known_by_their_first_four_bytes(self) -> None:
        for what, starts in {
            "an HTTP request": [request(method) for method in ("GET", "HEAD", "POST", "PUT")],
            "a TLS handshake": [client_hello(), client_hello(maximum=ssl.TLSVersion.TLSv1_2)],
            "an SSH client": [b"SSH-2.0-OpenSSH_9.6\r\n", b"SSH-1.99-old\r\n"],  # RFC 4253, sections 4.2 and 5.1
        }.items():
            for start in starts:
                self.assertEqual(looks_like(start), what, start)
                self.assertEqual(looks_like(start[:FEWEST]), what, start)

    def test_a_tls_record_of_the_version_that_the_standard_names_is_known(self) -> None:
        self.assertEqual(looks_like(b"\x16\x03\x03\x00"), "a TLS handshake")  # RFC 8446, section 5.1

    def test_a_connection_of_another_protocol_is_known_by_its_first_message(self) -> None:
        for what, firsts in {
            "an HTTP request": [
                *(request(method) for method in ("GET", "HEAD", "POST", "PUT")),
                *(request(method) for method in ("OPTIONS", "DELETE", "PATCH", "CONNECT")),
                *(b"POST / HTTP/1.1\r\n", b"GET /x?y HTTP/1.0\n", b"OPTIONS * HTTP/1.1\r\n"),
            ],
            "a TLS handshake": [client_hello(), client_hello(maximum=ssl.TLSVersion.TLSv1_2)],
            "an SSH client": [b"SSH-2.0-OpenSSH_9.6\r\n", b"SSH-1.99-old\r\n"],
        }.items():
            for first in firsts:
                self.assertEqual(opens(first), what, first)

    def test_a_message_that_only_begins_so_or_speaks_of_it_is_a_message(self) -> None:
        for first in (
            *(b"", b"GET\n", b"GET it done\n", b"GET /index.html 200 17 ms\n", b"PUT 3 apples HTTP/1.1\n"),
            *(b'127.0.0.1 "GET / HTTP/1.1" 200\n', b" GET / HTTP/1.1\r\n", b"GET / HTTP/2\n", b"GET / HTTP/1.1 x\n"),
            *(b"SSH-2 is old\n", b"\x16\x03\x01\n", b"\x16\x03\x02\0\0\x01", b"get / HTTP/1.1\r\n", b"GET / HTTP/1.1"),
            b"hello\nGET / HTTP/1.1\r\n",
        ):
            self.assertIsNone(opens(first), first)

    def test_another_framing_is_guessed_from_where_a_message_should_begin(self) -> None:
        for start, framing, words in (
            (b"hell", "int32", "'hell': text needs --framing line"),
            (b"<34>", "int32", "text needs --framing line"),
            (b'{"a"', "int16", "text needs --framing line"),
            (b"<34>1 2003", "octet", "text needs --framing line"),
            (b"hi\nh", "int32", "ends with a line feed: --framing line"),
            (b"57 <", "int32", "syslog counts octets: --framing octet"),
            (b"57 <34>1", "line", "syslog counts octets: --framing octet"),
            (b"1024", "int32", "syslog counts octets: --framing octet"),
            (b"5:he", "int32", "netstrings: --framing netstring"),
            (b"5:hello,", "octet", "netstrings: --framing netstring"),
            (b"5 hello", "netstring", "--framing octet"),
            (b"\x05\0\0\0", "int32", "lowest byte first"),
            (b"\0\x05he", "int32", "lengths of 2 bytes: --framing int16"),
            (b"\x0c\x0a\x05h", "int32", "Protocol Buffers write them: --framing varint"),
            (b"\0\x01\x86\xa0", "int32", ""),  # 100,000: a message that is too long, and no more
            (b"\xff\xff\xff\xff", "int32", ""),
            (b"\xff\xff\xff\xff", "package.module:Class", ""),
            (b"hell", "package.module:Class", "text needs --framing line"),
            (b"\0\0\0\5hello\0\0\0\5hel", "line", "lengths of 4 bytes: --framing int32"),
            (b"\0\0\0\5hell", "varint", "lengths of 4 bytes: --framing int32"),
            (b"hello\rhello\rhell", "line", "carriage return: --framing cr"),
            (b"hello\nhello\nhell", "cr", "line feed: --framing line"),
            (b"hello\r\nhello\r\nh", "nul", "line feed: --framing line"),
            (b"hello\0hello\0hell", "line", "zero byte: --framing nul"),
            (b"hello\0hello\0hell", "cr", "zero byte: --framing nul"),
            (b"\x1b[31mhello", "line", r"'\\x1b[31mhello', and no line feed came"),
            (b"hello", "nul", "'hello', and no zero byte came"),
        ):
            found = wrong_framing(start, 99_999, framing)
            self.assertIn(words, found, start)
            self.assertTrue(found.isprintable())
            self.assertEqual(bool(found), bool(words), start)

    def test_whole_messages_with_lengths_are_known_and_other_bytes_are_messages(self) -> None:
        for message, framing in (
            (b"\0\0\0\5hello", "int32"),
            (b"\0\0\0\5hello\0\0\0\2hi", "int32"),
            (b"5:hello,2:hi,", "netstring"),
            (b"5 hello2 hi", "octet"),
            (b"\0\0\0\5hell", ""),
            (b"\0\0\0\5hello!", ""),
            (b"\0\1\x86\xa0" + bytes(100_000), ""),  # more than a message may have
            (b"hello\n", ""),
            (b"5:hello", ""),
            (b"5 hell", ""),
            (b"", ""),
        ):
            self.assertEqual(takes_apart(message, 99_999), framing, message[:20])

    def test_too_little_tells_nothing(self) -> None:
        for start in (b"", b"G", b"GET", b"SSH", b"\x16\x03"):
            self.assertIsNone(looks_like(start), start)

    def test_what_only_contains_it_or_is_written_otherwise_does_not_look_like_it(self) -> None:
        for start in (
            b"get / HTTP/1.1",
            b" GET / HTTP/1.1",
            b"GETTER",
            b"\x17\x03\x03\x00",
            b"\x16\x03\x00\x00",
            b"ssh-",
        ):
            self.assertIsNone(looks_like(start), start)

    @given(st.binary(max_size=300))
    def test_no_message_of_a_length_below_16_mib_looks_like_something_else(self, message: bytes) -> None:
        self.assertIsNone(looks_like(frame(message)))
