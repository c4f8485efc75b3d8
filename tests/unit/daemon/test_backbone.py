"""A relay's part in a backbone, beside its other parts. Where NATS is needed, it is in `tests/process`."""

from __future__ import annotations

from dataclasses import replace

from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relay.backbone.access import Access
from relay.config.config import configure
from relay.config.values import backbone_url
from relay.daemon.backbone import BackboneKeeper, access, longest_proposal
from relay.peers.intake import Intake
from tests.kit.fakes import frame, frames, said
from tests.kit.hubs import HubTests


class KeeperTests(HubTests):
    def setUp(self) -> None:
        self.set_up()
        self.publishers = Intake(lambda: 0.0)
        self.ended: list[int] = []
        self.keeper = BackboneKeeper(self.publishers, True, self.ended.append)

    def test_publishers_wait_as_it_says(self) -> None:
        self.keeper.hold("the backbone cannot be reached")
        self.assertTrue(self.publishers.paused)
        self.keeper.release()
        self.assertFalse(self.publishers.paused)

    def test_when_the_relay_stops_publishers_are_read_no_more(self) -> None:
        self.keeper.finish()
        self.keeper.hold("")
        self.keeper.release()
        self.assertTrue(self.publishers.paused)

    def test_what_arrives_is_in_the_log_and_what_is_lent_is_not(self) -> None:
        hub = self.hub
        self.keeper.hub, self.keeper.loan = hub, hub.budget.loan()
        self.keeper.arrive(frames(b"a") + frames(b"b", b"c"))
        self.assertEqual((hub.log.next, bytes(hub.log.batch(0).data)), (4, frame(b"a") + frame(b"b") + frame(b"c")))
        self.keeper.lend(1000)
        self.assertEqual(hub.budget.lent, 1000)

    def test_when_it_is_lost_the_process_ends(self) -> None:
        with capturedLogs() as events:
            self.keeper.connected("nats://one:4222")
            self.keeper.lost("the stream has lost its messages")
        self.assertEqual(
            said(events),
            [
                (LogLevel.info, "connected to the backbone at nats://one:4222"),
                (
                    LogLevel.critical,
                    "the backbone: the stream has lost its messages. Ending, to begin anew from a snapshot",
                ),
            ],
        )
        self.assertEqual(self.ended, [1])


class AccessTests(SynchronousTestCase):
    def test_it_is_what_the_configuration_says(self) -> None:
        config = replace(
            configure({}), backbone=backbone_url("nats://one:4222,two/RELAY"), backbone_replicas=3, backbone_age=900.0
        )
        self.assertEqual(
            access(config), Access(("nats://one:4222", "nats://two"), "RELAY", 3, config.backbone_size, 900.0)
        )

    def test_a_proposal_has_room_for_the_longest_message(self) -> None:
        self.assertGreater(longest_proposal(10**6), 10**6 + 4)
        self.assertGreater(longest_proposal(1), 256 * 1024)
        self.assertLess(longest_proposal(99_999), 2**20, "NATS takes 1 MB by default")
