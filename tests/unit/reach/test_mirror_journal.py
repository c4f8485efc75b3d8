"""Mirrors with a journal: they go on behind what they have, and others with what they left."""

from __future__ import annotations

from random import Random

from twisted.logger import LogLevel, capturedLogs

from relay.journal.journal import ANEW, RETRY
from relay.wire import control
from relay.wire.hello import SubscriberHello
from relay.wire.position import Epoch, Position
from tests.kit.fakes import frames, said
from tests.kit.journaled_mirrors import NEAR, TalkingMirrorCase, numbered, welcome
from tests.kit.journals import OTHER_BOOT
from tests.kit.remotes import FAR


class GoingOnTests(TalkingMirrorCase):
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


class OtherDirectoriesTests(TalkingMirrorCase):
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
        for told in (1, 0):  # and it is asked the same again, which is not told again
            with capturedLogs() as events:
                self.wire.say(welcome(60, lost=None), b"60")
                self.clock.advance(0)
            lines = [line for level, line in said(events) if level is LogLevel.warn and line]
            self.assertEqual(len(lines), told)
            for words in (*map(str, lines), self.mirrored.trouble):
                self.assertIn("no mirror wrote the journal, and its messages are not those of tcp:far:8002", words)
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
