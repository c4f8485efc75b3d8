"""The command that prints the units for systemd."""

from __future__ import annotations

import re
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

from twisted.trial.unittest import SynchronousTestCase

from relay.daemon.systemd_units import UNITS, main
from tests.kit.page import ROOT

FOLDER = ROOT / "deploy" / "systemd"


class SystemdUnitsTests(SynchronousTestCase):
    def printed(self, *arguments: str, prefix: str = "/opt/relay") -> tuple[str, str]:
        """What it prints on standard output and on standard error, installed in the virtual environment `prefix`."""
        self.patch(sys, "argv", ["relay systemd-units", *arguments])
        self.patch(sys, "prefix", prefix)
        with redirect_stdout(StringIO()) as output, redirect_stderr(StringIO()) as errors:
            main()
        return output.getvalue(), errors.getvalue()

    def test_every_unit_is_the_file_in_deploy(self) -> None:
        self.assertEqual(set(UNITS), {file.name for file in FOLDER.iterdir()})
        for name in UNITS:
            self.assertEqual(self.printed(name), ((FOLDER / name).read_text(), ""))

    def test_several_are_printed_one_after_the_other(self) -> None:
        wanted = "".join((FOLDER / name).read_text() for name in UNITS)
        self.assertEqual(self.printed(*UNITS), (wanted, ""))

    def test_without_a_name_or_with_a_wrong_one_it_says_which_there_are(self) -> None:
        for names in ((), ("relay",)):
            self.assertEqual(self.assertRaises(SystemExit, self.printed, *names).code, 2)

    def test_a_service_starts_the_relay_that_printed_it(self) -> None:
        output, errors = self.printed("relay.service", prefix="/srv/it")
        self.assertEqual(re.findall(r"^ExecStart=(\S+)", output, re.MULTILINE), ["/srv/it/bin/twistd"])
        self.assertNotIn("/opt/relay", output)
        self.assertEqual(errors, "")

    def test_it_warns_where_the_service_would_not_see_the_relay(self) -> None:
        for prefix in (f"/{folder}/venv" for folder in ("home/me", "root", "run/user/1000")):
            output, errors = self.printed("relay.service", prefix=prefix)
            self.assertIn(f"ExecStart={prefix}/bin/twistd ", output)
            hidden = f"relay: ProtectHome=yes hides {prefix} from the service: install it in /opt, say\n"
            self.assertEqual(errors, hidden)
