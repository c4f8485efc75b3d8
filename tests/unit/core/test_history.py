"""History: what is kept for those who come back, and how far back they may begin."""

from __future__ import annotations

from relay.core.history import ENOUGH, KEPT, LEFT, LITTLE, History
from tests.kit.fakes import FakeSubscriber, frames
from tests.kit.hubs import HubTests

MIB = 2**20
LIMIT = 4 * MIB
WHOLE = LIMIT * KEPT // 8


class HistoryTests(HubTests):
    def setUp(self) -> None:
        self.set_up(limit=LIMIT)
        self.history = History(self.hub)

    def test_nothing_is_kept_for_nobody(self) -> None:
        self.history.sweep(1.0)
        self.assertEqual(self.budget.history, 0)
        self.publish(b"one")
        self.publish(b"two")
        self.assertEqual(self.log.first, 2, "only the newest batch is kept")

    def test_a_little_is_kept_where_somebody_may_come(self) -> None:
        self.history.keep_little()
        self.history.sweep(1.0)
        self.assertEqual(self.budget.history, LITTLE)

    def test_a_little_is_never_more_than_all(self) -> None:
        self.set_up(limit=MIB)
        History(self.hub).keep_little()
        self.assertEqual(self.budget.history, MIB * KEPT // 8)

    def test_from_the_first_that_may_come_back_all_that_it_may_come_back_for_is_kept(self) -> None:
        self.history.use()
        self.assertEqual(self.budget.history, WHOLE, "at once, not at the next sweep")
        for number in range(20):
            self.publish(b"%d" % number)
        self.assertEqual((self.log.first, self.history.first), (1, 1))

    def test_in_a_flood_a_little_is_kept_until_it_is_over(self) -> None:
        self.history.use()
        for size, kept in ((LIMIT / ENOUGH + MIB, LITTLE), (LIMIT / ENOUGH - MIB, WHOLE)):
            for _ in range(int(size) // MIB):
                self.publish(bytes(MIB))
            self.history.sweep(1.0)
            self.assertEqual(self.budget.history, kept)
        for _ in range(5):
            self.publish(bytes(MIB))
        self.history.sweep(5.0)
        self.assertEqual(self.budget.history, WHOLE, "5 MiB in five seconds are no flood")

    def test_what_came_before_the_first_use_is_no_flood(self) -> None:
        for _ in range(10):
            self.publish(bytes(MIB))
        self.history.use()
        self.history.sweep(1.0)
        self.assertEqual(self.budget.history, WHOLE)

    def test_nobody_begins_so_far_back_that_there_is_no_room_to_catch_up_in(self) -> None:
        self.assertEqual(self.history.reach, WHOLE)
        self.budget.loan().hold(2 * MIB)
        self.assertEqual(self.history.reach, LIMIT - 2 * MIB - LIMIT * LEFT // 8)
        self.budget.loan().hold(2 * MIB)
        self.assertEqual(self.history.reach, 0)

    def test_it_is_swept_every_second(self) -> None:
        asked: list[tuple[float, object]] = []
        self.history.register(lambda seconds, call: asked.append((seconds, call)))
        self.assertEqual(asked, [(1.0, self.history.sweep)])

    def test_a_message_longer_than_history_is_kept_until_it_is_delivered(self) -> None:
        self.set_up(limit=64 * MIB)
        History(self.hub).keep_little()
        slow, fast = FakeSubscriber(self.hub, room=1000), FakeSubscriber(self.hub)
        sent = frames(b"x" * 2 * LITTLE) + frames(b"y" * LITTLE)
        self.hub.publish(sent)
        self.turns.run_all()
        slow.read()
        self.turns.run_all()
        whole = b"".join(bytes(one.data) for one in sent)
        self.assertEqual((bytes(slow.received) == whole, bytes(fast.received) == whole), (True, True))
