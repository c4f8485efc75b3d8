"""Relays on one stream that loses, doubles and reorders proposals: one order for all, and each message once.

What must come of it is checked from what publishers sent and were told, and from what relays handed out. The stream is
the real fold behind a network that does whatever it likes with proposals.
"""

from __future__ import annotations

from collections import Counter
from itertools import count
from random import Random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from relay.backbone.fold import Fold, Verdict
from relay.backbone.outbox import MOST_PATIENCE, Outbox
from relay.backbone.snapshot import decode_snapshot, encode_snapshot
from relay.wire.close_reason import CloseReason
from tests.kit.backbones import messages_in
from tests.kit.fakes import frames

RELAYS = st.integers(0, 2)
NAMES = st.sampled_from("ab")


class Publisher:
    """One connection of a publisher with a name. Its messages are numbered over all connections of the name."""

    def __init__(self, name: str, claim: int) -> None:
        self.name = name
        self.claim = claim
        self.key = "", name
        self.before: int | None = None  # what was accepted when it was welcomed
        self.sent = 0

    def admit(self, known: bool, accepted: int) -> None: ...
    def acknowledge(self, accepted: int) -> None: ...
    def leave(self, reason: CloseReason) -> None: ...


class Member:
    """One relay: an outbox, a fold, and publishers."""

    def __init__(self, relay: bytes, fold: Fold) -> None:
        self.now = 0.0
        self.relay = relay
        self.fold = fold
        self.outbox = Outbox(relay, "int32", True, lambda: self.now)
        self.wire: list[bytes] = []  # on the way to the stream
        self.publishers: dict[int, Publisher] = {}
        self.claims = count(1)
        self.handed_out: list[tuple[int, bytes]] = []  # positions and messages
        self.acked: Counter[str] = Counter()


