"""A subscriber's session: welcome, heartbeats, gaps and goodbye, each between two messages and each true."""

from __future__ import annotations

from typing import Any

from relay.core.slow import SLOW_POLICIES
from relay.core.state import State
from relay.peers.subscriber import Subscriber, SubscriberFactory
from relay.wire.close_reason import CloseReason
from tests.kit.connections import FakeTransport, SubscriberCase
from tests.kit.fakes import accepted
from tests.kit.sessions import EPOCH, Timers, hello, make_sessions, parts

Part = bytes | dict[str, Any]  # Any: what JSON has


class SessionCase(SubscriberCase):
    def start(self, *args: Any, **kwargs: Any) -> None:  # Any: those of the class above
        super().start(*args, **kwargs)
        self.timers = Timers()
        self.sessions = make_sessions(self.hub, self.turns.call_soon, lambda: self.now, self.timers)
        self.factory = SubscriberFactory(accepted("subscriber"), self.hub, "tcp:8001", self.sessions)

    def session(self, **values: object) -> tuple[Subscriber, FakeTransport]:
        subscriber, transport = self.connect()
        subscriber.dataReceived(hello("subscribe", **values))
        self.turns.run_all()
        return subscriber, transport

    def take_all(self, subscriber: Subscriber, transport: FakeTransport) -> None:
        """The peer takes everything that there is for it."""
        transport.full = False
        while subscriber.state is not State.LIVE:
            transport.drain()
            self.turns.run_all()

    def numbered(self, *numbers: int) -> None:
        """Publish messages that say their own positions, each in a turn of its own."""
        for number in numbers:
            self.publish(b"%d" % number)

    def check(self, found: list[Part]) -> list[int]:
        """Count as a client does. Returns the positions of the messages behind the welcome."""
        got: list[int] = []
        following: int | None = None
        for part in found:
            if isinstance(part, bytes):
                if following is not None:
                    self.assertEqual(int(part), following)
                    got.append(following)
                    following += 1
            elif "next" in part:
                epoch, _, number = part["next"].partition("-")
                self.assertEqual(epoch, EPOCH)
                if part["type"] == "welcome":
                    following = int(number)
                elif part["type"] == "gap":
                    assert following is not None
                    self.assertEqual(int(number), following + part["lost"])
                    following = int(number)
                else:
                    self.assertEqual(int(number), following, part)
        return got


class WelcomeTests(SessionCase):
    def test_it_has_all_that_the_protocol_says(self) -> None:
        self.numbered(1, 2, 3)
        _, transport = self.session()
        [welcome] = parts(transport.value())
        assert isinstance(welcome, dict)
        server = welcome.pop("server")
        self.assertTrue(server.startswith("relay "))
        self.assertEqual(
            welcome, {"type": "welcome", "next": f"{EPOCH}-4", "oldest": 3, "lost": 0, "max_message": 99_999}
        )

    def test_messages_go_on_behind_it(self) -> None:
        _, transport = self.session()
        self.numbered(1, 2, 3)
        self.assertEqual(self.check(parts(transport.value())), [1, 2, 3])

    def test_who_comes_back_is_given_what_it_missed(self) -> None:
        self.session()
        self.numbered(1, 2, 3, 4, 5)
        for after, expected in ((0, [1, 2, 3, 4, 5]), (3, [4, 5]), (5, [])):
            _, transport = self.session(after=f"{EPOCH}-{after}")
            self.assertEqual(self.check(parts(transport.value())), expected)

    def test_what_came_before_it_is_given_again(self) -> None:
        self.session()
        self.numbered(1, 2)
        subscriber, transport = self.connect()
        self.numbered(3, 4)
        subscriber.dataReceived(hello("subscribe", after=f"{EPOCH}-1"))
        self.turns.run_all()
        self.numbered(5)
        found = parts(transport.value())
        self.assertEqual(found[:2], [b"3", b"4"])
        self.assertEqual(self.check(found), [2, 3, 4, 5])
        self.assertEqual(subscriber.tally.messages, 6)
        self.assertEqual(subscriber.tally.bytes, len(transport.value()))

    def test_it_never_comes_inside_a_message(self) -> None:
        self.session()
        self.numbered(1)
        for room in range(200, 210):
            subscriber, transport = self.connect()
            transport.full = True
            self.publish(b"x" * 40_000, b"y" * room)
            subscriber.dataReceived(hello("subscribe", after=f"{EPOCH}-0"))
            self.take_all(subscriber, transport)
            found = parts(transport.value())
            [at] = [index for index, part in enumerate(found) if isinstance(part, dict)]
            self.assertEqual(found[at + 1], b"1")
            subscriber.abort(CloseReason.ERROR)
            subscriber.connectionLost()

    def test_of_another_epoch_nobody_knows_what_is_lost(self) -> None:
        self.session()
        self.numbered(1, 2)
        _, transport = self.session(after="ba9876543210-7")
        found = parts(transport.value())
        assert isinstance(found[0], dict)
        self.assertIsNone(found[0]["lost"])
        self.assertEqual(self.check(found), [1, 2])


