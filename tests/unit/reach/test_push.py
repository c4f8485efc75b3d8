"""Pushes: everything is sent to another relay or server, and with a session nothing is lost or comes twice."""

from __future__ import annotations

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.logger import capturedLogs

from relay.core.slow import SLOW_POLICIES
from relay.reach.link import HEARTBEAT, LOOK
from relay.wire.answer import Ack, Answer, Error, PublisherWelcome
from relay.wire.close_reason import CloseReason
from tests.kit.fakes import frames, said
from tests.kit.remotes import SILENT, RemoteCase
from tests.kit.sessions import parts


def welcome(accepted: int = 0, known: bool = True, max_message: int = 40) -> PublisherWelcome:
    return PublisherWelcome(accepted, known, "relayed", "ffff", max_message, "relay")


class PushCase(RemoteCase):
    def publish(self, *messages: bytes) -> None:
        self.hub.publish(frames(*messages))
        self.turns.run_all()

    def flood(self) -> None:
        """Publish more than is kept."""
        for _ in range(200):
            self.publish(*[bytes(30)] * 400)

    def sent(self) -> list[object]:
        """What was sent on the newest connection since the last look."""
        self.turns.run_all()
        found: list[object] = list(parts(self.wire.value()))
        self.wire.clear()
        return found

    def answer(self, *answers: Answer) -> None:
        self.wire.say(*answers)

    def lose(self) -> None:
        """The connection ends, and the next one is made."""
        self.wire.end(ConnectionDone())
        self.clock.pump([0, 1])


class SilentTests(PushCase):
    def test_everything_is_sent_as_it_is(self) -> None:
        push = self.push(SILENT)
        self.publish(b"one", b"")
        self.assertEqual(self.sent(), [b"one", b""])
        self.clock.advance(LOOK)
        figures = push.figures()
        self.assertEqual((figures.role, figures.connected, figures.exchanged.messages), ("push", True, 2))

    def test_what_was_published_while_there_was_no_connection_follows(self) -> None:
        self.server.refuses = 1
        push = self.push(SILENT)
        self.publish(b"one")
        self.clock.pump([0, 1])
        self.assertEqual(self.sent(), [b"one"])
        self.wire.end(ConnectionDone())
        self.publish(b"two")
        self.clock.pump([0, 1])
        self.assertEqual(self.sent(), [b"two"])
        self.assertEqual((push.lost, push.connections), (0, 2))

    def test_what_is_not_kept_so_long_is_lost_and_told(self) -> None:
        push = self.push(SILENT)
        self.wire.end(ConnectionDone())
        self.flood()
        with capturedLogs() as events:
            self.clock.pump([0, 1])
        self.assertGreater(push.lost, 0)
        lines = " ".join(str(line) for _, line in said(events))
        self.assertIn(f"{push.lost:,} messages are lost, as they are not kept any more", lines)

    def test_what_the_other_side_says_is_thrown_away_and_told_once(self) -> None:
        self.push(SILENT)
        with capturedLogs() as events:
            self.wire.send(b"welcome to this server")
            self.wire.send(b"?")
        self.assertEqual(
            [line for _, line in said(events)],
            ["push 192.168.1.1:54321 'tcp:far:8002': what it sends is thrown away"],
        )

    def test_one_that_leads_to_this_relay_is_ended(self) -> None:
        self.push(SILENT)
        own, _ = self.connect()
        own.link.peerAddr = IPv4Address("TCP", "10.0.0.1", 12345)  # type: ignore[attr-defined]
        self.wire.hostAddr = IPv4Address("TCP", "10.0.0.1", 12345)
        self.clock.advance(LOOK)
        self.clock.advance(0)
        self.assertEqual(self.pushes.ended, {CloseReason.LOOP: 1})

    def test_one_that_overran_goes_on_however_late_its_connection_is_gone(self) -> None:
        push = self.push(SILENT)
        self.publish(b"one")
        assert push.link is not None
        push.link.pauseProducing()
        self.flood()
        self.assertEqual(self.pushes.ended, {})  # it is cut, and the transport says so in another turn
        self.flood()
        self.assertEqual(push.figures().waiting, 160_000)
        self.clock.pump([0, 1])
        self.assertEqual((self.pushes.ended, push.connections), ({CloseReason.OVERRUN: 1}, 2))
        self.assertGreater(push.lost, 0)
        self.assertEqual(push.lost + len(self.sent()), 160_000)


