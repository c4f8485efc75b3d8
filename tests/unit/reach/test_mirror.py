"""Mirrors: another relay's messages under the same positions, and an end for subscribers where something is missing."""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.error import ConnectionDone
from twisted.logger import LogLevel, capturedLogs

from relay.reach.mirror import HEARTBEAT
from relay.wire.answer import Answer, Error, Gap, Heartbeat, SubscriberWelcome, Via
from relay.wire.close_reason import CloseReason
from relay.wire.hello import SubscriberHello
from relay.wire.position import Epoch, Position
from tests.kit.fakes import FakeSubscriber, said
from tests.kit.remotes import FAR, RemoteCase
from tests.kit.sessions import EPOCH, parts

NEAR = "0123456789ab"
"""Another epoch."""


def welcome(
    following: int,
    *epochs: tuple[str, int],
    lost: int | None = 0,
    ahead: int = 0,
    epoch: str = FAR,
    behind: int = 0,
) -> SubscriberWelcome:
    """What the other relay says whose first message here is `following`."""
    known = tuple(Epoch(*one) for one in epochs or ((epoch, 1),))
    return SubscriberWelcome(Position(epoch, following), 1, lost, 40, "relay", ahead, epochs=known, behind=behind)


class MirrorTests(RemoteCase):
    def setUp(self) -> None:
        super().setUp()
        self.mirrored = self.mirror()
        self.starts = self.sessions.starts

    def hello(self) -> dict[str, object]:
        """What was said on the newest connection."""
        [said] = parts(self.wire.value())
        assert isinstance(said, dict)
        return said

    def begin(self, *said: Answer | bytes) -> None:
        """The other relay says this, and a new subscriber comes after it."""
        self.wire.say(*said)
        self.turns.run_all()
        self.reader = FakeSubscriber(self.hub)

    def come_back(self, *said: Answer | bytes) -> None:
        """The connection ends, and the other relay says this on the next one."""
        self.wire.end(ConnectionDone())
        self.clock.advance(1)
        self.wire.say(*said)
        self.turns.run_all()

    def find(self, number: int, epoch: str = FAR) -> tuple[int, int | None, int]:
        """Where one begins that comes back with that position, what it has lost, and how far it was ahead."""
        start = self.starts.find(SubscriberHello(after=Position(epoch, number)))
        first = self.starts.first(start)
        return first, start.lost(first), start.ahead

    def test_it_asks_for_what_it_can_keep_and_has_the_messages_under_their_positions(self) -> None:
        hello = self.hello()
        self.assertEqual((hello["mirror"], hello["heartbeat"]), (self.starts.history.size, HEARTBEAT))
        self.assertNotIn("after", hello)
        self.begin(welcome(18), b"one", b"two")
        self.assertEqual((self.hub.log.first, self.hub.log.next, self.starts.epoch), (18, 20, FAR))
        self.assertEqual(self.find(18), (19, 0, 0))
        self.assertEqual(self.hub.log.taken, 2, "what was published before is not counted")

    def test_a_connection_that_breaks_costs_nobody_anything(self) -> None:
        self.begin(welcome(18), b"one")
        self.wire.clear()
        self.wire.end(ConnectionDone())
        self.clock.advance(1)
        self.assertEqual(self.hello()["after"], f"{FAR}-18")
        self.wire.say(welcome(19), b"two")
        self.assertEqual(self.published(), [b"two"])
        self.assertIs(self.reader.reason, None)
        self.assertEqual(self.mirrored.lost, 0)

    def test_what_is_missing_ends_subscribers_and_all_begins_anew_behind_it(self) -> None:
        self.begin(welcome(18), b"one")
        with capturedLogs() as events:
            self.come_back(welcome(25, lost=6), b"two")
        self.assertIs(self.reader.reason, CloseReason.UPSTREAM_GAP)
        self.assertEqual((self.hub.log.first, self.hub.log.next, self.mirrored.lost), (25, 26, 6))
        self.assertEqual(self.find(18), (25, 6, 0))
        line = f"mirror session:tcp:far:8002: 6 messages are missing before {FAR}-25; 2 subscribers end"
        self.assertIn((LogLevel.warn, line), said(events))

    def test_a_gap_that_is_told_in_the_middle_is_one_too_and_what_came_before_it_is_passed_on(self) -> None:
        self.begin(welcome(18))
        self.wire.say(b"one", Gap(2, Position(FAR, 21)), b"two")
        self.turns.run_all()
        self.assertEqual(list(parts(bytes(self.reader.received))), [b"one"])
        self.assertIs(self.reader.reason, CloseReason.UPSTREAM_GAP)
        self.assertEqual((self.hub.log.first, self.hub.log.next), (21, 22))

    def test_a_new_epoch_that_goes_on_ends_subscribers_but_nothing_is_forgotten(self) -> None:
        self.begin(welcome(18), b"one")
        self.come_back(welcome(19, (FAR, 1), (NEAR, 19), epoch=NEAR), b"two")
        self.assertIs(self.reader.reason, CloseReason.UPSTREAM_GAP)
        self.assertEqual((self.hub.log.first, self.hub.log.next, self.starts.epoch), (18, 20, NEAR))
        self.assertEqual(self.find(18), (19, 0, 0), "a position of the old epoch is exact")
        self.assertEqual(self.find(19, NEAR), (20, 0, 0))
        self.assertEqual(self.mirrored.lost, 0)

    def test_what_the_other_relays_disk_never_got_is_forgotten_here_too(self) -> None:
        self.begin(welcome(18), b"one", b"two", b"three")
        self.come_back(welcome(19, (FAR, 1), (NEAR, 19), ahead=2, epoch=NEAR), b"another two")
        self.assertIs(self.reader.reason, CloseReason.UPSTREAM_GAP)
        self.assertEqual((self.hub.log.first, self.hub.log.next), (19, 20))
        self.assertEqual(self.find(20), (19, 0, 2), "who has seen both is told")

    def test_of_a_relay_that_has_forgotten_all_nobody_knows_what_is_lost(self) -> None:
        self.begin(welcome(18), b"one")
        with capturedLogs() as events:
            self.come_back(welcome(1, epoch=NEAR, lost=None), b"two")
        self.assertEqual((self.hub.log.first, self.hub.log.next), (1, 2))
        self.assertEqual(self.find(18), (1, None, 0))
        self.assertIn("an unknown number of messages are missing", str(said(events)))

    def test_until_it_has_heard_of_the_other_relay_no_session_begins(self) -> None:
        self.assertTrue(self.starts.early(SubscriberHello()))
        self.assertEqual(self.mirrored.trouble, "not connected to tcp:far:8002, which it mirrors")
        self.begin(welcome(18))
        self.assertFalse(self.starts.early(SubscriberHello()))
        self.assertEqual(self.mirrored.trouble, "")
        self.assertNotEqual(self.starts.epoch, EPOCH)

    def test_while_it_is_not_connected_it_is_not_ready_and_serves_what_it_has(self) -> None:
        self.begin(welcome(18), b"one")
        self.wire.end(ConnectionDone())
        self.assertEqual(self.mirrored.trouble, "not connected to tcp:far:8002, which it mirrors")
        self.assertFalse(self.starts.early(SubscriberHello(replay=1)))
        self.assertEqual(self.find(17), (18, 0, 0))

    def test_who_was_there_already_is_given_what_comes_when_it_has_what_it_keeps(self) -> None:
        early = FakeSubscriber(self.hub)
        self.wire.say(welcome(18, behind=3), b"one", b"two")
        self.assertEqual(self.mirrored.trouble, "fetching what tcp:far:8002 has, which it mirrors")
        self.assertTrue(self.starts.early(SubscriberHello(after=Position(FAR, 18))))
        self.wire.end(ConnectionDone())
        self.clock.advance(1)
        self.wire.say(welcome(20, behind=2), b"three", b"four", b"five")
        self.assertFalse(self.starts.early(SubscriberHello(after=Position(FAR, 18))))
        self.wire.say(b"six")
        self.turns.run_all()
        self.assertEqual(list(parts(bytes(early.received))), [b"six"])
        self.assertEqual(early.subscription.given().messages, 1)
        self.assertEqual(self.find(18), (19, 0, 0))

    def test_while_it_fetches_who_takes_nothing_has_to_come_back(self) -> None:
        self.reader.subscription.cursor.stand(0)
        self.wire.say(welcome(18))
        self.assertIs(self.reader.reason, CloseReason.NOT_READY)

    def test_what_is_missing_while_it_fetches_is_missed_by_nobody(self) -> None:
        self.wire.say(welcome(18, behind=3), b"one")
        self.come_back(welcome(30, lost=11, behind=1), b"two")
        self.assertIs(self.reader.reason, None)
        self.assertEqual((self.hub.log.first, self.hub.log.next, self.mirrored.lost), (30, 31, 0))

    def test_a_loop_is_found_before_there_are_messages_and_mirrors_that_wait_are_told(self) -> None:
        words = "this would be a loop: messages would come back to the relay that they come from; one of the mirrors "
        with capturedLogs() as events:
            self.wire.say(Via(("aaa", self.sessions.origins.own)))
            self.wire.end(ConnectionDone())
        self.assertIn(f"disconnected: loop, 0 messages, 0 bytes; {words}", str(said(events)[-1][1]))
        self.assertTrue(self.starts.refusal.startswith(words))
        self.clock.advance(20)
        self.assertEqual(self.starts.refusal, "", "perhaps the next connection leads elsewhere")
        self.wire.say(Error("this would be a loop"))
        self.wire.end(ConnectionDone())
        self.assertEqual(self.starts.refusal, "this would be a loop")

    def test_a_gap_in_the_middle_of_what_it_fetches_does_not_make_it_complete(self) -> None:
        self.wire.say(welcome(18, behind=5), b"one", Gap(1, Position(FAR, 20)), b"three", b"four")
        self.assertFalse(self.starts.known)
        self.wire.say(b"five")
        self.assertTrue(self.starts.known)

    def test_it_tells_how_far_it_is_behind(self) -> None:
        self.begin(welcome(18))
        self.assertIs(self.mirrored.figures().behind, None)
        self.wire.say(Heartbeat(next=Position(FAR, 18), behind=(3, 0.5)))
        self.assertEqual(self.mirrored.figures().behind, (3, 0.5))
        self.clock.advance(2)
        self.assertEqual(self.mirrored.figures().behind, (3, 2.5))
        self.come_back(welcome(18))
        self.assertEqual(self.mirrored.figures().behind, (3, 3.5), "until it is told again")

    def test_a_worker_is_cut_for_no_silence_because_it_may_have_been_stopped_itself(self) -> None:
        self.around = replace(self.around, nearby=True)
        worker = self.mirror()
        self.assertNotIn("heartbeat", self.hello())
        self.wire.say(welcome(18))
        self.later(60)
        assert worker.link is not None
        self.assertIs(worker.link.reason, None)

    def test_what_it_fetches_to_keep_is_no_flood(self) -> None:
        self.begin(welcome(18), *[bytes(40)] * 8)
        budget, history = self.hub.budget, self.starts.history
        for _ in range(3):
            self.wire.say(*[bytes(40)] * (budget.size // 44 // 4))
        history.sweep(1.0)
        self.assertEqual(budget.history, history.size)
