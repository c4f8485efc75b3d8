"""The way into the web port for those who can do without it: nothing that it needs is imported before it is wanted."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IReactorTime

from relay.config.config import Config, Faults, shown_settings
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


def load_site(
    stats: Stats,
    feeds: Feeds,
    events: Registry,
    sockets: Registry,
    config: Callable[[], Config],
    unready: Callable[[], str],
    token: Callable[[], bytes | None],
    lines: RateLimitedLog,
    reactor: IReactorTime,
) -> Site:
    """The factory of the web port, with all that there is to see.

    `events` and `sockets` is where the subscribers of feeds are kept; `unready` and `token` are as `Pages` takes them.
    Raises Faults where what it needs is not installed.
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

    epoch = new_epoch()
    streams = Streams(feeds, epoch, events, sockets, lambda: config().web_origin)
    viewers = Viewers(
        Status(
            stats,
            feeds.hub.log,
            feeds.framing,
            lambda: shown_settings(config()),
            unready,
            epoch,
            time.time,
        ).now
    )

    def status(request: Request) -> Response | Takeover:
        return unstreamable(request) or Takeover(lambda address: Viewer(viewers, stream_head()), subscribes=False)

    metrics = Metrics(stats.snapshot, lambda: len(site.open))
    pages = Pages(stats, metrics, unready, token, {"/events": streams.events, "/ws": streams.socket, "/status": status})
    site = Site(pages, (streams.register, viewers.register), lines, reactor)
    return site
