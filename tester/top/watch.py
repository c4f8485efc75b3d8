"""Asks a relay again and again, and keeps what is to be shown after each answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from tester.top.connections import Ended, Get, Slowest, ended, slowest
from tester.top.figures import NotARelayError, Rates, Scrape, rates, read, same_run
from tester.top.web import WAY_OUT, WebError

NOBODY = Slowest()


@dataclass(frozen=True, slots=True)
class View:
    """What is known of a relay."""

    address: str
    trouble: str = ""
    """Why the relay gave no figures the last time, as one line: the figures here are old then. Empty if it did."""
    when: datetime | None = None
    """When the relay gave the figures."""
    scrape: Scrape | None = None
    """None until the relay has answered once."""
    rates: Rates | None = None
    """None unless the scrape before was of the same run of the relay."""
    slowest: Slowest = NOBODY
    ended: tuple[Ended, ...] = ()
    """Newest first."""


class Watch:
    """Asks a relay, and keeps the last view: to compare the next with it, and to show it if the next attempt fails."""

    def __init__(self, address: str, get: Get, clock: Callable[[], float], now: Callable[[], datetime]) -> None:
        """`get`: asks the web port; raises WebError. `clock`: in seconds, never goes back. `now`: the time of day."""
        self.view = View(address)
        self._get = get
        self._clock = clock
        self._now = now

    def look(self) -> View:
        """Ask the relay. Returns a view with its answer, or with what went wrong."""
        try:
            self.view = self._look()
        except WebError as trouble:
            self.view = replace(self.view, trouble=str(trouble), rates=None)
        except NotARelayError:
            what = f"{self.view.address} does not answer like a relay's web port: {WAY_OUT}"
            self.view = replace(self.view, trouble=what, rates=None)
        return self.view

    def _look(self) -> View:
        last = self.view
        try:
            text = self._get("/metrics").decode()
        except UnicodeDecodeError as error:
            raise NotARelayError(str(error)) from None
        scrape = read(text, self._clock())
        return View(
            address=last.address,
            when=self._now(),
            scrape=scrape,
            rates=rates(last.scrape, scrape) if last.scrape else None,
            slowest=slowest(self._get, scrape.lagging),
            ended=self._ended(last, scrape),
        )

    def _ended(self, last: View, scrape: Scrape) -> tuple[Ended, ...]:
        """The connections that ended, which are asked for only if there are new ones since the `last` view."""
        if last.scrape and same_run(last.scrape, scrape) and last.scrape.ended == scrape.ended:
            return last.ended
        return ended(self._get) if scrape.ended else ()
