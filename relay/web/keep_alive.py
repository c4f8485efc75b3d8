"""Signs of life on a stream that is silent: without them, proxies and load balancers cut it, most after 60 seconds."""

from __future__ import annotations

from relay.core.state import State
from relay.peers.subscriber import Subscriber

SILENCE = 15
"""Sweeps, and so seconds, without a message after which a stream carries a sign of life, as the HTML standard proposes
for events (section 9.2.7). nginx, HAProxy's tutorials and the clouds' load balancers cut at 30 to 60 seconds."""


class KeepAlive:
    """Sends a subscriber something that is no message when there has been none for `SILENCE` sweeps."""

    __slots__ = ("_sent", "_sign", "_sweeps")

    def __init__(self, sign: bytes) -> None:
        """`sign`: what is sent."""
        self._sign = sign
        self._sent = -1  # bytes of messages that there were at the last sweep, for all subscribers of this kind
        self._sweeps = 0  # since there was a message

    def sweep(self, subscriber: Subscriber) -> None:
        """Look whether there was a message. To be called once a sweep."""
        sent = subscriber.source.hub.log.size
        if sent != self._sent or subscriber.lifecycle.state is not State.LIVE:
            self._sent, self._sweeps = sent, 0
            return
        self._sweeps += 1
        if self._sweeps >= SILENCE:
            self._sweeps = 0
            subscriber.insert(self._sign)
