"""Echoes: what follows a connection that is held and released is a loop, and nothing else is."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import count

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relay.reach.echo import AGAIN, EVERY, HOLDS, SEEN, Echo, Turn
from relay.wire.framing import Buffer
from tests.kit.fakes import frame

TICK = 0.002
"""Seconds between two reads, in these tests."""


class Link:
    """A connection that can be held, and through which what is passed on goes to `outside`."""

    def __init__(self, clock: Clock, turn: Turn, outside: Callable[[bytes], None], chance: float = 0.5) -> None:
        self.echo = Echo(turn, clock.callLater, clock.seconds, lambda: chance)
        self.room = 10_000
        self.passed: list[bytes] = []
        self.late = 0.0
        """Seconds of the longest hold."""
        self.holds = 0
        self.round = False
        """Whether it counts as a part of a loop."""
        self._clock = clock
        self._outside = outside
        self._kept: list[bytes] = []
        self._shown = 0
        self._since = 0.0
        self.echo.begin(self)

    def come(self, data: bytes) -> None:
        """Something comes over it."""
        if self.round:
            return
        self.echo.look([data])
        if self.echo.held:
            self._kept.append(data)
        elif not self.round:
            self._pass_on(data)

    def _pass_on(self, data: bytes) -> None:
        self.passed.append(data)
        self._outside(data)

    def hold(self) -> None:
        self.holds += 1
        self._since = self._clock.seconds()

    def kept(self) -> Sequence[Buffer] | None:
        begin, self._shown = self._shown, len(self._kept)
        return None if sum(map(len, self._kept)) > self.room else self._kept[begin:]

    def release(self) -> None:
        self.late = max(self.late, self._clock.seconds() - self._since)
        kept, self._kept, self._shown = self._kept, [], 0
        for data in kept:
            self._pass_on(data)

    def goes_round(self) -> None:
        self.round = True


class EchoTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.turn = Turn()
        self.numbers = count()
        self.link = self.make()

    def make(self, delay: float | None = None, chance: float = 0.5) -> Link:
        """A connection. `delay`: seconds after which what it passes on comes again; None for never."""

        def outside(data: bytes) -> None:
            if delay is not None:
                self.clock.callLater(delay, link.come, data)

        link = Link(self.clock, self.turn, outside, chance)
        return link

    def new(self) -> bytes:
        return frame(b"message %d" % next(self.numbers))

    def run_for(self, seconds: float, source: Callable[[float], Iterator[bytes] | None] = lambda now: None) -> None:
        """Let time pass. `source`: returns what comes over the first link at a time."""
        for _ in range(int(seconds / TICK)):
            for data in source(self.clock.seconds()) or ():
                self.link.come(data)
            self.clock.advance(TICK)

    # Loops

    def test_what_goes_round_is_found_however_long_the_way_within_a_quarter_of_a_second(self) -> None:
        for delay in (0.001, 0.02, 0.2):
            self.link = self.make(delay)
            self.link.come(self.new())
            self.run_for(20)
            self.assertTrue(self.link.round, delay)
            self.assertEqual(self.link.holds, len(HOLDS))

    def test_a_loop_is_found_before_a_message_has_gone_round_often(self) -> None:
        self.link = self.make(0.001)
        self.link.come(self.new())
        self.run_for(10)
        self.assertEqual(len(self.link.passed), SEEN + len(HOLDS) - 1)

    def test_a_loop_is_found_while_new_messages_go_round_too(self) -> None:
        self.link = self.make(0.005)
        self.run_for(10, lambda now: iter([self.new()]) if round(now / TICK) % 50 == 0 else None)
        self.assertTrue(self.link.round)

    def test_a_loop_in_which_many_equal_messages_go_round_is_found(self) -> None:
        self.link = self.make(0.02)
        for _ in range(20):
            self.link.come(frame(b"tick"))
            self.clock.advance(0.001)
        self.run_for(20)
        self.assertTrue(self.link.round)

    def test_a_loop_that_takes_longer_is_not_found(self) -> None:
        self.link = self.make(0.3)
        self.link.come(self.new())
        self.run_for(20)
        self.assertEqual((self.link.round, self.link.holds), (False, 0))

    # What is none

    def test_messages_that_differ_are_never_held(self) -> None:
        self.run_for(20, lambda now: iter([self.new()]))
        self.assertEqual((self.link.round, self.link.holds), (False, 0))

    def test_what_another_source_brings_too_is_never_held(self) -> None:
        """Two redundant sources: each message comes twice."""

        def both(now: float) -> Iterator[bytes]:
            one = self.new()
            return iter([one, one])

        self.run_for(20, both)
        self.assertEqual((self.link.round, self.link.holds), (False, 0))

    def test_a_line_that_is_repeated_every_second_is_never_held(self) -> None:
        self.run_for(60, lambda now: iter([frame(b"the same")]) if round(now / TICK) % 500 == 0 else None)
        self.assertEqual((self.link.round, self.link.holds), (False, 0))

    def test_a_line_that_is_repeated_often_is_late_for_a_moment_and_then_seldom(self) -> None:
        line = frame(b"the same")
        self.run_for(AGAIN, lambda now: iter([line]) if round(now / TICK) % 50 == 0 else None)
        self.assertEqual((self.link.round, self.link.holds), (False, 1))
        self.assertLess(self.link.late, 0.5)
        self.run_for(600, lambda now: iter([line]) if round(now / TICK) % 50 == 0 else None)
        self.assertEqual(self.link.round, False)
        self.assertLess(self.link.holds, 6)

    def test_a_flood_of_one_line_is_kept_within_what_there_is_room_for(self) -> None:
        line = frame(b"the same" * 10)
        self.run_for(60, lambda now: iter([line] * 10))
        self.assertFalse(self.link.round)
        self.assertLess(self.link.late, 0.2)

    def test_lines_in_bursts_are_no_loop_even_if_a_hold_begins_with_the_last_one(self) -> None:
        line = frame(b"the same")

        def bursts(now: float) -> Iterator[bytes] | None:
            since = round(now / TICK) % 500  # a second
            return iter([line]) if since < SEEN * 5 and since % 5 == 0 else None

        self.run_for(120, bursts)
        self.assertFalse(self.link.round)
        self.assertGreater(self.link.holds, 0)

    def test_bursts_of_any_period_are_no_loop(self) -> None:
        """Each is tried for long enough for one verdict, from any moment of the period on."""
        chance = random.Random(1)
        for period in (5, 8, 10, 13, 20, 30, 50, 75, 100, 150, 200, 300):  # hundredths of a second
            for _ in range(10):
                link, phase = self.make(chance=chance.random()), chance.randrange(period)
                for step in range(800):
                    if (step + phase) % period == 0:
                        for _ in range(5):
                            link.come(frame(b"the same"))
                    self.clock.advance(0.01)
                self.assertFalse(link.round, period)
                link.echo.end()

    def test_nothing_is_lost_or_out_of_order(self) -> None:
        sent: list[bytes] = []

        def source(now: float) -> Iterator[bytes]:
            some = [frame(b"the same"), self.new()]
            sent.extend(some)
            return iter(some)

        self.run_for(5, source)
        self.assertGreater(self.link.holds, 0)
        self.link.echo.end()
        self.assertEqual(self.link.passed, sent)

    # The order of things

    def test_only_one_connection_of_a_relay_is_held_at_a_time(self) -> None:
        other = self.make()
        line = frame(b"the same")
        for _ in range(100):
            self.link.come(line)
            other.come(line)
            self.assertFalse(self.link.echo.held and other.echo.held)
            self.clock.advance(TICK)
        self.assertEqual((self.link.holds, other.holds), (1, 0))

    def test_a_hold_can_be_given_up_and_what_was_kept_is_passed_on(self) -> None:
        for _ in range(SEEN):
            self.link.come(frame(b"the same"))
        self.assertTrue(self.link.echo.held)
        self.link.echo.give_up()
        self.assertFalse(self.link.echo.held)
        self.assertEqual(len(self.link.passed), SEEN)
        self.assertIsNone(self.turn.whose)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.link.echo.give_up()

    def test_the_end_of_a_connection_is_the_end_of_its_hold(self) -> None:
        for _ in range(SEEN):
            self.link.come(frame(b"the same"))
        self.link.echo.end()
        self.assertEqual(len(self.link.passed), SEEN)
        self.assertEqual((self.turn.whose, self.clock.getDelayedCalls()), (None, []))

    def test_where_too_much_comes_nothing_is_held(self) -> None:
        self.link.room = 100
        self.link.echo.begin(self.link)
        for _ in range(SEEN):
            self.link.come(frame(bytes(1000)))
            self.clock.advance(TICK)
        self.assertEqual((self.link.holds, self.link.echo.held), (0, False))

    def test_what_comes_again_behind_more_than_can_be_kept_is_not_looked_for(self) -> None:
        self.link.come(frame(b"the same"))
        self.link.come(frame(bytes(20_000)))
        for _ in range(SEEN):
            self.link.come(frame(b"the same"))
        self.assertEqual(self.link.holds, 0)

    def test_the_first_bytes_of_a_view_can_be_a_sample_too(self) -> None:
        view = memoryview(frame(b"the same" * 20))
        for _ in range(SEEN):
            self.link.echo.look([view])
        self.assertTrue(self.link.echo.held)

    def test_a_new_connection_is_looked_at_at_once(self) -> None:
        self.link.come(self.new())
        self.link.echo.end()
        self.link.echo.begin(self.link)
        for _ in range(SEEN):
            self.link.come(frame(b"the same"))
        self.assertTrue(self.link.echo.held)

    def test_what_is_remembered_is_bounded(self) -> None:
        for number in range(300):
            self.clock.advance(EVERY * 2**12)
            for _ in range(SEEN):
                self.link.come(frame(b"line %d" % number))
            self.assertTrue(self.link.echo.held)
            for _ in range(100):
                self.clock.advance(0.005)
                self.link.come(frame(b"line %d" % number))
        self.assertLessEqual(len(self.link.echo.known), 100)
