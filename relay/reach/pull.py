"""Pulls: the relay connects to another relay or server, and publishes what comes from there.

A pull has one connection after the other. Each is a `Publisher`, and so it is counted, waits with the others, and is
cut if it leaves a message incomplete. With a session the core of the client library speaks
(`relay.client.subscriber`): it resumes, counts, and returns what came as whole runs, which go into the hub as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from twisted.internet.error import ConnectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from relay.client.connection import speaker
from relay.client.errors import ClientError, ConnectionFault, NotARelay
from relay.client.events import Gap, Run
from relay.client.subscriber import SubscriberCore
from relay.config.values import Remote
from relay.core.state import State
from relay.core.timing import SWEEP
from relay.net.outgoing import is_ourselves, prepare
from relay.peers.origins import Loop
from relay.peers.publisher import Publisher
from relay.reach.echo import Echo, GoesRound
from relay.reach.link import HEARTBEAT, LOOK, Circular, Surroundings, reason_for
from relay.reach.outward import Outward
from relay.reach.places import Place
from relay.reach.task import Task
from relay.wire.answer import Answer, SubscriberWelcome, Via
from relay.wire.close_reason import CloseReason
from relay.wire.framing import BadFrame, Buffer, Frames, MessageTooLong
from relay.wire.framings import framing_name
from relay.wire.hello import SubscriberHello, read_hello
from relay.wire.position import Position
from relay.wire.signature import MOST, opens, wrong_framing


class PullCore(SubscriberCore):
    """Speaks for a pull, and takes no message that is longer than this relay allows."""

    most = 0
    """Bytes of the longest message that the other relay allows, as far as is known."""

    via: tuple[str, ...] = ()
    """The relays whose messages come."""
    own = ""
    """The id of this relay."""

    def connected(self, now: float) -> bytes:
        self.via = ()
        return super().connected(now)

    def _hello(self) -> bytes:
        hello = read_hello(super()._hello())
        assert isinstance(hello, SubscriberHello)
        return replace(hello, via=(self.own,)).write()

    def _read(self, body: bytes) -> Answer | None:
        said = super()._read(body)
        match said:
            case SubscriberWelcome(via=relays) | Via(relays=relays):
                self.via = relays
        return said

    def _welcome(self, max_message: int, now: float) -> None:
        self.most = max_message
        super()._welcome(min(max_message, self._max_message), now)

    def _senseless(self, error: MessageTooLong, first: bool) -> ConnectionFault | ClientError:
        if self.welcomed and self.most >= (error.length or 0):
            return NotARelay(f"it has {error}: --max-message must be at least {error.length:,} here too")
        return super()._senseless(error, first)


class Pull(Task["PullLink"]):
    """What is fetched from one relay or server."""

    logger = Logger()
    role = "pull"
    way_out = ""
    """What to do about a loop, for the log."""

    def __init__(self, remote: Remote, surroundings: Surroundings) -> None:
        super().__init__(remote, surroundings)
        self.core = self._make_core() if remote.session else None
        """Speaks with the relay; None without a session."""
        self.echo = Echo(surroundings.turn, surroundings.call_later, surroundings.clock)
        """Finds loops, where there is no session."""
        if self.core is not None:
            self.core.own = surroundings.origins.own
        self.reached: Position | None = None
        """Position of the last message that came; None without a session."""
        self._wanted = False  # whether it was started and not stopped

    def _make_core(self) -> PullCore:
        return PullCore(heartbeat=HEARTBEAT, max_message=self.surroundings.max_message)

    def start(self) -> None:
        self._wanted = True
        if self.core is None or self.core.position is not None:
            super().start()
        else:
            self.surroundings.places.resume(self, self._resume)

    def _resume(self, place: Place | None) -> None:
        """Connect, now that the place is known."""
        self._place = place
        if not self._wanted:
            self._leave()
            return
        if place is not None:
            assert self.core is not None
            self.core.begin_behind(Position(place.epoch, place.accepted))
        super().start()

    def stop(self) -> None:
        self._wanted = False
        super().stop()

    def replaced(self) -> None:
        """Another relay of the backbone goes on in its place: end, because what comes here counts no more."""
        self.logger.warn(
            "pull {remote}: another relay of the backbone has taken it over; it ends here", remote=str(self.remote)
        )
        self.stop()
        if self.link is not None:
            self.link.abort(CloseReason.REPLACED)

    # What its connections call

    def _make(self) -> PullLink:
        self.link = PullLink(self)
        return self.link

    def publish(self, frames: list[Frames]) -> None:
        """Publish what came. With a session, the place moves in the same breath."""
        if self.reached is not None:
            self._place = self.surroundings.places.advance(self, self._place, frames, self.reached)
        self.surroundings.hub.publish(frames)

    def tell(self, gap: Gap) -> None:
        """Messages are missing. Raises ClientError if it cannot go on so."""
        self.lost += gap.lost or 0
        what = "an unknown number of messages" if gap.lost is None else f"{gap.lost:,} messages"
        if gap.repeats:
            what = "the count was wrong, so that some messages may come twice:"
        self.logger.warn(
            "pull {remote}: {what} lost before {position}",
            remote=str(self.remote),
            what=what,
            position=str(gap.position),
        )


class PullLink(Outward, Publisher):
    """One connection of a pull."""

    logger = Logger()

    def __init__(self, pull: Pull) -> None:
        around = pull.surroundings
        super().__init__(around.sources, None, around.hub, around.framing(), around.intake)
        self.works = False  # it does when it has welcomed us, or has sent a message, or at least stays
        self.dialler = pull.dialler
        self.name = str(pull.remote)
        self._pull = pull
        self._core = pull.core
        self._clock = around.clock
        self._pass_on = pull.publish
        self._begun = False
        self._via: tuple[str, ...] = ()  # the relays whose messages come over this connection
        self._echo = pull.echo
        self._kept: list[Frames] = []  # while it is held (see `relay.reach.echo`)
        self._kept_size = self._kept_seen = 0  # bytes of all, and how many of them were looked at
        self.room = around.hub.budget.size // 8
        """Bytes that may be kept: as much as one turn may bring."""
        if self._core is None:
            self._pass_on = self._listen
        else:
            self.in_session = True
            self._receive = self._converse

    def _begin(self) -> None:
        around = self._pull.surroundings
        self._pull.connections += 1
        self._begun = True
        prepare(self.link, around.keepalive)
        super()._begin()
        if self._core is None:
            self._echo.begin(self)
        else:
            self.link.write(self._core.connected(self._clock()))
        around.call_later(LOOK, self._look_for_loop)

    def _look_for_loop(self) -> None:
        if self.lifecycle.ending:
            return
        others = self._pull.surroundings.subscribers.open
        if any(is_ourselves(self.link, one.link) for one in others if not one.lifecycle.ending):
            self._fail(CloseReason.LOOP, Circular(f"it leads to this relay itself{self._pull.way_out}"))
        elif self._core is None:
            self._stay(self._pull.surroundings.call_later)

    # What comes

    def _publish(self, frames: list[Frames]) -> None:
        if frames and not self.works:
            self._work()
        super()._publish(frames)

    def _first(self, data: bytes) -> list[Frames]:
        frames = self._framing.receive(data)
        if frames:
            self._receive = self._framing.receive
            start = bytes(frames[0].data[:MOST])
            what = opens(start) or speaker(start)
            if what:
                self._fail(CloseReason.FOREIGN_PROTOCOL, NotARelay(f"what it sends looks like {what}"))
                return []
        return frames

    def _refuse(self, error: BadFrame) -> None:
        hint = ""
        if not self.messages:
            looks = speaker(error.start)
            wrong = wrong_framing(error.start, self._framing.limit, framing_name(type(self._framing)))
            hint = f"it looks like {looks}" if looks else wrong
        self._fail(error.reason, NotARelay(f"it sends {error}{hint and '; '}{hint}"))

    def _converse(self, data: bytes) -> list[Frames]:
        """Take what comes in a session. It stands in for the framing's `receive`."""
        core = self._core
        assert core is not None
        frames: list[Frames] = []
        for one in core.receive(data, self._clock()):
            if isinstance(one, Run):
                frames.append(one.frames)
                self._pull.reached = one.last
                continue
            if frames:  # the place is where they end
                if not self.works:
                    self._greet(core)
                self._publish(frames)
                frames = []
            try:
                self._pull.tell(one)
            except ClientError as fault:
                self._give_up(fault)
                return []
        if core.welcomed and not self.works:
            self._greet(core)
        if core.fault is not None:
            self._give_up(core.fault)
        elif core.via != self._via:
            self._note_via(core.via)
        return frames

    def _note_via(self, relays: tuple[str, ...]) -> None:
        self._via = relays
        try:
            self._pull.surroundings.origins.note(self, relays)
        except Loop as loop:
            self._fail(CloseReason.LOOP, Circular(f"{loop}{self._pull.way_out}"))

    def _greet(self, core: PullCore) -> None:
        self._work()
        self.dialler.worked()
        self.info("{role} {peer} goes on behind {position}", role=self.role, position=str(core.position))
        limit = self._pull.surroundings.max_message
        if core.most > limit:
            self.warn(
                "{role} {peer}: messages may have {theirs:,} bytes there and {ours:,} here: a longer one ends the "
                "connection, and nothing after it comes",
                role=self.role,
                theirs=core.most,
                ours=limit,
            )

    def _give_up(self, fault: Exception) -> None:
        self._fail(reason_for(fault), fault)

    # Whether it comes from this relay

    def _listen(self, frames: list[Frames]) -> None:
        """Publish what came without a session, or keep it for a moment. It stands in for `Pull.publish`."""
        self._echo.look([one.data for one in frames])
        if self._echo.held:
            self._kept += frames
            self._kept_size += sum(len(one.data) for one in frames)
        elif self.reason is not CloseReason.LOOP:
            self._pull.publish(frames)

    def hold(self) -> None:
        """Keep what comes."""

    def kept(self) -> Sequence[Buffer] | None:
        """What came since the last call; None if it is too much."""
        begin, self._kept_seen = self._kept_seen, len(self._kept)
        return None if self._kept_size > self.room else [one.data for one in self._kept[begin:]]

    def release(self) -> None:
        """Publish what was kept, and what comes."""
        frames, self._kept = self._kept, []
        self._kept_size = self._kept_seen = 0
        if frames:
            self._pull.publish(frames)

    def goes_round(self) -> None:
        """End: it is part of a loop."""
        self._fail(CloseReason.LOOP, GoesRound())

    # What happens to all publishers

    def sweep(self, passed: float, timeout: float) -> None:
        super().sweep(passed, timeout)
        core = self._core
        if core is None or self.state is not State.OPEN:
            return
        core.check(self._clock())
        if core.fault is not None:
            self._give_up(core.fault)

    def _sweep_silence(self, passed: float) -> None:
        """A source may be silent: nobody took the wrong port."""

    def pause(self) -> None:
        self._echo.give_up()  # what does not come now does not come because nobody reads
        super().pause()

    def resume(self) -> None:
        if self._core is not None:
            self._core.excuse(self._clock() + SWEEP)  # what came meanwhile is read before it is missed
        super().resume()

    # Its end

    def _begin_end(self, reason: CloseReason, state: State) -> bool:
        self._echo.end()
        return super()._begin_end(reason, state)

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008  # Twisted's own
        self._echo.end()
        super().connectionLost(reason)
        self._pull.surroundings.origins.forget(self)
        if self._core is not None and self._begun:
            self._core.closed("the relay closed the connection")
            self._fault = self._fault or self._core.fault
        self._pull.ended(self._fault)
