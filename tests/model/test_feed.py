"""Feeds in all orders of events: from its first message on everybody has every message, once."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.core.slow import SLOW_POLICIES, SlowPolicy
from tests.kit.feeds import FeedTests, Member


class ModelTests(FeedTests):
    @settings(max_examples=300, deadline=None)
    @given(
        st.sampled_from([SLOW_POLICIES["disconnect"], SLOW_POLICIES["block"]]),
        st.lists(
            st.one_of(
                st.tuples(st.just("publish"), st.integers(1, 60)),
                st.tuples(st.just("join"), st.integers(0, 300)),
                st.tuples(st.just("stuck"), st.integers(0, 300)),
                st.tuples(st.just("read"), st.integers(0, 5000)),
                st.tuples(st.just("turns"), st.integers(1, 5)),
                st.tuples(st.just("pass"), st.integers(1, 5000)),
                st.tuples(st.just("leave"), st.integers(0, 9)),
                st.tuples(st.just("sweep"), st.just(0)),
            ),
            max_size=60,
        ),
    )
    def test_nothing_is_lost_or_doubled(self, slow: SlowPolicy, steps: list[tuple[str, int]]) -> None:
        self.set_up(limit=64 * 1024, slow=slow)
        self.encoding.seconds = 1e-6
        members: list[Member] = []
        for what, number in steps:
            self.step(members, what, number)
        for member in members:
            member.read()
        self.turns.run_all()
        for member in members:
            if member.reason is None:
                self.assertEqual(member.got, self.all_from(member.first))
        self.assertIsNone(self.intake.paused)

    def step(self, members: list[Member], what: str, number: int) -> None:
        if what == "publish" and self.intake.paused is None:
            self.publish(number, size=40)
        elif what in ("join", "stuck"):
            self.hub.flush()
            wanted = min(number, self.hub.log.next) or None
            room = float("inf") if what == "join" else number
            if self.feeds.provide(self.encoding, wanted):
                members.append(self.join(wanted, room))
        elif what == "read":
            for member in members:
                member.read(number)
        elif what == "turns":
            for _ in range(number):
                self.turns.run()
        elif what == "pass":
            self.now += number * 1e-6
        elif what == "leave" and number < len(members):
            member = members.pop(number)
            if member.reason is None:
                self.assertEqual(member.leave().skipped, 0)
        elif what == "sweep":
            self.feeds.sweep(0.01)
