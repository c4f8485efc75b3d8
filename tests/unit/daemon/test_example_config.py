"""The command that prints the example of a configuration file."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from io import StringIO

from twisted.trial.unittest import SynchronousTestCase

from relay.daemon.example_config import main
from tests.kit.page import ROOT


class ExampleConfigTests(SynchronousTestCase):
    def test_it_is_the_file_in_deploy(self) -> None:
        self.patch(sys, "argv", ["relay example-config"])
        with redirect_stdout(StringIO()) as output:
            main()
        self.assertEqual(output.getvalue(), (ROOT / "deploy" / "relay.toml").read_text())
