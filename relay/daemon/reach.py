"""The other relays and servers that the configuration names; without one nothing of `relay.reach` is imported."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IStreamClientEndpoint

from relay.config.config import Config
from relay.config.values import Remote
from relay.core.hub import Hub
from relay.core.journal import Journal
from relay.core.timing import SWEEP, Every
from relay.daemon.reload import Change
from relay.observe.stats import ReachFigures
from relay.peers.admission import Admission
from relay.peers.intake import Intake
from relay.peers.registry import Registry
from relay.peers.sessions import Sessions

if TYPE_CHECKING:
    from relay.daemon.backbone import Sharing
    from relay.net.outgoing import ClientCredentials
    from relay.reach.places import Places
    from relay.reach.reach import Reach


KINDS = ("pull", "push")
"""The settings that name any number of others to connect to."""


class Reaching:
    """Makes the connections to others that the configuration in force asks for."""

    def __init__(
        self,
        reactor: Any,
        sessions: Sessions,
        intake: Intake,
        publishers: Registry,
        subscribers: Registry,
        mirrors: bool,
        sharing: Sharing | None,
        journal: Journal | None,
        upstream: Callable[[Hub], IStreamClientEndpoint] | None = None,
    ) -> None:
        """`reactor`: Any, as in Surroundings. `publishers`, `subscribers`: those who connected to this relay by TCP.

        `mirrors`: whether the relay is a mirror of another one. `sharing`, `journal`: None without one. `upstream`:
        makes what connects a worker to its relay; None if this is no worker.
        """
        admission = Admission(sys.maxsize, numbers=subscribers.admission.numbers)  # the limits are for those who come
        self.sources = Registry("mirror" if mirrors else "pull", admission, subscribers.lines)
        """The connections from which messages are fetched."""
        self.pushes = Registry("push", admission, subscribers.lines)
        """The connections to which messages are sent."""
        self._reactor = reactor
        self._sessions = sessions
        self._intake = intake
        self._publishers = publishers
        self._subscribers = subscribers
        self._sharing = sharing
        self._journal = journal
        self._credentials: ClientCredentials | None = None
        self._reach: Reach | None = None
        self._started = False
        self._upstream = None if upstream is None else upstream(sessions.hub)

    @property
    def registries(self) -> tuple[Registry, Registry]:
        """All connections that the relay makes."""
        return self.sources, self.pushes

    def prepare(self, config: Config) -> Change:
        """An applier: reads the files for TLS, then changes what is connected to. Raises Faults."""
        wanted = [("mirror", config.mirror)] if config.mirror else []
        wanted += [(kind, remote) for kind in KINDS for remote in getattr(config, kind)]
        if not wanted and self._reach is None:
            return lambda: None
        from relay.net.outgoing import load_client_credentials

        credentials = load_client_credentials(config)

        def change() -> None:
            self._credentials = credentials
            reach = self._reach = self._reach or self._make(config)
            reach.change(wanted)

        return change

    def _make(self, config: Config) -> Reach:
        from relay.net.outgoing import client_endpoint
        from relay.reach.link import Surroundings
        from relay.reach.reach import Reach

        sessions = self._sessions

        def endpoint(remote: Remote) -> IStreamClientEndpoint:
            if self._upstream is not None:
                return self._upstream
            assert self._credentials is not None
            return client_endpoint(self._reactor, remote.endpoint, self._credentials)

        reach = Reach(
            Surroundings(
                hub=sessions.hub,
                history=sessions.starts.history,
                framing=partial(config.framing, config.max_message),
                max_message=config.max_message,
                intake=self._intake,
                starts=sessions.starts,
                origins=sessions.origins,
                places=self._make_places(),
                sources=self.sources,
                pushes=self.pushes,
                publishers=self._publishers,
                subscribers=self._subscribers,
                endpoint=endpoint,
                call_later=self._reactor.callLater,
                clock=time.monotonic,
                nearby=self._upstream is not None,
                keepalive=config.keepalive,
                journal=self._journal,
            )
        )
        if self._started:
            reach.start()
        return reach

    def _make_places(self) -> Places:
        sessions, sharing = self._sessions, self._sharing
        if sharing is None:
            from relay.reach.places import Places

            return Places(sessions.names, sessions.acks.contribute)
        from relay.reach.shared_places import SharedPlaces

        return SharedPlaces(sessions.names, sharing.claims, sharing.order.names_of)

    def register(self, every: Every) -> None:
        """Have `sweep` called every `SWEEP` seconds."""
        self.sources.register(every)
        self.pushes.register(every)
        every(SWEEP, self.sweep)

    def sweep(self, passed: float) -> None:
        """Look for what only a look can find. `passed`: is not used."""
        if self._reach is not None:
            self._reach.sweep()

    def start(self) -> None:
        """Begin to connect."""
        self._started = True
        if self._reach is not None:
            self._reach.start()

    def stop(self) -> None:
        """Make no connection any more."""
        self._started = False
        if self._reach is not None:
            self._reach.stop()

    @property
    def trouble(self) -> str:
        """Why nobody should connect to a mirror now, in words for people; empty if they may."""
        return "" if self._reach is None else self._reach.trouble

    def figures(self) -> Sequence[ReachFigures]:
        """How each of them is."""
        return () if self._reach is None else self._reach.figures()
