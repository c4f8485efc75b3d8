"""The way into the web port for those who can do without it: nothing that it needs is imported before it is wanted."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from twisted.internet.interfaces import IReactorTime

from relay.config.config import Faults
from relay.feeds.feeds import Feeds
from relay.observe.stats import Stats
from relay.peers.rate_limited_log import RateLimitedLog
from relay.peers.registry import Registry
from relay.wire.position import new_epoch

if TYPE_CHECKING:
    from relay.web.site import Site


def require_packages() -> None:
    """See to it that what the web port needs is installed; raises Faults if not."""
    try:
        import prometheus_client  # noqa: F401
        import wsproto  # noqa: F401
    except ModuleNotFoundError as error:
        raise Faults([f"--web needs {error.name}: pip install 'relay[web]'"]) from None


@dataclass
class Access:
    """Who may see what of the web port. It may be changed at any time, and holds for requests from then on."""

    token: bytes | None = None
    """What a request has to show; None: nothing."""
    origins: tuple[str, ...] = ()
    """Web pages that may have the messages, besides the relay's own."""


class Contents(NamedTuple):
    """What the web port shows, and what it needs for that."""

    stats: Stats
    """What the relay does."""
    feeds: Feeds
    """The messages in other encodings."""
    events: Registry
    """Where subscribers with server-sent events are kept."""
    sockets: Registry
    """Where subscribers with WebSocket are kept."""
    settings: Callable[[], dict[str, object]]
    """Says which settings are in force, of those that are to be shown."""
    stopping: Callable[[], bool]
    """Says whether the relay has begun to stop."""
    unready: Callable[[], str]
    """Says why nobody should connect now; nothing if all is well."""
    access: Access
    lines: RateLimitedLog
    """Through which peers' doings are logged."""


def load_site(contents: Contents, reactor: IReactorTime) -> Site:
    """Make the factory of the web port. Raises Faults where what it needs is not installed.

    `reactor` is for the time that a connection may take.
    """
    require_packages()
    from relay.observe.metrics import Metrics
    from relay.web.event_dialogue import stream_head
    from relay.web.pages import Pages
    from relay.web.request import Request, Response
    from relay.web.site import Site
    from relay.web.status import Status
    from relay.web.streams import Streams, Takeover, unstreamable
    from relay.web.viewers import Viewer, Viewers

    stats, feeds = contents.stats, contents.feeds
    epoch = new_epoch()
    streams = Streams(feeds, epoch, contents.events, contents.sockets, lambda: contents.access.origins)
    viewers = Viewers(
        Status(stats, feeds.hub.log, feeds.framing, contents.settings, contents.unready, epoch, time.time).now
    )

    def status(request: Request) -> Response | Takeover:
        return unstreamable(request) or Takeover(lambda address: Viewer(viewers, stream_head()), subscribes=False)

    metrics = Metrics(stats.snapshot, lambda: len(site.open))
    pages = Pages(
        stats,
        metrics,
        contents.unready,
        lambda: contents.access.token,
        {"/events": streams.events, "/ws": streams.socket, "/status": status},
        contents.stopping,
    )
    site = Site(pages, (streams.register, viewers.register), contents.lines, reactor)
    return site
