"""PROXY headers, as far as Twisted reads them: a header that it chokes on ends that connection, and nothing else.

Twisted's `haproxy:` endpoints let what their parser raises (a port that is no number, for example) climb into the
reactor, and close a connection without a header as if the peer had ended it.
"""

from __future__ import annotations

import struct
from typing import Protocol, cast, runtime_checkable

from twisted.internet.interfaces import IListeningPort, ITCPTransport
from twisted.protocols.haproxy._wrapper import HAProxyProtocolWrapper, HAProxyWrappingFactory
from twisted.protocols.policies import ProtocolWrapper

from relay.wire.close_reason import CloseReason


@runtime_checkable
class Abortable(Protocol):
    """A connection that keeps the reason why it ends."""

    def abort(self, reason: CloseReason, why: str = "") -> None:
        """Cut the connection; `why` explains `reason` to an operator."""
        ...


class Header(HAProxyProtocolWrapper):
    """Waits for the header, and passes on what follows."""

    def dataReceived(self, data: bytes) -> None:
        try:
            super().dataReceived(data)
        except (ValueError, KeyError, struct.error):
            if self._proxyInfo is not None:
                raise  # what follows the header caused it
            self._refuse()
        else:
            if self._proxyInfo is None and self.disconnecting:
                self._refuse()

    def _refuse(self) -> None:
        connection: object = self.wrappedProtocol
        while isinstance(connection, ProtocolWrapper):  # TLS
            connection = connection.wrappedProtocol
        if isinstance(connection, Abortable):
            connection.abort(CloseReason.BAD_PROXY_HEADER, "it did not begin with a PROXY header")
        else:
            cast(ITCPTransport, self.transport).abortConnection()


def guard(port: IListeningPort) -> None:
    """Have a port that listens already read PROXY headers so, if it reads them at all."""
    factory = getattr(port, "factory", None)
    if isinstance(factory, HAProxyWrappingFactory):
        factory.protocol = cast("type[HAProxyProtocolWrapper]", Header)
        factory.noisy = False
