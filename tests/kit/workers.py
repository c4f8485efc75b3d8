"""Processes of one relay, for unit tests: real sockets between them, with the reactors' part played by the test."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.address import UNIXAddress
from twisted.internet.error import ProcessExitedAlready, ProcessTerminated
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from relay.net.pair import adopt
from relay.workers.channel import Channel
from relay.workers.messages import Message
from relay.workers.worker import CONTROL


class Spawned:
    """A process that was asked for: what it inherited, and how it ended."""

    def __init__(self, protocol: ProcessProtocol, arguments: Sequence[str], inherited: Mapping[int, int]) -> None:
        """`inherited`: its descriptors, each with the one of this process that it was made from."""
        self.arguments = arguments
        self.control = socket.socket(fileno=os.dup(inherited[CONTROL]))
        """Its end of the channel."""
        self.ports = [inherited[number] for number in sorted(inherited) if number > CONTROL]
        self.signals: list[str] = []
        """Those that it was sent."""
        self.ended = False
        self._protocol = protocol

    def signalProcess(self, name: str) -> None:
        if self.ended:
            raise ProcessExitedAlready
        self.signals.append(name)

    def end(self, status: int | None = None, signal: int | None = None) -> None:
        """It ends."""
        self.ended = True
        self.control.close()
        self._protocol.processEnded(Failure(ProcessTerminated(status, signal)))


class SocketReactor(MemoryReactorClock):
    """Twisted's reactor for tests, on which sockets can be adopted and processes asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.spawned: list[Spawned] = []

    def spawnProcess(
        self, protocol: ProcessProtocol, executable: str, args: Sequence[str], env: object, childFDs: Mapping[int, int]
    ) -> Spawned:
        made = Spawned(protocol, args, childFDs)
        protocol.makeConnection(made)
        self.spawned.append(made)
        return made

    def adoptStreamConnection(self, fileDescriptor: int, addressFamily: int, factory: IProtocolFactory) -> None:
        made = socket.socket(fileno=os.dup(fileDescriptor))
        protocol = factory.buildProtocol(UNIXAddress(None))
        assert protocol is not None
        transport = unix.Server(made, protocol, None, None, 0, self)
        protocol.makeConnection(transport)

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: int, factory: IProtocolFactory) -> tcp.Port:
        port: tcp.Port = tcp.Port._fromListeningDescriptor(self, fileDescriptor, addressFamily, factory)
        port.startListening()
        return port

    def close(self) -> None:
        """Close whatever is open."""
        for one in {*self.getReaders(), *self.getWriters()}:
            with suppress(Exception):  # a process that ends when another one does
                one.connectionLost(Failure(ConnectionError()))
        for spawned in self.spawned:
            spawned.control.close()


def turn(*reactors: SocketReactor, times: int = 3) -> None:
    """Have reactors read and write what they can, and do what is due, so many times; time stands still."""
    for _ in range(times):
        for reactor in reactors:
            reactor.advance(0)
            for one in tuple(reactor.getWriters()):
                _end_if(one.doWrite(), one)
            for one in tuple(reactor.getReaders()):
                if one in reactor.getReaders():
                    _end_if(one.doRead(), one)
            reactor.advance(0)


def _end_if(why: Any, one: Any) -> None:  # Any: what a descriptor of Twisted's returns
    if why is not None and one.connected:
        one.connectionLost(Failure(why))


class Told:
    """The other end of a channel: what came, and a way to answer."""

    def __init__(self, sock: socket.socket, reactor: SocketReactor) -> None:
        self.messages: list[Message] = []
        self.gone = 0
        self.channel = Channel(self.messages.append, self._end)
        sock.setblocking(False)
        adopt(sock, self.channel, reactor)

    def _end(self) -> None:
        self.gone += 1

    def take(self) -> list[Message]:
        """What came since the last time."""
        found = list(self.messages)
        self.messages.clear()
        return found
