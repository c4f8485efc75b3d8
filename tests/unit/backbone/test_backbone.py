"""A relay's part in a backbone: proposing, folding, waiting, recovering, without NATS."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.backbone.backbone import BOUNDS, SNAPSHOT, SNAPSHOT_PAUSE
from relay.backbone.fold import SNAPSHOT_SIZE
from relay.backbone.outbox import MOST, PATIENCE
from relay.backbone.proposal import VERSION, decode
from tests.kit.backbones import RELAY_B, Member, contribution, proposal
from tests.kit.fakes import frames


class SharedOrderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.stream: list[bytes] = []
        self.member = Member()

    def begin(self, *members: Member) -> None:
        for member in members or (self.member,):
            member.order.connected("nats://one:4222")
            member.pass_on(self.stream)
            member.keeper.said.clear()

    def sweep(self, seconds: float) -> None:
        self.member.now += seconds
        self.member.order.sweep(seconds)

    def test_publishers_wait_until_the_first_proposal_has_come_back(self) -> None:
        keeper = self.member.keeper
        self.assertEqual((keeper.said, self.member.order.trouble != ""), (["hold"], True))
        self.member.order.connected("nats://one:4222")
        self.assertEqual(keeper.said, ["hold"])
        self.member.pass_on(self.stream)
        self.assertEqual((keeper.said, self.member.order.trouble), (["hold", "release"], ""))
        self.assertEqual(keeper.servers, ["nats://one:4222"])

    def test_what_is_published_is_handed_out_when_it_comes_back(self) -> None:
        other = Member(RELAY_B)
        self.begin(self.member, other)
        self.member.publish(frames(b"a", b"b"))
        self.assertEqual(self.member.keeper.handed_out, [])
        self.member.pass_on(self.stream)
        other.publish(frames(b"c"))
        other.pass_on(self.stream)
        self.member.read(self.stream)
        self.assertEqual(self.member.keeper.handed_out, [b"a", b"b", b"c"])
        self.assertEqual(other.keeper.handed_out, [b"a", b"b", b"c"])

    def test_without_a_connection_publishers_wait_and_the_log_says_so_once(self) -> None:
        self.begin()
        self.member.publish(frames(b"a"))
        for reason in ("it is down", "it is still down"):
            self.member.order.disconnected(reason)
        self.assertEqual(self.member.keeper.said, ["hold the backbone cannot be reached: it is down"])
        self.assertIn("still", self.member.order.trouble)
        self.member.publish(frames(b"b"))
        self.member.connection.take()
        self.member.order.connected("nats://two:4222")
        self.member.pass_on(self.stream)
        self.assertEqual(self.member.keeper.handed_out, [b"a", b"b"])
        self.assertEqual((self.member.keeper.said[1:], self.member.order.trouble), (["release"], ""))

    def test_a_connection_that_comes_back_when_nothing_is_on_its_way_is_enough(self) -> None:
        self.begin()
        self.member.order.disconnected("gone")
        self.member.order.connected("nats://one:4222")
        self.assertEqual(self.member.keeper.said[1:], ["release"])

    def test_what_does_not_come_back_is_proposed_again_and_failures_are_asked_for(self) -> None:
        self.begin()
        self.member.publish(frames(b"a"))
        self.member.connection.take()
        self.member.order.refused("no space")
        self.sweep(PATIENCE / 2)
        self.assertEqual(self.member.connection.sent, [])
        self.sweep(PATIENCE)
        self.assertEqual(self.member.connection.asked[-1:], [True])
        self.assertEqual(self.member.keeper.said, ["hold the backbone takes no proposals: no space"])
        self.member.pass_on(self.stream)
        self.assertEqual((self.member.keeper.handed_out, self.member.keeper.said[1:]), ([b"a"], ["release"]))

    def test_what_waits_in_the_stream_for_subscribers_is_not_away(self) -> None:
        self.begin()
        self.member.publish(frames(b"a"))
        self.member.connection.take()
        self.member.order.wait()
        self.assertTrue(self.member.connection.waits)
        self.sweep(10 * PATIENCE)
        self.assertEqual((self.member.connection.sent, self.member.keeper.said), ([], []))
        self.member.order.go_on()
        self.assertFalse(self.member.connection.waits)
        self.sweep(PATIENCE / 2)
        self.assertEqual(self.member.connection.sent, [])
        self.sweep(PATIENCE)
        self.assertEqual(self.member.keeper.said, ["hold the backbone takes no proposals"])

    def test_one_that_is_missing_is_proposed_again_with_all_that_follow(self) -> None:
        self.begin()
        for message in (b"a", b"b", b"c"):
            self.member.publish(frames(message))
        _, *others = self.member.connection.take()
        self.stream += others
        self.member.read(self.stream)
        self.assertEqual([decode(one).number for one in self.member.connection.sent], [2, 3, 4])
        self.member.pass_on(self.stream)
        self.assertEqual(self.member.keeper.handed_out, [b"a", b"b", b"c"])
        self.assertEqual(self.member.order.figures().ignored["early"], 2)

    def test_who_is_faster_than_the_stream_waits_without_a_word(self) -> None:
        self.member = Member(full=1000)
        self.begin()
        for _ in range(MOST):
            self.member.publish(frames(b"x"))
        for _ in range(11):
            self.member.publish(frames(bytes(100)))
        self.assertEqual(self.member.keeper.said, ["hold"])
        self.assertGreater(self.member.keeper.lent, 1000)
        self.member.pass_on(self.stream)
        self.assertEqual(self.member.keeper.said, ["hold", "release"])
        self.member.pass_on(self.stream)
        self.assertEqual((self.member.keeper.lent, self.member.order.done), (0, True))

    def test_the_time_in_which_publishers_wait_is_counted_for_whichever_reason(self) -> None:
        self.member = Member(full=1000)

        def waited() -> tuple[bool, float]:
            figures = self.member.order.figures()
            return figures.held, figures.held_seconds

        self.member.now += 1
        self.assertEqual(waited(), (True, 1))
        self.begin()
        self.member.now += 2
        self.assertEqual(waited(), (False, 1), "they are read")
        self.member.order.disconnected("gone")
        self.member.now += 4
        self.member.publish(frames(bytes(2000)))
        self.member.now += 8
        self.assertEqual(waited(), (True, 13), "NATS is away, and more waits than should")
        self.member.order.connected("nats://one:4222")
        self.assertEqual(waited(), (False, 13))
        for _ in range(MOST):
            self.member.publish(frames(bytes(100)))
        self.member.publish(frames(bytes(2000)))
        self.member.now += 16
        self.assertEqual((waited(), self.member.order.trouble), ((True, 29), ""), "they are too fast")
        self.member.pass_on(self.stream)
        self.member.now += 32
        self.assertEqual(waited(), (False, 29))

    def test_what_was_read_before_is_not_folded_again(self) -> None:
        self.begin()
        self.member.publish(frames(b"a"))
        self.member.pass_on(self.stream)
        self.member.order.receive(list(enumerate(self.stream, 1)), 0)
        self.assertEqual(self.member.keeper.handed_out, [b"a"])

    def test_a_stream_that_lacks_what_was_not_read_ends_the_relay(self) -> None:
        self.begin()
        self.member.order.receive([(self.member.fold.sequence + 2, proposal(1, relay=RELAY_B))], 0)
        self.assertIn("lost the stream has lost its messages 2 to 2, which", self.member.keeper.said[0])

    def test_a_newer_relay_ends_this_one(self) -> None:
        self.begin()
        payload = proposal(1, relay=RELAY_B)
        self.member.order.receive([(2, payload[:2] + bytes([VERSION + 1]) + payload[3:])], 0)
        self.assertIn("lost a newer relay is on the stream", self.member.keeper.said[0])

    def test_another_framing_ends_this_relay(self) -> None:
        self.stream.append(proposal(1, relay=RELAY_B, framing="line"))
        self.member.order.connected("nats://one:4222")
        self.member.pass_on(self.stream)
        self.assertEqual(self.member.keeper.said[1:], ["lost the stream has the framing line, and this relay int32"])

    def test_one_that_the_others_forgot_ends(self) -> None:
        self.begin()
        self.member.fold.relays.clear()
        self.member.publish(frames(b"a"))
        self.member.pass_on(self.stream)
        self.assertIn("forgotten", self.member.keeper.said[-1])

    def test_raw_messages_come_one_by_one(self) -> None:
        self.member = Member(framing="raw")
        self.begin()
        self.stream.append(proposal(1, contribution(b"a", b"bc"), relay=RELAY_B, framing="raw", ends=[5, 11]))
        self.member.read(self.stream)
        self.assertEqual(self.member.keeper.handed_out, [b"a", b"bc"])

    def test_snapshots_are_written_by_who_crosses_the_line_and_when_time_has_passed(self) -> None:
        self.begin()
        large = frames(bytes(SNAPSHOT_SIZE))
        for _ in range(2):
            self.member.publish(large)
            self.member.pass_on(self.stream)
        self.assertEqual(self.member.connection.kept, [(2, True)], "at most one a second")
        self.member.now += SNAPSHOT_PAUSE
        self.stream.append(proposal(1, contribution(bytes(SNAPSHOT_SIZE)), relay=RELAY_B))
        self.member.read(self.stream)
        self.assertEqual(len(self.member.connection.kept), 1, "the other relay writes it")
        self.sweep(SNAPSHOT)
        self.sweep(SNAPSHOT)
        self.assertEqual(self.member.connection.kept[1:], [(4, False)], "nothing has happened since")

    def test_its_figures(self) -> None:
        self.begin()
        self.member.publish(frames(b"a"))
        self.stream += self.member.connection.sent
        self.member.now += 0.004
        self.member.pass_on(self.stream)
        self.member.publish(frames(b"b"))
        figures = self.member.order.figures()
        self.assertEqual((figures.proposed, figures.again, figures.folded), (3, 1, 2))
        self.assertEqual(figures.ignored, {"repeated": 1, "early": 0, "foreign": 0, "stale": 0})
        self.assertEqual((figures.window, figures.sequence, figures.trouble), (1, 3, ""))
        self.assertEqual((figures.bounds, figures.trips[2], sum(figures.trips)), (BOUNDS, 1, 2))
        self.member.read([], behind=0)
