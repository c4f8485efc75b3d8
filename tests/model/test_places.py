"""Whoever was given a place to begin at has the time to use it, whatever others do at that moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.core.history import LEFT
from relay.feeds.feeds import KINDS
from relay.wire.close_reason import CloseReason
from tests.kit.fakes import FakeSubscriber
from tests.kit.feeds import FeedTests, Member, Slowly

LIMIT = 256 * 1024
SIZE = 100
"""Bytes of a message: few, compared to what a feed's log may hold."""
WHO = st.sampled_from(["session", "replay", *range(KINDS)])
WHERE = st.sampled_from(["oldest", "oldest", "feed", "middle", "newest"])
ROOM = st.sampled_from([0.0, 1000.0, float("inf")])


@dataclass
class Begun:
    """Somebody who was given a place, and what there was then."""

    one: Member | FakeSubscriber
    published: int
    """Bytes of memory that the hub's log had used."""
    encoded: int
    """Those of its feed's, when that had everything or later."""


class PlaceTests(FeedTests):
    @settings(max_examples=100, deadline=None)
    @given(
        st.integers(0, 40),
        st.lists(
            st.one_of(
                st.tuples(st.just("publish"), st.integers(1, 60)),
                st.tuples(st.just("begin"), WHO, WHERE, ROOM),
                st.tuples(st.just("begin"), WHO, WHERE, ROOM),
                st.tuples(st.just("begin"), WHO, WHERE, ROOM),
                st.tuples(st.just("lag")),
                st.tuples(st.just("read"), st.integers(0, 10_000)),
                st.tuples(st.just("sweep")),
            ),
            min_size=40,
            max_size=60,
        ),
    )
    def test_nobody_is_overrun_before_as_much_was_published_as_there_is_time_for(
        self,
        before: int,
        steps: list[tuple[Any, ...]],  # Any: what it takes
    ) -> None:
        """`before`: batches, besides 100, that somebody who lags has made the hub's log keep."""
        self.set_up(limit=LIMIT, replay=10_000)
        self.history.use()
        encodings = [Slowly(self) for _ in range(KINDS)]
        self.begun: list[Begun] = []
        FakeSubscriber(self.hub, room=0)
        for _ in range(100 + before):
            self.publish(10, SIZE)
            self.turns.run()
        for step in steps:
            match step:
                case "publish", count:
                    for _ in range(count // 10):
                        self.publish(10, SIZE)
                        self.turns.run()
                    self.publish(1 + count % 10, SIZE)
                case "begin", who, where, room:
                    self.begin(encodings, who, where, room)
                case ("lag",):
                    FakeSubscriber(self.hub, room=0)
                case "read", size:
                    for begun in self.begun:
                        begun.one.read(size)
                case ("sweep",):
                    self.now += 0.1
                    self.history.sweep(0.1)
                    self.feeds.sweep(0.1)
            self.turns.run_all()
            for begun in self.begun:
                self.check(begun)

    def begin(self, encodings: list[Slowly], who: str | int, where: str, room: float) -> None:
        """`where`: with the oldest message that can be had, or that the feed of most browsers has, or the like.

        `room`: bytes that it takes at once.
        """
        oldest, following = self.history.first, self.hub.log.next
        wanted = {"oldest": oldest, "middle": (oldest + following) // 2}.get(where, following)
        if where == "feed" and isinstance(who, int):
            wanted = self.feeds.provide(encodings[who], None)[0].first  # type: ignore[index]
        one: Member | FakeSubscriber
        if isinstance(who, int):
            if self.feeds.provide(encodings[who], wanted) is None:
                return  # that is what it would be told
            one = Member(self.feeds, encodings[who], wanted, room)
        else:
            one = FakeSubscriber(self.hub, room=0)
            if who == "session":
                self.hub.move(one.subscription, wanted, b"")
            one.read(room)
        self.begun.append(Begun(one, self.hub.log.charged, 0))

    def check(self, begun: Begun) -> None:
        one, published = begun.one, self.hub.log.charged - begun.published
        overrun = one.reason is CloseReason.OVERRUN
        if isinstance(one, FakeSubscriber):
            self.assertFalse(overrun and published <= LIMIT * LEFT // 8, "a session")
        else:
            log = one.feed.hub.log
            if not one.feed.caught_up:
                begun.encoded = log.charged
            late = one.feed.caught_up and log.charged - begun.encoded > one.feed.hub.budget.size // 4
            self.assertFalse(overrun and published <= LIMIT // 16 and not late, "a browser")
        if overrun:
            self.begun = [other for other in self.begun if other is not begun]
