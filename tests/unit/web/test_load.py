"""The way into the web port: what it needs is looked for when it is wanted, and what it lets in can change."""

from __future__ import annotations

import sys
from dataclasses import replace
from unittest.mock import patch

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from relay.config.config import Faults, configure
from relay.daemon.assembly import Surroundings, assemble
from relay.web.load import require_packages
from relay.web.request import Request, Response


class LoadTests(SynchronousTestCase):
    def test_what_is_installed_is_no_fault(self) -> None:
        require_packages()

    def test_what_is_missing_is_named_with_the_way_to_have_it(self) -> None:
        for name in ("prometheus_client", "wsproto"):
            with patch.dict(sys.modules, {name: None}):
                error = self.assertRaises(Faults, require_packages)
            self.assertEqual(str(error), f"--web needs {name}: pip install 'relay[web]'")

    def test_every_page_is_there_for_whoever_has_the_token_of_the_moment(self) -> None:
        config = replace(configure({}), web=("tcp:1",))
        relay = assemble(config, Surroundings(reactor=MemoryReactorClock(), read=lambda: config))
        assert relay.site is not None

        def status(path: str, token: str = "") -> int:
            assert relay.site is not None
            headers = ((b"Authorization", f"Bearer {token}".encode()),)
            response = relay.site.pages.respond(Request(path=path, headers=headers))
            assert isinstance(response, Response)
            return response.status

        for path in ("/", "/healthz", "/metrics", "/connections"):
            self.assertEqual(status(path), 200, path)
        self.assertEqual(status("/readyz"), 503)
        relay.readiness.obstacle = ""
        self.assertEqual(status("/readyz"), 200)
        relay.appliers.web.token = b"secret"
        self.assertEqual((status("/"), status("/", "secret"), status("/", "wrong")), (401, 200, 401))
