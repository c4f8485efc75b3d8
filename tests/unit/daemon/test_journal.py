"""A relay with a journal: it goes on where it stopped, and waits, ends or stops as the journal says."""

from __future__ import annotations

import os
import shutil
from array import array
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relay.config.config import Faults, configure
from relay.config.values import Remote
from relay.core.log import Log
from relay.daemon import journal as module
from relay.daemon.assembly import Relay, Surroundings, assemble
from relay.daemon.journal import JournalKeeper, announce, close_when_quiet, fill, look_over, read_boot, recall
from relay.journal.format import HEADER_SIZE
from relay.journal.recovery import UNKNOWN_BOOT
from relay.journal.segment import BLOCK
from relay.journal.storage import Storage
from relay.net.ports import CannotStart
from relay.peers.intake import Intake
from relay.wire.counted import Int32
from relay.wire.delimited import Line
from relay.wire.position import Position
from tests.kit.fakes import frame, said
from tests.kit.folders import temporary_folder
from tests.kit.journals import MemoryDisk, Ticking, expected, open_storage, write
from tests.kit.sessions import hello, parts


class Reactor(MemoryReactorClock):
    """Its threads run at once, and report in the next turn."""

    def callInThread(self, function: Callable[[], object]) -> None:
        function()

    def callFromThread(self, function: Callable[..., object], *arguments: object) -> None:
        self.callLater(0, function, *arguments)


class RelayTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = str(temporary_folder(self))
        self.relay = self.start()

    def start(self, **changes: Any) -> Relay:  # Any: of each field's own type
        self.reactor = Reactor()
        given = {"journal": self.folder, "journal_size": 64 * 2**20, **changes}
        config = replace(configure({}), **given)
        return assemble(config, Surroundings(reactor=self.reactor, read=lambda: config))

    def turns(self) -> None:
        for _ in range(20):
            self.reactor.advance(0.001)

    def publisher(self, **values: object) -> tuple[Any, StringTransport]:  # Any: what a factory builds
        publisher, transport = self.relay.publishers.buildProtocol(None), StringTransport()
        publisher.makeConnection(transport)
        publisher.dataReceived(hello("publish", **values))
        return publisher, transport

    def stop(self) -> None:
        journal = self.relay.machinery.journal
        assert journal
        closed = close_when_quiet(journal, self.reactor)
        self.turns()
        self.successResultOf(closed)

    def test_it_goes_on_with_numbers_names_and_messages(self) -> None:
        publisher, transport = self.publisher(name="a")
        self.turns()
        publisher.dataReceived(frame(b"one") + frame(b"two"))
        self.turns()
        epoch = self.relay.machinery.sessions.starts.epoch
        self.stop()
        self.relay = self.start()
        starts = self.relay.machinery.sessions.starts
        log = self.relay.machinery.hub.log
        self.assertEqual((starts.epoch, log.first, log.next), (epoch, 1, 3))
        self.assertEqual(bytes(log.batch(0).data), frame(b"one") + frame(b"two"))
        _, transport = self.publisher(name="a")
        self.turns()
        [welcome] = parts(transport.value())
        assert isinstance(welcome, dict)
        self.assertEqual((welcome["accepted"], welcome["known"], welcome["ack"]), (2, True, "synced"))
        self.stop()

    def test_a_position_from_before_the_start_is_known(self) -> None:
        publisher, _ = self.publisher()
        self.turns()
        publisher.dataReceived(frame(b"one") + frame(b"two"))
        self.turns()
        epoch = self.relay.machinery.sessions.starts.epoch
        self.stop()
        self.relay = self.start()
        subscriber, transport = self.relay.subscribers.buildProtocol(None), StringTransport()
        subscriber.makeConnection(transport)
        subscriber.dataReceived(hello("subscribe", after=str(Position(epoch, 1))))
        self.turns()
        welcome, message = parts(transport.value())
        assert isinstance(welcome, dict)
        self.assertEqual((welcome["lost"], welcome["next"], message), (0, f"{epoch}-2", b"two"))
        self.stop()

    def test_one_that_saw_what_a_power_cut_lost_is_told_so_and_goes_on_with_the_next_message(self) -> None:
        """The other relay has what the disk would: all but the last message, of a run of the machine that is over."""
        publisher, _ = self.publisher()
        self.turns()
        for message in (b"one", b"two", b"three"):
            publisher.dataReceived(frame(message))
            self.turns()
        epoch = self.relay.machinery.sessions.starts.epoch
        on_disk = self.folder + "-after"
        shutil.copytree(self.folder, on_disk)
        self.addCleanup(shutil.rmtree, on_disk)
        journal = self.relay.machinery.journal
        assert journal
        os.truncate(os.path.join(on_disk, "0000000001.journal"), journal.storage.segments[0].size - 1)
        self.patch(module, "BOOT_ID", temporary_folder(self) / "none")
        self.stop()
        self.relay = self.start(journal=on_disk)
        subscriber, transport = self.relay.subscribers.buildProtocol(None), StringTransport()
        subscriber.makeConnection(transport)
        subscriber.dataReceived(hello("subscribe", after=str(Position(epoch, 3))))
        self.turns()
        welcome = parts(transport.value())[0]
        assert isinstance(welcome, dict)
        other = self.relay.machinery.sessions.starts.epoch
        self.assertNotEqual(other, epoch)
        self.assertEqual((welcome["lost"], welcome["ahead"], welcome["next"]), (0, 1, f"{other}-3"))
        self.stop()

    def test_a_message_is_accepted_when_it_is_synced(self) -> None:
        publisher, transport = self.publisher()
        self.turns()
        transport.clear()
        publisher.dataReceived(frame(b"one"))
        self.relay.machinery.hub.flush()
        self.assertEqual(publisher.unacknowledged, 1)
        self.turns()
        self.assertEqual(parts(transport.value()), [{"type": "ack", "accepted": 1}])
        self.stop()

    def test_with_an_interval_acks_say_that_it_is_written(self) -> None:
        self.stop()
        self.relay = self.start(journal_sync=5.0)
        _, transport = self.publisher()
        self.turns()
        [welcome] = parts(transport.value())
        assert isinstance(welcome, dict)
        self.assertEqual(welcome["ack"], "written")
        self.stop()

    def test_what_cannot_be_opened_is_the_reason_why_it_does_not_start(self) -> None:
        for changes, words in (
            ({}, "another relay uses the journal"),
            ({"journal": self.folder + "x"}, "No such file or directory"),
        ):
            error = self.assertRaises(CannotStart, self.start, **changes)
            self.assertIn(words, str(error))

    def test_damage_is_told_with_the_way_out(self) -> None:
        publisher, _ = self.publisher()
        self.turns()
        for message in (b"one", b"two", b"three"):
            publisher.dataReceived(frame(message))
            self.turns()
        self.stop()
        with open(os.path.join(self.folder, "0000000001.journal"), "r+b") as file:
            file.seek(200)
            file.write(b"?")
        error = self.assertRaises(CannotStart, self.start)
        self.assertIn("journal damaged", str(error))
        self.assertIn(f"relay journal --verify {self.folder}", str(error))

    def look_over(self, **changes: Any) -> list[str]:  # Any: of each field's own type
        """What `--check` says of the journal with such a configuration, a line each."""
        try:
            look_over(replace(configure({}), **{"journal": self.folder, "journal_size": 64 * 2**20, **changes}))
        except Faults as faults:
            return faults.lines
        return []

    def test_it_can_be_looked_over_while_it_is_in_use(self) -> None:
        self.assertEqual(self.look_over(), [])
        for changes, words in (
            ({"framing": Line}, "has the framing int32, and this relay line"),
            ({"max_message": 1000}, "may have messages of 99,999 bytes"),
            ({"journal_size": 2**60}, "has room for"),
            ({"journal": self.folder + "x"}, "No such file or directory"),
        ):
            [line] = self.look_over(**changes)
            self.assertIn(words, line)

    def test_of_damage_and_another_version_it_is_said_too(self) -> None:
        self.stop()
        path = os.path.join(self.folder, "0000000001.journal")
        with open(path, "r+b") as file:
            header = file.read(HEADER_SIZE)
            for wrong, words in (
                (header[:20] + b"?" + header[21:], "its header is damaged"),
                (header[:9] + b"\x09" + bytes(HEADER_SIZE - 10), "it has version 9 of the format"),
            ):
                file.seek(0)
                file.write(wrong)
                file.flush()
                [line] = self.look_over()
                self.assertIn(words, line)

    def test_what_was_found_is_logged(self) -> None:
        with open(os.path.join(self.folder, "notes.txt"), "w"):
            pass
        self.stop()
        self.relay = self.start()
        journal = self.relay.machinery.journal
        assert journal
        with capturedLogs() as events:
            announce(journal)
        (warned, note), (told, found) = said(events)
        self.assertEqual((warned, told), (LogLevel.warn, LogLevel.info))
        self.assertIn("notes.txt is no file of a journal", str(note))
        self.assertIn("journal: no messages yet, epoch ", str(found))
        self.assertIn(journal, self.relay.registering)
        self.stop()

    def test_a_mirrors_goes_on_in_the_other_relays_epochs_and_no_publisher_has_its_name(self) -> None:
        self.stop()
        publish: tuple[str, ...] = ()
        mirror = Remote("tcp:far:8002", True)
        for _ in range(2):
            self.relay = self.start(mirror=mirror, publish=publish)
            journal, sessions = self.relay.machinery.journal, self.relay.machinery.sessions
            assert journal
            self.assertFalse(journal.own)
            self.assertEqual((len(journal.epochs), len(sessions.names), sessions.starts.complete), (1, 0, False))
            self.stop()
        self.relay = self.start()
        journal = self.relay.machinery.journal
        assert journal
        self.assertEqual((journal.own, len(journal.epochs)), (True, 2))
        self.stop()

    def test_without_a_journal_there_is_none(self) -> None:
        relay = self.start(journal="")
        self.assertIsNone(relay.machinery.journal)
        self.stop()


