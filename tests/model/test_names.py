"""Names of publishers, taken, counted and released in any order."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from relay.peers.names import Names


class Holder:
    """A connection that has sent so many messages under its name."""

    def __init__(self) -> None:
        self.accepted = 0


class NamesMachine(RuleBasedStateMachine):
    """Names beside a dict that forgets nothing, with a limit that is never reached."""

    def __init__(self) -> None:
        super().__init__()
        self.names = Names(10)
        self.counts: dict[str, int] = {}
        self.holders: dict[str, Holder] = {}

    @rule(name=st.sampled_from("abc"))
    def take(self, name: str) -> None:
        holder = Holder()
        found, before = self.names.take(("", name), holder)
        assert before is self.holders.get(name)
        assert found.count == self.counts.get(name, 0)
        holder.accepted = found.count
        self.holders[name] = holder

    @rule(name=st.sampled_from("abc"), more=st.integers(0, 5))
    def send(self, name: str, more: int) -> None:
        if name in self.holders:
            self.holders[name].accepted += more
            self.counts[name] = self.holders[name].accepted

    @rule(name=st.sampled_from("abc"))
    def leave(self, name: str) -> None:
        if name in self.holders:
            self.names.release(("", name), self.holders.pop(name))


NamesMachine.TestCase.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
TestNames = NamesMachine.TestCase
