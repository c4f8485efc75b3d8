"""Mirrors with a journal: they begin anew where messages are missing."""

from __future__ import annotations

import errno

from twisted.logger import LogLevel, capturedLogs

from relay.journal.journal import ANEW, RETRY
from relay.wire import control
from relay.wire.answer import Gap
from relay.wire.close_reason import CloseReason
from relay.wire.hello import SubscriberHello
from relay.wire.position import Epoch, Position
from tests.kit.fakes import frame, said
from tests.kit.journaled_mirrors import NEAR, TalkingMirrorCase, numbered, welcome
from tests.kit.remotes import FAR


class BeginningAnewTests(TalkingMirrorCase):
    def setUp(self) -> None:
        super().setUp()
        self.say(welcome(18), *numbered(18, 200))
        self.assertGreater(len(self.journal.storage.segments), 3)

    def missing(self) -> None:
        """The mirror was away for too long."""
        self.reconnect()
        self.settle()
        self.wire.say(welcome(300, lost=100), b"300")

    def test_all_is_forgotten_and_the_journal_begins_behind_what_is_missing(self) -> None:
        silent, session = self.subscriber(), self.session(18)
        with capturedLogs() as events:
            self.missing()
        self.assertEqual((silent.reason, session.reason), (CloseReason.UPSTREAM_GAP,) * 2)
        self.assertEqual(self.recorded(), [(300, b"300")])
        line = f"mirror session:tcp:far:8002: 100 messages are missing before {FAR}-300; 3 subscribers end"
        self.assertIn((LogLevel.warn, line), said(events))
        start = self.starts.find(SubscriberHello(after=Position(FAR, 199)))
        self.assertEqual((self.starts.first(start), start.lost(300)), (300, 100))
        self.say(*numbered(301, 500))
        self.restart()
        self.assertEqual(self.hello()["after"], f"{FAR}-499")
        self.assertEqual(self.read(self.session(299)), numbered(300, 500))

    def test_one_that_reads_the_disk_at_that_moment_is_given_nothing_wrong_and_ends(self) -> None:
        slow = self.subscriber(counts=True)
        slow.room = 10
        self.hub.move(slow.subscription, 18, b"")
        self.settle()
        while not self.threads.due:  # until it asks for more, which is being read
            slow.read(10)
            self.turns.run_all()
        self.reconnect()
        self.wire.say(welcome(18, (NEAR, 18), lost=None), *[b"new %d" % number for number in range(18, 40)])
        self.assertIs(slow.reason, CloseReason.UPSTREAM_GAP)
        self.settle()
        got = bytes(slow.received)
        self.assertGreater(len(got), 20)
        self.assertTrue(b"".join(map(frame, numbered(18, 200))).startswith(got))
        self.assertEqual(self.read(self.session(17, NEAR)), [b"new %d" % number for number in range(18, 40)])

    def test_chunks_of_before_are_given_to_nobody(self) -> None:
        """Positions may be those of other messages: of a relay that has forgotten all."""
        self.assertEqual(self.read(self.session(17)), numbered(18, 200))
        self.reconnect()
        self.say(welcome(18, (NEAR, 18), lost=None), *[b"n%d" % number for number in range(18, 200)])
        self.assertEqual(self.read(self.session(17, NEAR)), [b"n%d" % number for number in range(18, 200)])

    def test_until_it_has_begun_anew_nothing_is_read_or_written_and_nobody_misses_anything(self) -> None:
        self.missing()
        silent, session, reader = self.subscriber(), self.subscriber(counts=True), self.journal.reader
        self.hub.move(session.subscription, 300, b"")
        self.assertEqual((self.journal.trouble, reader.oldest, reader.begin, self.hub.log.next), (ANEW, 300, 300, 300))
        self.say(b"301")
        self.assertEqual((self.read(silent), self.read(session)), ([b"300", b"301"], [b"300", b"301"]))

    def test_what_the_other_relays_disk_never_got_is_cut_off_and_all_before_it_stays(self) -> None:
        silent, session = self.subscriber(), self.session(18)
        self.reconnect()
        with capturedLogs() as events:
            self.say(welcome(190, (FAR, 1), (NEAR, 190), ahead=10), b"n190")
        self.assertEqual((silent.reason, session.reason), (CloseReason.UPSTREAM_GAP,) * 2)
        line = f"10 messages that it has, from {NEAR}-190 on, are none of the other relay's; 3 subscribers end"
        self.assertIn((LogLevel.warn, f"mirror session:tcp:far:8002: {line}"), said(events))
        kept = list(zip(range(18, 190), numbered(18, 190), strict=True))
        self.assertEqual(self.recorded(), [*kept, (190, b"n190")])
        self.assertEqual(self.read(self.session(17)), [*numbered(18, 190), b"n190"])
        start = self.starts.find(SubscriberHello(after=Position(FAR, 195)))
        self.assertEqual((start.wanted, start.ahead), (190, 6))
        self.restart()
        self.assertEqual(self.hello()["after"], f"{NEAR}-190")
        self.assertEqual(self.journal.epochs, [Epoch(FAR, 1), Epoch(NEAR, 190)])

    def test_one_that_comes_back_meanwhile_is_given_what_stays(self) -> None:
        self.reconnect()
        self.settle()
        self.wire.say(welcome(190, (FAR, 1), (NEAR, 190), ahead=10))
        self.assertEqual(self.journal.trouble, ANEW)
        session = self.subscriber(counts=True)
        start = self.starts.find(SubscriberHello(after=Position(FAR, 99)))
        first = self.starts.first(start)
        self.assertEqual((first, start.lost(first)), (100, 0))
        self.hub.move(session.subscription, first, b"")
        self.say(b"n190")
        self.assertEqual(self.read(session), [*numbered(100, 190), b"n190"])

    def test_if_what_waits_for_the_disk_is_cut_too_nothing_stays(self) -> None:
        """Messages that were not written yet are among those that are the other relay's."""
        self.disk.room = 0
        self.wire.say(*[bytes(40)] * 100)
        self.turns.run_all()
        following = self.hub.log.next
        self.assertGreater(self.hub.pending.messages, 10)
        self.reconnect()
        self.disk.room = 1 << 40
        said = welcome(following + 5, (FAR, 1), (NEAR, following + 5), ahead=3)
        self.wire.protocol.dataReceived(control.frame(said.write()))
        self.clock.advance(RETRY)
        self.say(b"new")
        self.assertEqual(self.recorded(), [(following + 5, b"new")])

    def test_if_it_cannot_it_says_so_and_tries_again(self) -> None:
        def full(name: str) -> None:
            if name == "create":
                raise OSError(errno.ENOSPC, "No space left on device")

        self.journal.sweep(1.0)
        self.settle()
        self.disk.fail = full
        with capturedLogs() as events:
            self.missing()
            for _ in range(5):
                self.threads.run()
                self.clock.advance(0.01)
        words = "the journal cannot begin anew: [Errno 28] No space left on device"
        self.assertEqual(self.journal.trouble, words)
        self.assertIn((LogLevel.warn, f"publishers wait: {words}"), said(events))
        self.disk.fail = lambda name: None
        self.clock.advance(RETRY)
        self.assertEqual(self.recorded(), [(300, b"300")])

    def test_a_gap_while_it_begins_anew_is_one_more(self) -> None:
        self.reconnect()
        self.settle()
        self.wire.say(welcome(300, lost=100), b"300", Gap(7, Position(FAR, 308)), b"308")
        self.assertEqual(self.recorded(), [(308, b"308")])
        self.reconnect()
        self.wire.say(welcome(400, lost=91), b"400")
        self.threads.run()
        self.reconnect()
        self.wire.protocol.dataReceived(b"")
        self.settle()
        self.say(welcome(500, (FAR, 1), (NEAR, 450), lost=99), b"500")
        self.assertEqual((self.recorded(), self.journal.epochs[-1].name), ([(500, b"500")], NEAR))

    def test_what_waited_for_the_disk_is_not_written_behind_a_gap(self) -> None:
        self.disk.room = 0
        self.wire.say(*[bytes(40)] * 100, Gap(7, Position(FAR, 307)), b"307")
        self.disk.room = 1 << 40
        self.clock.advance(RETRY)
        self.assertEqual(self.recorded(), [(307, b"307")])

    def test_a_stop_before_it_has_begun_leaves_what_there_was(self) -> None:
        self.wire.say(b"200")
        self.turns.run_all()
        self.reconnect()
        self.wire.say(welcome(300, lost=99))
        self.journal.stop()
        for _ in range(50):
            self.threads.run()
            self.clock.advance(0.01)
        self.journal.close()
        self.restart()
        self.assertEqual(self.hello()["after"], f"{FAR}-200")
