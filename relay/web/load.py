"""The way into the web port for those who can do without it: nothing that it needs is imported before it is wanted."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IReactorTime

from relay.config.settings import Config, Faults, shown_settings
from relay.feeds.feed import Feeds
from relay.observe.stats import Stats
from relay.peers.connection import Accepted
from relay.peers.lines import Lines

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
    events: Accepted,
    sockets: Accepted,
    config: Callable[[], Config],
    unready: Callable[[], str],
    token: Callable[[], bytes | None],
    lines: Lines,
    reactor: IReactorTime,
) -> Site:
    """The factory of the web port, with all that there is to see.

    `events` and `sockets` is where the subscribers of feeds are kept; `unready` and `token` are as `Pages` takes them.
    Raises Faults where what it needs is not installed.
    """
    require_packages()
    from relay.observe.metrics import Metrics
    from relay.web.asked import Answer, Asked
    from relay.web.pages import Pages
    from relay.web.site import Site
    from relay.web.status import Status
    from relay.web.streams import Streams, Takeover, stream_head, unstreamable
    from relay.web.viewers import Viewer, Viewers

    streams = Streams(feeds, events, sockets, lambda: config().web_origin)
    viewers = Viewers(
        Status(
            stats,
            feeds.hub.log,
            feeds.framing,
            lambda: shown_settings(config()),
            unready,
            streams.run,
            time.time,
        ).now
    )

    def status(asked: Asked) -> Answer | Takeover:
        return unstreamable(asked) or Takeover(lambda address: Viewer(viewers, stream_head()), subscribes=False)

    metrics = Metrics(stats.snapshot, lambda: len(site.open))
    pages = Pages(stats, metrics, unready, token, {"/events": streams.events, "/ws": streams.socket, "/status": status})
    site = Site(pages, (streams.sweep, viewers.sweep), lines, reactor)
    return site
