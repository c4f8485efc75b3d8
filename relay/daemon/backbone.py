"""The backbone of a relay: reads what is on the stream, gives it a thread, and stands between it and the other parts.

Only a relay with a backbone imports this.
"""

from __future__ import annotations

import os
import sys
import time
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from os import _exit as end_at_once
from typing import Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from relay.backbone.access import Access
from relay.backbone.backbone import FULL, SharedOrder
from relay.backbone.claims import Claims
from relay.backbone.link import MOST, Link
from relay.backbone.outbox import JOINED, WINDOW, Outbox
from relay.backbone.pending import Proposed
from relay.backbone.proposal import HEAD_SIZE, PART_SIZE
from relay.backbone.start import Beginning, begin
from relay.backbone.stream import BadStream
from relay.config.config import Config
from relay.core.budget import Loan
from relay.core.hub import Hub
from relay.core.journal import Key
from relay.core.log import Log
from relay.core.pending import Pending
from relay.core.timing import CallSoon, Clock
from relay.net.ports import CannotStart
from relay.peers.intake import BACKBONE, STOP, Intake
from relay.wire.framing import Buffer, Frames
from relay.wire.framings import framing_name
from relay.wire.lengths import LENGTH
from relay.wire.position import Epoch

LOOK = 0.01
"""Seconds between two looks at whether everything was accepted, when the relay stops."""
NANOSECONDS = 1_000_000_000

PART = 16
"""What part of the buffer may wait to be proposed, what part may be on its way, and what part may come in one turn, at
most, but for one proposal or turn more. All at once have to fit into the half that `--slow block` leaves: with an
eighth each, and 1 MiB, on a machine that was made to hesitate, a subscriber overran in 3 of 34 runs."""


@dataclass
class BackboneKeeper:
    """Passes on what the backbone says to the parts of a relay, which are made after it."""

    intake: Intake
    self_delimiting: bool
    end: Callable[[int], None] = end_at_once
    """Ends the process with a status."""
    hub: Hub | None = None
    loan: Loan | None = field(default=None)
    logger = Logger()

    def hold(self, reason: str) -> None:
        self.intake.hold(BACKBONE, reason)

    def release(self) -> None:
        self.intake.release(BACKBONE)

    def finish(self) -> None:
        """Read from publishers no more, whatever the backbone says."""
        self.intake.hold(STOP, "")

    def connected(self, server: str) -> None:
        self.logger.info("connected to the backbone at {server}", server=server)

    def lend(self, size: int) -> None:
        if self.loan is not None:
            self.loan.hold(size)

    def arrive(self, frames: list[Frames]) -> None:
        assert self.hub is not None
        arrived = Pending(self.self_delimiting)
        arrived.frames = frames
        self.hub.deliver(arrived)

    def lost(self, reason: str) -> None:
        self.logger.critical("the backbone: {reason}. Ending, to begin anew from a snapshot", reason=reason)
        sys.stderr.flush()
        self.end(1)


