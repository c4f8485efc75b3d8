"""Real mirrors, and subscribers with sessions that look at what comes piece by piece."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from typing import Self

from tests.kit.events import Event, Parser
from tests.kit.peers import connection
from tests.kit.process import DEADLINE, Relay
from tests.kit.session_wires import READ, Control, Part, TcpWire, Wire
from tests.kit.web import WEB_PORT


class Mirror(Relay):
    """`with Mirror(port) as mirror:` runs a mirror of the relay whose subscribers connect to that port of 127.0.0.1.

    Its web port is `web_port`.
    """

    def __init__(self, of: int, *options: str, subscribe: str = "tcp:0", connected: bool = True) -> None:
        """`connected`: whether to wait until it knows the other relay's positions."""
        super().__init__(*("--mirror", f"tcp:127.0.0.1:{of}", *WEB_PORT, *options), publish="none", subscribe=subscribe)
        self.web_port = int(self.log.wait_for(r"listening for web on 127\.0\.0\.1:(\d+)")[1])
        if connected:
            self.log.wait_for("mirror .* goes on behind")

    def kill(self) -> None:
        """End it as a crash does."""
        self.log.process.kill()
        self.log.wait_for_end()


class Session:
    """`with Session(port, after=...) as session:` is a subscriber with a session; what it is told comes from `take`."""

    def __init__(self, port: int, wire: Callable[[], Wire] = TcpWire, **hello: object) -> None:
        self._peer = connection(port)
        self._wire = wire()
        self._peer.sendall(self._wire.hello(**hello))
        self._parts: list[Part] = []
        while not isinstance(first := self.take(), dict):
            pass  # what came before the welcome
        self.welcome: Control = first
        """What it was told first."""

    def take(self) -> Part:
        """The next message, or what the relay says."""
        while not self._parts:
            data = self._peer.recv(READ)
            assert data, "the relay ended the connection"
            self._parts += self._wire.receive(data)
        return self._parts.pop(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._peer.close()


class EventStream:
    """`with EventStream(port, last) as stream:` reads server-sent events behind the one with the id `last`.

    Raises ConnectionResetError where the stream ends.
    """

    def __init__(self, port: int, last: str = "") -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
        self._connection.request("GET", "/events", headers={"Last-Event-ID": last} if last else {})
        self._response = self._connection.getresponse()
        self._parser = Parser()
        self._found: list[Event] = []
        while not self._parser.last:  # the first that is sent is the position
            self._read()

    def _read(self) -> None:
        data = self._response.read1(65536)
        if not data:
            raise ConnectionResetError("the stream ended")
        self._found += self._parser.feed(data)

    def take(self) -> Event:
        """The next event."""
        while not self._found:
            self._read()
        return self._found.pop(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._response.close()
        self._connection.close()
