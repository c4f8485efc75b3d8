"""Signals are passed on by the reactor, in a turn of their own."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from relay.daemon.signals import Signals, hold


class Reactor(MemoryReactorClock):
    def callFromThread(self, call: Callable[..., object], *args: object) -> None:
        self.callLater(0, call, *args)


class SignalsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.put_back = {
            number: signal.getsignal(number)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
        }
        for number, handler in self.put_back.items():
            self.addCleanup(signal.signal, number, handler)
        self.reactor = Reactor()
        self.heard: list[str] = []
        self.signals = Signals(self.reactor, stop=self.heard.append, reload=lambda: self.heard.append("reload"))

    def test_each_is_heard_in_the_next_turn(self) -> None:
        self.signals.take()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            os.kill(os.getpid(), number)
        self.assertEqual(self.heard, [])
        self.reactor.advance(0)
        self.assertEqual(self.heard, ["SIGTERM", "reload", "SIGINT", "SIGTERM"])

    def test_to_stop_while_the_relay_starts_ends_it_at_once_and_a_reload_is_remembered(self) -> None:
        statuses: list[int] = []
        hold(statuses.append)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(os.getpid(), number)
        self.assertEqual(statuses, [0, 0])
        self.signals.take()
        self.reactor.advance(0)
        self.assertEqual(self.heard, ["reload"])

    def test_the_one_that_rotates_a_log_file_is_harmless_where_there_is_none(self) -> None:
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        self.signals.take()
        os.kill(os.getpid(), signal.SIGUSR1)

    def test_it_is_left_to_whoever_took_it_before(self) -> None:
        signal.signal(signal.SIGUSR1, lambda number, frame: self.heard.append("rotate"))
        self.signals.take()
        os.kill(os.getpid(), signal.SIGUSR1)
        self.assertEqual(self.heard, ["rotate"])
