"""Hub, log and subscribers in any order of events, against a model that only knows the list of all messages.

The model expects of every subscriber the bytes from its first message on, less the gaps that were announced to it,
each taken out after the message that it was in the middle of.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import accumulate, pairwise

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from relay.core.budget import Budget
from relay.core.hub import Hub
from relay.core.log import OVERHEAD, Log
from relay.core.pending import Pending
from relay.core.slow import SLOW_POLICIES, SlowPolicy
from relay.wire.close_reason import CloseReason
from relay.wire.framings import FRAMINGS
from tests.kit.fakes import FakeIntake, FakeSubscriber, Turns

LIMIT = 16 * OVERHEAD
"""Bytes: small, so that subscribers overrun often."""
STALL = 3.0
MOST = 100
"""Bytes of the longest message: less than an eighth of the buffer, as the options demand."""


def try_events(machine: type[HubMachine], slow: SlowPolicy, examples: int) -> None:
    """Try that many random orders of events with a policy."""
    kind = type(f"{slow.name}Machine", (machine,), {"slow": slow})
    run_state_machine_as_test(kind, settings=settings(max_examples=examples, stateful_step_count=60, deadline=None))


class Member(FakeSubscriber):
    """A subscriber with what the model knows of it."""

    first: int
    ended_at: int
    charged = 0.0  # seconds without progress that the model has counted
    seen = 0  # bytes received at the last sweep

    def expected(self, messages: list[bytes]) -> bytes:
        """What it should have been sent in the end, given all that was published."""
        position = self.first - 1
        sent = b""
        for where, gap in self.gaps:
            while len(sent) < where:
                sent += messages[position]
                position += 1
            position += gap.messages
        return sent + b"".join(messages[position:])


class HubMachine(RuleBasedStateMachine):
    slow: SlowPolicy

    @initialize(name=st.sampled_from(sorted(FRAMINGS)))
    def begin(self, name: str) -> None:
        self.now = 0.0
        self.turns = Turns()
        self.intake = FakeIntake()
        self.framing = FRAMINGS[name]
        self.log = Log(self.framing.ends)
        self.hub = Hub(
            self.log,
            Budget(LIMIT),
            self.intake,
            call_soon=self.turns.call_soon,
            clock=lambda: self.now,
            pending=self.pending(name),
            slow=self.slow,
            stall_timeout=STALL,
        )
        self.messages: list[bytes] = []  # as they are on the wire, in the order of publishing
        self.members: list[Member] = []
        self.complete()

    def complete(self) -> None:
        """Give the hub what it has besides."""

    def pending(self, framing: str) -> Pending:
        """What the hub collects messages in; `framing`: its name."""
        return Pending(self.framing.self_delimiting)

    def oldest_for_replay(self) -> int:
        """Position of the oldest message that a new subscriber may begin with."""
        oldest = self.log.end
        while oldest > self.log.oldest and self.log.charged - self.log.batch(oldest - 1).charged <= LIMIT // 4:
            oldest -= 1
        return self.log.batch(min(oldest, self.log.end - 1)).first if self.messages else 1

    def settle(self) -> None:
        """Let everything happen that is due."""
        self.turns.run_all()

    @property
    def attached(self) -> list[Member]:
        return [member for member in self.members if member.reason is None]

    def as_sent(self, payload: bytes) -> bytes:
        with suppress(ValueError):  # a framing may have no empty messages
            return self.framing.frame(payload.translate(None, b"\n\r\0"))
        return self.framing.frame(b"-")

    @rule(payloads=st.lists(st.binary(max_size=MOST), min_size=1, max_size=8))
    def publish(self, payloads: list[bytes]) -> None:
        """One read of a publisher; one that waits may still have a read under way (over TLS), but no second."""
        if self.intake.paused is not None:
            payloads = payloads[:1] if self.intake.pauses != getattr(self, "overshot", 0) else []
            self.overshot = self.intake.pauses
        reader = self.framing(MOST)
        for payload in payloads:
            message = self.as_sent(payload)
            self.messages.append(message)
            self.hub.publish(reader.receive(message))

    @rule()
    def turn(self) -> None:
        self.turns.run()

    @rule(room=st.integers(0, 300), copies=st.booleans(), replay=st.sampled_from([0, 0, 1, 5, 1000]))
    def attach(self, room: int, copies: bool, replay: int) -> None:
        self.hub.replay = replay
        member = Member(self.hub, room, copies)
        published = len(self.messages)
        member.first = max(published + 1 - replay, self.oldest_for_replay()) if replay else published + 1
        self.members.append(member)

    @precondition(lambda self: self.attached)
    @rule(data=st.data(), size=st.integers(1, 400))
    def read(self, data: st.DataObject, size: int) -> None:
        data.draw(st.sampled_from(self.attached)).read(size)

    @precondition(lambda self: self.attached)
    @rule(data=st.data())
    def read_everything(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.attached)).read()

    @precondition(lambda self: self.attached)
    @rule(data=st.data())
    def resume_for_nothing(self, data: st.DataObject) -> None:
        member = data.draw(st.sampled_from(self.attached))
        if not member.short:
            self.hub.resume(member.subscription)

    @precondition(lambda self: self.attached)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        member = data.draw(st.sampled_from(self.attached))
        tally = self.hub.detach(member.subscription)
        member.reason = CloseReason.PEER_CLOSED
        whole = self.whole_messages(member)
        assert (tally.messages, tally.bytes) == (whole, len(member.received)), (tally, whole)
        assert tally.skipped == sum(gap.messages for _, gap in member.gaps)

    @precondition(lambda self: self.attached)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.attached)).error = ZeroDivisionError()

    @rule(seconds=st.sampled_from([0.5, 1.0, 1.0, 1.0]))
    def tick_and_sweep(self, seconds: float) -> None:
        self.now += seconds
        before = self.attached
        self.hub.sweep(seconds)
        for member in before:
            progress = len(member.received) > member.seen or not member.short
            member.charged = 0.0 if progress else member.charged + seconds
            member.seen = len(member.received)
            if member.reason is CloseReason.STALLED:
                assert member.charged >= STALL, "ended although it made progress"
            elif member.reason is None:
                assert member.charged < STALL + 1.0, "not ended although it made none"

    def whole_messages(self, member: Member) -> int:
        """How many whole messages there are in what it received, by the model."""
        position, size, whole = member.first - 1, 0, 0
        gaps = list(member.gaps)
        while True:
            while gaps and gaps[0][0] <= size:
                position += gaps.pop(0)[1].messages
            if position >= len(self.messages) or size + len(self.messages[position]) > len(member.received):
                return whole
            size += len(self.messages[position])
            position += 1
            whole += 1

    @invariant()
    def what_was_received_is_what_should_have_been(self) -> None:
        for member in self.members:
            expected = member.expected(self.messages)
            assert member.received == expected[: len(member.received)]

    @invariant()
    def the_buffer_is_bounded(self) -> None:
        assert self.log.held <= LIMIT or self.log.end - self.log.oldest == 1
        costs = [self.log.batch(number).charged for number in range(self.log.oldest, self.log.end)]
        assert all(start < stop for start, stop in pairwise([*costs, self.log.charged]))

    @invariant()
    def the_policy_is_kept(self) -> None:
        for member in self.members:
            if self.slow is SLOW_POLICIES["block"]:
                assert member.reason is not CloseReason.OVERRUN
            if self.slow is not SLOW_POLICIES["skip"]:
                assert not member.gaps
        if self.slow is not SLOW_POLICIES["block"]:
            assert not self.intake.pauses

    def teardown(self) -> None:
        """When everybody reads, everybody ends up with everything, and publishers are not left waiting."""
        if not hasattr(self, "hub"):
            return
        for member in self.attached:
            member.read()
        self.settle()
        assert self.intake.paused is None
        assert self.hub.lagging == 0
        assert self.hub.live == len(self.attached)
        for member in self.attached:
            assert member.received == member.expected(self.messages)
        for each in self.members:
            totals = list(accumulate((gap.messages for _, gap in each.gaps), initial=0))
            assert self.hub.detach(each.subscription).skipped == totals[-1]
