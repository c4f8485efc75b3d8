"""The tester's publisher plays what a journal has: in order, at its pace, and no more than was there."""

from __future__ import annotations

import io
import math
from collections.abc import AsyncIterator
from contextlib import redirect_stderr

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relay.journal.disk import Disk
from relay.journal.inspection import Message, Unreadable
from relay.journal.segment import Damaged
from tester.publisher.options import Options, parse
from tester.publisher.recording import LATE, SILENCE, open_recording, played
from tests.kit.folders import temporary_folder
from tests.kit.journals import message, open_storage, write
from tests.kit.own_framing import Own

SECOND = 1_000_000


class PlayedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.said: list[str] = []
        self.came: list[tuple[float, bytes]] = []

    def play(self, *times: float, speed: float = 1.0, late: float = 0.0) -> list[float]:
        """Play messages that were published at these times. Returns when they come, after the first.

        `late`: seconds during which the relay takes nothing, after each message.
        """
        recorded = [Message(number, int(time * SECOND), b"") for number, time in enumerate(times)]

        async def take(messages: AsyncIterator[bytes]) -> None:
            async for data in messages:
                self.came.append((self.clock.seconds(), data))
                self.clock.rightNow += late

        done = Deferred.fromCoroutine(take(played(iter(recorded), speed, self.clock, self.said.append)))
        while not done.called:
            self.clock.advance(self.clock.getDelayedCalls()[0].getTime() - self.clock.seconds())
        self.successResultOf(done)
        return [round(when - self.came[0][0], 6) for when, _ in self.came]

    def test_messages_come_at_the_times_at_which_they_were_published(self) -> None:
        self.assertEqual(self.play(100, 100, 100.5, 107), [0, 0, 0.5, 7])
        self.assertEqual(self.said, [])

    def test_they_come_faster_or_slower(self) -> None:
        self.assertEqual(self.play(100, 101, 103, speed=10), [0, 0.1, 0.3])
        self.came.clear()
        self.assertEqual(self.play(100, 101, 103, speed=0.5), [0, 2, 6])
        self.came.clear()
        self.assertEqual(self.play(100, 101, 1000, speed=math.inf), [0, 0, 0])

    def test_where_the_clock_was_set_back_no_time_passes(self) -> None:
        self.assertEqual(self.play(100, 101, 50, 52), [0, 1, 1, 3])

    def test_short_delays_do_not_add_up(self) -> None:
        self.assertEqual(self.play(*range(10), late=LATE / 2), list(range(10)))

    def test_after_a_long_delay_messages_do_not_come_in_a_burst(self) -> None:
        self.assertEqual(self.play(0, 0.1, 0.2, late=3 * LATE), [0, 3, 6])

    def test_a_long_silence_is_explained(self) -> None:
        self.play(0, SILENCE, 4000)
        self.assertEqual(self.said, ["the next message comes in 1:06:30, as it was published"])


class RecordingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = str(temporary_folder(self))
        self.storage = open_storage(Disk(), self.folder, segment_size=406)
        self.bodies = [message(number)[4:] for number in range(1, 31)]

    def write(self, count: int) -> None:
        write(self.storage, count)

    def test_it_says_what_it_is(self) -> None:
        self.assertEqual(open_recording(self.folder).summary, f"{self.folder}, which has no messages")
        self.write(14)
        recording = open_recording(self.folder)
        self.assertEqual((recording.first, recording.next, recording.framing), (1, 15, "int32"))
        self.assertIn(f"{self.folder}, messages 1 to 14, which were published within 0:00:00", recording.summary)

    def test_it_ends_with_what_there_was_though_a_relay_goes_on(self) -> None:
        self.write(6)
        recording = open_recording(self.folder)
        self.write(8)
        self.assertEqual([one.data for one in recording.messages()], self.bodies[:6])

    def test_it_goes_on_behind_what_was_published(self) -> None:
        self.write(14)
        recording = open_recording(self.folder)
        for skip in range(15):
            self.assertEqual([one.data for one in recording.messages(skip)], self.bodies[skip:14])
        self.assertEqual([one.data for one in recording.messages(2, count=7)], self.bodies[2:7])
        with self.assertRaisesRegex(SystemExit, "15 messages have this --name, and 14 are here: is it the same"):
            list(recording.messages(15))

    def test_what_is_deleted_while_it_plays_is_not_left_out_in_silence(self) -> None:
        self.write(14)
        recording = open_recording(self.folder)
        playing = recording.messages()
        next(playing)
        self.storage.delete(self.storage.expire(1500, 0))
        with self.assertRaisesRegex(SystemExit, "deleted while it was read"):
            list(playing)
        with self.assertRaisesRegex(SystemExit, "message 1 was deleted before it was played"):
            list(recording.messages())

    def test_it_plays_up_to_damage_and_says_where_that_is(self) -> None:
        self.write(14)
        recording = open_recording(self.folder)
        path = self.storage.segments[1].path
        with open(path, "r+b") as file:
            file.seek(200)
            file.write(b"????")
        found: list[bytes] = []
        with self.assertRaisesRegex(SystemExit, f"journal damaged: {path} at byte"):
            found.extend(one.data for one in recording.messages())
        self.assertEqual(found, self.bodies[:4])

    def test_what_is_no_whole_journal_is_no_recording(self) -> None:
        self.write(14)
        Disk().remove(self.storage.segments[1].path)
        self.assertRaises(Damaged, open_recording, self.folder)
        self.assertRaises(Unreadable, open_recording, str(temporary_folder(self)))
        self.assertRaises(OSError, open_recording, self.folder + "x")


class OptionsTests(SynchronousTestCase):
    def journal(self, framing: str) -> str:
        folder = str(temporary_folder(self))
        open_storage(Disk(), folder, framing=framing)
        return folder

    def refused(self, *arguments: str) -> str:
        errors = io.StringIO()
        with redirect_stderr(errors):
            self.assertRaises(SystemExit, parse, arguments)
        self.assertEqual(errors.getvalue().count("\n"), 1)
        return errors.getvalue()

    def parsed(self, *arguments: str) -> Options:
        return parse(["--from-journal", *arguments])

    def test_the_framing_is_the_journals_unless_another_is_given(self) -> None:
        self.assertEqual(self.parsed(self.journal("line")).framing, "line")
        self.assertEqual(self.parsed(self.journal("line"), "--framing", "int32").framing, "int32")
        self.assertIn("--acks and --name need int32", self.refused("--from-journal", self.journal("line"), "--acks"))

    def test_a_framing_of_ones_own_is_imported_only_if_it_is_given(self) -> None:
        own = f"{Own.__module__}:{Own.__qualname__}"
        journal = self.journal(own)
        self.assertIn(f"the journal has the framing {own}: give it", self.refused("--from-journal", journal))
        options = self.parsed(journal, "--framing", own)
        assert options.recording is not None
        self.assertEqual((options.framing, list(options.recording.messages())), (own, []))

    def test_speeds_are_numbers_or_max(self) -> None:
        journal = self.journal("int32")
        self.assertEqual(self.parsed(journal).speed, 1)
        self.assertEqual(self.parsed(journal, "--speed", "2.5").speed, 2.5)
        self.assertEqual(self.parsed(journal, "--speed", "max").speed, math.inf)
        for wrong in ("0", "-1", "inf", "nan", "fast"):
            self.assertIn("nor max", self.refused("--from-journal", journal, f"--speed={wrong}"))

    def test_options_for_another_source_are_refused(self) -> None:
        journal = self.journal("int32")
        self.assertIn("--speed is for --from-journal", self.refused("--speed", "2"))
        self.assertIn("--speed is", self.refused("--from-journal", journal, "--interval", "1"))
        self.assertIn("not allowed with", self.refused("--from-journal", journal, "--file", "x"))

    def test_what_cannot_be_read_is_one_line(self) -> None:
        folder = str(temporary_folder(self))
        self.assertIn(f"{folder} has no journal", self.refused("--from-journal", folder))
        self.assertIn(f"{folder}/x: No such file", self.refused("--from-journal", f"{folder}/x"))
