"""Mirrors with a journal: they go on behind what they have, and begin anew where messages are missing."""

from __future__ import annotations

import errno
from random import Random

from twisted.internet.error import ConnectionDone
from twisted.logger import LogLevel, capturedLogs

from relay.core.start import Starts
from relay.journal.journal import ANEW, RETRY
from relay.wire import control
from relay.wire.answer import Answer, Gap, SubscriberWelcome
from relay.wire.close_reason import CloseReason
from relay.wire.hello import SubscriberHello
from relay.wire.position import Epoch, Position
from tests.kit.fakes import FakeSubscriber, frame, frames, said
from tests.kit.journaled_mirrors import JournaledMirrorCase
from tests.kit.journals import OTHER_BOOT
from tests.kit.remotes import FAR
from tests.kit.sessions import parts

NEAR = "0123456789ab"
"""Another epoch."""


def welcome(
    following: int, *epochs: tuple[str, int], lost: int | None = 0, ahead: int = 0, behind: int = 0
) -> SubscriberWelcome:
    """What the other relay says whose first message here is `following`."""
    known = tuple(Epoch(*one) for one in epochs or ((FAR, 1),))
    return SubscriberWelcome(
        Position(known[-1].name, following), 1, lost, 40, "relay", ahead, epochs=known, behind=behind
    )


def numbered(first: int, after: int) -> list[bytes]:
    """Messages that say their positions."""
    return [b"%d" % number for number in range(first, after)]


class Case(JournaledMirrorCase):
    def hello(self) -> dict[str, object]:
        """What was said on the newest connection."""
        said = parts(self.wire.value())[0]
        assert isinstance(said, dict)
        return said

    def say(self, *said: Answer | bytes) -> None:
        """The other relay says this, each on its own, as soon as it is read."""
        for one in said:
            self.settle()
            self.wire.say(one)
        self.settle()

    def reconnect(self) -> None:
        self.wire.end(ConnectionDone())
        self.clock.advance(1)

    def subscriber(self, counts: bool = False) -> FakeSubscriber:
        """One that is connected now; one that `counts` has a session."""
        subscriber = FakeSubscriber(self.hub)
        subscriber.counts = counts
        return subscriber

    def session(self, after: int, epoch: str = FAR) -> FakeSubscriber:
        """One that comes back with that position, and reads all that it is given."""
        hello = SubscriberHello(after=Position(epoch, after))
        self.assertFalse(self.starts.early(hello))
        subscriber = self.subscriber(counts=True)
        first = self.starts.first(self.starts.find(hello))
        self.hub.move(subscriber.subscription, first, b"")
        self.settle()
        return subscriber

    def read(self, subscriber: FakeSubscriber) -> list[object]:
        self.settle()
        return list(parts(bytes(subscriber.received)))

    @property
    def starts(self) -> Starts:
        return self.sessions.starts

    def recorded(self) -> list[tuple[int, bytes]]:
        self.settle()
        return super().recorded()


