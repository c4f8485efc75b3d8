"""The workers of a relay: makes them, and the sockets that they listen on. Only a relay with workers imports this."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import count

from twisted.logger import Logger, LogLevel, globalLogPublisher

from relay import __version__
from relay.config.config import Config, shared_endpoints, where
from relay.config.values import Remote
from relay.daemon.assembly import Relay
from relay.net.shared_ports import ReservedPort
from relay.peers.admission import Admission
from relay.peers.rate_limited_log import RateLimitedLog
from relay.peers.registry import Registry
from relay.peers.subscriber import SubscriberFactory
from relay.workers.lending import Lending
from relay.workers.messages import Begin, Logged, Settings
from relay.workers.worker import FIRST_PORT
from relay.workers.workers import Workers

RELAY = Remote("the relay", session=True)
"""What a worker mirrors, in words for its log."""
NUMBERS = 2**32
"""Numbers of connections for one worker, so that none is given twice."""


def make_workers(relay: Relay, ports: Sequence[Sequence[ReservedPort]]) -> Workers:
    """The workers of `relay`, not started. `ports`: for each endpoint that they listen on, a socket for each worker."""
    machinery, config = relay.machinery, relay.reload.config
    admission = Admission(2**62, numbers=machinery.admission.numbers)  # the limits are for those who come
    registry = Registry("worker", admission, QuietLog())
    incarnations, past, journal = count(1), machinery.hub.past, machinery.journal
    lending = Lending(journal, past.reader, past.damaged) if past is not None and journal is not None else None

    def begin() -> Begin:
        kept = None if lending is None else lending.kept()
        numbers = next(incarnations) * NUMBERS
        descriptors = tuple(range(FIRST_PORT, FIRST_PORT + len(ports)))
        return Begin(__version__, worker_settings(relay), numbers, descriptors, kept)

    workers = Workers(
        config.workers,
        begin=begin,
        factory=SubscriberFactory(registry, machinery.hub, where(config)["publish"], machinery.sessions),
        admission=machinery.admission,
        intake=machinery.intake,
        publish_event=publish_event,
        lending=lending,
        reactor=relay.surroundings.reactor,
        clock=time.monotonic,
    )
    workers.ports = [[of_all[place].fileno() for of_all in ports] for place in range(config.workers)]
    machinery.hub.throttles.append(workers.throttle)
    relay.stats.elsewhere = workers
    relay.stats.registries += (registry,)
    return workers


class QuietLog(RateLimitedLog):
    """Logs what is everyday at level debug: connections between a relay and its workers."""

    def info(self, logger: Logger, line: str, **fields: object) -> None:
        self.debug(logger, line, **fields)


def worker_settings(relay: Relay) -> Settings:
    """The settings of a worker of `relay`, as they are in force."""
    return Settings(worker_config(relay.reload.config), relay.appliers.files)


def worker_config(config: Config) -> Config:
    """The configuration of a worker of a relay with `config`."""
    shared = shared_endpoints(config)
    return replace(
        config,
        subscribe=tuple(endpoint for name, endpoint in shared if name == "subscribe"),
        subscribe_tls=tuple(endpoint for name, endpoint in shared if name == "subscribe-tls"),
        pull=(),
        push=(),
        mirror=RELAY,
        reach_ca="",
        reach_certificate="",
        reach_private_key="",
        workers=0,
        journal="",
        backbone=None,
        web=(),
        web_token_file="",
    )


def publish_event(event: Logged, place: int) -> None:
    """Write an event of the log of the worker at `place` into our own log."""
    found = {
        "log_level": LogLevel.lookupByName(event.level),
        "log_system": f"{event.fields.get('log_namespace', '')}#{event.level} worker {place}",
        "worker": place,
    }
    if event.traceback:
        found |= {"log_format": f"{event.fields.get('log_format', '')}\n{{traceback}}", "traceback": event.traceback}
    globalLogPublisher({**event.fields, **found})
