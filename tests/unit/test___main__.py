"""The console script: which command runs, under what name, and what is said if there is none."""

from __future__ import annotations

import sys
from contextlib import redirect_stderr, redirect_stdout
from importlib.util import find_spec
from io import StringIO

from twisted.trial.unittest import SynchronousTestCase

from relay import __version__
from relay.__main__ import COMMANDS, main


class MainTests(SynchronousTestCase):
    def run_with(self, *arguments: str) -> tuple[object, str, str]:
        """Run the script. Returns its exit status, None for a plain end, and what it wrote on either output."""
        self.patch(sys, "argv", ["/usr/bin/relay", *arguments])
        status: object = None
        with redirect_stdout(StringIO()) as output, redirect_stderr(StringIO()) as errors:
            try:
                main()
            except SystemExit as end:
                status = end.code
        return status, output.getvalue(), errors.getvalue()

    def test_help_lists_every_command(self) -> None:
        for arguments in (["--help"], ["-h"], ["help"]):
            status, output, errors = self.run_with(*arguments)
            self.assertEqual((status, errors), (None, ""))
            for command, (_, does) in COMMANDS.items():
                self.assertRegex(output, rf"\n  {command} +{does}\n")

    def test_the_module_of_every_command_is_there(self) -> None:
        for module, _ in COMMANDS.values():
            self.assertIsNotNone(find_spec(module), module)

    def test_the_version_is_that_of_the_package(self) -> None:
        self.assertEqual(self.run_with("--version"), (None, f"relay {__version__}\n", ""))

    def test_an_unknown_command_is_two_lines_and_status_2(self) -> None:
        status, output, errors = self.run_with("xyz")
        self.assertEqual((status, output), (2, ""))
        self.assertEqual(errors, "relay: there is no command 'xyz'\nrelay: see relay --help for the commands\n")

    def test_a_command_that_is_nearly_right_is_guessed(self) -> None:
        for given, meant in (("subscibe", "subscribe"), ("publisher", "publish"), ("server", "serve")):
            _, _, errors = self.run_with(given)
            self.assertIn(f"there is no command {given!r}: did you mean {meant}?\n", errors)

    def test_an_option_without_a_command_is_no_command(self) -> None:
        status, _, errors = self.run_with("--framing", "line")
        self.assertEqual(status, 2)
        self.assertIn("as in relay serve --framing\n", errors)

    def test_a_command_knows_its_name_and_its_arguments(self) -> None:
        for command in ("publish", "subscribe", "journal", "top", "bench"):
            status, output, _ = self.run_with(command, "--help")
            self.assertEqual(status, 0)
            self.assertTrue(output.startswith(f"usage: relay {command} "), output)
            status, output, errors = self.run_with(command, "--no-such-option")
            self.assertEqual((status, output), (2, ""))
            self.assertTrue(errors.startswith(f"relay {command}: "), errors)