class BackboneMachine(RuleBasedStateMachine):
    """Three relays, two names, and publishers without a name."""

    def __init__(self) -> None:
        super().__init__()
        self.stream: list[bytes] = []
        self.reference = Fold()
        self.order: list[bytes] = []
        self.serial = count()
        self.members = [self.member(Fold()) for _ in range(3)]
        self.gone: list[Member] = []
        self.where: dict[str, tuple[Member, Publisher]] = {}

    def member(self, fold: Fold) -> Member:
        return Member(b"%08d" % next(self.serial), fold)

    # What publishers do

    @rule(at=RELAYS, name=NAMES, well=st.booleans())
    def connect(self, at: int, name: str, well: bool) -> None:
        member = self.members[at]
        publisher = Publisher(name, next(member.claims))
        member.publishers[publisher.claim] = publisher
        member.outbox.claim(publisher.claim, ("", name))
        member.wire += member.outbox.take()
        self.where[name] = member, publisher
        if well:
            self.flow(at)

    @rule(name=NAMES, messages=st.integers(1, 3))
    def send(self, name: str, messages: int) -> None:
        member, publisher = self.where.get(name, (None, None))
        if member is None or publisher is None or publisher.before is None:
            return
        first = publisher.before + publisher.sent + 1
        told = [b"%s %d" % (name.encode(), number) for number in range(first, first + messages)]
        begin = publisher.sent + 1
        publisher.sent += messages
        member.outbox.contribute(frames(*told), publisher.claim, begin, publisher, publisher.sent)
        member.wire += member.outbox.take()

    @rule(at=RELAYS)
    def send_silently(self, at: int) -> None:
        member = self.members[at]
        member.outbox.contribute(frames(b"%s says %d" % (member.relay, next(self.serial))))
        member.wire += member.outbox.take()

    # What the network does

    @rule(at=RELAYS, index=st.integers(0, 9), fate=st.sampled_from(["first", "any", "copy", "lose"]))
    def carry(self, at: int, index: int, fate: str) -> None:
        wire = self.members[at].wire
        if wire:
            chosen = 0 if fate == "first" else index % len(wire)
            payload = wire[chosen] if fate == "copy" else wire.pop(chosen)
            if fate != "lose":
                self.append(payload)

    @rule(at=RELAYS)
    def flow(self, at: int) -> None:
        """For once, the network does what it should."""
        member = self.members[at]
        for payload in member.wire:
            self.append(payload)
        member.wire.clear()
        self.read(at, len(self.stream))

    def append(self, payload: bytes) -> None:
        self.stream.append(payload)
        for batch in self.reference.decide(len(self.stream), payload).batches:
            self.order += messages_in(batch.data)

    # What relays do

    @rule(at=RELAYS, messages=st.integers(1, 5))
    def read(self, at: int, messages: int) -> None:
        member = self.members[at]
        for payload in self.stream[member.fold.sequence : member.fold.sequence + messages]:
            self.fold(member, payload)

    def fold(self, member: Member, payload: bytes) -> None:
        decision = member.fold.decide(member.fold.sequence + 1, payload)
        at = member.fold.next - sum(batch.messages for batch in decision.batches)
        for batch in decision.batches:
            for message in messages_in(batch.data):
                member.handed_out.append((at, message))
                at += 1
        if decision.proposal is None or decision.proposal.relay != member.relay:
            return
        if decision.verdict is Verdict.EARLY:
            member.wire += member.outbox.early(decision.proposal.attempt)
        elif decision.verdict is Verdict.FOLDED:
            for claimed in decision.claims:
                member.publishers[claimed.number].before = claimed.accepted
            self.acknowledge(member, decision.stale)
            member.wire += member.outbox.take()

    def acknowledge(self, member: Member, stale: list[int]) -> None:
        proposed = member.outbox.folded(member.fold.relays[member.relay] - 1)
        assert proposed is not None
        for told, sent in proposed.told:
            assert isinstance(told, Publisher)
            if told.claim not in stale:
                assert told.before is not None
                member.acked[told.name] = told.before + sent

    @rule(at=RELAYS)
    def wait(self, at: int) -> None:
        member = self.members[at]
        member.now += MOST_PATIENCE
        member.wire += member.outbox.late()

    @rule(at=RELAYS)
    def connect_anew(self, at: int) -> None:
        self.members[at].wire += self.members[at].outbox.again()

    @rule(at=RELAYS, of=RELAYS, luck=st.integers(0, 3))
    def die(self, at: int, of: int, luck: int) -> None:
        """Another relay begins in its place, from a snapshot of a third. What is on its way may still arrive."""
        if luck:
            return
        gone = self.members[at]
        self.gone.append(gone)
        self.members[at] = self.member(decode_snapshot(encode_snapshot(self.members[of].fold)))
        self.members[at].wire += gone.wire
        for name, (member, _) in tuple(self.where.items()):
            if member is gone:
                del self.where[name]

    # What must be

    @invariant()
    def all_relays_hand_out_one_order(self) -> None:
        for member in (*self.members, *self.gone):
            for position, message in member.handed_out[-5:]:
                assert self.order[position - 1] == message

    @invariant()
    def each_message_of_a_name_is_there_once_and_in_order(self) -> None:
        for name in "ab":
            there = [message for message in self.order if message.startswith(name.encode() + b" ")]
            assert there == [b"%s %d" % (name.encode(), number) for number in range(1, len(there) + 1)]
            for member in (*self.members, *self.gone):
                assert member.acked[name] <= len(there)

    @invariant()
    def no_message_is_there_twice(self) -> None:
        assert len(set(self.order)) == len(self.order)

    def who_holds_a_name_is_told_that_all_is_accepted(self) -> None:
        for (_, name), standing in self.reference.names.items():
            for member in self.members:
                if standing.owner is not None and standing.owner[0] == member.relay:
                    publisher = member.publishers[standing.owner[1]]
                    assert publisher.before is not None
                    if publisher.sent:
                        assert member.acked[name] == publisher.before + publisher.sent == standing.count

    def teardown(self) -> None:
        """On a network that has become well, everything arrives, in any order, and is acknowledged."""
        random = Random(len(self.stream))
        for _ in range(1000):
            if all(member.outbox.empty for member in self.members):
                break
            for member in self.members:
                self.wait(self.members.index(member))
                random.shuffle(member.wire)
                for payload in member.wire:
                    self.append(payload)
                member.wire.clear()
                self.read(self.members.index(member), len(self.stream))
        assert all(member.outbox.empty for member in self.members)
        for member in self.members:
            self.read(self.members.index(member), len(self.stream))
        self.who_holds_a_name_is_told_that_all_is_accepted()
        states = {encode_snapshot(member.fold) for member in self.members}
        assert states == {encode_snapshot(self.reference)}
        self.all_relays_hand_out_one_order()
        self.each_message_of_a_name_is_there_once_and_in_order()
        self.no_message_is_there_twice()


BackboneMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=80, deadline=None)
TestBackbone: Any = BackboneMachine.TestCase  # Any: hypothesis makes the class
