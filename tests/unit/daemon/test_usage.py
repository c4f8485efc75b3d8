"""The text of `--help`: every option once, in groups, and in the order of the documentation."""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from relay.config.settings import SETTINGS
from relay.daemon.options import Options
from relay.daemon.usage import HEADINGS, OTHERS


class UsageTests(SynchronousTestCase):
    def test_every_option_is_there_once_in_the_order_of_the_documentation(self) -> None:
        shown = re.findall(r"^  --([a-z-]+=?) ", Options().getUsage(), re.MULTILINE)
        self.assertEqual(shown[: len(SETTINGS)], [f"{setting.name}=" for setting in SETTINGS])
        self.assertEqual(shown[len(SETTINGS) :], ["check", "config=", "help", "version"])

    def test_the_options_of_each_table_have_a_heading_in_the_order_of_the_example_file(self) -> None:
        headings = re.findall(r"^(\S.*):$", Options().getUsage(), re.MULTILINE)
        self.assertEqual(headings, [*HEADINGS.values(), OTHERS])

    def test_no_line_is_longer_than_the_terminal_is_wide_and_none_ends_within_a_default(self) -> None:
        for width in (60, 80, 120, 200):
            usage = Options().getUsage(width)
            self.assertLessEqual(max(map(len, usage.splitlines())), width)
            self.assertNotIn("[default:\n", usage)
            self.assertIn("[default: auto]", usage)

    def test_an_explanation_is_that_of_the_setting(self) -> None:
        usage = " ".join(Options().getUsage(200).split())
        for setting in SETTINGS:
            self.assertIn(f"--{setting.name}= {setting.help}", usage)
