"""What the connections that the relay makes have in common: how the log tells of those that do not work.

A connection *works* once the other side is what was hoped for. While none does, the same trouble is told once, at the
end of the first connection that has it; those that follow are logged at level debug. Nobody need read every ten seconds
that another relay has another framing.
"""

from __future__ import annotations

from twisted.python.failure import Failure

from relay.client.errors import TLSFailed
from relay.core.state import State
from relay.net.certificates import refused_by_tls
from relay.net.outgoing import CLOSED_AT_ONCE, tls_trouble
from relay.peers.connection import Connection
from relay.peers.heartbeat import CallLater
from relay.reach.dialler import Dialler
from relay.reach.link import STEADY, words_for
from relay.wire.close_reason import CloseReason


class Outward(Connection):
    """A connection that the relay made. `dialler` and `works` are set before there is a transport."""

    dialler: Dialler
    """Makes the connections, one after the other."""
    works: bool
    """Whether the other side is what was hoped for."""
    _fault: Exception | None = None

    def _doubtful(self) -> bool:
        return bool(self.dialler.trouble)

    def _work(self) -> None:
        """The other side is what was hoped for."""
        self.works = True
        self.announce()

    def _stay(self, call_later: CallLater) -> None:
        """Without a session, the other side has at least not ended the connection."""
        self._work()
        call_later(STEADY, self._last)

    def _last(self) -> None:
        if not self.lifecycle.ending:
            self.dialler.worked()

    def _fail(self, reason: CloseReason, fault: Exception) -> None:
        """End the connection, for `fault`."""
        self._fault = fault
        self.abort(reason, words_for(fault))

    def _everyday(self) -> bool:
        if self.works:
            return False
        new = self.dialler.is_new(self._why or str(self.reason))
        return not (new or self._announced)

    def _reason_of_loss(self, failure: Failure) -> CloseReason:
        refused = refused_by_tls(failure)  # with TLS 1.3 a server looks at our certificate when we are done
        if refused or self.state is State.HANDSHAKE:
            self._why = tls_trouble(failure)
            if refused:
                self._fault = TLSFailed.because(self._why)
            return CloseReason.HANDSHAKE_FAILED
        if not self.works:
            self._why = f"{CLOSED_AT_ONCE}, or know no sessions" if self.in_session else CLOSED_AT_ONCE
        return super()._reason_of_loss(failure)
