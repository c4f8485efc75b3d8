"""How the settings that can be reloaded are applied to the parts of a relay, in the two phases of `reload`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from twisted.logger import Logger, LogLevelFilterPredicate

from relay.config.config import Config, Faults, shared_endpoints
from relay.config.setting import Part
from relay.core.hub import Hub
from relay.daemon.reach import Reaching
from relay.daemon.reload import Applier, Change
from relay.feeds.feeds import Feeds
from relay.net.certificates import RenewableContext, load_credentials
from relay.peers.admission import (
    MAX_CONNECTIONS,
    MAX_WEB_CONNECTIONS,
    RESERVE,
    Admission,
    allowed_descriptors,
    raise_descriptor_limit,
)
from relay.peers.idle_message import IdleMessage
from relay.peers.intake import Intake
from relay.peers.registry import Registry
from relay.peers.sessions import Sessions
from relay.web.load import Access
from relay.web.token import read_token, readable_by_all

if TYPE_CHECKING:
    from relay.journal.journal import DiskJournal


def infallible(apply: Callable[[Config], None]) -> Applier:
    """An applier that prepares nothing: `apply`, which cannot fail, is the whole change."""
    return lambda config: partial(apply, config)


@dataclass(kw_only=True)
class Appliers:
    """Has an applier for each part, and holds everything that they change."""

    logger: ClassVar[Logger] = Logger()

    hub: Hub
    feeds: Feeds | None
    """None without a web port."""
    journal: DiskJournal | None
    """None without a journal."""
    sessions: Sessions
    admission: Admission
    idle: IdleMessage
    intake: Intake
    publishers: Registry
    subscribers: Sequence[Registry]
    """One registry for each feed: TCP first, then those of the web port."""
    reaching: Reaching
    publisher_tls: RenewableContext
    subscriber_tls: RenewableContext
    web: Access
    levels: LogLevelFilterPredicate
    """Decides which events are important enough for the log."""
    read_file: Callable[[str], bytes]
    """Reads a file for TLS. Raises OSError."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """What was in those files, for the certificates in force."""
    certificate: str = ""
    """The name of the certificate in force; empty if there is none."""
    drain_timeout: float = 0.0
    """Seconds that connections have to end when the relay stops."""

    def by_part(self) -> dict[Part, Applier]:
        """The applier of each part, in the order in which changes are made.

        The limits come first, because theirs is the only change that the system could refuse.
        """
        return {
            Part.LIMITS: self._limits,
            Part.CREDENTIALS: self._credentials,
            Part.WEB: self._web,
            Part.JOURNAL: self._journal,
            Part.REACH: self.reaching.prepare,
            Part.HUB: infallible(self._hub),
            Part.PUBLISHERS: infallible(self._publishers),
            Part.NETWORKS: infallible(self._networks),
            Part.HANDSHAKES: infallible(self._handshakes),
            Part.DRAIN: infallible(self._drain),
            Part.LOG: infallible(self._log),
        }

    def _limits(self, config: Config) -> Change:
        reserve = RESERVE + (MAX_WEB_CONNECTIONS if config.web else 0)
        reserve += config.workers * (len(shared_endpoints(config)) + 2)  # their sockets, and two connections to each
        descriptors = allowed_descriptors((config.max_connections or MAX_CONNECTIONS) + reserve)
        connections = descriptors - reserve
        if connections < (config.max_connections or 1):
            raise Faults(
                [
                    f"max-connections: the limit of open files allows {max(connections, 0):,}; "
                    "raise it (ulimit -n, or LimitNOFILE= of systemd)"
                ]
            )

        def change() -> None:
            raise_descriptor_limit(descriptors)
            self.admission.max_connections = config.max_connections or min(connections, MAX_CONNECTIONS)
            self.admission.max_per_address = config.max_per_address

        return change

    def _credentials(self, config: Config) -> Change:
        credentials = load_credentials(config, self.read_file)

        def change() -> None:
            self.publisher_tls.context = credentials.publishers
            self.subscriber_tls.context = credentials.subscribers
            self.certificate = credentials.name
            self.files = credentials.files

        return change

    def _web(self, config: Config) -> Change:
        file = config.web_token_file
        token, exposed = read_token(file), readable_by_all(file)

        def change() -> None:
            if exposed:
                self.logger.warn("every user of this machine can read the token: chmod o-r {file}", file=file)
            self.web.token = token
            self.web.origins = config.web_origin
            self.web.hosts = config.web_host

        return change

    def _journal(self, config: Config) -> Change:
        journal = self.journal
        if journal is None:
            return lambda: None
        size, age, sync = config.journal_size, config.journal_age, config.journal_sync
        if sync and not journal.interval:
            raise Faults(
                ["journal-sync: publishers were told that the disk has what is accepted; restart to change that"]
            )

        def change() -> None:
            journal.change(size, age, sync)
            self.sessions.ack = "written" if sync else "synced"

        return change

    def _hub(self, config: Config) -> None:
        self.hub.change(config.slow, config.stall_timeout)
        self.idle.seconds = config.idle_seconds
        if config.idle_seconds:
            self.idle.frame = config.framing.frame(config.idle_message.encode())
        if self.feeds:
            self.feeds.change(config.slow, config.stall_timeout)

    def _publishers(self, config: Config) -> None:
        self.intake.frame_timeout = config.frame_timeout
        self.intake.discards = config.too_long == "discard"
        self.sessions.names.change(config.publisher_names)

    def _networks(self, config: Config) -> None:
        self.publishers.allowed = config.allow_publishers
        for registry in self.subscribers:
            registry.allowed = config.allow_subscribers

    def _handshakes(self, config: Config) -> None:
        for registry in (self.publishers, *self.subscribers, *self.reaching.registries):
            registry.handshake_timeout = config.tls_timeout

    def _drain(self, config: Config) -> None:
        self.drain_timeout = config.drain_timeout

    def _log(self, config: Config) -> None:
        self.levels.setLogLevelForNamespace("", config.log_level)
