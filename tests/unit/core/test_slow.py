"""Each policy, by what it has done about a subscriber and when it has publishers wait."""

from __future__ import annotations

from typing import cast

from twisted.trial.unittest import SynchronousTestCase

from relay.core.slow import SLOW_POLICIES, SlowPolicy
from relay.core.subscription import Subscription
from relay.wire.close_reason import CloseReason

SOMEBODY = cast(Subscription, object())


class RecordingHub:
    """Does nothing, and knows what it was asked for."""

    def __init__(self) -> None:
        self.done: list[tuple[object, ...]] = []

    def end(self, subscription: Subscription, reason: CloseReason) -> None:
        self.done.append(("end", subscription, reason))

    def skip(self, subscription: Subscription) -> None:
        self.done.append(("skip", subscription))


class SlowPolicyTests(SynchronousTestCase):
    def overrun(self, policy: SlowPolicy) -> list[tuple[object, ...]]:
        hub = RecordingHub()
        policy.overrun(hub, SOMEBODY)
        return hub.done

    def test_each_is_known_by_its_name(self) -> None:
        self.assertEqual({name: policy.name for name, policy in SLOW_POLICIES.items()}, {n: n for n in SLOW_POLICIES})
        self.assertEqual(list(SLOW_POLICIES), ["disconnect", "skip", "block"])

    def test_who_overruns_ends_or_skips(self) -> None:
        ended = [("end", SOMEBODY, CloseReason.OVERRUN)]
        self.assertEqual(self.overrun(SLOW_POLICIES["disconnect"]), ended)
        self.assertEqual(self.overrun(SLOW_POLICIES["skip"]), [("skip", SOMEBODY)])
        self.assertEqual(self.overrun(SLOW_POLICIES["block"]), ended)

    def test_only_block_has_publishers_wait_from_half_the_limit_until_a_quarter(self) -> None:
        holds = {
            name: [
                policy.hold(behind, 100, held) for held, behind in ((False, 50), (False, 51), (True, 25), (True, 24))
            ]
            for name, policy in SLOW_POLICIES.items()
        }
        nobody = [False] * 4
        self.assertEqual(holds, {"disconnect": nobody, "skip": nobody, "block": [False, True, True, False]})

    def test_who_never_has_them_wait_need_not_be_asked(self) -> None:
        self.assertEqual([name for name, policy in SLOW_POLICIES.items() if policy.holds], ["block"])

    def test_a_policy_of_ones_own_that_says_nothing_disconnects(self) -> None:
        class Own(SlowPolicy):
            name = "own"

        self.assertEqual(self.overrun(Own()), [("end", SOMEBODY, CloseReason.OVERRUN)])
