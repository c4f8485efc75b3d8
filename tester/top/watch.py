"""Looks at a relay again and again, and knows after each look what there is to be shown."""

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
    """All that is known of a relay."""

    address: str
    trouble: str = ""
    """Why there are no figures now: a line. Those that there are, are old then."""
    when: datetime | None = None
    """When the relay was asked for the figures."""
    scrape: Scrape | None = None
    """None until it answered once."""
    rates: Rates | None = None
    """None without a scrape of the same run before it."""
    slowest: Slowest = NOBODY
    ended: tuple[Ended, ...] = ()
    """The newest first."""


class Watch:
    """Remembers the last look, for differences, and for when the next fails."""

    def __init__(self, address: str, get: Get, clock: Callable[[], float], now: Callable[[], datetime]) -> None:
        """`get` is a page of the web port and raises WebError. `clock` never goes back; `now` is the time of day."""
        self.view = View(address)
        self._get = get
        self._clock = clock
        self._now = now

    def look(self) -> View:
        """Ask the relay; the view has its answer, or what is wrong."""
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
        """Asked for only if there are others than last time."""
        if last.scrape and same_run(last.scrape, scrape) and last.scrape.ended == scrape.ended:
            return last.ended
        return ended(self._get) if scrape.ended else ()
