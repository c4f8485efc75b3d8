"""The link's thread, where there is no NATS: it says so again and again, and ends when it is told to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import Queue

from twisted.trial.unittest import SynchronousTestCase

from relay.backbone.access import Access
from relay.backbone.link import Link
from tests.kit.process import DEADLINE, free_port


class Receiver:
    def __init__(self) -> None:
        self.reasons: list[str] = []

    def connected(self, server: str) -> None:
        raise AssertionError(server)

    def disconnected(self, reason: str) -> None:
        self.reasons.append(reason)

    def refused(self, answer: str) -> None:
        raise AssertionError(answer)

    def receive(self, messages: Sequence[tuple[int, bytes]], behind: int) -> None:
        raise AssertionError(messages)


class LinkTests(SynchronousTestCase):
    def test_it_says_why_it_is_not_connected_and_ends_when_told(self) -> None:
        calls: Queue[Callable[[], None]] = Queue()
        receiver, ended = Receiver(), threading.Event()
        servers = tuple(f"nats://127.0.0.1:{free_port()}" for _ in range(2))
        link = Link(Access(servers, "RELAY"), 1000, 0, calls.put)
        link.start(receiver)
        link.send([b"lost"], ask=False)
        link.keep(1, b"lost", urgent=True)
        while len(receiver.reasons) < 2:
            calls.get(timeout=DEADLINE)()
        for reason in receiver.reasons:
            self.assertTrue(reason.startswith(servers), reason)
        link.stop(ended.set)
        while not ended.is_set():
            calls.get(timeout=DEADLINE)()