class GoingOnTests(Case):
    def test_the_first_time_it_asks_for_what_memory_can_keep_and_begins_its_journal_there(self) -> None:
        self.assertNotIn("after", self.hello())
        self.assertTrue(self.starts.early(SubscriberHello()))
        self.wire.say(welcome(18), b"18", b"19")
        self.assertEqual((self.journal.trouble, self.hub.log.next), (ANEW, 18))
        self.assertEqual(self.wire.producerState, "paused")
        self.assertEqual(self.recorded(), [(18, b"18"), (19, b"19")])
        self.assertEqual((self.journal.trouble, self.wire.producerState), ("", "producing"))
        self.assertEqual((self.journal.epochs, self.starts.epoch), ([Epoch(FAR, 1)], FAR))

    def test_after_it_was_killed_it_goes_on_behind_what_it_has(self) -> None:
        self.say(welcome(18), *numbered(18, 25))
        self.restart()
        self.assertEqual(self.hello()["after"], f"{FAR}-24")
        self.say(welcome(25, behind=3), *numbered(25, 28))
        self.assertEqual(self.recorded(), list(zip(range(18, 28), numbered(18, 28), strict=True)))

    def test_after_its_machine_was_down_it_asks_again_for_what_its_disk_never_got(self) -> None:
        self.say(welcome(18), *numbered(18, 25))
        self.clock.advance(1)
        self.settle()
        self.hub.publish(frames(b"25"))
        self.hub.flush()
        self.boot = OTHER_BOOT
        self.disk.cut_power(Random(1))
        self.begin()
        hello = self.hello()
        self.assertIn(hello["after"], (f"{FAR}-24", f"{FAR}-25"))
        self.assertEqual(self.journal.epochs, [Epoch(FAR, 1)], "its epoch goes on")

    def test_before_it_reaches_the_other_relay_sessions_are_given_what_its_disk_has(self) -> None:
        self.say(welcome(18), *numbered(18, 100))
        self.server.refuses = 1000
        self.restart()
        self.assertEqual(self.read(self.session(17)), numbered(18, 100))
        self.assertEqual(self.starts.find(SubscriberHello(replay=3)).wanted, 97)
        self.assertTrue(self.starts.early(SubscriberHello()), "what comes next may not be new")
        self.assertTrue(self.starts.early(SubscriberHello(after=Position(FAR, 100))), "it has got further")
        self.assertTrue(self.starts.early(SubscriberHello(after=Position(NEAR, 5))), "that epoch may be known there")
        self.assertIn("not connected", self.mirrored.trouble)

    def test_what_it_missed_is_for_sessions_and_not_for_silent_subscribers(self) -> None:
        self.say(welcome(18), *numbered(18, 25))
        self.restart()
        silent, session = self.subscriber(), self.session(23)
        self.say(welcome(25, behind=3), b"25", b"26")
        self.assertTrue(self.mirrored.trouble.startswith("fetching"))
        self.assertEqual((self.read(silent), self.read(session)), ([], numbered(24, 27)))
        self.say(b"27", b"28")
        self.assertEqual((self.read(silent), self.read(session)), ([b"28"], numbered(24, 29)))
        self.assertEqual((self.mirrored.trouble, silent.subscription.given().messages), ("", 1))

    def test_a_replay_begins_when_it_has_what_it_missed(self) -> None:
        self.say(welcome(18), *numbered(18, 25))
        self.restart(replay=2)
        early = self.subscriber()
        self.say(welcome(25, behind=2), b"25")
        self.assertEqual(self.read(early), [])
        self.say(b"26", b"27")
        self.assertEqual((self.read(early), self.read(self.subscriber())), ([b"27"], [b"26", b"27"]))

    def test_a_new_epoch_that_goes_on_is_known_after_a_restart(self) -> None:
        self.say(welcome(18), *numbered(18, 25))
        self.reconnect()
        self.say(welcome(25, (FAR, 1), (NEAR, 25)), b"25")
        self.restart()
        self.assertEqual(self.hello()["after"], f"{NEAR}-25")
        self.assertEqual(self.journal.epochs, [Epoch(FAR, 1), Epoch(NEAR, 25)])
        self.assertEqual(self.read(self.session(23)), [b"24", b"25"])
        self.assertEqual(self.recorded(), list(zip(range(18, 26), numbered(18, 26), strict=True)))

    def test_of_a_new_epoch_nothing_is_written_before_the_epoch_is(self) -> None:
        self.say(welcome(18), *numbered(18, 20))
        self.restart()
        self.assertIsNone(self.journal.storage.spare)
        self.wire.say(welcome(20, (FAR, 1), (NEAR, 20)), b"20")
        self.hub.flush()
        self.assertEqual(self.hub.log.next, 20)
        self.restart()
        self.assertEqual(self.hello()["after"], f"{FAR}-19")

    def test_older_epochs_than_it_is_told_are_known_still(self) -> None:
        self.say(welcome(18), *numbered(18, 25))
        self.reconnect()
        self.say(welcome(25, (NEAR, 20)), b"25")
        self.assertEqual(self.journal.epochs, [Epoch(FAR, 1), Epoch(NEAR, 20)])

    def test_a_connection_that_breaks_while_the_disk_is_full_is_no_gap(self) -> None:
        self.say(welcome(18), *numbered(18, 20))
        silent, session = self.subscriber(), self.session(19)
        self.disk.room = 0
        while not self.journal.trouble:
            self.wire.say(bytes(40))
            self.turns.run_all()
        following = self.hub.log.next + self.hub.pending.messages
        self.assertGreater(following, self.hub.log.next)
        self.reconnect()
        self.assertEqual(self.hello()["after"], f"{FAR}-{following - 1}")
        said = control.frame(welcome(following).write())
        self.wire.protocol.dataReceived(said)  # as a transport does that has read it before it is told to pause
        self.assertIs(session.reason, None)
        self.disk.room = 1 << 40
        self.clock.advance(RETRY)
        self.say(b"last")
        self.assertEqual(self.read(silent)[-1], b"last")
        self.assertEqual(len(self.read(session)), following - 20 + 1)
        self.assertEqual(self.hub.log.next, following + 1)


