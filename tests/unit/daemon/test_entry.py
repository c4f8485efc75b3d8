"""What Twisted loads for `twistd relay`: loading it holds signals, and it has what a plugin has to have."""

from __future__ import annotations

import importlib
import signal
import sys

from twisted.trial.unittest import SynchronousTestCase

from relay.daemon import service
from relay.daemon.signals import STOP, Held


class EntryTests(SynchronousTestCase):
    def setUp(self) -> None:
        for number in (*STOP, signal.SIGHUP):
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        sys.modules.pop("relay.daemon.entry", None)
        self.addCleanup(sys.modules.pop, "relay.daemon.entry", None)

    def test_to_load_it_holds_the_signals(self) -> None:
        importlib.import_module("relay.daemon.entry")
        self.assertIsInstance(signal.getsignal(signal.SIGHUP), Held)
        for number in STOP:
            handler = signal.getsignal(number)
            assert callable(handler)
            self.assertEqual(self.assertRaises(SystemExit, handler, number, None).code, 0)

    def test_it_has_what_makes_the_service(self) -> None:
        entry = importlib.import_module("relay.daemon.entry")
        self.assertEqual((entry.Options, entry.makeService), (service.Options, service.makeService))
