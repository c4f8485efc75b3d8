"""The ports that the relay listens on. Either all listen, or the start ends with one line that names the failed one.

Twisted's own services either log that a port is taken and run on without it, or fail with a traceback.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any, cast

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.logger import Logger
from twisted.python.failure import Failure

from relay.config.config import Config
from relay.net import left_behind
from relay.net.addresses import address_name
from relay.net.families import OwnFamily, needs_own_family
from relay.net.listening import MAX_ACCEPTS, Exhausted, Transport, equip
from relay.net.shared_ports import Reserved, ReservedPort, Reserving
from relay.net.unavailable import why

ROLES = {
    "publish": "publishers",
    "publish-tls": "publishers with TLS",
    "subscribe": "subscribers",
    "subscribe-tls": "subscribers with TLS",
    "web": "web",
}
"""Who connects to the ports of each option, in words for the log."""


class CannotStart(SystemExit, Exception):  # noqa: N818  # named for what happened, as Twisted's CannotListenError is
    """Ends the start with one line and status 1.

    It is an Exception because twistd cleans up (the pid file, the waiting parent process) only after an Exception, and
    a SystemExit because the interpreter leaves out the traceback only after a SystemExit.
    """


def cannot_listen(option: str, endpoint: str, reason: str) -> CannotStart:
    """What ends the start if the relay cannot listen on the `endpoint` that `option` names."""
    return CannotStart(f"relay cannot start: --{option} {endpoint}: {reason}")


class Ports:
    """The listening ports, each with the option that asked for it."""

    logger = Logger()

    def __init__(
        self,
        reactor: Any,  # Any: a reactor
        *,
        keepalive: int,
        exhausted: Exhausted,
        ipv4: frozenset[int] = frozenset(),
        count: int = 1,
    ) -> None:
        """Start without ports.

        `keepalive`: seconds of silence after which the kernel probes whether a peer is still there; 0 for never.
        `exhausted`: called when the system has no room for more connections. `ipv4`: the numbers of all ports that are
        wanted with IPv4. `count`: of all ports that are wanted, which share what a turn may accept.
        """
        self.open: list[tuple[str, IListeningPort]] = []
        self._reactor = reactor
        self._keepalive = keepalive
        self._ipv4 = ipv4
        self.exhausted = exhausted
        self._accepts = max(1, MAX_ACCEPTS // count)

    def inherit(self, reactor: Any) -> None:  # Any: a reactor
        """Listen on sockets that `reactor` has inherited, whatever the endpoints say of their numbers."""
        self._reactor = reactor
        self._ipv4 = frozenset()

    def reserve(self, option: str, endpoint: str, count: int) -> list[ReservedPort]:
        """Make `count` sockets that listen on `endpoint`, for others to accept on. Raises CannotStart."""
        reserving = Reserving(self._reactor, count, needs_own_family(endpoint, self._ipv4))
        self.open.append((option, self._listen(option, endpoint, Reserved(), reserving)))
        return reserving.made

    def listen(self, option: str, endpoint: str, factory: IProtocolFactory, transport: Transport) -> None:
        """Listen on `endpoint`. Raises CannotStart, and stops all ports, if that does not succeed at once.

        `option`: the name of the option that asked for it. `endpoint`: a string as for Twisted's `serverFromString`.
        `factory`: makes the protocols of connections. `transport`: makes their transports, if they are TCP.
        """
        left_behind.clear(endpoint)
        reactor = OwnFamily(self._reactor) if needs_own_family(endpoint, self._ipv4) else self._reactor
        port = self._listen(option, endpoint, factory, reactor)
        equip(
            port,
            transport=transport,
            keepalive=self._keepalive,
            exhausted=self.exhausted,
            accepts=self._accepts,
        )
        if endpoint.startswith("haproxy:"):
            from relay.net.haproxy import guard  # Twisted's parser need not be loaded without it

            guard(port)
        self.open.append((option, port))

    def _listen(self, option: str, endpoint: str, factory: IProtocolFactory, reactor: Any) -> IListeningPort:
        results: list[object] = []
        serverFromString(reactor, endpoint).listen(factory).addBoth(results.append)
        result = results[0] if results else Failure(RuntimeError("it does not listen at once"))
        if isinstance(result, Failure):
            reason = why(result.value, self.open)
            self.stop(*ROLES)
            raise cannot_listen(option, endpoint, reason)
        return cast(IListeningPort, result)

    def stop(self, *options: str) -> list[Deferred[Any]]:  # Any: nobody looks at what comes out
        """Stop listening on the ports of `options`. Returns a Deferred per port, which fires when it is closed."""
        stopping = [one for one in self.open if one[0] in options]
        self.open = [one for one in self.open if one not in stopping]
        return [maybeDeferred(port.stopListening) for _, port in stopping]

    def announce(self, config: Config) -> None:
        """Log where the relay listens, and warn of ports that anybody can use."""
        for option, port in self.open:
            self.logger.info(
                "listening for {role} on {address}", role=ROLES[option], address=address_name(port.getHost())
            )
        publishers = bool(config.allow_publishers)
        guarded = {
            "publish": publishers,
            "publish-tls": publishers or config.publisher_ca,
            "web": config.web_token_file,
        }
        for option, port in self.open:
            if not guarded.get(option, True) and _reachable(port):
                self._warn(option, address_name(port.getHost()))

    def _warn(self, option: str, address: str) -> None:
        if option == "web":
            self.logger.warn(
                "whoever reaches {address} can see all messages: --web-token-file would limit that", address=address
            )
        else:
            self.logger.warn(
                "whoever reaches {address} can publish: --allow-publishers or --publisher-ca would limit that",
                address=address,
            )


def _reachable(port: IListeningPort) -> bool:
    """Whether other machines can connect to `port`."""
    host = getattr(port.getHost(), "host", None)
    return host is not None and not ip_address(host).is_loopback
