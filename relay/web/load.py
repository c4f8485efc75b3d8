"""The way into the web port for those who can do without it: nothing that it needs is imported before it is wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IReactorTime

from relay.lines import Lines
from relay.settings import Faults
from relay.stats import Stats

if TYPE_CHECKING:
    from relay.web.site import Site


def load_site(
    stats: Stats, unready: Callable[[], str], token: Callable[[], bytes | None], lines: Lines, reactor: IReactorTime
) -> Site:
    """The factory of the web port, with all pages; `unready` and `token` are as `Pages` takes them.

    Raises Faults where what it needs is not installed.
    """
    try:
        from relay.metrics import Metrics
    except ModuleNotFoundError as error:
        raise Faults([f"--web needs {error.name}: pip install 'relay[web]'"]) from None
    from relay.web.pages import Pages
    from relay.web.site import Site

    metrics = Metrics(stats.snapshot, lambda: len(site.open))
    site = Site(Pages(stats, metrics, unready, token), lines, reactor)
    return site
