"""The connection over which a relay and a worker tell each other what `messages` has. A socket may come with it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, cast

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IFileDescriptorReceiver, IUNIXTransport
from twisted.protocols.basic import Int32StringReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from relay.workers.messages import Connect, Message, decode, encode

READ = 1024 * 1024
"""Bytes that are read at once: a chunk of the journal is about as large, and should not be put together from many."""


@implementer(IFileDescriptorReceiver)
class Channel(Int32StringReceiver):
    """One end."""

    MAX_LENGTH = 2**30  # a list of 100,000 connections has some 30 MB

    def __init__(self, heard: Callable[[Message], None], ended: Callable[[], None]) -> None:
        """`heard`: called with each message. `ended`: called when the other process is gone."""
        self.sockets: list[socket.socket] = []
        """Those that came, each with a `Connect`."""
        self._given: list[socket.socket] = []  # those that may not have been sent yet
        self._heard = heard
        self._ended = ended

    def connectionMade(self) -> None:
        cast(Any, self.transport).bufferSize = READ  # Any: no interface has it, and every transport does

    def tell(self, message: Message) -> None:
        """Send `message`; nothing happens if the other process is gone."""
        if self.transport is not None and self.connected:
            self.sendString(encode(message))

    def send_socket(self, sock: socket.socket) -> None:
        """Give a socket to the other process, which must say when it has it: call `forget_sockets` then."""
        if self.transport is None or not self.connected:
            sock.close()
            return
        self._given.append(sock)
        cast(IUNIXTransport, self.transport).sendFileDescriptor(sock.fileno())
        self.tell(Connect())

    def forget_sockets(self) -> None:
        """Close those that were given to the other process."""
        for sock in self._given:
            sock.close()
        self._given.clear()

    def fileDescriptorReceived(self, descriptor: int) -> None:
        made = socket.socket(fileno=descriptor)
        made.setblocking(False)
        self.sockets.append(made)

    def stringReceived(self, string: bytes) -> None:
        self._heard(decode(string))

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008  # Twisted's own
        self.connected = 0  # Twisted leaves it at 1
        self.forget_sockets()
        self._ended()
