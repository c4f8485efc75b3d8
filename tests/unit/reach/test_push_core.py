"""What a push says and hears in its session."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.client.errors import ConnectionFault, NoSessions
from relay.reach.push_core import WELCOME_WITHIN, PushCore
from relay.wire.answer import Ack, Answer, Bye, Heartbeat, PublisherWelcome
from relay.wire.control import frame
from relay.wire.hello import PublisherHello, read_hello


class PushCoreTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.core = PushCore(40)
        self.core.name, self.core.via = "relay abc", ("aaa",)
        self.said = self.core.connected(0)

    def hear(self, *answers: Answer) -> None:
        self.core.receive(b"".join(frame(one.write()) for one in answers), 1)

    def test_it_says_its_name_and_whose_messages_it_sends(self) -> None:
        hello = read_hello(self.said[4:])
        assert isinstance(hello, PublisherHello)
        self.assertEqual((hello.name, hello.via), ("relay abc", ("aaa",)))

    def test_it_hears_what_is_accepted(self) -> None:
        self.hear(Ack(5))  # before the welcome it means nothing
        self.hear(PublisherWelcome(1, True, "relayed", "ffff", 30, "relay"))
        self.assertEqual((self.core.accepted, self.core.known, self.core.limit), (1, True, 30))
        for answer in (Ack(2), Heartbeat(accepted=3), Bye("shutdown", accepted=4, retry=1.0)):
            before = self.core.accepted
            self.hear(answer)
            self.assertEqual(self.core.accepted, before + 1)
        self.assertIsInstance(self.core.fault, ConnectionFault)

    def test_a_relay_whose_publishers_wait_has_time_to_answer(self) -> None:
        self.core.check(WELCOME_WITHIN - 1)
        self.assertIsNone(self.core.fault)
        self.core.check(WELCOME_WITHIN)
        self.assertIsNotNone(self.core.fault)

    def test_one_that_ends_every_connection_that_says_hello_has_no_sessions(self) -> None:
        for _ in range(5):
            self.core.connected(0)
            self.core.closed("it is closed")
        self.assertIsInstance(self.core.fault, NoSessions)