class LoopTests(PushCase):
    """What `relay.reach.echo` finds, and what becomes of the connection then."""

    def hold(self) -> None:
        for _ in range(4):
            self.publish(b"the same")

    def test_what_comes_back_ends_it_with_a_line(self) -> None:
        self.push(SILENT)
        self.publish(b"one")
        with capturedLogs() as events:
            for _ in range(1_200):
                if not self.wire.ended:
                    for message in self.sent():
                        assert isinstance(message, bytes)
                        self.publish(message)  # as what somebody who publishes here has got from there
                self.clock.advance(0.01)
        self.assertEqual(self.pushes.ended, {CloseReason.LOOP: 1})
        [line] = [str(line) for _, line in said(events)]
        self.assertIn("this is a loop: messages come back to the relay that they come from", line)
        self.assertLess(len(self.published()), 12)

    def test_a_line_that_a_publisher_repeats_is_sent_a_moment_later(self) -> None:
        self.push(SILENT)
        self.hold()
        self.assertEqual(self.sent(), [b"the same"] * 3)
        self.publish(b"one")
        self.assertEqual(self.sent(), [])
        for _ in range(30):
            self.publish(b"the same")
            self.clock.advance(0.01)
        self.assertEqual(self.sent(), [b"the same", b"one", *[b"the same"] * 30])
        self.assertEqual(self.pushes.ended, {})

    def test_one_that_is_held_sends_all_when_the_relay_stops(self) -> None:
        push = self.push(SILENT)
        self.hold()
        assert push.link is not None
        push.link.drain()
        push.link.drain()
        self.assertEqual(self.sent(), [b"the same"] * 4)

    def test_one_that_is_held_can_be_removed(self) -> None:
        push = self.push(SILENT)
        self.hold()
        push.remove()
        self.clock.advance(1)
        self.assertEqual(self.pushes.ended, {CloseReason.REMOVED: 1})

    def test_it_is_not_held_for_longer_than_a_quarter_of_the_buffer_lasts(self) -> None:
        self.push(SILENT)
        self.hold()
        for _ in range(20):
            self.publish(*[bytes(30)] * 400)
        self.clock.advance(0.01)
        self.assertEqual(len(self.sent()), 8_004)
        self.assertEqual(self.pushes.ended, {})


