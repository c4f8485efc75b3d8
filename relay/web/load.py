"""Makes the web port without importing what it needs before that: a relay may have none, and lack the packages."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from twisted.internet.interfaces import IReactorTime

from relay.config.config import Faults
from relay.core.chores import Chores
from relay.core.reused import Reused
from relay.feeds.feeds import Feeds
from relay.observe.stats import Stats
from relay.peers.rate_limited_log import RateLimitedLog
from relay.peers.registry import Registry
from relay.peers.sessions import Sessions

if TYPE_CHECKING:
    from relay.web.site import Site

PACKAGES = "prometheus-client wsproto"
"""What the web port needs, as the package index calls it: the extra `web` in setup.cfg."""


def require_packages() -> None:
    """Raise Faults if a package that the web port needs is not installed."""
    try:
        import prometheus_client  # noqa: F401
        import wsproto  # noqa: F401
    except ModuleNotFoundError as error:
        raise Faults([f"--web needs {error.name}: {sys.executable} -m pip install {PACKAGES}"]) from None


@dataclass
class Access:
    """Who may see what of the web port. It may be changed at any time, and applies to the requests after that."""

    token: bytes | None = None
    """The token that a request has to show; None: no token is needed."""
    origins: tuple[str, ...] = ()
    """Origins whose web pages may read messages, in addition to the relay's own."""
    hosts: tuple[str, ...] = ()
    """Names under which the relay is asked if no token is needed, besides IP addresses and `localhost`."""


class Contents(NamedTuple):
    """What the web port shows, and what it needs for that."""

    stats: Stats
    """What the relay does, in numbers."""
    feeds: Feeds
    """The messages, encoded for browsers."""
    sessions: Sessions
    """What all sessions share."""
    events: Registry
    """Subscribers to server-sent events."""
    sockets: Registry
    """Subscribers by WebSocket."""
    settings: Callable[[], dict[str, object]]
    """Returns the settings in force that the status page shows."""
    stopping: Callable[[], bool]
    """Returns whether the relay has begun to stop."""
    unready: Callable[[], str]
    """Returns why nobody should connect now; empty if the relay is ready."""
    access: Access
    lines: RateLimitedLog
    """Limits the log lines that peers can cause."""
    chores: Chores
    """Give requests, costly pages and the input of WebSockets their time."""


def load_site(contents: Contents, reactor: IReactorTime) -> Site:
    """Make the factory of the web port. Raises Faults if a package that it needs is not installed.

    `reactor`: measures how long a connection takes.
    """
    require_packages()
    from relay.observe.metrics import Metrics
    from relay.web.event_dialogue import stream_head
    from relay.web.pages import Pages
    from relay.web.request import Request, Response
    from relay.web.site import Site
    from relay.web.streams import Streams, Takeover, unstreamable
    from relay.web.viewers import Viewer, Viewers

    stats, access, chores = contents.stats, contents.access, contents.chores
    streams = Streams(
        contents.feeds, contents.sessions, contents.events, contents.sockets, lambda: access.origins, chores.lane()
    )
    viewers = Viewers(_status(contents))

    def status(request: Request) -> Response | Takeover:
        return unstreamable(request) or Takeover(lambda address: Viewer(viewers, stream_head()))

    metrics = Metrics(Reused(stats.snapshot, stats.clock), lambda: len(site.open))
    pages = Pages(
        stats,
        metrics,
        contents.unready,
        lambda: access.token,
        lambda: access.hosts,
        {"/events": streams.events, "/ws": streams.socket, "/status": status},
        contents.stopping,
    )
    registered = (streams.register, viewers.register)
    site = Site(pages, registered, contents.lines, reactor, requests=chores.lane(), costly=chores.lane())
    return site


def _status(contents: Contents) -> Callable[[], dict[str, object]]:
    """What viewers are sent, made once for those that come at the same time."""
    from relay.web.status import Status

    stats, feeds, starts = contents.stats, contents.feeds, contents.sessions.starts
    status = Status(
        stats, feeds.hub.log, feeds.framing, contents.settings, contents.unready, lambda: starts.epoch, time.time
    )
    return Reused(status.now, stats.clock)