class Sharing:
    """A relay's part in a backbone, and what a relay that begins needs to know of it."""

    shared = True
    """Whether other relays hand out the same messages under the same positions."""
    names: ClassVar[Mapping[Key, int]] = {}
    """The names are the fold's."""

    def __init__(self, config: Config, intake: Intake, reactor: Any) -> None:  # Any: as in Surroundings
        """Read what is on the stream that `config` names. Raises CannotStart if it cannot be used."""
        assert config.backbone is not None
        self.access = access(config)
        framing, told = framing_name(config.framing), config.framing.self_delimiting
        longest = longest_proposal(config.max_message)
        self._found = _begin(self.access, longest, config.buffer // 2, framing)
        fold = self._found.fold
        self.keeper = BackboneKeeper(intake, told)
        part = config.buffer // PART
        outbox = Outbox(os.urandom(8), framing, told, time.monotonic, min(WINDOW, part))
        self.pending = Proposed(outbox, self._pump)
        self.claims = Claims(outbox, self.pending, self._flush, self._pump)
        self.link = Link(self.access, longest, fold.sequence, reactor.callFromThread, min(MOST, part))
        self.order = SharedOrder(fold, outbox, self.claims, self.keeper, self.link, time.monotonic, min(FULL, part))
        intake.stream = self.order
        self._reserved = 2 * (part + longest)  # for what waits, and for what is on its way
        self.epochs = [Epoch(fold.epoch, 1)]
        """The epoch of the stream, which is the only one."""
        self._reactor = reactor
        self._messages = (fold.next, fold.sequence)

    def make_log(self, ends: Callable[[Buffer], array[int]], memory: int, clock: Clock) -> Log:
        """A log that goes on where the stream was read to, with the newest of its messages: half of `--buffer`.

        `memory`: as much at most, and more than that.
        """
        found = self._found
        log = Log(ends, found.fold.next - sum(batch.messages for _, batch in found.batches))
        now, then = time.time_ns(), 0.0
        for stamp, (data, messages, places) in found.batches:
            age = clock() - max(0, now - stamp) / NANOSECONDS
            then = max(then, age) if log.end else age
            log.append(data, messages, len(data), then, places)
        found.batches.clear()
        return log

    def make_pending(self, self_delimiting: bool) -> Pending:
        """What is pending is proposed."""
        return self.pending

    def make_acks(self, flush: Callable[[], bool], call_soon: CallSoon, clock: Clock) -> Claims:
        """Acks that wait until what they are for was folded."""
        return self.claims

    def attach(self, hub: Hub, ends: Callable[[Buffer], array[int]], clock: Clock) -> None:
        """Hand out to `hub` what comes of the stream, and borrow from its memory."""
        self.keeper.hub, self.keeper.loan = hub, hub.budget.loan()
        self.keeper.loan.reserve(self._reserved)

    def announce(self) -> None:
        """Log what was found on the stream."""
        following, sequence = self._messages
        self.keeper.logger.info(
            "backbone: stream {stream}, read up to its message {sequence:,}, next message {next:,}, epoch {epoch}",
            stream=self.access.stream,
            sequence=sequence,
            next=following,
            epoch=self.epochs[-1].name,
        )

    def start(self) -> None:
        """Connect, and go on connecting until `stop`."""
        self.link.start(self.order)

    def finish(self, timeout: float) -> Deferred[None]:
        """Read from publishers no more. Fires when all that was read is accepted, or after `timeout` seconds."""
        self.keeper.finish()
        done: Deferred[None] = Deferred()
        until = time.monotonic() + timeout

        def look() -> None:
            if self.order.done or time.monotonic() > until:
                done.callback(None)
            else:
                self._reactor.callLater(LOOK, look)

        look()
        return done

    def stop(self) -> Deferred[None]:
        """Disconnect. Fires then."""
        done: Deferred[None] = Deferred()
        self.link.stop(lambda: done.callback(None))
        return done

    def _pump(self) -> None:
        self.order.pump()

    def _flush(self) -> None:
        assert self.keeper.hub is not None
        self.keeper.hub.flush()


def access(config: Config) -> Access:
    """How NATS is reached, as `config` says."""
    assert config.backbone is not None
    return Access(
        servers=config.backbone.servers,
        stream=config.backbone.stream,
        replicas=config.backbone_replicas,
        size=config.backbone_size,
        age=config.backbone_age,
        credentials=config.backbone_credentials,
        ca=config.backbone_ca,
        certificate=config.backbone_certificate,
    )


def longest_proposal(max_message: int) -> int:
    """Bytes that a proposal may have."""
    return max(JOINED, 4 + max_message) + HEAD_SIZE + PART_SIZE + LENGTH


def _begin(where: Access, longest: int, memory: int, framing: str) -> Beginning:
    try:
        return begin(where, longest, memory, framing)
    except BadStream as error:
        raise CannotStart(f"relay cannot start: the backbone {where.stream}: {error}") from None
