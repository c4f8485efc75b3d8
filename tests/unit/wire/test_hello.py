"""Hellos: what they say, what is wrong with them, and where they end."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relay.wire.control import CARRIERS, CONTROL, MAX_CONTROL, BadControl, frame
from relay.wire.digits import Netstring
from relay.wire.headed import Headed
from relay.wire.hello import BEGINNINGS, MAX_NAME, Opening, PublisherHello, SubscriberHello, read_hello
from relay.wire.position import Position

HELLOS = (
    SubscriberHello(),
    SubscriberHello(after=Position("5289cfdd2847", 17), heartbeat=10, name="map-3"),
    SubscriberHello(replay=5),
    SubscriberHello(since=1.5, heartbeat=3600),
    SubscriberHello(since=datetime(2026, 11, 25, 8, 30, tzinfo=UTC)),
    PublisherHello(),
    PublisherHello(heartbeat=1, name="sensor-7 \u00e9"),
)


class HelloTests(SynchronousTestCase):
    def test_what_was_written_is_read_again(self) -> None:
        for hello in HELLOS:
            self.assertEqual(read_hello(hello.write()), hello)

    def test_it_looks_as_the_protocol_says(self) -> None:
        self.assertEqual(
            HELLOS[1].write(),
            b'{"relay":1,"type":"subscribe","after":"5289cfdd2847-17","heartbeat":10,"name":"map-3"}',
        )

    def test_keys_that_nobody_knows_are_ignored_and_null_is_as_if_it_were_missing(self) -> None:
        body = b'{"relay":1,"type":"subscribe","colour":"red","after":null,"replay":null,"since":null,"name":null}'
        self.assertEqual(read_hello(body), SubscriberHello())

    def test_what_is_wrong_is_named(self) -> None:
        for keys, words in (
            *(('"type":"subscribe"', "version"), ('"relay":2,"type":"subscribe"', "version")),
            *(('"relay":true,"type":"subscribe"', "version"), ('"relay":1.0,"type":"subscribe"', "version")),
            *(('"relay":1', "type"), ('"relay":1,"type":"listen"', "type"), ('"relay":1,"type":["subscribe"]', "type")),
        ):
            with self.assertRaises(BadControl) as refused:
                read_hello(f"{{{keys}}}".encode())
            self.assertIn(words, str(refused.exception))

    def test_each_key_has_its_type_and_its_limits(self) -> None:
        for key, wrong in (
            *(("after", value) for value in ('"17"', "17", "true", "[]", '"5289cfdd2847-017"', "1e400")),
            *(("replay", value) for value in ("-1", "1.5", "true", '"5"', "[]", "1" + "0" * 18, "1e3")),
            *(("since", value) for value in ("-1", "true", '"yesterday"', '"2026-11-25T08:30:00"', "[]", "1e400")),
            *(("heartbeat", value) for value in ("0.5", "-1", "3601", "true", '"10"', "1e400")),
            *(("name", value) for value in ("5", "[]", '"a\\nb"', f'"{"x" * (MAX_NAME + 1)}"', '"\\ud800"')),
        ):
            with self.assertRaises(BadControl) as refused:
                read_hello(f'{{"relay":1,"type":"subscribe","{key}":{wrong}}}'.encode())
            self.assertTrue(str(refused.exception).startswith(f"{key}: "), (key, wrong, refused.exception))

    def test_one_can_begin_in_one_place_only(self) -> None:
        with self.assertRaises(BadControl) as refused:
            read_hello(b'{"relay":1,"type":"subscribe","replay":5,"since":6}')
        self.assertEqual(str(refused.exception), "give one of after, replay and since, not replay and since")


class OpeningTests(SynchronousTestCase):
    @given(st.sampled_from(CARRIERS), st.binary(max_size=50), st.binary(max_size=20), st.integers(1, 60))
    def test_a_hello_is_found_in_any_pieces_and_what_follows_it_is_returned(
        self, carrier: type[Headed], body: bytes, rest: bytes, size: int
    ) -> None:
        stream = frame(body, carrier) + rest
        opening = Opening(carrier)
        at = 0
        while opening.body is None:
            self.assertFalse(opening.silent)
            left = opening.receive(stream[at : at + size])
            at += size
        self.assertEqual((opening.body, left + stream[at:], opening.partial), (body, rest, 0))

    @given(st.binary(min_size=1, max_size=20).filter(lambda data: data[0] != 0x80))
    def test_what_begins_otherwise_is_returned_as_it_is(self, data: bytes) -> None:
        opening = Opening()
        self.assertEqual(opening.receive(data), data)
        self.assertTrue(opening.silent)

    def test_a_header_that_is_too_large_is_no_hello(self) -> None:
        opening = Opening()
        self.assertEqual(
            [opening.receive(data) for data in (b"\x80", b"\0\x10", b"\x01x")], [b"", b"", b"\x80\0\x10\x01x"]
        )
        self.assertTrue(opening.silent)

    def test_what_is_not_complete_is_counted(self) -> None:
        opening = Opening()
        opening.receive(b"\x80\0")
        self.assertEqual(opening.partial, 2)

    @given(st.sampled_from(CARRIERS), st.binary(max_size=300), st.integers(1, 60))
    def test_no_message_is_taken_for_a_hello(self, carrier: type[Headed], message: bytes, size: int) -> None:
        stream = carrier.frame(b"-" + message) + frame(b"{}", carrier)
        opening = Opening(carrier)
        at = 0
        while not opening.silent:
            found = opening.receive(stream[at : at + size])
            at += size
        self.assertEqual((opening.body, found + stream[at:]), (None, stream))

    def test_what_all_control_frames_begin_with_is_known(self) -> None:
        for carrier, beginning in BEGINNINGS.items():
            for size in range(MAX_CONTROL + 1):
                self.assertTrue(carrier.head(CONTROL + size).startswith(beginning))

    def test_a_netstring_without_its_comma_is_no_hello(self) -> None:
        opening = Opening(Netstring)
        data = frame(b"{}", Netstring)[:-1] + b";"
        self.assertEqual(opening.receive(data), data)
        self.assertTrue(opening.silent)
