"""The core of a subscriber: its count, its gaps, and where it goes on."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.client.errors import ConnectionFault
from relay.client.events import Gap, Run
from relay.client.subscriber import SubscriberCore
from relay.wire.answer import Answer, Heartbeat, SubscriberWelcome
from relay.wire.answer import Gap as GapAnswer
from relay.wire.control import frame as control
from relay.wire.hello import SubscriberHello, read_hello
from relay.wire.position import Position
from tests.kit.fakes import frame


def at(number: int, epoch: str = "ab") -> Position:
    return Position(epoch, number)


class SubscriberTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.core = SubscriberCore(heartbeat=10, name="map-3", replay=5)

    def connect(self) -> SubscriberHello:
        """The hello of a new connection."""
        data = self.core.connected(0.0)
        hello = read_hello(data[4:])
        assert isinstance(hello, SubscriberHello)
        return hello

    def take(self, *pieces: Answer | bytes) -> list[tuple[int, int] | Gap]:
        """What comes of these: runs as their first and their last number."""
        data = b"".join(frame(piece) if isinstance(piece, bytes) else control(piece.write()) for piece in pieces)
        return [
            (found.first, found.first + found.frames.messages - 1) if isinstance(found, Run) else found
            for found in self.core.receive(data, 0.0)
        ]

    def welcome(self, number: int, lost: int | None = 0, epoch: str = "ab") -> SubscriberWelcome:
        return SubscriberWelcome(at(number, epoch), 1, lost, 100, "relay")

    def test_it_begins_as_it_was_told_and_drops_what_comes_before_the_welcome(self) -> None:
        self.assertEqual(self.connect(), SubscriberHello(replay=5, heartbeat=10, name="map-3"))
        self.assertEqual(self.take(b"early", self.welcome(7), b"seven", b"eight"), [(7, 8)])
        self.assertEqual(self.core.position, at(8))

    def test_it_goes_on_behind_what_it_has(self) -> None:
        self.connect()
        self.take(self.welcome(7), b"seven", b"eight")
        self.core.closed("reset")
        self.assertEqual(self.connect(), SubscriberHello(after=at(8), heartbeat=10, name="map-3"))
        self.assertEqual(self.take(self.welcome(9), b"nine"), [(9, 9)])

    def test_a_reconnect_before_the_first_message_misses_nothing(self) -> None:
        self.connect()
        self.take(self.welcome(7))
        self.assertEqual(self.connect().after, at(6))

    def test_another_epoch_that_knows_the_last_one_is_no_gap_unless_it_has_less_or_more(self) -> None:
        for welcome, told in (
            (SubscriberWelcome(at(9, "cd"), 1, 0, 100, "relay"), []),
            (SubscriberWelcome(at(12, "cd"), 1, 3, 100, "relay"), [Gap(3, at(12, "cd"))]),
            (SubscriberWelcome(at(6, "cd"), 1, 0, 100, "relay", ahead=3), [Gap(0, at(6, "cd"), ahead=3)]),
            (SubscriberWelcome(at(6, "cd"), 1, None, 100, "relay"), [Gap(None, at(6, "cd"))]),
        ):
            self.setUp()
            self.connect()
            self.take(self.welcome(7), b"seven", b"eight")
            self.connect()
            self.assertEqual(self.take(welcome), told)
            self.assertEqual(self.core.position, at(welcome.next.number - 1, "cd"))

    def test_what_is_lost_is_a_gap(self) -> None:
        self.connect()
        self.take(self.welcome(1), b"one")
        self.connect()
        self.assertEqual(self.take(self.welcome(5, lost=3), b"five"), [Gap(3, at(5)), (5, 5)])
        self.assertEqual(self.take(GapAnswer(2, at(8)), b"eight"), [Gap(2, at(8)), (8, 8)])
        self.connect()
        self.assertEqual(self.take(self.welcome(1, None, "cd"), b"one"), [Gap(None, at(1, "cd")), (1, 1)])

    def test_a_heartbeat_that_agrees_changes_nothing(self) -> None:
        self.connect()
        self.assertEqual(self.take(self.welcome(1), b"one", Heartbeat(next=at(2)), b"two"), [(1, 1), (2, 2)])
        self.assertIsNone(self.core.fault)

    def test_if_the_counts_differ_it_goes_back_to_where_they_agreed_and_says_so(self) -> None:
        self.connect()
        self.take(self.welcome(1), b"one", Heartbeat(next=at(2)), b"two")
        self.take(Heartbeat(next=at(9)))
        self.assertIsInstance(self.core.fault, ConnectionFault)
        self.assertEqual(self.connect().after, at(1))
        self.assertEqual(self.take(self.welcome(2), b"two"), [Gap(0, at(2), repeats=True), (2, 2)])

    def test_nothing_comes_of_a_connection_that_has_ended_and_nothing_is_gone_back_for(self) -> None:
        self.connect()
        self.take(self.welcome(1), b"one")
        self.core.closed("reset")
        self.assertEqual(self.take(b"two"), [])
        self.assertEqual(self.connect().after, at(1))

    def test_what_follows_a_count_that_differs_is_not_counted(self) -> None:
        self.connect()
        self.assertEqual(self.take(self.welcome(1), b"one", Heartbeat(next=at(9)), b"two"), [(1, 1)])
        self.assertEqual(self.connect().after, at(0))

    def test_a_gap_that_does_not_add_up_is_a_fault_too(self) -> None:
        self.connect()
        self.assertEqual(self.take(self.welcome(1), b"one", GapAnswer(2, at(5)), b"five"), [(1, 1)])
        self.assertIsInstance(self.core.fault, ConnectionFault)

    def test_a_stream_that_makes_no_sense_is_given_again_from_where_the_counts_agreed(self) -> None:
        for nonsense in (frame(bytes(101)), control(b"nonsense")):
            self.setUp()
            self.connect()
            self.take(self.welcome(1), b"one", Heartbeat(next=at(2)), b"two")
            self.core.receive(nonsense, 0.0)
            self.assertIsInstance(self.core.fault, ConnectionFault)
            self.assertEqual(self.connect().after, at(1))
            self.assertEqual(self.take(self.welcome(2), b"two"), [Gap(0, at(2), repeats=True), (2, 2)])

    def test_a_position_that_the_relay_has_not_reached_is_a_gap_of_which_nobody_knows(self) -> None:
        self.core = SubscriberCore(after=at(100))
        self.assertEqual(self.connect().after, at(100))
        self.assertEqual(self.take(self.welcome(7, None), b"seven"), [Gap(None, at(7), repeats=True), (7, 7)])

    def test_where_it_began_is_known_from_the_first_welcome_on(self) -> None:
        self.connect()
        self.assertIsNone(self.core.began)
        self.take(self.welcome(7), b"seven")
        self.connect()
        self.take(self.welcome(8))
        self.assertEqual(self.core.began, at(6))

    def test_what_no_relay_would_take_is_refused_at_once(self) -> None:
        self.assertRaises(ValueError, SubscriberCore, after=at(1), replay=5)
        self.assertRaises(ValueError, SubscriberCore, heartbeat=0.5)
        self.assertRaises(ValueError, SubscriberCore, name="two\nlines")
        self.assertRaises(ValueError, SubscriberCore, session=False, replay=5)

    def test_a_message_that_is_cut_is_asked_for_again(self) -> None:
        self.connect()
        self.take(self.welcome(1), b"one")
        self.core.receive(frame(b"two")[:-1], 0.0)
        self.assertEqual(self.connect().after, at(1))
        self.assertEqual(self.take(self.welcome(2), b"two"), [(2, 2)])

    def test_without_a_session_it_only_counts(self) -> None:
        self.core = SubscriberCore(session=False)
        self.assertEqual(self.core.connected(0.0), b"")
        self.assertEqual(self.take(b"one", b"two"), [(1, 2)])
        self.core.closed("reset")
        self.core.connected(0.0)
        self.assertEqual(self.take(b"three"), [(3, 3)])
        self.assertIsNone(self.core.deadline)