class KeeperTests(SynchronousTestCase):
    def test_publishers_wait_and_go_on(self) -> None:
        intake = Intake(lambda: 0.0)
        keeper = JournalKeeper(intake)
        keeper.hold("the disk is full")
        self.assertTrue(intake.paused)
        keeper.release()
        self.assertFalse(intake.paused)

    def test_a_lost_disk_ends_the_process_with_status_1(self) -> None:
        ended: list[int] = []
        keeper = JournalKeeper(Intake(lambda: 0.0), ended.append)
        with capturedLogs() as events:
            keeper.lost(OSError(5, "Input/output error"))
        self.assertEqual((ended, said(events)[0][0]), ([1], LogLevel.critical))

    def test_it_tells_nobody_before_there_is_somebody(self) -> None:
        keeper = JournalKeeper(Intake(lambda: 0.0))
        keeper.flush()
        keeper.synced()


class RecallTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk = MemoryDisk()
        self.storage: Storage = open_storage(self.disk, segment_size=4 * BLOCK, max_message=BLOCK, time=Ticking())
        write(self.storage, 20, BLOCK // 2)

    def log(self, memory: int) -> Log:
        chunks = recall(self.storage, self.disk, memory)
        log = Log(Int32.ends, chunks[0].first if chunks else self.storage.next)
        fill(log, chunks, lambda: 1000.0, 60_000_000)
        return log

    def test_the_newest_messages_that_fit_are_read_in_order(self) -> None:
        log = self.log(5 * BLOCK)
        self.assertEqual(log.next, 21)
        self.assertGreater(log.first, 10)
        data = b"".join(bytes(log.batch(number).data) for number in range(log.end))
        self.assertEqual(data, expected(log.first, 21, BLOCK // 2))

    def test_they_are_as_old_as_they_are(self) -> None:
        log = self.log(100 * BLOCK)
        self.assertEqual(log.first, 1)
        times = [log.batch(number).time for number in range(log.end)]
        self.assertEqual(times, sorted(times))
        self.assertAlmostEqual(times[0], 1000.0 - 59.0, places=3)

    def test_damage_ends_what_is_read_and_is_noted(self) -> None:
        segment = self.storage.segments[-2]
        self.disk.files[segment.path].data[segment.size - 1] ^= 1
        log = self.log(100 * BLOCK)
        self.assertEqual((log.first, log.next), (self.storage.segments[-1].first, 21))
        self.assertIn("older messages are not read", self.storage.notes[0])

    def test_what_cannot_tell_where_messages_end_is_told(self) -> None:
        storage = open_storage(disk := MemoryDisk(), framing="raw")
        storage.append([b"one", b"three"], 2, ends=[3, 8])
        [chunk] = recall(storage, disk, 1 << 20)
        log = Log(Int32.ends)
        fill(log, [chunk], lambda: 0.0, 0)
        self.assertEqual(log.batch(0).ends, array("I", [3, 8]))


class BootTests(SynchronousTestCase):
    def test_a_system_that_does_not_say_is_never_the_same(self) -> None:
        self.assertEqual(len(read_boot()), 16)
        self.patch(module, "BOOT_ID", module.BOOT_ID / "nothing")
        self.assertEqual(read_boot(), UNKNOWN_BOOT)
