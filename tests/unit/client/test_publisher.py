"""The core of a publisher: what it sends, sends again, and knows to be accepted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relay.client.errors import ConnectionFault
from relay.client.publisher import PublisherCore
from relay.wire.answer import Ack, Answer, Bye, Heartbeat, PublisherWelcome
from relay.wire.control import frame as control
from relay.wire.framing import Frames
from relay.wire.hello import PublisherHello, read_hello
from tests.kit.fakes import frame


class PublisherTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.core = PublisherCore(name="a")

    def hear(self, *answers: Answer) -> None:
        self.core.receive(b"".join(control(answer.write()) for answer in answers), 0.0)

    def connect(self, accepted: int, known: bool = True) -> bytes:
        """What is sent behind the hello, once the relay has welcomed it."""
        data = self.core.connected(0.0)
        self.assertEqual(read_hello(data[4:]), PublisherHello(heartbeat=10, name="a"))
        self.assertEqual(self.core.take(0.0), [], "it waits for the welcome")
        self.hear(PublisherWelcome(accepted, known, "relayed", "ab", 40, "relay"))
        return self.sent()

    def sent(self) -> bytes:
        return b"".join(bytes(piece) for piece in self.core.take(0.0))

    def publish(self, *messages: bytes) -> None:
        for message in messages:
            self.core.publish(message)

    def test_messages_go_out_once_and_are_kept_until_they_are_acknowledged(self) -> None:
        self.publish(b"one", b"two")
        self.assertEqual(self.connect(5), frame(b"one") + frame(b"two"))
        self.assertEqual((self.sent(), self.core.unacknowledged, self.core.idle), (b"", 14, False))
        self.hear(Ack(6))
        self.assertEqual((self.core.acknowledged, self.core.accepted, self.core.unacknowledged), (1, 6, 7))
        self.hear(Heartbeat(accepted=7))
        self.assertTrue(self.core.idle)

    def test_after_a_reconnect_it_sends_what_the_relay_lacks(self) -> None:
        self.connect(0)
        self.publish(b"one", b"two", b"three")
        self.sent()
        self.assertEqual(self.connect(2), frame(b"three"))
        self.assertEqual((self.core.acknowledged, self.core.uncertain), (2, 0))

    def test_a_run_of_which_a_part_was_accepted_is_cut(self) -> None:
        self.connect(0)
        data = frame(b"one") + frame(b"two") + frame(b"three")
        self.core.publish_frames(Frames(data, 3, len(data)))
        self.sent()
        self.assertEqual(self.connect(2), frame(b"three"))
        self.assertEqual(self.core.unacknowledged, len(frame(b"three")))

    def test_a_relay_that_has_forgotten_it_gets_all_again_and_that_is_counted(self) -> None:
        self.connect(0)
        self.publish(b"one", b"two", b"three")
        self.sent()
        self.hear(Ack(1))
        self.assertEqual(self.connect(0, known=False), frame(b"two") + frame(b"three"))
        self.assertEqual(self.core.uncertain, 2)
        self.hear(Ack(2))
        self.assertTrue(self.core.idle)

    def test_what_was_never_sent_is_certain(self) -> None:
        self.connect(0)
        self.core.closed("reset")
        self.publish(b"one")
        self.assertEqual(self.connect(0, known=False), frame(b"one"))
        self.assertEqual(self.core.uncertain, 0)

    def test_a_count_that_is_not_ours_is_the_relays_loss_and_all_is_sent_again(self) -> None:
        for accepted in (5, 0):
            self.setUp()
            self.connect(1)
            self.publish(b"one", b"two")
            self.sent()
            self.assertEqual(self.connect(accepted), frame(b"one") + frame(b"two"))
            self.assertEqual(self.core.uncertain, 2)
            self.hear(Ack(accepted + 2))
            self.assertTrue(self.core.idle)

    def test_without_a_name_what_was_not_acknowledged_may_come_twice(self) -> None:
        self.core = PublisherCore()
        welcome = PublisherWelcome(0, False, "relayed", "ab", 40, "relay")
        self.publish(b"one", b"two")
        self.core.connected(0.0)
        self.hear(welcome)
        self.sent()
        self.hear(Ack(1))
        self.core.connected(0.0)
        self.hear(welcome)
        self.assertEqual((self.sent(), self.core.uncertain), (frame(b"two"), 1))
        self.hear(Ack(1))
        self.assertTrue(self.core.idle)

    def test_an_ack_of_what_was_not_sent_or_that_takes_one_back_is_a_fault(self) -> None:
        for accepted in (8, 5):
            self.setUp()
            self.connect(5)
            self.publish(b"one", b"two")
            self.sent()
            self.hear(Ack(6), Ack(accepted))
            self.assertIsInstance(self.core.fault, ConnectionFault)
            self.assertEqual(self.core.acknowledged, 1)

    def test_the_last_word_of_the_relay_is_an_ack_too(self) -> None:
        self.connect(0)
        self.publish(b"one")
        self.sent()
        self.hear(Bye("shutdown", accepted=1, retry=1.0))
        self.assertTrue(self.core.idle)
        assert isinstance(self.core.fault, ConnectionFault)
        self.assertEqual(self.core.fault.retry, 1.0)

    def test_what_no_relay_would_take_is_refused_at_once(self) -> None:
        self.assertRaises(ValueError, PublisherCore, name="two\nlines")
        self.assertRaises(ValueError, PublisherCore, heartbeat=0.5)

    def test_a_message_that_is_too_long_is_refused_before_it_is_sent(self) -> None:
        self.connect(0)
        self.assertRaises(ValueError, self.core.publish, bytes(41))

    def test_a_path_that_takes_nothing_is_left_though_heartbeats_come(self) -> None:
        self.connect(0)
        self.publish(b"one", b"two")
        self.core.take(5.0)
        for now in (10.0, 20.0):
            self.core.receive(control(Heartbeat(accepted=0).write()), now)
        self.assertEqual(self.core.deadline, 35.0)
        self.core.receive(control(Ack(1).write()), 30.0)
        self.core.check(35.0)
        self.assertIsNone(self.core.fault)
        self.core.receive(control(Heartbeat(accepted=1).write()), 59.0)
        self.core.check(60.0)
        self.assertIsInstance(self.core.fault, ConnectionFault)
        self.assertEqual(self.connect(1), frame(b"two"))

    def test_who_has_nothing_to_wait_for_or_no_name_is_not_impatient(self) -> None:
        self.connect(0)
        self.publish(b"one")
        self.sent()
        self.hear(Ack(1))
        self.assertEqual(self.core.deadline, 30.0, "three heartbeats")
        self.core.receive(control(Heartbeat(accepted=1).write()), 1000.0)
        self.core.check(1000.0)
        self.assertIsNone(self.core.fault)
        core = PublisherCore(heartbeat=0)
        core.connected(0.0)
        core.receive(control(PublisherWelcome(0, False, "relayed", "ab", 40, "relay").write()), 0.0)
        core.publish(b"one")
        self.assertTrue(core.take(0.0))
        self.assertIsNone(core.deadline)

    def test_acks_that_could_not_be_read_for_a_while_are_not_missed(self) -> None:
        self.connect(0)
        self.publish(b"one")
        self.sent()
        self.core.excuse(1000.0)
        self.core.check(1000.0)
        self.assertIsNone(self.core.fault)

    def test_without_a_session_what_is_taken_is_all_that_is_known(self) -> None:
        self.core = PublisherCore(session=False)
        self.assertEqual(self.core.connected(0.0), b"")
        self.publish(b"one")
        self.assertEqual(self.sent(), frame(b"one"))
        self.assertTrue(self.core.idle)

    @given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.booleans()), max_size=20))
    def test_whatever_is_cut_every_message_is_accepted_once_and_in_order(
        self, steps: list[tuple[int, int, bool]]
    ) -> None:
        """A relay that counts, and a path that is cut behind any message and before any ack."""
        self.setUp()
        accepted: list[bytes] = []
        published = 0
        arrived = self.connect(0, known=False)
        for more, reach, cut in steps:
            for _ in range(more):
                published += 1
                self.core.publish(b"%d" % published)
            arrived += self.sent()
            messages = []
            while arrived:
                size = 4 + int.from_bytes(arrived[:4])
                messages.append(arrived[4:size])
                arrived = arrived[size:]
            accepted += messages[:reach] if cut else messages
            if cut:
                self.core.closed("cut")
                arrived = self.connect(len(accepted))
            else:
                self.hear(Ack(len(accepted)))
        while arrived:
            size = 4 + int.from_bytes(arrived[:4])
            accepted.append(arrived[4:size])
            arrived = arrived[size:]
        self.assertEqual(accepted, [b"%d" % number for number in range(1, published + 1)])
