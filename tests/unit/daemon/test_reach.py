"""The others that a configuration names: what reaches them, and that nothing is imported without one."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from relay.config.config import configure
from relay.config.values import Remote
from relay.daemon.assembly import Surroundings, assemble

FAR = Remote("tcp:192.0.2.1:8002", True)


class ReachingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.config = replace(configure({}), pull=(FAR,))
        self.relay = assemble(self.config, Surroundings(reactor=self.reactor, read=lambda: self.config))
        self.reaching = self.relay.machinery.reaching

    def test_it_connects_from_the_start_on(self) -> None:
        self.assertEqual(self.reactor.tcpClients, [])
        self.reaching.start()
        self.assertEqual([client[:2] for client in self.reactor.tcpClients], [("192.0.2.1", 8002)])
        [figures] = self.relay.stats.snapshot().reach
        self.assertEqual((figures.remote, figures.connected), (str(FAR), False))

    def test_a_reload_changes_where_to(self) -> None:
        self.reaching.start()
        self.config = replace(self.config, pull=(Remote("tcp:192.0.2.2:1", False),))
        self.relay.reload()
        self.assertEqual([client[:2] for client in self.reactor.tcpClients], [("192.0.2.1", 8002), ("192.0.2.2", 1)])
        self.config = replace(self.config, pull=())
        self.relay.reload()
        self.assertEqual(self.relay.stats.snapshot().reach, ())
        self.reaching.stop()

    def test_a_relay_that_connects_to_nobody_imports_nothing_for_it(self) -> None:
        code = (
            "import sys; from relay.daemon.options import Options; from relay.daemon.service import makeService;"
            "options = Options(); options.parseOptions(['--publish', 'tcp:0', '--subscribe', 'tcp:0']);"
            "makeService(options); unwanted = ('relay.reach', 'relay.net.outgoing', 'relay.client.');"
            "kernel = 'relay.client.kernel';"  # a question to the kernel, which all connections have
            "print([name for name in sys.modules if name.startswith(unwanted) and name != kernel])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
        self.assertEqual(done.stdout.strip().splitlines()[-1], "[]")
