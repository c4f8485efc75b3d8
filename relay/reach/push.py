"""Pushes: the relay connects to another relay or server, and sends it every message.

A push is a subscriber like any other, whose connection the relay makes itself: a cursor into the log, with a lag, to
which the slow policy applies. While there is no connection it is nothing but a number.

With a session it is, for the other relay, a publisher with a name, and that relay counts what it accepts under the
name. The name is one that nobody else has, and is kept here together with its *base*, the number of the message behind
which the count begins: so the count there is a position here. Both are kept as the places of pulls are, in the journal
if there is one. A name never gets another base. Where the two counts cannot agree any more (a gap here, or a relay
there that has forgotten the name), a new name begins, whose base is known when it is welcomed. For
that case alone it is noted each second how far the other relay is known to have got.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import ITCPTransport
from twisted.logger import Logger
from twisted.python.failure import Failure

from relay.client.errors import ConnectionFault, NotARelay
from relay.config.values import Remote
from relay.core.cursor import Lag
from relay.core.start import Start
from relay.core.state import State
from relay.net.outgoing import is_ourselves, prepare
from relay.net.outlet import outlet
from relay.peers.dialogue import Silence
from relay.peers.source import HubSource
from relay.peers.subscriber import Subscriber
from relay.reach.echo import Echo, GoesRound
from relay.reach.link import LOOK, Surroundings, reason_for
from relay.reach.outward import Outward
from relay.reach.places import Place
from relay.reach.push_core import PushCore
from relay.reach.task import Task
from relay.wire.close_reason import CloseReason
from relay.wire.framing import Buffer
from relay.wire.position import Position, new_epoch

MOST_BATCHES = 64
"""Batches that are looked at for a loop in one delivery."""
REACHED = "reached"
"""Under what the number of the last message is kept that the other side is known to have. If only the base were known
after a restart, a relay there that has forgotten the name would be sent everything behind the base again."""


class Push(Task["PushLink"]):
    """What is sent to one relay or server."""

    logger = Logger()
    role = "push"

    def __init__(self, remote: Remote, surroundings: Surroundings) -> None:
        super().__init__(remote, surroundings)
        self.core = PushCore(surroundings.max_message) if remote.session else None
        """Speaks with the relay; None without a session."""
        self.echo = Echo(surroundings.turn, surroundings.call_later, surroundings.clock)
        """Finds loops, where there is no session."""
        starts = surroundings.starts
        starts.history.use()
        starts.hub.flush()
        newest = starts.hub.log.next - 1
        known = surroundings.places.find(self.role, remote) or Position(new_epoch(), newest)
        self._name, self._base = known.epoch, known.number  # the place keeps them, once the base is certain
        self.done = self._base
        """Number of the last message that the other side has, as far as is known."""
        self._reached: Place | None = None  # what is kept of `done`
        if remote.session:
            reached = surroundings.places.find(REACHED, remote)
            self._settle(self._base)
            if reached is not None and reached.epoch == self._name:
                self.done = max(self.done, min(reached.number, newest))

    def _leave(self) -> None:
        super()._leave()
        if self._reached is not None:
            self.surroundings.places.leave(self._reached)
            self._reached = None

    def sweep(self) -> None:
        super().sweep()
        if self._reached is not None:
            self.surroundings.places.move(self._reached, self.done)
        if self.link is not None:
            self.link.sweep()

    @property
    def waiting(self) -> int:
        return max(0, self.surroundings.hub.log.next - 1 - self.done)

    # What its connections call

    def _make(self) -> PushLink:
        self.link = PushLink(self)
        if self.core is not None:
            self.core.name = f"relay {self._name}"
        return self.link

    def accepted(self, count: int) -> None:
        """The other relay has accepted so many messages under the name."""
        self.done = max(self.done, self._base + count)

    def first(self) -> int | None:
        """Position of the message to go on with; None if it takes another connection, under another name."""
        starts, core = self.surroundings.starts, self.core
        starts.hub.flush()
        if core is None:
            return self._after_gap(self.done + 1)
        number = self._base + core.accepted
        if number >= starts.hub.log.next:  # it has messages that our disk never got
            self._begin_anew(starts.hub.log.next - 1)
            return None
        if not core.known and self.done > number:
            self.logger.warn(
                "push {remote}: it does not know the name any more; what it accepted and did not acknowledge may come "
                "twice",
                remote=str(self.remote),
            )
            self._begin_anew(self.done)
            return None
        self.accepted(core.accepted)
        first = self._after_gap(number + 1)
        if self._place is None:
            self._settle(first - 1)
        elif first > number + 1:
            self._begin_anew(first - 1)
            return None
        return first

    def _after_gap(self, wanted: int) -> int:
        first = self.surroundings.starts.first(Start(wanted, resumes=True))
        if first > wanted:
            self.lost += first - wanted
            self.logger.warn(
                "push {remote}: {lost:,} messages are lost, as they are not kept any more; it goes on with {first:,}",
                remote=str(self.remote),
                lost=first - wanted,
                first=first,
            )
        return first

    def _begin_anew(self, number: int) -> None:
        """Have the other relay count what follows about the message with that number, under a new name."""
        self._leave()
        self._name, self._base = new_epoch(), number
        self.done = number

    def _settle(self, base: int) -> None:
        """From now on the name counts what follows the message with that number."""
        self._base = self.done = base
        places = self.surroundings.places
        self._place = places.stand(self.role, self.remote, Position(self._name, base))
        places.move(self._place, base)
        self._reached = places.stand(REACHED, self.remote, Position(self._name, base))


class PushDialogue(Silence):
    """What comes from the other side goes to its connection."""

    def __init__(self) -> None:
        super().__init__("")

    def received(self, subscriber: Subscriber, data: bytes) -> None:
        assert isinstance(subscriber, PushLink)
        subscriber.hear(data)


class PushLink(Outward, Subscriber):
    """One connection of a push."""

    logger = Logger()

    def __init__(self, push: Push) -> None:
        around = push.surroundings
        super().__init__(around.pushes, None, HubSource(around.hub), PushDialogue())
        self.works = False  # it does when it has welcomed us, or at least stays
        self.dialler = push.dialler
        self.name = str(push.remote)
        self._push = push
        self._core = push.core
        self.in_session = push.core is not None
        self._clock = around.clock
        self._begun = self._heard = False
        self._echo = push.echo
        self._looked = 0  # number of the first batch that was not looked at
        self._held_from = 0  # bytes of the log when it was held
        self.room = around.hub.budget.limit // 4
        """Bytes that it may be behind because it is held."""

    def _begin(self) -> None:
        push = self._push
        push.connections += 1
        self._begun = True
        prepare(self.link, push.surroundings.keepalive)
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
        self.outlet = outlet(self.link)
        self.outlet.begin(self)
        push.surroundings.call_later(LOOK, self._look_for_loop)
        if self._core is None:
            self.deliver, self.deliver_one = self._give, self._give_one
            self._looked = self.source.hub.log.end
            self._echo.begin(self)
            self._attach()
        else:
            self.deliver, self.deliver_one = self.outlet.sendmsg, self.outlet.send
            origins = push.surroundings.origins
            self._core.via = origins.all
            origins.listeners[self._say_hello_anew] = None
            self.link.write(self._core.connected(self._clock()))

    def _say_hello_anew(self) -> None:
        """The relays whose messages are sent are others now, and only a hello can tell."""
        self._fail(CloseReason.PEER_CLOSED, ConnectionFault("messages of other relays come now: it says hello anew", 0))

    def _attach(self) -> None:
        first = self._push.first()
        if first is None:
            self._fail(CloseReason.SESSION_ERROR, ConnectionFault("the counts differ: a new name begins", 0))
        else:
            self.source.subscription = self.source.hub.attach(self, first)  # type: ignore[misc]  # it is a HubSource

    def _look_for_loop(self) -> None:
        if self.lifecycle.ending:
            return
        others = self._push.surroundings.publishers.open
        if any(is_ourselves(self.link, one.link) for one in others if not one.lifecycle.ending):
            self._fail(CloseReason.LOOP, NotARelay("it leads to this relay itself"))
        elif self._core is None:
            self._stay(self._push.surroundings.call_later)

    # What comes

    def hear(self, data: bytes) -> None:
        """Take what the other side says."""
        core = self._core
        if core is None:
            if not self._heard:
                self._heard = True
                self.info("push {peer}: what it sends is thrown away")
            return
        before = core.welcomed
        core.receive(data, self._clock())
        if core.welcomed and not before:
            self._greet(core)
        elif core.welcomed:
            self._push.accepted(core.accepted)
        if core.fault is not None and not self.lifecycle.ending:
            self._fail(reason_for(core.fault), core.fault)

    def _greet(self, core: PushCore) -> None:
        self._work()
        self.dialler.worked()
        self._attach()
        if self.source.subscription is None:
            return
        self.info("push {peer} goes on with {first:,}", first=self.source.next())
        limit = self._push.surroundings.max_message
        if core.limit < limit:
            self.warn(
                "push {peer}: messages may have {theirs:,} bytes there and {ours:,} here: a longer one ends the "
                "connection, and nothing after it goes there",
                theirs=core.limit,
                ours=limit,
            )

    # Whether it comes back

    def _give(self, pieces: Sequence[Buffer]) -> int:
        """Send, without a session, unless it is held."""
        return self.outlet.sendmsg(pieces) if self._goes_on() else 0

    def _give_one(self, piece: Buffer) -> int:
        return self.outlet.send(piece) if self._goes_on() else 0

    def _goes_on(self) -> bool:
        pieces = self._published()
        if pieces:
            self._echo.look(pieces)
        return not (self._echo.held or self.lifecycle.ending)

    def _published(self) -> list[Buffer]:
        """What the log has that was not looked at; of a push that is far behind only the newest."""
        log = self.source.hub.log
        begin, self._looked = max(self._looked, log.oldest, log.end - MOST_BATCHES), log.end
        return [log.batch(number).data for number in range(begin, log.end)]

    def hold(self) -> None:
        """Send nothing."""
        self._held_from = self.source.hub.log.size

    def kept(self) -> Sequence[Buffer] | None:
        """What was published since the last call; None if it is too much."""
        return None if self.source.hub.log.size - self._held_from > self.room else self._published()

    def release(self) -> None:
        """Send again."""
        self._looked = self.source.hub.log.end
        if self.source.subscription is not None:
            self.source.hub.resume(self.source.subscription)

    def goes_round(self) -> None:
        """End: it is part of a loop."""
        self._fail(CloseReason.LOOP, GoesRound())

    def await_room(self, error: OSError | None) -> None:
        if not self._echo.held:
            super().await_room(error)

    def drain(self) -> None:
        self._echo.give_up()
        super().drain()

    @property
    def unacknowledged(self) -> int | None:
        if self._core is None or not self.lifecycle.attached:
            return None
        return max(0, self.source.next(exact=False) - 1 - self._push.done)

    # What happens to all subscribers

    def skipped(self, gap: Lag, first: int, again: bool) -> bytes:
        if self._core is None:
            self._push.lost += gap.messages
            return super().skipped(gap, first, again)
        self.abort(CloseReason.OVERRUN, f"it was {gap}")
        return b""

    def sweep(self) -> None:
        super().sweep()
        core = self._core
        if core is None or not self._begun or self.lifecycle.ending:
            return
        core.check(self._clock())
        if core.fault is not None:
            self._fail(reason_for(core.fault), core.fault)

    # Its end

    def _begin_end(self, reason: CloseReason, state: State) -> bool:
        self._echo.end()
        self._note_done()
        self._push.surroundings.origins.listeners.pop(self._say_hello_anew, None)
        return super()._begin_end(reason, state)

    def _note_done(self) -> None:
        """Note, at the beginning of the end, up to where was sent; later the log need not have that place any more."""
        if self._core is None and self.reason is None and self.source.subscription is not None:
            self._push.done = self.source.next() - 1

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008  # Twisted's own
        self._echo.end()
        self._note_done()
        self._push.surroundings.origins.listeners.pop(self._say_hello_anew, None)
        super().connectionLost(reason)
        if self._core is not None and self._begun:
            self._core.closed("the relay closed the connection")
            self._fault = self._fault or self._core.fault
        self._push.ended(self._fault)
