"""One worker, as the relay sees it: a process, what it is told, and what it has reported."""

from __future__ import annotations

import math
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

from twisted.internet.error import ProcessDone, ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from relay.net.pair import PairSender, adopt, make_pair
from relay.peers.subscriber import Subscriber
from relay.workers.channel import Channel
from relay.workers.messages import Ask, Connected, Held, Message, Report

CONTROL, FIRST_PORT = 3, 4
"""Descriptors of a worker: of its channel, and of the first socket to listen on."""
MODULE = "relay.daemon.worker"
"""What a worker's process runs."""


class Boss(Protocol):
    """What a worker needs of the object that has all of them."""

    def heard(self, worker: Worker, message: Message) -> None:
        """`worker` has told something."""
        ...

    def gone(self, worker: Worker, how: str) -> None:
        """The process of `worker` has ended. `how`: for people."""
        ...


class Worker(ProcessProtocol):
    """One process. It is not started again: another one takes its place."""

    def __init__(self, place: int, boss: Boss, clock: Callable[[], float]) -> None:
        """`place`: its number among all workers, from 1 on."""
        self.place = place
        self.ready = False
        """Whether it accepts connections."""
        self.begun = clock()
        """When it was started, by `clock`."""
        self.report: Report | None = None
        """The last one."""
        self.reported = -math.inf
        """When that came."""
        self.asked: float | None = None
        """Since when it owes a report; None if it owes none."""
        self.held = False
        """Whether it waits for the slowest of its subscribers, and publishers with it."""
        self.subscriber: Subscriber | None = None
        """Its connection for messages."""
        self._boss = boss
        self._clock = clock
        self._asks = 0  # how often it was asked
        self._channel = Channel(self._heard, lambda: None)

    def start(self, reactor: Any, ports: Sequence[int]) -> None:  # Any: a reactor
        """Start the process. `ports`: descriptors to listen on."""
        control, its_control = make_pair()
        inherited = (its_control.fileno(), *ports)
        with its_control:
            reactor.spawnProcess(
                self,
                sys.executable,
                [sys.executable, "-P", "-m", MODULE, str(self.place)],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                childFDs={0: 0, 1: 1, 2: 2} | dict(enumerate(inherited, CONTROL)),
            )
        adopt(control, self._channel, reactor)

    def connect(self, reactor: Any, subscriber: Subscriber) -> None:  # Any: a reactor
        """Connect it to the messages: `subscriber` gets them for it."""
        self.subscriber = subscriber
        subscriber.stalls = False  # it may wait for subscribers of its own, and owes reports even then
        messages, its_messages = make_pair()
        subscriber.makeConnection(PairSender(messages, subscriber, str(self.place), reactor))
        self._channel.send_socket(its_messages)

    def tell(self, message: Message) -> None:
        """Tell it something."""
        self._channel.tell(message)

    def ask(self, after: int | None = None) -> int:
        """Have it report. `after`: as in `Ask`. Returns the number of that report."""
        if self.asked is None:
            self.asked = self._clock()
        self._asks += 1
        self.tell(Ask(self._asks, after))
        return self._asks

    def kill(self) -> None:
        """End its process at once."""
        with suppress(ProcessExitedAlready):
            assert self.transport is not None
            self.transport.signalProcess("KILL")

    def _heard(self, message: Message) -> None:
        match message:
            case Report():
                self.report, self.asked, self.reported = message, None, self._clock()
            case Connected():
                self._channel.forget_sockets()
            case Held(held):
                self.held = held
        self._boss.heard(self, message)

    # What Twisted calls

    def processEnded(self, reason: Failure) -> None:
        number = getattr(reason.value, "signal", None)
        status = getattr(reason.value, "exitCode", None)
        how = f"by {signal.Signals(number).name}" if number else f"with status {status}"
        if isinstance(reason.value, ProcessDone):
            how = ""
        self._boss.gone(self, how)
