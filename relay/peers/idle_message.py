"""A message of the operator's for subscribers that are sent nothing else, so that what lies between keeps a connection.

NAT gateways, firewalls and load balancers forget a connection that is silent for some minutes, often without telling
either end. TCP's keep-alive (`--keepalive`) is silence to those that look at payload only, and so it is to a program
that takes silence for a failure. Peers with sessions ask for heartbeats instead, and streams for browsers have signs of
life of their own (`relay.web.keep_alive`), so neither gets this.

It is sent between two messages, and is none itself: it has no position, is not in the log, and only its bytes count.
"""

from __future__ import annotations

from functools import partial
from typing import cast

from relay.core.chores import Lane
from relay.core.log import Log
from relay.core.state import State
from relay.core.timing import SWEEP, Every
from relay.peers.registry import Registry
from relay.peers.subscriber import Subscriber


class IdleMessage:
    """Sends it to all silent subscribers when nothing was published for some time."""

    def __init__(self, log: Log, subscribers: Registry, lane: Lane) -> None:
        """`log`: the hub's. `subscribers`: those by TCP. `lane`: spreads what is due over turns, if it is much."""
        self.frame = b""
        """What is sent, framed as messages are."""
        self.seconds = 0.0
        """After how much silence, at the latest; 0 for never."""
        self._log = log
        self._subscribers = subscribers
        self._lane = lane
        self._size = -1  # bytes that the log had taken at the last sweep
        self._silence = 0.0  # seconds, at most, since something was published or this was sent

    def register(self, every: Every) -> None:
        """Have `sweep` called every `SWEEP` seconds."""
        every(SWEEP, self.sweep)

    def sweep(self, passed: float) -> None:
        """Send what is due before the next sweep. `passed`: seconds since the last."""
        if self._log.size != self._size:
            self._size, self._silence = self._log.size, 0.0
        self._silence += passed
        if not 0 < self.seconds < self._silence + SWEEP:
            return
        self._silence = 0.0
        for subscriber in tuple(self._subscribers.open):
            if subscriber.state is State.LIVE and not subscriber.in_session:
                self._lane(partial(self._send, cast(Subscriber, subscriber)))

    def _send(self, subscriber: Subscriber) -> None:
        """Send it, unless the subscriber was sent something meanwhile, or began a session."""
        if self._log.size == self._size and subscriber.state is State.LIVE and not subscriber.in_session:
            subscriber.insert(self.frame)