class HeartbeatTests(SessionCase):
    def test_it_says_what_comes_next(self) -> None:
        _, transport = self.session(heartbeat=10)
        self.timers.advance(10)
        self.numbered(1, 2)
        self.timers.advance(10)
        self.numbered(3)
        found = parts(transport.value())
        self.assertEqual(
            [part if isinstance(part, bytes) else (part["type"], part["next"]) for part in found],
            [
                ("welcome", f"{EPOCH}-1"),
                ("heartbeat", f"{EPOCH}-1"),
                *(b"1", b"2"),
                ("heartbeat", f"{EPOCH}-3"),
                b"3",
            ],
        )
        self.check(found)

    def test_while_nothing_is_taken_one_waits_at_most(self) -> None:
        subscriber, transport = self.session(heartbeat=1)
        transport.full = True
        self.publish(b"1")
        self.publish(b"2")
        before = len(transport.value())
        self.timers.advance(1000)
        self.assertEqual(len(transport.value()), before)
        assert subscriber.source.subscription is not None
        self.assertLess(len(subscriber.source.subscription.cursor.tail), 100)
        self.take_all(subscriber, transport)
        self.assertEqual(self.check(parts(transport.value())), [1, 2])

    def test_it_ends_with_the_connection(self) -> None:
        subscriber, _ = self.session(heartbeat=1)
        self.assertEqual(self.sessions.open, {("subscriber", "tcp"): 1})
        subscriber.connectionLost()
        self.timers.advance(0)
        self.assertEqual((self.timers.waiting, self.sessions.open["subscriber", "tcp"]), ([], 0))


class GapTests(SessionCase):
    def setUp(self) -> None:
        super().setUp()
        self.start(slow=SLOW_POLICIES["skip"], stall_timeout=0)

    def test_it_says_how_many_are_missing(self) -> None:
        subscriber, transport = self.session()
        transport.full = True
        for number in range(1, 3000):
            self.publish(b"%04d" % number + b" " * 1000)
        self.take_all(subscriber, transport)
        found = parts(transport.value())
        gaps = [part for part in found if isinstance(part, dict) and part["type"] == "gap"]
        self.assertEqual(len(gaps), 1, "those that follow each other are told as one")
        got = self.check(found)
        self.assertEqual(gaps[0]["lost"], 2999 - len(got))
        self.assertEqual(self.sessions.lost, gaps[0]["lost"])

    def test_one_that_has_begun_to_be_sent_stays_as_it_is(self) -> None:
        subscriber, transport = self.session()
        for part in range(3):
            transport.full = True
            for number in range(3000 * part + 1, 3000 * part + 3001):
                self.publish(b"%05d" % number + b" " * 1000)
            self.take_all(subscriber, transport)
        found = parts(transport.value())
        gaps = [part["lost"] for part in found if isinstance(part, dict) and part["type"] == "gap"]
        self.assertEqual(len(gaps), 3)
        self.assertEqual(sum(gaps), 9000 - len(self.check(found)))
        self.assertEqual(subscriber.tally.skipped, sum(gaps))

    def test_who_has_no_session_is_told_nothing(self) -> None:
        subscriber, transport = self.connect()
        transport.full = True
        for number in range(3000):
            self.publish(b"%d" % number + b" " * 1000)
        self.take_all(subscriber, transport)
        self.assertTrue(all(isinstance(part, bytes) for part in parts(transport.value())))


class EndTests(SessionCase):
    def test_at_a_shutdown_it_is_told_what_would_come_next_and_when_to_come_back(self) -> None:
        subscriber, transport = self.session()
        self.numbered(1, 2)
        subscriber.drain()
        self.assertEqual(
            parts(transport.value())[-1], {"type": "bye", "reason": "shutdown", "next": f"{EPOCH}-3", "retry": 1.0}
        )
        self.assertTrue(transport.half_closed)

    def test_what_follows_the_hello_is_thrown_away(self) -> None:
        subscriber, transport = self.session()
        before = transport.value()
        subscriber.dataReceived(hello("subscribe", after=f"{EPOCH}-0"))
        subscriber.dataReceived(b"anything")
        self.assertEqual((transport.value(), subscriber.reason), (before, None))


class LoopTests(SessionCase):
    def test_a_relay_is_told_whose_messages_come_and_when_that_changes(self) -> None:
        origins = self.sessions.origins
        subscriber, transport = self.session(via=["aaa"])
        origins.note(self, ["bbb"])
        said = [part for part in parts(transport.value()) if isinstance(part, dict)]
        self.assertEqual(said[0]["via"], [origins.own])
        self.assertEqual(said[1:], [{"type": "via", "relays": [origins.own, "bbb"]}])
        subscriber.connectionLost()
        self.assertEqual(origins.listeners, {})

    def test_nobody_else_is_told(self) -> None:
        _, transport = self.session()
        self.sessions.origins.note(self, ["bbb"])
        [welcome] = parts(transport.value())
        self.assertNotIn("via", welcome)

    def test_where_there_is_no_room_a_heartbeat_tells(self) -> None:
        subscriber, transport = self.session(via=["aaa"], heartbeat=10)
        transport.clear()
        transport.full = True
        self.publish(bytes(40), bytes(40))
        self.timers.advance(10)
        self.sessions.origins.note(self, ["bbb"])
        self.take_all(subscriber, transport)
        transport.clear()
        self.timers.advance(10)
        told = [part for part in parts(transport.value()) if isinstance(part, dict)]
        self.assertIn({"type": "via", "relays": [self.sessions.origins.own, "bbb"]}, told)