class BeginningAnewTests(Case):
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


class OtherDirectoriesTests(Case):
    """Folders that were another kind of relay's before, or are later."""

    def plain(self, *messages: bytes) -> str:
        """A relay that is no mirror has published these. Returns its epoch."""
        self.restart(mirror=False)
        for message in messages:
            self.hub.publish(frames(message))
            self.settle()
        return self.journal.epochs[-1].name

    def begin(self, mirror: bool = False, replay: int = 0) -> None:
        super().begin(mirror, replay)

    def test_what_no_mirror_wrote_is_not_forgotten(self) -> None:
        epoch = self.plain(*numbered(1, 50))
        self.restart(mirror=True)
        self.assertEqual(self.hello()["after"], f"{epoch}-49")
        self.assertTrue(self.starts.early(SubscriberHello(after=Position(epoch, 7))))
        for _ in range(2):  # and it is asked the same again
            with capturedLogs() as events:
                self.wire.say(welcome(60, lost=None), b"60")
                self.clock.advance(0)
            [line] = [line for level, line in said(events) if level is LogLevel.warn and line]
            self.assertIn("no mirror wrote the journal, and its messages are not those of tcp:far:8002", line)
            self.assertIn("give another --journal", self.mirrored.trouble)
            self.clock.advance(30)
            self.assertEqual(self.hello()["after"], f"{epoch}-49")
        self.restart(mirror=True)
        self.assertTrue(self.journal.own)
        self.assertEqual(len(self.recorded()), 49)

    def test_it_is_taken_over_if_the_other_relay_has_all_of_it(self) -> None:
        epoch = self.plain(*numbered(1, 50))
        self.restart(mirror=True)
        self.say(welcome(50, (epoch, 1), (NEAR, 50)), b"50")
        self.assertFalse(self.journal.own)
        self.assertEqual(self.recorded(), list(zip(range(1, 51), numbered(1, 51), strict=True)))
        self.restart(mirror=True)
        self.assertFalse(self.journal.own)
        self.assertEqual(self.read(self.session(0, epoch)), numbered(1, 51))

    def test_a_relay_that_goes_on_with_a_mirrors_begins_an_epoch(self) -> None:
        self.restart(mirror=True)
        self.say(welcome(18), *numbered(18, 25))
        self.restart(mirror=False)
        self.assertEqual((self.journal.epochs[0], self.journal.epochs[-1].first), (Epoch(FAR, 1), 25))
        self.assertIn("a mirror wrote it: a new epoch begins behind message 24", self.journal.storage.notes)
        self.hub.publish(frames(b"own"))
        self.assertEqual(self.recorded()[-1], (25, b"own"))
        start = self.starts.find(SubscriberHello(after=Position(FAR, 30)))
        self.assertEqual((start.wanted, start.ahead), (25, 6))
        self.restart(mirror=False)
        self.assertEqual(len(self.journal.epochs), 2, "once")
        self.assertTrue(self.journal.own)

    def test_one_that_a_mirror_has_only_looked_at_begins_an_epoch_too(self) -> None:
        """Its machine may have been down before: then nobody knows whether the end is the end."""
        epoch = self.plain(*numbered(1, 50))
        self.boot = OTHER_BOOT
        self.restart(mirror=True)
        self.assertEqual(self.journal.epochs[-1].name, epoch)
        self.restart(mirror=False)
        self.assertEqual([one.first for one in self.journal.epochs], [1, 50])

    def test_one_without_messages_is_as_good_as_none(self) -> None:
        self.plain()
        self.restart(mirror=True)
        self.assertNotIn("after", self.hello())
        self.say(welcome(18), b"18")
        self.assertEqual(self.recorded(), [(18, b"18")])
