"""PROXY headers, as far as Twisted reads them: a header that it chokes on ends that connection, and nothing else.

Twisted's `haproxy:` endpoints let what their parser raises, a port that is no number for one, climb into the reactor,
and close a connection without its header as if the peer had ended it. Like `transport`, this module touches Twisted's
internals.
"""

from __future__ import annotations

import struct
from typing import cast

from twisted.internet.interfaces import IListeningPort
from twisted.protocols.haproxy._wrapper import HAProxyProtocolWrapper, HAProxyWrappingFactory

from relay.peers.connection import Connection
from relay.wire.close_reason import CloseReason


class Header(HAProxyProtocolWrapper):
    """Waits for the header, and passes on what follows."""

    def dataReceived(self, data: bytes) -> None:
        try:
            super().dataReceived(data)
        except (ValueError, KeyError, struct.error):
            if self._proxyInfo is not None:
                raise  # it is of what comes after the header
            self._refuse()
        else:
            if self._proxyInfo is None and self.disconnecting:
                self._refuse()

    def _refuse(self) -> None:
        connection = cast(Connection, self.wrappedProtocol)
        connection.abort(CloseReason.BAD_PROXY_HEADER, "it did not begin with a PROXY header")


def guard(port: IListeningPort) -> None:
    """Have a port that listens already read PROXY headers so, if it reads them at all."""
    factory = getattr(port, "factory", None)
    if isinstance(factory, HAProxyWrappingFactory):
        factory.protocol = cast("type[HAProxyProtocolWrapper]", Header)
        factory.noisy = False
