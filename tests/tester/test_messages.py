"""Where the tester's publisher gets its messages from, and when."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactor
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tester.publisher.messages import (
    PRINTABLE,
    Readable,
    behind,
    limited,
    lines,
    paced,
    random_text,
    random_texts,
    read,
)


async def each(items: Iterable[bytes]) -> AsyncIterator[bytes]:
    for item in items:
        yield item


async def collect(messages: AsyncIterator[bytes], into: list[bytes]) -> None:
    async for message in messages:
        into.append(message)


class MessagesTests(SynchronousTestCase):
    def all(self, messages: AsyncIterator[bytes]) -> list[bytes]:
        """What comes without waiting for anything."""
        found: list[bytes] = []
        self.successResultOf(Deferred.fromCoroutine(collect(messages, found)))
        return found

    @given(st.integers(0, 3000))
    def test_random_text_is_printable_and_as_long_as_asked_for(self, size: int) -> None:
        text = random_text(size)
        self.assertEqual(len(text), size)
        self.assertTrue(set(text) <= set(PRINTABLE))
        self.assertTrue(text.decode("ascii").isprintable())

    def test_random_messages_differ(self) -> None:
        first, second = self.all(limited(random_texts(1024), 2))
        self.assertNotEqual(first, second)

    def test_limited_does_not_ask_for_more_than_it_gives(self) -> None:
        items = iter([b"a", b"b", b"c"])
        self.assertEqual(self.all(limited(each(items), 2)), [b"a", b"b"])
        self.assertEqual(list(items), [b"c"])

    def test_behind_some_begins_after_them(self) -> None:
        self.assertEqual(self.all(behind(each([b"a", b"b", b"c"]), 2)), [b"c"])
        self.assertEqual(self.all(behind(each([b"a", b"b"]), 2)), [])

    def test_behind_more_than_there_are_ends_the_program(self) -> None:
        failure = self.failureResultOf(Deferred.fromCoroutine(collect(behind(each([b"a"]), 2), [])), SystemExit)
        self.assertIn("is it the same file?", str(failure.value))

    def test_limited_ends_with_the_messages_if_there_are_fewer(self) -> None:
        self.assertEqual(self.all(limited(each([b"a"]), 2)), [b"a"])

    @given(st.lists(st.binary(max_size=20).map(lambda chunk: chunk.replace(b"x", b"\n"))))
    def test_lines_are_those_of_the_whole_wherever_it_was_cut(self, chunks: list[bytes]) -> None:
        whole = b"".join(chunks)
        expected = whole.split(b"\n") if not whole.endswith(b"\n") else whole.split(b"\n")[:-1]
        self.assertEqual(self.all(lines(each(chunks), 1000)), expected if whole else [])
        self.assertEqual(b"".join(self.all(lines(each(chunks), 1000, b"\n"))), whole)

    def test_a_line_that_is_too_long_ends_the_program_before_all_of_it_is_read(self) -> None:
        chunks = iter([b"1234\n", b"123", b"45", b"\n"])
        given = lines(each(chunks), 4)
        failure = self.failureResultOf(Deferred.fromCoroutine(collect(given, [])), SystemExit)
        self.assertEqual(failure.getErrorMessage(), "line 2 is longer than --max-message 4")
        self.assertEqual(list(chunks), [b"\n"])


class PaceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.messages = paced(each([b"a", b"b", b"c"]), 10.0, self.clock)

    def ask(self) -> Deferred[bytes]:
        async def following() -> bytes:
            return await anext(self.messages)

        asked = Deferred.fromCoroutine(following())
        self.clock.advance(0)
        return asked

    def test_the_first_message_comes_at_once_and_the_others_in_intervals(self) -> None:
        self.assertEqual(self.successResultOf(self.ask()), b"a")
        second = self.ask()
        self.clock.advance(9.9)
        self.assertNoResult(second)
        self.clock.advance(0.1)
        self.assertEqual(self.successResultOf(second), b"b")

    def test_time_that_sending_took_is_not_added_to_the_interval(self) -> None:
        self.successResultOf(self.ask())
        self.clock.advance(4)
        second = self.ask()
        self.clock.advance(6)
        self.successResultOf(second)

    def test_after_a_long_wait_messages_do_not_come_in_a_burst(self) -> None:
        self.successResultOf(self.ask())
        self.clock.advance(100)
        self.successResultOf(self.ask())
        third = self.ask()
        self.clock.advance(9.9)
        self.assertNoResult(third)


class ReadTests(SynchronousTestCase):
    """Reading a pipe, with a reactor that finds it readable when the test says so."""

    def setUp(self) -> None:
        self.reactor = MemoryReactor()
        self.output, self.input = os.pipe()
        self.addCleanup(os.close, self.output)
        self.found: list[bytes] = []
        self.reading = Deferred.fromCoroutine(collect(read(self.output, self.reactor), self.found))

    def reader(self) -> Readable:
        (reader,) = self.reactor.getReaders()
        assert isinstance(reader, Readable)
        self.assertEqual(reader.fileno(), self.output)
        self.assertEqual(reader.logPrefix(), "input")
        return reader

    def test_each_piece_comes_when_it_is_there(self) -> None:
        for piece in (b"one", b"two"):
            os.write(self.input, piece)
            self.reader().doRead()
        os.close(self.input)
        self.reader().doRead()
        self.successResultOf(self.reading)
        self.assertEqual(self.found, [b"one", b"two"])
        self.assertEqual(self.reactor.getReaders(), [])

    def test_a_pipe_that_nobody_writes_to_any_more_has_ended(self) -> None:
        os.close(self.input)
        self.reader().connectionLost(Failure(ConnectionDone()))
        self.successResultOf(self.reading)

    def test_waiting_can_be_called_off(self) -> None:
        self.addCleanup(os.close, self.input)
        self.reading.cancel()
        self.failureResultOf(self.reading, CancelledError)
        self.assertEqual(self.reactor.getReaders(), [])

    def test_what_cannot_be_read_is_an_error(self) -> None:
        self.addCleanup(os.close, self.input)
        writing_end = Readable(self.input, MemoryReactor())
        reading = writing_end.read()
        writing_end.doRead()
        self.failureResultOf(reading, OSError)