class SessionTests(PushCase):
    def greeted(self) -> str:
        """The name under which it said hello on the newest connection."""
        [said] = self.sent()
        assert isinstance(said, dict)
        self.assertEqual(said.pop("via"), list(self.sessions.origins.all))
        self.assertEqual({**said, "name": ""}, {"relay": 1, "type": "publish", "heartbeat": HEARTBEAT, "name": ""})
        self.assertRegex(said["name"], "^relay [0-9a-f]{12}$")
        return str(said["name"])

    def test_it_says_hello_and_sends_what_follows_what_was_accepted(self) -> None:
        self.push()
        self.publish(b"one", b"two", b"three")
        self.greeted()
        self.answer(welcome(2))
        self.assertEqual(self.sent(), [b"three"])

    def test_it_goes_on_behind_what_the_other_relay_has_accepted(self) -> None:
        push = self.push()
        name = self.greeted()
        self.answer(welcome(known=False))
        self.publish(b"one", b"two", b"three")
        self.answer(Ack(1))
        self.assertEqual((push.figures().waiting, push.done), (2, 1))
        self.lose()
        self.assertEqual(self.greeted(), name)
        self.answer(welcome(2))
        self.assertEqual(self.sent(), [b"three"])
        self.answer(Ack(3))
        self.assertEqual(push.figures().waiting, 0)

    def test_the_name_is_kept_with_the_message_behind_which_it_counts(self) -> None:
        self.publish(b"old")
        push = self.push()
        name = self.greeted()
        self.assertEqual(self.noted, [(("push", f"{name.removeprefix('relay ')} session:tcp:far:8002"), 1)])
        self.answer(welcome(known=False))
        self.publish(b"new")
        self.assertEqual(self.sent(), [b"new"])
        push.remove()
        self.clock.advance(0)
        self.publish(b"newer")
        self.push()
        self.assertEqual(self.greeted(), name)
        self.answer(welcome(1))
        self.assertEqual(self.sent(), [b"newer"])

    def test_a_relay_that_has_forgotten_the_name_gets_a_new_one(self) -> None:
        self.push()
        name = self.greeted()
        self.answer(welcome(known=False))
        self.publish(b"one", b"two")
        self.answer(Ack(1))
        self.lose()
        self.assertEqual(self.greeted(), name)
        with capturedLogs() as events:
            self.answer(welcome(0, known=False))
        self.assertIn("it does not know the name any more", str(said(events)[0][1]))
        self.clock.pump([0, 1])
        self.assertNotEqual(self.greeted(), name)
        self.answer(welcome(0, known=False))
        self.assertEqual(self.sent(), [b"two"])

    def test_after_a_restart_such_a_relay_is_not_sent_again_what_it_had_acknowledged_a_second_before(self) -> None:
        push = self.push()
        name = self.greeted()
        self.answer(welcome(known=False))
        self.publish(b"one", b"two")
        self.answer(Ack(2))
        push.sweep()
        written = dict(self.noted)  # as a journal has it when it is opened again
        push.remove()
        self.clock.advance(0)
        self.publish(b"three")
        self.sessions.names.change(0)
        self.sessions.names.change(100)
        self.sessions.names.restore(written)
        self.push()
        self.assertEqual(self.greeted(), name)
        self.answer(welcome(0, known=False))
        self.clock.pump([0, 1])
        self.assertNotEqual(self.greeted(), name)
        self.answer(welcome(0, known=False))
        self.assertEqual(self.sent(), [b"three"])

    def test_after_a_restart_a_relay_that_knows_the_name_says_where_to_go_on(self) -> None:
        push = self.push()
        self.greeted()
        self.answer(welcome(known=False))
        self.publish(b"one", b"two", b"three")
        self.answer(Ack(1))
        push.sweep()
        push.remove()
        self.clock.advance(0)
        self.push()
        self.greeted()
        self.answer(welcome(2))
        self.assertEqual(self.sent(), [b"three"])

    def test_a_relay_that_has_more_than_our_disk_gets_a_new_name_and_what_is_new(self) -> None:
        self.push()
        self.publish(b"one")
        name = self.greeted()
        self.answer(welcome(7))
        self.clock.pump([0, 1])
        self.assertNotEqual(self.greeted(), name)
        self.answer(welcome(0, known=False))
        self.publish(b"two")
        self.assertEqual(self.sent(), [b"two"])

    def test_a_gap_is_told_and_a_new_name_begins_behind_it_however_long_that_takes(self) -> None:
        push = self.push()
        name = self.greeted()
        self.flood()
        with capturedLogs() as events:
            self.answer(welcome(known=False))
        self.assertIn(f"{push.lost:,} messages are lost", str(said(events)[0][1]))
        self.clock.pump([0, 1])
        self.assertNotEqual(self.greeted(), name)
        written, lost = len(self.noted), push.lost
        self.flood()
        self.answer(welcome(known=False))
        self.assertGreater(push.lost, lost)
        self.assertEqual([number for _, number in self.noted[written:]], [push.lost])
        self.assertEqual(self.sent()[0], bytes(30))

    def test_where_slow_subscribers_skip_it_comes_back_under_another_name(self) -> None:
        """Its count would not be that of the messages any more."""
        self.hub.change(SLOW_POLICIES["skip"], 60)
        push = self.push()
        name = self.greeted()
        self.answer(welcome(known=False))
        link = push.link
        assert link is not None
        link.pauseProducing()
        self.flood()
        self.clock.advance(0)
        self.assertEqual(self.pushes.ended, {CloseReason.OVERRUN: 1})
        self.clock.pump([0, 1])
        self.greeted()
        self.answer(welcome(0, known=False))
        self.clock.pump([0, 1])
        self.assertNotEqual(self.greeted(), name)

    def test_a_shorter_limit_there_is_warned_of_and_what_it_refuses_is_told(self) -> None:
        self.push()
        with capturedLogs() as events:
            self.answer(welcome(known=False, max_message=10))
            self.publish(bytes(11))
            self.answer(Error("a message of 11 bytes, more than the limit of 10 bytes"))
            self.clock.advance(0)
        lines = [str(line) for _, line in said(events)]
        self.assertTrue([line for line in lines if "messages may have 10 bytes there and 40 here" in line])
        self.assertIn("a message of 11 bytes", lines[-1])
        self.assertEqual(self.pushes.ended, {CloseReason.SESSION_ERROR: 1})

    def test_the_wrong_port_is_told(self) -> None:
        self.push()
        with capturedLogs() as events:
            self.answer(Error("this port is for subscribers: publishers connect to tcp:8001"))
            self.clock.advance(0)
        self.assertIn("this port is for subscribers", str(said(events)[-1][1]))

    def test_a_relay_that_is_silent_is_given_up(self) -> None:
        self.push()
        self.answer(welcome())
        self.later(31)
        self.assertEqual(self.pushes.ended, {CloseReason.CONNECTION_LOST: 1})

    def test_what_is_not_acknowledged_is_counted(self) -> None:
        push = self.push()
        assert push.link is not None
        self.assertIsNone(push.link.unacknowledged)
        self.answer(welcome(known=False))
        self.publish(b"one", b"two")
        self.answer(Ack(1))
        self.assertEqual(push.link.unacknowledged, 1)

    def test_when_other_relays_messages_come_it_says_hello_anew_and_loses_nothing(self) -> None:
        self.push()
        name = self.greeted()
        self.answer(welcome(known=False))
        self.publish(b"one")
        self.sessions.origins.note(self, ["aaa"])
        self.clock.pump([0, 1])
        self.assertEqual(self.greeted(), name)
        self.answer(welcome(1))
        self.publish(b"two")
        self.assertEqual(self.sent(), [b"two"])
