"""What Twisted loads for `twistd relay`: loading it holds signals, and it has what a plugin has to have."""

from __future__ import annotations

import importlib
import signal
import subprocess
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

    def test_once_it_is_loaded_a_signal_to_stop_ends_the_process_with_status_0(self) -> None:
        for number in STOP:
            program = f"import os, relay.daemon.entry; os.kill(os.getpid(), {number:d}); print('it goes on')"
            ended = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=False)
            self.assertEqual((ended.returncode, ended.stdout), (0, b""))

    def test_it_has_what_makes_the_service(self) -> None:
        entry = importlib.import_module("relay.daemon.entry")
        self.assertEqual((entry.Options, entry.makeService), (service.Options, service.makeService))
