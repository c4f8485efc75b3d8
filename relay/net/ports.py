"""The ports that the relay listens on: all of them, or the start ends with one line that names the one it cannot have.

Twisted's own services either only log a port that is taken and run on without it, or fail with a traceback.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, cast

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.internet.tcp import Server
from twisted.logger import Logger
from twisted.python.failure import Failure

from relay.config.settings import Config
from relay.net.haproxy import guard
from relay.net.transport import equip
from relay.peers.connection import address_name
from relay.peers.lines import Lines

ROLES = {
    "publish": "publishers",
    "publish-tls": "publishers with TLS",
    "subscribe": "subscribers",
    "subscribe-tls": "subscribers with TLS",
    "web": "web",
}
"""Who connects to what an option names."""


class CannotStart(SystemExit, Exception):  # noqa: N818  # it is what happened, in the words of Twisted
    """The start ends with one line and status 1.

    It is both because twistd cleans up (pid file, the parent process that waits) after an Exception only, and the
    interpreter leaves out the traceback after a SystemExit only.
    """


class Ports:
    """What is listened on, by the option that asked for it."""

    log = Logger()

    def __init__(self, reactor: Any, keepalive: int, lines: Lines) -> None:  # Any: no interface has all of a reactor
        """`keepalive` is in seconds."""
        self.open: list[tuple[str, IListeningPort]] = []
        self._reactor = reactor
        self._keepalive = keepalive
        self._lines = lines

    def listen(self, option: str, endpoint: str, factory: IProtocolFactory, transport: Callable[..., Server]) -> None:
        """Listen on an endpoint, for connections of that class; raises CannotStart if that is not so at once."""
        results: list[object] = []
        serverFromString(self._reactor, endpoint).listen(factory).addBoth(results.append)
        result = results[0] if results else Failure(RuntimeError("it does not listen at once"))
        if isinstance(result, Failure):
            self.stop(*ROLES)
            raise CannotStart(f"relay cannot start: --{option} {endpoint}: {_why(result.value)}")
        port = cast(IListeningPort, result)
        equip(port, transport, self._keepalive, self._lines)
        guard(port)
        self.open.append((option, port))

    def stop(self, *options: str) -> list[Deferred[Any]]:  # Any: nobody looks at what comes out
        """Listen no more on what these options asked for; each of what is returned fires when that is so for a port."""
        stopping = [one for one in self.open if one[0] in options]
        self.open = [one for one in self.open if one not in stopping]
        return [maybeDeferred(port.stopListening) for _, port in stopping]

    def tell(self, config: Config) -> None:
        """Say in the log where the relay listens, and who may use it if that is everybody."""
        for option, port in self.open:
            self.log.info("listening for {role} on {address}", role=ROLES[option], address=address_name(port.getHost()))
        publishers = bool(config.allow_publishers)
        guarded = {
            "publish": publishers,
            "publish-tls": publishers or config.publisher_ca,
            "web": config.web_token_file,
        }
        for option, port in self.open:
            host = getattr(port.getHost(), "host", None)
            if host is None or ip_address(host).is_loopback or guarded.get(option, True):
                continue
            if option == "web":
                self.log.warn(
                    "whoever reaches {address} can see all messages: --web-token-file would limit that",
                    address=address_name(port.getHost()),
                )
            else:
                self.log.warn(
                    "whoever reaches {address} can publish: --allow-publishers or --publisher-ca would limit that",
                    address=address_name(port.getHost()),
                )


def _why(error: BaseException | None) -> str:
    if isinstance(error, CannotListenError):
        return f"cannot listen on {error.port}: {error.socketError}"
    return str(error)
