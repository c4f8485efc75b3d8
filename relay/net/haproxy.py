"""PROXY headers, as Twisted parses them, except that a bad header only ends its connection, with a reason of its own.

With Twisted's `haproxy:` endpoints alone, exceptions of the parser (for a port that is not a number, say) reach the
reactor, and a connection without a header is closed as if the peer had ended it.
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
    """A connection that records why it ends."""

    def abort(self, reason: CloseReason, why: str = "") -> None:
        """Cut the connection for `reason`; `why` explains it to an operator."""
        ...


class Header(HAProxyProtocolWrapper):
    """Waits for the PROXY header, and passes on what follows it."""

    def dataReceived(self, data: bytes) -> None:
        try:
            super().dataReceived(data)
        except (ValueError, KeyError, struct.error):
            if self._proxyInfo is not None:
                raise  # the header was good, so what follows it is to blame
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
    """Make a listening port refuse bad PROXY headers, if it reads them at all."""
    factory = getattr(port, "factory", None)
    if isinstance(factory, HAProxyWrappingFactory):
        factory.protocol = cast("type[HAProxyProtocolWrapper]", Header)
        factory.noisy = False
