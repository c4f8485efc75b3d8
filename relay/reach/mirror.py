"""A mirror: the relay hands out the messages of another one, under the same positions.

A mirror is a pull with a session whose log has the other relay's numbers and epochs. So a subscriber may move between
the two, and go on where it stopped. That holds for as long as the mirror misses nothing. When messages are missing, or
the other relay begins a new epoch, all subscribers end: silent ones, because the next message would look like the one
that follows, and those with sessions because they learn exactly what they have lost when they come back.

A mirror that starts asks for as many messages as it keeps for subscribers that come back. No session begins until it
has them, and silent subscribers are given none of them: they may have had them over an earlier connection. What the
mirror has had itself before a gap is forgotten, because a log has no holes.

With a journal it goes on behind what that has. Sessions begin at once, and are given from the disk what it has, also
while the other relay cannot be reached. Where messages are missing, the journal begins anew. One that no mirror wrote
is not deleted for that: then the mirror does not go on, and says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NoReturn

from twisted.logger import Logger

from relay.client.errors import NotARelay, Refused
from relay.client.events import Gap
from relay.config.values import Remote
from relay.reach.link import Circular, Surroundings
from relay.reach.pull import Pull, PullCore, PullLink
from relay.wire.answer import Answer, Heartbeat, SubscriberWelcome
from relay.wire.close_reason import CloseReason
from relay.wire.framing import Frames
from relay.wire.hello import SubscriberHello, read_hello
from relay.wire.position import Epoch, Position

HEARTBEAT = 1.0
"""Seconds between two heartbeats: so often the other relay says how far the mirror is behind."""


class MirrorCore(PullCore):
    """Speaks for a mirror: asks for what it can keep, and learns the epochs and how far it is behind."""

    def __init__(self, after: Position | None, memory: int, max_message: int, heartbeat: float = HEARTBEAT) -> None:
        """`after`: the position up to which the mirror has everything; None for none. `memory`: bytes that it keeps."""
        super().__init__(after=after, heartbeat=heartbeat, max_message=max_message)
        self.epochs: tuple[Epoch, ...] = ()
        """The epochs that the other relay knows, the oldest first."""
        self.behind: tuple[int, float] | None = None
        """The messages and seconds that the mirror was behind at `heard`; None before the first heartbeat of all."""
        self.heard = 0.0
        """When that was."""
        self.until = 0
        """The position of the first message that was not there yet when the session began; 0 before that."""
        self._memory = memory

    def _hello(self) -> bytes:
        hello = read_hello(super()._hello())
        assert isinstance(hello, SubscriberHello)
        return replace(hello, mirror=self._memory).write()

    def _read(self, body: bytes) -> Answer | None:
        said = super()._read(body)
        if isinstance(said, Heartbeat):
            self.behind = said.behind
        return said

    def _heed(self, body: bytes, now: float) -> Gap | None:
        told = self.behind
        gap = super()._heed(body, now)
        if self.behind is not told:
            self.heard = now
        return gap

    def _begin(self, welcome: SubscriberWelcome) -> Gap:
        """As in `SubscriberCore`, but a welcome with nothing missing before it is told too, as an empty gap."""
        epoch = welcome.next.epoch
        self.epochs = welcome.epochs or (Epoch(epoch, 1),)
        self.until = welcome.next.number + welcome.behind
        return super()._begin(welcome) or Gap(0, welcome.next)


class Mirror(Pull):
    """The relay whose messages this one has."""

    logger = Logger()
    role = "mirror"
    way_out = "; one of the mirrors has to mirror the relay that publishers connect to"
    core: MirrorCore

    def __init__(self, remote: Remote, surroundings: Surroundings) -> None:
        self._history = surroundings.history
        self._starts = starts = surroundings.starts
        self._hub = hub = surroundings.hub
        self._log = hub.log
        self._journal = journal = surroundings.journal
        self._refused = ""  # why it cannot go on with what its journal has, in words
        self._began: Position | None = None  # the position behind which it begins
        if journal is not None and self._log.next > 1:
            self._began = Position(starts.epoch, self._log.next - 1)
        starts.known = self._began is not None and not (journal is not None and journal.own)
        starts.current = starts.complete = hub.admits = False
        self._replay, hub.replay = hub.replay, 0  # nobody begins with what others may follow that it is not given
        super().__init__(remote, surroundings)

    def _make_core(self) -> MirrorCore:
        self._history.use()
        around = self.surroundings
        # If a process of this relay ends, the system says so; and one that was stopped for a while lacks no heartbeat.
        heartbeat = 0.0 if around.nearby else HEARTBEAT
        return MirrorCore(self._began, self._history.size, around.max_message, heartbeat)

    # What its connections call

    def publish(self, frames: list[Frames]) -> None:
        """Publish what came."""
        if self._log.next < self.core.until:
            self._history.excuse(sum(len(one.data) for one in frames))
        self._hub.publish(frames)
        if not self._starts.complete:
            self._hub.flush()
            self._look_whether_complete()

    def _look_whether_complete(self) -> None:
        """Have all subscribers begin if the mirror has what it has to have first."""
        hub, starts = self._hub, self._starts
        if not self.core.until or self._log.next < self.core.until or starts.complete:
            return
        starts.known = starts.complete = True
        hub.replay = self._replay
        for one in hub.subscriptions:
            if not one.cursor.live and not one.consumer.counts:
                hub.end(one, CloseReason.NOT_READY)
        hub.admit()

    def tell(self, gap: Gap) -> None:
        """A session begins, or messages are missing. Raises NotARelay if the journal must not begin anew for it."""
        starts, hub, epochs = self._starts, self._hub, self.core.epochs
        hub.flush()
        following = gap.position.number
        whole = gap.lost == 0 and not gap.ahead and not gap.repeats
        whole = whole and following == self._log.next + hub.pending.messages
        if not whole and self._journal is not None and self._journal.own:
            self._refuse()
        if starts.known and not whole:
            self.lost += gap.lost or 0
            self._end_subscribers(misses(gap))
        elif starts.known and epochs[-1].name != starts.epoch:
            self._end_subscribers(f"the other relay has begun the epoch {epochs[-1].name}")
        keeps = gap.lost == 0 and not gap.repeats and following <= self._log.next  # what comes before is the same there
        if not whole:
            hub.pending.forget()
            self._log.begin_anew(following)
        starts.epochs = self._record(following, whole, keeps)
        starts.current = True
        self._refused = ""
        self._look_whether_complete()

    def _record(self, following: int, whole: bool, keeps: bool) -> Sequence[Epoch]:
        """Have the journal go on with the message at `following`. Returns all epochs that are known then.

        `whole`: whether that comes next anyway. `keeps`: if not, whether what comes before it is to stay.
        """
        journal, epochs = self._journal, self.core.epochs
        if journal is None:
            return epochs
        if whole:
            journal.follow(epochs)
        else:
            journal.begin_anew(following, epochs, keeps)
        return journal.epochs

    def _refuse(self) -> NoReturn:
        """The journal has what no mirror wrote: somebody's only copy, perhaps."""
        assert self._began is not None
        self.core.begin_behind(self._began)
        self._refused = (
            f"no mirror wrote the journal, and its messages are not those of {self.remote.endpoint} up to the last: "
            "give another --journal, or delete the files of this one"
        )
        raise NotARelay(self._refused)

    def _end_subscribers(self, why: str) -> None:
        hub = self._hub
        ended = hub.subscriptions
        self.logger.warn(
            "mirror {remote}: {why}; {count:,} subscribers end", remote=str(self.remote), why=why, count=len(ended)
        )
        for subscription in ended:
            hub.end(subscription, CloseReason.UPSTREAM_GAP)
        self._log.era += 1

    def sweep(self) -> None:
        """Look again: what came may have waited for the journal."""
        super().sweep()
        self._look_whether_complete()

    def _make(self) -> PullLink:
        self._starts.refusal = ""
        return super()._make()

    def ended(self, fault: Exception | None) -> None:
        self._starts.current = False
        self._starts.refusal = str(fault) if isinstance(fault, Circular | Refused) else ""
        super().ended(fault)

    # How it is

    @property
    def trouble(self) -> str:
        if self._refused:
            return self._refused
        if not self._starts.current:
            return f"not connected to {self.remote.endpoint}, which it mirrors"
        return "" if self._starts.complete else f"fetching what {self.remote.endpoint} has, which it mirrors"

    @property
    def behind(self) -> tuple[int, float] | None:
        core = self.core
        if core.behind is None:
            return None
        messages, seconds = core.behind
        return messages, seconds + self.surroundings.clock() - core.heard


def misses(gap: Gap) -> str:
    """What is wrong at a gap, in words."""
    if gap.lost == 0 and gap.ahead:
        return f"{gap.ahead:,} messages that it has, from {gap.position} on, are none of the other relay's"
    what = "an unknown number of messages" if gap.lost is None else f"{gap.lost:,} messages"
    return f"{what} are missing before {gap.position}"
